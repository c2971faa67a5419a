"""How each column is stored in Parquet: chosen by measurement, see benchmarks/encodings.py and its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from flight_etl.settings import Compression

__all__ = ["file_options"]

_LEVELS: Final[dict[Compression, int]] = {"zstd": 3, "gzip": 6}  # pyarrow's own are 1, and 9 which is slow
_RARELY_REPEATED: Final = frozenset({"latitude", "longitude", "cumulative_distance_km"})
# Words that stay the same over many rows. All others have nearly all of their values in every page.
_WORDS_TOLD_OF: Final = frozenset({"icao24", "flight_id", "callsign", "origin_airport", "destination_airport"})
_BATCH_ROWS: Final = 16_384  # statistics are brought up to date so often; the library's own 1,024 cost a tenth of the time


def file_options(schema: pa.Schema, compression: Compression) -> dict[str, Any]:
    """Options of pyarrow.parquet.ParquetWriter that decide how values are stored.

    Text and most numbers repeat, since they are reported in coarse steps (25 ft, 1 kt, 64 ft/min): dictionaries, which the
    library gives up for plain values in a row group where they exceed 1 MiB. Times and integers: differences. Positions and
    distances: plain. BYTE_STREAM_SPLIT would make distances smaller, but Spark's vectorised reader does not know it
    (https://github.com/apache/spark/pull/55921).
    """
    differences = [f.name for f in schema if pa.types.is_timestamp(f.type) or pa.types.is_integer(f.type)]
    plain = [f.name for f in schema if f.name in _RARELY_REPEATED or pa.types.is_boolean(f.type)]
    return {
        "write_statistics": [f.name for f in schema if _is_told_of(f)],
        "write_batch_size": _BATCH_ROWS,
        "compression": compression,
        "compression_level": _LEVELS.get(compression),
        "use_dictionary": [name for name in schema.names if name not in {*differences, *plain}],
        "column_encoding": dict.fromkeys(differences, "DELTA_BINARY_PACKED"),
    }


def _is_told_of(field: pa.Field) -> bool:
    """Whether least and greatest values can tell a reader which rows to leave out."""
    words = pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    return not pa.types.is_boolean(field.type) and (not words or field.name in _WORDS_TOLD_OF)
