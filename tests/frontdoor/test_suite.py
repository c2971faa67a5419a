"""The documented benchmark suite gives the documented results."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from benchmark_suite import BenchmarkConfig, ETLBenchmarkSuite

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_every_scenario_is_compared_with_pandas_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    config = BenchmarkConfig(test_data_sizes=(200, 400), test_iterations=1, save_results=True, output_dir=str(tmp_path))
    results = ETLBenchmarkSuite(config).run_full_benchmark_suite()
    gains = results["performance_improvements"]
    assert set(gains) == {"optimized_conversion", "optimized_transformation", "full_optimization", "error_recovery"}
    for values in gains.values():
        assert set(values) == {"time_improvement", "memory_improvement", "throughput_improvement"}
        assert values["time_improvement"] == pytest.approx(values["throughput_improvement"])
    (saved,) = tmp_path.glob("*.json")
    (table,) = tmp_path.glob("*.csv")
    lines = list(csv.DictReader(table.read_text().splitlines()))
    assert [(one["scenario"], one["records"]) for one in lines[:2]] == [
        ("baseline_conversion", "200"),
        ("baseline_conversion", "400"),
    ]
    assert {one["scenario"] for one in lines if one["time_improvement"]} == set(gains)
    assert len(next(tmp_path.glob("*.md")).read_text().splitlines()) == len(lines) + 2
    assert json.loads(saved.read_text())["performance_improvements"] == gains


@pytest.mark.slow
def test_nothing_is_kept_unless_asked(tmp_path: Path) -> None:
    config = BenchmarkConfig(
        test_data_sizes=(200,), test_iterations=1, save_results=False, output_dir=str(tmp_path), scenarios=("error_recovery",)
    )
    results = ETLBenchmarkSuite(config).run_full_benchmark_suite()
    assert list(results["performance_improvements"]) == ["error_recovery"]
    assert not list(tmp_path.iterdir())
