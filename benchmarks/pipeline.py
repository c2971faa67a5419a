"""flight-etl beside DuckDB on the same files: each case in a fresh process, in turn, medians; equal rows are checked first.

    python benchmarks/pipeline.py [rows] [rounds]

Prints a table for benchmarks/records/.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from flight_etl.bench.generate import write

FLIGHT_ETL: Final = [sys.executable, "-m", "flight_etl.runners.cli"]
# What a user of DuckDB would type to convert NDJSON as it is; there is no shorter way to the columns of the other layouts.
DUCKDB: Final = "import duckdb, sys; duckdb.sql(f\"copy (from read_json('{sys.argv[1]}')) to '{sys.argv[2]}' (format parquet)\")"


def main(rows: int, rounds: int) -> None:
    """Measure and print."""
    print(f"{rows:,} generated records of medium complexity, medians of {rounds} in turn; {platform.machine()},")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f} at the beginning.\n")
    print("| case | seconds | records/s | peak RSS, MB | output, MB |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"flat": "flat.ndjson", "opensky": "opensky.ndjson", "readsb": "readsb.ndjson", "trace": "trace.json"}
        for layout, file in sources.items():
            write(folder / file, rows, layout=layout)
        cases = {
            f"{command}, {layout}": [*FLIGHT_ETL, command, file, target]
            for layout, file in sources.items()
            for command, target in (("convert", f"{layout}.parquet"), ("run", f"-o{layout}"))
        }
        cases["DuckDB, flat NDJSON to Parquet"] = [sys.executable, "-c", DUCKDB, "flat.ndjson", "duckdb.parquet"]
        measured: dict[str, list[tuple[float, float]]] = {case: [] for case in cases}
        for _ in range(rounds):
            for case, command in cases.items():
                measured[case].append(_once(command, folder, overwrite=not case.startswith("DuckDB")))
        for case, values in measured.items():
            seconds = statistics.median(value for value, _ in values)
            peak = statistics.median(value for _, value in values)
            size = _size(folder / cases[case][-1].removeprefix("-o")) / 1e6
            print(f"| {case} | {seconds:.2f} | {rows / seconds:,.0f} | {peak:.0f} | {size:.1f} |")


def _once(command: list[str], folder: Path, *, overwrite: bool) -> tuple[float, float]:
    """Seconds from start to end of a process, and its peak RSS, MB."""
    if overwrite:
        command = [*command, "--overwrite", "--json"]
    began = time.monotonic()
    done = subprocess.run(_measured(command), cwd=folder, check=True, capture_output=True)
    seconds = time.monotonic() - began
    if overwrite:
        report = json.loads(done.stdout)
        assert report["read"] == report["written"] + sum(report["dropped"].values())
        assert report["written"] > 0
    return seconds, int(done.stderr.split()[-1]) * 1024 / 1e6


def _measured(command: list[str]) -> list[str]:
    """Command that runs `command` and then writes the peak RSS of it, KiB, as the kernel counted it."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(done.returncode)"
    )
    return [sys.executable, "-c", code, *command]


def _size(place: Path) -> int:
    return place.stat().st_size if place.is_file() else sum(path.stat().st_size for path in place.rglob("*.parquet"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ("1000000", "3")))
