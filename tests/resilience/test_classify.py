"""Failures are told apart by type, code and errno."""

from __future__ import annotations

import errno
import json

import pytest

from flight_etl.errors import Denied, ErrorType, InputError, NotFound, SettingsError, StoreError, Throttled, Unavailable
from flight_etl.resilience.classify import ErrorClassifier, classify_error


class ClientError(Exception):
    """What botocore raises, as far as classification looks at it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__("An error occurred (SlowDown AccessDenied): the text must not matter")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class ReadTimeoutError(Exception):
    """A class whose name alone tells."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("x"), ErrorType.DATA_QUALITY),
        (NotFound("x"), ErrorType.PERMANENT),
        (Denied("x"), ErrorType.PERMANENT),
        (SettingsError("x"), ErrorType.PERMANENT),
        (Throttled("x"), ErrorType.THROTTLING),
        (Unavailable("x"), ErrorType.TRANSIENT),
        (ClientError("SlowDown", 503), ErrorType.THROTTLING),
        (ClientError("InternalError", 500), ErrorType.TRANSIENT),
        (ClientError("AccessDenied", 403), ErrorType.PERMANENT),
        (ClientError("SomethingNew", 429), ErrorType.THROTTLING),
        (ClientError("SomethingNew", 502), ErrorType.TRANSIENT),
        (ClientError("SomethingNew", 599), ErrorType.TRANSIENT),
        (ClientError("SomethingNew", 418), ErrorType.PERMANENT),
        (OSError(errno.ECONNRESET, "x"), ErrorType.TRANSIENT),
        (OSError(errno.ENOSPC, "x"), ErrorType.RESOURCE),
        (OSError(errno.EACCES, "x"), ErrorType.PERMANENT),
        (ConnectionResetError(), ErrorType.TRANSIENT),
        (TimeoutError(), ErrorType.TRANSIENT),
        (ReadTimeoutError(), ErrorType.TRANSIENT),
        (MemoryError(), ErrorType.RESOURCE),
        (json.JSONDecodeError("x", "y", 0), ErrorType.DATA_QUALITY),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), ErrorType.DATA_QUALITY),
        (TypeError("a bug"), ErrorType.PERMANENT),
        (RuntimeError("SlowDown timeout throttled"), ErrorType.UNKNOWN),
    ],
)
def test_every_kind_of_failure_is_told_by_what_it_is(error: Exception, kind: ErrorType) -> None:
    assert classify_error(error) is kind


def test_an_error_without_a_kind_of_its_own_takes_that_of_its_cause() -> None:
    outer = StoreError("could not read")
    outer.__cause__ = OSError(errno.ETIMEDOUT, "x")
    assert classify_error(outer) is ErrorType.TRANSIENT


def test_a_subclass_is_asked_first() -> None:
    class Own(ErrorClassifier):
        def classify_custom_error(self, error: BaseException) -> ErrorType | None:
            return ErrorType.TRANSIENT if isinstance(error, KeyError) else None

    assert Own().classify_error(KeyError("x")) is ErrorType.TRANSIENT
    assert Own().classify_error(MemoryError()) is ErrorType.RESOURCE
