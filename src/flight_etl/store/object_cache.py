"""Bytes of objects kept near: the beginnings of those opened last in memory, and whole ones on the scratch disk.

Every input is opened twice, for its layout and for its rows, so its beginning is kept from the first time to the second: a small
object then costs one request, and a large one two. A layout of columns is read through a window for each column, and each window
is one more request, for all bytes from there on (all bytes, where they are compressed). A large object is therefore fetched
whole, once, when it is opened a third time, and read from the scratch disk from then on (docs/adr/0011).

What is kept belongs to one version of an object: its key holds URL, etag, version, time and size, which were asked for just
before, and the bytes come from requests pinned to them. On disk they are in files without a name, which the system takes away
with the process, however that ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from flight_etl.store.failures import store_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.store.objects import ObjectInfo

__all__ = ["HEAD_BYTES", "ObjectCache", "Version", "version_of"]

HEAD_BYTES: Final = 4 << 20  # B; no layout needs more to be recognised
_HEADS: Final = 2  # kept at a time; a reader that finds its own gone asks for it again
_SHARE: Final = 0.5  # of what would be free without us; the rest is for rows that do not fit in memory
_MOST_BYTES: Final = 4 << 30  # B, however much is free

Version = tuple[object, ...]


class ObjectCache:
    """Safe for threads. `folder` is on the scratch disk; None: the system's own for temporary files."""

    def __init__(self, folder: str | None = None, *, most_bytes: int | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        self._most_bytes = most_bytes  # B on disk; None: a share of what is free
        self._lock = threading.Lock()
        self._heads: OrderedDict[Version | None, bytes] = OrderedDict()
        self._files: OrderedDict[Version, _Reading] = OrderedDict()
        self._sizes: dict[Version, int] = {}  # B, of files that are there or being written
        self._hits = {"heads": 0, "disk": 0}
        self._misses = {"heads": 0, "disk": 0}

    def counts(self) -> dict[str, tuple[int, int]]:
        """Hits and misses by level; an opening counts on disk from the third of a large object on."""
        with self._lock:
            return {level: (self._hits[level], self._misses[level]) for level in self._hits}

    @property
    def disk_bytes(self) -> int:
        """B on disk now."""
        with self._lock:
            return sum(self._sizes.values())

    def head(self, info: ObjectInfo) -> bytes:
        """Give the kept beginning of an object; b"" when there is none."""
        with self._lock:
            found = self._heads.get(version_of(info), b"")
            self._count("heads", hit=bool(found))
            return found

    def keep_head(self, info: ObjectInfo, head: bytes) -> None:
        """Keep the beginning of an object whose version is known."""
        version = version_of(info)
        if version is None:
            return
        with self._lock:
            self._heads[version] = head
            while len(self._heads) > _HEADS:
                self._heads.popitem(last=False)

    def open(self, info: ObjectInfo, *, expected: bool) -> _Reading | None:
        """Open the kept bytes of an object; None when they are not there, which counts as a miss only where `expected`."""
        with self._lock:
            version = version_of(info)
            file = self._files.get(version) if version is not None else None
            if file is not None or expected:
                self._count("disk", hit=file is not None)
            if version is None or file is None:
                return None
            self._files.move_to_end(version)
            return file.again()

    def fetch(self, info: ObjectInfo, blocks: Iterator[bytes]) -> _Reading | None:
        """Keep the bytes that `blocks` give, and open them; None, before any is asked for, when there is no room.

        Gives None too when the disk fails on the way: a cache is no reason to fail. What `blocks` raise is raised.
        """
        version, file = version_of(info), None
        if version is None or not self._has_reserved(version, info.size_bytes):
            return None
        try:
            file = self._written(blocks, info)
            reading = file.again() if file is not None else None
        finally:
            with self._lock:
                if file is None:
                    self._sizes.pop(version, None)
                else:
                    self._files[version] = file
        return reading

    def _written(self, blocks: Iterator[bytes], info: ObjectInfo) -> _Reading | None:
        """Write a file without a name; None when the disk does not take it."""
        try:
            with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
                for block in blocks:
                    view = memoryview(block)
                    while view:
                        view = view[file.write(view) :]
                return _Reading(os.dup(file.fileno()), str(info.url)) if file.tell() == info.size_bytes else None
        except OSError:
            return None

    def _has_reserved(self, version: Version, size: int) -> bool:
        """Let go of what was used longest ago until `size` more bytes fit; False when they do not, or come already."""
        with self._lock:
            if version in self._sizes:
                return False
            held = sum(self._sizes.values())
            most = self._most(held)
            while held + size > most and self._files and size <= most:
                oldest, file = self._files.popitem(last=False)
                file.close()  # who reads it has a handle of his own
                held -= self._sizes.pop(oldest)
            if held + size > most:
                return False
            self._sizes[version] = size
            return True

    def _most(self, held: int) -> int:
        if self._most_bytes is not None:
            return self._most_bytes
        try:
            return min(int(_SHARE * (shutil.disk_usage(self._folder).free + held)), _MOST_BYTES)
        except OSError:
            return 0

    def _count(self, level: str, *, hit: bool) -> None:
        (self._hits if hit else self._misses)[level] += 1


class _Reading:
    """A file without a name, read from a position of one's own."""

    def __init__(self, handle: int, name: str) -> None:
        self._handle: int | None = handle
        self._name = name
        self._position = 0

    def again(self) -> _Reading:
        """Read it from its beginning, whatever becomes of this one."""
        assert self._handle is not None
        return _Reading(os.dup(self._handle), self._name)

    def read(self, count: int, /) -> bytes:
        assert self._handle is not None
        try:
            data = os.pread(self._handle, count, self._position)
        except OSError as error:
            raise store_failure(error, self._name, "read") from error
        self._position += len(data)
        return data

    def seek(self, position: int, /) -> int:
        assert self._handle is not None
        self._position = min(position, os.fstat(self._handle).st_size)
        return self._position

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None

    def __del__(self) -> None:
        self.close()


def version_of(info: ObjectInfo) -> Version | None:
    """Name an object in the version at hand; None where nothing says that a later look sees the same bytes."""
    if info.etag is None and info.version is None:
        return None
    return (str(info.url), info.etag, info.version, info.modified_ms, info.size_bytes)
