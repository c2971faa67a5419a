"""Headers of a tar archive, read one by one: where each member's data are, without unpacking anything.

The standard library reads tar too, but takes a damaged header in the midst of an archive for its end, and keeps all members in
memory. Here damage is told and passed over, as GNU tar does: reading goes on at the next block that is a header.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.store.reading import StoredFile

__all__ = ["BLOCK_BYTES", "Damage", "Member", "is_tar", "members"]

BLOCK_BYTES: Final = 512  # B; POSIX pax, "ustar Interchange Format"
_MAX_NAME_BYTES: Final = 1 << 20  # B of a header that only names what follows
_PAX: Final = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_SPARSE: Final = tarfile.GNUTYPE_SPARSE


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive. `begin` and `size_bytes` say where its data are; they may reach beyond the archive's end."""

    path: str
    begin: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with an archive, and at which byte."""

    offset: int
    what: str


@dataclass(slots=True)
class _Announced:
    """What a header says of the member behind the next one."""

    path: str | None = None
    size_bytes: int | None = None


def is_tar(file: StoredFile) -> bool:
    """Whether a file begins as a tar archive does, if need be with a damaged header."""
    block = _read(file, 0, BLOCK_BYTES)
    return block[257:262] == b"ustar" or _header(block) is not None


def members(file: StoredFile, size_bytes: int) -> Iterator[Member | Damage]:
    """Give the regular files of an archive of `size_bytes`, in order, and what is damaged.

    Reads headers only. Two archives one behind the other are read as one. An archive that ends inside a member's data is not
    told to be damaged: that member is. One that ends elsewhere without its mark, a block of zeros, is.
    """
    at, ended, lost = 0, False, False
    announced = _Announced()
    while at < size_bytes:
        block = _read(file, at, BLOCK_BYTES)
        if not block.strip(b"\0"):
            at, ended, lost = at + BLOCK_BYTES, True, False
            continue
        if len(block) < BLOCK_BYTES:
            ended = False
            break
        header = _header(block)
        if header is None:
            if not lost:
                yield Damage(at, "there is no valid tar header")
            at, lost = at + BLOCK_BYTES, True
            continue
        begin, ended, lost = at + BLOCK_BYTES, False, False
        if _names_another(header):
            if header.size > _MAX_NAME_BYTES:
                yield Damage(at, f"a name of {header.size} bytes is not read")
            else:
                _announce(announced, header, _read(file, begin, header.size))
            at = begin + _padded(header.size)
            continue
        size = header.size if announced.size_bytes is None else announced.size_bytes
        path = header.name if announced.path is None else announced.path
        announced = _Announced()
        if header.type == _SPARSE:
            yield Damage(at, f"{path} is stored as a sparse file, which is not read")
        elif header.isreg():
            yield Member(path, begin, size)
            if begin + size > size_bytes:
                return
        at = begin + (_padded(size) if _has_data(header) else 0)
    if not ended:
        yield Damage(size_bytes, "the archive is cut short: it ends without the mark that ends a tar archive")


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return header if header.size >= 0 else None


def _names_another(header: tarfile.TarInfo) -> bool:
    return header.type in (*_PAX, tarfile.GNUTYPE_LONGNAME)


def _has_data(header: tarfile.TarInfo) -> bool:
    """Whether data stand behind the header; the size of folders and links means something else."""
    return header.isreg() or header.type not in tarfile.SUPPORTED_TYPES or header.type in (*tarfile.GNU_TYPES, tarfile.XGLTYPE)


def _announce(announced: _Announced, header: tarfile.TarInfo, data: bytes) -> None:
    if header.type == tarfile.GNUTYPE_LONGNAME:
        announced.path = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        return
    for key, value in _pax_records(data):
        if key == b"path":
            announced.path = value.decode("utf-8", "surrogateescape")
        elif key == b"size" and value.isdigit():
            announced.size_bytes = int(value)


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give key and value of each record `LENGTH KEY=VALUE` and a line feed, up to the first that is none."""
    at = 0
    while at < len(data):
        length = data[at : at + 20].split(b" ", 1)[0]
        end = at + int(length) if length.isdigit() else at
        key, mark, value = data[at + len(length) + 1 : end - 1].partition(b"=")
        if not mark:
            return
        yield key, value
        at = end


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _read(file: StoredFile, at: int, count: int) -> bytes:
    """Read `count` bytes from position `at`, fewer only at the end."""
    file.seek(at)
    data = file.read(count)
    while len(data) < count and (more := file.read(count - len(data))):
        data += more
    return data
