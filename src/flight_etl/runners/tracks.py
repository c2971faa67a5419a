"""The track half of a run: ordered rows -> whole blocks -> enriched rows, in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flight_etl.core.order import address_codes, block_starts, timestamps_ms
from flight_etl.pipeline import TRACK_STAGES, Context, run_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flight_etl.outcome import Outcome
    from flight_etl.settings import SegmentSettings

__all__ = ["track_outcomes", "whole_blocks"]


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


def _starts(table: pa.Table, settings: SegmentSettings) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    codes, times = address_codes(table["icao24"]), timestamps_ms(table["timestamp"])
    return np.flatnonzero(block_starts(codes, times, gap_s=settings.gap_s, max_rows=settings.max_flight_rows))


def _pieces(table: pa.Table, starts: np.ndarray[tuple[int], np.dtype[np.int64]], rows: int) -> Iterator[pa.Table]:
    """Give everything before the last start, in tables of whole blocks."""
    at, end = 0, int(starts[-1])
    while at < end:
        fitting = int(np.searchsorted(starts, at + rows, "right")) - 1
        cut = int(starts[fitting])
        if cut <= at:  # one block longer than `rows`
            cut = int(starts[fitting + 1])
        yield table.slice(at, min(cut, end) - at).combine_chunks()
        at = min(cut, end)


def track_outcomes(tables: Iterable[pa.Table], context: Context, *, workers: int = 1) -> Iterator[Outcome]:
    """Put tables of whole blocks through the track stages, in order; at most `workers` are under way."""
    if workers == 1:
        for table in tables:
            yield run_stages(table, TRACK_STAGES, context)
        return
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="tracks") as pool:
        under_way: deque[Future[Outcome]] = deque()
        for table in tables:
            under_way.append(pool.submit(run_stages, table, TRACK_STAGES, context))
            if len(under_way) >= workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
