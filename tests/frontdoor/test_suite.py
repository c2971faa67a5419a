"""The documented benchmark suite gives the documented results."""

from __future__ import annotations

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
    (saved,) = tmp_path.iterdir()
    assert json.loads(saved.read_text())["performance_improvements"] == gains


@pytest.mark.slow
def test_nothing_is_kept_unless_asked(tmp_path: Path) -> None:
    config = BenchmarkConfig(
        test_data_sizes=(200,), test_iterations=1, save_results=False, output_dir=str(tmp_path), scenarios=("error_recovery",)
    )
    results = ETLBenchmarkSuite(config).run_full_benchmark_suite()
    assert list(results["performance_improvements"]) == ["error_recovery"]
    assert not list(tmp_path.iterdir())
