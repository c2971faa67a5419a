"""How fast one thread decodes: the fast decoder, the reference decoder, and DuckDB's JSON reader with the types given.

    python benchmarks/decode.py [ROWS] [ROUNDS]      generated recordings; 200,000 rows and five rounds by default

Prints a table in Markdown: MB/s and records/s by layout, medians of rounds in which all take turns. Time is that of the
process on the CPU, which other work on the machine disturbs less than the clock on the wall. Decoding is bytes in memory, in
blocks of 1 MiB, to Arrow tables; DuckDB parses a file in memory (tmpfs) and counts the values of every column, for which it
must read them. Before any time is believed, both decoders must give equal tables, and DuckDB as many values as they.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

import duckdb
import pyarrow as pa

from flight_etl.bench.generate import write
from flight_etl.core import extras
from flight_etl.core.decode import decode, decoder, decoder_name
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.settings import DecodeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LAYOUTS_MEASURED: Final = ("flat", "opensky-history", "opensky", "readsb", "adsbx-v2", "trace")
BLOCK_BYTES: Final = 1 << 20
MEGA: Final = 1e6
# DuckDB's types for the keys of generated flat records: what the decoder makes of them.
FLAT_TYPES: Final = (
    dict.fromkeys(("icao24", "callsign", "origin_country", "squawk", "position_source", "category"), "VARCHAR")
    | dict.fromkeys(("timestamp", "time_position", "last_contact"), "BIGINT")
    | dict.fromkeys(("latitude", "longitude", "altitude", "geo_altitude", "velocity", "heading", "vertical_rate"), "DOUBLE")
    | dict.fromkeys(("on_ground", "spi"), "BOOLEAN")
)
RAW_NAMES: Final = {"time_position": "position_time", "last_contact": "contact_time"}  # where the decoder has another name


@dataclass(frozen=True)
class Memory:
    """Bytes as a source."""

    blocks: tuple[bytes, ...]
    name: str = "memory"

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Give the blocks."""
        assert not offset
        return iter(self.blocks)


def main() -> None:
    """Measure all layouts."""
    rows, rounds = (int(word) for word in (*sys.argv[1:], "200000", "5")[:2])
    assert decoder_name() == "fast", "the extension is not built"
    print("| layout | MB | fast, MB/s | records/s | reference, MB/s | fast : reference | DuckDB, MB/s | fast : DuckDB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for layout in LAYOUTS_MEASURED:
        print(measured(layout, rows, rounds), flush=True)


def measured(layout: str, rows: int, rounds: int) -> str:
    """Row of the table for one layout."""
    file = io.BytesIO()
    write(file, rows, layout=layout, ndjson=True)
    data = file.getvalue()
    source = Memory(tuple(data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)))
    ways: dict[str, Callable[[], object]] = {
        "fast": lambda: decoded(source, layout),
        "reference": lambda: by_reference(source, layout),
    }
    table, expected = plain(decoded(source, layout)), plain(by_reference(source, layout))
    assert table.num_rows == rows
    assert table.equals(expected, check_metadata=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        if layout == "flat":
            path = Path(folder) / "flat.ndjson"
            path.write_bytes(data)
            ways["duckdb"] = lambda: counted(path)
            assert counted(path) == [len(table) - table[RAW_NAMES.get(name, name)].null_count for name in FLAT_TYPES]
        seconds = {name: statistics.median(times) for name, times in in_turn(ways, rounds).items()}
    rate = {name: len(data) / MEGA / took for name, took in seconds.items()}
    duck = f"{rate['duckdb']:.0f} | {rate['fast'] / rate['duckdb']:.2f}" if "duckdb" in rate else "- | -"
    return (
        f"| {layout} | {len(data) / MEGA:.0f} | {rate['fast']:.0f} | {rows / seconds['fast']:,.0f} | {rate['reference']:.0f} "
        f"| {rate['fast'] / rate['reference']:.1f} | {duck} |"
    )


def in_turn(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of CPU that each way takes, one after the other in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            times[name].append(time.process_time() - begin)
    return times


def decoded(source: Memory, layout: str) -> list[pa.Table]:
    """Give all tables of a source."""
    return [outcome.kept for outcome in decode(source, LAYOUTS[layout], DecodeSettings())]


def by_reference(source: Memory, layout: str) -> list[pa.Table]:
    """Give the same without the extension."""
    with mock.patch.object(decoder, "fast_walker", None):
        return decoded(source, layout)


def plain(tables: list[pa.Table]) -> pa.Table:
    """Put tables together, dictionaries as the text that they stand for."""
    table = extras.concat(tables)
    columns = [column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.columns]
    fields = [field.with_type(column.type) for field, column in zip(table.schema, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields)).combine_chunks()


def counted(path: Path) -> list[int]:
    """Values of each column that DuckDB reads on one thread."""
    types = ", ".join(f"{name}: '{type_}'" for name, type_ in FLAT_TYPES.items())
    counts = ", ".join(f'count("{name}")' for name in FLAT_TYPES)
    with duckdb.connect(config={"threads": 1}) as connection:
        query = f"SELECT {counts} FROM read_json('{path}', format = 'newline_delimited', columns = {{{types}}})"
        (row,) = connection.execute(query).fetchall()
    return list(row)


if __name__ == "__main__":
    main()
