"""The Lambda package under the genuine runtime client: sizes, imports, cold start, warm invocations, memory.

    PYTHONPATH=tests python benchmarks/lambda_cold.py [cold rounds] [warm invocations]

Builds the package for this interpreter, unpacks it, and runs it with nothing else but the standard library, the runtime client
and the AWS SDK on the search path, against an emulator of S3 and SQS on the same machine. Prints tables for benchmarks/records/.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloud import cloud_at, notification
from flight_etl.bench.generate import write
from lambda_package import built_package, unpacked_package
from lambda_runtime import HANDLER, runtime_folder, started
from servers import moto

if TYPE_CHECKING:
    from cloud import Cloud

ROWS: Final = 3_000
LARGE_ROWS: Final = 1_000_000
IMPORTS: Final = {
    "numpy, pyarrow.parquet (bare)": "numpy, pyarrow.parquet",
    "main_etl_processor": "main_etl_processor",
    "main_etl_processor and what an object needs": "main_etl_processor, flight_etl.runners.local",
}
NOTHING: Final = "def handler(event, context):\n    return {}\n"


def main(rounds: int, warm: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, moto() as endpoint, cloud_at(endpoint) as cloud:
        folder = Path(name)
        load = os.getloadavg()[0]
        said, root = built_package(folder / "package"), unpacked_package(folder / "package")
        (folder / "runtime").mkdir()
        (folder / "nothing").mkdir()
        (folder / "nothing" / "nothing.py").write_text(NOTHING)
        write(folder / "sample.json.gz", ROWS, layout="opensky", complexity="complex")
        sample = (folder / "sample.json.gz").read_bytes()
        path = (root, runtime_folder(folder / "runtime"), folder / "nothing")
        print(f"Medians of {rounds} in turn; {platform.machine()}, {os.cpu_count()} cores, ", end="")
        print(f"Python {platform.python_version()}; load {load:.1f} at the beginning.")
        _sizes(said)
        _imports(root, rounds)
        _cold(path, cloud, sample, rounds)
        _warm(path, cloud, sample, warm)
        _large(path, cloud, folder)


def _sizes(said: dict[str, Any]) -> None:
    print("\n| package | MB (10^6 B) |\n|---|---:|")
    for key, told in (("unslimmed_bytes", "as pip installs it"), ("unzipped_bytes", "unzipped"), ("zipped_bytes", "zipped")):
        print(f"| {told} | {said[key] / 1e6:.1f} |")


def _imports(root: Path, rounds: int) -> None:
    taken: dict[str, list[float]] = {told: [] for told in IMPORTS}
    for _ in range(rounds):
        for told, names in IMPORTS.items():
            taken[told].append(_import_ms(root, names))
    bare = statistics.median(next(iter(taken.values())))
    print("\n| import, in a fresh process | ms | of bare |\n|---|---:|---:|")
    for told, values in taken.items():
        print(f"| {told} | {statistics.median(values):.0f} | {statistics.median(values) / bare:.2f} |")


def _import_ms(root: Path, names: str) -> float:
    code = f"import time; began = time.perf_counter(); import {names}; print(1000 * (time.perf_counter() - began))"
    environment = {"PYTHONPATH": str(root), "PATH": os.defpath}
    done = subprocess.run([sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _cold(path: tuple[Path, ...], cloud: Cloud, sample: bytes, rounds: int) -> None:
    """From the start of the process: until it asks for its first event, and until its first answer."""
    cloud.put("done", sample)
    cases: dict[str, tuple[str, Any]] = {
        "a handler that does nothing": ("nothing.handler", {}),
        "health check": (HANDLER, {"action": "health_check"}),
        "event that comes a second time": (HANDLER, notification(cloud, "done")),
        f"object of {ROWS:,} records": (HANDLER, None),
    }
    taken: dict[str, list[tuple[float, float, float]]] = {told: [] for told in cases}
    for number in range(-1, rounds):  # the first brings files into the page cache, and does the object "done"
        for told, (handler, event) in cases.items():
            if event is None:
                cloud.put(f"cold/{number}", sample)
            with started(path, cloud.environment, handler=handler, isolated=True) as running:
                found = running.invoke(event or notification(cloud, f"cold/{number}"))
                assert found.error is None, found.error
                if number >= 0:
                    taken[told].append((1000 * running.init_s, 1000 * running.cold_s, found.peak_rss_mb))
    print("\n| cold start | ready, ms | first answer, ms | peak RSS, MB |\n|---|---:|---:|---:|")
    for told, values in taken.items():
        ready, first, rss = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"| {told} | {ready:.0f} | {first:.0f} | {rss:.0f} |")


def _warm(path: tuple[Path, ...], cloud: Cloud, sample: bytes, invocations: int) -> None:
    again, fresh, inside, rss = [], [], [], {}
    with started(path, cloud.environment, isolated=True) as running:
        for number in range(1, invocations + 1):
            event = notification(cloud, f"warm/{number}")
            cloud.put(f"warm/{number}", sample)
            found = running.invoke(event)
            assert found.answer["results"][0]["status"] == "written"
            fresh.append(1000 * found.seconds)
            inside += [value for one in found.metrics for value in one.get("ProcessingTime", ())]
            rss[number] = found.rss_mb
            again.append(1000 * running.invoke(event).seconds)
    print(f"\n| warm, {invocations} invocations | ms |\n|---|---:|")
    print(f"| object of {ROWS:,} records | {statistics.median(fresh[1:]):.0f} |")
    print(f"| … of which the pipeline (metric ProcessingTime) | {statistics.median(inside[1:]):.0f} |")
    print(f"| the same event again | {statistics.median(again):.1f} |")
    print("\n| RSS after invocation | MB (10^6 B) |\n|---|---:|")
    for number in (1, 50, invocations):
        print(f"| {number} | {rss[min(number, invocations)]:.0f} |")


def _large(path: tuple[Path, ...], cloud: Cloud, folder: Path) -> None:
    """One large object in functions of two sizes, whose memory is counted in MiB."""
    write(folder / "large.ndjson.gz", LARGE_ROWS, layout="flat", complexity="complex")
    data = (folder / "large.ndjson.gz").read_bytes()
    print(f"\n| {LARGE_ROWS:,} records, {len(data) / 1e6:.0f} MB gzip | s | peak RSS, MiB | 0.8 of the function, MiB |")
    print("|---|---:|---:|---:|")
    for memory_mb in (512, 1024):
        cloud.put(f"large/{memory_mb}", data)
        with started(path, cloud.environment | {"MAX_WORKERS": "2"}, memory_mb=memory_mb, isolated=True) as running:
            found = running.invoke(notification(cloud, f"large/{memory_mb}"), timeout_s=900)
            assert found.answer["results"][0]["status"] == "written"
        peak_mib = found.peak_rss_mb * 1e6 / 2**20
        print(f"| function of {memory_mb} MB | {found.seconds:.1f} | {peak_mib:.0f} | {0.8 * memory_mb:.0f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ("7", "200")))
