"""What holds for every table of rows that goes through the record stages, whatever it contains."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.core.clean import clean
from flight_etl.core.decode.layout import Field, Kind
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.core.normalise import normalise
from flight_etl.core.select import select
from flight_etl.outcome import Outcome, add_counts
from flight_etl.schema import DROPPED_SCHEMA, NORMAL
from flight_etl.settings import CleanSettings, FilterSettings, NormaliseSettings

_NOW = 1_700_000_000_000  # ms
_TYPES = {
    Kind.NUMBER: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.BOOL: pa.bool_(),
    Kind.ALTITUDE: pa.float64(),
    Kind.TIME: pa.int64(),
}
_NUMBERS = [None, 0.0, -0.0, 1.0, 45.5, -91.0, 179.9, 360.0, 2048.0, 40_000.0, -1e6, 1e300, math.nan, math.inf]
_WORDS = [
    *(None, "", " ", "4b1901", "~4B1901", "ABCDEF ", "10123", "zz", "7700", "241", "A3", "0", "3"),
    *("adsb_icao", "mlat", "SWR8AB  ", '["lat"]', "[]"),
]
_TIMES = [None, 0, _NOW, _NOW - 5000, _NOW + 10**6, -(2**63), 2**63 - 1]
_VALUES: dict[Kind, list[Any]] = {
    Kind.NUMBER: _NUMBERS,
    Kind.ALTITUDE: _NUMBERS,
    Kind.TEXT: _WORDS,
    Kind.TIME: [*_TIMES, *[_NOW] * 10],
    Kind.BOOL: [None, True, False],
}
_FILTER = FilterSettings(icao24=("4b1901", "010123"), bbox=(170.0, -10.0, 50.0, 50.0), end_ms=_NOW + 1)


def _values(field: Field) -> list[Any]:
    """Address and time are mostly there, or no row would get past them."""
    return [*_WORDS, *["4b1901"] * 20] if field.target == "icao24" else _VALUES[field.kind]


@st.composite
def _raw(draw: st.DrawFn) -> tuple[str, pa.Table]:
    """Layout and RAW rows; a seed decides the values, since drawing each of some hundred would take seconds."""
    name, rows = draw(st.sampled_from(sorted(LAYOUTS))), draw(st.integers(0, 12))
    random = Random(draw(st.integers(0, 2**32)))
    columns = {"_record": pa.array(range(rows), pa.int64()), "_offset": pa.array(range(rows), pa.int64())}
    for field in LAYOUTS[name].fields:
        if random.random() < 0.8:
            values = random.choices(_values(field), k=rows)
            columns[field.name] = pa.array(values, _TYPES[field.kind])
            if field.kind is Kind.ALTITUDE:
                columns[f"{field.name}_ground"] = pa.array([value is None for value in values], pa.bool_())
    columns["x:rssi"] = pa.array(range(rows), pa.int64())
    return name, pa.table(columns)


def _stages(layout: str, raw: pa.Table) -> Outcome:
    one = normalise(raw, NormaliseSettings(layout=layout, units="aviation"))
    two = clean(one.kept, CleanSettings())
    three = select(two.kept, _FILTER)
    dropped = pa.concat_tables([one.dropped, two.dropped, three.dropped])
    return Outcome(three.kept, dropped.sort_by("_record"), add_counts([one.counts, two.counts, three.counts]))


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.sort_by("_record").to_pylist()
    return rows


@settings(max_examples=150, deadline=None)
@given(_raw())
def test_every_row_is_kept_or_dropped_with_a_reason(case: tuple[str, pa.Table]) -> None:
    layout, raw = case
    outcome = _stages(layout, raw)
    assert sorted(outcome.kept["_record"].to_pylist() + outcome.dropped["_record"].to_pylist()) == list(range(raw.num_rows))
    assert outcome.dropped.schema == DROPPED_SCHEMA
    assert outcome.dropped["reason"].null_count == 0
    assert [outcome.kept.schema.field(c.name).type for c in NORMAL] == [c.type for c in NORMAL]
    assert outcome.kept.column_names == [c.name for c in NORMAL] + ["_record", "_offset", "x:rssi"]


@settings(max_examples=100, deadline=None)
@given(_raw(), st.integers(0, 12), st.integers(0, 99))
def test_chunks_and_their_order_do_not_matter(case: tuple[str, pa.Table], cut: int, seed: int) -> None:
    layout, raw = case
    whole = _stages(layout, raw)
    parts = [_stages(layout, raw.slice(0, cut)), _stages(layout, raw.slice(cut))]
    assert _plain(pa.concat_tables([part.kept for part in parts])) == _plain(whole.kept)
    assert _plain(pa.concat_tables([part.dropped for part in parts])) == _plain(whole.dropped)
    assert add_counts(part.counts for part in parts) == whole.counts
    order = list(range(raw.num_rows))
    Random(seed).shuffle(order)
    shuffled = _stages(layout, pa.concat_tables([raw.take(pa.array(part, pa.int64())) for part in (order[:cut], order[cut:])]))
    assert _plain(shuffled.kept) == _plain(whole.kept)
    assert _plain(shuffled.dropped) == _plain(whole.dropped)
    assert shuffled.counts == whole.counts


@settings(max_examples=100, deadline=None)
@given(_raw())
def test_cleaning_twice_changes_nothing_more(case: tuple[str, pa.Table]) -> None:
    layout, raw = case
    once = clean(normalise(raw, NormaliseSettings(layout=layout)).kept, CleanSettings())
    twice = clean(once.kept, CleanSettings())
    assert twice.kept.equals(once.kept)
    assert twice.dropped.num_rows == 0
    assert not [name for name in twice.counts if name.startswith("nulled.")]


@settings(max_examples=100, deadline=None)
@given(_raw())
def test_no_number_is_nan_and_no_position_is_half(case: tuple[str, pa.Table]) -> None:
    layout, raw = case
    kept = clean(normalise(raw, NormaliseSettings(layout=layout)).kept, CleanSettings()).kept
    for field in kept.schema:
        if pa.types.is_floating(field.type):
            assert all(math.isfinite(value) for value in kept[field.name].to_pylist() if value is not None)
    assert kept["latitude"].is_valid().equals(kept["longitude"].is_valid())
    assert all(0 <= heading < 360 for heading in kept["heading"].to_pylist() if heading is not None)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_null_in_null_out(layout: str) -> None:
    """A row of which only address and time are known has nothing else known about it afterwards."""
    columns = {"_record": pa.array([0]), "_offset": pa.array([0])}
    for field in LAYOUTS[layout].fields:
        columns[field.name] = pa.nulls(1, _TYPES[field.kind])
        if field.kind is Kind.TIME and field.target in (None, "timestamp"):
            columns[field.name] = pa.array([_NOW])
        if field.target == "icao24" or field.name == "offset":
            columns[field.name] = pa.array(["4b1901"] if field.kind is Kind.TEXT else [0.0])
    kept = normalise(pa.table(columns), NormaliseSettings(layout=layout)).kept
    (row,) = clean(kept, CleanSettings()).kept.to_pylist()
    known = {name for name, value in row.items() if value is not None}
    assert known - {"position_time"} == {"icao24", "address_type", "timestamp", "_record", "_offset"}
    assert ("position_time" in known) == LAYOUTS[layout].position_at_timestamp
