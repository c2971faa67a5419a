"""A second run into the same output takes what is new or has changed, and counts every input exactly once."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_compact import BY_DATE, DAY_S, MIDNIGHT, WHOLE, content, one_run, split, track

from flight_etl.errors import SettingsError, StoreError
from flight_etl.runners import local
from flight_etl.runners.compact import CompactRequest, compact
from flight_etl.settings import DedupeSettings, OutputSettings, ResourceSettings, Settings

if TYPE_CHECKING:
    from conftest import Command
    from servers import S3

EVERY_ROW = Settings(dedupe=DedupeSettings(enabled=False), resources=ResourceSettings(workers=1))


def put(folder: Path, name: str, *lines: bytes) -> str:
    """Write an input and name it."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"".join(lines))
    return str(folder / name)


def rows(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


def keys(folder: Path) -> list[tuple[Any, ...]]:
    """Aircraft and time of every row, sorted."""
    tables = [pq.read_table(path, columns=["icao24", "timestamp"], partitioning=None) for path in folder.rglob("*.parquet")]
    return sorted(tuple(row.values()) for row in pa.concat_tables(tables).to_pylist())


def listed(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its inode and content."""
    return {p.relative_to(folder).as_posix(): (p.stat().st_ino, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


A, B, C = (track(code, MIDNIGHT, MIDNIGHT + 3_600, 30) for code in ("4b1901", "4b1902", "4b1903"))


def test_only_new_inputs_are_read_and_the_books_balance(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    put(source, "a.ndjson", *A)
    first = local.run([str(source)], str(out), WHOLE)
    before = listed(out)
    put(source, "b.ndjson", *B, *B[:10])
    second = local.run([str(source)], str(out), WHOLE)
    assert (first.read, second.read, second.written, second.dropped) == (120, 130, 120, {"duplicate": 10})
    assert {Path(one.path).name: (one.skipped, one.read) for one in second.inputs} == {
        "a.ndjson": (True, 0),
        "b.ndjson": (False, 130),
    }
    after = listed(out)
    assert after["part-00000.parquet"] == before["part-00000.parquet"]
    assert rows(out) == 240
    saved = json.loads(after["_report.json"][1])
    assert [one["skipped"] for one in saved["inputs"]] == [False, True]


def test_with_nothing_new_nothing_is_touched(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    put(source, "a.ndjson", *A)
    local.run([str(source)], str(out), WHOLE)
    before = listed(out)
    report = local.run([str(source)], str(out), WHOLE)
    assert (report.read, report.outputs, report.exit_code, [one.skipped for one in report.inputs]) == (0, (), 0, [True])
    assert listed(out) == before


def test_a_changed_input_replaces_the_rows_of_its_old_version(tmp_path: Path) -> None:
    """The inputs that it was read with are read again with it; those of other runs are not."""
    source, out = tmp_path / "in", tmp_path / "out"
    put(source, "a.ndjson", *A)
    put(source, "b.ndjson", *B)
    local.run([str(source)], str(out), WHOLE)
    put(source, "c.ndjson", *C)
    local.run([str(source)], str(out), WHOLE)
    put(source, "b.ndjson", *B[:50])
    report = local.run([str(source / "b.ndjson"), str(source / "c.ndjson")], str(out), WHOLE)
    assert {Path(one.path).name: (one.skipped, one.read) for one in report.inputs} == {
        "a.ndjson": (False, 120),
        "b.ndjson": (False, 50),
        "c.ndjson": (True, 0),
    }
    assert any("1 inputs have changed; 1 are read again" in note for note in report.notes)
    assert rows(out) == 120 + 50 + 120
    assert keys(out) == keys_of(tmp_path, A + B[:50] + C)


def keys_of(tmp_path: Path, lines: list[bytes]) -> list[tuple[Any, ...]]:
    folder = tmp_path / "expected"
    local.run([put(tmp_path, "expected.ndjson", *lines)], str(folder), Settings(output=OutputSettings(overwrite=True)))
    return keys(folder)


def test_an_input_that_is_gone_keeps_its_rows_until_its_files_have_to_be_written_anew(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    put(source, "a.ndjson", *A)
    put(source, "b.ndjson", *B)
    local.run([str(source)], str(out), WHOLE)
    (source / "a.ndjson").unlink()
    put(source, "c.ndjson", *C)
    report = local.run([str(source)], str(out), WHOLE)
    assert any("1 inputs of earlier runs were not named" in note for note in report.notes)
    assert rows(out) == 360
    before = listed(out)
    put(source, "b.ndjson", *B[:50])
    with pytest.raises(SettingsError, match=r"b\.ndjson has changed, and 1 inputs .*a\.ndjson; put them back"):
        local.run([str(source)], str(out), WHOLE)
    assert listed(out) == before


@pytest.mark.parametrize("flags", [("--partition-by", "date"), ("--units", "aviation"), ("--set", "segment.gap_s=600")])
def test_other_settings_are_refused_by_name(etl: Command, tmp_path: Path, flags: tuple[str, str]) -> None:
    put(tmp_path / "in", "a.ndjson", *A)
    assert etl("run", "in", "-o", "out").code == 0
    refused = etl("run", "in", "-o", "out", *flags)
    assert refused.code == 2
    assert all(word in refused.err for word in ("other settings", "was", "--overwrite"))
    assert flags[0].lstrip("-").replace("-", "_") in refused.err or "segment.gap_s" in refused.err
    assert etl("run", "in", "-o", "out", *flags, "--overwrite").code == 0
    assert etl("run", "in", "-o", "out", *flags, "--workers", "1", "--memory-limit-mb", "500").code == 0


def test_an_input_is_known_by_its_real_path(etl: Command, tmp_path: Path) -> None:
    put(tmp_path / "in", "a.ndjson", *A)
    (tmp_path / "link.ndjson").symlink_to(tmp_path / "in/a.ndjson")
    assert etl("run", "in", "-o", "out").code == 0
    for name in (tmp_path / "in", "link.ndjson", "in/../in/a.ndjson"):
        assert etl("run", name, "-o", "out", "--json").json["read"] == 0


def test_the_same_rows_under_another_name_are_kept_as_they_would_be_in_one_run(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    put(source, "a.ndjson", *A)
    for name in ("b.ndjson", "c.ndjson"):
        local.run([str(source)], str(out), EVERY_ROW)
        put(source, name, *A)
    local.run([str(source)], str(out), EVERY_ROW)
    assert rows(out) == 360


def test_a_corrupt_input_is_told_again_and_not_read_again(etl: Command, tmp_path: Path) -> None:
    put(tmp_path / "in", "a.ndjson", *A)
    put(tmp_path / "in", "b.json", b'{"time": 1, "states": [["4b19')
    first = etl("run", "in", "-o", "out", "--json")
    second = etl("run", "in", "-o", "out", "--json")
    assert (first.code, second.code) == (1, 1)
    (told,) = [one for one in second.json["inputs"] if one["error"]]
    assert (told["skipped"], "has not changed" in told["error"], second.json["read"]) == (True, True, 0)
    put(tmp_path / "in", "b.json", *B)
    assert etl("run", "in", "-o", "out", "--json").json["read"] == 240
    assert rows(tmp_path / "out") == 240


def test_an_input_that_could_not_be_read_for_now_is_tried_again(s3: S3, tmp_path: Path) -> None:
    s3.put(**{"in/a.ndjson": b"".join(A), "in/b.ndjson": b"".join(B)})
    from faults import denied

    s3.faults.rule = lambda request: denied if request.path.endswith("b.ndjson") and request.method == "GET" else None
    first = local.run([f"{s3.url}/in/"], str(tmp_path / "out"), WHOLE)
    assert (first.read, first.exit_code) == (120, 1)
    s3.faults.forget()
    second = local.run([f"{s3.url}/in/"], str(tmp_path / "out"), WHOLE)
    assert (second.read, second.exit_code, rows(tmp_path / "out")) == (120, 0, 240)


def test_what_was_dropped_in_every_run_stays_told(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name, lines in (("a.ndjson", A), ("b.ndjson", B)):
        put(source, name, *lines, b'{"timestamp": 1}\n')
        local.run([str(source)], str(out), WHOLE)
    told = [json.loads(line) for path in out.glob("_quarantine*.ndjson") for line in path.read_text().splitlines()]
    assert sorted((Path(one["file"]).name, one["reason"]) for one in told) == [
        ("a.ndjson", "missing_icao24"),
        ("b.ndjson", "missing_icao24"),
    ]
    put(source, "a.ndjson", *A)
    local.run([str(source)], str(out), WHOLE)
    told = [json.loads(line)["file"] for path in out.glob("_quarantine*.ndjson") for line in path.read_text().splitlines()]
    assert [Path(one).name for one in told] == ["b.ndjson"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [WHOLE, BY_DATE], ids=["whole", "by date"])
def test_many_runs_and_compactions_in_between_become_one_run_over_the_last_version_of_all(
    tmp_path: Path, settings: Settings, seed: int
) -> None:
    rng = random.Random(seed)
    lines = track("4b1901", MIDNIGHT - 1_800, MIDNIGHT + 7_200, 30) + track("4b1902", MIDNIGHT, MIDNIGHT + 1.2 * DAY_S, 900)
    pieces = split(lines, 12, seed)
    source, out = tmp_path / "in", tmp_path / "out"
    now: dict[str, bytes] = {}
    for number, piece in enumerate(pieces):
        now[f"{number}.ndjson"] = piece
        put(source, f"{number}.ndjson", piece)
        if rng.random() < 0.2:
            name = rng.choice(sorted(now))
            now[name] = now[name].partition(b"\n")[2]
            put(source, name, now[name])
        if rng.random() < 0.5:
            local.run([str(source)], str(out), settings)
            if rng.random() < 0.4:
                compact(CompactRequest(dataset=str(out)), settings)
    local.run([str(source)], str(out), settings)
    compact(CompactRequest(dataset=str(out)), settings)
    assert content(out) == one_run(now.values(), tmp_path / "one", settings)
    entries = [entry for batch in json.loads((out / "_manifest.json").read_text())["batches"] for entry in batch["inputs"]]
    assert sorted(Path(entry).name for entry in entries) == sorted(now)


def test_in_an_object_store_as_on_disk(etl: Command, s3: S3, tmp_path: Path) -> None:
    pieces = split(track("4b1901", MIDNIGHT - 1_800, MIDNIGHT + 7_200, 30), 3)
    for number, piece in enumerate(pieces):
        s3.put(**{f"in/{number}.ndjson": piece})
        done = etl("run", f"{s3.url}/in/", "-o", f"{s3.url}/out", "--json")
        assert done.code == 0, done.err
        assert sum(one["skipped"] for one in done.json["inputs"]) == number
    before = s3.objects()
    assert etl("run", f"{s3.url}/in/", "-o", f"{s3.url}/out", "--json").json["read"] == 0
    assert s3.objects() == before
    pieces[1] = pieces[1].partition(b"\n")[2]
    s3.put(**{"in/1.ndjson": pieces[1]})
    assert etl("run", f"{s3.url}/in/", "-o", f"{s3.url}/out").code == 0
    assert etl("compact", f"{s3.url}/out").code == 0
    (compacted,) = [body for key, body in s3.objects().items() if key.endswith(".parquet")]
    assert {".": [compacted]} == one_run(pieces, tmp_path / "one", WHOLE)
    assert etl("run", f"{s3.url}/in/", "-o", f"{s3.url}/out", "--json").json["read"] == 0
    assert ".flight-etl-journal.json" not in "".join(s3.objects())


def test_of_two_runs_into_a_bucket_at_once_one_publishes(s3: S3, tmp_path: Path) -> None:
    local.run([put(tmp_path, "a.ndjson", *A)], f"{s3.url}/out", WHOLE)
    inputs = [put(tmp_path, "b.ndjson", *B), put(tmp_path, "c.ndjson", *C)]
    both = threading.Barrier(2)
    failed: list[StoreError] = []

    def run(name: str) -> None:
        both.wait()
        try:
            local.run([name], f"{s3.url}/out", WHOLE)
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in inputs:  # who was refused tries again
        local.run([name], f"{s3.url}/out", WHOLE)
    assert all("try again" in str(error) for error in failed)
    found = [body for key, body in s3.objects().items() if key.endswith(".parquet")]
    assert sum(pq.read_metadata(pa.BufferReader(body)).num_rows for body in found) == 360
