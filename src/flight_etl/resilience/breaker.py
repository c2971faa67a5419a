"""A circuit breaker that neither serialises the calls it guards nor stampedes when it tries again.

The lock is held for changes of state only, never while a guarded call runs. Half-open, exactly one call is the probe, however
many threads ask; the others are refused until the probe has ended.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from flight_etl.errors import ErrorType, SettingsError, Unavailable
from flight_etl.resilience.classify import ErrorClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["CircuitBreaker", "CircuitBreakerConfig", "CircuitOpen", "State"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

# A refusal, a bad body or a bug says nothing about the health of the service.
_COUNTED = frozenset({ErrorType.TRANSIENT, ErrorType.THROTTLING, ErrorType.RESOURCE, ErrorType.UNKNOWN})


class State(StrEnum):
    """Closed: calls pass. Open: calls are refused. Half-open: one probe decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpen(Unavailable):
    """The breaker refuses the call; `retry_after_s` says when it will let a probe through."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(f"circuit breaker {name!r} is open: too many failures; next probe in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitBreakerConfig:
    """When to open, and when to try again."""

    failure_threshold: int = 5  # counted failures in a row
    recovery_timeout: float = 30.0  # s in the open state before one probe is let through
    success_threshold: int = 1  # successful probes in a row that close it again

    def __post_init__(self) -> None:
        if self.failure_threshold < 1 or self.success_threshold < 1 or self.recovery_timeout < 0:
            raise SettingsError(f"{self}: thresholds are at least 1, recovery_timeout is at least 0 s")


class CircuitBreaker:
    """Guards calls to one service. Safe for threads; use one instance per service.

    `call(f, ...)` and `with breaker.guard():` are the same thing; coroutines use the latter around their `await`.
    """

    def __init__(
        self,
        name: str = "default",
        config: CircuitBreakerConfig | None = None,
        *,
        classifier: ErrorClassifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.config = config or CircuitBreakerConfig()
        self._classifier = classifier or ErrorClassifier()
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failures = 0  # in a row, while closed
        self._successes = 0  # of probes in a row, while half-open
        self._opened_at = 0.0
        self._probing = False
        self.times_opened = 0

    @property
    def state(self) -> State:
        """The state as a caller would meet it now: an open breaker whose time has come counts as half-open."""
        with self._lock:
            return State.HALF_OPEN if self._state is State.OPEN and self._wait_s() <= 0 else self._state

    @property
    def wait_s(self) -> float:
        """Seconds until it will let a call through: 0 where it does so now."""
        with self._lock:
            return max(self._wait_s(), 0.0) if self._state is State.OPEN else 0.0

    def call(self, function: Callable[..., T], /, *args: object, **kwargs: object) -> T:
        """Run `function` unless the breaker is open, then raise CircuitOpen."""
        with self.guard():
            return function(*args, **kwargs)

    def guard(self) -> AbstractContextManager[None]:
        """Return a context manager around one guarded call."""
        from contextlib import contextmanager

        @contextmanager
        def guarded() -> Iterator[None]:
            probe = self._admit()
            try:
                yield
            except BaseException as error:
                self._ended(error, probe=probe)
                raise
            self._ended(None, probe=probe)

        return guarded()

    def _wait_s(self) -> float:
        return self._opened_at + self.config.recovery_timeout - self._clock()

    def _admit(self) -> bool:
        """Let a call through or raise CircuitOpen; True when the call is the probe."""
        with self._lock:
            if self._state is State.CLOSED:
                return False
            wait = self._wait_s()
            if self._state is State.OPEN and wait > 0:
                raise CircuitOpen(self.name, wait)
            if self._probing:
                raise CircuitOpen(self.name, 0.0)
            self._state = State.HALF_OPEN
            self._probing = True
            return True

    def _ended(self, error: BaseException | None, *, probe: bool) -> None:
        counted = isinstance(error, Exception) and self._classifier.classify_error(error) in _COUNTED
        opened = closed = False
        with self._lock:
            if probe:
                self._probing = False
                opened = counted
                if error is None or (isinstance(error, Exception) and not counted):  # it answered, if only with a refusal
                    self._successes += 1
                    closed = self._successes >= self.config.success_threshold
            elif self._state is State.CLOSED:  # a call from before the opening says nothing about now
                self._failures = self._failures + 1 if counted else 0 if error is None else self._failures
                opened = self._failures >= self.config.failure_threshold
            if opened:
                self._state, self._opened_at = State.OPEN, self._clock()
                self._failures = self._successes = 0
                self.times_opened += 1
            elif closed:
                self._state, self._failures, self._successes = State.CLOSED, 0, 0
        if opened:
            logger.error("Circuit breaker '%s' opened due to failures", self.name)
        elif closed:
            logger.info("Circuit breaker '%s' closed", self.name)
