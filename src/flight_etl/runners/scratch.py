"""Folders for work on an object that are gone afterwards, also when the process was stopped in the midst of it.

Lambda stops a process whose time is up, starts another one in the same sandbox, and leaves /tmp as it was (AWS Lambda developer
guide, "Lambda execution environment lifecycle", failures during the Invoke phase): without sweeping, a few of these fill it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.store.failures import store_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["scratch_folder", "sweep"]

_PREFIX: Final = "flight-etl-"
_LOCK: Final = ".lock"  # stands beside the folder, and is held for as long as its process lives


@contextmanager
def scratch_folder(parent: str | None = None) -> Iterator[Path]:
    """Give an empty folder inside `parent`, or the system's own, that is removed afterwards. Raises StoreError and its kinds."""
    with store_errors(parent or tempfile.gettempdir(), "make a folder for work under way"):
        number, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_LOCK, dir=parent)
    lock, folder = Path(name), Path(name.removesuffix(_LOCK))
    try:
        fcntl.flock(number, fcntl.LOCK_EX)  # before the folder is there, so that a sweep never takes it from under us
        with store_errors(folder, "make a folder for work under way"):
            folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(number)


def sweep(parent: str | None = None) -> int:
    """Remove the folders of processes that are no more, and say how many. Those in use, by whomever, stay."""
    removed = 0
    for lock in sorted(Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*{_LOCK}")):
        with suppress(OSError), lock.open("rb") as file:  # held, gone already, or somebody else's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
            removed += 1
    return removed
