"""Layout-directed decoding of one source, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa

from flight_etl.core.decode.collect import Dropped, Records
from flight_etl.core.decode.columns import column_records
from flight_etl.core.decode.csv_rows import csv_records
from flight_etl.core.decode.fast_table import Batch
from flight_etl.core.decode.reference import raw_table
from flight_etl.core.decode.walk import Walker
from flight_etl.errors import InputError, Place
from flight_etl.outcome import Outcome, add_counts
from flight_etl.schema import DROPPED_SCHEMA, INPUT

try:
    from flight_etl.core.decode.fast import fast_walker
    from flight_etl.core.decode.parts import Given, PartDecoder
except ImportError:  # installed where there was no compiler
    fast_walker = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.parts import Part, PartWalker
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["ALL_ROWS", "Decoder", "PartsDecoder", "Stretch", "decode", "decoder_name"]

ALL_ROWS: Final = 1 << 30  # as `chunk_rows`: all rows in one table
_MORE = "; what came before was read"


def decoder_name() -> Literal["fast", "reference"]:
    """Which decoder reads plain records here; both give the same answers."""
    return "reference" if fast_walker is None else "fast"


def decode(source: Source, layout: Layout, settings: DecodeSettings) -> Iterator[Outcome]:
    """Give the RAW rows of a source in its order, at most `chunk_rows` at a time, with the records that were dropped.

    Raises InputError, after everything readable was given, when the source is cut short, corrupt, or has no records.
    """
    if layout.rows in ("csv", "columns"):
        read = csv_records if layout.rows == "csv" else column_records
        for records, dropped in read(source, layout, settings):
            table, counts = raw_table(records, layout, max_extras=settings.max_extra_columns)
            yield Outcome(table, _dropped_table(dropped), counts)
        return
    walker = Walker(source, layout, settings) if fast_walker is None else fast_walker(source, layout, settings)
    for records in _found(walker, settings.chunk_rows):
        yield _outcome(walker, records, layout, settings)
    yield from _rest(walker, layout, settings)
    _check_end(walker, source, layout)


def _found(walker: Walker, count: int) -> Iterator[Records]:
    """Records as they come together."""
    for _ in walker.walk():
        yield from walker.take(count)  # Batches look like Records to the walker
        if len(walker.dropped) >= count:
            yield Records()


def _rest(walker: Walker, layout: Layout, settings: DecodeSettings) -> Iterator[Outcome]:
    for records in walker.take(settings.chunk_rows, rest=True):
        yield _outcome(walker, records, layout, settings)
    if walker.dropped:
        yield _outcome(walker, Records(), layout, settings)


class Decoder:
    """Decodes one source after another. The rows of small ones wait for the next, since each table costs more than a few rows.

    Tables have a column for the number of the input, and come with the name of their layout.
    """

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._layout: Layout | None = None
        self._batches: Any = None  # of the fast decoder

    def decode(self, source: Source, layout: Layout, number: int) -> Iterator[tuple[Outcome, str]]:
        """Give RAW rows as `decode` does, and raise as it does; what waits comes with the next call or with `flush`."""
        if layout is not self._layout:
            yield from self.flush()
        if fast_walker is None or layout.rows not in ("object", "array"):
            for outcome in decode(source, layout, self._settings):
                yield _of_input(outcome, number), layout.name
            return
        walker = fast_walker(source, layout, self._settings, self._batches)
        self._layout, self._batches = layout, None
        found: Any = walker.found
        if not isinstance(found, Records):
            found.begin(number)
        for records in _found(walker, self._settings.chunk_rows):
            yield _of_input(_outcome(walker, records, layout, self._settings), number, records), layout.name
        self._batches = getattr(walker, "batches", None)
        if self._batches is None:
            for records in walker.take(self._settings.chunk_rows, rest=True):
                yield _of_input(_outcome(walker, records, layout, self._settings), number, records), layout.name
        if walker.dropped or walker.counts:
            yield _of_input(_outcome(walker, Records(), layout, self._settings), number), layout.name
        _check_end(walker, source, layout)

    def flush(self) -> Iterator[tuple[Outcome, str]]:
        """Give what waits."""
        batches, self._batches = self._batches, None
        if batches is None or not len(batches):
            return
        assert self._layout is not None
        batch = batches.split(len(batches))
        table, counts = batch.table(self._layout, max_extras=self._settings.max_extra_columns)
        yield _of_input(Outcome(table, _dropped_table(()), counts), 0, batch), self._layout.name


@dataclass(frozen=True, slots=True)
class Decoded:
    """What comes of a part of a stream: rows whose numbers begin with 0, as a Decoder gives them, and the books of the part."""

    end: int  # position between two documents up to which it was read
    read: int
    empty_documents: int
    outcome: Outcome


class PartsDecoder:
    """Decodes one stream in parts (parts.py): `decode`, on any thread, what stands by itself, `stretch` what is between."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings, number: int) -> None:
        self.layout, self._source, self._settings, self._number = layout, source, settings, number
        self._parts = None if fast_walker is None else PartDecoder.of(layout, settings)

    @property
    def is_able(self) -> bool:
        """Whether this can be done here, with such a layout."""
        return self._parts is not None

    def decode(self, begin: int, data: bytes) -> Decoded:
        """Decode `data`, which stands at `begin` in the stream, as if a document began there."""
        assert self._parts is not None
        part = self._parts.decode(self._source, begin, data)
        outcome = _outcome(part, part.records, self.layout, self._settings)
        return Decoded(part.end, part.read, part.empty_documents, _of_input(outcome, self._number))

    def stretch(self, begin: int, blocks: Iterable[bytes], *, through: bool) -> Stretch:
        """Decode from `begin` on, where a document begins, to the end of a block that ends with a document, or `through` all."""
        assert self._parts is not None
        walker = self._parts.walker(Given(self._source, begin, blocks), self._settings, through=through)
        return Stretch(walker, self.layout, self._settings, self._number)

    def check_end(self, end: int, read: int, *, empty: bool, cut: bool) -> None:
        """Raise what is to be said about the source as a whole, which ends at `end`; `cut`: inside a document."""
        _check_whole(self._source, self.layout, _End(at=end, read=read, empty=empty, cut=cut))


class Stretch:
    """Outcomes as a Decoder gives them, but numbers of records begin with 0; and what is known when all have been taken."""

    def __init__(self, walker: PartWalker, layout: Layout, settings: DecodeSettings, number: int) -> None:
        self._walker, self._layout, self._settings, self._number = walker, layout, settings, number

    def outcomes(self) -> Iterator[Outcome]:
        """Give rows in order, at most `chunk_rows` at a time."""
        walker, layout, settings = self._walker, self._layout, self._settings
        for records in _found(walker, settings.chunk_rows):
            yield _of_input(_outcome(walker, records, layout, settings), self._number)
        for outcome in _rest(walker, layout, settings):
            yield _of_input(outcome, self._number)

    @property
    def end(self) -> int:
        """Position up to which it went."""
        return self._walker.mark.at

    @property
    def read(self) -> int:
        """Records, broken ones included."""
        return self._walker.read

    @property
    def empty_documents(self) -> int:
        """Documents without records."""
        return self._walker.empty_documents

    @property
    def is_cut(self) -> bool:
        """Whether the stream ends inside a document."""
        return self._walker.cut_at is not None


def _of_input(outcome: Outcome, number: int, records: Records | Batch | None = None) -> Outcome:
    """Give rows the number of their input; dropped records are all of the latest."""
    rows = outcome.kept.num_rows
    inputs = records.inputs() if isinstance(records, Batch) else np.full(rows, number, np.int32)
    at = outcome.dropped.schema.get_field_index(INPUT)
    own = pa.array(np.full(outcome.dropped.num_rows, number, np.int32))
    dropped = outcome.dropped.set_column(at, outcome.dropped.schema.field(at), own) if len(own) else outcome.dropped
    return Outcome(outcome.kept.append_column(INPUT, pa.array(inputs)), dropped, outcome.counts)


def _outcome(walker: Walker | Part, records: Records | Batch, layout: Layout, settings: DecodeSettings) -> Outcome:
    if isinstance(records, Batch):
        table, counts = records.table(layout, max_extras=settings.max_extra_columns)
    else:
        table, counts = raw_table(records, layout, max_extras=settings.max_extra_columns)
    dropped, counts = _dropped_table(walker.dropped), add_counts([counts, walker.counts])
    walker.dropped, walker.counts = [], {}
    return Outcome(table, dropped, counts)


def _dropped_table(dropped: Sequence[Dropped]) -> pa.Table:
    count = len(dropped)
    arrays = [
        pa.array([one.record for one in dropped], pa.int64()),
        pa.array([one.offset for one in dropped], pa.int64()),
        pa.array([0] * count, pa.int32()),
        pa.array([str(one.reason) for one in dropped], pa.string()),
        pa.array([one.detail for one in dropped], pa.string()),
        pa.nulls(count, pa.string()),
        pa.nulls(count, DROPPED_SCHEMA.field("timestamp").type),
    ]
    return pa.Table.from_arrays(arrays, schema=DROPPED_SCHEMA)


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """How a walk through a whole source has ended."""

    at: int
    read: int
    empty: bool  # there was a document without records
    cut: bool  # it ended inside a document


def _check_end(walker: Walker, source: Source, layout: Layout) -> None:
    """Raise what is to be said about the source as a whole."""
    if walker.window.failure is not None:
        raise walker.window.failure
    empty, cut = walker.empty_documents > 0, walker.cut_at is not None
    _check_whole(source, layout, _End(at=walker.window.end, read=walker.read, empty=empty, cut=cut))


def _check_whole(source: Source, layout: Layout, end: _End) -> None:
    if end.cut:
        place = Place(source.name, offset=end.at, record=max(end.read - 1, 0))
        raise InputError("cut short: the input ends inside a document" + _MORE, place=place)
    if not end.read and not end.empty:
        raise InputError(f"no records of layout {layout.name} in it", place=Place(source.name))
