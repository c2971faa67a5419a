"""Failures are told apart by type, code and errno."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import ssl

import pyarrow as pa
import pytest

from flight_etl.errors import (
    BalanceError,
    Denied,
    ErrorType,
    InputError,
    NotFound,
    SettingsError,
    StoreError,
    Throttled,
    Unavailable,
)
from flight_etl.resilience.breaker import CircuitOpen
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
        (ssl.SSLCertVerificationError("x"), ErrorType.PERMANENT),
        (ssl.SSLEOFError(8, "x"), ErrorType.TRANSIENT),
        (socket.gaierror(socket.EAI_AGAIN, "x"), ErrorType.TRANSIENT),
        (http.client.RemoteDisconnected("x"), ErrorType.TRANSIENT),
        (http.client.IncompleteRead(b""), ErrorType.TRANSIENT),
        (CircuitOpen("s3", 1.0), ErrorType.TRANSIENT),
        (BalanceError("x"), ErrorType.PERMANENT),
        (pa.ArrowInvalid("x"), ErrorType.DATA_QUALITY),
        (pa.ArrowMemoryError("x"), ErrorType.RESOURCE),
        (ClientError("RequestTimeout", 400), ErrorType.TRANSIENT),
        (ClientError("ExpiredToken", 400), ErrorType.PERMANENT),
        (ClientError("KMS.DisabledException", 400), ErrorType.PERMANENT),
        (ClientError("InvalidObjectState", 403), ErrorType.PERMANENT),
        (ClientError("ServiceUnavailable", 503), ErrorType.TRANSIENT),
        (RuntimeError("SlowDown timeout throttled"), ErrorType.UNKNOWN),
    ],
)
def test_every_kind_of_failure_is_told_by_what_it_is(error: Exception, kind: ErrorType) -> None:
    assert classify_error(error) is kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, ErrorType.TRANSIENT) for number in (errno.ECONNREFUSED, errno.EPIPE, errno.ETIMEDOUT, errno.ENETUNREACH)),
        *((number, ErrorType.RESOURCE) for number in (errno.ENOMEM, errno.EDQUOT, errno.EMFILE)),
        *((number, ErrorType.PERMANENT) for number in (errno.ENOENT, errno.EROFS, errno.ENAMETOOLONG)),
        (errno.EDOM, ErrorType.UNKNOWN),
    ],
)
def test_errors_of_the_system_are_told_by_their_number(number: int, kind: ErrorType) -> None:
    assert classify_error(OSError(number, "x")) is kind


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
