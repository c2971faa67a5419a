"""One aircraft that never pauses, on Spark: time and memory of `flight-etl backfill --master local[2]`.

    python benchmarks/spark_giant.py [rows] [memory limit of each Python process, MB]

All its rows go to one task, in one order; the record stages read twenty files. Needs `make test-spark` once.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Final

import spark  # type: ignore[import-not-found]  # its neighbour

BEGIN_S: Final = 1_704_067_200  # 2024-01-01
STEP_S: Final = 2
FILES: Final = 20


def record(number: int) -> str:
    """A transmitter that is heard every two seconds, in a line that never ends."""
    fields = {
        "icao24": "4b1901",
        "timestamp": BEGIN_S + number * STEP_S,
        "latitude": 40 + number % 500_000 * 1e-5,
        "longitude": 8.5,
        "altitude": 9_000.0 + number % 100,
        "velocity": 100.0 + number % 7,
        "heading": float(number % 360),
        "vertical_rate": 0.0,
        "on_ground": False,
        "callsign": "MAST1",
    }
    return json.dumps(fields) + "\n"


def main(rows: int, limit_mb: int) -> None:
    """Measure and print."""
    print(f"{rows:,} rows of one aircraft in {FILES} files, --memory-limit-mb {limit_mb};")
    print(f"{platform.machine()}, {os.cpu_count()} cores,", end=" ")
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}.\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recordings").mkdir()
        for number in range(FILES):
            mine = range(rows * number // FILES, rows * (number + 1) // FILES)
            (folder / f"recordings/{number:02d}.ndjson").write_text("".join(map(record, mine)))
        arguments = [*spark.CASES["backfill, local[2]"], "--memory-limit-mb", str(limit_mb)]
        found = spark._once(arguments, folder)  # noqa: SLF001 - the same measurement
        written = json.loads((folder / "backfill/_report.json").read_text())["written"]
    print("| rows written | wall, s | CPU, s | largest Python, MB | JVM, MB | all, MB |\n|---:|---:|---:|---:|---:|---:|")
    figures = " | ".join(f"{found[name]:.0f}" for name in ("wall", "cpu", "python", "java", "all"))
    print(f"| {written:,} | {figures} |")


if __name__ == "__main__":
    chosen = [int(argument) for argument in sys.argv[1:]]
    main(*chosen, *(2_000_000, 512)[len(chosen) :])
