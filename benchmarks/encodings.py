"""How many bytes each column takes in Parquet under each encoding and codec; store/encodings.py follows from the answer.

    python benchmarks/encodings.py RECORDING.json.gz...      flat records in ft, kt, ft/min: an array of objects

Prints tables in Markdown, in bytes per row: all columns of the first recording and of made-up tracks, and the positions of the
other recordings. Every cell is one column in a file of its own, in row groups of the default size, rows sorted by address and
time.
"""

from __future__ import annotations

import gzip
import io
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flight_etl.settings import OutputSettings
from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_FPM, METRES_PER_SECOND_PER_KNOT

CODECS: Final = ("snappy", "zstd", "lz4", "gzip", "none")
LEVELS: Final = {"zstd": 3, "gzip": 6}
ENCODINGS: Final = {
    "float": ("PLAIN", "BYTE_STREAM_SPLIT", "DICTIONARY"),
    "int": ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "DICTIONARY"),
    "bool": ("PLAIN", "RLE"),
    "text": ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "DICTIONARY"),
}
EARTH_KM: Final = 6371.0088  # mean radius, km (IUGG 1980)


def main() -> None:
    """Measure all data sets."""
    first, *others = map(Path, sys.argv[1:])
    tables = {first.name: recorded(first), "Made-up tracks": made_up()}
    tables |= {path.name: rows_of(path).select(["latitude", "longitude"]) for path in others}
    for title, table in tables.items():
        print(f"\n### {title}: {table.num_rows} rows\n\n{report(table)}")


def recorded(path: Path) -> pa.Table:
    """Columns of a flat recording, in SI and again in aviation units as the enriched schema has them."""
    rows = rows_of(path)
    feet, knots, fpm = (pc.cast(rows[name], pa.float64()) for name in ("altitude", "groundspeed", "vertical_rate"))
    return enriched(
        {
            "icao24": rows["icao24"],
            "timestamp": pc.cast(rows["timestamp"], pa.timestamp("ms", tz="UTC")),
            "callsign": rows["callsign"],
            "latitude": rows["latitude"],
            "longitude": rows["longitude"],
            "altitude": pc.multiply(feet, METRES_PER_FOOT),
            "velocity": pc.multiply(knots, METRES_PER_SECOND_PER_KNOT),
            "heading": rows["track"],
            "vertical_rate": pc.multiply(fpm, METRES_PER_SECOND_PER_FPM),
            "on_ground": rows["onground"],
            "squawk": rows["squawk"],
        }
    )


def rows_of(path: Path) -> pa.Table:
    """Rows of a recording as they are, in order."""
    rows = pa.Table.from_pylist(orjson.loads(gzip.decompress(path.read_bytes())))
    return rows.sort_by([("icao24", "ascending"), ("timestamp", "ascending")])


def made_up(aircraft: int = 400, samples: int = 1_000) -> pa.Table:
    """Random walks, quantised as OpenSky's states are: 4 decimals of a degree, 7.62 m, 0.01 m/s and deg, 0.325 m/s."""
    rng = np.random.default_rng(20261123)
    shape = (aircraft, samples)

    def walk(start: tuple[float, float], step: float, quantum: float) -> np.ndarray:
        steps = rng.normal(0, step, shape).cumsum(axis=1)
        values = rng.uniform(*start, (aircraft, 1)) + steps
        return np.asarray(np.round(values / quantum) * quantum).ravel()

    codes = [f"{code:06x}" for code in np.sort(rng.choice(1 << 24, aircraft, replace=False))]
    start = rng.integers(1_600_000_000, 1_600_086_400, (aircraft, 1))
    return enriched(
        {
            "icao24": pa.array(np.repeat(codes, samples)),
            "timestamp": pa.array(((start + 10 * np.arange(samples)) * 1000).ravel(), pa.timestamp("ms", tz="UTC")),
            "callsign": pa.array(np.repeat([f"ABC{number}" for number in range(aircraft)], samples)),
            "latitude": pa.array(np.round(walk((-60, 60), 0.01, 1e-4), 4)),
            "longitude": pa.array(np.round(walk((-180, 180), 0.01, 1e-4), 4)),
            "altitude": pa.array(np.round(walk((0, 12_000), 20, 7.62), 2)),
            "velocity": pa.array(np.round(walk((60, 260), 0.5, 0.01), 2)),
            "heading": pa.array(np.round(walk((0, 360), 1, 0.01) % 360, 2)),
            "vertical_rate": pa.array(np.round(walk((-10, 10), 0.3, 0.32512), 2)),
            "on_ground": pa.array(rng.random(aircraft * samples) < 0.02),  # noqa: PLR2004
            "squawk": pa.array(np.repeat([f"{n:04o}" for n in rng.integers(0, 4096, aircraft)], samples)),
        }
    )


