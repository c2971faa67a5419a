"""The table of airfields that `airportsdata` packages, as the value that `core` works with."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from flight_etl.airports import AirportTable

__all__ = ["load_airports"]

_TYPES = {
    "icao": pa.string(),
    "iata": pa.string(),
    "elevation": pa.float64(),  # ft
    "lat": pa.float64(),  # deg
    "lon": pa.float64(),  # deg
}


@cache
def load_airports() -> AirportTable:
    """All airfields with a position and an elevation, by code. Read once per process, in about 20 ms."""
    options = csv.ConvertOptions(include_columns=list(_TYPES), column_types=_TYPES)
    with files("airportsdata").joinpath("airports.csv").open("rb") as packaged:
        table = csv.read_csv(packaged, convert_options=options)
    located = pc.and_(pc.and_(pc.is_valid(table["lat"]), pc.is_valid(table["lon"])), pc.is_valid(table["elevation"]))
    table = table.filter(located).sort_by("icao")
    return AirportTable(
        icao=tuple(table["icao"].to_pylist()),
        latitude=np.ascontiguousarray(table["lat"].to_numpy()),
        longitude=np.ascontiguousarray(table["lon"].to_numpy()),
        elevation_ft=np.ascontiguousarray(table["elevation"].to_numpy()),
        has_iata=pc.not_equal(table["iata"], "").to_numpy(),
    )
