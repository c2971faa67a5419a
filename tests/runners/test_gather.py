"""Rows come out in one order whatever was in memory, on disk, or cut where."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.core import extras
from flight_etl.core.order import address_codes, block_starts, sort_rows, timestamps_ms
from flight_etl.runners.blocks import whole_blocks
from flight_etl.runners.gather import Gather
from flight_etl.schema import NORMAL, arrow_schema
from flight_etl.settings import SegmentSettings

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000_000  # ms


def rows(count: int, *, aircraft: int, seed: int, step_s: int = 10) -> pa.Table:
    """Rows in random order, some of them with equal keys, with one extra column whose type drifts."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, aircraft, count)
    columns = {
        "icao24": pa.array([("~" if c % 7 == 0 else "") + f"{0xABC000 + c:06x}" for c in codes]).dictionary_encode(),
        "timestamp": pa.array(START + rng.integers(0, max(count // 2, 1), count) * 1000 * step_s, pa.timestamp("ms", tz="UTC")),
        "altitude": pa.array(rng.integers(0, 400, count) * 7.62),
    }
    schema = arrow_schema(NORMAL)
    table = pa.table([columns.get(f.name, pa.nulls(count, f.type)) for f in schema], schema=schema)
    table = table.append_column("_input", pa.array(np.zeros(count, np.int32)))
    table = table.append_column("_record", pa.array(np.arange(count)))
    table = table.append_column("_offset", pa.array(np.arange(count) * 100))
    kinds = {b"kinds": b"1"}
    return table.append_column(pa.field("x:rssi", pa.int64(), metadata=kinds), pa.array(rng.integers(-30, 0, count)))


def gathered(table: pa.Table, path: Path, *, chunk: int, held: int, run: int, range_rows: int) -> tuple[pa.Table, Gather]:
    """Put a table through a Gather in chunks."""
    path.mkdir(exist_ok=True)
    gather = Gather(path, held_bytes=held, run_bytes=run)
    for begin in range(0, table.num_rows, chunk):
        gather.add(table.slice(begin, chunk))
    plan = extras.plan(gather.kinds, max_columns=256, reserved=set(table.column_names))
    parts = list(gather.ranges(plan, rows=range_rows))
    return pa.concat_tables(parts).unify_dictionaries().combine_chunks(), gather


def plain(table: pa.Table) -> pa.Table:
    """Drop dictionaries and names of extras, which are not under test."""
    words = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    for name in words:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.string()))
    return table.rename_columns([n.removeprefix("x:") for n in table.column_names]).replace_schema_metadata().combine_chunks()


@pytest.mark.parametrize(
    ("chunk", "held", "run", "range_rows"),
    [(10_000, 1 << 30, 1 << 30, 10**6), (999, 1 << 30, 300_000, 4_000), (500, 0, 200_000, 3_000), (3_000, 900_000, 150_000, 700)],
)
def test_neither_memory_nor_chunks_nor_ranges_change_the_order(
    tmp_path: Path, chunk: int, held: int, run: int, range_rows: int
) -> None:
    table = rows(20_000, aircraft=40, seed=1)
    expected = plain(sort_rows(table))
    got, gather = gathered(table, tmp_path / "spill", chunk=chunk, held=held, run=run, range_rows=range_rows)
    assert plain(got).equals(expected)
    assert (gather.spilled_runs > 0) == (held < 1 << 30)
    assert not list((tmp_path / "spill").iterdir())


def test_more_runs_than_can_be_read_side_by_side_are_merged_first(tmp_path: Path) -> None:
    table = rows(30_000, aircraft=11, seed=2)
    got, gather = gathered(table, tmp_path / "spill", chunk=250, held=0, run=1, range_rows=2_000)
    assert gather.spilled_runs > 120
    assert plain(got).equals(plain(sort_rows(table)))


def test_rows_with_equal_keys_come_in_one_range(tmp_path: Path) -> None:
    table = rows(9_000, aircraft=2, seed=3)
    gather = Gather(tmp_path, held_bytes=0, run_bytes=100_000)
    gather.add(table)
    last = None
    for part in gather.ranges(extras.plan(gather.kinds, max_columns=256, reserved=set()), rows=100):
        first = (part["icao24"][0].as_py(), part["timestamp"][0])
        assert first != last
        last = (part["icao24"][-1].as_py(), part["timestamp"][-1])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 400), st.integers(1, 300), st.integers(1, 300), st.integers(5, 60), st.integers(0, 99))
def test_blocks_are_the_same_however_the_rows_were_cut_before(
    cut: int, rows_at_once: int, other: int, max_rows: int, seed: int
) -> None:
    table = sort_rows(rows(300, aircraft=3, seed=seed, step_s=30))
    wanted = SegmentSettings(gap_s=120, block_gap_s=120, max_flight_rows=max_rows)
    codes, times = address_codes(table["icao24"]), timestamps_ms(table["timestamp"])
    starts = set(np.flatnonzero(block_starts(codes, times, wanted)).tolist())
    for size in (cut, other):
        tables = [table.slice(at, size) for at in range(0, 300, size)]
        blocks = list(whole_blocks(_aligned(tables), wanted, rows=rows_at_once))
        edges = np.cumsum([0] + [b.num_rows for b in blocks]).tolist()
        assert edges[-1] == 300
        assert set(edges[:-1]) <= starts
        assert plain(pa.concat_tables(blocks).unify_dictionaries()).equals(plain(table))


def _aligned(tables: list[pa.Table]) -> list[pa.Table]:
    """Move rows with equal keys into one table, as a Gather gives them."""
    joined = pa.concat_tables(tables)
    key = list(zip(joined["icao24"].to_pylist(), joined["timestamp"].to_pylist(), strict=True))
    edges, at = [0], 0
    for table in tables[:-1]:
        at += table.num_rows
        while at < len(key) and key[at] == key[at - 1]:
            at += 1
        if edges[-1] < at < len(key):
            edges.append(at)
    edges.append(len(key))
    return [joined.slice(a, b - a) for a, b in pairwise(edges)]
