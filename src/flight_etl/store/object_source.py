"""Inputs in object stores, read as local files are: in blocks, decompressed by content, from any offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flight_etl.errors import Place, Unavailable
from flight_etl.store.object_cache import HEAD_BYTES, version_of
from flight_etl.store.reading import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.store.objects import Bucket, ObjectInfo
    from flight_etl.store.reading import StoredFile

__all__ = ["ObjectSource"]

_PASSES: Final = 2  # times that an object is read as it comes: for its layout, and for its rows
_STREAM_BYTES: Final = 1 << 18  # B, of stored data at a time
RESUMES: Final = 5  # times a body may break off, and once more
RESUME_EVERY: Final = 64 << 20  # for each so many bytes that came


class ObjectSource(Source):
    """An object, pinned to the version that `info` shows. Raises Conflict when another has taken its place since.

    A body that breaks off or ends early is resumed at the byte reached. At most a few blocks of it are in memory.
    """

    def __init__(self, bucket: Bucket, info: ObjectInfo) -> None:
        super().__init__(str(info.url), info.size_bytes)
        self.info = info
        self._bucket = bucket
        self._passes = 0
        self.version = version_of(info)

    def __repr__(self) -> str:
        return f"ObjectSource({self.name!r})"

    @classmethod
    def find(cls, bucket: Bucket, key: str, *, version: str | None = None) -> ObjectSource:
        """Look at an object and pin it as it is now, or pin the `version` named. One request."""
        return cls(bucket, bucket.head(key, version=version))

    def _file(self) -> StoredFile:
        self._passes += 1
        cache, body = self._bucket.cache, _Body(self._bucket, self.info)
        if cache is None or self.size_bytes <= HEAD_BYTES:  # which the heads hold whole
            return body
        again = self._passes > _PASSES
        near = cache.open(self.info, expected=again)
        if near is None and again:
            near = cache.fetch(self.info, body.blocks())
        return near or _Body(self._bucket, self.info)


class _Body:
    """The stored bytes of an object, as a file that is read mostly in order."""

    def __init__(self, bucket: Bucket, info: ObjectInfo) -> None:
        self._bucket = bucket
        self._info = info
        self._position = 0  # of what was given out
        self._ahead = b""  # received and not yet given out
        self._blocks: Iterator[bytes] | None = None
        self._broken = 0  # times that a body broke off

    def close(self) -> None:
        self._blocks, self._ahead = None, b""  # which closes the connection if the body is not at its end

    def read(self, count: int, /) -> bytes:
        self._ahead = self._ahead or self._next()
        data, self._ahead = self._ahead[:count], self._ahead[count:]
        self._position += len(data)
        return data

    def seek(self, position: int, /) -> int:
        self._blocks, self._ahead = None, b""
        self._position = min(position, self._info.size_bytes)
        return self._position

    def blocks(self) -> Iterator[bytes]:
        """Give all bytes from the position on."""
        while block := self.read(_STREAM_BYTES):
            yield block

    def _next(self) -> bytes:
        while self._position < self._info.size_bytes:
            if self._blocks is None:
                self._blocks = self._begin()
            cause: Unavailable | None = None
            try:
                if block := next(self._blocks, b""):
                    return block
            except Unavailable as error:
                cause = error
            self._broke_off(cause)
        return b""

    def _broke_off(self, cause: Unavailable | None) -> None:
        """Count, and permit that the body is taken up again from the byte reached; or give up."""
        self._blocks = None
        self._broken += 1
        if self._broken > RESUMES + self._position // RESUME_EVERY:
            raise Unavailable(
                f"cannot read: the body broke off {self._broken} times, last at byte {self._position} "
                f"of {self._info.size_bytes}; try again",
                place=Place(str(self._info.url)),
            ) from cause

    def _begin(self) -> Iterator[bytes]:
        """Ask for the bytes from the position on. What keeps the request itself from being answered is raised from here."""
        size, at = self._info.size_bytes, self._position
        if at >= min(HEAD_BYTES, size):
            return self._stream(at, None)
        cache = self._bucket.cache
        if cache is not None and (head := cache.head(self._info)):
            return iter((head[at:],))
        return self._head(self._stream(0, min(HEAD_BYTES, size)), at)

    def _head(self, blocks: Iterator[bytes], at: int) -> Iterator[bytes]:
        head = b"".join(blocks)
        if len(head) == min(HEAD_BYTES, self._info.size_bytes):
            if self._bucket.cache is not None:
                self._bucket.cache.keep_head(self._info, head)
            yield head[at:]

    def _stream(self, begin: int, end: int | None) -> Iterator[bytes]:
        return self._bucket.stream(begin=begin, end=end, key=self._info.key, pinned=self._info, block_bytes=_STREAM_BYTES)
