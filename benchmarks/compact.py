"""Compaction and incremental runs measured: time and peak RSS, each in a process of its own. Prints Markdown.

python benchmarks/compact.py --rows 1000000 --files 200 --memory-limit-mb 512
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ETL = [str(Path(sys.executable).with_name("flight-etl"))]


def measured(*arguments: object) -> tuple[dict[str, object], float]:
    """Report of a command, and its wall time in s."""
    began = time.monotonic()
    done = subprocess.run([*ETL, *map(str, arguments), "--json"], capture_output=True, text=True, check=True)
    report: dict[str, object] = json.loads(done.stdout)
    return report, time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--memory-limit-mb", type=int, default=512)
    chosen = parser.parse_args()
    limit = ("--memory-limit-mb", chosen.memory_limit_mb)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, pieces = folder / "all.ndjson", folder / "in"
        subprocess.run([*ETL, "generate", str(chosen.rows), "--complexity", "complex", "-o", str(whole)], check=True)
        pieces.mkdir()
        outputs = [(pieces / f"{number:05d}.ndjson").open("wb") for number in range(chosen.files)]
        with whole.open("rb") as lines:
            for number, line in enumerate(lines):
                outputs[number * chosen.files // chosen.rows].write(line)
        for output in outputs:
            output.close()
        lines_out = ["| what | rows | time, s | peak RSS, MB |", "|---|---|---|---|"]

        def add(what: str, *arguments: object) -> None:
            report, seconds = measured(*arguments)
            lines_out.append(f"| {what} | {report['read']:,} | {seconds:.1f} | {report['peak_rss_mb']} |")

        date = ("--partition-by", "date")
        add("run over all", "run", pieces, "-o", folder / "one", *date, *limit)
        names = sorted(pieces.iterdir())
        tenth = -(-len(names) // 10)
        for number in range(10):
            add(f"incremental run {number + 1} of 10", "run", *names[: (number + 1) * tenth], "-o", folder / "set", *date, *limit)
        add("run with nothing new", "run", pieces, "-o", folder / "set", *date, *limit)
        add("compact", "compact", folder / "set", *limit)
        add("compact again", "compact", folder / "set", *limit)
        same = [
            sorted(path.read_bytes() for path in (folder / out).rglob("*.parquet") if path.parent.name.startswith("date="))
            for out in ("one", "set")
        ]
        sys.stdout.write("\n".join([*lines_out, "", f"Same bytes as the run over all: {same[0] == same[1]}", ""]))


if __name__ == "__main__":
    main()
