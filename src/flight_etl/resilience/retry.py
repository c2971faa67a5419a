"""Trying again: how often and how long, by the kind of failure, within the caller's deadline. The one retry layer.

transient    exponential back-off with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015)
throttling   the same with a longer base
resource     linear, after `on_resource` has made the work smaller
unknown      as transient, but once
data quality, permanent   not at all
"""

from __future__ import annotations

import functools
import inspect
import random
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flight_etl.errors import ErrorType, SettingsError
from flight_etl.resilience.breaker import CircuitBreaker, CircuitOpen
from flight_etl.resilience.classify import ErrorClassifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["RetryConfig", "resilient", "retry_after_s", "wait_s"]

F = TypeVar("F", bound="Callable[..., Any]")

_NEVER = frozenset({ErrorType.DATA_QUALITY, ErrorType.PERMANENT})


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryConfig:
    """How often and how long to try. `remaining_s` gives the seconds until the caller's deadline, None for no deadline."""

    max_attempts: int = 3  # calls in all, the first included
    base_delay: float = 0.2  # s, transient
    throttle_delay: float = 1.0  # s, throttling
    resource_delay: float = 0.5  # s per attempt made, resource
    max_delay: float = 20.0  # s, ceiling of a single wait
    reserve_s: float = 1.0  # s that must be left after a wait
    remaining_s: Callable[[], float] | None = None
    random: Callable[[], float] = field(default=random.random)  # 0 <= x < 1; a test may fix it

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or min(self.base_delay, self.throttle_delay, self.resource_delay, self.max_delay) < 0:
            raise SettingsError(f"max_attempts={self.max_attempts} must be at least 1, and no delay may be negative")


def retry_after_s(error: BaseException) -> float | None:
    """Seconds that a service asked us to wait, from the Retry-After of an answer in the form of botocore's ClientError.

    A date there is not read. Errors of object stores never carry it: their client keeps status and body of an answer only.
    """
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    asked = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
    return float(asked) if asked.isdecimal() else None


def wait_s(kind: ErrorType, attempt: int, config: RetryConfig, *, asked_s: float | None = None) -> float | None:
    """Seconds to wait after failed attempt number `attempt` (from 1), or None when it must not be tried again.

    At least the `asked_s` for which the service asked, up to `max_delay`.
    """
    if kind in _NEVER or attempt >= config.max_attempts or (kind is ErrorType.UNKNOWN and attempt > 1):
        return None
    if kind is ErrorType.RESOURCE:
        wait = min(config.resource_delay * attempt, config.max_delay)
    else:
        base = config.throttle_delay if kind is ErrorType.THROTTLING else config.base_delay
        wait = config.random() * min(base * 2.0 ** (attempt - 1), config.max_delay)
    wait = max(wait, min(asked_s or 0.0, config.max_delay))
    if config.remaining_s is not None and wait + config.reserve_s > config.remaining_s():
        return None
    return wait


class _Decision:
    """Stamina's back-off hook for one call: says for each failure whether to go on, and after how long."""

    def __init__(self, config: RetryConfig, classifier: ErrorClassifier, on_resource: Callable[[], None] | None) -> None:
        self._config = config
        self._classifier = classifier
        self._on_resource = on_resource
        self._attempt = 0

    def __call__(self, error: BaseException) -> bool | float:
        self._attempt += 1
        if isinstance(error, CircuitOpen) or not isinstance(error, Exception):  # stamina asks about interruptions too
            return False
        kind = self._classifier.classify_error(error)
        wait = wait_s(kind, self._attempt, self._config, asked_s=retry_after_s(error))
        if wait is None:
            return False
        if kind is ErrorType.RESOURCE and self._on_resource is not None:
            self._on_resource()
        return wait


def resilient(
    max_attempts: int | None = None,
    *,
    use_circuit_breaker: bool = True,
    breaker: CircuitBreaker | None = None,
    config: RetryConfig | None = None,
    classifier: ErrorClassifier | None = None,
    on_resource: Callable[[], None] | None = None,
) -> Callable[[F], F]:
    """Decorate a function or coroutine function: retried by the kind of its failures, guarded by a circuit breaker.

    Without `breaker`, each decorated function has one of its own, named after it (as attribute `circuit_breaker`). Between
    attempts `on_resource` may make the work smaller. The last error is raised as it is.
    """
    chosen = config or RetryConfig()
    if max_attempts is not None:
        chosen = replace(chosen, max_attempts=max_attempts)
    judge = classifier or ErrorClassifier()

    def decorate(function: F) -> F:
        own = breaker or (CircuitBreaker(function.__qualname__, classifier=judge) if use_circuit_breaker else None)
        wrapper = _async_wrapper if inspect.iscoroutinefunction(function) else _sync_wrapper
        wrapped = functools.wraps(function)(wrapper(function, own, lambda: _Decision(chosen, judge, on_resource), chosen))
        wrapped.circuit_breaker = own  # type: ignore[attr-defined]
        return cast("F", wrapped)

    return decorate


def _guard(breaker: CircuitBreaker | None) -> AbstractContextManager[None]:
    return breaker.guard() if breaker is not None else nullcontext()


def _sync_wrapper(
    function: Callable[..., Any], breaker: CircuitBreaker | None, decision: Callable[[], _Decision], config: RetryConfig
) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        import stamina

        for attempt in stamina.retry_context(on=decision(), attempts=config.max_attempts, timeout=None):
            with attempt, _guard(breaker):
                return function(*args, **kwargs)
        raise AssertionError("stamina ends by returning or raising")

    return call


def _async_wrapper(
    function: Callable[..., Any], breaker: CircuitBreaker | None, decision: Callable[[], _Decision], config: RetryConfig
) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        import stamina

        async for attempt in stamina.retry_context(on=decision(), attempts=config.max_attempts, timeout=None):
            with attempt, _guard(breaker):
                return await function(*args, **kwargs)
        raise AssertionError("stamina ends by returning or raising")

    return call
