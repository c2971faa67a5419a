"""The handler's processor from event to Parquet, against an emulator and against a real object store."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import zstandard

import flight_etl
from cloud import Cloud, cloud_at, notification, s3_record, sqs_event
from flight_etl.bench.generate import write
from flight_etl.resilience import sqs as queues
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from flight_etl.runners.events import ObjectRef
from flight_etl.runners.objects import Status, process_object
from flight_etl.settings import OutputSettings, ServiceSettings, Settings
from flight_etl.store.objects import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Server

POISON = b'{"time": 1, "states": [["40621d", "X", "UK", 1, 1, 0'
SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES") or Path(__file__).parents[2].parent / "shared/data").resolve()
SIX = {"ProcessingTime", "RecordsProcessed", "CompressionRatio", "ErrorRate", "ThroughputRecordsPerSecond", "MemoryUsage"}


@pytest.fixture
def cloud(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Buckets with versions; requests pass the proxy, the tests' own do not."""
    s3_server.faults.forget()
    has_queues = s3_server.kind == "moto"
    target = s3_server.faults.target
    with cloud_at(target, versions=True, queues=has_queues, credentials=s3_server.credentials) as found:
        for name, value in {**found.environment, **s3_server.environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(queues, "_clients", {})  # clients are for one endpoint
        yield found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], bytes]:
    """Give a recording, another one for each seed."""
    folder = tmp_path_factory.mktemp("recordings")

    def made(seed: int, rows: int = 400) -> bytes:
        path: Path = folder / f"{seed}-{rows}.json.gz"
        if not path.exists():
            write(path, rows, layout="readsb", complexity="complex", seed=seed)
        return path.read_bytes()

    return made


def _processor() -> OptimizedETLProcessor:
    return OptimizedETLProcessor(ETLConfig.from_env(os.environ))


