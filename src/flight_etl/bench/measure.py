"""One process from start to end: its time, and the memory of it and its children as the kernel counted it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CaseFailedError", "Measured", "measured"]

_LOOK_S: Final = 0.05  # s between two looks at the processes
_TAIL: Final = 2_000  # characters of what a failed process said
_MB: Final = 1e6

# The kernel's peak of a process counts that of the process that forked it, until it becomes the program that it is to be. We may
# be large, so a small process starts it, and tells seconds, CPU seconds, KiB at most and exit code.
_START: Final = """
import os, sys, time
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
began = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
seconds = time.monotonic() - began
told = (seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
os.write(int(sys.argv[1]), " ".join(map(repr, told)).encode())
"""


class CaseFailedError(FlightEtlError):
    """A measured process failed, or did not do the work that was asked for: there is no time to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a process took, and what it printed."""

    seconds: float  # s, wall clock, from before its start to after its end
    cpu_seconds: float  # s, user and system, children included
    peak_rss_mb: float  # MB (10^6 B) of all its processes; the sum of their peaks, which may be at different times
    stdout: str


def measured(command: Sequence[str], *, cwd: Path, timeout_s: float = 1_800.0) -> Measured:
    """Run a command to its end. Raises CaseFailedError, with what it said last, when it fails or takes too long.

    Python keeps its bytecode, as where a package is installed for use: compiling sources anew each time took 0.1 s of a start.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        process = subprocess.Popen(  # noqa: S603 - commands of our own
            [sys.executable, "-I", "-S", "-c", _START, str(told.fileno()), *command],
            cwd=cwd, stdout=out, stderr=said, stdin=subprocess.DEVNULL, pass_fds=[told.fileno()],
        )  # fmt: skip
        watch = _Watch(process.pid, time.monotonic() + timeout_s)
        watch.start()
        process.wait()
        watch.stop()
        account = _text(told).split()
        code = int(account[3]) if account else process.returncode
        if code:
            late = f"stopped after {timeout_s:.0f} s" if watch.late else f"exit code {code}"
            raise CaseFailedError(f"{' '.join(command)}: {late}\n{_text(said)[-_TAIL:]}")
        return Measured(
            seconds=float(account[0]),
            cpu_seconds=float(account[1]),
            peak_rss_mb=(int(account[2]) * 1024 + watch.children_bytes) / _MB,
            stdout=_text(out),
        )


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


@dataclass(slots=True)
class _Watch:
    """Looks at the children of the process measured now and then, and stops all of them when it is late."""

    starter: int  # pid of the one that started it
    deadline: float  # s, of time.monotonic
    late: bool = False
    _peaks: dict[int, int] = field(default_factory=dict)  # B, of each child
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    @property
    def children_bytes(self) -> int:
        return sum(self._peaks.values())

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            (measured, *children) = _descendants(self.starter) or [0]
            for child in children:
                self._peaks[child] = max(self._peaks.get(child, 0), _peak_bytes(child))
            if time.monotonic() > self.deadline and not self.late:
                self.late = True
                for pid in (*children, measured):
                    _kill(pid)


def _kill(pid: int) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Processes below a process, as far as they are seen; none where the kernel does not tell (not Linux)."""
    found: list[int] = []
    try:
        lists = [(task / "children").read_text(encoding="ascii") for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:  # it has just ended
        return found
    for child in map(int, " ".join(lists).split()):
        found += [child, *_descendants(child)]
    return found


def _peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
