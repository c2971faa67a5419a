"""Tables in the vocabulary and the units of the `traffic` library (https://traffic-viz.github.io)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flight_etl.errors import InputError, NotFound, Place
from flight_etl.store.failures import store_errors
from flight_etl.units import FEET_PER_METRE, FPM_PER_METRE_PER_SECOND, KNOTS_PER_METRE_PER_SECOND

if TYPE_CHECKING:
    import os

__all__ = ["to_traffic"]


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    source: str  # our column
    type: pa.DataType
    unit: str = ""
    factor: float = 1.0  # from SI


_COLUMNS: Final = (
    _Column("timestamp", "timestamp", pa.timestamp("ms", tz="UTC"), "ms UTC"),
    _Column("icao24", "icao24", pa.string()),
    _Column("callsign", "callsign", pa.string()),
    _Column("latitude", "latitude", pa.float64(), "deg"),
    _Column("longitude", "longitude", pa.float64(), "deg"),
    _Column("altitude", "altitude", pa.float64(), "ft", FEET_PER_METRE),
    _Column("geoaltitude", "geo_altitude", pa.float64(), "ft", FEET_PER_METRE),
    _Column("groundspeed", "velocity", pa.float64(), "kt", KNOTS_PER_METRE_PER_SECOND),
    _Column("track", "heading", pa.float64(), "deg"),
    _Column("vertical_rate", "vertical_rate", pa.float64(), "ft/min", FPM_PER_METRE_PER_SECOND),
    _Column("onground", "on_ground", pa.bool_()),
    _Column("squawk", "squawk", pa.string()),
    _Column("flight_id", "flight_id", pa.string()),
)


def to_traffic(table_or_dataset_path: pa.Table | str | os.PathLike[str]) -> pa.Table:
    """Observations as `traffic` expects them: `Traffic(to_traffic("flights").to_pandas())`.

    Takes an enriched or NORMAL table, or the path of a written data set (a folder, or one Parquet file), of which only the
    columns needed are read. Gives, in the order of the rows:

        timestamp (ms UTC), icao24, callsign, latitude, longitude (deg), altitude (barometric, ft), geoaltitude (ft),
        groundspeed (kt), track (deg), vertical_rate (ft/min), onground, squawk (text), flight_id

    Null stays null, and a column that the source lacks is null throughout. The unit of each is in its field metadata.
    Raises InputError for a table that is none of ours, NotFound where there is no Parquet file, Denied or StoreError.
    """
    table = table_or_dataset_path if isinstance(table_or_dataset_path, pa.Table) else _read(Path(table_or_dataset_path))
    missing = [name for name in ("icao24", "timestamp") if name not in table.column_names]
    if missing:
        raise InputError(f"has no column {' or '.join(missing)}; give a table or data set that flight-etl made")
    fields = [pa.field(c.name, c.type, metadata={"unit": c.unit}) for c in _COLUMNS]
    return pa.Table.from_arrays([_converted(table, column) for column in _COLUMNS], schema=pa.schema(fields))


def _converted(table: pa.Table, column: _Column) -> pa.ChunkedArray | pa.Array:
    if column.source not in table.column_names:
        return pa.nulls(table.num_rows, column.type)
    values = table[column.source].cast(column.type)
    return values if column.factor == 1.0 else pc.multiply(values, column.factor)


def _read(path: Path) -> pa.Table:
    """Read the columns needed of a data set's files, in the order of their names."""
    with store_errors(path, "read"):
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise NotFound("has no Parquet file in it, at any depth; name the --output of a run", place=Place(str(path)))
        return pa.concat_tables([_read_file(file) for file in files])


def _read_file(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            wanted = [column.source for column in _COLUMNS if column.source in file.schema_arrow.names]
            return file.read(columns=wanted)
    except pa.ArrowInvalid as error:
        raise InputError("is not a Parquet file that can be read", place=Place(str(path))) from error
