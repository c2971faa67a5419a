"""Contenders side by side: equal work is checked first, then all take turns, each time in a fresh process; medians.

A contender that fails, or whose output is not that of the others, is an error and no result.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import statistics
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flight_etl.bench.cases import LIMIT_PARSE, LIMITS, OURS, command, contenders, prepare
from flight_etl.bench.measure import CaseFailedError, measured
from flight_etl.bench.verdicts import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flight_etl.bench.cases import Task
    from flight_etl.bench.measure import Measured

__all__ = ["Comparison", "Figure", "compare", "json_mb", "machine"]

_CLOSE: Final = 1e-9  # of a sum of floats that only the order of summation tells apart
_DISTANCE_SHARE: Final = 0.05  # of the distance: ours leaves out teleports and stale repeats, and the earth is no sphere
_MB: Final = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """Medians of one contender at one task."""

    task: str
    contender: str
    rows: int
    threads: int
    seconds: float  # s; of a parse and of a limit: CPU of that alone, else wall clock of the process
    fastest_s: float
    cpu_seconds: float  # s; of the whole process
    peak_rss_mb: float  # MB (10^6 B)
    input_mb: float
    output_mb: float
    json_mb: float = 0.0  # of the input, decompressed
    goal: float = 0.0  # times the best peer; 0 for peers


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """All figures of one run of the suite, with what they were measured on."""

    machine: dict[str, Any]
    rounds: int
    figures: tuple[Figure, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `ratios` has ours against the best peer, `limits` against these, `goals` what was promised."""
        return asdict(self) | summary(self.figures)


def compare(
    tasks: Sequence[Task],
    folder: Path,
    *,
    rows: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    peers: bool,
    told: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Measure every task at every number of rows and threads; inputs and outputs are in `folder`. Raises CaseFailedError."""
    figures: list[Figure] = []
    about = machine()
    for count in rows:
        for task in tasks:
            source = prepare(folder, task.layout, count)
            names = contenders(task, count, peers=peers)
            for workers in threads if task.threads is None else (task.threads,):
                told(f"{task.name}, {count:,} rows, {workers} threads: {', '.join(names)}")
                figures += _measured(task, names, folder, source, count, workers, rounds)
    return Comparison(machine=about, rounds=rounds, figures=tuple(figures))


def _measured(task: Task, names: Sequence[str], folder: Path, source: str, rows: int, threads: int, rounds: int) -> list[Figure]:
    times: dict[str, list[Measured]] = {name: [] for name in names}
    work: dict[str, dict[str, float]] = {}
    for name in names:  # also warms up the file cache; not counted
        first = _once(name, task, folder, source, threads)
        if name in LIMITS:
            _check_limit(task, name, json.loads(first.stdout)["values"], rows if name == LIMIT_PARSE else work[OURS]["rows"])
            continue
        work[name] = _work_of(task, folder / _target(name), first.stdout)
        _check_equal(task, name, work[name], names[0], work[names[0]])
    for _ in range(rounds):
        for name in names:
            times[name].append(_once(name, task, folder, source, threads))
    return [_figure(task, name, times[name], folder, source, rows, threads) for name in names]


def _target(name: str) -> str:
    return "out-" + re.sub(r"\W+", "-", name)


def _once(name: str, task: Task, folder: Path, source: str, threads: int) -> Measured:
    target = folder / _target(name)
    shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    return measured(command(name, task, source, target.name, threads), cwd=folder)


def _figure(task: Task, name: str, runs: Sequence[Measured], folder: Path, source: str, rows: int, threads: int) -> Figure:
    alone = task.work == "parse" or name in LIMITS
    inner = [json.loads(run.stdout)["seconds"] if alone else run.seconds for run in runs]
    return Figure(
        task=task.name,
        contender=name,
        rows=rows,
        threads=threads,
        seconds=statistics.median(inner),
        fastest_s=min(inner),
        cpu_seconds=statistics.median(run.cpu_seconds for run in runs),
        peak_rss_mb=statistics.median(run.peak_rss_mb for run in runs),
        input_mb=_size(folder / source) / _MB,
        json_mb=json_mb(folder / source),
        output_mb=_size(folder / _target(name)) / _MB,
        goal=task.goal if name == OURS else 0.0,
    )


def _size(place: Path) -> int:
    """Bytes of a file, or of the data in a folder."""
    if place.is_dir():
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and not path.name.startswith("_"))
    return place.stat().st_size if place.exists() else 0


def json_mb(place: Path) -> float:
    """MB of JSON in a file, or in the files of a folder; of gzip by what each says at its end."""
    if not place.is_dir():
        return _size(place) / _MB
    return sum(int.from_bytes(path.read_bytes()[-4:], "little") for path in place.iterdir()) / _MB


def _check_limit(task: Task, name: str, found: float, expected: float) -> None:
    if found != expected:
        raise CaseFailedError(f"{task.name}: {name} has {found:,.0f} rows of {expected:,.0f}: that is no limit")


def _work_of(task: Task, output: Path, stdout: str) -> dict[str, float]:
    """Numbers in which the outputs of all contenders must agree."""
    if task.work == "parse":
        return {"values": json.loads(stdout)["values"]}
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    names = ["icao24", "timestamp", "latitude", "longitude", "callsign"] + (["distance_km"] if task.work == "run" else [])
    files = sorted(output.rglob("*.parquet")) if output.is_dir() else [output]
    tables = [pq.ParquetFile(path).read(columns=names) for path in files]
    moments = [table["timestamp"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()) for table in tables]
    sums = {name: sum(pc.sum(table[name]).as_py() or 0.0 for table in tables) for name in names if name not in _NO_SUMS}
    aircraft = {word for table in tables for word in pc.unique(table["icao24"].cast(pa.string())).to_pylist()}
    return sums | {
        "rows": sum(table.num_rows for table in tables),
        "aircraft": len(aircraft),
        "seconds of all timestamps": sum(pc.sum(one).as_py() // 1000 for one in moments),
    }


_NO_SUMS: Final = ("icao24", "timestamp", "callsign")


def _check_equal(task: Task, name: str, work: dict[str, float], first: str, expected: dict[str, float]) -> None:
    for what, value in work.items():
        share = _DISTANCE_SHARE if what == "distance_km" else _CLOSE
        if abs(value - expected[what]) > share * abs(expected[what]):
            raise CaseFailedError(
                f"{task.name}: {name} has {what} {value:,}, {first} has {expected[what]:,}: not the same work, so no time is told"
            )


def machine() -> dict[str, Any]:
    """What the figures were measured on, with the load at this moment."""
    versions = {"python": platform.python_version()}
    for package in ("flight-etl", "numpy", "pyarrow", "duckdb", "polars", "pandas", "cysimdjson"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": [round(one, 1) for one in os.getloadavg()],
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
