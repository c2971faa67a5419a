"""Retry by the kind of a failure, circuit breaker, classification, dead letters."""

from flight_etl.errors import ErrorType
from flight_etl.resilience.breaker import CircuitBreaker, CircuitBreakerConfig
from flight_etl.resilience.classify import ErrorClassifier
from flight_etl.resilience.deadletter import DeadLetterConfig
from flight_etl.resilience.retry import RetryConfig, resilient

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "DeadLetterConfig",
    "ErrorClassifier",
    "ErrorType",
    "RetryConfig",
    "resilient",
]
