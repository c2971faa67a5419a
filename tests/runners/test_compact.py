"""A compacted data set has the files that one run over all inputs would have written, whatever came in which order and pieces."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flight_etl.errors import InputError, NotFound, SettingsError
from flight_etl.resources import Budget
from flight_etl.runners import local
from flight_etl.runners.compact import CompactRequest, compact
from flight_etl.runners.worker import FolderWorker, Stop
from flight_etl.settings import DedupeSettings, OutputSettings, ResourceSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conftest import Command

BY_DATE = Settings(output=OutputSettings(partition_by="date"), resources=ResourceSettings(workers=1))
WHOLE = Settings(resources=ResourceSettings(workers=1))
TINY = Budget(limit_bytes=1, held_bytes=100_000, run_bytes=80_000, range_bytes=1, workers=2, min_range_rows=500)
MIDNIGHT = datetime(2024, 3, 31, tzinfo=UTC).timestamp()
DAY_S = 86_400


def split(lines: list[bytes], pieces: int, seed: int = 1) -> list[bytes]:
    """Lines dealt out at random, every tenth of them twice."""
    rng = random.Random(seed)
    dealt: list[list[bytes]] = [[] for _ in range(pieces)]
    for line in lines:
        for _ in range(1 + (rng.random() < 0.1)):
            dealt[rng.randrange(pieces)].append(line)
    return [b"".join(some) for some in dealt if some]


def write_pieces(pieces: Iterable[bytes], folder: Path, settings: Settings, *, first: int = 0) -> None:
    """Write each piece into the data set `folder` by a run of its own, in files of its own name, as a Lambda function does."""
    for number, piece in enumerate(pieces, first):
        source, out = folder.parent / f"piece-{number}.ndjson", folder.parent / f"out-{number}"
        source.write_bytes(piece)
        local.run([str(source)], str(out), settings)
        for path in out.rglob("*.parquet"):
            target = folder / path.parent.relative_to(out) / f"piece-{number}.{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)


def one_run(pieces: Iterable[bytes], folder: Path, settings: Settings) -> dict[str, list[bytes]]:
    """Bytes of the files, by folder, that one run over all pieces gives."""
    source = folder.with_suffix(".ndjson")
    source.write_bytes(b"".join(pieces))
    local.run([str(source)], str(folder), settings)
    return content(folder)


def content(folder: Path) -> dict[str, list[bytes]]:
    """Bytes of all data files by their folder."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(folder.rglob("*.parquet")):
        found[path.parent.relative_to(folder).as_posix()].append(path.read_bytes())
    return dict(found)


def request(folder: Path, **more: Any) -> CompactRequest:
    return CompactRequest(dataset=str(folder), **more)


def track(code: str, begin_s: float, end_s: float, step_s: float, **values: Any) -> list[bytes]:
    """Records of an aircraft that flies north, all the time."""
    rows = []
    for at in range(int((end_s - begin_s) // step_s)):
        record = {
            "icao24": code,
            "timestamp": round(begin_s + at * step_s),
            "latitude": -60 + at * step_s * 2e-4,
            "longitude": 3.0,
            "altitude": 9000.0 if at % 7 else None,
            "velocity": 22.0,
            "on_ground": False,
            "callsign": None if at % 5 else "TEST1",
            **values,
        }
        rows.append(json.dumps(record).encode() + b"\n")
    return rows


@pytest.mark.parametrize("settings", [WHOLE, BY_DATE], ids=["whole", "by date"])
@pytest.mark.parametrize("layout", ["flat", "readsb"])
def test_pieces_become_what_one_run_over_all_of_them_gives(
    generated: Callable[..., Path], tmp_path: Path, settings: Settings, layout: str
) -> None:
    pieces = split(generated(6_000, layout=layout, interval_s=20).read_bytes().splitlines(keepends=True), 6)
    write_pieces(pieces, tmp_path / "set", settings)
    report = compact(request(tmp_path / "set"), budget=TINY)
    assert content(tmp_path / "set") == one_run(pieces, tmp_path / "one", settings)
    assert report.read == report.written + sum(report.dropped.values())
    one = json.loads((tmp_path / "one/_report.json").read_text())
    assert (report.written, report.aircraft, report.flights) == (one["written"], one["aircraft"], one["flights"])


@pytest.mark.parametrize("settings", [WHOLE, BY_DATE], ids=["whole", "by date"])
def test_what_is_compact_is_left_alone_and_comes_out_the_same_when_done_again(
    generated: Callable[..., Path], tmp_path: Path, settings: Settings
) -> None:
    write_pieces(split(generated(2_000, interval_s=20).read_bytes().splitlines(keepends=True), 3), tmp_path / "set", settings)
    compact(request(tmp_path / "set"))
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / "set").rglob("*.parquet")}
    nothing = compact(request(tmp_path / "set"))
    assert (nothing.read, nothing.outputs, "nothing to do" in nothing.notes[0]) == (0, (), True)
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in before} == before
    again = compact(request(tmp_path / "set", everything=True))
    assert again.read == again.written > 0
    assert {path: path.read_bytes() for path in (tmp_path / "set").rglob("*.parquet")} == {p: b for p, (b, _) in before.items()}