def enriched(columns: dict[str, pa.ChunkedArray | pa.Array]) -> pa.Table:
    """Add the kinds of column that enrichment adds: other units, distances, rates."""
    latitude, longitude = (np.radians(pc.fill_null(columns[name], 0.0).to_numpy()) for name in ("latitude", "longitude"))
    half = np.sin(np.diff(latitude) / 2) ** 2
    half += np.cos(latitude[1:]) * np.cos(latitude[:-1]) * np.sin(np.diff(longitude) / 2) ** 2
    distance = np.append(0.0, 2 * EARTH_KM * np.arcsin(np.sqrt(half)))
    seconds = np.maximum(np.diff(pc.cast(columns["timestamp"], pa.int64()).to_numpy(), prepend=0) / 1000, 1)
    return pa.table(
        columns
        | {
            "altitude_ft": pc.divide(columns["altitude"], METRES_PER_FOOT),
            "speed_knots": pc.divide(columns["velocity"], METRES_PER_SECOND_PER_KNOT),
            "distance_km": pa.array(distance),
            "cumulative_distance_km": pa.array(np.cumsum(distance)),
            "climb_rate_fpm": rate(columns["altitude"], seconds * METRES_PER_SECOND_PER_FPM),
            "acceleration_kts_min": rate(columns["velocity"], seconds / 60 * METRES_PER_SECOND_PER_KNOT),
            "turn_rate_deg_s": rate(columns["heading"], seconds),
            "phase_confidence": pa.array(np.round(np.tanh(distance), 2).astype(np.float32)),
        }
    )


def rate(values: pa.ChunkedArray | pa.Array, span: np.ndarray) -> pa.Array:
    """Change since the row before, in units of `span`."""
    known = pc.fill_null(values, 0.0).to_numpy()
    return pa.array(np.diff(known, prepend=known[0]) / span)


def report(table: pa.Table) -> str:
    """Markdown table of bytes per row; the smallest of a column and codec in bold."""
    lines = ["| column | encoding | " + " | ".join(CODECS) + " |", "|---|---|" + "---:|" * len(CODECS)]
    for column in table.column_names:
        encodings = ENCODINGS[kind(table.schema.field(column).type)]
        sizes = {(e, c): size(table.select([column]), e, c) / table.num_rows for e in encodings for c in CODECS}
        least = {c: min(sizes[e, c] for e in encodings) for c in CODECS}
        for encoding in encodings:
            cells = [f"{sizes[encoding, c]:.3f}" for c in CODECS]
            cells = [f"**{cell}**" if sizes[encoding, c] == least[c] else cell for cell, c in zip(cells, CODECS, strict=True)]
            lines.append(f"| {column} | {encoding} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def kind(type_: pa.DataType) -> str:
    """Key into ENCODINGS."""
    if pa.types.is_floating(type_):
        return "float"
    if pa.types.is_boolean(type_):
        return "bool"
    return "text" if pa.types.is_string(type_) else "int"


def size(column: pa.Table, encoding: str, codec: str) -> int:
    """Bytes of a file that holds just this column."""
    name = column.column_names[0]
    words = encoding == "DICTIONARY"
    sink = io.BytesIO()
    pq.write_table(
        column,
        sink,
        row_group_size=OutputSettings().row_group_rows,
        compression=codec,
        compression_level=LEVELS.get(codec),
        use_dictionary=[name] if words else False,
        column_encoding=None if words else {name: encoding},
        store_schema=False,
    )
    return sink.tell()


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"\n{time.monotonic() - began:.0f} s; pyarrow {pa.__version__}", file=sys.stderr)
