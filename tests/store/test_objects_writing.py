"""Outputs in object stores: unseen before they are complete, never half replaced, and of all events the newest wins."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from faults import denied, lost, slow_down, storm
from flight_etl.errors import Denied, FlightEtlError, SettingsError, StoreError, Throttled
from flight_etl.resilience.retry import RetryConfig, resilient
from flight_etl.store import object_output
from flight_etl.store.object_failures import Conflict
from flight_etl.store.object_newest import Mark, put_if_newer
from flight_etl.store.object_output import JOURNAL, publish_object, stage_objects
from flight_etl.store.objects import PART_BYTES, Bucket, Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults import Request
    from servers import S3

DONE = json.dumps(dict.fromkeys(("read", "written", "dropped", "inputs", "outputs", "version"), 0)).encode()
BIG = random.Random(5).randbytes(2 * PART_BYTES + 12_345)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in {**files, "_report.json": DONE}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def publish(s3: S3, files: dict[str, bytes], *, overwrite: bool = False, pool: Pool | None = None) -> None:
    with stage_objects(f"{s3.url}/out", overwrite=overwrite, scratch=None, pool=pool or Pool()) as staging:
        fill(staging.directory, files)
        staging.publish()


def output(s3: S3) -> dict[str, bytes]:
    return {key.removeprefix("out/"): data for key, data in s3.objects().items() if key.startswith("out/")}


def test_all_files_arrive_under_their_names_and_nothing_else_is_left(s3: S3) -> None:
    files = {"part-00000.parquet": BIG, "date=2024-01-01/part-00000.parquet": b"small", "_quarantine.ndjson": b"{}\n"}
    publish(s3, files)
    assert output(s3) == {**files, "_report.json": DONE}
    assert s3.uploads() == []


def test_nothing_is_seen_before_all_is_sent_and_the_report_comes_last(s3: S3) -> None:
    files = {f"part-{n:05d}.parquet": BIG for n in range(3)} | {"part-00003.parquet": b"small"}
    seen: list[tuple[str, int]] = []

    def look(request: Request) -> None:
        if request.operation in {"CompleteMultipartUpload", "PutObject"}:
            seen.append((request.path.rpartition("/")[2], len(s3.uploads())))

    s3.faults.rule = look
    publish(s3, files)
    order = [name for name, _ in seen]
    assert seen[0] == (JOURNAL, 3)  # three uploads are complete but for the last step
    assert set(order[1:-1]) == set(files)
    assert order[-1] == "_report.json"


def test_an_output_that_is_not_empty_is_refused(s3: S3) -> None:
    s3.put(**{"out/x": b"x"})
    with pytest.raises(SettingsError, match="--overwrite"):
        publish(s3, {})


def test_overwriting_takes_old_files_of_ours_away_and_keeps_all_others(s3: S3) -> None:
    publish(s3, {"part-00000.parquet": b"old", "part-00001.parquet": b"old", "_quarantine.ndjson": b"old"})
    s3.put(**{"out/notes.txt": b"mine", "outside.parquet": b"mine"})
    publish(s3, {"part-00000.parquet": b"new"}, overwrite=True)
    assert s3.objects() == {
        "out/part-00000.parquet": b"new", "out/_report.json": DONE, "out/notes.txt": b"mine", "outside.parquet": b"mine",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["part-00000.parquet", "theirs.parquet", "_report.json"])
def test_files_that_are_not_ours_are_never_replaced(s3: S3, name: str) -> None:
    s3.put(**{f"out/{name}": b"theirs"})
    with pytest.raises(SettingsError, match="was not written by flight-etl"):
        publish(s3, {"part-00000.parquet": b"new"}, overwrite=True)
    assert output(s3) == {name: b"theirs"}


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "PutObject", "CompleteMultipartUpload"])
def test_a_publication_that_fails_leaves_an_empty_place_empty(s3: S3, operation: str) -> None:
    s3.faults.rule = lambda request: denied if request.operation == operation and JOURNAL not in request.path else None
    with pytest.raises(Denied):
        publish(s3, {"part-00000.parquet": BIG, "part-00001.parquet": b"small"})
    assert s3.objects() == {}
    assert s3.uploads() == []


def test_a_journal_whose_answer_is_lost_is_taken_away_with_the_rest(s3: S3) -> None:
    s3.faults.rule = lambda request: lost() if request.method == "PUT" and JOURNAL in request.path else None
    with pytest.raises(StoreError):
        publish(s3, {"part-00000.parquet": b"small"})
    assert s3.objects() == {}


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_an_overwrite_that_fails_while_sending_changes_nothing(s3: S3, operation: str) -> None:
    publish(s3, {"part-00000.parquet": b"old"})
    s3.faults.rule = lambda request: denied if request.operation == operation else None
    with pytest.raises(Denied):
        publish(s3, {"part-00000.parquet": BIG}, overwrite=True)
    assert output(s3) == {"part-00000.parquet": b"old", "_report.json": DONE}
    assert s3.uploads() == []


def test_after_an_overwrite_that_failed_half_way_the_report_is_away_and_the_next_one_puts_it_right(s3: S3) -> None:
    publish(s3, {"part-00000.parquet": b"old", "part-00001.parquet": b"old"})
    s3.faults.rule = lambda request: denied if request.method == "PUT" and request.path.endswith("1.parquet") else None
    with pytest.raises(Denied):
        publish(s3, {"part-00000.parquet": b"new", "part-00001.parquet": b"new"}, overwrite=True)
    assert "_report.json" not in output(s3)
    s3.faults.forget()
    with pytest.raises(SettingsError, match="--overwrite"):
        publish(s3, {"part-00000.parquet": b"newer"})
    publish(s3, {"part-00000.parquet": b"newer"}, overwrite=True)
    assert output(s3) == {"part-00000.parquet": b"newer", "_report.json": DONE}


def test_of_two_runs_into_one_place_the_second_publishes_nothing(s3: S3) -> None:
    with stage_objects(f"{s3.url}/out", overwrite=False, scratch=None, pool=Pool()) as late:
        fill(late.directory, {"part-00000.parquet": b"late"})
        publish(s3, {"part-00000.parquet": b"early"})
        with pytest.raises(StoreError, match="by someone else"):
            late.publish()
    assert output(s3)["part-00000.parquet"] == b"early"


def test_two_runs_do_not_publish_at_the_same_time(s3: S3) -> None:
    publish(s3, {"part-00000.parquet": b"old"})
    with stage_objects(f"{s3.url}/out", overwrite=True, scratch=None, pool=Pool()) as run:
        fill(run.directory, {"part-00000.parquet": b"new"})
        s3.put(**{f"out/{JOURNAL}": b"{}"})
        with pytest.raises(StoreError, match="another run is publishing"):
            run.publish()
    assert output(s3)["part-00000.parquet"] == b"old"


def test_a_throttled_part_is_sent_again_without_sending_the_file_again(s3: S3) -> None:
    s3.faults.rule = lambda request: slow_down if request.operation == "UploadPart" and request.number == 1 else None
    publish(s3, {"part-00000.parquet": BIG})
    assert output(s3)["part-00000.parquet"] == BIG
    calls = s3.faults.calls()
    assert calls["CreateMultipartUpload"] == calls["CompleteMultipartUpload"] == 1
    assert calls["UploadPart"] == 2 * 3  # two parts, and a tail of a byte


def test_many_large_files_wait_together_and_the_rest_follows(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_output, "HELD_FILES", 2)
    files = {f"part-{n:05d}.parquet": BIG[: PART_BYTES + n + 1] for n in range(4)}
    publish(s3, files)
    assert output(s3) == {**files, "_report.json": DONE}


def test_requests_of_a_publication(s3: S3) -> None:
    s3.faults.forget()
    publish(s3, {"part-00000.parquet": b"small"})
    # Is it empty, and still so? The journal, the file and the report; then the journal goes.
    assert s3.faults.calls() == {"ListObjectsV2": 2, "PutObject": 3, "DeleteObjects": 1}


def convert(s3: S3, data: bytes, *, overwrite: bool = False, quarantine: bytes = b"") -> None:
    with publish_object(f"{s3.url}/out/a.parquet", overwrite=overwrite, scratch=None, pool=Pool()) as staging:
        staging.part.write_bytes(data)
        staging.report.write_bytes(DONE)
        if quarantine:
            staging.quarantine.write_bytes(quarantine)
        staging.publish()


@pytest.mark.parametrize("data", [b"small", BIG])
def test_a_file_becomes_an_object_with_its_companions(s3: S3, data: bytes) -> None:
    convert(s3, data, quarantine=b"dropped")
    assert output(s3) == {"a.parquet": data, "a.report.json": DONE, "a.quarantine.ndjson": b"dropped"}
    with pytest.raises(SettingsError, match="it exists"):
        convert(s3, b"again")
    convert(s3, b"new", overwrite=True)
    assert output(s3) == {"a.parquet": b"new", "a.report.json": DONE}


@pytest.mark.parametrize("name", ["a.report.json", "a.quarantine.ndjson"])
def test_a_companion_that_is_not_ours_is_never_replaced(s3: S3, name: str) -> None:
    s3.put(**{f"out/{name}": b"theirs"})
    with pytest.raises(SettingsError, match="was not written by flight-etl"):
        convert(s3, b"data", overwrite=True)
    assert output(s3) == {name: b"theirs"}


def test_a_prefix_is_no_object(s3: S3) -> None:
    with (
        pytest.raises(SettingsError, match="name an object"),
        publish_object(f"{s3.url}/out/", overwrite=True, scratch=None, pool=Pool()),
    ):
        pass


def memory() -> Bucket:
    return Pool().open("memory://bucket")[0]


def test_the_first_event_creates_and_costs_one_request(s3: S3) -> None:
    bucket = s3.bucket()
    for sequencer in ("01", "02"):
        put_if_newer(bucket, "other", b"", Mark(sequencer=sequencer))  # how this server writes etags is learnt once
    s3.faults.forget()
    assert put_if_newer(bucket, "out", b"1", Mark(sequencer="0055", etag='"é"', modified_ms=7, version="v")) == "created"
    assert s3.faults.calls() == {"PutObject": 1}
    assert Mark.of(bucket.head("out").metadata) == Mark(sequencer="0055", etag='"é"', modified_ms=7, version="v")
    s3.faults.forget()
    assert put_if_newer(bucket, "out", b"1", Mark(sequencer="0055")) == "kept"
    assert s3.faults.calls() == {"PutObject": 1, "HeadObject": 1}
    s3.faults.forget()
    assert put_if_newer(bucket, "out", b"2", Mark(sequencer="0056")) == "replaced"
    assert s3.faults.calls() == {"PutObject": 2, "HeadObject": 1}
    assert bucket.read("out")[0] == b"2"


@pytest.mark.parametrize(
    ("old", "new", "done"),
    [
        (Mark(sequencer="0055"), Mark(sequencer="0054"), "kept"),
        (Mark(sequencer="0055"), Mark(sequencer="005501"), "replaced"),
        (Mark(sequencer="00550000"), Mark(sequencer="0055"), "kept"),
        (Mark(sequencer="00a0"), Mark(sequencer="00B"), "replaced"),
        (Mark(sequencer="0055", modified_ms=9), Mark(modified_ms=8), "kept"),
        (Mark(modified_ms=8), Mark(modified_ms=9), "replaced"),
        (Mark(etag="a"), Mark(etag="a"), "kept"),
        (Mark(etag="a"), Mark(etag="b"), "replaced"),
        (Mark(), Mark(sequencer="0055"), "replaced"),
        (Mark(), Mark(), "replaced"),
    ],
)
def test_the_newer_version_of_the_input_wins(old: Mark, new: Mark, done: str) -> None:
    bucket = memory()
    bucket.put("out", b"old", metadata=old.metadata())
    assert put_if_newer(bucket, "out", b"new", new) == done
    assert bucket.read("out")[0] == (b"new" if done == "replaced" else b"old")


@pytest.mark.parametrize("make", [lambda s3: s3.bucket(), lambda _: memory()], ids=["s3", "memory"])
def test_events_at_once_and_out_of_order_end_with_the_newest(s3: S3, make: Callable[[S3], Bucket]) -> None:
    bucket = make(s3)
    events = [f"{number:04x}" for number in range(12)] * 2
    random.Random(1).shuffle(events)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda one: put_if_newer(bucket, "out", one.encode(), Mark(sequencer=one)), events))
    assert results.count("created") == 1
    data, info = bucket.read("out")
    assert (data, info.metadata["source-sequencer"]) == (b"000b", "000b")


def test_a_conflict_409_is_tried_again_after_looking_again(s3: S3) -> None:
    from faults import Fault

    bucket = s3.bucket()
    put_if_newer(bucket, "out", b"old", Mark(sequencer="01"))
    s3.faults.forget()
    busy = Fault("status", 409, "ConditionalRequestConflict")
    s3.faults.rule = lambda request: busy if request.method == "PUT" and request.number in {1, 2} else None
    assert put_if_newer(bucket, "out", b"new", Mark(sequencer="02")) == "replaced"


@pytest.mark.slow
def test_with_three_of_ten_requests_failing_everything_arrives(s3: S3) -> None:
    once = resilient(8, use_circuit_breaker=False, config=RetryConfig(throttle_delay=0.05))(lambda function: function())
    files = {f"part-{n:05d}.parquet": BIG[: n * 1_000_000 + 7] for n in range(20)}
    s3.faults.forget()
    publish(s3, files)
    without = len(s3.faults.requests)
    s3.client.delete_objects(Bucket=s3.name, Delete={"Objects": [{"Key": key} for key in s3.objects()]})
    s3.faults.forget()
    s3.faults.rule = storm(0.3, [slow_down], seed=11)
    publish(s3, files, pool=Pool(once))
    needed = len(s3.faults.requests)
    s3.faults.rule = lambda _: None
    assert output(s3) == {**files, "_report.json": DONE}
    assert s3.uploads() == []
    assert needed < 2 * without  # 1 / 0.7 on average


def test_without_retries_one_throttled_request_is_told_as_what_it_is(s3: S3) -> None:
    s3.faults.rule = lambda _: slow_down
    with pytest.raises(Throttled) as told:
        publish(s3, {})
    assert isinstance(told.value, FlightEtlError)
    assert "503 SlowDown" in str(told.value)


def test_a_create_whose_answer_was_lost_is_not_taken_for_somebody_elses(s3: S3) -> None:
    bucket = s3.bucket(resilient(3, config=RetryConfig(base_delay=0))(lambda function: function()))
    s3.faults.rule = lambda request: lost() if request.method == "PUT" and request.number == 1 else None
    bucket.put("a", b"mine", metadata={"m": "1"}, if_absent=True)
    with pytest.raises(Conflict):
        bucket.put("a", b"mine", metadata={"m": "1"}, if_absent=True)
    s3.faults.rule = lambda request: lost() if request.method == "PUT" and request.number == 1 else None
    s3.put(b=b"theirs")
    with pytest.raises(Conflict):
        bucket.put("b", b"mine", if_absent=True)
