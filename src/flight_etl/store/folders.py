"""What publishing needs of folders and the operating system: a lock, a swap, a flush, a listing."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.errors import Place, StoreError
from flight_etl.store.failures import store_errors, store_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["exchange", "files_below", "locked", "remove", "sync", "sync_tree"]

_AT_FDCWD: Final = -100  # linux/fcntl.h
_RENAME_EXCHANGE: Final = 2  # linux/fs.h
_UNSUPPORTED: Final = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV, errno.EBUSY, errno.EPERM, errno.EACCES}


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where that is not possible. Raises OSError when it is and fails."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))


@contextmanager
def locked(lock: Path, target: Path) -> Iterator[None]:
    """Hold the lock file while the block runs. The kernel lets go of it when the process ends, however it ends.

    Raises StoreError at once when another process holds it.
    """
    handle = _acquire(lock, target)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while held: who waits for this file finds it gone and makes a new one
        os.close(handle)


def _acquire(lock: Path, target: Path) -> int:
    while True:
        with store_errors(lock, "write the lock file"):
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(lock, handle):
                return handle
        except BlockingIOError as error:
            os.close(handle)
            raise StoreError(
                "another run is writing here; wait for it, or name another output", place=Place(str(target))
            ) from error
        except OSError as error:
            os.close(handle)
            raise store_failure(error, lock, "lock") from error
        os.close(handle)


def _is_still(lock: Path, handle: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path, *, files: bool = True, shared: bool = False) -> None:
    """Bring all names below `folder`, and with `files` all content, to disk.

    In a `shared` one others, a worker, may take away what they have put there, while we are at it.
    """
    gone = (FileNotFoundError,) if shared else ()
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names if files else ():
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                with suppress(*gone):
                    sync(path)
        with suppress(*gone):
            sync(Path(parent))


def files_below(folder: Path, *, skip: Callable[[str], bool] | None = None) -> Iterator[str]:
    """Relative names, with slashes, of all files below `folder`, sorted; not of entries of `folder` whose name `skip` says.

    A symbolic link is a file here, whatever it leads to.
    """
    for parent, folders, names in os.walk(folder):
        if skip is not None and Path(parent) == folder:
            folders[:] = [name for name in folders if not skip(name)]
            names = [name for name in names if not skip(name)]  # noqa: PLW2901
        links = [name for name in folders if Path(parent, name).is_symlink()]
        folders.sort()
        for name in sorted([*names, *links]):
            yield Path(parent, name).relative_to(folder).as_posix()


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; it may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
