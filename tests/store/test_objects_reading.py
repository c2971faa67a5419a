"""Inputs in object stores: found, pinned, read in blocks, and taken up again where the network let go."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING

import pytest
import zstandard

from faults import Fault, denied, latency, reset, short, slow_down
from flight_etl.errors import Denied, InputError, NotFound, Throttled, Unavailable
from flight_etl.resilience.retry import RetryConfig, resilient
from flight_etl.store.inputs import expand
from flight_etl.store.object_cache import HEAD_BYTES
from flight_etl.store.object_failures import Conflict
from flight_etl.store.object_source import RESUMES, ObjectSource
from flight_etl.store.objects import Pool
from flight_etl.store.reading import BLOCK_BYTES, BytesSource

if TYPE_CHECKING:
    from pathlib import Path

    from servers import S3

DATA = random.Random(3).randbytes(9 << 20)
TEXT = b"".join(b'{"icao24":"%06x","time":%d}\n' % (n, n * 7) for n in range(200_000))  # 6 MB


def read(source: ObjectSource, offset: int = 0) -> bytes:
    return b"".join(source.open(offset))


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, len(DATA)])
def test_an_object_is_read_whole(s3: S3, size: int) -> None:
    s3.put(a=DATA[:size])
    source = ObjectSource.find(s3.bucket(), "a")
    assert (source.name, source.size_bytes) == (f"{s3.url}/a", size)
    assert read(source) == DATA[:size]
    assert source.consumed_bytes == size


@pytest.mark.parametrize("offset", [1, HEAD_BYTES - 1, HEAD_BYTES, 7 << 20, len(DATA) - 1, len(DATA), len(DATA) + 1])
def test_an_object_is_read_from_any_offset(s3: S3, offset: int) -> None:
    s3.put(a=DATA)
    assert read(ObjectSource.find(s3.bucket(), "a"), offset) == DATA[offset:]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compression_is_known_by_content_as_in_local_files(s3: S3, pack: object) -> None:
    assert callable(pack)
    stored = pack(TEXT)
    s3.put(a=stored, cut=stored[:-100])
    source = ObjectSource.find(s3.bucket(), "a")
    blocks = list(source.open())
    assert b"".join(blocks) == TEXT
    assert max(map(len, blocks)) <= BLOCK_BYTES
    assert read(source, 1_234_567) == TEXT[1_234_567:]
    with pytest.raises(InputError, match="cut short") as failed:
        read(ObjectSource.find(s3.bucket(), "cut"))
    with pytest.raises(InputError) as alike:
        b"".join(BytesSource(f"{s3.url}/cut", stored[:-100]).open())
    assert str(failed.value) == str(alike.value)


def test_a_small_object_costs_one_request_however_often_it_is_opened_in_a_row(s3: S3) -> None:
    s3.put(a=DATA[:1000])
    source = ObjectSource.find(s3.bucket(), "a")
    s3.faults.forget()
    for _ in range(2):
        assert read(source) == DATA[:1000]
    assert s3.faults.calls() == {"GetObject": 1}


def test_a_large_object_costs_two_requests_for_its_layout_and_its_rows(s3: S3) -> None:
    s3.put(a=DATA)
    source = ObjectSource.find(s3.bucket(), "a")
    s3.faults.forget()
    look = source.open()
    next(look)
    look.close()  # type: ignore[attr-defined]
    assert read(source) == DATA
    assert s3.faults.calls() == {"GetObject": 2}


def test_an_object_overwritten_since_it_was_found_is_noticed(s3: S3) -> None:
    s3.put(a=DATA)
    source = ObjectSource.find(s3.bucket(), "a")
    s3.put(a=b"other")
    with pytest.raises(Conflict, match=rf"^{s3.url}/a: .*somebody else has written it"):
        read(source)


def test_a_version_named_is_the_one_that_is_read(s3: S3) -> None:
    s3.client.put_bucket_versioning(Bucket=s3.name, VersioningConfiguration={"Status": "Enabled"})
    old = s3.client.put_object(Bucket=s3.name, Key="a", Body=DATA)["VersionId"]
    s3.put(a=b"newer")
    source = ObjectSource.find(s3.bucket(), "a", version=old)
    assert read(source) == DATA
    with pytest.raises(NotFound, match="no such object"):
        ObjectSource.find(s3.bucket(), "a", version="none")


@pytest.mark.parametrize("fault", [reset(0), reset(300_000), short(300_000), short(0), reset((3 << 20) + 5), short(4 << 20)])
def test_a_body_that_breaks_off_is_taken_up_where_it_broke(s3: S3, fault: Fault) -> None:
    s3.put(a=DATA)
    source = ObjectSource.find(s3.bucket(resilient(3, config=RetryConfig(base_delay=0))(lambda f: f())), "a")
    s3.faults.rule = lambda request: fault if request.method == "GET" and len(s3.faults.requests) in {2, 4} else None
    assert read(source) == DATA
    assert len(s3.faults.requests) <= 1 + 2 + 2


def test_a_body_that_always_breaks_off_is_given_up_after_a_bounded_number_of_requests(s3: S3) -> None:
    s3.put(a=DATA)
    source = ObjectSource.find(s3.bucket(), "a")
    s3.faults.forget()
    s3.faults.rule = lambda _: short(1000)
    with pytest.raises(Unavailable, match=rf"broke off {RESUMES + 1} times, last at byte 0 of {len(DATA)}"):
        read(source)
    assert s3.faults.calls() == {"GetObject": RESUMES + 1}


@pytest.mark.parametrize(("fault", "kind"), [(slow_down, Throttled), (denied, Denied), (reset(0), Unavailable)])
def test_a_request_refused_is_made_once_when_nobody_retries(s3: S3, fault: Fault, kind: type[Exception]) -> None:
    s3.put(a=DATA)
    source = ObjectSource.find(s3.bucket(), "a")
    s3.faults.forget()
    s3.faults.rule = lambda _: fault
    with pytest.raises(kind):
        read(source)
    assert len(s3.faults.requests) == 1


def test_a_slow_answer_is_waited_for(s3: S3) -> None:
    s3.put(a=b"x")
    s3.faults.rule = lambda _: latency(0.3)
    assert read(ObjectSource.find(s3.bucket(), "a")) == b"x"


def names(s3: S3, *inputs: str, output: str | None = None) -> list[str]:
    found = expand([f"{s3.url}/{one}" for one in inputs], output=output)
    assert not found.failed
    return [source.name.removeprefix(f"{s3.url}/") for source in found.sources]


@pytest.fixture
def filled(s3: S3) -> S3:
    keys = [
        "2024-01/a.json.gz",
        "2024-01/sub/b.json.gz",
        "2024-02/c.json",
        "2023/d.json.gz",
        "top.json",
        "we[i]rd*.json",
        "2024-01/.hid",
    ]
    s3.put(
        **dict.fromkeys(keys, b"{}"),
        **{"2024-01/": b"", "2024-02/empty.json": b"", "out/part-00000.parquet": b"x", "out/z.json": b"x"},
    )
    return s3


def test_a_prefix_names_all_below_it_without_folder_markers(filled: S3) -> None:
    assert names(filled, "2024-01/") == names(filled, "2024-01") == ["2024-01/a.json.gz", "2024-01/sub/b.json.gz"]
    assert names(filled, "2024-02/") == ["2024-02/c.json", "2024-02/empty.json"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("2024-*/**/*.json.gz", ["2024-01/a.json.gz", "2024-01/sub/b.json.gz"]),
        ("2024-*/*.json.gz", ["2024-01/a.json.gz"]),
        ("202[34]*/?.json*", ["2023/d.json.gz", "2024-01/a.json.gz", "2024-02/c.json"]),
        ("2024-0?", ["2024-01/a.json.gz", "2024-01/sub/b.json.gz", "2024-02/c.json", "2024-02/empty.json"]),
        ("**/sub/*", ["2024-01/sub/b.json.gz"]),
        ("*.json", ["top.json", "we[i]rd*.json"]),
        ("we[i]rd*.json", ["we[i]rd*.json"]),
        ("top.json", ["top.json"]),
    ],
)
def test_a_pattern_names_what_it_matches_as_in_folders(filled: S3, pattern: str, wanted: list[str]) -> None:
    assert names(filled, pattern) == wanted


def test_objects_in_the_output_and_of_our_own_making_are_left_out(filled: S3) -> None:
    assert "out/z.json" not in names(filled, "", output=f"{filled.url}/out")
    assert "out/z.json" in names(filled, "")
    assert "out/part-00000.parquet" not in names(filled, "")


def test_an_object_named_twice_is_read_once(filled: S3) -> None:
    assert names(filled, "top.json", "*.json").count("top.json") == 1


def test_what_cannot_be_found_is_named_with_the_reason(filled: S3) -> None:
    found = expand(
        [f"{filled.url}/none/", f"{filled.url}/none.json", "s3://no-such-bucket-at-all/x", f"{filled.url}/top.json"], output=None
    )
    assert [source.name for source in found.sources] == [f"{filled.url}/top.json"]
    assert [(name.rpartition("/")[2], type(error)) for name, error in found.failed] == [
        ("", NotFound), ("none.json", NotFound), ("x", NotFound)]  # fmt: skip
    assert "no such bucket" in str(found.failed[2][1])


@pytest.mark.slow
def test_a_listing_goes_on_over_many_pages_and_after_a_failed_one(s3: S3) -> None:
    for number in range(2005):
        s3.client.put_object(Bucket=s3.name, Key=f"{number:04d}.json", Body=b"1")
    s3.faults.forget()
    s3.faults.rule = lambda _: slow_down if len(s3.faults.requests) == 2 else None
    bucket = s3.bucket(resilient(3, config=RetryConfig(throttle_delay=0))(lambda f: f()))
    assert [info.key for info in bucket.list()] == [f"{number:04d}.json" for number in range(2005)]
    assert s3.faults.calls() == {"ListObjectsV2": 4}


def test_local_files_need_no_object_store_client(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "in.json").write_text("[]")
    code = (
        "import sys; from flight_etl.store.inputs import expand; import flight_etl.runners.local;"
        f"expand([{str(tmp_path)!r}], output=None); assert 'obstore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_memory_is_a_store_like_the_others() -> None:
    pool = Pool()
    pool.open("memory://here")[0].put("in/a.json", b"[]")
    assert [source.name for source in expand(["memory://here/in/"], output=None, pool=pool).sources] == [
        "memory://here/in/a.json"
    ]
