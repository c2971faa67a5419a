"""`flight-etl backfill` on local[2] beside `flight-etl run` on the same recordings: time, start, memory of every process.

    python benchmarks/spark.py [rows] [files] [rounds]

Needs `make test-spark` once. Equal rows are checked first. Prints a table for benchmarks/records/.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from flight_etl.bench.generate import write

FLIGHT_ETL: Final = [sys.executable, "-m", "flight_etl.runners.cli"]
CASES: Final = {
    "run": ["run", "recordings", "-o", "run", "--partition-by", "date", "--workers", "2"],
    "backfill, local[2]": ["backfill", "recordings", "-o", "backfill", "--master", "local[2]"],
}


def main(rows: int, files: int, rounds: int) -> None:
    """Measure and print."""
    print(f"{rows:,} generated flat records of complex flights in {files} files, medians of {rounds} in turn;")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}.\n")
    print("| case | wall, s | start and end, s | work, s | records/s of work | CPU, s | largest Python, MB | JVM, MB | all, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _recordings(folder, rows, files)
        measured: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
        for number in range(rounds):
            for case, arguments in CASES.items():
                measured[case].append(_once(arguments, folder))
            if not number:
                assert _rows(folder / "run").equals(_rows(folder / "backfill")), "not the same rows"
        for case, values in measured.items():
            median = {key: statistics.median(value[key] for value in values) for key in values[0]}
            print(
                f"| {case} | {median['wall']:.1f} | {median['wall'] - median['work']:.1f} | {median['work']:.1f} "
                f"| {rows / median['work']:,.0f} "
                f"| {median['cpu']:.0f} | {median['python']:.0f} | {median['java']:.0f} | {median['all']:.0f} |"
            )


def _recordings(folder: Path, rows: int, files: int) -> None:
    """Write one recording, cut into files of equal numbers of lines, as a collector leaves them: tracks cross files."""
    (folder / "recordings").mkdir()
    write(folder / "all.ndjson", rows, layout="flat", complexity="complex")
    with (folder / "all.ndjson").open("rb") as source:
        for number in range(files):
            share = rows * (number + 1) // files - rows * number // files
            (folder / f"recordings/{number:05d}.ndjson").write_bytes(b"".join(next(source) for _ in range(share)))


def _once(arguments: list[str], folder: Path) -> dict[str, float]:
    began = time.monotonic()
    process = subprocess.Popen(
        [*FLIGHT_ETL, *arguments, "--overwrite", "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    peaks: dict[str, float] = defaultdict(float)
    watch = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peaks))
    watch.start()
    told, _ = process.communicate()
    wall = time.monotonic() - began
    watch.join()
    assert process.returncode == 0
    report: dict[str, Any] = json.loads(told)
    assert report["read"] == report["written"] + sum(report["dropped"].values())
    return {"wall": wall, "work": report["seconds"], "java": 0.0, **peaks, "python": report["peak_rss_mb"]}


def _watch(process: psutil.Process, peaks: dict[str, float]) -> None:
    """Note, ten times a second, the RSS of Java and of all processes together, MB, and the seconds of CPU that each has used.

    The peak of Python the kernel tells.
    """
    used: dict[int, float] = {}
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        sums: dict[str, float] = defaultdict(float)
        try:
            for one in [process, *process.children(recursive=True)]:
                megabytes = one.memory_info().rss / 1e6
                sums["all"] += megabytes
                sums["java"] += megabytes if one.name() == "java" else 0
                used[one.pid] = one.cpu_times().user + one.cpu_times().system
        except psutil.NoSuchProcess:
            continue
        for key, value in sums.items():
            peaks[key] = max(peaks[key], value)
        peaks["cpu"] = sum(used.values())
        time.sleep(0.1)


def _rows(folder: Path) -> pa.Table:
    table = pa.concat_tables([pq.read_table(path, partitioning=None) for path in sorted(folder.rglob("*.parquet"))])
    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields)).sort_by([("icao24", "ascending"), ("timestamp", "ascending")]).combine_chunks()


if __name__ == "__main__":
    chosen = [int(argument) for argument in sys.argv[1:]]
    main(*chosen, *(1_000_000, 200, 3)[len(chosen) :])
