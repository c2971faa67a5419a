"""Trying again goes by the kind of failure and ends before the deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import stamina

from flight_etl.errors import ErrorType, InputError, SettingsError, Throttled, Unavailable
from flight_etl.resilience.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen
from flight_etl.resilience.retry import RetryConfig, resilient, retry_after_s, wait_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST = 0.999_999


@pytest.fixture(autouse=True)
def _never_sleep() -> Iterator[None]:
    """Keep the number of attempts, drop the waits."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    calls: list[int] = []

    def function() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "done"

    return function, calls


def test_a_transient_failure_is_tried_again_until_it_succeeds() -> None:
    function, calls = failing(2, Unavailable("x"))
    assert resilient(max_attempts=3)(function)() == "done"
    assert len(calls) == 3


def test_the_last_error_comes_out_as_it_is_when_attempts_run_out() -> None:
    function, calls = failing(9, Unavailable("the very one"))
    with pytest.raises(Unavailable, match="the very one"):
        resilient(max_attempts=3, use_circuit_breaker=False)(function)()
    assert len(calls) == 3


@pytest.mark.parametrize("error", [InputError("x"), PermissionError("x")])
def test_what_cannot_get_better_is_not_tried_again(error: Exception) -> None:
    function, calls = failing(9, error)
    with pytest.raises(type(error)):
        resilient(max_attempts=5)(function)()
    assert len(calls) == 1


def test_what_is_not_understood_is_tried_once_more_only() -> None:
    function, calls = failing(9, RuntimeError("x"))
    with pytest.raises(RuntimeError):
        resilient(max_attempts=5)(function)()
    assert len(calls) == 2


def test_before_another_try_with_too_little_memory_the_work_is_made_smaller() -> None:
    function, _ = failing(2, MemoryError())
    made_smaller: list[int] = []
    assert resilient(max_attempts=3, on_resource=lambda: made_smaller.append(1))(function)() == "done"
    assert len(made_smaller) == 2


def test_coroutines_are_retried_alike() -> None:
    function, calls = failing(2, Throttled("x"))

    @resilient(max_attempts=3)
    async def work() -> str:
        await asyncio.sleep(0)
        return function()

    assert asyncio.run(work()) == "done"
    assert len(calls) == 3


def test_an_open_breaker_is_not_hammered() -> None:
    breaker = CircuitBreaker(config=CircuitBreakerConfig(failure_threshold=2))
    function, calls = failing(9, Unavailable("x"))
    with pytest.raises(CircuitOpen):
        resilient(max_attempts=9, breaker=breaker)(function)()
    assert len(calls) == 2


def test_waits_grow_exponentially_up_to_the_ceiling_and_jitter_fully() -> None:
    config = RetryConfig(max_attempts=9, base_delay=1.0, max_delay=8.0, random=lambda: LARGEST)
    waits = [wait_s(ErrorType.TRANSIENT, n, config) for n in range(1, 7)]
    assert waits == pytest.approx([1, 2, 4, 8, 8, 8], rel=1e-5)
    lowest = RetryConfig(max_attempts=9, base_delay=1.0, random=lambda: 0.0)
    assert wait_s(ErrorType.TRANSIENT, 5, lowest) == 0.0


def test_throttling_waits_longer_and_resources_linearly() -> None:
    config = RetryConfig(max_attempts=9, random=lambda: LARGEST)
    throttled, transient = (wait_s(kind, 1, config) for kind in (ErrorType.THROTTLING, ErrorType.TRANSIENT))
    assert throttled is not None
    assert transient is not None
    assert throttled > 2 * transient
    assert [wait_s(ErrorType.RESOURCE, n, config) for n in (1, 2, 3)] == [0.5, 1.0, 1.5]


def test_no_wait_outlives_the_deadline() -> None:
    config = RetryConfig(max_attempts=9, base_delay=4.0, reserve_s=1.0, remaining_s=lambda: 3.0, random=lambda: LARGEST)
    assert wait_s(ErrorType.TRANSIENT, 1, config) is None
    function, calls = failing(9, Unavailable("x"))
    with pytest.raises(Unavailable):
        resilient(config=config)(function)()
    assert len(calls) == 1


def test_the_decorated_function_keeps_its_name_and_shows_its_breaker() -> None:
    @resilient()
    def work() -> None:
        """Do it."""

    assert work.__name__ == "work"
    assert isinstance(work.circuit_breaker, CircuitBreaker)  # type: ignore[attr-defined]


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(SettingsError):
        RetryConfig(max_attempts=0)


@pytest.mark.parametrize(("asked", "waited"), [(None, 0.0), (3.0, 3.0), (500.0, 20.0)])
def test_a_service_that_asks_for_a_while_is_given_it_up_to_the_longest_wait(asked: float | None, waited: float) -> None:
    config = RetryConfig(max_attempts=3, random=lambda: 0.0, max_delay=20.0)
    assert wait_s(ErrorType.THROTTLING, 1, config, asked_s=asked) == waited


def test_what_a_service_asks_for_beyond_the_deadline_ends_the_attempts() -> None:
    config = RetryConfig(max_attempts=3, random=lambda: 0.0, remaining_s=lambda: 3.5, reserve_s=1.0)
    assert wait_s(ErrorType.THROTTLING, 1, config, asked_s=2.0) == 2.0
    assert wait_s(ErrorType.THROTTLING, 1, config, asked_s=3.0) is None


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None), ("-1", None)])
def test_retry_after_is_read_from_an_answer(header: str, seconds: float | None) -> None:
    error = Unavailable("x")
    assert retry_after_s(error) is None
    error.response = {"ResponseMetadata": {"HTTPHeaders": {"retry-after": header}}}  # type: ignore[attr-defined]
    assert retry_after_s(error) == seconds
