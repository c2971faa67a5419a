"""What starting costs: commands on a tiny input beside the bare import of the libraries they stand on, all in turn.

    python benchmarks/startup.py ROUNDS [OTHER_SRC] > benchmarks/records/DATE-startup.md

CPU of the whole process, user and system, which other work on the machine disturbs less than the clock. With OTHER_SRC, the `src`
of another checkout with its decoder built, each command is also measured with that package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from flight_etl.bench.generate import write
from flight_etl.bench.machine import heading

_ETL: Final = ["-m", "flight_etl.runners.cli"]
_LIBRARIES: Final = {
    "import numpy, pyarrow, pyarrow.parquet": ["-c", "import numpy, pyarrow, pyarrow.parquet"],
    "the same and pyarrow.compute": ["-c", "import numpy, pyarrow, pyarrow.parquet, pyarrow.compute"],
}
_COMMANDS: Final = {
    "flight-etl --version": [*_ETL, "--version"],
    "flight-etl --help": [*_ETL, "--help"],
    "flight-etl health": [*_ETL, "health"],
    "flight-etl convert --json": [*_ETL, "convert", "in.ndjson", "out.parquet", "--overwrite", "--json"],
    "flight-etl run --json": [*_ETL, "run", "in.ndjson", "-o", "out", "--overwrite", "--json"],
    "flight-etl run": [*_ETL, "run", "in.ndjson", "-o", "out", "--overwrite"],
}
_ROWS: Final = 1_000


def _cpu_s(arguments: list[str], folder: Path, source: str | None) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if source is not None:
        environment["PYTHONPATH"] = source
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main(rounds: str, other: str | None = None) -> None:
    """Measure in turn and print a table: least and median CPU, s."""
    sources = [None] if other is None else [str(Path(other).resolve()), None]
    cases: list[tuple[str, list[str], str | None]] = [(name, command, None) for name, command in _LIBRARIES.items()]
    cases += [(name, command, source) for name, command in _COMMANDS.items() for source in sources]
    times: dict[tuple[str, str | None], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "in.ndjson", _ROWS, layout="flat", ndjson=True)
        for turn in range(int(rounds) + 1):
            for title, command, source in cases:
                seconds = _cpu_s(command, Path(name), source)
                if turn:  # the first writes bytecode and warms up the file cache
                    times.setdefault((title, source), []).append(seconds)
    print(heading("What starting costs", f"python benchmarks/startup.py {rounds}" + (" OTHER_SRC" if other else "")))
    print(f"{rounds} rounds, all cases in turn; inputs of {_ROWS:,} rows.\n")
    print("| what | package | least CPU, s | median, s |\n|---|---|---:|---:|")
    for (title, source), found in times.items():
        package = "-" if title in _LIBRARIES else "the other" if source else "this"
        print(f"| {title} | {package} | {min(found):.3f} | {median(found):.3f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
