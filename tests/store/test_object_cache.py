"""Bytes of objects kept near: the right version, within bounds, and gone with the process."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults import reset, slow_down
from flight_etl.errors import StoreError
from flight_etl.store.object_cache import HEAD_BYTES, ObjectCache
from flight_etl.store.object_failures import Conflict
from flight_etl.store.object_source import ObjectSource
from flight_etl.store.objects import Bucket, ObjectInfo, Pool
from flight_etl.store.places import ObjectUrl

if TYPE_CHECKING:
    from pathlib import Path

    from servers import S3

DATA = random.Random(5).randbytes(9 << 20)
MB = 1 << 20


def info(key: str, size: int = MB, *, etag: str | None = "e") -> ObjectInfo:
    return ObjectInfo(url=ObjectUrl("s3", "b", key), size_bytes=size, etag=etag)


def kept(cache: ObjectCache, key: str, size: int = MB) -> bool:
    return cache.fetch(info(key, size), iter([b"x" * size])) is not None


def there(cache: ObjectCache, key: str, size: int = MB) -> bool:
    return cache.open(info(key, size), expected=True) is not None


def cached(s3: S3, folder: Path, **options: int) -> tuple[ObjectCache, Bucket]:
    cache = ObjectCache(str(folder), **options)
    return cache, Pool(cache=cache).open(s3.url)[0]


def test_a_large_object_that_is_opened_again_and_again_is_fetched_once_more(s3: S3, tmp_path: Path) -> None:
    s3.put(a=DATA)
    cache, bucket = cached(s3, tmp_path)
    source = ObjectSource.find(bucket, "a")
    s3.faults.forget()
    for offset in (0, 0, 0, 5 * MB, 1, len(DATA), len(DATA) + 1, 0):
        assert b"".join(source.open(offset)) == DATA[offset:]
    assert s3.faults.calls() == {"GetObject": 4}  # the head, the rest, and, for the disk, the rest again once
    assert cache.counts()["disk"] == (5, 1)
    assert cache.disk_bytes == len(DATA)
    assert list(tmp_path.iterdir()) == []  # without a name


def test_windows_into_one_file_do_not_disturb_each_other(s3: S3, tmp_path: Path) -> None:
    s3.put(a=gzip.compress(DATA))
    _, bucket = cached(s3, tmp_path)
    source = ObjectSource.find(bucket, "a")
    for _ in range(3):
        b"".join(source.open())
    windows = [source.open(offset) for offset in (0, 1, 3 * MB)]
    turns = list(zip(*windows, strict=False))  # a block of each in turn
    for at, offset in enumerate((0, 1, 3 * MB)):
        found = b"".join(turn[at] for turn in turns)
        assert len(found) > 3 * MB
        assert DATA[offset:].startswith(found)


def test_what_was_overwritten_is_never_served(s3: S3, tmp_path: Path) -> None:
    cache, bucket = cached(s3, tmp_path)
    for content in (DATA, DATA[::-1], DATA):
        s3.put(a=content)
        source = ObjectSource.find(bucket, "a")
        for _ in range(4):
            assert b"".join(source.open()) == content
    assert cache.counts()["disk"][0] >= 3


def test_an_object_overwritten_before_it_was_fetched_is_a_conflict(s3: S3, tmp_path: Path) -> None:
    s3.put(a=DATA)
    cache, bucket = cached(s3, tmp_path)
    source = ObjectSource.find(bucket, "a")
    for _ in range(2):
        b"".join(source.open())
    s3.put(a=DATA[::-1])
    with pytest.raises(Conflict):
        b"".join(source.open())
    assert cache.disk_bytes == 0


def test_a_fetch_that_breaks_off_goes_on_and_one_that_fails_leaves_nothing(s3: S3, tmp_path: Path) -> None:
    s3.put(a=DATA)
    cache, bucket = cached(s3, tmp_path)
    source = ObjectSource.find(bucket, "a")
    for _ in range(2):
        b"".join(source.open())
    s3.faults.rule = lambda request: slow_down if request.method == "GET" else None
    with pytest.raises(StoreError):
        b"".join(source.open())
    assert cache.disk_bytes == 0
    s3.faults.forget()
    s3.faults.rule = lambda request: reset(MB) if request.method == "GET" and request.number % 2 else None
    assert b"".join(source.open()) == DATA
    assert cache.disk_bytes == len(DATA)


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path), most_bytes=3 * MB)
    assert all(kept(cache, key) for key in "abc")
    assert there(cache, "a")
    assert kept(cache, "d")
    assert [there(cache, key) for key in "abcd"] == [True, False, True, True]
    assert cache.disk_bytes == 3 * MB
    assert not kept(cache, "huge", 4 * MB)  # and lets go of nothing for it
    assert cache.disk_bytes == 3 * MB
    assert kept(cache, "whole", 3 * MB)
    assert [there(cache, key) for key in "acd"] == [False, False, False]


def test_who_reads_a_file_that_makes_room_reads_on(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path), most_bytes=MB)
    reading = cache.fetch(info("a"), iter([b"a" * MB]))
    assert reading is not None
    assert kept(cache, "b")
    assert reading.read(MB) == b"a" * MB
    reading.close()


def test_a_body_of_another_length_is_not_kept(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path))
    assert cache.fetch(info("a", 10), iter([b"short"])) is None
    assert (cache.disk_bytes, there(cache, "a", 10)) == (0, False)


def test_an_object_of_which_no_version_is_known_is_not_kept(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path))
    assert cache.fetch(info("a", etag=None), iter([b"x" * MB])) is None
    cache.keep_head(info("a", etag=None), b"x")
    assert cache.head(info("a", etag=None)) == b""


@pytest.mark.parametrize("changed", [{"etag": "f"}, {"version": "1"}, {"size_bytes": 9}, {"modified_ms": 5}])
def test_another_version_is_another_object(tmp_path: Path, changed: dict[str, object]) -> None:
    cache = ObjectCache(str(tmp_path))
    assert kept(cache, "a")
    cache.keep_head(info("a"), b"head")
    other = replace(info("a"), **changed)  # type: ignore[arg-type]
    assert cache.open(other, expected=True) is None
    assert cache.head(other) == b""


def test_heads_are_kept_for_a_few_objects_only(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path))
    for key in "abcdef":
        cache.keep_head(info(key), key.encode())
    assert [cache.head(info(key)) for key in "abcdef"] == [b"", b"", b"", b"", b"e", b"f"]
    assert cache.counts()["heads"] == (2, 4)


def test_a_disk_that_takes_nothing_costs_nothing_but_the_requests(s3: S3, tmp_path: Path) -> None:
    s3.put(a=DATA)
    _, bucket = cached(s3, tmp_path / "missing")
    source = ObjectSource.find(bucket, "a")
    for _ in range(4):
        assert b"".join(source.open()) == DATA


def test_threads_that_want_the_same_object_all_get_it(s3: S3, tmp_path: Path) -> None:
    s3.put(a=DATA)
    cache, bucket = cached(s3, tmp_path)
    source = ObjectSource.find(bucket, "a")
    for _ in range(2):
        b"".join(source.open())
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: b"".join(source.open()) == DATA, range(16)))
    assert cache.disk_bytes == len(DATA)


def test_small_objects_stay_in_memory(s3: S3, tmp_path: Path) -> None:
    s3.put(a=DATA[:HEAD_BYTES])
    cache, bucket = cached(s3, tmp_path)
    source = ObjectSource.find(bucket, "a")
    s3.faults.forget()
    for _ in range(5):
        assert b"".join(source.open()) == DATA[:HEAD_BYTES]
    assert (s3.faults.calls(), cache.disk_bytes) == ({"GetObject": 1}, 0)


def test_a_killed_process_leaves_nothing_behind(tmp_path: Path) -> None:
    code = f"""
from flight_etl.store.object_cache import ObjectCache
from flight_etl.store.objects import ObjectInfo
from flight_etl.store.places import ObjectUrl
def blocks():
    yield b"x" * 1000
    print("half", flush=True)
    import sys; sys.stdin.read()
cache = ObjectCache({str(tmp_path)!r})
whole = ObjectInfo(url=ObjectUrl("s3", "b", "whole"), size_bytes=4, etag="e")
assert cache.fetch(whole, iter([b"four"])) is not None
cache.fetch(ObjectInfo(url=ObjectUrl("s3", "b", "half"), size_bytes=2000, etag="e"), blocks())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        os.kill(process.pid, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []
