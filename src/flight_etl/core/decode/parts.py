"""Parts of a stream decoded apart from what stands before them, on the guess that a document begins where they do.

What a walker does between two documents depends on the bytes behind and on nothing before. So what comes of a part is right
whenever the walk through all that stands before it ends at the part's begin, between two documents; who cuts a stream at its
lines has to see to that, and may guess wrong at no risk. Numbers of records begin with 0 in each part.

A part ends where it would take more bytes than it has to go on: in front of the document that may not be whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from flight_etl.core.decode import _fast
from flight_etl.core.decode.collect import Records
from flight_etl.core.decode.fast import Batches, FastWalker
from flight_etl.core.decode.plan import plan_of
from flight_etl.core.decode.walk import BETWEEN_DOCUMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flight_etl.core.decode.collect import Dropped
    from flight_etl.core.decode.fast_table import Batch
    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.plan import Plan
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["Given", "Part", "PartDecoder", "PartWalker"]

_ALL_ROWS: Final = 1 << 30  # rows; a part is one table


class _BeyondError(Exception):
    """More bytes than a part has are needed to go on."""


class Given:
    """Bytes of a stream from `begin` on, block by block, as a source; what lies elsewhere is read from the stream itself.

    `edges` are the places where the blocks given so far end.
    """

    def __init__(self, source: Source, begin: int, blocks: Iterable[bytes]) -> None:
        self.name = source.name
        self.edges: list[int] = []
        self.begin = begin
        self._source, self._blocks = source, iter(blocks)
        self._opened = False

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Give the blocks, the first time."""
        if self._opened:
            return self._source.open(offset)
        self._opened = True
        return self._counted(offset)

    def _counted(self, end: int) -> Iterator[bytes]:
        for block in self._blocks:
            end += len(block)
            self.edges.append(end)
            yield block


class _Mark(NamedTuple):
    """How far a walk is, between two documents."""

    at: int
    read: int
    dropped: int
    empty: int


class PartWalker(FastWalker):
    """A FastWalker over what is given. It stops between two documents at the first edge, unless it is to go through them."""

    through = False  # goes through edges
    waits = True  # for its rows to be taken now and then

    def __init__(self, given: Given, layout: Layout, settings: DecodeSettings, batches: Batches) -> None:
        super().__init__(given, layout, settings, batches, given.begin)
        self.mark = _Mark(given.begin, 0, 0, 0)
        self._given = given

    def is_ready(self) -> bool:
        """Whether `take` should be called now; never, where nobody waits for it."""
        return self.waits and super().is_ready()

    def _first(self) -> int:
        if not self.window.start:
            return self.window.skip_bom()
        self.window.more(self.window.start)
        return self.window.start

    def _next(self, at: int) -> int:
        edge = self._edge(at)
        self.mark = _Mark(at if edge < 0 else edge, self.read, len(self.dropped), self.empty_documents)
        return super()._next(at) if edge < 0 else -1

    def _edge(self, at: int) -> int:
        """Edge that has been reached at `at`, or will be before the next document begins; else -1."""
        if self.through:
            return -1
        window = self.window
        found = BETWEEN_DOCUMENTS.search(window.data, at - window.start)
        behind = window.start + found.start() if found else window.end
        return next((edge for edge in self._given.edges if at <= edge <= behind), -1)


@dataclass(slots=True)
class Part:
    """What comes of a part. `end` is the position between two documents up to which it was read."""

    end: int
    read: int
    empty_documents: int
    records: Batch | Records
    dropped: list[Dropped]
    counts: dict[str, int]


class PartDecoder:
    """Decodes parts of streams of one layout, on any number of threads at a time."""

    def __init__(self, layout: Layout, plan: Plan, settings: DecodeSettings) -> None:
        self._layout, self._plan = layout, plan
        self._settings = replace(settings, chunk_rows=_ALL_ROWS)
        self._idle: list[Batches] = []  # parsers keep what they have learnt, and their memory

    @staticmethod
    def of(layout: Layout, settings: DecodeSettings) -> PartDecoder | None:
        """Decoder for a layout; None where the fast parser does not know such layouts."""
        plan = plan_of(layout) if layout.rows in ("object", "array") else None
        return None if plan is None else PartDecoder(layout, plan, settings)

    def decode(self, source: Source, begin: int, data: bytes) -> Part:
        """Decode `data`, which stands at `begin` in the stream."""
        walker = PartWalker(Given(source, begin, _only(data)), self._layout, self._settings, self._batches())
        walker.waits = False
        try:
            for _ in walker.walk():
                pass
        except _BeyondError:
            mark = walker.mark
            if (walker.read, len(walker.dropped), walker.empty_documents) != mark[1:]:  # a document of several lines
                return self.decode(source, begin, data[: mark.at - begin])
        records: list[Records] = list(walker.take(_ALL_ROWS, rest=True))
        self._idle.append(walker.found)  # type: ignore[arg-type]
        part = records[0] if records else Records()
        return Part(walker.mark.at, walker.read, walker.empty_documents, part, walker.dropped, walker.counts)

    def _batches(self) -> Batches:
        try:
            return self._idle.pop()
        except IndexError:
            return Batches(_fast.Parser(self._plan, self._settings.max_depth), self._plan, _ALL_ROWS)

    def walker(self, given: Given, settings: DecodeSettings, *, through: bool) -> PartWalker:
        """Walker that goes on from where a part has stopped; its rows are to be taken as those of any walker."""
        batches = Batches(_fast.Parser(self._plan, settings.max_depth), self._plan, settings.chunk_rows)
        walker = PartWalker(given, self._layout, settings, batches)
        walker.through = through
        return walker


def _only(data: bytes) -> Iterator[bytes]:
    if data:
        yield data
    raise _BeyondError
