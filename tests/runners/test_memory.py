"""Memory is watched between chunks, and giving it back never changes an output."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flight_etl.bench.generate import write
from flight_etl.runners import local
from flight_etl.runners.means import MEANS, Means
from flight_etl.runners.memory import MemoryWatch
from flight_etl.runners.processor import Processor
from flight_etl.settings import DecodeSettings, Settings
from flight_etl.store.inputs import expand

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flight_etl.report import Report
    from servers import S3


def watch(*rss_mb: float, told: list[tuple[float, float]] | None = None, relieves: bool = True) -> MemoryWatch:
    """A watch over a process of 100 MB at most that has these amounts in use, each time that it looks."""
    seen: Iterator[float] = iter(rss_mb)
    kept = told if told is not None else []
    return MemoryWatch(
        10_000, told=lambda rss, bound: kept.append((rss, bound)), rss_mb=lambda: next(seen), relieves=relieves, bound_mb=100.0
    )


def test_without_a_bound_nothing_is_looked_at() -> None:
    memory = watch()
    memory.bound_mb = None
    assert memory.look() is False


def test_chunks_are_halved_under_pressure_and_it_is_told() -> None:
    told: list[tuple[float, float]] = []
    memory = watch(50, 90, 60, told=told)  # the last is what is left after the relief
    assert [memory.look(), memory.look()] == [False, True]
    assert (memory.chunk_rows, memory.pressures, told) == (5_000, 1, [(60, 100.0)])


def test_chunks_are_never_less_than_a_thousand_rows_and_small_ones_stay() -> None:
    memory = watch(*(value for n in range(20) for value in (86 + 3 * n, 86 + 3 * n)))
    for _ in range(20):
        memory.look()
    assert memory.chunk_rows == 1_000
    small = MemoryWatch(10, rss_mb=lambda: 99.0, bound_mb=100.0)
    small.look()
    assert small.chunk_rows == 10


def test_pressure_that_relief_could_not_end_is_not_fought_at_every_chunk() -> None:
    memory = watch(90, 90, 90, 90.5, 91, 93, 93)  # each time that it acts, it looks twice
    assert [memory.look() for _ in range(5)] == [True, False, False, False, True]
    assert memory.pressures == 2


def test_chunks_recover_when_the_pressure_has_gone_for_a_while() -> None:
    memory = watch(90, 80, *[70] * 20, *[40] * 7)
    assert memory.look()
    assert not any(memory.look() for _ in range(27))
    assert memory.chunk_rows == 5_000  # 70 is not relaxed, and seven looks are not a while
    memory.rss_mb = lambda: 40.0
    assert not any(memory.look() for _ in range(30))
    assert memory.chunk_rows == 10_000


def test_a_watch_that_relieves_nothing_counts() -> None:
    told: list[tuple[float, float]] = []
    memory = watch(90, told=told, relieves=False)
    assert memory.look() is False
    assert (memory.pressures, memory.chunk_rows, told) == (1, 10_000, [])


def produced(folder: Path, source: Path, means: Means) -> tuple[Report, str]:
    folder.mkdir()
    settings = replace(Settings(), decode=DecodeSettings(chunk_rows=2_000))
    report = local.produce(expand([str(source)], output=None), folder, settings, place=str, means=means)
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        digest.update(path.read_bytes())
    return report, digest.hexdigest()


@pytest.mark.parametrize("layout", ["opensky", "readsb", "flat"])
def test_pressure_in_the_midst_of_an_object_changes_nothing_in_the_output(tmp_path: Path, layout: str) -> None:
    write(tmp_path / "in.json", 20_000, layout=layout, complexity="complex")
    looks = 0

    def short() -> bool:
        nonlocal looks
        looks += 1
        return looks % 3 == 0

    means = Means(is_short=short, piece_rows=lambda: 500 if looks > 2 else 2_000)
    pressed = produced(tmp_path / "pressed", tmp_path / "in.json", means)
    calm = produced(tmp_path / "calm", tmp_path / "in.json", MEANS)
    assert looks >= 10
    assert pressed[1] == calm[1]
    assert (pressed[0].read, pressed[0].written, pressed[0].dropped) == (calm[0].read, calm[0].written, calm[0].dropped)


def test_a_processor_looks_within_long_objects_and_says_what_people_search_for(
    s3: S3, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two processors at the same object, the one whose bound is far below its need writes the same bytes."""
    write(tmp_path / "in.json", 20_000, layout="readsb")
    s3.put(key=(tmp_path / "in.json").read_bytes())
    event = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": s3.name}, "object": {"key": "key"}}}]}
    settings = replace(Settings(), decode=DecodeSettings(chunk_rows=2_000))
    Processor(settings).deliver(event)
    name = f"processed/{s3.name}/key.parquet"
    calm = s3.objects()[name]
    s3.client.delete_object(Bucket=s3.name, Key=name)
    pressed = Processor(settings, memory_bound_mb=1.0)
    rising = iter(range(100, 10_000))  # RSS as of a process that grows without end
    pressed.memory.rss_mb = lambda: float(next(rising))
    pressed.deliver(event)
    assert s3.objects()[name] == calm
    assert pressed.memory.pressures > 5
    assert pressed.memory.chunk_rows == 1_000
    found = [record for record in caplog.records if record.getMessage() == "Memory pressure detected, forced GC"]
    assert len(found) == pressed.memory.pressures
    assert {record.levelname for record in found} == {"WARNING"}
    assert json.dumps(pressed.memory.to_json()) == json.dumps(
        {"bound_mb": 1.0, "chunk_rows": 1_000, "times_short": pressed.memory.pressures}
    )
