"""One source decoded on all threads: its blocks are read ahead, and each is decoded on the guess that it begins with a document.

Blocks are cut where lines end, so in a stream of lines every guess is right. What stands between the end of what one block
gave and the begin of the next is decoded in order, as all of it is where the first block shows that documents are long, or
where guesses turn out wrong. Neither blocks nor threads can be seen in what comes out (core/decode/parts.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError
from flight_etl.runners.staged import Staged, Step, cut, ready, stage, stage_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future

    from flight_etl.core.decode import PartsDecoder
    from flight_etl.outcome import Outcome
    from flight_etl.settings import Settings
    from flight_etl.store.reading import Source

__all__ = ["Ahead", "block_bytes"]

_FIRST_BYTES: Final = 1 << 18  # B of the first block, which shows whether the guess is worth it
_STREAM_BYTES: Final = 1 << 20  # B of a block of a stream that is decoded in order
_MOST_BYTES: Final = 1 << 23  # B of a block; larger ones gain nothing
_ROW_BYTES: Final = 256  # B that a row takes at least in most layouts
_MISSES: Final = 2  # guesses wrong in a row, with which there is an end to guessing


def block_bytes(chunk_rows: int) -> int:
    """Size of a block in B, of which a few are in memory at a time, as chunks are."""
    return max(_FIRST_BYTES, min(_MOST_BYTES, chunk_rows * _ROW_BYTES))


@dataclass(slots=True)
class _Guess:
    """What comes of a block if a document begins with it: up to which position, and the books."""

    end: int
    read: int
    empty: bool
    rows: int
    staged: Staged


@dataclass(slots=True)
class _Block:
    begin: int
    data: bytes
    guess: Future[_Guess] | None  # None: not made, or used

    @property
    def end(self) -> int:
        return self.begin + len(self.data)


class Ahead:
    """See the module's docstring. At most `workers + 1` blocks are under way."""

    def __init__(
        self, source: Source, parts: PartsDecoder, settings: Settings, pool: Executor, workers: int, most: Callable[[], int]
    ) -> None:
        self._source, self._parts, self._settings = source, parts, settings
        self._pool, self._workers, self._most = pool, workers, most
        self._size, self._wanted = _FIRST_BYTES, 1
        self._stream = source.lines(lambda: self._size)
        self._blocks: deque[_Block] = deque()
        self._end = 0
        self._failure: FlightEtlError | None = None
        self._misses = 0

    def steps(self) -> Iterator[Step]:
        """Give all chunks in order. Raises what is to be said about the source as a whole, as a Decoder does."""
        try:
            yield from self._steps()
        finally:  # not left to whoever lets go of an error, which holds all of this
            if isinstance(self._stream, Generator):
                self._stream.close()

    def _steps(self) -> Iterator[Step]:
        at = read = 0
        empty = is_cut = False
        while self._has(self._wanted):
            block = self._blocks[0]
            if block.guess is not None and block.begin == at:
                guess, block.guess = block.guess.result(), None
                yield Step(self._source.consumed_bytes, guess.rows, ready(guess.staged.moved(read)))
                at, read, empty = guess.end, read + guess.read, empty or guess.empty
                self._learn(block, at)
            if at < block.end:
                stretch = self._parts.stretch(at, self._from(at), through=self._wanted == 0)
                for outcome in stretch.outcomes():
                    yield from self._in_order(outcome, read)
                at, read, empty, is_cut = stretch.end, read + stretch.read, empty or stretch.empty_documents > 0, stretch.is_cut
            self._leave(at)
        if self._failure is not None:
            raise self._failure
        self._parts.check_end(self._end, read, empty=empty, cut=is_cut)

    def _in_order(self, outcome: Outcome, moved: int) -> Iterator[Step]:
        """Have a chunk that was decoded in order go through the record stages."""
        for piece in cut([(outcome, self._parts.layout.name)], self._most):
            yield Step(
                self._source.consumed_bytes, piece[0].kept.num_rows, self._pool.submit(_stage_moved, piece, self._settings, moved)
            )

    def _learn(self, block: _Block, at: int) -> None:
        """See by how far a guess was right whether more are to be made."""
        if block.begin == 0:
            is_good = 2 * at >= block.end
            self._size = block_bytes(self._settings.decode.chunk_rows) if is_good else _STREAM_BYTES
            self._wanted = self._workers + 1 if is_good else 0
        if at == block.end:
            self._misses = 0

    def _leave(self, at: int) -> None:
        """Forget blocks that are done with, and the guesses about them that were in vain."""
        while self._blocks and self._blocks[0].end <= at:
            if self._blocks.popleft().guess is not None:
                self._misses += 1
        if self._misses >= _MISSES:
            self._wanted, self._size = 0, _STREAM_BYTES

    def _has(self, count: int) -> bool:
        """Whether there is a block; reads ahead until there are `count`."""
        while len(self._blocks) < max(count, 1) and self._read():
            pass
        return bool(self._blocks)

    def _read(self) -> bool:
        """Read one more block; False where there is none."""
        try:
            data = next(self._stream, b"")
        except FlightEtlError as error:
            self._failure, data = error, b""
        if not data:
            return False
        guess = self._pool.submit(self._guessed, self._end, data, self._most()) if self._wanted else None
        self._blocks.append(_Block(self._end, data, guess))
        self._end += len(data)
        return True

    def _from(self, at: int) -> Iterator[bytes]:
        """Give the bytes from `at` on, block by block, and keep the blocks, but where there is an end to guessing."""
        number = 0
        while self._has_number(number):
            block = self._blocks[number]
            if self._wanted:
                number += 1
            else:
                self._blocks.popleft()
            yield block.data[at - block.begin :] if at > block.begin else block.data
        if self._failure is not None:
            raise self._failure

    def _has_number(self, number: int) -> bool:
        return len(self._blocks) > number or self._read()

    def _guessed(self, begin: int, data: bytes, most: int) -> _Guess:
        """Decode a block and have its rows go through the record stages: on a thread of the pool."""
        decoded = self._parts.decode(begin, data)
        staged = stage_all([(decoded.outcome, self._parts.layout.name)], self._settings, most)
        return _Guess(decoded.end, decoded.read, decoded.empty_documents > 0, decoded.outcome.kept.num_rows, staged)


def _stage_moved(piece: tuple[Outcome, str], settings: Settings, moved: int) -> Staged:
    return stage([piece], settings).moved(moved)
