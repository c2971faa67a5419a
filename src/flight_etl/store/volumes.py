"""Several files or objects as one, read from any position: the volumes of an archive."""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from flight_etl.store.reading import LocalSource

if TYPE_CHECKING:
    from flight_etl.store.reading import Source, StoredFile

__all__ = ["open_volumes"]

_PIECE_BYTES: Final = 4 << 20  # B of volumes in an object store that are asked for and kept together
_PIECES: Final = 3  # kept at a time
_WINDOWS: Final = 2  # kept open at a time


def open_volumes(volumes: tuple[Source, ...]) -> StoredFile:
    """Give the stored bytes of all volumes, one behind the other. Raises as the volumes' stores do."""
    if all(isinstance(volume, LocalSource) for volume in volumes):
        return _Chain(volumes)
    return _Cached(_windows.of(volumes))


class _Chain:
    """Several files as one. A volume is opened when it is read, and closed when another is."""

    def __init__(self, volumes: tuple[Source, ...]) -> None:
        self._volumes = volumes
        self._ends = list(accumulate(volume.size_bytes for volume in volumes))
        self._position = 0
        self._number = -1  # of the open volume
        self._file: StoredFile | None = None

    def read(self, count: int, /) -> bytes:
        number = next((at for at, end in enumerate(self._ends) if self._position < end), None)
        if number is None:
            return b""
        if self._file is None or number != self._number:
            self.close()
            self._file, self._number = self._volumes[number].stored_file(), number
            self._file.seek(self._position - self._begin(number))
        data = self._file.read(min(count, self._ends[number] - self._position))
        self._position += len(data)
        return data

    def seek(self, position: int, /) -> int:
        self._position = position
        if self._file is not None and self._begin(self._number) <= position < self._ends[self._number]:
            self._file.seek(position - self._begin(self._number))
        else:
            self.close()
        return position

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._number = None, -1

    def _begin(self, number: int) -> int:
        return self._ends[number] - self._volumes[number].size_bytes


class _Window:
    """What was read last of volumes in an object store, for all readers and threads.

    The small files in an archive stand close together, and each is opened twice. With a request for each time, the archive of
    a day would take hours; so large pieces are read in order from one body, and readers find their bytes in these.
    """

    def __init__(self, volumes: tuple[Source, ...]) -> None:
        self._lock = threading.Lock()
        self._file = _Chain(volumes)
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0

    def read(self, position: int, count: int) -> bytes:
        number, inside = divmod(position, _PIECE_BYTES)
        with self._lock:
            piece = self._pieces.get(number)
            if piece is None:
                piece = self._pieces[number] = self._fetch(number * _PIECE_BYTES)
            self._pieces.move_to_end(number)
            while len(self._pieces) > _PIECES:
                self._pieces.popitem(last=False)
        return piece[inside : inside + count]

    def _fetch(self, begin: int) -> bytes:
        if begin != self._position:
            self._file.seek(begin)
        self._position = -1  # unknown, should this fail
        data = bytearray()
        while len(data) < _PIECE_BYTES and (more := self._file.read(_PIECE_BYTES - len(data))):
            data += more
        self._position = begin + len(data)
        return bytes(data)

    def close(self) -> None:
        with self._lock:
            self._file.close()
            self._pieces.clear()
            self._position = -1  # so that the next piece is asked for from where it begins


class _Cached:
    """Volumes in an object store, read through their window."""

    def __init__(self, window: _Window) -> None:
        self._window = window
        self._position = 0

    def read(self, count: int, /) -> bytes:
        data = self._window.read(self._position, count)
        self._position += len(data)
        return data

    def seek(self, position: int, /) -> int:
        self._position = position
        return position

    def close(self) -> None:
        """Leave the window to the next reader."""


class _Windows:
    """The windows used last; older ones let go of their connection and bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[int, ...], tuple[_Window, tuple[Source, ...]]] = OrderedDict()

    def of(self, volumes: tuple[Source, ...]) -> _Window:
        key = tuple(map(id, volumes))  # the very sources, kept alive here: another of the same name may have other content
        with self._lock:
            window = self._open[key][0] if key in self._open else _Window(volumes)
            self._open[key] = (window, volumes)
            self._open.move_to_end(key)
            while len(self._open) > _WINDOWS:
                self._open.popitem(last=False)[1][0].close()
        return window


_windows: Final = _Windows()
