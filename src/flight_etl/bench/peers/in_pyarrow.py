"""pyarrow: its JSON reader and its Parquet writer; it has no language for what happens between rows."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

from flight_etl.bench.peers.parsed import told
from flight_etl.bench.peers.rules import FLAT
from flight_etl.errors import InputError

__all__ = ["convert", "parse"]

_TYPES: Final = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
_BLOCK_BYTES: Final = 8 << 20  # measured as the fastest of 1 to 64 MiB


def parse(layout: str, source: str, _target: str, threads: int) -> None:
    """Read flat records."""
    with told() as values:
        values.extend(len(column) - column.null_count for column in _read(layout, source, threads).columns)


def convert(layout: str, source: str, target: str, threads: int) -> None:
    """Write the rows as they come."""
    table = _read(layout, source, threads)
    at = table.schema.get_field_index("timestamp")
    moments = pc.multiply(table["timestamp"], 1000).cast(pa.timestamp("ms", tz="UTC"))
    pq.write_table(table.set_column(at, "timestamp", moments), target, compression="snappy")


def _read(layout: str, source: str, threads: int) -> pa.Table:
    if layout != "flat":
        raise InputError(f"pyarrow reads no layout {layout}: arrays of numbers and strings have no type there")
    pa.set_cpu_count(threads)
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in FLAT.items()])
    options = pj.ReadOptions(use_threads=threads > 1, block_size=_BLOCK_BYTES)
    return pj.read_json(source, read_options=options, parse_options=pj.ParseOptions(explicit_schema=schema))
