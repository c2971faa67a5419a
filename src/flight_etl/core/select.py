"""Rows to keep: by address, by place, by time. What is left out is accounted for as filtered."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.drops import drop_rows
from flight_etl.outcome import Outcome, Reason
from flight_etl.schema import empty_dropped

if TYPE_CHECKING:
    from flight_etl.settings import FilterSettings

__all__ = ["select"]


def select(table: pa.Table, settings: FilterSettings) -> Outcome:
    """Keep the rows that meet every condition; with none set, the very same table comes back.

    A box leaves out rows without a position; its edges belong to it. Times are kept from `start_ms` on and before `end_ms`.
    """
    conditions = [c for c in (_address(table, settings), _box(table, settings), _time(table, settings)) if c is not None]
    if not conditions:
        return Outcome(table, empty_dropped())
    kept = reduce(pc.and_, conditions)
    if pc.all(kept, min_count=0).as_py():
        return Outcome(table, empty_dropped())
    return Outcome(table.filter(kept), drop_rows(table.filter(pc.invert(kept)), Reason.FILTERED))


def _address(table: pa.Table, settings: FilterSettings) -> pa.ChunkedArray | None:
    if not settings.icao24:
        return None
    column = table["icao24"]
    wanted = pa.array(sorted(settings.icao24), pa.string())
    if not pa.types.is_dictionary(column.type):
        return pc.is_in(column, wanted)
    chunks = [pc.is_in(chunk.dictionary, wanted).take(chunk.indices) for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.bool_())


def _box(table: pa.Table, settings: FilterSettings) -> pa.ChunkedArray | None:
    if settings.bbox is None:
        return None
    west, south, east, north = settings.bbox
    latitude, longitude = table["latitude"], table["longitude"]
    beyond_west, before_east = pc.greater_equal(longitude, west), pc.less_equal(longitude, east)
    across = pc.and_(beyond_west, before_east) if west <= east else pc.or_(beyond_west, before_east)
    along = pc.and_(pc.greater_equal(latitude, south), pc.less_equal(latitude, north))
    return pc.and_(across, along).fill_null(fill_value=False)


def _time(table: pa.Table, settings: FilterSettings) -> pa.ChunkedArray | None:
    if settings.start_ms is None and settings.end_ms is None:
        return None
    times = table["timestamp"].cast(pa.int64())
    lowest, highest = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    start = lowest if settings.start_ms is None else settings.start_ms
    end = highest if settings.end_ms is None else settings.end_ms
    return pc.and_(pc.greater_equal(times, start), pc.less(times, end))
