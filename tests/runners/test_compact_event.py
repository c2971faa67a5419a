"""The event `{"action": "compact"}`, on what the handler itself has written."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_compact import DAY_S, MIDNIGHT, split, track

from flight_etl.core.order import sort_rows
from flight_etl.errors import SettingsError, Unavailable
from flight_etl.runners import local
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from flight_etl.settings import OutputSettings, Settings, from_env

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from servers import S3


@pytest.fixture
def handler(s3: S3) -> Callable[..., OptimizedETLProcessor]:
    def made(partition_by: Any = "date") -> OptimizedETLProcessor:
        base = Settings(output=OutputSettings(partition_by=partition_by))
        return OptimizedETLProcessor(ETLConfig(settings=from_env({"OUTPUT_BUCKET": s3.name, "MAX_WORKERS": "1"}, base=base)))

    return made


def event(s3: S3, *keys: str) -> dict[str, Any]:
    records = [{"s3": {"bucket": {"name": s3.name}, "object": {"key": key}}} for key in keys]
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"} | record for record in records]}


def rows(s3: S3) -> pa.Table:
    """All rows below processed/, by aircraft and time."""
    found = [body for key, body in s3.objects().items() if key.startswith("processed/") and key.endswith(".parquet")]
    tables = [pq.read_table(io.BytesIO(body)) for body in found]
    return sort_rows(pa.concat_tables(tables).unify_dictionaries())


@pytest.mark.parametrize("partition_by", ["date", None])
def test_objects_in_any_order_and_some_twice_become_the_rows_of_one_run(
    s3: S3, handler: Callable[..., OptimizedETLProcessor], tmp_path: Path, partition_by: Any
) -> None:
    lines = track("4b1901", MIDNIGHT - 5_000, MIDNIGHT + 5_000, 20) + track("4b1902", MIDNIGHT - 900, MIDNIGHT + 900, 10)
    objects = {f"raw-{number}.ndjson": body for number, body in enumerate(split(lines, 8))}
    s3.put(**{f"in/{key}": body for key, body in objects.items()})
    one = handler(partition_by)
    keys = [f"in/{key}" for key in objects] + ["in/raw-0.ndjson", "in/raw-3.ndjson"]
    random.Random(1).shuffle(keys)
    for key in keys:
        assert one.process_event(event(s3, key))["dead_lettered"] == 0
    answer = one.process_event({"action": "compact"})
    (tmp_path / "all.ndjson").write_bytes(b"".join(objects.values()))
    local.run([str(tmp_path / "all.ndjson")], str(tmp_path / "one"), Settings())
    assert rows(s3).to_pylist() == pq.read_table(tmp_path / "one/part-00000.parquet").to_pylist()
    assert (answer["status"], answer["inputs"] >= 8, answer["written"]) == ("completed", True, rows(s3).num_rows)
    assert answer["flights"] == 2
    # A late event for an object whose output was compacted already.
    assert one.process_event(event(s3, "in/raw-0.ndjson"))["processed"] == 1
    one.process_event({"action": "compact"})
    assert rows(s3).to_pylist() == pq.read_table(tmp_path / "one/part-00000.parquet").to_pylist()


def test_only_the_partition_that_is_named_is_compacted(s3: S3, handler: Callable[..., OptimizedETLProcessor]) -> None:
    for number, piece in enumerate(split(track("4b1901", MIDNIGHT, MIDNIGHT + 2 * DAY_S, 600), 3)):
        s3.put(**{f"in/{number}.ndjson": piece})
    one = handler()
    one.process_event(event(s3, *(f"in/{number}.ndjson" for number in range(3))))
    answer = one.process_event({"action": "compact", "prefix": "processed/", "partition": "2024-03-31"})
    assert len(answer["outputs"]) == 1
    counts = {"2024-03-31": 0, "2024-04-01": 0}
    for key in s3.objects():
        for day in counts:
            counts[day] += f"date={day}/" in key
    assert counts == {"2024-03-31": 1, "2024-04-01": 3}


def test_without_time_nothing_is_changed(s3: S3, handler: Callable[..., OptimizedETLProcessor]) -> None:
    class Context:
        memory_limit_in_mb = 2048
        aws_request_id = "1"

        @staticmethod
        def get_remaining_time_in_millis() -> int:
            return 29_000

    s3.put(**{"in/0.ndjson": b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 900, 60))})
    one = handler()
    one.process_event(event(s3, "in/0.ndjson"))
    before = s3.objects()
    with pytest.raises(Unavailable, match="nothing was changed"):
        one.process_event({"action": "compact"}, Context())
    assert s3.objects() == before


@pytest.mark.parametrize(
    ("more", "told"),
    [({"partitions": "x"}, "partitions='x'"), ({"partition": 3}, "partition a date"), ({"target_mb": 0}, "target_mb=0")],
)
def test_an_event_that_asks_for_something_else_is_refused(
    handler: Callable[..., OptimizedETLProcessor], more: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        handler().process_event({"action": "compact", **more})
