"""Where climbs and descents end, and altitudes that no flight explains."""

from __future__ import annotations

import numpy as np
import pytest
from flown import Pilot, enriched, phases
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.core.enrich.smooth import excursions


def test_a_climb_ends_within_two_seconds_of_where_its_rate_passes_500_fpm() -> None:
    for every_s in (1.0, 2.0, 5.0):
        pilot = Pilot(every_s=every_s).taxi(60).depart(3_000).to(35_000, 2_000, 450).fly(600).to(3_000, -1_500).land()
        rows = pilot.rows
        said = phases(enriched(rows))
        level = next(
            at for at, row in enumerate(rows) if row["altitude_ft"] and row["altitude_ft"] > 34_000 and row["rate_fpm"] <= 500
        )
        assert abs(said.index("cruise") - level) * every_s <= 2.0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_few_seconds_of_noise_on_the_rate_move_an_edge_by_no_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = Pilot(every_s=1.0).taxi(60).depart(3_000).to(20_000, 2_000, 400).fly(400).to(3_000, -1_500).land().rows
    want = phases(enriched(rows)).index("cruise")
    noisy = [row if row["on_ground"] else row | {"rate_fpm": row["rate_fpm"] + rng.normal(0, 120)} for row in rows]
    assert abs(phases(enriched(noisy)).index("cruise") - want) <= 4


@pytest.mark.parametrize(
    ("length", "step", "found"), [(3, 5_000.0, True), (3, -5_000.0, True), (3, 300.0, False), (60, 5_000.0, False)]
)
def test_short_stretches_that_nothing_can_fly_are_excursions(length: int, step: float, found: bool) -> None:  # noqa: FBT001
    altitude = np.full(120, 20_000.0)
    altitude[30 : 30 + length] += step
    mask = excursions(altitude, np.arange(120) * 1_000, np.zeros(120, np.int64))
    assert mask.tolist() == [found and 30 <= at < 30 + length for at in range(120)]


def test_an_excursion_is_of_one_flight() -> None:
    altitude = np.array([1_000.0, 1_000.0, 9_000.0, 9_000.0, 1_000.0])
    assert not excursions(altitude, np.arange(5) * 1_000, np.array([0, 0, 1, 1, 2])).any()
