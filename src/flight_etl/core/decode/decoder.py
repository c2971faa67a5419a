"""Layout-directed decoding of one source, chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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
except ImportError:  # installed where there was no compiler
    fast_walker = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["Decoder", "decode", "decoder_name"]

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


def _of_input(outcome: Outcome, number: int, records: Records | Batch | None = None) -> Outcome:
    """Give rows the number of their input; dropped records are all of the latest."""
    rows = outcome.kept.num_rows
    inputs = records.inputs() if isinstance(records, Batch) else np.full(rows, number, np.int32)
    at = outcome.dropped.schema.get_field_index(INPUT)
    own = pa.array(np.full(outcome.dropped.num_rows, number, np.int32))
    dropped = outcome.dropped.set_column(at, outcome.dropped.schema.field(at), own) if len(own) else outcome.dropped
    return Outcome(outcome.kept.append_column(INPUT, pa.array(inputs)), dropped, outcome.counts)


def _outcome(walker: Walker, records: Records | Batch, layout: Layout, settings: DecodeSettings) -> Outcome:
    if isinstance(records, Batch):
        table, counts = records.table(layout, max_extras=settings.max_extra_columns)
    else:
        table, counts = raw_table(records, layout, max_extras=settings.max_extra_columns)
    dropped, walker.dropped = _dropped_table(walker.dropped), []
    counts, walker.counts = add_counts([counts, walker.counts]), {}
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


def _check_end(walker: Walker, source: Source, layout: Layout) -> None:
    """Raise what is to be said about the source as a whole."""
    if walker.window.failure is not None:
        raise walker.window.failure
    if walker.cut_at is not None:
        place = Place(source.name, offset=walker.window.end, record=max(walker.read - 1, 0))
        raise InputError("cut short: the input ends inside a document" + _MORE, place=place)
    if not walker.read and not walker.empty_documents:
        raise InputError(f"no records of layout {layout.name} in it", place=Place(source.name))
