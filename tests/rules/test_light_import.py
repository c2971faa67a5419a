"""What importing costs, told by the names of the modules that it brings along, never by seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from source_tree import FRONT_DOOR, SRC

HEAVY = {
    *("pyarrow", "numpy", "pandas", "polars", "duckdb", "rich", "airportsdata", "psutil", "orjson", "isal", "zstandard"),
    *("stamina", "tenacity", "boto3", "botocore", "obstore", "pyspark", "matplotlib"),
}
NOT_NEEDED = {"pandas", "polars", "duckdb", "rich", "click", "boto3", "botocore", "obstore", "pyspark", "matplotlib", "stamina"}


def loaded(code: str) -> set[str]:
    """Top-level names of the modules that are loaded after `code`, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SRC), str(FRONT_DOOR)])}
    command = [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("name", ["flight_etl", "flight_etl.runners.cli", "flight_etl.settings_rules"])
def test_importing_brings_nothing_heavy(name: str) -> None:
    assert not loaded(f"import {name}") & HEAVY


def test_the_handler_starts_with_nothing_heavy() -> None:
    """What an event needs comes with the first event that needs it: a doubled one, say, needs no Arrow."""
    code = "import main_etl_processor as m; m.OptimizedETLProcessor(m.ETLConfig.from_env({}))"
    assert not loaded(code) & (HEAVY - {"isal", "zstandard", "botocore"})  # Powertools imports botocore's empty front


def test_help_and_version_bring_nothing_heavy() -> None:
    for option in ("--help", "--version"):
        code = f"from flight_etl.runners.cli import main\ntry: main(['{option}'])\nexcept SystemExit: pass"
        assert not loaded(code) & HEAVY


def test_settings_come_without_anything_heavy() -> None:
    assert not loaded("import flight_etl; flight_etl.Settings()") & HEAVY


# Where pandas is installed, pyarrow imports it by itself the first time that it is given a Python list.
def test_the_library_brings_only_what_its_work_needs() -> None:
    assert not loaded("import flight_etl.api, data_transformer, optimized_converter") & (NOT_NEEDED - {"pandas"})
