"""ENRICHED rows that were written -> the NORMAL rows that they were made from, for the track stages to begin anew.

The track stages change no column of NORMAL but by filling unknown values, and `imputed` names each value that was filled, so
taking these out again is exact. Derived columns are left out. What cannot come back is what was never written: the place in
the source, and rows that were dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core import extras
from flight_etl.core.track import one_array
from flight_etl.errors import InputError
from flight_etl.schema import ENRICHED, INPUT, NORMAL, OFFSET, RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["needed_columns", "restore"]

_IMPUTED: Final = "imputed"
_DECLARED: Final = frozenset(column.name for column in ENRICHED)


def needed_columns(names: Sequence[str]) -> list[str]:
    """Of the columns of a written file those that `restore` reads: NORMAL, `imputed`, and the extra ones."""
    kept = {*(column.name for column in NORMAL), _IMPUTED}
    return [name for name in names if name in kept or name not in _DECLARED]


def restore(table: pa.Table, *, number: int, first_record: int) -> pa.Table:
    """NORMAL rows in flight, with their provenance: input `number`, records numbered from `first_record`, and no offset.

    Raises InputError where a column of NORMAL is missing or of another type.
    """
    filled = _filled(table)
    arrays: list[pa.Array | pa.ChunkedArray] = []
    fields: list[pa.Field] = []
    for column in NORMAL:
        if column.name not in table.column_names or table.schema.field(column.name).type != column.type:
            raise InputError(f"column {column.name} is missing or is not {column.type}: this is no output of `flight-etl run`")
        values = table[column.name]
        mask = filled.get(column.name)
        arrays.append(values if mask is None else pc.if_else(mask, pa.scalar(None, column.type), values))
        fields.append(pa.field(column.name, column.type))
    rows = table.num_rows
    for name, made in (
        (INPUT, np.full(rows, number, np.int32)),
        (RECORD, np.arange(first_record, first_record + rows)),
        (OFFSET, np.zeros(rows, np.int64)),
    ):
        arrays.append(pa.array(made))
        fields.append(pa.field(name, arrays[-1].type))
    for field in table.schema:
        if field.name not in _DECLARED:
            arrays.append(table[field.name])
            fields.append(extras.in_flight(field))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _filled(table: pa.Table) -> dict[str, pa.Array]:
    """Mask of the rows in which each column was filled, for the columns of which any was."""
    if _IMPUTED not in table.column_names or table[_IMPUTED].null_count == table.num_rows:
        return {}
    sets = one_array(table[_IMPUTED])
    words = [(word or "").split(",") for word in sets.dictionary.to_pylist()]
    codes = sets.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    found = {}
    for name in sorted({name for word in words for name in word if name}):
        listed = np.array([*(name in word for word in words), False])
        found[name] = pa.array(listed[codes])
    return found
