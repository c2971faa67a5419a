"""Rows of other days that a day's tracks need: the rest of every block (core/order.py) that has a row in the day.

From the day's edge the blocks are followed backwards and forwards, a day at a time and only for the aircraft that go on there,
until each has ended in a gap. So a day's rows come out as if all rows had been there, however long a flight is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flight_etl.core.order import address_codes, block_starts, timestamps_ms
from flight_etl.settings import SegmentSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["DAY_MS", "Edges", "Margin", "margins"]

Ints = npt.NDArray[np.int64]
Keys = tuple[Ints, Ints]  # address codes and times in ms UTC of rows, in any order

DAY_MS: Final = 86_400_000
_NO_CUT: Final = 1 << 62  # rows of a block: here it is only followed to its end


@dataclass(slots=True)
class Edges:
    """First and last moment of each aircraft in the rows seen."""

    _seen: list[tuple[Ints, Ints, Ints]] = field(default_factory=list)

    def add(self, table: pa.Table) -> None:
        """See the next rows."""
        if table.num_rows:
            times = timestamps_ms(table["timestamp"])
            self._seen.append(_extremes(address_codes(table["icao24"]), times, times))

    def first_and_last(self) -> tuple[Ints, Ints, Ints]:
        """Address codes, sorted, and for each its first and last time in ms UTC."""
        if not self._seen:
            empty = np.empty(0, np.int64)
            return empty, empty, empty
        codes, first, last = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
        return _extremes(codes, first, last)


def _extremes(codes: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints, Ints]:
    known, at = np.unique(codes, return_inverse=True)
    least, most = np.full(len(known), np.iinfo(np.int64).max), np.full(len(known), np.iinfo(np.int64).min)
    np.minimum.at(least, at, first)
    np.maximum.at(most, at, last)
    return known, least, most


@dataclass(frozen=True, slots=True)
class Margin:
    """The rows of one other day that belong to blocks of the day in question."""

    day: int  # days since 1970
    codes: Ints  # sorted
    bounds_ms: Ints  # by aircraft: the first time that belongs to it, or the last one
    earlier: bool  # whether it lies before the day in question

    def select(self, table: pa.Table) -> pa.Table:
        """Rows of `table`, which are of this margin's day, that belong to it."""
        codes, times = address_codes(table["icao24"]), timestamps_ms(table["timestamp"])
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        inside = times >= self.bounds_ms[at] if self.earlier else times <= self.bounds_ms[at]
        return table.filter(pa.array((self.codes[at] == codes) & inside))


def margins(
    edges: Edges, day: int, others: Sequence[int], keys: Callable[[int], Iterable[Keys]], *, gap_s: float
) -> Iterator[Margin]:
    """Find the margins of `day`, whose rows `edges` has seen, in the days `others`; `keys` gives the keys of a day's rows.

    16 B are in memory for each row of an aircraft that goes on in the day that is being looked at.
    """
    codes, first, last = edges.first_and_last()
    before = sorted((other for other in others if other < day), reverse=True)
    after = sorted(other for other in others if other > day)
    yield from _followed(codes, first, before, keys, gap_s=gap_s, sign=1)
    yield from _followed(codes, -last, after, keys, gap_s=gap_s, sign=-1)


def _followed(
    codes: Ints, edge_ms: Ints, days: Sequence[int], keys: Callable[[int], Iterable[Keys]], *, gap_s: float, sign: int
) -> Iterator[Margin]:
    """Follow blocks from their edges; with `sign` -1 times are mirrored, so that forwards is backwards as well."""
    for day in days:
        nearest_ms = (day + 1) * DAY_MS - 1 if sign > 0 else -day * DAY_MS
        near = edge_ms - nearest_ms < gap_s * 1000
        codes, edge_ms = codes[near], edge_ms[near]
        if not len(codes):
            return
        reached = _reached(codes, edge_ms, _of(codes, keys(day), sign), gap_s)
        moved = reached < edge_ms
        if moved.any():
            yield Margin(day, codes[moved], sign * reached[moved], earlier=sign > 0)
        edge_ms = reached


def _of(codes: Ints, keys: Iterable[Keys], sign: int) -> Keys:
    """Keys of these aircraft alone."""
    kept_codes, kept_times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for some, times in keys:
        ours = np.isin(some, codes)
        kept_codes.append(some[ours])
        kept_times.append(sign * times[ours])
    return np.concatenate(kept_codes), np.concatenate(kept_times)


def _reached(codes: Ints, edge_ms: Ints, keys: Keys, gap_s: float) -> Ints:
    """Time at which the block begins that ends at each aircraft's edge; all keys are before the edges."""
    all_codes, all_times = np.concatenate([keys[0], codes]), np.concatenate([keys[1], edge_ms])
    order = np.lexsort((all_times, all_codes))
    all_codes, all_times = all_codes[order], all_times[order]
    starts = np.flatnonzero(block_starts(all_codes, all_times, SegmentSettings(block_gap_s=gap_s, max_flight_rows=_NO_CUT)))
    last = np.searchsorted(all_codes, codes, "right") - 1
    reached: Ints = all_times[starts[np.searchsorted(starts, last, "right") - 1]]
    return reached
