"""The boundary at which what the operating system says becomes an error of ours."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flight_etl.errors import Denied, NotFound, Place, StoreError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

__all__ = ["store_errors", "store_failure"]

_MISSING: Final = {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO}
_DENIED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN: Final = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EHOSTDOWN, errno.ENETDOWN, errno.ENOTCONN}


def store_failure(error: OSError, place: str | PathLike[str], doing: str) -> StoreError:
    """Our error for an OSError met while `doing` something ("read", "write") at `place`; by errno, never by text."""
    where = Place(str(place))
    if error.errno in _MISSING:
        return NotFound(f"cannot {doing}: there is no such file or folder; check the path", place=where)
    if error.errno in _DENIED:
        return Denied(f"cannot {doing}: {error.strerror or 'not permitted'}; change the permissions or the path", place=where)
    if error.errno in _FULL:
        return StoreError(f"cannot {doing}: {error.strerror or 'no space left'}; free space or name another place", place=where)
    if error.errno in _BROKEN:
        return Unavailable(f"cannot {doing}: {error.strerror or error}; check the disk or mount, then try again", place=where)
    return StoreError(f"cannot {doing}: {error.strerror or error}", place=where)


@contextmanager
def store_errors(place: str | PathLike[str], doing: str) -> Iterator[None]:
    """Turn an OSError inside the block into ours, see `store_failure`."""
    try:
        yield
    except OSError as error:
        raise store_failure(error, place, doing) from error
