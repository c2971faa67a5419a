"""The documented benchmark suite: pandas as the baseline, and what our ways of doing the same work gain on it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from flight_etl.bench.data import DataGenerator
from flight_etl.bench.measure import CaseFailedError, measured

if TYPE_CHECKING:
    from flight_etl.bench.measure import Measured

__all__ = ["BenchmarkConfig", "ETLBenchmarkSuite", "main"]

_DRIVER: Final = "flight_etl.frontdoor.scenarios"
# Scenario -> the part of the pandas baseline that does the same work.
SCENARIOS: Final = {
    "optimized_conversion": "baseline_conversion",
    "optimized_transformation": "baseline_transformation",
    "full_optimization": "baseline_full",
    "error_recovery": "baseline_full",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkConfig:
    """What to measure: numbers of records, how many times each, and whether (and where) the results are kept."""

    test_data_sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    test_iterations: int = 3
    save_results: bool = True
    output_dir: str = "benchmark_results"
    data_complexity: str = "medium"  # simple, medium or complex
    scenarios: tuple[str, ...] = field(default=tuple(SCENARIOS))


class ETLBenchmarkSuite:
    """Measures the scenarios that a BenchmarkConfig asks for."""

    def __init__(self, config: BenchmarkConfig | None = None) -> None:
        self.config = config or BenchmarkConfig()

    def run_full_benchmark_suite(self) -> dict[str, Any]:
        """Measure all scenarios; each in a fresh process, beside the pandas baseline in turn, after one round of warm-up.

        `results[scenario][size]` has medians: seconds, records_per_second, peak_memory_mb (MB, 10^6 B).
        `performance_improvements[scenario]` compares them with the baseline at the largest size: `time_improvement` and
        `memory_improvement` are the baseline's value divided by ours, `throughput_improvement` ours by the baseline's: above
        1 is better. They are saved as JSON, CSV and Markdown. Raises CaseFailedError when a process fails or the rows
        of two differ.
        """
        results: dict[str, dict[int, dict[str, float]]] = {}
        with tempfile.TemporaryDirectory(prefix="flight-etl-bench-") as name:
            for size in self.config.test_data_sizes:
                for scenario, values in self._measured(Path(name), size).items():
                    results.setdefault(scenario, {})[size] = values
        found = {
            "config": asdict(self.config),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "results": results,
            "performance_improvements": self._improvements(results),
        }
        if self.config.save_results:
            self._save(found)
        return found

    def _measured(self, folder: Path, size: int) -> dict[str, dict[str, float]]:
        data = DataGenerator.generate_test_data(size, self.config.data_complexity)  # type: ignore[arg-type]  # checked there
        DataGenerator.save_test_data_as_json(data, folder / "data.json")
        wanted = self.config.scenarios
        names = list(dict.fromkeys([SCENARIOS[one] for one in wanted] + list(wanted)))
        rows = {name: json.loads(_once(name, folder).stdout)["rows"] for name in names}
        for scenario in wanted:
            if scenario != "error_recovery" and rows[scenario] != rows[SCENARIOS[scenario]]:
                raise CaseFailedError(f"{scenario}: {rows[scenario]} rows, {SCENARIOS[scenario]}: {rows[SCENARIOS[scenario]]}")
        runs: dict[str, list[Measured]] = {name: [] for name in names}
        for _ in range(self.config.test_iterations):
            for name in names:
                runs[name].append(_once(name, folder))
        return {name: _medians(taken, size) for name, taken in runs.items()}

    def _improvements(self, results: dict[str, dict[int, dict[str, float]]]) -> dict[str, dict[str, float]]:
        largest = max(self.config.test_data_sizes)
        found = {}
        for scenario in self.config.scenarios:
            own, base = results[scenario][largest], results[SCENARIOS[scenario]][largest]
            found[scenario] = {
                "time_improvement": base["seconds"] / own["seconds"],
                "memory_improvement": base["peak_memory_mb"] / own["peak_memory_mb"],
                "throughput_improvement": own["records_per_second"] / base["records_per_second"],
            }
        return found

    def _save(self, found: dict[str, Any]) -> None:
        folder = Path(self.config.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"benchmark-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        rows = _rows(found)
        texts = {
            ".json": json.dumps(found, indent=2) + "\n",
            ".csv": "".join(",".join(row) + "\n" for row in rows),
            ".md": "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])),
        }
        for ending, text in texts.items():
            (folder / f"{name}{ending}").write_text(text, encoding="utf-8")


def _rows(found: dict[str, Any]) -> list[list[str]]:
    """Every scenario and size as words, below a head; improvements stand at the size for which they are computed."""
    gains = ("time_improvement", "memory_improvement", "throughput_improvement")
    rows = [["scenario", "records", "seconds", "records_per_second", "peak_memory_mb", *gains]]
    largest = max(found["config"]["test_data_sizes"])
    for scenario, sizes in found["results"].items():
        for size, one in sizes.items():
            better = found["performance_improvements"].get(scenario, {}) if size == largest else {}
            values = f"{one['seconds']:.3f}", f"{one['records_per_second']:.0f}", f"{one['peak_memory_mb']:.0f}"
            rows.append([scenario, str(size), *values, *(f"{better[gain]:.2f}" if better else "" for gain in gains)])
    return rows


def _once(name: str, folder: Path) -> Measured:
    return measured([sys.executable, "-m", _DRIVER, name, "data.json"], cwd=folder)


def _medians(runs: list[Measured], size: int) -> dict[str, float]:
    seconds = median(run.seconds for run in runs)
    return {
        "seconds": seconds,
        "records_per_second": size / seconds,
        "peak_memory_mb": median(run.peak_rss_mb for run in runs),
    }


def main() -> None:
    """Run a small suite and print how much faster, smaller and quicker each scenario is than the baseline."""
    config = BenchmarkConfig(test_data_sizes=(100_000,), test_iterations=1, save_results=False)
    for scenario, gains in ETLBenchmarkSuite(config).run_full_benchmark_suite()["performance_improvements"].items():
        told = ", ".join(f"{name} {value:.2f}x" for name, value in gains.items())
        sys.stdout.write(f"{scenario}: {told}\n")
