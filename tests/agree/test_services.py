"""What comes object by object, through any runner, is after `compact` the data set of one run over all of it."""

from __future__ import annotations

import io
import json
import random
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recordings import mixture
from same_rows import dropped, plain, rows
from test_backfill import play

from cloud import cloud_at, notification, sqs_event
from flight_etl.resilience import sqs as queues
from flight_etl.runners import local
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from flight_etl.runners.compact import CompactRequest, compact
from flight_etl.runners.processor import Processor
from flight_etl.runners.queue_worker import QueueTimes, work_queue
from flight_etl.runners.worker import FolderWorker, Stop
from flight_etl.settings import OutputSettings, ResourceSettings, Settings, from_env

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloud import Cloud
    from servers import Server

WHOLE = Settings(resources=ResourceSettings(workers=1))
BY_DATE = Settings(output=OutputSettings(partition_by="date"), resources=ResourceSettings(workers=1))
QUICK = QueueTimes(poll_s=1, visibility_s=60, again_s=0)
BAD = ("page.json", "cut.json")


@pytest.fixture
def recordings(tmp_path: Path, generated: Callable[..., Path]) -> Path:
    """Many layouts, a file twice, bad files; an archive is for `run` and `backfill` alone."""
    folder = mixture(tmp_path / "recordings", generated)
    (folder / "day.tar").unlink()
    return folder


@pytest.fixture
def expected(recordings: Path, tmp_path: Path) -> pa.Table:
    """Rows of one run over all of it."""
    local.run([str(recordings)], str(tmp_path / "one"), WHOLE)
    return rows(tmp_path / "one")


@pytest.fixture
def cloud(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_at(moto_server.client.meta.endpoint_url) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(queues, "_clients", {})  # clients are for one endpoint
        yield found


def deliveries(recordings: Path, cloud: Cloud, seed: int) -> list[str]:
    """Put all recordings, and give their keys in any order, every third twice."""
    keys = sorted(path.name for path in recordings.iterdir())
    for key in keys:
        cloud.put(key, (recordings / key).read_bytes())
    coming = keys + keys[::3]
    random.Random(seed).shuffle(coming)
    return coming


def compacted(cloud: Cloud) -> pa.Table:
    """Rows of the bucket of outputs after a compaction; plain Parquet readers see them."""
    dataset = f"s3://{cloud.out}/processed/"
    compact(CompactRequest(dataset=dataset), from_env())
    listing = cloud.s3.list_objects_v2(Bucket=cloud.out, Prefix="processed/")["Contents"]
    bodies = [cloud.s3.get_object(Bucket=cloud.out, Key=one["Key"])["Body"].read() for one in listing if ".parquet" in one["Key"]]
    assert len(bodies) == 1
    return plain(pa.concat_tables([pq.read_table(io.BytesIO(body)) for body in bodies]))


def test_a_folder_worker(recordings: Path, expected: pa.Table, tmp_path: Path) -> None:
    FolderWorker(recordings, tmp_path / "out", WHOLE, settle_s=0.0).work(Stop(after=len(list(recordings.iterdir()))))
    compact(CompactRequest(dataset=str(tmp_path / "out")))
    assert rows(tmp_path / "out").equals(expected)
    letters = [json.loads(path.read_bytes()) for path in (tmp_path / "out").rglob("*dead-letters/**/*.json")]
    assert sorted(str(letter["key"]).rpartition("/")[2] for letter in letters) == sorted(BAD)


def test_a_queue_worker(recordings: Path, expected: pa.Table, cloud: Cloud) -> None:
    events = cloud.sqs.create_queue(QueueName="events")["QueueUrl"]
    coming = deliveries(recordings, cloud, seed=1)
    for key in coming:
        cloud.sqs.send_message(QueueUrl=events, MessageBody=json.dumps(notification(cloud, key)))
    work_queue(Processor(from_env()), events, queues.client(), Stop(after=len(coming)), times=QUICK)
    assert compacted(cloud).equals(expected)
    assert {str(letter["key"]) for letter in cloud.letters()} == set(BAD)


def test_the_lambda_function(recordings: Path, expected: pa.Table, cloud: Cloud) -> None:
    """Events straight from S3, and through a queue; the compaction is its own action."""
    handler = OptimizedETLProcessor(ETLConfig.from_env(cloud.environment))
    for number, key in enumerate(deliveries(recordings, cloud, seed=2)):
        one = notification(cloud, key)
        handler.process_event(sqs_event(one) if number % 2 else one)
    assert handler.process_event({"action": "compact"})["status"] == "completed"
    assert compacted(cloud).equals(expected)
    assert {str(letter["key"]) for letter in cloud.letters()} == set(BAD)


@pytest.mark.parametrize("everything", [False, True])
def test_what_a_backfill_has_written(tmp_path: Path, generated: Callable[..., Path], *, everything: bool) -> None:
    """Several files a day, and quarantines in a folder, which stay; the result has the bytes of a run."""
    recordings = mixture(tmp_path / "recordings", generated)
    local.run([str(recordings)], str(tmp_path / "one"), BY_DATE)
    report = play(recordings, tmp_path / "out", BY_DATE, split_bytes=200_000, partitions=3)
    (tmp_path / "out/_report.json").write_text(json.dumps(report.to_json()))
    before = dropped(tmp_path / "out")
    assert before
    compact(CompactRequest(dataset=str(tmp_path / "out"), everything=everything))
    assert dropped(tmp_path / "out") == before == dropped(tmp_path / "one")
    found, wanted = ([path.read_bytes() for path in sorted((tmp_path / one).rglob("*.parquet"))] for one in ("out", "one"))
    assert found == wanted
    assert "nothing to do" in compact(CompactRequest(dataset=str(tmp_path / "out"))).notes[0]


def test_a_worker_writes_while_compactions_run(tmp_path: Path, generated: Callable[..., Path]) -> None:
    """Whoever reads meanwhile finds every row that was there before, and files that are whole; in the end nothing is lost."""
    lines = generated(6_000, interval_s=20).read_bytes().splitlines(keepends=True)
    recordings, out = tmp_path / "recordings", tmp_path / "out"
    recordings.mkdir()
    for number in range(24):
        (recordings / f"{number}.ndjson").write_bytes(b"".join(lines[number::24]))
    worker = FolderWorker(recordings, out, WHOLE, settle_s=0.0)
    stop = Stop(after=24)
    working = threading.Thread(target=worker.work, args=(stop,))
    working.start()
    seen: set[tuple[Any, ...]] = set()
    merged = 0
    while working.is_alive():
        found = keys(out)
        assert found >= seen
        seen = found
        if found:
            merged += bool(compact(CompactRequest(dataset=str(out))).inputs)
    working.join()
    assert merged > 1
    compact(CompactRequest(dataset=str(out)))
    local.run([str(recordings)], str(tmp_path / "one"), WHOLE)
    assert rows(out).equals(rows(tmp_path / "one"))
    assert keys(out) >= seen


def keys(folder: Path) -> set[tuple[Any, ...]]:
    """Aircraft and time of all rows that a reader finds; one whose files have gone meanwhile looks again."""
    while True:
        try:
            tables = [pq.read_table(path, columns=["icao24", "timestamp"]) for path in folder.glob("*.parquet")]
        except FileNotFoundError:
            continue
        return {tuple(row.values()) for table in tables for row in table.to_pylist()}
