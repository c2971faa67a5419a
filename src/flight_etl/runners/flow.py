"""Which way the sources of a run go to become chunks behind the record stages: one after another, or on all threads at once."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from flight_etl.core.decode import ALL_ROWS, Decoder, PartsDecoder, decoder_name
from flight_etl.errors import FlightEtlError
from flight_etl.runners.ahead import Ahead, block_bytes
from flight_etl.runners.staged import Step, batched, cut, ready, stage, stage_all
from flight_etl.store.reading import HeldSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor, Future

    from flight_etl.runners.means import Means
    from flight_etl.runners.records import Ledger
    from flight_etl.runners.staged import Piece, Staged
    from flight_etl.settings import Settings
    from flight_etl.store.reading import Source

__all__ = ["Flow"]

_SMALL_BYTES: Final = 1 << 18  # B, as stored, of a file that is decoded together with its neighbours
_UNPACKED: Final = 8  # B that a stored byte becomes in most files; where it is more, a group ends sooner
_MOST_FILES: Final = 256  # in a group


class _Group(NamedTuple):
    """What came of neighbouring sources: chunks of some of them, and after these the numbers of those not taken."""

    staged: Staged
    left: list[int]


class Flow:
    """Steps of all sources in order. What can be said about a source as a whole is booked with it."""

    def __init__(
        self, sources: Sequence[Source], settings: Settings, ledger: Ledger, pool: Executor, workers: int, means: Means
    ) -> None:
        self._sources, self._settings, self._accounts = sources, settings, ledger.accounts
        self._pool, self._workers, self._means = pool, workers, means
        self._done = 0  # stored bytes of the sources that are done with

    def steps(self) -> Iterator[Step]:
        """Give all chunks, in order."""
        numbers = list(range(len(self._sources)))
        # Without the fast decoder threads would only wait for each other.
        if self._workers == 1 or decoder_name() != "fast":
            yield from self._serial(numbers)
            return
        at = 0
        while at < len(numbers):
            end = at
            while end < len(numbers) and self._is_small(end):
                end += 1
            if end - at > 1:
                yield from self._grouped(numbers[at:end])
            else:
                end = at + 1
                yield from self._ahead(at)
            at = end

    def _most(self) -> int:
        """Rows of a chunk."""
        return min(self._settings.decode.chunk_rows, self._means.piece_rows())

    # -- one after another -----------------------------------------------------------------------------------------------

    def _serial(self, numbers: Sequence[int]) -> Iterator[Step]:
        for held in batched(cut(self._decoded(numbers), self._most), self._most):
            rows = sum(raw.kept.num_rows for raw, _ in held)
            yield Step(self._reached, rows, self._pool.submit(stage, held, self._settings))

    def _decoded(self, numbers: Sequence[int]) -> Iterator[Piece]:
        """Give what sources are decoded to."""
        decoder = Decoder(self._settings.decode)
        self._reached = self._done
        for number in numbers:
            source, account = self._sources[number], self._accounts[number]
            try:
                layout = self._means.detect(source, self._settings.decode)
                if layout is not None:
                    account.layout = layout.name
                    for piece in decoder.decode(source, layout, number):
                        self._reached = self._done + source.consumed_bytes
                        yield piece
            except FlightEtlError as error:
                account.failure = error
            self._done += source.size_bytes
        self._reached = self._done
        yield from decoder.flush()

    # -- one source on all threads ---------------------------------------------------------------------------------------

    def _ahead(self, number: int) -> Iterator[Step]:
        source, account, settings = self._sources[number], self._accounts[number], self._settings
        try:
            layout = self._means.detect(source, settings.decode)
            if layout is not None:
                account.layout = layout.name
                parts = PartsDecoder(source, layout, settings.decode, number)
                if not parts.is_able:
                    yield from self._serial([number])
                    return
                for step in Ahead(source, parts, settings, self._pool, self._workers, self._most).steps():
                    yield step._replace(done=self._done + step.done)
        except FlightEtlError as error:
            account.failure = error
        self._done += source.size_bytes

    # -- many small sources, each whole on some thread ---------------------------------------------------------------------

    def _is_small(self, number: int) -> bool:
        source = self._sources[number]
        return source.is_near and source.size_bytes <= _SMALL_BYTES

    def _groups(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Neighbours that are a chunk together, more or less."""
        group: list[int] = []
        size, most = 0, block_bytes(self._settings.decode.chunk_rows) // _UNPACKED
        for number in numbers:
            group.append(number)
            size += self._sources[number].size_bytes
            if size >= most or len(group) == _MOST_FILES:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _grouped(self, numbers: Sequence[int]) -> Iterator[Step]:
        groups = self._groups(numbers)
        under_way: deque[tuple[list[int], Future[_Group]]] = deque()
        while True:
            while len(under_way) <= self._workers and (group := next(groups, None)):
                under_way.append((group, self._submit(group)))
            if not under_way:
                return
            group, future = under_way.popleft()
            result = future.result()
            taken = group[: len(group) - len(result.left)]
            self._done += sum(self._sources[number].size_bytes for number in taken)
            yield Step(self._done, sum(one.kept.num_rows for one in result.staged.outcomes), ready(result.staged))
            if taken and result.left:
                under_way.appendleft((result.left, self._submit(result.left)))
            elif result.left:
                yield from self._serial(result.left[:1])
                if rest := result.left[1:]:
                    under_way.appendleft((rest, self._submit(rest)))

    def _submit(self, group: list[int]) -> Future[_Group]:
        return self._pool.submit(self._decode_group, group, self._most())

    def _decode_group(self, numbers: list[int], most: int) -> _Group:
        """Read and decode sources up to the first that is large or broken, or until together they are large."""
        # One table of all, which is cut afterwards: so no document has to be in two.
        decoder = Decoder(replace(self._settings.decode, chunk_rows=ALL_ROWS))
        pieces: list[Piece] = []
        room = block_bytes(self._settings.decode.chunk_rows)
        left = list(numbers)
        while left and room > 0:
            source = self._sources[left[0]]
            data = source.held(room)
            if data is None:
                break
            room -= len(data)
            self._decode_held(HeldSource(source, data), left.pop(0), decoder, pieces)
        pieces += decoder.flush()
        return _Group(stage_all(pieces, self._settings, most), left)

    def _decode_held(self, source: HeldSource, number: int, decoder: Decoder, pieces: list[Piece]) -> None:
        account = self._accounts[number]
        try:
            layout = self._means.detect(source, self._settings.decode)
            if layout is not None:
                account.layout = layout.name
                pieces += decoder.decode(source, layout, number)
        except FlightEtlError as error:
            account.failure = error
