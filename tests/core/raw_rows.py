"""RAW tables by hand: what a decoder would give for the fields of a layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.core.normalise import normalise
from flight_etl.settings import NormaliseSettings

if TYPE_CHECKING:
    from flight_etl.outcome import Outcome

_TYPES = {
    Kind.NUMBER: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.BOOL: pa.bool_(),
    Kind.ALTITUDE: pa.float64(),
    Kind.TIME: pa.int64(),
}


def raw_rows(layout: str, *rows: dict[str, Any]) -> pa.Table:
    """One RAW row for each dict of field name -> value; times in ms, the altitude may be "ground"."""
    unknown = {name for row in rows for name in row} - {field.name for field in LAYOUTS[layout].fields}
    assert not unknown, unknown
    columns: dict[str, pa.Array] = {
        "_record": pa.array(range(len(rows)), pa.int64()),
        "_offset": pa.array(range(0, 10 * len(rows), 10), pa.int64()),
    }
    for field in LAYOUTS[layout].fields:
        values = [row.get(field.name) for row in rows]
        if field.kind is Kind.ALTITUDE:
            columns[f"{field.name}_ground"] = pa.array([v == "ground" for v in values], pa.bool_())
            values = [None if v == "ground" else v for v in values]
        columns[field.name] = pa.array(values, _TYPES[field.kind])
    return pa.table(columns)


def normal(layout: str, *rows: dict[str, Any], units: Any = "si") -> Outcome:
    """Outcome of normalise for such rows."""
    return normalise(raw_rows(layout, *rows), NormaliseSettings(layout=layout, units=units))


def normal_row(layout: str, row: dict[str, Any], *, units: Any = "si") -> dict[str, Any]:
    """Give the NORMAL row that one such row becomes; times in ms."""
    kept = normal(layout, row, units=units).kept
    for at, field in enumerate(kept.schema):
        if pa.types.is_timestamp(field.type):
            kept = kept.set_column(at, field.name, kept[field.name].cast(pa.int64()))
    (only,) = kept.to_pylist()
    return dict(only)
