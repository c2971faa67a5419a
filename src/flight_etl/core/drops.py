"""How a stage accounts for the rows that it does not keep."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flight_etl.schema import DROPPED_SCHEMA, INPUT, OFFSET, RECORD

__all__ = ["drop_rows"]


def drop_rows(rows: pa.Table, reason: str | pa.Array, detail: pa.Array | None = None) -> pa.Table:
    """Rows of a NORMAL table as DROPPED_SCHEMA has them, for one `reason` or one each; input 0 where the rows name none."""
    count = rows.num_rows
    arrays = [
        rows[RECORD],
        rows[OFFSET],
        rows[INPUT] if INPUT in rows.column_names else pa.array(np.zeros(count, np.int32)),
        pa.array([str(reason)] * count, pa.string()) if isinstance(reason, str) else reason,
        pa.nulls(count, pa.string()) if detail is None else detail,
        rows["icao24"].cast(pa.string()),
        rows["timestamp"],
    ]
    return pa.Table.from_arrays(arrays, schema=DROPPED_SCHEMA)
