"""A stream of bytes seen through a window that moves along it, so that nothing large is ever held whole."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final, Protocol

from flight_etl.errors import FlightEtlError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BOM", "Source", "Window"]

BOM: Final = b"\xef\xbb\xbf"
_SHARE: Final = 8  # a read adds at least one part in so many of what is kept, or small blocks would be copied again and again

_LARGE_BYTES: Final = 1 << 16  # B of a block from which on it is worth not to copy it
_JOINT_BYTES: Final = 1 << 12  # B of it that are joined to what is kept; most records end inside of them


class Source(Protocol):
    """Where bytes come from: a name for people, and the decompressed content in blocks of any size."""

    @property
    def name(self) -> str:
        """Path or URL, as the user knows it."""

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Give the content from byte `offset` on. Raises an error of ours where it cannot be read any further."""


class Window:
    """The part of a stream that is in memory. Positions are absolute: bytes from the beginning of the stream.

    A stream that fails ends there; `failure` is why. What came before is still good.

    A large block is not copied: first the little that is kept comes together with the beginning of the block, then the block
    as it is, unless something goes on from the one into the rest of the other.
    """

    __slots__ = ("_block", "_blocks", "data", "ended", "failure", "start")

    def __init__(self, blocks: Iterator[bytes], start: int = 0) -> None:
        self._blocks = blocks
        self._block = b""  # the last bytes in memory are the beginning of this one, if it is not empty
        self.data = b""
        self.start = start
        self.ended = False
        self.failure: FlightEtlError | None = None

    @property
    def end(self) -> int:
        """Position behind the last byte in memory."""
        return self.start + len(self.data)

    def more(self, keep: int) -> bool:
        """Read on and forget all bytes before `keep`; False at the end of the stream."""
        keep = max(self.start, min(keep, self.end))
        if self._block:
            self._take_block(keep)
            return True
        kept = self.data[keep - self.start :]
        blocks, size = [kept], 0
        try:
            for block in self._blocks:
                blocks.append(block)
                size += len(block)
                if size * _SHARE >= len(kept) and size:
                    break
        except FlightEtlError as error:
            self.failure = error
        self.ended = not size
        if size:
            self.data = self._joined(kept, blocks[1:])
            self.start = keep
        return size > 0

    def _joined(self, kept: bytes, blocks: list[bytes]) -> bytes:
        if len(blocks) > 1 or len(blocks[0]) < _LARGE_BYTES or len(kept) > _JOINT_BYTES:
            return b"".join([kept, *blocks] if kept else blocks)  # one block alone is not copied
        if not kept:
            return blocks[0]
        self._block = blocks[0]
        return kept + self._block[:_JOINT_BYTES]

    def _take_block(self, keep: int) -> None:
        """Go on to the block of which the beginning is in memory, with what is to be kept of the bytes before it."""
        begin = self.end - _JOINT_BYTES
        kept = self.data[keep - self.start : begin - self.start] if keep < begin else b""
        self.data = kept + self._block if kept else self._block
        self.start = begin - len(kept)
        self._block = b""

    def close(self) -> None:
        """Let go of the source's file, if it has one open, also where an error holds on to this."""
        if isinstance(self._blocks, Generator):
            self._blocks.close()

    def drain(self) -> int:
        """Read to the end of the stream, which is the result, and keep nothing."""
        while self.more(self.end):
            pass
        return self.end

    def skip_bom(self) -> int:
        """Position of the first byte of the content; to be called first."""
        while len(self.data) < len(BOM) and self.more(self.start):
            pass
        return self.start + len(BOM) * self.data.startswith(BOM)

    def byte(self, at: int) -> int:
        """Byte at a position in memory."""
        return self.data[at - self.start]

    def cut(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` to before `end`, which must be in memory."""
        return self.data[begin - self.start : end - self.start]
