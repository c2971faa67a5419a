"""Edges between climbing, level and descending, put where the rate of the moment passes its threshold.

A rate that is smooth enough to tell a climb from turbulence is late and early by seconds at its ends. Here each edge is moved,
inside a window round it, to where the unsmoothed rate is beyond the threshold most often on the one side and least often on
the other: the most likely place if what is left is noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.runs import runs_of
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.track import Bools, Floats, Ints

__all__ = ["moved_edges", "settled"]

_REACH_S: Final = 20.0  # s that an edge may move, or to the next row if that is further off
_TURN_S: Final = 30.0  # s; a level stretch that is shorter, between a descent and a climb, is none
_HALF: Final = 0.5  # of the rate of a climb or descent that is slow: where straight lines before and after it meet


def settled(
    direction: npt.NDArray[np.int8], evidence: Evidence, piece: Ints, rise_fpm: float, sink_fpm: float
) -> npt.NDArray[np.int8]:
    """Move the edges of `direction` (1 climbing, 0 level, -1 descending; 2 not to be moved at) inside their pieces.

    Level is from `sink_fpm` to `rise_fpm`, or to half the rate of the climb or descent if that is less. Where a climb follows
    a descent at once, or a descent a climb, 0 decides.
    """
    direction = _turning(direction, evidence, piece)
    runs = runs_of(direction, begins=evidence.after_gap)
    if len(runs) < 2:  # noqa: PLR2004
        return direction
    way = direction[runs.first].astype(np.int64)
    count = runs.last - runs.first + 1
    mean = np.abs(np.add.reduceat(np.nan_to_num(evidence.rate_fpm), runs.first)) / count
    at = np.flatnonzero((piece[runs.first[1:]] == piece[runs.last[:-1]]) & (way[1:] != 2) & (way[:-1] != 2)) + 1  # noqa: PLR2004
    before, after = way[at - 1], way[at]
    sign = np.where(before != 0, before, after)
    moving = np.where(before != 0, at - 1, at)
    least = np.minimum(np.where(sign > 0, rise_fpm, -sink_fpm), _HALF * mean[moving])
    limit = np.where((before != 0) & (after != 0), 0.0, least)
    edge = runs.first[at]
    low, high = edge - count[at - 1] // 2, edge + (count[at] - 1) // 2
    new = runs.first.copy()
    new[at] = moved_edges(evidence, edge, (low, high), sign, limit, falls=before != 0)
    return np.repeat(direction[runs.first], np.diff(np.append(new, len(direction))))


def _turning(direction: npt.NDArray[np.int8], evidence: Evidence, piece: Ints) -> npt.NDArray[np.int8]:
    """Take level stretches away that only lie between a descent and a climb, or the other way, because the rate is smoothed."""
    runs = runs_of(direction, begins=evidence.after_gap)
    way = direction[runs.first].copy()
    turns = np.zeros(len(runs), np.bool_)
    turns[1:-1] = (way[1:-1] == 0) & (way[:-2] * way[2:] == -1)
    where = piece[runs.first]
    turns[1:-1] &= (where[:-2] == where[1:-1]) & (where[2:] == where[1:-1])
    at = np.flatnonzero(turns & (runs.seconds(evidence.key, piece) < _TURN_S))
    way[at] = way[at + 1]
    return runs.spread(way)


def moved_edges(
    evidence: Evidence, edge: Ints, bounds: tuple[Ints, Ints], sign: Ints, limit_fpm: Floats, *, falls: Bools
) -> Ints:
    """Rows at which each edge is best put, at most some seconds off and within `bounds`, inclusive.

    Before an edge that `falls`, and behind any other, `sign` times the rate of the moment is above `limit_fpm`.
    """
    if not len(edge):
        return edge
    reach = round(_REACH_S * MS_PER_SECOND)
    key = evidence.key
    low = np.maximum(np.minimum(np.searchsorted(key, key[edge] - reach), edge - 1), bounds[0])
    high = np.minimum(np.maximum(np.searchsorted(key, key[edge] + reach, "right") - 1, edge), bounds[1])
    count = np.maximum(high - low + 1, 1)
    number = np.repeat(np.arange(len(edge)), count)
    start = np.cumsum(count) - count
    row = np.arange(int(count.sum())) - start[number] + np.minimum(low, edge)[number]
    rate = sign[number] * evidence.moment_fpm[row]
    beyond = np.where(np.isnan(rate), 0, np.where(rate > limit_fpm[number], 1, -1))
    vote = np.where(falls[number], beyond, -beyond)  # for the row to be before the edge
    total = np.cumsum(vote) - vote
    gain = total - total[start][number]  # of putting the edge at this row
    order = np.lexsort((np.abs(row - edge[number]), -gain, number))
    best: Ints = row[order[start]]
    return best
