"""How each column is stored in Parquet: chosen by measurement, see benchmarks/encodings.py and its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from flight_etl.settings import Compression, OutputSettings

__all__ = ["file_options"]

_LEVELS: Final[dict[Compression, int]] = {"zstd": 3, "gzip": 6}  # pyarrow's own are 1, and 9 which is slow
_POSITIONS: Final = ("latitude", "longitude")
_DISTANCES: Final = ("distance_km", "cumulative_distance_km")
_PLAIN: Final = {*_POSITIONS, "cumulative_distance_km"}
_SPLIT: Final[dict[Compression, tuple[str, ...]]] = {
    "snappy": _POSITIONS + _DISTANCES,
    "lz4": _POSITIONS + _DISTANCES,
    "zstd": _DISTANCES,
    "gzip": _DISTANCES,
    "none": (),
}
# Words that stay the same over many rows. All others have nearly all of their values in every page.
_WORDS_TOLD_OF: Final = frozenset({"icao24", "flight_id", "callsign", "origin_airport", "destination_airport"})
_BATCH_ROWS: Final = 16_384  # statistics are brought up to date so often; the library's own 1,024 cost a tenth of the time


def file_options(schema: pa.Schema, settings: OutputSettings) -> dict[str, Any]:
    """Options of pyarrow.parquet.ParquetWriter that decide how values are stored.

    Text and most numbers repeat, since they are reported in coarse steps (25 ft, 1 kt, 64 ft/min) or rounded (distances):
    dictionaries, which the library gives up for plain values in a row group where they exceed 1 MiB. Times and integers:
    differences. Positions and sums of distances hardly repeat: plain, or with `byte_stream_split` the first bytes of all
    values of a page, then their second bytes and so on, where that is smaller with the codec at hand. It is not the default,
    since readers in wide use refuse it (tried: Spark 3.5.9, fastparquet 2026.9; Spark 4.3, DuckDB, Polars, pandas take it).
    """
    split = [name for name in _SPLIT[settings.compression] if settings.byte_stream_split and name in schema.names]
    differences = [f.name for f in schema if pa.types.is_timestamp(f.type) or pa.types.is_integer(f.type)]
    plain = [f.name for f in schema if f.name in _PLAIN or pa.types.is_boolean(f.type)]
    return {
        "write_statistics": [f.name for f in schema if _is_told_of(f)],
        "write_batch_size": _BATCH_ROWS,
        "compression": settings.compression,
        "compression_level": _LEVELS.get(settings.compression),
        "use_dictionary": [name for name in schema.names if name not in {*differences, *plain, *split}],
        "column_encoding": dict.fromkeys(differences, "DELTA_BINARY_PACKED") | dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
    }


def _is_told_of(field: pa.Field) -> bool:
    """Whether least and greatest values can tell a reader which rows to leave out."""
    words = pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    return not pa.types.is_boolean(field.type) and (not words or field.name in _WORDS_TOLD_OF)
