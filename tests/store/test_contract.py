"""What every kind of store promises, asked of each: local folders, memory, and S3 servers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from flight_etl.errors import ErrorType, NotFound, SettingsError, StoreError
from flight_etl.resilience.classify import classify_error
from flight_etl.store.object_failures import Conflict, Unaddressable
from flight_etl.store.objects import PART_BYTES, Bucket, Pool
from flight_etl.store.places import ObjectUrl
from servers import SERVERS, fresh_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flight_etl.store.objects import ObjectInfo
    from servers import S3

KEYS = ["plain.json", "a b+c=1%20&d.json", "ä/ö ü.json", "x[1]*?.json", "deep/er/than/one.json", "😀", "a%2Fb", "~'\"()!#$,;:@"]


@pytest.fixture(params=["local", "memory", *SERVERS])
def kind(request: pytest.FixtureRequest) -> str:
    chosen = request.param
    assert isinstance(chosen, str)
    return chosen


@pytest.fixture
def remote(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3 | None:
    """A fresh bucket of a server, where the store is one."""
    return None if kind in {"local", "memory"} else fresh_bucket(request.getfixturevalue(f"{kind}_server"), monkeypatch)


@pytest.fixture
def bucket(kind: str, remote: S3 | None, tmp_path: Path) -> Bucket:
    if remote is not None:
        return remote.bucket()
    return Pool().open(f"file://{tmp_path}/bucket" if kind == "local" else "memory://bucket")[0]


@pytest.fixture
def conditional(kind: str) -> None:
    """The file system knows no "replace if it is still this one", and keeps no metadata."""
    if kind == "local":
        pytest.skip("not on local folders")


@pytest.mark.parametrize("key", KEYS)
def test_what_was_put_is_read_back_under_exactly_its_key(bucket: Bucket, key: str) -> None:
    bucket.put(key, b"some bytes")
    data, info = bucket.read(key)
    assert (data, info.key, info.size_bytes) == (b"some bytes", key, 10)
    assert [one.key for one in bucket.list()] == [key]


def test_an_object_shows_size_etag_and_time(bucket: Bucket) -> None:
    bucket.put("a", b"12345")
    info = bucket.head("a")
    assert (info.size_bytes, bool(info.etag)) == (5, True)
    assert info.modified_ms is not None
    assert abs(info.modified_ms / 1000 - time.time()) < 3600
    listed = next(bucket.list())
    assert (listed.etag, listed.size_bytes) == (info.etag, 5)


@pytest.mark.usefixtures("conditional")
def test_metadata_travel_with_the_object(bucket: Bucket) -> None:
    bucket.put("a", b"1", metadata={"source-etag": "%22abc%22", "source-sequencer": "0055"})
    assert bucket.head("a").metadata == {"source-etag": "%22abc%22", "source-sequencer": "0055"}
    bucket.upload("b", [b"1"], metadata={"source-sequencer": "0056"})
    assert bucket.read("b")[1].metadata["source-sequencer"] == "0056"


def test_a_listing_has_all_below_a_folder_and_nothing_beside_it(bucket: Bucket) -> None:
    for key in ("a/1", "a/b/2", "ab/3", "a.json", "c"):
        bucket.put(key, b"x")
    assert sorted(info.key for info in bucket.list("a")) == ["a/1", "a/b/2"]
    assert sorted(info.key for info in bucket.list("a/")) == ["a/1", "a/b/2"]
    assert len(list(bucket.list())) == 5
    assert list(bucket.list("nothing")) == []


@pytest.mark.parametrize(
    ("begin", "end", "wanted"), [(0, None, b"0123456789"), (4, None, b"456789"), (2, 5, b"234"), (8, 99, b"89")]
)
def test_a_range_is_read(bucket: Bucket, begin: int, end: int | None, wanted: bytes) -> None:
    bucket.put("a", b"0123456789")
    assert b"".join(bucket.stream("a", begin, end, pinned=bucket.head("a"), block_bytes=3)) == wanted


def test_a_stream_stays_with_the_version_it_was_pinned_to(bucket: Bucket) -> None:
    bucket.put("a", b"old")
    pinned = bucket.head("a")
    bucket.put("a", b"newer")
    with pytest.raises(Conflict):
        bucket.stream("a", 0, pinned=pinned, block_bytes=3)


def test_create_only_writes_where_nothing_is(bucket: Bucket) -> None:
    bucket.put("a", b"first", if_absent=True)
    with pytest.raises(Conflict):
        bucket.put("a", b"second", if_absent=True)
    assert bucket.read("a")[0] == b"first"


def test_of_many_that_create_at_once_exactly_one_does(bucket: Bucket) -> None:
    def create(number: int) -> bool:
        try:
            bucket.put("a", str(number).encode(), if_absent=True)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


@pytest.mark.usefixtures("conditional")
def test_replace_only_replaces_what_was_looked_at(bucket: Bucket) -> None:
    first = bucket.put("a", b"first")
    second = bucket.put("a", b"second", if_match=first)
    with pytest.raises(Conflict):
        bucket.put("a", b"third", if_match=first)
    bucket.put("a", b"fourth", if_match=bucket.head("a"))
    assert second.etag != first.etag
    assert bucket.read("a")[0] == b"fourth"


@pytest.mark.usefixtures("conditional")
def test_replacing_what_is_gone_does_not_create_it(bucket: Bucket) -> None:
    first = bucket.put("a", b"first")
    bucket.delete(["a"])
    with pytest.raises((Conflict, NotFound)):
        bucket.put("a", b"second", if_match=first)


def test_a_file_system_says_that_it_cannot_replace_conditionally(tmp_path: Path) -> None:
    bucket = Pool().open(f"file://{tmp_path}")[0]
    first = bucket.put("a", b"first")
    with pytest.raises(StoreError):
        bucket.put("a", b"second", if_match=first)


def test_an_upload_in_parts_is_whole_and_unseen_before_its_end(bucket: Bucket) -> None:
    block = bytes(range(256)) * (PART_BYTES // 512)  # half a part
    seen: list[ObjectInfo] = []

    def blocks() -> Iterator[bytes]:
        for _ in range(5):
            yield block
        with ThreadPoolExecutor(1) as other:  # the client does not work inside itself
            seen.extend(other.submit(lambda: list(bucket.list())).result())

    bucket.upload("a", blocks())
    data, info = bucket.read("a")
    assert seen == []
    assert data == block * 5
    assert info.size_bytes == len(data)


def test_an_upload_that_fails_leaves_nothing(bucket: Bucket, remote: S3 | None, tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield bytes(PART_BYTES)
        yield bytes(PART_BYTES)
        raise InterruptedError

    with pytest.raises((InterruptedError, StoreError)):
        bucket.upload("a", blocks())
    assert list(bucket.list()) == []
    assert remote is None or remote.uploads() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_empty_object_is_an_object(bucket: Bucket) -> None:
    bucket.put("a", b"")
    bucket.upload("b", [])
    assert [(info.key, info.size_bytes) for info in sorted(bucket.list(), key=lambda info: info.key)] == [("a", 0), ("b", 0)]


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(bucket: Bucket) -> None:
    bucket.put("a", b"1")
    bucket.put("b", b"1")
    bucket.delete(["a", "b"])
    bucket.delete(["a"])
    assert list(bucket.list()) == []


def test_a_missing_object_is_not_found_and_named(bucket: Bucket) -> None:
    for look in (bucket.head, bucket.read):
        with pytest.raises(NotFound) as found:
            look("no/such.json")
        assert str(found.value).startswith(f"{bucket.url('no/such.json')}: ")
        assert classify_error(found.value) is ErrorType.PERMANENT
        assert found.value.__cause__ is not None


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "./a", "a\x01"])
def test_a_key_that_cannot_be_addressed_is_refused_and_never_another_one_taken(bucket: Bucket, key: str) -> None:
    for use in (bucket.head, bucket.read, lambda key: bucket.put(key, b""), lambda key: bucket.delete([key])):
        with pytest.raises(Unaddressable) as refused:
            use(key)
        assert classify_error(refused.value) is ErrorType.PERMANENT
    assert list(bucket.list()) == []


def test_a_bucket_is_opened_once_for_all_threads() -> None:
    pool = Pool()
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: id(pool.bucket(ObjectUrl.parse("s3://bucket/key"))), range(64)))
    assert len(found) == 1


@pytest.mark.parametrize("name", ["ftp://bucket/key", "s3://", "s3:///key", "https://host/key"])
def test_a_place_that_is_none_is_a_usage_error(name: str) -> None:
    with pytest.raises(SettingsError, match="is not permitted"):
        Pool().open(name)


def test_a_store_that_is_not_configured_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SettingsError, match=r"az://bucket cannot be opened.*Account"):
        Pool().open("az://bucket/key")


def test_google_and_azure_are_opened_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    for name in ("gs://bucket/key", "az://bucket/key", "abfss://bucket@account.dfs.core.windows.net/key", "s3a://bucket/key"):
        assert Pool().open(name)[1] == "key"
