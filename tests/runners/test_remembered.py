"""What a processor remembers is never older than what is there, and saves the requests that it is to save."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from flight_etl.bench.generate import write
from flight_etl.runners.processor import Processor
from flight_etl.settings import ServiceSettings, Settings
from flight_etl.store.object_cache import HEAD_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from servers import S3


def event(s3: S3, sequencer: str) -> dict[str, Any]:
    entity = {"key": "key", "sequencer": sequencer}
    return {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": s3.name}, "object": entity}}]}


def processor(s3: S3, *, caching: bool = True) -> Processor:
    return Processor(replace(Settings(), service=ServiceSettings(input_bucket=s3.name, caching=caching, max_retries=0)))


def recording(tmp_path: Path, rows: int, layout: str, seed: int) -> bytes:
    write(tmp_path / "in.json", rows, layout=layout, seed=seed)
    return (tmp_path / "in.json").read_bytes()


def output(s3: S3) -> bytes:
    return s3.objects()[f"processed/{s3.name}/key.parquet"]


def test_an_object_overwritten_between_two_deliveries_is_read_anew_in_whatever_layout(s3: S3, tmp_path: Path) -> None:
    one = processor(s3)
    contents = [("readsb", 300), ("opensky", 200), ("readsb", 300), ("flat", 100)]
    for number, (layout, rows) in enumerate(contents):
        s3.put(key=recording(tmp_path, rows, layout, number))
        statuses = [str(one.deliver(event(s3, f"{number:02X}")).results[0].status) for _ in range(2)]
        assert statuses == ["written", "unchanged"]
        found = output(s3)
        s3.client.delete_object(Bucket=s3.name, Key=f"processed/{s3.name}/key.parquet")
        assert processor(s3).deliver(event(s3, f"{number:02X}")).results[0].report is not None
        assert output(s3) == found  # what one does that remembers nothing of before
        assert pq.read_metadata(io.BytesIO(found)).num_rows > 0.8 * rows


def test_the_same_version_again_is_not_recognised_again(s3: S3, tmp_path: Path) -> None:
    one = processor(s3)
    s3.put(key=recording(tmp_path, 300, "readsb", 1))
    found = []
    for _ in range(3):  # the output is gone each time, as after a failure to write it
        one.deliver(event(s3, "0A"))
        found.append(output(s3))
        s3.client.delete_object(Bucket=s3.name, Key=f"processed/{s3.name}/key.parquet")
    assert len(set(found)) == 1
    assert one.remembered is not None
    assert one.remembered.to_json()["layouts"] == {"hits": 2, "misses": 1, "hit_rate": 0.6667}


def test_a_large_object_of_columns_is_fetched_once_for_all_its_columns(s3: S3, tmp_path: Path) -> None:
    """Its head, its rest to find the columns, its rest again for the disk; without caches all of it for each column."""
    data = recording(tmp_path, 20_000, "flat-columns", 1)
    assert len(data) > HEAD_BYTES
    s3.put(key=data)
    requests, found = [], []
    for caching in (True, False):
        s3.faults.forget()
        one = processor(s3, caching=caching)
        assert str(one.deliver(event(s3, "0A")).results[0].status) == "written"
        requests.append(s3.faults.calls()["GetObject"])
        found.append(output(s3))
        s3.client.delete_object(Bucket=s3.name, Key=f"processed/{s3.name}/key.parquet")
        if one.remembered is not None:
            disk = one.remembered.to_json()["object_disk"]
            assert (disk["misses"], disk["hits"] > 10) == (1, True)
    assert requests[0] == 3
    assert requests[1] > 10 * requests[0]
    assert found[0] == found[1]