@contextmanager
def _told() -> Iterator[list[tuple[str, str]]]:
    """Level and text of our log lines inside the block, whatever else is done with them."""
    lines: list[tuple[str, str]] = []
    handler, logger = logging.Handler(), logging.getLogger("flight_etl")
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))  # type: ignore[method-assign]
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_an_event_becomes_parquet_metrics_and_log_lines(
    cloud: Cloud,
    recording: Callable[..., bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = "in/a b+ü=1.json.gz"
    cloud.put(key, recording(1, 3_000))
    processor = _processor()
    with _told() as lines:
        answer = processor.process_event(notification(cloud, key), SimpleNamespace(memory_limit_in_mb=3008, aws_request_id="r"))
    source, target = f"s3://{cloud.raw}/{key}", f"s3://{cloud.out}/processed/{cloud.raw}/{key}.parquet"
    assert answer["results"] == [{"source": source, "status": "written", "outputs": [target]}]
    assert ("INFO", f"Processing {source} -> {target}") in lines
    completed = f"Conversion completed: {cloud.rows(key)} records, compression ratio "
    assert any(level == "INFO" and line.startswith(completed) for level, line in lines)
    assert ("INFO", f"Transformations completed for {source}") in lines
    blobs = [json.loads(line)["_aws"] for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    told = {metric["Name"] for blob in blobs for one in blob["CloudWatchMetrics"] for metric in one["Metrics"]}
    assert told >= SIX


@pytest.mark.samples
@pytest.mark.slow
@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no folder {SAMPLES}; name one with FLIGHT_ETL_SAMPLES")
def test_every_real_recording_becomes_the_bytes_of_a_local_run(cloud: Cloud, tmp_path: Path) -> None:
    files = {
        path.relative_to(SAMPLES).as_posix(): path for path in SAMPLES.rglob("*") if path.suffix in {".json", ".gz", ".ndjson"}
    }
    assert len(files) > 30
    for key, path in files.items():
        cloud.put(key, path.read_bytes())
    delivery = _processor().processor.deliver(notification(cloud, *files))
    assert (delivery.dead, delivery.undone) == ([], [])
    rows = {result.source.removeprefix(f"s3://{cloud.raw}/"): result for result in delivery.results}
    assert rows.keys() == files.keys()
    for number, (key, path) in enumerate(files.items()):
        report = rows[key].report
        assert report is not None
        assert report.read == report.written + sum(report.dropped.values())
        if rows[key].status is Status.EMPTY:
            assert report.read == 0
            continue
        flight_etl.run([str(path)], str(tmp_path / str(number)))
        assert cloud.output(key) == (tmp_path / str(number) / "part-00000.parquet").read_bytes()


def test_of_ten_objects_three_poisoned_seven_arrive_and_three_wait_until_they_are_mended(
    cloud: Cloud, recording: Callable[..., bytes]
) -> None:
    keys = [f"k{number}" for number in range(10)]
    for number, key in enumerate(keys):
        cloud.put(key, POISON if number in {2, 5, 7} else recording(number))
    processor = _processor()
    answer = processor.process_event(sqs_event(*(notification(cloud, key) for key in keys)))
    assert answer == {"batchItemFailures": []}
    assert cloud.outputs() == [key for key in keys if key not in {"k2", "k5", "k7"}]
    assert sorted((one["key"], one["error_type"]) for one in cloud.letters()) == [
        (key, "data_quality") for key in ("k2", "k5", "k7")
    ]
    for number in (2, 5, 7):
        cloud.put(f"k{number}", recording(number))
    done = processor.process_event({"action": "process_dlq", "max_records": 10})
    assert (done["status"], done["records_reprocessed"], done["records_failed"]) == ("completed", 3, 0)
    assert cloud.outputs() == keys
    assert cloud.letters() == []


def test_two_events_twenty_times_at_once_and_out_of_order_leave_the_newest_whole(
    cloud: Cloud, recording: Callable[..., bytes]
) -> None:
    wanted = {}
    for name in ("older", "newer"):
        cloud.put(name, recording(len(wanted)))
        _processor().process_event(notification(cloud, name))
        wanted[name] = cloud.output(name)
    versions = [cloud.put("k", recording(number)) for number in range(2)]
    events = [
        {"Records": [s3_record(cloud, "k", sequencer=f"00{number}A", versionId=version)]}
        for number, version in enumerate(versions)
    ] * 20
    random.Random(3).shuffle(events)

    def deliver(event: dict[str, Any]) -> Status:
        (result,) = _processor().processor.deliver(event).results  # a sandbox of its own
        return result.status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(deliver, events))
    assert set(statuses) <= {Status.WRITTEN, Status.UNCHANGED, Status.SUPERSEDED}
    assert cloud.output("k") == wanted["newer"]
    assert deliver(events[0]) in {Status.UNCHANGED, Status.SUPERSEDED}
    assert cloud.output("k") == wanted["newer"]
    assert cloud.letters() == []


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_compression_is_told_by_content_and_not_by_what_the_object_says_of_itself(
    cloud: Cloud, recording: Callable[..., bytes], encoding: str
) -> None:
    packed, plain = recording(1), gzip.decompress(recording(1))
    for key, data in (("packed.json", packed), ("plain.json.gz", plain), ("zstd.json", zstandard.compress(plain))):
        cloud.s3.put_object(Bucket=cloud.raw, Key=key, Body=data, ContentEncoding=encoding)
    delivery = _processor().processor.deliver(notification(cloud, "packed.json", "plain.json.gz", "zstd.json"))
    assert [result.status for result in delivery.results] == [Status.WRITTEN] * 3
    assert cloud.output("packed.json") == cloud.output("plain.json.gz") == cloud.output("zstd.json")


def test_empty_objects_and_markers_of_folders_are_done_without_an_output(cloud: Cloud) -> None:
    for key in ("empty.json", "folder/", "states.json"):
        cloud.put(key, b'{"time": 1700000000, "states": null}' if key == "states.json" else b"")
    delivery = _processor().processor.deliver(notification(cloud, "empty.json", "folder/", "states.json", "never.json"))
    assert [result.status for result in delivery.results] == [Status.EMPTY, Status.EMPTY, Status.GONE]
    assert len(delivery.ignored) == 1
    assert (delivery.dead, delivery.undone, cloud.outputs(), cloud.letters()) == ([], [], [], [])


def test_nothing_of_an_older_version_is_left_where_the_newer_one_has_less(cloud: Cloud) -> None:
    key, folder = "k.json", f"processed/{cloud.raw}"
    parts = [f"{folder}/k.json{part}.parquet" for part in ("", ".00001", ".00002")]

    def settings() -> Settings:
        return Settings(output=OutputSettings(rows_per_file=200), service=ServiceSettings(output_bucket=cloud.out))

    def deliver(content: bytes, sequencer: str) -> tuple[Status, list[int], bytes]:
        cloud.put(key, content)
        ref = ObjectRef(bucket=cloud.raw, key=key, sequencer=sequencer)
        status = process_object(ref, settings(), pool).status
        rows = [pq.read_metadata(io.BytesIO(_read(cloud, part))).num_rows for part in parts]
        return status, rows, _read(cloud, f"quarantine/{cloud.raw}/{key}.ndjson")

    pool = Pool()
    broken = b'{"icao24": "zz", "timestamp": 1700000000}\n'
    long = b"".join(b'{"icao24": "4b1%03x", "timestamp": 1700000000, "lat": 47.0, "lon": 8.0}\n' % n for n in range(500))
    status, rows, quarantine = deliver(long + broken, "01")
    assert (status, rows) == (Status.WRITTEN, [200, 200, 100])
    assert quarantine.count(b"\n") == 1
    assert deliver(long[: len(long) // 10], "02") == (Status.WRITTEN, [50, 0, 0], b"")
    assert deliver(b"", "03") == (Status.EMPTY, [0, 0, 0], b"")
    assert deliver(b"", "03")[:2] == (Status.UNCHANGED, [0, 0, 0])
    assert deliver(long, "02")[:2] == (Status.SUPERSEDED, [0, 0, 0])
    assert deliver(long, "04")[:2] == (Status.WRITTEN, [200, 200, 100])
    assert deliver(b"[]", "05")[:2] == (Status.EMPTY, [0, 0, 0])


def _read(cloud: Cloud, key: str) -> bytes:
    body: bytes = cloud.s3.get_object(Bucket=cloud.out, Key=key)["Body"].read()
    return body


def test_key_and_bytes_of_an_output_depend_on_input_and_settings_of_the_content_alone(
    cloud: Cloud, recording: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.put("k", recording(1))
    found = set()
    for environment in (
        {},
        {"MAX_WORKERS": "3", "CHUNK_SIZE": "7", "ENABLE_CACHING": "false", "MAX_RETRIES": "5", "ENVIRONMENT": "x"},
    ):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        _processor().processor.deliver(notification(cloud, "k"))
        assert cloud.outputs() == ["k"]
        found.add(cloud.output("k"))
        cloud.s3.delete_object(Bucket=cloud.out, Key=f"processed/{cloud.raw}/k.parquet")
    assert len(found) == 1


def test_a_prefix_of_a_bucket_is_the_input_and_another_the_output_of_the_command(
    cloud: Cloud, recording: Callable[..., bytes], etl: Any, tmp_path: Path
) -> None:
    for number in range(3):
        cloud.put(f"in/{number}.json.gz", recording(number))
        (tmp_path / f"{number}.json.gz").write_bytes(recording(number))
    done = etl("run", f"s3://{cloud.raw}/in/", "--output", f"s3://{cloud.out}/flights", "--json")
    local = etl("run", *(f"{number}.json.gz" for number in range(3)), "--output", "flights", "--json")
    assert (done.code, local.code) == (0, 0), done.err
    (name,) = local.json["outputs"]
    stored = cloud.s3.get_object(Bucket=cloud.out, Key="flights/part-00000.parquet")["Body"].read()
    assert stored == Path(name).read_bytes()
