"""The Lambda package of this checkout for the interpreter that runs the tests, built once per session and unpacked.

A test that uses `lambda_root` is `slow`: building takes most of a minute.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

__all__ = ["built_package", "lambda_root", "unpacked_package"]


def built_package(folder: Path) -> dict[str, Any]:
    """Make the zip with the command, once for all processes of a test run; what the command said with --json."""
    said = folder / "said.json"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            command = [sys.executable, "-m", "flight_etl.runners.cli", "package-lambda", "--json", "--python-version", version]
            done = subprocess.run([*command, "-o", str(folder)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            said.write_text(done.stdout, encoding="utf-8")
    found = json.loads(said.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def unpacked_package(folder: Path) -> Path:
    """Unpack the zip into a folder of its own, once for all processes of a test run, and give that folder."""
    package = Path(built_package(folder)["path"])
    root = folder / "root"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            part = folder / "part"
            with zipfile.ZipFile(package) as archive:
                archive.extractall(part)
            part.rename(root)
    return root


@pytest.fixture(scope="session")
def lambda_root(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The package's own contents, unpacked in an empty folder. Read only: all processes of a test run share it."""
    base = tmp_path_factory.getbasetemp()
    return unpacked_package((base if worker_id == "master" else base.parent) / "lambda-package")