def flights(folder: Path) -> list[str]:
    tables = [pq.read_table(path, columns=["flight_id"], partitioning=None) for path in sorted(folder.rglob("*.parquet"))]
    return sorted(pc.unique(pa.concat_tables(tables)["flight_id"].cast(pa.string())).to_pylist())


def test_a_flight_over_midnight_is_cut_between_two_runs_and_whole_after_compaction(tmp_path: Path) -> None:
    lines = track("4b1901", MIDNIGHT - 3_600, MIDNIGHT + 3_600, 10)
    write_pieces([b"".join(lines[:360]), b"".join(lines[360:])], tmp_path / "set", BY_DATE)
    assert flights(tmp_path / "set") == ["4b1901-20240330T230000Z", "4b1901-20240331T000000Z"]
    report = compact(request(tmp_path / "set"))
    assert flights(tmp_path / "set") == ["4b1901-20240330T230000Z"]
    assert report.flights == 1
    both = pa.concat_tables(pq.read_table(path, partitioning=None) for path in sorted((tmp_path / "set").rglob("*.parquet")))
    flown = pc.max(both["cumulative_distance_km"]).as_py()
    assert flown == pytest.approx(7_190 * 2e-4 * 110.75, rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_tracks_of_many_days_are_whole_in_whatever_order_days_come_and_are_compacted(tmp_path: Path, seed: int) -> None:
    """Blocks reach over several days here, so that new rows of one change rows of days that were compact already."""
    rng = random.Random(seed)
    lines = track("4b1901", MIDNIGHT, MIDNIGHT + 4.4 * DAY_S, 600)
    lines += track("4b1902", MIDNIGHT + 0.7 * DAY_S, MIDNIGHT + 2.6 * DAY_S, 900) + track(
        "~4b1901", MIDNIGHT, MIDNIGHT + 9_000, 60
    )
    lines += track("4b1903", MIDNIGHT + 3.9 * DAY_S, MIDNIGHT + 4.1 * DAY_S, 300)
    pieces = split(lines, 5, seed)
    days: dict[int, list[bytes]] = defaultdict(list)
    for line in lines:
        days[int((json.loads(line)["timestamp"] - MIDNIGHT) // DAY_S)].append(line)
    pieces = [b"".join(days[day]) for day in rng.sample(sorted(days), len(days))] + rng.sample(pieces, 2)
    for number, piece in enumerate(pieces):
        write_pieces([piece], tmp_path / "set", BY_DATE, first=number)
        if rng.random() < 0.6:
            compact(request(tmp_path / "set"))
    compact(request(tmp_path / "set"))
    assert content(tmp_path / "set") == one_run(pieces, tmp_path / "one", BY_DATE)


def test_one_partition_comes_out_as_it_does_when_all_are_done(tmp_path: Path) -> None:
    pieces = split(track("4b1901", MIDNIGHT, MIDNIGHT + 2.5 * DAY_S, 300), 3)
    write_pieces(pieces, tmp_path / "set", BY_DATE)
    untouched = content(tmp_path / "set")
    report = compact(request(tmp_path / "set", partitions=("2024-04-01",)))
    expected = one_run(pieces, tmp_path / "one", BY_DATE)
    assert content(tmp_path / "set") == untouched | {"date=2024-04-01": expected["date=2024-04-01"]}
    assert {Path(one.path).parent.name for one in report.inputs} == {"date=2024-04-01"}
    with pytest.raises(SettingsError, match="no partition date=1999-01-01"):
        compact(request(tmp_path / "set", partitions=("1999-01-01",)))


def test_undeclared_keys_keep_their_names_and_get_one_type(tmp_path: Path) -> None:
    values: list[dict[str, Any]] = [
        {"n": 1, "distance_km": 7, "s": "1", "nested": {"a": [1]}},
        {"n": 0.5, "distance_km": 8, "s": 2},
        {"n": None, "b": True, "s": False},
    ]
    pieces = [b"".join(track("4b1901", MIDNIGHT + at, MIDNIGHT + 3_000, 60, **some)) for at, some in enumerate(values)]
    write_pieces(pieces, tmp_path / "set", WHOLE)
    compact(request(tmp_path / "set"))
    assert content(tmp_path / "set") == one_run(pieces, tmp_path / "one", WHOLE)
    (path,) = (tmp_path / "set").glob("*.parquet")
    schema = pq.read_schema(path)
    assert {name: str(schema.field(name).type) for name in ("n", "extra_distance_km", "b", "s")} == {
        "n": "double",
        "extra_distance_km": "int64",
        "b": "bool",
        "s": "string",
    }


def test_files_end_at_the_target_size_and_are_sorted_one_after_another(generated: Callable[..., Path], tmp_path: Path) -> None:
    settings = Settings(output=OutputSettings(row_group_rows=1_000))
    write_pieces(split(generated(40_000, interval_s=5).read_bytes().splitlines(keepends=True), 2), tmp_path / "set", settings)
    compact(request(tmp_path / "set", target_mb=1))
    paths = sorted((tmp_path / "set").glob("*.parquet"))
    assert len(paths) > 1
    assert {path.name.rpartition("-of-")[2] for path in paths} == {f"{len(paths):05d}.parquet"}
    sizes = [path.stat().st_size for path in paths]
    assert all(1_000_000 <= size < 1_300_000 for size in sizes[:-1])
    keys = pa.concat_tables(pq.read_table(path, columns=["icao24", "timestamp"]) for path in paths).to_pylist()
    assert [tuple(key.values()) for key in keys] == sorted(tuple(key.values()) for key in keys)
    paths[0].unlink()
    assert compact(request(tmp_path / "set")).read > 0, "what has lost a file is not compact"


def test_a_file_of_somebody_else_is_refused_by_name(tmp_path: Path) -> None:
    write_pieces([b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 900, 60))], tmp_path / "set", WHOLE)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "set/other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: was not written by flight-etl"):
        compact(request(tmp_path / "set"))
    (tmp_path / "set/other.parquet").write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"other\.parquet: cannot be read"):
        compact(request(tmp_path / "set"))
    with pytest.raises(NotFound):
        compact(request(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no Parquet file"):
        compact(request(tmp_path / "empty"))


def test_files_of_different_settings_are_refused_until_it_is_said_which_are_meant(etl: Command, tmp_path: Path) -> None:
    lines = b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 9_000, 60))
    write_pieces([lines], tmp_path / "set", WHOLE)
    write_pieces([lines], tmp_path / "set", Settings(dedupe=DedupeSettings(strategy="last"), units="aviation"), first=1)
    refused = etl("compact", "set")
    assert refused.code == 2
    assert 'dedupe.strategy is "best_quality" or "last"' in refused.err
    assert "units" not in refused.err, "how rows were read does not matter any more"
    done = etl("compact", "set", "--set", "dedupe.strategy=last", "--compression", "zstd", "--json")
    assert (done.code, done.json["dropped"]) == (0, {"duplicate": 150})
    (path,) = (tmp_path / "set").glob("*.parquet")
    metadata = pq.read_metadata(path)
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert json.loads(metadata.metadata[b"flight_etl.settings"])["dedupe"]["strategy"] == "last"


