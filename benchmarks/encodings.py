"""How many bytes each column takes in Parquet, as it is and under other encodings; store/encodings.py follows from the answer.

    python benchmarks/encodings.py FLIGHTS.parquet...      files that `flight-etl run` or `convert` wrote

Prints in Markdown, in bytes per row: of each file the columns that take most as they are in it, and the columns for which the
choice is open under each encoding and codec. There, every cell is one column in a file of its own, in row groups of the
default size.
"""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from flight_etl.settings import OutputSettings

CODECS: Final = ("snappy", "zstd", "lz4", "gzip", "none")
LEVELS: Final = {"zstd": 3, "gzip": 6}
ENCODINGS: Final = ("PLAIN", "BYTE_STREAM_SPLIT", "DICTIONARY")
OPEN: Final = ("latitude", "longitude", "distance_km", "cumulative_distance_km", "heading", "turn_rate_deg_s", "height_ft")
MANY_BYTES: Final = 0.2  # a row; columns below are told as one


def main() -> None:
    """Measure all files."""
    for path in map(Path, sys.argv[1:]):
        table = pq.ParquetFile(path).read(columns=list(OPEN))
        title = f"{path.parent.name}/{path.name}: {table.num_rows:,} rows, {path.stat().st_size / 1e6:.1f} MB"
        print(f"\n### {title}\n\n{stored(path)}\n\n{compared(table)}")


def stored(path: Path) -> str:
    """Bytes per row of the columns of a file, the largest first."""
    meta = pq.read_metadata(path)
    sizes: Counter[str] = Counter()
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        for at in range(group.num_columns):
            sizes[group.column(at).path_in_schema] += group.column(at).total_compressed_size
    each = [(name, size / meta.num_rows) for name, size in sizes.most_common()]
    large = [f"{name} {size:.2f}" for name, size in each if size >= MANY_BYTES]
    rest = sum(size for _, size in each if size < MANY_BYTES)
    footer = (path.stat().st_size - sum(sizes.values())) / meta.num_rows
    return f"As it is: {', '.join(large)}; {len(each) - len(large)} others {rest:.2f}; page index and footer {footer:.2f}."


def compared(table: pa.Table) -> str:
    """Markdown table of bytes per row; the smallest of a column and codec in bold."""
    lines = ["| column | encoding | " + " | ".join(CODECS) + " |", "|---|---|" + "---:|" * len(CODECS)]
    for column in table.column_names:
        sizes = {(e, c): size(table.select([column]), e, c) / table.num_rows for e in ENCODINGS for c in CODECS}
        least = {c: min(sizes[e, c] for e in ENCODINGS) for c in CODECS}
        for encoding in ENCODINGS:
            cells = [f"{sizes[encoding, c]:.2f}" for c in CODECS]
            cells = [f"**{cell}**" if sizes[encoding, c] == least[c] else cell for cell, c in zip(cells, CODECS, strict=True)]
            lines.append(f"| {column} | {encoding} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
