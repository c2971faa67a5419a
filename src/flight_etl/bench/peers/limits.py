"""What nobody can go below who uses a general JSON parser and Arrow's Parquet writer: parsing alone, and writing alone.

`parse` is the most favourable reading there is: simdjson validates the text and finds its structure, block after block that
stays in the cache, and no value is taken out. `write` writes again the rows of a finished file, held in memory, in the form that
file has. Neither is a piece of work that anybody asks for.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flight_etl.bench.peers.parsed import told

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["parse", "write"]

_BLOCK_BYTES: Final = 1 << 20  # B of lines that are parsed as one array; measured as the fastest of 256 KiB to 16 MiB
_PLAIN: Final = ("PLAIN", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT")


def parse(layout: str, source: str, _target: str, _threads: int) -> None:
    """Parse with simdjson on one thread; what is read before is not timed. Tells the number of records."""
    from cysimdjson import JSONParser

    parser = JSONParser()
    documents = list(_documents(layout, Path(source)))
    with told() as records:
        for document in documents:
            found = parser.parse(document)
            records.append(len(found) if layout == "flat" else len(found["states" if layout == "opensky" else "trace"]))


def _documents(layout: str, source: Path) -> Iterator[bytes]:
    """Whole documents: traces as they are, snapshots by the line, flat records as arrays of some thousand."""
    if layout == "trace":
        for path in sorted(source.iterdir()):
            yield gzip.decompress(path.read_bytes())
        return
    with source.open("rb") as lines:
        if layout == "opensky":
            yield from lines
            return
        while block := lines.readlines(_BLOCK_BYTES):
            yield b"[" + b",".join(block) + b"]"


def write(_layout: str, source: str, target: str, threads: int) -> None:
    """Write with pyarrow what the file or folder `source` holds; reading it is not timed. Tells the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(threads)
    place = Path(source)
    first, *others = sorted(place.rglob("*.parquet")) if place.is_dir() else [place]
    table = pa.concat_tables([pq.ParquetFile(path).read() for path in (first, *others)])
    form = _form(pq.ParquetFile(first).metadata)
    with told() as rows:
        pq.write_table(table, target, write_page_index=True, **form)
        rows.append(table.num_rows)


def _form(about: Any) -> dict[str, Any]:
    """Options of pyarrow's writer that give a file the form of another one."""
    if not about.num_row_groups:
        return {}
    group = about.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    words = [one.path_in_schema for one in columns if one.has_dictionary_page]
    encodings = {one.path_in_schema: next((e for e in one.encodings if e in _PLAIN), "PLAIN") for one in columns}
    return {
        "row_group_size": group.num_rows,
        "compression": {one.path_in_schema: one.compression.lower().replace("uncompressed", "none") for one in columns},
        "use_dictionary": words,
        "column_encoding": {name: encoding for name, encoding in encodings.items() if name not in words},
    }
