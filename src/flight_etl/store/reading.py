"""Bytes of one input, decompressed, in blocks of bounded size.

gzip and zstd are recognised by their first bytes, never by the file's name. Files are read with plain reads, never mapped:
mapped pages would count against the memory limit.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import zstandard
from isal import igzip_lib

from flight_etl.errors import FlightEtlError, InputError, Place
from flight_etl.store.failures import store_errors, store_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BLOCK_BYTES", "MAX_RATIO", "BytesSource", "HeldSource", "LocalSource", "Source", "StoredFile", "by_lines"]

BLOCK_BYTES: Final = 1 << 20  # B, of decompressed data at a time
MAX_RATIO: Final = 1_000
"""Decompressed bytes per stored byte beyond which an input is taken for a decompression bomb.

Deflate cannot pass 1,032:1 (zlib's "Technical details", https://zlib.net/zlib_tech.html) and gets near it only for one byte
repeated; zstd reaches 40,000:1. The recordings in our tests lie between 4:1 and 30:1.
"""
RATIO_FROM_BYTES: Final = 64 << 20  # B; a small input may be as repetitive as it likes

_LINE_BYTES: Final = 1 << 16  # B before the end of a block in which the end of a line is looked for
_LINE_SHARE: Final = 4  # times that the end of a line is looked for, in a block that is to be twice as long each time
_READ_BYTES: Final = 1 << 18  # B, of stored data at a time
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"  # after a first byte of 0x50..0x5f
_ZSTD_MAX_BLOCK: Final = 1 << 17  # B, of decompressed data (RFC 8878, 3.1.1.2)
_ZSTD_MAX_WINDOW: Final = 1 << 27  # B; what `zstd -d` permits by default, and `zstd --ultra -22` needs


class StoredFile(Protocol):
    """What reading needs of a file, wherever it is."""

    def read(self, count: int, /) -> bytes:
        """Return the next bytes, at most `count`; none only at the end."""

    def seek(self, position: int, /) -> int:
        """Go to a position counted from the beginning, and return it."""

    def close(self) -> None:
        """Let go of it."""


class Source:
    """An input: its name, its size as stored, and its decompressed bytes."""

    is_near = False  # whether reading costs no more than the bytes do, so that it may be done twice and from several threads

    def __init__(self, name: str, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes  # B, as stored
        self.identity: object = name  # the same for every name that leads to the same bytes
        self.version: object = None  # equal only where name and bytes are; None where nothing tells
        self._stored: _Stored | None = None

    @property
    def consumed_bytes(self) -> int:
        """Stored bytes that the latest `open` has used so far."""
        return self._stored.consumed if self._stored else 0

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Give the decompressed bytes from `offset` on, in blocks of at most `BLOCK_BYTES`, none of them empty.

        What can be decompressed is given before InputError says that the data are cut short, corrupt or a bomb. Raises
        NotFound, Denied, Unavailable or StoreError when the file cannot be read.
        """
        with closing(self._file()) as file:
            self._stored = stored = _Stored(self.name, file)
            unpacked = _unpacked(stored)
            if unpacked is None:
                stored.skip(offset)
                yield from stored.blocks()
            else:
                yield from _after(unpacked, offset)

    def lines(self, size: Callable[[], int]) -> Iterator[bytes]:
        """Give the decompressed bytes in blocks of about `size()` bytes, which end with a line where one ends near enough.

        Raises as `open` does.
        """
        yield from by_lines(self.open(), size)

    def held(self, most: int) -> bytes | None:
        """Give all of the decompressed bytes; None where they are more than `most`, or there is something wrong with them."""
        blocks, size = [], 0
        try:
            for block in self.open():
                blocks.append(block)
                size += len(block)
                if size > most:
                    return None
        except FlightEtlError:
            return None
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def stored_file(self) -> StoredFile:
        """Open the bytes as they are stored. Raises as `open` does."""
        return self._file()

    def _file(self) -> StoredFile:
        raise NotImplementedError


class LocalSource(Source):
    """A local file. Raises NotFound, Denied or InputError (not a regular file) at once when it cannot be read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with self._file() as file:
            status = os.fstat(file.fileno())
        super().__init__(self.path, status.st_size)
        self.identity = (status.st_dev, status.st_ino)
        self.is_near = True

    def __repr__(self) -> str:
        return f"LocalSource({self.path!r})"

    def _file(self) -> IO[bytes]:
        with store_errors(self.path, "read"):
            # A pipe would block here, and could not be read twice: once for its layout, once for its rows.
            # Neither here nor below a Path, which takes longer than the system does: there may be many small files.
            if not stat.S_ISREG(os.stat(self.path).st_mode):  # noqa: PTH116
                raise InputError("is not a regular file; save it as a file first", place=Place(self.path))
            return io.FileIO(self.path)

    def lines(self, size: Callable[[], int]) -> Iterator[bytes]:
        """Do as in all sources; where the end of a line is looked up ahead, nothing has to be put together from pieces."""
        with closing(self._file()) as file:
            self._stored = stored = _Stored(self.name, file)
            unpacked = _unpacked(stored)
            yield from stored.lines(size) if unpacked is None else by_lines(unpacked, size)


class BytesSource(Source):
    """Bytes in memory, compressed or not."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(name, len(data))
        self._data = data

    def _file(self) -> IO[bytes]:
        return io.BytesIO(self._data)


class HeldSource:
    """The decompressed bytes of a source that is held in memory."""

    def __init__(self, source: Source, data: bytes) -> None:
        self.name, self.version = source.name, source.version
        self._data = data

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Give what there is from `offset` on."""
        data = self._data[offset:] if offset else self._data
        return iter((data,) if data else ())


def by_lines(blocks: Iterator[bytes], size: Callable[[], int]) -> Iterator[bytes]:
    """Put blocks together, and cut them where a line ends. Raises what they raise, behind all that came before."""
    held: list[bytes] = []
    count = 0
    try:
        for block in blocks:
            held.append(block)
            count += len(block)
            wanted = size()
            cut = block.rfind(b"\n") + 1 if count >= wanted else 0
            if cut or count >= wanted << _LINE_SHARE:
                held[-1] = block[: cut or None]
                yield b"".join(held)
                held = [block[cut:]] if cut else []
                count = len(block) - cut if cut else 0
    except FlightEtlError:
        if count:
            yield b"".join(held)
        raise
    if count:
        yield b"".join(held)


class _Stored:
    """Reads stored bytes in order, with some of them looked at ahead of time."""

    def __init__(self, name: str, file: StoredFile) -> None:
        self.name = name
        self._file = file
        self._ahead = b""
        self._read_bytes = 0

    @property
    def consumed(self) -> int:
        return self._read_bytes - len(self._ahead)

    def some(self) -> bytes:
        """Return the next bytes, however many come; none at the end."""
        data, self._ahead = self._ahead or self._more(_READ_BYTES), b""
        return data

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the end, without using them up."""
        while len(self._ahead) < count and (more := self._more(max(_READ_BYTES, count - len(self._ahead)))):
            self._ahead += more
        return self._ahead[:count]

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the end."""
        data = self.peek(count)
        self._ahead = self._ahead[len(data) :]
        return data

    def put_back(self, data: bytes) -> None:
        self._ahead = data + self._ahead

    def skip(self, count: int) -> None:
        """Pass over `count` bytes of a file from which at most the look-ahead was read."""
        if count <= len(self._ahead):
            self._ahead = self._ahead[count:]
            return
        with store_errors(self.name, "read"):
            self._read_bytes = self._file.seek(self.consumed + count)
        self._ahead = b""

    def go_back(self, position: int) -> None:
        with store_errors(self.name, "read"):
            self._read_bytes = self._file.seek(position)
        self._ahead = b""

    def blocks(self) -> Iterator[bytes]:
        """Give all remaining bytes as they are."""
        while block := self.take(BLOCK_BYTES):
            yield block

    def lines(self, size: Callable[[], int]) -> Iterator[bytes]:
        """Give all remaining bytes, in blocks that end with a line. The end of a block is looked up before it is read."""
        at = self.consumed
        while True:
            self.go_back(at)
            block = b"".join(self._exactly(self._up_to_line(at, size())))
            if not block:
                return
            at += len(block)
            yield block

    def _up_to_line(self, at: int, size: int) -> int:
        """Count the bytes from `at` on up to the end of a line, about `size`, or at most those that are left."""
        for doubled in range(_LINE_SHARE):
            count = size << doubled
            near = min(count, _LINE_BYTES)
            self.go_back(at + count - near)
            tail = b"".join(self._exactly(near))
            cut = tail.rfind(b"\n") + 1
            if cut and len(tail) == near:
                count += cut - near
            if cut or len(tail) < near:
                break
        self.go_back(at)
        return count

    def _exactly(self, count: int) -> Iterator[bytes]:
        while count and (data := self._more(count)):
            count -= len(data)
            yield data

    def _more(self, count: int) -> bytes:
        try:
            data = self._file.read(count)
        except OSError as error:
            raise store_failure(error, self.name, "read") from error
        self._read_bytes += len(data)
        return data

    def broken(self, what: str) -> InputError:
        """Return the error that says where the stored bytes stop making sense."""
        return InputError(
            f"{what} at byte {self.consumed} of the stored file; records before it were read, fetch the file again for the rest",
            place=Place(self.name),
        )


def _unpacked(stored: _Stored) -> Iterator[bytes] | None:
    """Decompressed bytes; None where they are stored as they are."""
    head = stored.peek(4)
    if head[:2] == _GZIP:
        return _guarded(_gunzip(stored), stored)
    if head == _ZSTD or (head[1:] == _ZSTD_SKIPPABLE and head[0] & 0xF0 == 0x50):  # noqa: PLR2004 - RFC 8878, 3.1.2
        return _guarded(_unzstd(stored), stored)
    return None


def _after(blocks: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """Leave out the first `offset` bytes."""
    for block in blocks:
        if offset < len(block):
            yield block[offset:] if offset else block
        offset = max(0, offset - len(block))


def _guarded(blocks: Iterator[bytes], stored: _Stored) -> Iterator[bytes]:
    """Stop when the data grow beyond all reason."""
    total = 0
    for block in blocks:
        total += len(block)
        if total > RATIO_FROM_BYTES and total > MAX_RATIO * stored.consumed:
            raise InputError(
                f"is a decompression bomb: {stored.consumed} stored bytes gave {total} so far, more than {MAX_RATIO}:1; "
                "decompress it yourself if you trust it",
                place=Place(stored.name, offset=total),
            )
        yield block


def _gunzip(stored: _Stored) -> Iterator[bytes]:
    """Decompress members one after another; zeros behind the last, as tapes and block devices leave them, are padding."""
    while True:
        head = stored.peek(2)
        if head[:1] == b"\0":
            yield from _padding(stored)
            return
        if not head:
            return
        if not _GZIP.startswith(head):
            raise stored.broken("gzip data are corrupt: what follows the last member is not gzip")
        yield from _member(stored)


def _padding(stored: _Stored) -> Iterator[bytes]:
    while data := stored.some():
        if data.strip(b"\0"):
            raise stored.broken("gzip data are corrupt: what follows the last member is not gzip")
    yield from ()


def _member(stored: _Stored) -> Iterator[bytes]:
    begin, given = stored.consumed, 0
    inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    while not inflate.eof:
        data = stored.some() if inflate.needs_input else b""
        if inflate.needs_input and not data:
            raise stored.broken("gzip data are cut short")
        try:
            block = inflate.decompress(data, BLOCK_BYTES)
        except igzip_lib.error as error:  # type: ignore[misc]  # its stubs take the class for an instance
            yield from _salvaged(stored, begin, given)
            raise stored.broken(f"gzip data are corrupt ({error})") from error
        given += len(block)
        if block:
            yield block
    stored.put_back(inflate.unused_data)


def _salvaged(stored: _Stored, begin: int, given: int) -> Iterator[bytes]:
    """Decompress a corrupt member again for what the failed call did not hand over, which is all but at most one byte.

    It takes a byte at a time where it matters, since a call that fails gives nothing.
    """
    stored.go_back(begin)
    inflate = zlib.decompressobj(wbits=31)
    while given:
        given -= len(inflate.decompress(inflate.unconsumed_tail or stored.some(), min(given, BLOCK_BYTES)))
    stored.put_back(inflate.unconsumed_tail)
    found, data = bytearray(), b""
    try:
        while len(found) < BLOCK_BYTES and not inflate.eof and (data := data or stored.take(64)):
            found += inflate.decompress(data, 1)
            data = inflate.unconsumed_tail
    except zlib.error:
        stored.put_back(data)
    if found:
        yield bytes(found)


def _unzstd(stored: _Stored) -> Iterator[bytes]:
    """Decompress frames one after another, a compressed block at a time, so that no call gives more than 128 KiB (RFC 8878).

    The library's own readers cannot tell a file that is cut short from one that is complete.
    """
    pending = bytearray()
    try:
        for block in _frames(stored):
            pending += block
            if len(pending) >= BLOCK_BYTES - _ZSTD_MAX_BLOCK:
                yield bytes(pending)
                pending.clear()
    except InputError:
        if pending:
            yield bytes(pending)
        raise
    if pending:
        yield bytes(pending)


def _frames(stored: _Stored) -> Iterator[bytes]:
    while magic := stored.peek(4):
        if magic[1:] == _ZSTD_SKIPPABLE and magic[0] & 0xF0 == 0x50:  # noqa: PLR2004
            head = _exactly(stored, 8)
            left = int.from_bytes(head[4:], "little")
            while left:
                left -= len(_exactly(stored, min(left, _READ_BYTES)))
        elif magic == _ZSTD[: len(magic)]:
            yield from _frame(stored)
        else:
            raise stored.broken("zstd data are corrupt: what follows the last frame is not zstd")


def _frame(stored: _Stored) -> Iterator[bytes]:
    inflate = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW).decompressobj()
    head = _exactly(stored, 5)
    flags = head[4]
    content_size, single_segment, dictionary_id = flags >> 6, flags >> 5 & 1, flags & 3
    rest = (1 - single_segment) + (0, 1, 2, 4)[dictionary_id] + (single_segment, 2, 4, 8)[content_size]
    yield from _decoded(inflate, head + _exactly(stored, rest), stored)
    last = 0
    while not last:
        block_head = _exactly(stored, 3)
        word = int.from_bytes(block_head, "little")
        last, kind, size = word & 1, word >> 1 & 3, word >> 3
        body = _exactly(stored, 1 if kind == 1 else size)  # 1: one byte repeated `size` times
        yield from _decoded(inflate, block_head + body, stored)
    if flags >> 2 & 1:
        yield from _decoded(inflate, _exactly(stored, 4), stored)  # checksum of the content


def _decoded(inflate: Any, data: bytes, stored: _Stored) -> Iterator[bytes]:
    try:
        block = inflate.decompress(data)
    except zstandard.ZstdError as error:
        raise stored.broken(f"zstd data are corrupt ({error})") from error
    if block:
        yield block


def _exactly(stored: _Stored, count: int) -> bytes:
    data = stored.take(count)
    if len(data) < count:
        raise stored.broken("zstd data are cut short")
    return data
