"""What keeping a table costs: made anew, with nothing to change, and with one day that was compacted. Prints Markdown.

    python benchmarks/tables.py [files] [rounds]

A file stands for a day, as in an archive that is compacted: 3,650 are ten years. Their footers have the columns of real
ones, whose number of rows does not matter here.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flight_etl.runners import local
from flight_etl.runners.table import keep_table
from flight_etl.settings import OutputSettings, Settings, TableSettings

DAY_MS = 86_400_000


def archive(folder: Path, files: int) -> None:
    """Write a day, and copies of it under the names and with the times of other days."""
    from flight_etl.bench.generate import write

    write(folder / "day.ndjson", 1_000, layout="flat", complexity="complex")
    local.run([str(folder / "day.ndjson")], str(folder / "one"), Settings(output=OutputSettings(partition_by="date")))
    path = next((folder / "one").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    first = datetime(2015, 1, 1, tzinfo=UTC)
    known = (table["timestamp"][0].as_py() - first).days
    for number in range(files):
        moved = pa.array([(number - known) * DAY_MS] * table.num_rows, pa.duration("ms"))
        at = table.schema.get_field_index("timestamp")
        shifted = pc.add(table["timestamp"], moved)
        day = (first + timedelta(days=number)).date().isoformat()
        target = folder / f"set/date={day}/part-0123456789ab-00000-of-00001.parquet"
        target.parent.mkdir(parents=True)
        pq.write_table(table.set_column(at, table.schema.field(at), shifted), target)


def main(files: int, rounds: int) -> None:
    """Measure and print."""
    load = os.getloadavg()[0]
    print(
        f"{files:,} files; medians of {rounds}; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()};"
    )
    print(f"load {load:.1f}.\n\n| format | what | wall, s | CPU, s |\n|---|---|---:|---:|")
    formats: tuple[Literal["iceberg", "delta"], ...] = ("iceberg", "delta")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive(folder, files)
        for format_ in formats:
            settings = Settings(table=TableSettings(format=format_))
            took: dict[str, list[tuple[float, float]]] = {}
            for number in range(rounds):
                for made in (folder / "set.iceberg", folder / "set/_delta_log"):
                    shutil.rmtree(made, ignore_errors=True)
                for what in ("made", "nothing to change", "one day replaced"):
                    if what == "one day replaced":
                        path = next((folder / "set").rglob("*.parquet"))
                        path.rename(path.with_name(f"part-{number:012d}-00000-of-00001.parquet"))
                    wall, cpu = time.perf_counter(), time.process_time()
                    keep_table(str(folder / "set"), settings)
                    took.setdefault(what, []).append((time.perf_counter() - wall, time.process_time() - cpu))
            for what, values in took.items():
                wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
                print(f"| {format_} | {what} | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    chosen = [int(argument) for argument in sys.argv[1:]]
    main(*chosen, *(3_650, 3)[len(chosen) :])
