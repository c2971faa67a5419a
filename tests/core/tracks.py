"""NORMAL tables by hand: rows of tracks as the track stages get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flight_etl.core.dedupe import mark_stale
from flight_etl.core.order import mark_blocks, sort_rows
from flight_etl.core.segment import segment
from flight_etl.schema import NORMAL
from flight_etl.settings import SegmentSettings, StaleSettings
from flight_etl.units import METRES_PER_SECOND_PER_KNOT

if TYPE_CHECKING:
    from collections.abc import Sequence

START_MS = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
START = "20231114T221320Z"
_SHORT = {"icao24": "4b1901", "address_type": "icao", "_input": 0}


def row(s: float = 0.0, *, kt: float | None = None, **values: Any) -> dict[str, Any]:
    """One row, `s` seconds after the start and at `kt` knots; the rest by column names, `heard` being a position_time in s."""
    if kt is not None:
        values["velocity"] = kt * METRES_PER_SECOND_PER_KNOT
    if "heard" in values:
        values["position_time"] = START_MS + round(values.pop("heard") * 1000)
    return _SHORT | {"timestamp": START_MS + round(s * 1000), "s": s} | values


def rows_table(*rows: dict[str, Any]) -> pa.Table:
    """NORMAL table of such rows with provenance, in the order given."""
    schema = {c.name: c.type for c in NORMAL} | {"_input": pa.int32(), "_record": pa.int64(), "_offset": pa.int64()}
    numbered = [{"_record": at} | given for at, given in enumerate(rows)]
    numbered = [{"_offset": 100 * given["_record"]} | given for given in numbered]
    unknown = {name for given in numbered for name in given} - set(schema) - {"s"}
    assert not unknown, unknown
    return pa.table({name: _column([given.get(name) for given in numbered], type_) for name, type_ in schema.items()})


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(values, type_.value_type).dictionary_encode() if pa.types.is_dictionary(type_) else pa.array(values, type_)


def in_blocks(*rows: dict[str, Any], settings: SegmentSettings | None = None) -> pa.Table:
    """Sort the rows and number their blocks, as the stage `sort` does."""
    return mark_blocks(sort_rows(rows_table(*rows)), settings or SegmentSettings())


def in_flights(*rows: dict[str, Any], settings: SegmentSettings | None = None) -> pa.Table:
    """Do all that precedes imputation, but for dropping duplicates."""
    chosen = settings or SegmentSettings()
    return segment(mark_stale(in_blocks(*rows, settings=chosen), StaleSettings()).kept, chosen).kept


def column(table: pa.Table, name: str) -> list[Any]:
    """Values of a column; times in s after the start."""
    if pa.types.is_timestamp(table[name].type):
        return [None if v is None else (v - START_MS) / 1000 for v in table[name].cast(pa.int64()).to_pylist()]
    values: list[Any] = table[name].to_pylist()
    return values


def same_rows(one: pa.Table, other: pa.Table, *, but: Sequence[str] = ()) -> bool:
    """Whether two tables hold the same values in the same order, whatever their chunks and dictionaries."""
    names = [name for name in one.column_names if name not in but]
    if names != [name for name in other.column_names if name not in but]:
        return False
    return bool(one.select(names).to_pylist() == other.select(names).to_pylist())
