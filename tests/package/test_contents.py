"""What is in the zip, and that it works with nothing beside it: the zip's own contents are what is tested."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from flight_etl.core.decode import decoder_name
from flight_etl.runners.lambda_zip import elf
from flight_etl.runners.lambda_zip.archive import write_zip
from flight_etl.runners.lambda_zip.build import ZIPPED_LIMIT_BYTES
from flight_etl.runners.lambda_zip.contents import front_door, requirements
from flight_etl.runners.lambda_zip.slim import UNZIPPED_LIMIT_BYTES, size_of, slim
from flight_etl.runners.lambda_zip.target import here
from lambda_package import built_package

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NOT_IMPORTED = {
    *("boto3", "botocore", "pandas", "polars", "duckdb", "matplotlib", "moto", "click", "rich", "airportsdata"),
    *("pyarrow.dataset", "pyarrow.csv", "hypothesis", "pytest"),
}

RUN = """
import json
from pathlib import Path
from flight_etl.bench.generate import write
from flight_etl.runners import local
from flight_etl.settings import Settings
folder = Path({!r})
folder.mkdir()
write(folder / "in.json", 5_000, layout="readsb", complexity="complex")
report = local.run([str(folder / "in.json")], str(folder / "out"), Settings())
print(json.dumps(report.decoder))
"""


def run(root: Path, code: str) -> Any:
    """Run code with the package and the standard library on the search path, and nothing else; its last line as JSON."""
    paths = f"import sys; sys.path.insert(0, {str(root)!r}); assert not any('site-packages' in one for one in sys.path), sys.path"
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "TMPDIR")}
    command = [sys.executable, "-I", "-S", "-c", f"{paths}\n{code}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_handler_comes_without_anything_heavy(lambda_root: Path) -> None:
    loaded = run(lambda_root, "import main_etl_processor, json; print(json.dumps(sorted(sys.modules)))")
    assert {"main_etl_processor", "flight_etl.runners.aws_lambda"} <= set(loaded)
    assert not {name for name in loaded if name in NOT_IMPORTED or name.split(".")[0] in NOT_IMPORTED}


def test_a_processor_comes_without_anything_heavy(lambda_root: Path) -> None:
    """What a cold start does before the first event: all of logs, metrics and clients but the queue's."""
    code = "import json, main_etl_processor as m; m.OptimizedETLProcessor(); print(json.dumps(sorted(sys.modules)))"
    loaded = run(lambda_root, code)
    assert "aws_lambda_powertools" in loaded
    assert not {name for name in loaded if name in NOT_IMPORTED or name.split(".")[0] in NOT_IMPORTED}


def test_every_module_of_the_front_door_can_be_imported(lambda_root: Path) -> None:
    names = sorted(path.stem for path in front_door().glob("*.py"))
    code = f"import importlib, json; print(json.dumps([importlib.import_module(name).__file__ for name in {names}]))"
    assert run(lambda_root, code) == [str(lambda_root / f"{name}.py") for name in names]


def test_a_run_gives_the_same_bytes_as_here_by_the_same_decoder(lambda_root: Path, tmp_path: Path) -> None:
    assert run(lambda_root, RUN.format(str(tmp_path / "package"))) == decoder_name()
    subprocess.run([sys.executable, "-c", RUN.format(str(tmp_path / "here"))], check=True, capture_output=True)
    (one,), (other,) = ((tmp_path / name / "out").glob("*.parquet") for name in ("package", "here"))
    assert one.read_bytes() == other.read_bytes()


def test_it_is_within_the_limits_and_says_its_sizes(lambda_root: Path) -> None:
    said = built_package(lambda_root.parent)
    assert said["unzipped_bytes"] == size_of(lambda_root) <= UNZIPPED_LIMIT_BYTES
    assert said["zipped_bytes"] <= ZIPPED_LIMIT_BYTES
    assert said["unslimmed_bytes"] > said["unzipped_bytes"]
    assert said["decoder"] == decoder_name()
    assert said["dockerfile"]
    assert len(said["distributions"]) >= len(requirements())


def test_slimmed_and_zipped_again_it_is_the_same(lambda_root: Path, tmp_path: Path) -> None:
    """Compiled sources, stripped libraries and the table of airfields included."""
    copy = tmp_path / "copy"
    shutil.copytree(lambda_root, copy)
    slim(copy, here())
    write_zip(copy, tmp_path / "again.zip")
    (first,) = lambda_root.parent.glob("*.zip")
    assert (tmp_path / "again.zip").read_bytes() == first.read_bytes()


def test_its_libraries_are_for_one_machine_and_its_licences_are_there(lambda_root: Path) -> None:
    assert {elf.machine_of(path) for path in lambda_root.rglob("*.so*")} == {here().machine}
    named = {folder.name.split("-")[0]: folder for folder in lambda_root.glob("*.dist-info")}
    for name in ("pyarrow", "numpy", "airportsdata"):  # those that are cut down or taken apart
        assert any(path.name.startswith("LICENSE") for path in named[name].rglob("*")), name
