"""Each field of PerformanceConfig does what it says, and none changes an output."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from main_etl_processor import ETLConfig, OptimizedETLProcessor
from performance_optimizer import PerformanceConfig, PerformanceOptimizer

from flight_etl.bench.generate import write
from flight_etl.errors import SettingsError

if TYPE_CHECKING:
    from servers import S3

ROOT = Path(__file__).parents[2]


def event(s3: S3, *keys: str) -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": s3.name}, "object": {"key": key}}} for key in keys]}


def processor(optimizer: PerformanceOptimizer | None = None, **environ: str) -> OptimizedETLProcessor:
    return OptimizedETLProcessor(ETLConfig.from_env({"MAX_RETRIES": "0", **environ}), optimizer)


def tuned(**fields: Any) -> OptimizedETLProcessor:
    return processor(PerformanceOptimizer(PerformanceConfig(**fields)))


@pytest.fixture
def filled(s3: S3, tmp_path: Path) -> S3:
    """Three recordings in a bucket."""
    for number in range(3):
        write(tmp_path / "in.json", 300, layout="readsb", seed=number)
        s3.put(**{f"k{number}": (tmp_path / "in.json").read_bytes()})
    return s3


def outputs(s3: S3) -> dict[str, bytes]:
    return {key: data for key, data in s3.objects().items() if key.endswith(".parquet")}


@pytest.mark.parametrize(
    "fields",
    [
        *({"enable_connection_pooling": False}, {"enable_caching": False}, {"cache_size": 1}, {"max_workers": 1}),
        *({"enable_memory_monitoring": False}, {"enable_memory_optimization": False}, {"enable_lazy_imports": False}),
    ],
)
def test_no_field_changes_an_output(filled: S3, fields: dict[str, Any]) -> None:
    processor().process_event(event(filled, "k0"))
    (usual,) = outputs(filled).values()
    filled.client.delete_object(Bucket=filled.name, Key=next(iter(outputs(filled))))
    answer = tuned(**fields).process_event(event(filled, "k0"))
    assert answer["results"][0]["status"] == "written"
    assert list(outputs(filled).values()) == [usual]


@pytest.mark.parametrize("pooling", [True, False])
def test_connections_are_kept_or_not(filled: S3, *, pooling: bool) -> None:
    one = tuned(enable_connection_pooling=pooling)
    one.process_event(event(filled, "k0"))
    assert bool(one.processor.pool._buckets) == pooling


def requests_of_one(s3: S3, one: OptimizedETLProcessor) -> dict[str, int]:
    one.process_event(event(s3, "k0"))
    s3.faults.forget()
    one.process_event(event(s3, "k1"))
    return s3.faults.calls()


def test_caching_saves_a_request_for_each_object_and_what_the_environment_switches_off_stays_off(filled: S3) -> None:
    assert requests_of_one(filled, tuned())["GetObject"] == 1
    for name in outputs(filled):
        filled.client.delete_object(Bucket=filled.name, Key=name)
    assert requests_of_one(filled, tuned(enable_caching=False))["GetObject"] == 2
    off = processor(PerformanceOptimizer(), ENABLE_CACHING="false")
    assert off.process_event({"action": "health_check"})["caches"] == "off"


def test_the_size_bounds_what_is_remembered(filled: S3) -> None:
    hits = []
    for size in (1, 2):
        one = tuned(cache_size=size)
        for _ in range(2):  # each again, after the other
            for key in ("k0", "k1"):
                for name in outputs(filled):
                    filled.client.delete_object(Bucket=filled.name, Key=name)
                one.process_event(event(filled, key))
        hits.append(one.process_event({"action": "health_check"})["caches"]["layouts"]["hits"])
    assert hits == [0, 2]


@pytest.mark.parametrize(
    ("fields", "counted", "relieved"),
    [
        ({}, True, True),
        ({"enable_memory_monitoring": False}, False, False),
        ({"enable_memory_optimization": False}, True, False),
    ],
)
def test_memory_is_watched_and_given_back_or_not(
    filled: S3,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    *,
    counted: bool,
    relieved: bool,
) -> None:
    one = processor(PerformanceOptimizer(PerformanceConfig(**fields)), MEMORY_LIMIT_MB="384")
    rising = iter(range(10_000, 100_000, 100))
    one.processor.memory.rss_mb = lambda: float(next(rising))
    monkeypatch.setattr(logging.getLogger("flight_etl.telemetry"), "handlers", [caplog.handler])  # the processor has set its own
    one.process_event(event(filled, "k0"))
    assert bool(one.processor.memory.pressures) == counted
    assert (one.processor.memory.chunk_rows < 10_000) == relieved
    assert ("Memory pressure detected, forced GC" in caplog.messages) == relieved


def test_workers_are_those_of_the_config_else_of_the_settings() -> None:
    assert tuned(max_workers=7).processor.settings.resources.workers == 7
    assert processor(PerformanceOptimizer(), MAX_WORKERS="3").processor.settings.resources.workers == 3


@pytest.mark.parametrize("lazy", [True, False])
def test_libraries_are_loaded_when_needed_or_at_the_start(*, lazy: bool) -> None:
    code = f"""
import json, sys
from main_etl_processor import OptimizedETLProcessor
from performance_optimizer import PerformanceConfig, PerformanceOptimizer
OptimizedETLProcessor(optimizer=PerformanceOptimizer(PerformanceConfig(enable_lazy_imports={lazy})))
print(json.dumps([name in sys.modules for name in ("boto3", "obstore", "stamina", "cachetools")]))
"""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("src", "src/lambda/etl"))
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1]) == [not lazy] * 4


def test_the_hook_of_a_subclass_is_run_before_each_object(filled: S3) -> None:
    seen: list[int] = []

    class Own(PerformanceOptimizer):
        def custom_optimization(self) -> None:
            seen.append(len(outputs(filled)))

    processor(Own()).process_event(event(filled, "k0", "k1", "k2"))
    assert seen == [0, 1, 2]


def test_what_the_hook_raises_is_the_failure_of_its_object(filled: S3) -> None:
    class Own(PerformanceOptimizer):
        times = 0

        def custom_optimization(self) -> None:
            self.times += 1
            if self.times == 1:
                raise TypeError("a bug of the hook")

    answer = processor(Own(), ERROR_BUCKET=filled.name).process_event(event(filled, "k0", "k1"))
    assert (answer["processed"], answer["dead_lettered"]) == (1, 1)
    (letter,) = [json.loads(data) for key, data in filled.objects().items() if key.startswith("dead-letters/")]
    assert (letter["key"], letter["error_class"], letter["message"]) == ("k0", "TypeError", "a bug of the hook")


@pytest.mark.parametrize("wrong", [{"cache_size": 0}, {"max_workers": 0}, {"max_workers": -1}])
def test_a_wrong_value_says_what_is_permitted(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="is not permitted: at least 1"):
        PerformanceConfig(**wrong)


def test_main_runs_a_sample_from_end_to_end() -> None:
    command = [sys.executable, str(ROOT / "src/lambda/etl/main_etl_processor.py")]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=120)
    told = json.loads(done.stdout)
    assert told["read"] == 20_000
    assert told["read"] == told["written"] + sum(told["dropped"].values())
    assert told["flights"] > 0
