"""What importing the Lambda handler costs, beside what its two large libraries cost by themselves.

    flight-etl package-lambda -o dist/lambda --python-version X.Y     # of the interpreter that is going to measure
    python benchmarks/lambda_import.py dist/lambda/flight-etl-lambda-pyX.Y-ARCH.zip [ROUNDS]

Unpacks the package, and starts interpreters that see it and the standard library and nothing else. In each round the ways
take turns; the table has medians over the rounds, of the process's time on the CPU from before the first import to behind the
last, which other work on the machine disturbs less than the clock on the wall. The files are in the page cache; what Lambda adds
to a cold start by fetching them is not in it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import zipfile

WAYS = {
    "bare": "import numpy, pyarrow.parquet",
    "handler": "import main_etl_processor",
    "handler and what an object needs": "import main_etl_processor, flight_etl.runners.local",
    "these and the airfields": "import main_etl_processor, flight_etl.runners.local as l; l.load_airports()",
}


def main() -> None:
    """Measure, and print a table in Markdown."""
    package, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 11  # noqa: PLR2004
    with tempfile.TemporaryDirectory() as root, zipfile.ZipFile(package) as archive:
        archive.extractall(root)
        seen: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds + 1):
            for way, code in WAYS.items():
                seen[way].append(seconds(root, code))
    medians = {way: statistics.median(times[1:]) for way, times in seen.items()}  # the first round fills the page cache
    print("| import | ms | of bare |\n|---|---:|---:|")
    for way, median in medians.items():
        print(f"| {way} | {median * 1e3:.0f} | {median / medians['bare']:.2f} |")


def seconds(root: str, code: str) -> float:
    """Seconds on the CPU that the code takes in a new interpreter."""
    timed = f"import sys, time; sys.path.insert(0, {root!r}); t = time.process_time(); {code}; print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
