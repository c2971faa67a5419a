"""The walker that hands runs of plain records to `_fast.pyx`, and keeps what comes of them until it is handed out.

What is not plain takes the way of the reference decoder, record by record; then the fast one goes on. So the answers are the
reference decoder's, whatever the bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson

from flight_etl.core.decode import _fast
from flight_etl.core.decode.collect import HELD_BYTES, Document
from flight_etl.core.decode.fast_table import PLACE_WIDTH, Batch, Whole
from flight_etl.core.decode.plan import plan_of
from flight_etl.core.decode.scan import TAIL, Verdict, head_before
from flight_etl.core.decode.walk import Walker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from re import Pattern

    from flight_etl.core.decode.collect import Records
    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.plan import Plan
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["Batches", "FastWalker", "fast_walker"]


def fast_walker(source: Source, layout: Layout, settings: DecodeSettings, batches: Batches | None = None) -> Walker:
    """Walker for a layout: the fast one, where the parser knows such layouts.

    With `batches`, which must be of the same layout, it goes on filling what another source has left.
    """
    if batches is None:
        plan = plan_of(layout)
        if plan is None:
            return Walker(source, layout, settings)
        batches = Batches(_fast.Parser(plan, settings.max_depth), plan, settings.chunk_rows)
    return FastWalker(source, layout, settings, batches)


_WHOLE_BYTES: Final = 1 << 18  # B of a document that is waited for


class _Stop(NamedTuple):
    """Why and where the parser stopped, and how many rows and NaN it had read by then."""

    status: int
    at: int
    rows: int
    nans: int


class _Found(NamedTuple):
    """What whole documents have brought."""

    rows: int
    empty: int  # documents without rows
    nans: int


class FastWalker(Walker):
    """A Walker that gives batches in the place of records."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings, batches: Batches, offset: int = 0) -> None:
        super().__init__(source, layout, settings, offset)
        self._batches = batches
        self._held = batches.size
        self.found = batches  # type: ignore[assignment]  # of the same shape as Records
        self._before: Pattern[bytes] | None = (
            None if any(len(path) > 1 for path in self._paths) or not self._paths else head_before(tuple(self._names))
        )

    @property
    def batches(self) -> Batches | None:
        """What may wait for the rows of the next source; None where all must be handed out."""
        rows = len(self._batches)
        known = not rows or self._batches[rows - 1].complete
        whole = self.cut_at is None and self.window.failure is None
        return self._batches if known and whole and self._held <= HELD_BYTES else None

    # -- documents: members round the records, where they are plain ----------------------------------------------------

    def _object(self, at: int) -> Generator[None, None, int]:
        after = self._documents(at) if self._batches.reads_documents else at
        return after if after != at else (yield from super()._object(at))

    def _documents(self, at: int) -> int:
        """Read whole documents as long as they are plain and in memory; position in front of the first that is not."""
        window, limit = self.window, self._settings.max_record_bytes
        last = self.read + self._settings.chunk_rows
        while self.read < last and not self.is_ready():
            piece = (window.data, window.start)
            status, end, found = self._batches.read_documents(piece, at, self.read, (limit, last - self.read))
            self.read += found.rows
            self.empty_documents += found.empty
            self._held += end - at
            if found.nans:
                self.counts["nan_token"] = self.counts.get("nan_token", 0) + found.nans
            at = end
            if status == _fast.FULL:
                continue
            # What is long is read as it comes; to wait for its end would be to read it again and again.
            waits = status in (_fast.END, _fast.CUT) and not window.ended and window.end - at < _WHOLE_BYTES
            if found.rows or found.empty or not (waits and window.more(at)):
                break
        return at

    def _members(self, at: int, document: Document, *, keep: int) -> Generator[None, None, tuple[int, Verdict]]:
        opening = self._opening(at, document.envelope)
        if opening < 0:
            return (yield from super()._members(at, document, keep=keep))
        before = self.read
        at = yield from self._array(opening, document)
        self.empty_documents += self.read == before
        verdict = Verdict.WHOLE if self.cut_at is None else Verdict.CUT
        end = self._ending(at, document.envelope) if verdict is Verdict.WHOLE else at
        if end < 0:
            return (yield from super()._members(at - 1, document, keep=at))
        document.complete = True
        return end, verdict

    def _opening(self, at: int, envelope: dict[str, Any] | None) -> int:
        """Position of the array of records of the object at `at`, and the members before it; -1: not plain, or not in memory."""
        found = self._before.match(self.window.data, at - self.window.start) if self._before else None
        if found is None or not self._read_members(b"{" + found[1] + b'"":0}', found.end() - found.start(), envelope):
            return -1
        return self.window.start + found.end()

    def _ending(self, at: int, envelope: dict[str, Any]) -> int:
        """Position behind the object that goes on at `at`, and the rest of its members; -1: not plain, or not in memory."""
        found = TAIL.match(self.window.data, at - self.window.start)
        if found is None or not self._read_members(b'{"":0' + found[1] + b"}", found.end() - found.start(), envelope):
            return -1
        return self.window.start + found.end()

    def _read_members(self, raw: bytes, size: int, envelope: dict[str, Any] | None) -> bool:
        """Add members to an envelope; False where the way is longer."""
        if size > self._settings.max_record_bytes:
            return False
        try:
            members = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return False
        if not self._heads.isdisjoint(members):
            return False
        if envelope is not None:
            envelope.update((key, value) for key, value in members.items() if key in self._wanted)
        return True

    # -- records -------------------------------------------------------------------------------------------------------

    def _lines(self, at: int) -> int:
        return self._run(at, self._bare, self._line, lines=True)

    def _line(self, at: int) -> int:
        """Read a line as the reference does, unless it is seen to be a document."""
        return at if self._opening(at, None) >= 0 else super()._lines(at)

    def _elements(self, at: int, document: Document) -> int:
        return self._run(at, document, lambda place: super(FastWalker, self)._elements(place, document))

    def _run(self, at: int, document: Document, careful: Callable[[int], int], *, lines: bool = False) -> int:
        """Read records from `at` on as long as they are in order; `careful` reads single ones.

        `lines`: they stand by themselves, so that it may be left to the caller to read on where bytes end.
        """
        window, limit, chunk = self.window, self._settings.max_record_bytes, self._settings.chunk_rows
        last = self.read + chunk
        while self.read < last and not self.is_ready():
            stop = self._batches.run((window.data, window.start), at, self.read, (limit, last - self.read), document)
            self._held += stop.at - at
            self.read += stop.rows
            if stop.nans:
                self.counts["nan_token"] = self.counts.get("nan_token", 0) + stop.nans
            at, read = stop.at, self.read
            if stop.status == _fast.FULL:
                continue
            if lines and (stop.status == _fast.END or (stop.status == _fast.CUT and stop.rows)):
                break
            if stop.status in (_fast.END, _fast.CUT) and not window.ended and window.end - at <= limit and window.more(at):
                continue
            if stop.status in (_fast.ODD, _fast.CUT):
                at = self._one(at, careful)
            if self.read == read:
                break
        return at

    def _one(self, at: int, careful: Callable[[int], int]) -> int:
        """Read at most one record as the reference does."""
        settings, self._settings = self._settings, replace(self._settings, chunk_rows=1)
        try:
            return careful(at)
        finally:
            self._settings = settings

    def _keep(self, at: int, raw: bytes, value: Any, document: Document) -> None:
        self._batches.add(self.read, at, raw, value, document)
        self.read += 1
        self._held += len(raw)

    def _split(self, count: int) -> Records:
        batch = self._batches.split(count)
        self._held = self._batches.size
        return batch  # type: ignore[return-value]


