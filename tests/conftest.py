"""What end-to-end tests share: the command line in this process or in one of its own, and generated recordings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from flight_etl.bench.generate import write
from flight_etl.runners import cli
from flight_etl.settings import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable

SRC = Path(__file__).parents[1] / "src"


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as one JSON object, which must be all that is there."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Command(Protocol):
    """Runs the command line with arguments."""

    def __call__(self, *arguments: object) -> Done: ...


@pytest.fixture
def etl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command line in this process, in an empty working directory, with no setting in the environment."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> Done:
        before = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main([str(one) for one in arguments])
        finally:
            signal.signal(signal.SIGTERM, before)
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, said.out, said.err)

    return command


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command line as a process of its own in `tmp_path`, with pipes; `before` runs in it first."""
    environment = {key: value for key, value in os.environ.items() if key not in ENVIRONMENT} | {"PYTHONPATH": str(SRC)}

    def process(*arguments: object, before: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flight_etl.runners.cli", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, cwd=tmp_path, preexec_fn=before)  # noqa: PLW1509

    return process


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a recording of complex flights once per session and name it; `suffix` chooses form and compression."""
    folder = tmp_path_factory.mktemp("generated")

    def recording(rows: int, *, layout: str = "flat", suffix: str = ".ndjson", seed: int = 7, interval_s: int = 5) -> Path:
        path = folder / f"{layout}-{rows}-{seed}-{interval_s}{suffix}"
        if not path.exists():
            part = path.with_name(f"part-{path.name}")
            write(part, rows, layout=layout, complexity="complex", seed=seed, interval_s=interval_s)
            part.rename(path)
        return path

    return recording


@pytest.fixture
def listing() -> Callable[[Path], dict[str, bytes]]:
    """Give everything below a folder, hidden files included, with its content."""

    def files(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

    return files
