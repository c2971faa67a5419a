"""The simulation of bursts keeps its books, does not go faster than it may, and is the same for the same seed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bursts import Outcome, System, simulate

EVEN = System(spread=0.0, cold_s=0.1, warm_s=0.1, batch=1)


@pytest.mark.parametrize("concurrency", [1, 3, 45])
@pytest.mark.parametrize("store_rate", [float("inf"), 200.0, 20.0])
def test_every_object_is_done_or_a_dead_letter(concurrency: int, store_rate: float) -> None:
    system = System(concurrency=concurrency, store_rate=store_rate)
    found = simulate(500, 10.0, system, seed=3)
    assert found.done + found.dead == 500
    assert found.most_instances <= concurrency
    assert found.requests - found.refused >= system.requests * found.done
    assert found == simulate(500, 10.0, system, seed=3) != simulate(500, 10.0, system, seed=4)


def test_one_instance_needs_the_sum_of_all_service_times() -> None:
    found = simulate(200, 0.001, replace(EVEN, concurrency=1), seed=1)
    assert found.until_s == pytest.approx(20.0, abs=0.01)
    assert found.busy_s == pytest.approx(20.0, abs=0.01)
    assert found.waits[-1] == pytest.approx(20.0, abs=0.01)
    assert found.waits[0] == pytest.approx(0.1, abs=0.01)


def test_without_a_queue_nobody_waits() -> None:
    found = simulate(50, 1_000.0, replace(EVEN, concurrency=45), seed=1)
    assert found.waits[25] == pytest.approx(0.1)


def test_instances_come_as_fast_as_the_queue_lets_them() -> None:
    """Five at once, three hundred more in a minute: of 1,000 that are wanted, 55 are there after ten seconds."""
    found = simulate(550, 0.001, replace(EVEN, cold_s=10.0, warm_s=10.0, concurrency=1_000), seed=1)
    assert 55 <= found.most_instances <= 5 + 5 * found.until_s


def test_a_store_that_throttles_is_the_bound_and_costs_no_object() -> None:
    """400 requests at 20 each second take 20 s less the bucket; nothing is lost, and refusals make it no faster."""
    found = simulate(100, 0.001, replace(EVEN, concurrency=10, store_rate=20.0, attempts=50), seed=1)
    assert (found.done, found.dead) == (100, 0)
    assert found.until_s >= (400 - 20) / 20.0
    assert found.refused > 0


def test_what_the_store_never_answers_is_dead_after_all_its_receives() -> None:
    found: Outcome = simulate(4, 1.0, replace(EVEN, concurrency=4, store_rate=1e-9, attempts=2), seed=1)
    assert (found.done, found.dead) == (0, 4)
    assert found.again == 4 * (System().receives - 1)
    assert found.until_s > (System().receives - 1) * System().again_s
