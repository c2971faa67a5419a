"""Tables from elsewhere as RAW rows of the flat layout, so that rows in memory take the same way as rows from a file.

Columns are found by name: by the name of the NORMAL column, which is then in its unit (SI), or else by the keys of the flat
layout, in the units that these stand for. All other columns are extra ones; they are carried along and come out as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core import extras
from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.core.decode.values import RAW_TYPES, column_of, ground_of
from flight_etl.errors import InputError
from flight_etl.schema import BLOCK, ENRICHED, ENRICHED_ONLY, EXTRA_PREFIX, INPUT, NORMAL, OFFSET, PROVENANCE, RECORD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.core.decode.layout import Field

__all__ = ["LAYOUT", "Adopted", "adopt", "release"]

LAYOUT: Final = "flat"  # whose keys and rules hold for adopted tables

_NORMAL_NAMES: Final = frozenset(column.name for column in NORMAL)
_DERIVED: Final = frozenset(column.name for column in ENRICHED_ONLY)
_RESERVED: Final = frozenset({*(column.name for column in ENRICHED), *PROVENANCE})


@dataclass(frozen=True, slots=True)
class Adopted:
    """RAW rows; the extra columns as they came, by their names in flight; and how many values were unreadable."""

    raw: pa.Table
    extras: Mapping[str, tuple[pa.Field, pa.ChunkedArray]]
    counts: Mapping[str, int]


def adopt(table: pa.Table, *, max_extra_columns: int) -> Adopted:
    """Read the columns of `table` as the fields of the flat layout.

    Times may be timestamps of any unit and zone (without a zone: UTC), numbers since 1970 or ISO 8601 text. Columns that are
    missing are null. Provenance is kept; without it rows are numbered. Derived columns of an enriched table are left out,
    since they are derived anew. Raises InputError where two columns have one name.
    """
    names = table.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"columns {', '.join(twice)} are there more than once; rename or drop all but one")
    table = _settled(table, max_extra_columns)
    columns: dict[str, pa.Array | pa.ChunkedArray] = _provenance(table)
    counts: dict[str, int] = {}
    used = {*PROVENANCE, BLOCK, "address_type"}
    for field in LAYOUTS[LAYOUT].fields:
        keys = _keys(field, frozenset(table.column_names))
        if keys:
            columns |= _raw_columns([table[key] for key in keys], field, counts)
            used |= set() if field.keep else set(keys)
    used |= {name for name in table.column_names if name in _DERIVED}
    carried = {EXTRA_PREFIX + name: (table.schema.field(name), table[name]) for name in table.column_names if name not in used}
    columns |= {name: _in_flight(column) for name, (_, column) in carried.items()}
    return Adopted(pa.table(columns), carried, counts)


def release(table: pa.Table, adopted: Adopted, schema: pa.Schema) -> pa.Table:
    """Columns of `schema`, then the extra ones as they were adopted: nothing that is there only in flight."""
    declared = table.select(schema.names).cast(schema)
    for name, (field, column) in adopted.extras.items():
        moved = table[name]
        declared = declared.append_column(field, moved if _sorts(column.type) else column.take(moved))
    return declared


def _settled(table: pa.Table, max_columns: int) -> pa.Table:
    """Give the extra columns of a table in flight their final names and types."""
    if not any(name.startswith(EXTRA_PREFIX) for name in table.column_names):
        return table
    return extras.conform(table, extras.plan(extras.kinds(table.schema), max_columns=max_columns, reserved=_RESERVED))


def _provenance(table: pa.Table) -> dict[str, pa.Array | pa.ChunkedArray]:
    rows = table.num_rows
    own = {
        INPUT: pa.array(np.zeros(rows, np.int32)),
        RECORD: pa.array(np.arange(rows)),
        OFFSET: pa.array(np.zeros(rows, np.int64)),
    }
    return {name: table[name].cast(made.type) if name in table.column_names else made for name, made in own.items()}


def _keys(field: Field, names: frozenset[str]) -> list[str]:
    """Columns of a field, best first. Where the NORMAL column is there, it alone counts: other names are extra columns then."""
    if field.path or field.target is None:
        return []
    if field.target in names:
        return [field.target] if field.target in field.keys else []
    return [key for key in field.keys if key in names]


def _raw_columns(columns: list[pa.ChunkedArray], field: Field, counts: dict[str, int]) -> dict[str, pa.ChunkedArray]:
    read, ground = [], []
    for column in columns:
        values, unreadable = _read(column, field)
        read.append(values)
        if unreadable:
            counts[f"unreadable.{field.name}"] = counts.get(f"unreadable.{field.name}", 0) + unreadable
        if field.kind is Kind.ALTITUDE and _is_text(column.type):
            ground.append(ground_of(column.to_pylist()))
    found = {field.name: pc.coalesce(*read) if len(read) > 1 else read[0]}
    if ground:
        found[f"{field.name}_ground"] = pc.fill_null(ground[0], fill_value=False)
    return found


def _read(column: pa.ChunkedArray, field: Field) -> tuple[pa.Array | pa.ChunkedArray, int]:
    """RAW column of a kind, and how many values were unreadable: a cast where types say enough, else value by value."""
    type_, wanted = column.type, RAW_TYPES[field.kind]
    if field.kind is Kind.TIME and pa.types.is_temporal(type_):
        zone = getattr(type_, "tz", None)
        return column.cast(pa.timestamp("ms", tz=zone), safe=False).cast(pa.int64()), 0
    if field.kind in (Kind.NUMBER, Kind.ALTITUDE) and _is_number(type_):
        return column.cast(wanted, safe=False), 0
    if field.kind is Kind.TEXT and (_is_text(type_) or _is_number(type_)):
        return column.cast(wanted), 0
    if type_ == wanted and field.kind is not Kind.TIME:
        return column, 0
    return column_of(column.to_pylist(), field)


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _is_text(type_: pa.DataType) -> bool:
    type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _sorts(type_: pa.DataType) -> bool:
    """Whether Arrow can compare values of this type, which puts rows that are equal in all else into order."""
    plain = pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_boolean(type_)
    return bool(plain or pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_timestamp(type_))


def _in_flight(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column itself, or row numbers in its place where its values cannot be compared."""
    return column if _sorts(column.type) else pa.array(np.arange(len(column)))
