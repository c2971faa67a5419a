"""`convert`: record stages only, rows in the order of the input, one file with its companions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from flight_etl.schema import NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command


def test_rows_keep_the_order_of_the_input_and_duplicates(etl: Command, generated: Callable[..., Path]) -> None:
    sample = generated(1_000, seed=9)
    report = etl("convert", sample, "out.parquet", "--json").json
    assert (report["read"], report["written"], report["outputs"]) == (1_000, 1_000, ["out.parquet"])
    wanted = [json.loads(line) for line in sample.read_bytes().splitlines()]
    table = pq.read_table("out.parquet")
    assert table["icao24"].to_pylist() == [record["icao24"] for record in wanted]
    assert [round(t.timestamp()) for t in table["timestamp"].to_pylist()] == [record["timestamp"] for record in wanted]
    assert table.column_names[: len(NORMAL)] == [column.name for column in NORMAL]
    assert report["flights"] == 0


@pytest.mark.parametrize("flags", [["--chunk-size", "1"], ["--chunk-size", "33", "--workers", "3"], ["--memory-limit-mb", "384"]])
def test_the_file_is_the_same_whatever_the_chunks_workers_and_memory(
    etl: Command, generated: Callable[..., Path], flags: list[str]
) -> None:
    sample = generated(200, seed=9)
    etl("convert", sample, "plain.parquet")
    etl("convert", sample, "other.parquet", *flags)
    assert Path("plain.parquet").read_bytes() == Path("other.parquet").read_bytes()


@pytest.mark.parametrize("keys", [0, 2, 9])
def test_keys_that_come_late_do_not_show_in_the_file(etl: Command, keys: int) -> None:
    """Rows are written while others are read; a column that appears later is as if it had been there from the first row."""
    lines = [{"icao24": "abc001", "timestamp": 1_700_000_000 + n} | {f"k{n * keys // 4_000}": n} for n in range(4_000)]
    Path("in.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    etl("convert", "in.ndjson", "plain.parquet")
    etl("convert", "in.ndjson", "other.parquet", "--chunk-size", "90", "--workers", "2", "--set", "output.row_group_rows=1000")
    etl("convert", "in.ndjson", "again.parquet", "--set", "output.row_group_rows=1000")
    assert Path("other.parquet").read_bytes() == Path("again.parquet").read_bytes()
    assert pq.read_table("other.parquet").equals(pq.read_table("plain.parquet"))
    assert [name for name in pq.read_schema("other.parquet").names if name.startswith("k")] == [
        f"k{n}" for n in range(max(keys, 1))
    ]


def test_dropped_records_go_to_a_quarantine_of_the_files_own_name(etl: Command) -> None:
    Path("in.json").write_text('[{"icao24":"abc001","timestamp":1700000000},{"icao24":"nothex","timestamp":1}]')
    report = etl("convert", "in.json", "out.parquet", "--json").json
    assert (report["read"], report["written"], report["dropped"]) == (2, 1, {"bad_icao24": 1})
    assert sorted(path.name for path in Path().iterdir()) == [
        "in.json",
        "out.parquet",
        "out.quarantine.ndjson",
        "out.report.json",
    ]
    assert json.loads(Path("out.report.json").read_bytes()) == report
    line = json.loads(Path("out.quarantine.ndjson").read_bytes())
    assert (line["reason"], line["file"], line["record"]) == ("bad_icao24", "in.json", 1)


def test_a_file_that_exists_is_replaced_only_when_asked(etl: Command, generated: Callable[..., Path]) -> None:
    one, two = generated(200, seed=9), generated(100, seed=20)
    etl("convert", one, "out.parquet")
    before = Path("out.parquet").read_bytes()
    done = etl("convert", two, "out.parquet")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "--overwrite" in done.err
    assert Path("out.parquet").read_bytes() == before
    assert etl("convert", two, "out.parquet", "--overwrite").code == 0
    assert pq.read_metadata("out.parquet").num_rows == 100


def test_a_folder_or_partitions_cannot_be_one_file(etl: Command, generated: Callable[..., Path]) -> None:
    Path("folder").mkdir()
    assert etl("convert", generated(100, seed=20), "folder").code == 2
    Path("flight-etl.toml").write_text('[output]\npartition_by = "date"\n')
    done = etl("convert", generated(100, seed=20), "out.parquet")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "partition" in done.err
    assert sorted(path.name for path in Path().iterdir()) == ["flight-etl.toml", "folder"]
