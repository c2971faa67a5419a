"""Every kind of failure of an object store becomes the error of ours that says what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults import Fault, latency, reset
from flight_etl.errors import Denied, ErrorType, NotFound, SettingsError, StoreError, Throttled, Unavailable
from flight_etl.resilience.classify import classify_error
from flight_etl.store.object_failures import Conflict
from flight_etl.store.objects import Bucket, Pool, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import S3

OPERATIONS: dict[str, Callable[[Bucket], object]] = {
    "head": lambda bucket: bucket.head("a"),
    "read": lambda bucket: bucket.read("a"),
    "list": lambda bucket: list(bucket.list()),
    "put": lambda bucket: bucket.put("b", b"1"),
    "delete": lambda bucket: bucket.delete(["a"]),
    "upload": lambda bucket: bucket.upload("b", [b"1"]),
}
FAULTS = [
    (Fault("status", 503, "SlowDown"), Throttled, ErrorType.THROTTLING),
    (Fault("status", 429, "TooManyRequests"), Throttled, ErrorType.THROTTLING),
    (Fault("status", 500, "InternalError"), Unavailable, ErrorType.TRANSIENT),
    (Fault("status", 502, ""), Unavailable, ErrorType.TRANSIENT),
    (Fault("status", 507, ""), Unavailable, ErrorType.TRANSIENT),
    (Fault("status", 408, "RequestTimeout"), Unavailable, ErrorType.TRANSIENT),
    (Fault("status", 401, "Unauthorized"), Denied, ErrorType.PERMANENT),
    (Fault("status", 403, "AccessDenied"), Denied, ErrorType.PERMANENT),
    (Fault("status", 404, "NoSuchBucket"), NotFound, ErrorType.PERMANENT),
    (Fault("status", 412, "PreconditionFailed"), Conflict, ErrorType.PERMANENT),
    (reset(0), Unavailable, ErrorType.TRANSIENT),
]


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr("flight_etl.store.objects.PART_RETRIES", 0)
    s3.put(a=b"x")
    found: Bucket = s3.bucket()
    return found


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("fault", "kind", "type_"), FAULTS, ids=lambda value: getattr(value, "code", "") or str(value))
def test_each_failure_is_told_apart_in_each_operation(
    s3: S3, bucket: Bucket, operation: str, fault: Fault, kind: type[StoreError], type_: ErrorType
) -> None:
    s3.faults.forget()
    s3.faults.rule = lambda _: fault
    with pytest.raises(kind) as told:
        OPERATIONS[operation](bucket)
    assert type(told.value) is kind
    assert classify_error(told.value) is type_
    assert told.value.__cause__ is not None
    assert str(told.value).startswith(f"{s3.url}/")
    assert len(str(told.value)) < 300
    assert len(s3.faults.requests) == 1  # nothing below us tries again


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        ("ExpiredToken", Denied, "token has expired"),
        ("InvalidAccessKeyId", Denied, "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", Denied, "AWS_SECRET_ACCESS_KEY"),
        ("InvalidObjectState", Denied, "archived"),
        ("RequestTimeout", Unavailable, "try again"),
        ("BadDigest", Unavailable, "try again"),
        ("OperationAborted", Unavailable, "try again"),
        ("ConditionalRequestConflict", Conflict, "somebody else"),
        ("SomethingNew", StoreError, "SomethingNew"),
    ],
)
def test_a_code_says_more_than_its_status(s3: S3, bucket: Bucket, code: str, kind: type[StoreError], advice: str) -> None:
    status = {"OperationAborted": 409, "ConditionalRequestConflict": 409, "InvalidObjectState": 403, "SignatureDoesNotMatch": 403}
    s3.faults.rule = lambda _: Fault("status", status.get(code, 400), code)
    with pytest.raises(StoreError, match=advice) as told:
        bucket.read("a")
    assert type(told.value) is kind


def test_a_server_that_says_nothing_is_given_up(s3: S3) -> None:
    s3.put(a=b"x")
    bucket = Pool(timeouts=Timeouts(idle_s=0.3)).open(s3.url)[0]
    s3.faults.rule = lambda _: latency(1)
    with pytest.raises(Unavailable, match="did not answer"):
        bucket.head("a")


def test_a_server_that_is_not_there_is_unavailable(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        s3.bucket().head("a")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
def test_the_endpoint_comes_from_the_environment(s3: S3, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    url = s3.faults.url
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(name, url)
    s3.put(a=b"x")
    assert s3.bucket().read("a")[0] == b"x"


def test_without_credentials_we_are_told_what_to_set(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine that is none of Amazon's: the address that would give its role is not there.
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    bucket = s3.bucket()
    with pytest.raises(Denied, match="AWS_ACCESS_KEY_ID"):
        bucket.head("a")


def test_without_the_client_library_we_are_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(SettingsError, match=r"pip install 'flight-etl\[aws\]'"):
        Pool().open("s3://bucket/key")