def test_a_folder_that_is_not_partitioned_becomes_partitioned_when_asked(etl: Command, tmp_path: Path) -> None:
    pieces = split(track("4b1901", MIDNIGHT, MIDNIGHT + 1.5 * DAY_S, 300), 3)
    write_pieces(pieces, tmp_path / "set", WHOLE)
    assert etl("compact", "set", "--partition-by", "date").code == 0
    assert content(tmp_path / "set") == one_run(pieces, tmp_path / "one", BY_DATE)
    assert "nothing to do" in etl("compact", "set", "--partition", "date=2024-03-31").err


def test_what_else_is_in_the_folder_stays(tmp_path: Path) -> None:
    """Notes of people, and what a worker has to remember so that it does no file twice."""
    (tmp_path / "in").mkdir()
    for number, piece in enumerate(split(track("4b1901", MIDNIGHT, MIDNIGHT + 9_000, 60), 2)):
        (tmp_path / f"in/{number}.ndjson").write_bytes(piece)
    worker = FolderWorker(tmp_path / "in", tmp_path / "out", WHOLE, settle_s=0.0)
    worker.work(Stop(after=2))
    (tmp_path / "out/notes.txt").write_text("mine")
    others = {p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.suffix != ".parquet"}
    compact(request(tmp_path / "out"))
    files = {p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert others < files
    assert {p.name for p in files - others if p.suffix != ".parquet"} == {"_compaction.json"}
    assert len([p for p in files if p.suffix == ".parquet"]) == 1
    (tmp_path / "in/2.ndjson").write_bytes(b"".join(track("4b1902", MIDNIGHT, MIDNIGHT + 900, 60)))
    told: list[str] = []
    FolderWorker(tmp_path / "in", tmp_path / "out", WHOLE, settle_s=0.0).work(Stop(after=1), told=told.append)
    assert [line.partition(":")[0] for line in told] == ["2.ndjson"]


def test_the_output_of_a_run_stays_one_that_a_run_replaces(etl: Command, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 900, 60)))
    assert etl("run", "a.ndjson", "-o", "set").code == 0
    report = (tmp_path / "set/_report.json").read_bytes()
    done = etl("compact", "set", "--json")
    assert (done.code, done.json["written"]) == (0, 15)
    assert (tmp_path / "set/_report.json").read_bytes() == report
    assert etl("run", "a.ndjson", "-o", "set", "--overwrite").code == 0
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["_manifest.json", "_report.json", "part-00000.parquet"]


def test_quality_is_that_of_one_run_over_the_same_rows(etl: Command, generated: Callable[..., Path]) -> None:
    lines = generated(8_000).read_bytes().splitlines(keepends=True)
    for number in range(3):
        Path(f"{number}.ndjson").write_bytes(b"".join(lines[number::3]))
        etl("run", *(f"{at}.ndjson" for at in range(number + 1)), "-o", "parts", "--partition-by", "date")
    compacted = etl("compact", "parts", "--json").json["quality"]
    whole = etl("run", *(f"{at}.ndjson" for at in range(3)), "-o", "whole", "--partition-by", "date", "--json").json["quality"]
    assert compacted["rows"] > 0
    told = set(whole) - {"duplicates"}  # those inside of each part were dropped before
    assert {name: compacted[name] for name in told} == {name: whole[name] for name in told}


def test_workers_and_chunks_cannot_be_seen_in_the_quality(etl: Command, generated: Callable[..., Path]) -> None:
    told = [
        etl("run", generated(8_000), "-o", f"out{workers}", "--workers", workers, "--chunk-size", rows, "--json").json["quality"]
        for workers, rows in ((1, 10_000), (3, 333))
    ]
    assert told[0] == told[1]
