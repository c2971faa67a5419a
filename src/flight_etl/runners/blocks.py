"""Ordered rows cut anew into whole blocks, the unit that track stages never look across (core/order.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flight_etl.core.order import address_codes, block_starts, timestamps_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flight_etl.settings import SegmentSettings

__all__ = ["whole_blocks"]

Ints = npt.NDArray[np.int64]


def whole_blocks(tables: Iterable[pa.Table], settings: SegmentSettings, *, rows: int) -> Iterator[pa.Table]:
    """Cut ordered rows anew, so that every table holds whole blocks and, unless one block is longer, at most `rows` rows.

    The unfinished block at the end of a table is carried over to the next: this is what makes it irrelevant to the
    result how the rows were cut before.
    """
    carry: pa.Table | None = None
    for table in tables:
        joined = table if carry is None else pa.concat_tables([carry, table])
        starts = _starts(joined, settings)
        yield from _pieces(joined, starts, rows)
        carry = joined.slice(int(starts[-1]))
    if carry is not None:
        yield carry.combine_chunks()


def _starts(table: pa.Table, settings: SegmentSettings) -> Ints:
    codes, times = address_codes(table["icao24"]), timestamps_ms(table["timestamp"])
    return np.flatnonzero(block_starts(codes, times, settings))


def _pieces(table: pa.Table, starts: Ints, rows: int) -> Iterator[pa.Table]:
    """Give everything before the last start, in tables of whole blocks."""
    at, end = 0, int(starts[-1])
    while at < end:
        fitting = int(np.searchsorted(starts, at + rows, "right")) - 1
        cut = int(starts[fitting])
        if cut <= at:  # one block longer than `rows`
            cut = int(starts[fitting + 1])
        yield table.slice(at, min(cut, end) - at).combine_chunks()
        at = min(cut, end)
