"""What is measured: pieces of work, who can do each, and the inputs that all of them read."""

from __future__ import annotations

import gzip
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.bench.generate import write

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BEST",
    "BOUNDED",
    "BOUNDED_MB",
    "LIMITS",
    "LIMIT_PARSE",
    "LIMIT_WRITE",
    "OURS",
    "PANDAS",
    "PEERS",
    "SCALE",
    "TASKS",
    "Task",
    "command",
    "contenders",
    "prepare",
]

OURS: Final = "flight-etl"
PANDAS: Final = ("pandas", "pandas-own")  # with Arrow's reader of JSON, the best it has, and with its own, the default
PEERS: Final = ("duckdb", "polars", "pyarrow", *PANDAS)
LIMIT_PARSE: Final = "limit: simdjson parses"
LIMIT_WRITE: Final = "limit: pyarrow writes"
LIMITS: Final = (LIMIT_PARSE, LIMIT_WRITE)  # bench/peers/limits.py; seconds of both are CPU of that alone
SCALE: Final = "scale flat"  # the name of what bench/scaling.py measures
BOUNDED_MB: Final = 512  # MB, of --memory-limit-mb
BOUNDED: Final = f"{OURS}, limit {BOUNDED_MB} MB"
BEST: Final = ("duckdb", "polars", "pyarrow")  # the peers whose best is the mark; pandas is told beside them
_MOST_PANDAS_ROWS: Final = 1_000_000  # beyond, its own reader takes more memory than most machines have
_TRACES: Final = 2_000  # files for a million rows, as a day's folder of globe history has them
_SUFFIX: Final = {"flat": "flat.ndjson", "opensky": "opensky.ndjson", "trace": "traces"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A piece of work on inputs of a layout. `peers`: who can do it; `goal`: how many times faster than the best of them."""

    work: str  # convert, run or parse
    layout: str
    peers: tuple[str, ...]
    goal: float

    @property
    def name(self) -> str:
        """Work and layout."""
        return f"{self.work} {self.layout}"

    @property
    def threads(self) -> int | None:
        """Threads that the work is bound to; None: as many as are measured."""
        return 1 if self.work == "parse" else None


TASKS: Final = (
    Task(work="parse", layout="flat", peers=("duckdb", "polars", "pyarrow"), goal=2.5),
    Task(work="convert", layout="flat", peers=PEERS, goal=2.0),
    Task(work="convert", layout="opensky", peers=("duckdb", "polars"), goal=2.0),
    Task(work="convert", layout="trace", peers=("duckdb",), goal=2.0),
    Task(work="run", layout="flat", peers=("duckdb", "polars", "pandas"), goal=3.0),
    Task(work="run", layout="opensky", peers=("duckdb", "polars"), goal=6.0),
    Task(work="run", layout="trace", peers=("duckdb",), goal=6.0),
)


def contenders(task: Task, rows: int, *, peers: bool) -> tuple[str, ...]:
    """Who is measured at a task, ourselves first; limits last, since one of them writes again what we wrote."""
    able = [peer for peer in task.peers if peer not in PANDAS or rows <= _MOST_PANDAS_ROWS]
    limits = [one for one in LIMITS if task.work != "parse" or one == LIMIT_PARSE]
    if find_spec("cysimdjson") is None:
        limits = []
    return (OURS, *(able if peers else ()), *(limits if peers else ()))


def prepare(folder: Path, layout: str, rows: int, *, seed: int = 0) -> str:
    """Generate the input of a layout, unless it is there; gives its name in `folder`. Raises OSError."""
    name = f"{rows}-{_SUFFIX[layout]}"
    if (folder / name).exists():
        return name
    if layout != "trace":
        write(folder / f"{name}.part", rows, layout=layout, seed=seed, ndjson=True)
        (folder / f"{name}.part").rename(folder / name)
        return name
    aircraft = max(1, rows * _TRACES // 1_000_000)
    with tempfile.TemporaryDirectory(dir=folder) as part:
        lines = Path(part) / "lines"
        write(lines, rows, layout=layout, seed=seed, aircraft=aircraft)
        files = Path(part) / "files"
        files.mkdir()
        with lines.open("rb") as documents:
            for number, line in enumerate(documents):
                packed = gzip.compress(line.rstrip(b"\n"), compresslevel=6, mtime=0)
                (files / f"trace_full_{number:06d}.json.gz").write_bytes(packed)
        files.rename(folder / name)
    return name


def command(contender: str, task: Task, source: str, target: str, threads: int) -> Sequence[str]:
    """Command line of a contender; the source and the target are names in its working folder."""
    threads = task.threads or threads
    if contender in LIMITS:
        work = "parse" if contender == LIMIT_PARSE else "write"
        read = source if contender == LIMIT_PARSE else f"out-{OURS}"
        return [sys.executable, "-m", "flight_etl.bench.peers", "limits", work, task.layout, read, target, str(threads)]
    if contender != OURS:
        peers = [sys.executable, "-m", "flight_etl.bench.peers", contender]
        return [*peers, task.work, task.layout, source, target, str(threads)]
    if task.work == "parse":
        return [sys.executable, "-m", "flight_etl.runners.decode_alone", source]
    own = [sys.executable, "-m", "flight_etl.runners.cli"]
    place = [target] if task.work == "convert" else ["--output", target]
    return [*own, task.work, source, *place, "--workers", str(threads), "--overwrite", "--json"]
