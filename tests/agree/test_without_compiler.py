"""Where there is no compiler, the package is built without its extension, and is complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECODE = """
from flight_etl.core.decode import decode, decoder_name
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.settings import DecodeSettings

class Memory:
    name = "memory"
    def open(self, offset=0):
        yield b'{"hex":"4b1901","time":1}'[offset:]

(outcome,) = decode(Memory(), LAYOUTS["flat"], DecodeSettings())
print(decoder_name(), outcome.kept["icao24"].to_pylist())
"""


@pytest.mark.slow
def test_it_is_built_and_decodes_by_the_reference(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    built = subprocess.run(command, cwd=tmp_path, env=os.environ | {"CC": "false"}, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert not list(tmp_path.rglob("*.so"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run([sys.executable, "-c", DECODE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "reference ['4b1901']"
