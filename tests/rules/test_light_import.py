"""What importing costs, told by the names of the modules that it brings along, never by seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from source_tree import FRONT_DOOR, SRC

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {
    *("pyarrow", "numpy", "pandas", "polars", "duckdb", "rich", "airportsdata", "psutil", "orjson", "isal", "zstandard"),
    *("stamina", "tenacity", "boto3", "botocore", "obstore", "pyspark", "matplotlib"),
}
NOT_NEEDED = {"pandas", "polars", "duckdb", "rich", "click", "boto3", "botocore", "obstore", "pyspark", "matplotlib", "stamina"}
# ssl, socket, urllib and hashlib come with pyarrow.parquet itself.
NOT_ON_THE_WAY = (NOT_NEEDED - {"click"}) | {
    *("psutil", "airportsdata", "tarfile", "zipfile", "asyncio", "multiprocessing", "subprocess", "email", "http", "csv"),
    *("tomllib", "unittest", "xml"),
}


def modules(code: str) -> set[str]:
    """Names of the modules that are loaded after `code`, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SRC), str(FRONT_DOOR)])}
    command = [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded(code: str) -> set[str]:
    """The same by their top-level names."""
    return {name.partition(".")[0] for name in modules(code)}


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


def test_the_list_of_commands_brings_no_command() -> None:
    """Those that have a module of their own come when they are called."""
    code = "from flight_etl.runners.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    commands = {"bench", "backfill", "compact", "dlq", "package", "accuracy"}
    assert not modules(code) & {f"flight_etl.runners.cli_{name}" for name in commands}


@pytest.mark.parametrize("work", ["run {0} --output {1}/out", "run {0} --output {1}/out --json", "convert {0} {1}/out.parquet"])
def test_work_on_local_files_brings_only_what_it_uses(work: str, tmp_path: Path) -> None:
    """As a program, which imports nearly all that it needs before it begins: no archive, no bucket, no progress bar."""
    source = tmp_path / "flat.ndjson"
    source.write_text('{"icao24": "3c6444", "timestamp": 1700000000, "latitude": 50.0, "longitude": 8.5}\n')
    words = ["flight-etl", *work.format(source, tmp_path).split()]
    code = f"import sys; sys.argv = {words!r}\nfrom flight_etl.runners.cli import main\ntry: main()\nexcept SystemExit: pass"
    found = modules(code)
    assert "flight_etl.runners.local" in found
    assert not {name.partition(".")[0] for name in found} & NOT_ON_THE_WAY
    assert not found & {"pyarrow.dataset", "flight_etl.store.tar", "flight_etl.store.objects"}
    assert not {name for name in found if name.startswith("flight_etl.runners.cli_")} - {
        "flight_etl.runners.cli_lazy",
        "flight_etl.runners.cli_options",
        "flight_etl.runners.cli_text",
    }


def test_settings_come_without_anything_heavy() -> None:
    assert not loaded("import flight_etl; flight_etl.Settings()") & HEAVY


# Where pandas is installed, pyarrow imports it by itself the first time that it is given a Python list.
def test_the_library_brings_only_what_its_work_needs() -> None:
    assert not loaded("import flight_etl.api, data_transformer, optimized_converter") & (NOT_NEEDED - {"pandas"})
