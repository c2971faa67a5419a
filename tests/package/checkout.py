"""Copies of this checkout in which commands may leave their traces, and the commands that its pages tell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "copied_checkout", "shell", "shell_blocks"]

ROOT = Path(__file__).parents[2]


def copied_checkout(target: Path) -> Path:
    """Copy what building needs, without anything that was built."""
    target.mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    shutil.copytree(ROOT / "src", target / "src", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__", "*.egg-info"))
    return target


def shell_blocks(page: Path) -> list[str]:
    """Give the blocks of shell commands on a page."""
    return re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def shell(commands: str, folder: Path) -> None:
    """Run commands in a folder as somebody with this environment activated would; all of them must succeed."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["sh", "-eu", "-c", commands], cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
