"""The tasks of a backfill give the rows and accounts of a run on one machine, however inputs and aircraft are dealt out.

An engine is played here by the least that it must do: bring all rows of an aircraft together, in order of time. Spark itself
does it in test_spark.py.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from recordings import mixture
from same_rows import account, dropped, rows

from flight_etl.runners import local
from flight_etl.runners.accounts import Accounts
from flight_etl.runners.backfill import Job, split_rows, survey, write_tracks
from flight_etl.runners.splits import pack
from flight_etl.settings import OutputSettings, SegmentSettings, Settings
from flight_etl.store.inputs import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flight_etl.report import Report

BY_DATE = Settings(output=OutputSettings(partition_by="date"))
SHORT = replace(BY_DATE, segment=SegmentSettings(gap_s=120, max_flight_rows=1_000))


@pytest.fixture
def recordings(tmp_path: Path, generated: Callable[..., Path]) -> Path:
    return mixture(tmp_path / "recordings", generated)


def play(inputs: Path, output: Path, settings: Settings, *, split_bytes: int, partitions: int, seed: int = 0) -> Report:
    """A backfill without an engine."""
    output.mkdir()
    found = expand([str(inputs)], output=None)
    accounts = Accounts(found, settings)
    job = Job(settings=settings, place=str(output), inputs=(str(inputs),))
    splits = pack(found.sources, split_bytes=split_bytes)
    for number, text in enumerate(splits):
        accounts.surveyed(json.loads(json.dumps(survey(text, number, job))))
    frame = accounts.frame()
    moved = pa.concat_tables([table for text in splits for table in split_rows(text, job, frame)])
    chance = random.Random(seed)
    dealt = pc.unique(moved["icao24"]).to_pylist()
    for number in range(partitions):
        mine = pa.array([one for one in dealt if zlib.crc32(one.encode()) % partitions == number], pa.string())
        part = moved.filter(pc.is_in(moved["icao24"], mine))
        order = list(range(part.num_rows))
        chance.shuffle(order)  # equal times come in any order
        part = part.take(order).sort_by([("icao24", "ascending"), ("timestamp", "ascending")])
        told = write_tracks(cut(part, chance), number, job, frame, [source.name for source in found.sources])
        accounts.written(json.loads(json.dumps(told)))
    return accounts.report(str(output), "_quarantine")


def cut(table: pa.Table, chance: random.Random) -> Iterator[pa.Table]:
    at = 0
    while at < table.num_rows:
        size = chance.randint(1, 4_000)
        yield table.slice(at, size)
        at += size


@pytest.mark.parametrize("settings", [BY_DATE, SHORT], ids=["default", "short-blocks"])
@pytest.mark.parametrize(("split_bytes", "partitions"), [(1 << 30, 1), (150_000, 3)])
def test_tasks_give_the_rows_and_accounts_of_a_run(
    settings: Settings, split_bytes: int, partitions: int, recordings: Path, tmp_path: Path
) -> None:
    one = local.run([str(recordings)], str(tmp_path / "one"), settings)
    other = play(recordings, tmp_path / "other", settings, split_bytes=split_bytes, partitions=partitions)
    assert rows(tmp_path / "one").equals(rows(tmp_path / "other"))
    assert rows(tmp_path / "one").schema.equals(rows(tmp_path / "other").schema, check_metadata=True)
    assert dropped(tmp_path / "one") == dropped(tmp_path / "other")
    assert account(one.to_json()) == account(other.to_json())
    assert one.failed


def test_a_task_done_twice_writes_the_same_files(recordings: Path, tmp_path: Path, listing: Callable[..., object]) -> None:
    """So that an attempt that comes second, or a job that is done again, doubles nothing."""
    play(recordings, tmp_path / "one", BY_DATE, split_bytes=200_000, partitions=2)
    play(recordings, tmp_path / "other", BY_DATE, split_bytes=1 << 30, partitions=2, seed=1)
    assert data_files(listing(tmp_path / "one")) == data_files(listing(tmp_path / "other"))


def data_files(found: object) -> dict[str, bytes]:
    assert isinstance(found, dict)
    return {name: data for name, data in found.items() if name.endswith(".parquet")}


def test_a_single_task_writes_the_bytes_of_a_run(recordings: Path, tmp_path: Path) -> None:
    local.run([str(recordings)], str(tmp_path / "one"), BY_DATE)
    play(recordings, tmp_path / "other", BY_DATE, split_bytes=100_000, partitions=1)
    ours = sorted((tmp_path / "other").glob("date=*/*.parquet"))
    theirs = sorted((tmp_path / "one").glob("date=*/*.parquet"))
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]
