"""Dropped rows can be found again: one line each, with reason and place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_etl.errors import NotFound, StoreError
from flight_etl.schema import DROPPED_SCHEMA, empty_dropped
from flight_etl.store.quarantine import QuarantineWriter

TIME_MS = 1_633_608_773_123


def dropped(*rows: dict[str, Any]) -> pa.Table:
    """Dropped rows; what is not named has a plain value."""
    plain = {"_record": 7, "_offset": 99, "_input": 0, "reason": "bad_json", "detail": None, "icao24": None, "timestamp": None}
    return pa.Table.from_pylist([plain | row for row in rows], schema=DROPPED_SCHEMA)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_what_where_and_when(tmp_path: Path) -> None:
    writer = QuarantineWriter(tmp_path / "q.ndjson")
    rows = dropped({}, {"_input": 1, "reason": "duplicate", "detail": "x", "icao24": "abcdef", "timestamp": TIME_MS})
    writer.write(rows, ["a.json", "b.json"])
    writer.write(rows.slice(1), ["a.json", "b.json"])
    writer.close()
    found = lines(tmp_path / "q.ndjson")
    assert list(found[0]) == ["reason", "detail", "file", "offset", "record", "icao24", "timestamp"]
    assert list(found[0].values()) == ["bad_json", None, "a.json", 99, 7, None, None]
    assert list(found[1].values()) == ["duplicate", "x", "b.json", 99, 7, "abcdef", "2021-10-07T12:12:53.123Z"]
    assert found[2] == found[1]
    assert writer.rows == 3


def test_no_rows_no_file_and_filtered_rows_are_not_faulty(tmp_path: Path) -> None:
    writer = QuarantineWriter(tmp_path / "q.ndjson")
    writer.write(empty_dropped(), [])
    writer.write(dropped({"reason": "filtered"}), ["a.json"])
    writer.close()
    assert not list(tmp_path.iterdir())


@given(st.lists(st.tuples(st.text(), st.text(min_size=1), st.integers(-(10**14), 10**14)), min_size=1, max_size=20))
def test_any_text_and_time_survives(tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, str, int]]) -> None:
    path = tmp_path_factory.mktemp("q") / "q.ndjson"
    writer = QuarantineWriter(path)
    writer.write(
        dropped(*({"detail": d, "_input": n, "timestamp": t} for n, (d, _, t) in enumerate(values))), [v[1] for v in values]
    )
    writer.close()
    found = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert [(line["detail"], line["file"]) for line in found] == [(d, name) for d, name, _ in values]
    assert all(line["timestamp"].endswith("Z") for line in found)


def test_how_rows_are_cut_cannot_be_seen(tmp_path: Path) -> None:
    rows = dropped(*({"_record": n, "detail": str(n % 3)} for n in range(40_000)))
    for name, step in (("one", 40_000), ("many", 7_001)):
        writer = QuarantineWriter(tmp_path / name)
        for begin in range(0, rows.num_rows, step):
            writer.write(rows.slice(begin, step), ["a.json"])
        writer.close()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()
    assert [line["record"] for line in lines(tmp_path / "one")] == list(range(40_000))


def test_a_full_disk_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No space left.*name another place"):
        QuarantineWriter(Path("/dev/full")).write(dropped({}), ["a.json"])
    with pytest.raises(NotFound):
        QuarantineWriter(tmp_path / "none/q.ndjson").write(dropped({}), ["a.json"])
