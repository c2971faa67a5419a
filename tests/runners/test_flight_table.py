"""`--flights`: one row for each flight of the whole data set, whatever wrote which part of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import flight_etl
from flight_etl.runners import flight_table
from flight_etl.runners.flight_table import write_flights
from flight_etl.schema import FLIGHTS, arrow_schema
from flight_etl.settings import ResourceSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command


def expected(folder: str) -> pa.Table:
    """What the library makes of all rows of a data set in memory."""
    rows = ds.dataset(folder, exclude_invalid_files=True).to_table().unify_dictionaries().combine_chunks()
    keys = pa.table({"flight": rows["flight_id"].cast(pa.string()), "time": rows["timestamp"]})
    order = pc.sort_indices(keys, sort_keys=[("flight", "ascending"), ("time", "ascending")])
    return flight_etl.flights(rows.take(order))


def test_a_run_writes_it_beside_the_data_set(etl: Command, generated: Callable[..., Path]) -> None:
    done = etl("run", generated(6_000), "-o", "out", "--flights", "flights.parquet", "--json")
    report, table = done.json, pq.read_table("flights.parquet")
    assert report["flight_table"] == "flights.parquet"
    assert (table.num_rows, sum(table["rows"].to_pylist())) == (report["flights"], report["written"])
    assert table.equals(expected("out"))
    assert table.schema.equals(arrow_schema(FLIGHTS), check_metadata=False)
    assert table["flight_id"].to_pylist() == sorted(table["flight_id"].to_pylist())
    names = {path.name for path in Path().iterdir()}
    assert names == {"out", "flights.parquet"}
    assert "flights: flights.parquet" in etl("run", generated(6_000), "-o", "o2", "--flights", "flights.parquet").out


def test_days_are_put_together_and_memory_cannot_be_seen(
    etl: Command, generated: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    etl("run", generated(20_000, interval_s=60), "-o", "out", "--flights", "a.parquet", "--partition-by", "date")
    assert len(list(Path("out").glob("date=*"))) > 1
    table = pq.read_table("a.parquet")
    ends = zip(table["first_time"].to_pylist(), table["last_time"].to_pylist(), strict=True)
    assert any(one.date() != other.date() for one, other in ends)
    assert table.equals(expected("out"))
    monkeypatch.setattr(flight_table, "_LEAST_ROWS", 300)
    monkeypatch.setattr(flight_table, "_ROW_BYTES", 10**9)
    write_flights("out", "b.parquet", Settings(resources=ResourceSettings(memory_limit_mb=384)))
    assert Path("b.parquet").read_bytes() == Path("a.parquet").read_bytes()


def test_after_an_incremental_run_it_speaks_of_all_runs_and_also_when_nothing_was_new(
    etl: Command, generated: Callable[..., Path]
) -> None:
    one, two = generated(3_000), generated(3_000, layout="readsb", suffix=".json.gz", seed=9)
    etl("run", one, "-o", "out")
    etl("run", one, two, "-o", "out", "--flights", "f.parquet")
    first = Path("f.parquet").read_bytes()
    assert pq.read_table("f.parquet").equals(expected("out"))
    assert sum(pq.read_table("f.parquet")["rows"].to_pylist()) == ds.dataset("out", exclude_invalid_files=True).count_rows()
    assert etl("run", one, two, "-o", "out", "--flights", "f.parquet", "--json").json["written"] == 0
    assert Path("f.parquet").read_bytes() == first


def test_after_a_compaction_it_is_that_of_one_run(etl: Command, generated: Callable[..., Path]) -> None:
    lines = generated(8_000).read_bytes().splitlines(keepends=True)
    for number in range(2):
        Path(f"{number}.ndjson").write_bytes(b"".join(lines[number::2]))
        etl("run", *(f"{at}.ndjson" for at in range(number + 1)), "-o", "parts")
    done = etl("compact", "parts", "--flights", "compacted.parquet", "--json")
    assert done.json["flight_table"] == "compacted.parquet"
    etl("run", "0.ndjson", "1.ndjson", "-o", "whole", "--flights", "whole.parquet")
    assert pq.read_table("compacted.parquet").equals(pq.read_table("whole.parquet"))


def test_the_library_writes_it_as_well(generated: Callable[..., Path], tmp_path: Path) -> None:
    report = flight_etl.run(generated(2_000), tmp_path / "out", flights=tmp_path / "f.parquet")
    assert report.flight_table == str(tmp_path / "f.parquet")
    assert pq.read_metadata(tmp_path / "f.parquet").num_rows == report.flights


@pytest.mark.parametrize(
    "place", ["out/flights.parquet", "out/date=2024-01-01/x.parquet", "sub/../out/f.parquet", "f.csv", "s3://b/o/f"]
)
def test_a_place_inside_of_the_data_set_is_refused_before_anything_is_done(
    etl: Command, generated: Callable[..., Path], place: str
) -> None:
    done = etl("run", generated(2_000), "-o", "out", "--flights", place)
    assert (done.code, "is not permitted" in done.err) == (2, True)
    assert not Path("out").exists()


def test_a_file_that_is_no_such_table_is_not_replaced(etl: Command, generated: Callable[..., Path]) -> None:
    pq.write_table(pa.table({"mine": [1]}), "f.parquet")
    done = etl("run", generated(2_000), "-o", "out", "--flights", "f.parquet")
    assert (done.code, "no table of flights" in done.err) == (2, True)
    assert pq.read_table("f.parquet").column_names == ["mine"]


def test_when_every_input_fails_there_is_none(etl: Command) -> None:
    Path("page.json").write_text("<html>")
    assert etl("run", "page.json", "-o", "out", "--flights", "f.parquet").code == 1
    assert not Path("f.parquet").exists()


def test_inputs_without_a_row_give_a_table_without_one(etl: Command) -> None:
    Path("none.json").write_text(json.dumps({"time": 1_700_000_000, "states": None}))
    assert etl("run", "none.json", "-o", "out", "--flights", "f.parquet").code == 0
    assert pq.read_table("f.parquet").num_rows == 0
