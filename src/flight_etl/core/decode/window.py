"""A stream of bytes seen through a window that moves along it, so that nothing large is ever held whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flight_etl.errors import FlightEtlError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Source", "Window"]


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
    """

    __slots__ = ("_blocks", "data", "ended", "failure", "start")

    def __init__(self, blocks: Iterator[bytes], start: int = 0) -> None:
        self._blocks = blocks
        self.data = b""
        self.start = start
        self.ended = False
        self.failure: FlightEtlError | None = None

    @property
    def end(self) -> int:
        """Position behind the last byte in memory."""
        return self.start + len(self.data)

    def more(self, keep: int) -> bool:
        """Read the next block and forget all bytes before `keep`; False at the end of the stream."""
        try:
            block = next((block for block in self._blocks if block), None)
        except FlightEtlError as error:
            self.failure, block = error, None
        if block is None:
            self.ended = True
            return False
        keep = min(keep, self.end)
        self.data = self.data[keep - self.start :] + block
        self.start = keep
        return True

    def cut(self, begin: int, end: int) -> bytes:
        """Bytes from `begin` to before `end`, which must be in memory."""
        return self.data[begin - self.start : end - self.start]
