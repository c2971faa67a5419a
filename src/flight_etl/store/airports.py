"""The table of airfields that `airportsdata` packages, as the value that `core` works with.

A Lambda package holds it as one Arrow file that `write_compact` made, since reading the CSV costs a cold start a tenth of a
second.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from flight_etl.airports import AirportTable

__all__ = ["COMPACT", "load_airports", "write_compact"]

COMPACT: Final = "airports.arrow"  # beside this module, where a package holds it
_TYPES: Final = {
    "icao": pa.string(),
    "iata": pa.string(),
    "elevation": pa.float64(),  # ft
    "lat": pa.float64(),  # deg
    "lon": pa.float64(),  # deg
}


@cache
def load_airports() -> AirportTable:
    """All airfields with a position and an elevation, by code. Read once per process."""
    compact = Path(__file__).with_name(COMPACT)
    table = _from_arrow(compact.read_bytes()) if compact.is_file() else _from_csv(_packaged())
    return AirportTable(
        icao=tuple(table["icao"].to_pylist()),
        latitude=np.ascontiguousarray(table["lat"].to_numpy()),
        longitude=np.ascontiguousarray(table["lon"].to_numpy()),
        elevation_ft=np.ascontiguousarray(table["elevation"].to_numpy()),
        has_iata=table["has_iata"].to_numpy(),
    )


def _from_arrow(data: bytes) -> pa.Table:
    return pa.ipc.open_file(pa.BufferReader(data)).read_all()


def _packaged() -> bytes:
    """airports.csv, without importing the module beside it, which brings what reads it row by row."""
    spec = find_spec("airportsdata")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "airports.csv").read_bytes()


def write_compact(source: Path, target: Path) -> None:
    """Write what `load_airports` needs of airportsdata's airports.csv into one Arrow file of one batch."""
    table = _from_csv(source.read_bytes()).combine_chunks()
    with pa.OSFile(str(target), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _from_csv(data: bytes) -> pa.Table:
    import pyarrow.compute as pc
    from pyarrow import csv

    options = csv.ConvertOptions(include_columns=list(_TYPES), column_types=_TYPES)
    table = csv.read_csv(pa.BufferReader(data), convert_options=options)
    located = pc.and_(pc.and_(pc.is_valid(table["lat"]), pc.is_valid(table["lon"])), pc.is_valid(table["elevation"]))
    table = table.filter(located)
    table = table.take(pc.sort_indices(table["icao"]))  # not Table.sort_by: it imports pyarrow.dataset
    return table.drop_columns(["iata"]).append_column("has_iata", pc.not_equal(table["iata"], ""))
