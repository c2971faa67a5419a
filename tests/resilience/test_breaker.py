"""The breaker opens, probes once, closes again, and never stands in the way of parallel calls."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flight_etl.errors import InputError, NotFound, SettingsError, Unavailable
from flight_etl.resilience.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen, State

THREADS = 16


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(error: Exception) -> None:
    raise error


def broken(clock: Clock, **config: float) -> CircuitBreaker:
    """Return a breaker that has just opened."""
    breaker = CircuitBreaker("s3", CircuitBreakerConfig(failure_threshold=2, **config), clock=clock)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Unavailable):
            breaker.call(fail, Unavailable("x"))
    assert breaker.state is State.OPEN
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        breaker = broken(Clock())
    (line,) = [record for record in caplog.records if record.getMessage() == "Circuit breaker 's3' opened due to failures"]
    assert line.levelname == "ERROR"
    assert breaker.times_opened == 1
    with pytest.raises(CircuitOpen, match="'s3' is open"):
        breaker.call(lambda: None)


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = CircuitBreaker(config=CircuitBreakerConfig(failure_threshold=2))
    for _ in range(5):
        with pytest.raises(Unavailable):
            breaker.call(fail, Unavailable("x"))
        breaker.call(lambda: None)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("error", [NotFound("x"), InputError("x")])
def test_refusals_and_bad_data_do_not_count(error: Exception) -> None:
    breaker = CircuitBreaker(config=CircuitBreakerConfig(failure_threshold=1))
    for _ in range(3):
        with pytest.raises(type(error)):
            breaker.call(fail, error)
    assert breaker.state is State.CLOSED


def test_half_open_lets_exactly_one_of_sixteen_threads_probe() -> None:
    clock = Clock()
    breaker = broken(clock, recovery_timeout=30.0)
    clock.now += 31
    probing, release = threading.Event(), threading.Event()
    calls: list[int] = []

    def probe() -> None:
        calls.append(1)
        probing.set()
        release.wait(10)

    def attempt(_: int) -> bool:
        try:
            breaker.call(probe)
        except CircuitOpen:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        first = pool.submit(attempt, 0)
        assert probing.wait(10)
        refused = list(pool.map(attempt, range(THREADS - 1)))
        release.set()
        assert first.result()
    assert calls == [1]
    assert not any(refused)
    assert breaker.state is State.CLOSED


def test_guarded_calls_run_side_by_side() -> None:
    breaker = CircuitBreaker()
    together = threading.Barrier(THREADS, timeout=10)  # breaks unless all are inside at once
    with ThreadPoolExecutor(THREADS) as pool:
        assert len(list(pool.map(lambda _: breaker.call(together.wait), range(THREADS)))) == THREADS


def test_a_failed_probe_opens_it_again_for_the_whole_timeout() -> None:
    clock = Clock()
    breaker = broken(clock, recovery_timeout=30.0)
    clock.now += 31
    assert breaker.state is State.HALF_OPEN
    with pytest.raises(Unavailable):
        breaker.call(fail, Unavailable("still"))
    with pytest.raises(CircuitOpen, match=r"30\.0 s"):
        breaker.call(lambda: None)


def test_a_probe_that_is_refused_by_a_living_service_closes_it() -> None:
    clock = Clock()
    breaker = broken(clock, recovery_timeout=1.0)
    clock.now += 2
    with pytest.raises(NotFound):
        breaker.call(fail, NotFound("x"))
    assert breaker.state is State.CLOSED


def test_several_probes_may_be_asked_for() -> None:
    clock = Clock()
    breaker = broken(clock, recovery_timeout=1.0, success_threshold=2)
    clock.now += 2
    states = []
    for _ in range(2):
        breaker.call(lambda: None)
        states.append(breaker.state)
    assert states == [State.HALF_OPEN, State.CLOSED]


def test_an_interrupted_probe_leaves_the_way_free_for_the_next() -> None:
    clock = Clock()
    breaker = broken(clock, recovery_timeout=1.0)
    clock.now += 2
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    breaker.call(lambda: None)
    assert breaker.state is State.CLOSED


def test_a_call_from_before_the_opening_does_not_decide_the_probe() -> None:
    clock = Clock()
    breaker = CircuitBreaker(config=CircuitBreakerConfig(failure_threshold=1, recovery_timeout=1.0), clock=clock)
    late = breaker.guard()
    late.__enter__()
    with pytest.raises(Unavailable):
        breaker.call(fail, Unavailable("x"))
    late.__exit__(None, None, None)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("wrong", [{"failure_threshold": 0}, {"recovery_timeout": -1.0}, {"success_threshold": 0}])
def test_senseless_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="at least"):
        CircuitBreakerConfig(**wrong)  # type: ignore[arg-type]
