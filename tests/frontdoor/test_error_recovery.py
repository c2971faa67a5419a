"""The documented names of error_recovery work as they are written there, for functions and coroutines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import stamina
from error_recovery import (
    CircuitBreaker,
    CircuitBreakerConfig,
    DeadLetterConfig,
    ErrorClassifier,
    ErrorType,
    RetryConfig,
    resilient,
)

from flight_etl.errors import Unavailable
from flight_etl.resilience.breaker import CircuitOpen, State
from flight_etl.resilience.deadletter import DeadLetter
from flight_etl.runners.processor import Processor
from flight_etl.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _never_sleep() -> Iterator[None]:
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


class RateLimitExceeded(Exception):  # noqa: N818 - as a user's client may name it
    """Known to a subclass only."""


class Own(ErrorClassifier):
    def classify_custom_error(self, error: BaseException) -> ErrorType | None:
        return ErrorType.THROTTLING if isinstance(error, RateLimitExceeded) else None


def run(work: Callable[[], object], *, coroutine: bool, **options: object) -> int:
    """Run what fails, decorated, as a function or as a coroutine function; give the number of calls."""
    calls = 0

    def plain() -> object:
        nonlocal calls
        calls += 1
        return work()

    async def later() -> object:
        await asyncio.sleep(0)
        return plain()

    decorate = resilient(**options)  # type: ignore[arg-type]
    try:
        if coroutine:
            asyncio.run(decorate(later)())
        else:
            decorate(plain)()
    except Exception:  # noqa: BLE001 - what is asked is how often it was tried
        return calls
    return calls


def raising(error: Exception) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize(
    ("error", "calls"),
    [(Unavailable("x"), 3), (PermissionError("x"), 1), (ValueError("x"), 1), (MemoryError(), 3), (RuntimeError("x"), 2)],
)
def test_a_failure_is_tried_again_by_its_kind(error: Exception, calls: int, *, coroutine: bool) -> None:
    assert run(raising(error), coroutine=coroutine, max_attempts=3, use_circuit_breaker=True) == calls


@pytest.mark.parametrize("coroutine", [False, True])
def test_a_classifier_of_ones_own_decides_first(*, coroutine: bool) -> None:
    assert run(raising(RateLimitExceeded()), coroutine=coroutine, max_attempts=4, classifier=Own()) == 4
    assert run(raising(RateLimitExceeded()), coroutine=coroutine, max_attempts=4) == 2
    assert run(raising(OSError()), coroutine=coroutine, config=RetryConfig(max_attempts=2), classifier=Own()) == 2


def test_the_processor_asks_it_too(tmp_path: Path) -> None:
    own = Processor(Settings(), classifier=Own(), dead_letters=DeadLetterConfig(folder=str(tmp_path), max_attempts=2))
    own.letters.send(DeadLetter(bucket="b", key="k"))

    def work(_: DeadLetter) -> None:
        raise RateLimitExceeded

    assert own.process_dead_letters(max_records=1, work=work).parked == 1  # after the second failure
    (held,) = own.letters.list()
    assert (held.letter.error_type, held.letter.error_class) == ("throttling", "RateLimitExceeded")


def test_sixteen_coroutines_run_side_by_side_and_one_of_them_probes() -> None:
    now = 0.0
    breaker = CircuitBreaker("remote", CircuitBreakerConfig(failure_threshold=1, recovery_timeout=5.0), clock=lambda: now)
    inside = most = 0

    @resilient(max_attempts=1, breaker=breaker)
    async def work(error: Exception | None = None) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        if error is not None:
            raise error

    async def all_at_once() -> list[BaseException | None]:
        return await asyncio.gather(*(work() for _ in range(16)), return_exceptions=True)

    assert asyncio.run(all_at_once()) == [None] * 16
    assert most == 16
    with pytest.raises(Unavailable):
        asyncio.run(work(Unavailable("down")))
    assert breaker.state is State.OPEN
    now, most = 6.0, 0
    answers = asyncio.run(all_at_once())
    assert (sum(answer is None for answer in answers), most) == (1, 1)
    assert sum(isinstance(answer, CircuitOpen) for answer in answers) == 15
    assert breaker.state is State.CLOSED


def test_a_cancelled_coroutine_says_nothing_about_the_service() -> None:
    breaker = CircuitBreaker("remote", CircuitBreakerConfig(failure_threshold=1))

    @resilient(max_attempts=3, breaker=breaker)
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(forever(), 0.01))
    assert breaker.state is State.CLOSED


def test_methods_may_be_decorated_and_keep_their_arguments() -> None:
    class Client:
        tries = 0

        @resilient(max_attempts=3)
        def fetch(self, key: str, *, size: int = 1) -> tuple[str, int]:
            self.tries += 1
            if self.tries < 3:
                raise Unavailable("x")
            return key, size

    client = Client()
    assert client.fetch("k", size=2) == ("k", 2)
    assert client.tries == 3
