"""How time and memory grow with the input: the whole way on flat records, by rows and threads, and once within a memory limit."""

from __future__ import annotations

import json
import shutil
from statistics import median
from typing import TYPE_CHECKING, Final

from flight_etl.bench.cases import BOUNDED, BOUNDED_MB, OURS, SCALE, Task, command, prepare
from flight_etl.bench.compare import Figure, json_mb
from flight_etl.bench.measure import CaseFailedError, measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flight_etl.bench.measure import Measured

__all__ = ["scale"]

_TASK: Final = Task(work="run", layout="flat", peers=(), goal=0.0)
_OFTEN_ROWS: Final = 1_000_000  # up to so many, runs are repeated; beyond, one takes long enough to say something
_OUT: Final = "out-scaling"


def scale(
    folder: Path, *, rows: Sequence[int], threads: Sequence[int], rounds: int, keep: bool, told: Callable[[str], None]
) -> Iterator[Figure]:
    """Measure each number of rows with each number of threads, and with most of them within BOUNDED_MB.

    Inputs are generated in `folder`, and removed again unless `keep`. Raises CaseFailedError when rows are missing.
    """
    for count in rows:
        source = prepare(folder, _TASK.layout, count)
        try:
            for workers, bounded in (*((number, False) for number in threads), (max(threads), True)):
                told(f"{SCALE}, {count:,} rows, {workers} threads" + (f", {BOUNDED_MB} MB" if bounded else ""))
                often = range(rounds if count <= _OFTEN_ROWS else 1)
                runs = [_once(folder, source, count, workers, bounded=bounded) for _ in often]
                yield _figure(folder, source, runs, count, workers, bounded=bounded)
        finally:
            shutil.rmtree(folder / _OUT, ignore_errors=True)
            (folder / f"{_OUT}.report.json").unlink(missing_ok=True)
            if not keep:
                (folder / source).unlink()


def _once(folder: Path, source: str, rows: int, workers: int, *, bounded: bool) -> Measured:
    limit = ["--memory-limit-mb", str(BOUNDED_MB)] if bounded else []
    found = measured([*command(OURS, _TASK, source, _OUT, workers), *limit], cwd=folder)
    read = json.loads(found.stdout)["read"]
    if read != rows:
        raise CaseFailedError(f"{SCALE}: {read:,} of {rows:,} records were read")
    return found


def _figure(folder: Path, source: str, runs: Sequence[Measured], rows: int, threads: int, *, bounded: bool) -> Figure:
    return Figure(
        task=SCALE,
        contender=BOUNDED if bounded else OURS,
        rows=rows,
        threads=threads,
        seconds=median(run.seconds for run in runs),
        fastest_s=min(run.seconds for run in runs),
        cpu_seconds=median(run.cpu_seconds for run in runs),
        peak_rss_mb=max(run.peak_rss_mb for run in runs),
        input_mb=json_mb(folder / source),
        json_mb=json_mb(folder / source),
        output_mb=json.loads(runs[-1].stdout)["bytes_out"] / 1e6,
    )
