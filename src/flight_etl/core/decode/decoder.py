"""Layout-directed decoding of one source, chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from flight_etl.core.decode.collect import Dropped, Records
from flight_etl.core.decode.columns import column_records
from flight_etl.core.decode.csv_rows import csv_records
from flight_etl.core.decode.fast_table import Batch
from flight_etl.core.decode.reference import raw_table
from flight_etl.core.decode.walk import Walker
from flight_etl.errors import InputError, Place
from flight_etl.outcome import Outcome, add_counts
from flight_etl.schema import DROPPED_SCHEMA

try:
    from flight_etl.core.decode.fast import fast_walker
except ImportError:  # installed where there was no compiler
    fast_walker = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["decode", "decoder_name"]

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
    for _ in walker.walk():
        for records in walker.take(settings.chunk_rows):
            yield _outcome(walker, records, layout, settings)
        if len(walker.dropped) >= settings.chunk_rows:
            yield _outcome(walker, Records(), layout, settings)
    for records in walker.take(settings.chunk_rows, rest=True):
        yield _outcome(walker, records, layout, settings)
    if walker.dropped:
        yield _outcome(walker, Records(), layout, settings)
    _check_end(walker, source, layout)


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