class Batches:
    """Batches of at most `chunk_rows` rows, of which the parser fills the last one. To the walker they look like Records."""

    def __init__(self, parser: _fast.Parser, plan: Plan, chunk_rows: int) -> None:
        self._parser, self._plan, self._chunk_rows = parser, plan, chunk_rows
        self._around = None if plan.around is None else _fast.Parser(plan.around, 1)
        self._batches = [Batch(plan)]
        self._input = 0

    def begin(self, number: int) -> None:
        """Say that what comes now is of another input."""
        self._input = number
        self._batches[-1].begin(number)

    def __len__(self) -> int:
        return (len(self._batches) - 1) * self._chunk_rows + self._batches[-1].rows

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(batch.size for batch in self._batches)

    @property
    def documents(self) -> Batches:
        """Documents by row."""
        return self

    def __getitem__(self, row: int) -> Document | Whole:
        return self._batches[row // self._chunk_rows].document(row % self._chunk_rows)

    def run(self, piece: tuple[bytes, int], begin: int, number: int, most: tuple[int, int], document: Document) -> _Stop:
        """Have the parser read from `begin` on, in a piece of the stream; most bytes of a record, and most rows."""
        batch = self._batches[-1]
        data, start = piece
        rows = min(most[1], self._chunk_rows - batch.rows)
        status, end, count, nans = self._parser.run(data, begin - start, start, number, most[0], rows)
        batch.add_run(count, end + start - begin, piece, document)
        self._seal()
        return _Stop(status, start + end, count, nans)

    @property
    def reads_documents(self) -> bool:
        """Whether the parser knows where documents have their records."""
        return bool(self._plan.heads)

    def read_documents(self, piece: tuple[bytes, int], begin: int, number: int, most: tuple[int, int]) -> tuple[int, int, _Found]:
        """Have the parser read whole documents, as `run` reads records."""
        batch = self._batches[-1]
        data, start = piece
        room = min(most[1], self._chunk_rows - batch.rows)
        status, end, nans, places = self._parser.documents(data, begin - start, start, number, most[0], room)
        table = np.frombuffer(places, np.int64).reshape(-1, PLACE_WIDTH)
        rows = int(table[:, -1].sum())
        full = table if table[:, -1].all() else np.ascontiguousarray(table[table[:, -1] > 0])
        batch.add_documents(end + start - begin, piece, full)
        self._seal()
        return status, start + end, _Found(rows, len(table) - len(full), nans)

    def add(self, number: int, at: int, raw: bytes, value: Any, document: Document) -> None:
        """Add a record that the reference decoder has parsed."""
        self._batches[-1].add_odd(number, at, raw, value, document)
        self._seal()

    def _seal(self) -> None:
        """Take what was parsed into the batch that is full, and begin the next one."""
        if self._batches[-1].rows == self._chunk_rows:
            self._batches[-1].take(self._parser, self._around)
            self._append()

    def _append(self) -> None:
        self._batches.append(Batch(self._plan))
        self._batches[-1].begin(self._input)

    def split(self, count: int) -> Batch:
        """Take off the first batch, which has `count` rows."""
        batch = self._batches.pop(0)
        if not self._batches:
            batch.take(self._parser, self._around)
            self._append()
        assert batch.rows == count
        return batch
