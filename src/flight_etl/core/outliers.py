"""Positions that the aircraft cannot have been at: found before anything is derived, set aside meanwhile, and put back.

A leg between two fresh positions is *impossible* where it is longer than its reach: the greatest speed that anybody would
expect there, for the time between the two and `lag_s` more (times are often whole seconds, and positions heard a little
earlier), and `slack_m` on top. Impossible legs cut a block's positions into *islands*. Two rules take islands out:

- `out_and_back`: no longer, in rows, than the islands before and behind it, between which the leg is possible; and the way
  back undoes the way there. So a wrong speed condemns nothing, since the leg from neighbour to neighbour would be impossible
  as well, and neither do positions that are late and then catch up, which is a jump ahead and never one back.
- `stray_end`: at the beginning or the end of a block, at most `_STRAY_ROWS` rows beside an island ten times as long, behind a
  leg of `stray_m` or more that nothing flies, whatever speed is reported.

Rows stay, with their positions, and say in `outlier` by which rule; nothing is derived from these positions. This is a
function of blocks alone. Where several outliers in a row are islands of their own, every second island goes, as leaving one
out makes its neighbours whole: so of two aircraft under one address the second is taken for the outlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude
from flight_etl.core.order import block_numbers, timestamps_ms
from flight_etl.core.track import floats, floats_column, one_array, previous_true, put, tristate, words_column
from flight_etl.outcome import Outcome
from flight_etl.schema import empty_dropped
from flight_etl.units import DEGREES_PER_TURN, METRES_PER_SECOND_PER_KNOT, MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import OutlierSettings

__all__ = ["CATEGORY_MPS", "RULES", "put_back", "set_aside"]

RULES: Final = ("out_and_back", "stray_end")

# m/s over ground that nothing of an emitter category (DO-260B) exceeds, a jet stream of 130 m/s behind it included. Where
# another category is sent, or none, it is `max_speed_mps`.
CATEGORY_MPS: Final = {
    "A1": 350.0,  # below 7 t: light jets cruise at up to 230 m/s
    "A2": 450.0,  # to 34 t: business jets at Mach 0.95, 280 m/s
    "A3": 450.0,
    "A4": 450.0,
    "A5": 450.0,
    "A7": 200.0,  # rotorcraft: the record is 131 m/s (X3, 2013)
    "B1": 250.0,  # gliders in mountain waves
    "B2": 150.0,  # balloons, as fast as the wind
    "B3": 200.0,  # parachutists
    "B4": 150.0,  # ultralights
    "C1": 80.0,  # surface vehicles
    "C2": 80.0,
    "C3": 80.0,
}
_METRES_PER_DEGREE: Final = 111_700.0  # m; no degree of latitude or longitude is longer (of a meridian at the poles: 111,694)
_STANDING_MPS: Final = 5.0 * METRES_PER_SECOND_PER_KNOT
_PASSES: Final = 3
_STRAY_ROWS: Final = 3
_STRAY_SHARE: Final = 10  # times as many rows on the other side of the leg
_ASIDE: Final = ("_latitude", "_longitude")
_POSITION: Final = ("latitude", "longitude")


def set_aside(table: pa.Table, settings: OutlierSettings) -> Outcome:
    """Add `outlier`, and null the positions of outliers until `put_back`; rows are sorted, with `is_stale`.

    Stale rows that repeat an outlier are outliers, too. `counts["outlier.<rule>"]` counts rows.
    """
    size = table.num_rows
    none = put(table, "outlier", words_column(np.full(size, -1), RULES))
    if not settings.enabled or size < 3:  # noqa: PLR2004
        return Outcome(none, empty_dropped())
    points = _points_of(table, settings)
    rules = points.judged()
    if not (rules >= 0).any():
        return Outcome(none, empty_dropped())
    code = np.full(size, -1)
    code[points.row] = rules
    _repeats(table, points.row, code)
    table = put(table, "outlier", words_column(code, RULES))
    for name, aside in zip(_POSITION, _ASIDE, strict=True):
        values = floats(table[name])
        table = put(table, aside, floats_column(values))
        table = put(table, name, pa.array(values, mask=np.isnan(values) | (code >= 0)))
    found = np.bincount(code[code >= 0], minlength=len(RULES)).tolist()
    counts = {f"outlier.{rule}": number for rule, number in zip(RULES, found, strict=True) if number}
    return Outcome(table, empty_dropped(), counts)


def put_back(table: pa.Table) -> Outcome:
    """Give outliers their positions again."""
    if _ASIDE[0] in table.column_names:
        for name, aside in zip(_POSITION, _ASIDE, strict=True):
            table = put(table, name, one_array(table[aside]))
        table = table.drop_columns(list(_ASIDE))
    return Outcome(table, empty_dropped())


def _points_of(table: pa.Table, settings: OutlierSettings) -> _Points:
    latitude, longitude = floats(table["latitude"]), floats(table["longitude"])
    speed = floats(table["velocity"])
    fresh = _is_fresh(table, latitude, longitude, speed)
    row = np.flatnonzero(fresh)
    stamp = timestamps_ms(table["timestamp"])
    heard = one_array(table["position_time"])
    if heard.null_count < len(heard):
        known = heard.cast(pa.int64())
        stamp = known.to_numpy() if not known.null_count else pc.coalesce(known, pa.array(stamp)).to_numpy()
    pace = np.minimum(_speeds(table, speed, settings), _top_speeds(table, settings))
    blocks = block_numbers(table)
    if len(row) == table.num_rows:
        return _Points(row, latitude, longitude, stamp, pace, blocks, settings)
    latitude, longitude, pace = (values.take(row, mode="clip") for values in (latitude, longitude, pace))
    return _Points(row, latitude, longitude, stamp.take(row, mode="clip"), pace, blocks, settings)


def _is_fresh(table: pa.Table, latitude: Floats, longitude: Floats, speed: Floats) -> Bools:
    """Rows with a position that says something new.

    A position that is exactly that of the row before is none, while the aircraft moves or does not say that it stands: some
    sources repeat positions, and have no times of their own for them.
    """
    fresh: Bools = ~np.isnan(latitude + longitude)
    fresh &= tristate(table["is_stale"]) != 1
    repeats = latitude[1:] == latitude[:-1]
    at = np.flatnonzero(repeats) + 1
    at = at[(longitude[at] == longitude[at - 1]) & ~(speed[at] <= _STANDING_MPS)]
    fresh[at] = False
    return fresh


def _top_speeds(table: pa.Table, settings: OutlierSettings) -> Floats:
    """Greatest speed of each row by the category that it sends, m/s."""
    category = one_array(table["category"])
    if category.null_count == len(category):
        return np.full(table.num_rows, settings.max_speed_mps)
    words = category.dictionary.to_pylist()
    limits = np.array([*(CATEGORY_MPS.get(word, np.inf) for word in words), np.inf]).clip(max=settings.max_speed_mps)
    top: Floats = limits[category.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)]
    return top


def _speeds(table: pa.Table, speed: Floats, settings: OutlierSettings) -> Floats:
    """Greatest speed that is expected after what each row reports, m/s; infinite where it reports none."""
    unknown = np.isnan(speed)
    expected = np.maximum(speed * settings.speed_factor, settings.least_speed_mps)
    if not unknown.any():
        return expected
    on_ground = unknown & (tristate(table["on_ground"]) == 1)
    speeds: Floats = np.where(on_ground, settings.least_speed_mps, np.where(unknown, np.inf, expected))
    return speeds


def _repeats(table: pa.Table, fresh_rows: Ints, code: Ints) -> None:
    """Mark, in place, stale rows that repeat the position of an outlier."""
    fresh = np.zeros(table.num_rows, np.bool_)
    fresh[fresh_rows] = True
    before = previous_true(fresh, block_numbers(table))
    latitude, longitude = floats(table["latitude"]), floats(table["longitude"])
    same = (before >= 0) & ~fresh & (latitude == latitude[before]) & (longitude == longitude[before])
    code[same] = code[before[same]]


class _Points:
    """Fresh positions in order, and which of them to believe. `pace` is the greatest speed expected at each, m/s."""

    def __init__(
        self, row: Ints, latitude: Floats, longitude: Floats, time_ms: Ints, pace: Floats, blocks: Ints, settings: OutlierSettings
    ) -> None:
        self.row, self.latitude, self.longitude, self.time_ms, self.pace = row, latitude, longitude, time_ms, pace
        self.blocks = blocks  # of all rows
        self.settings = settings

    def block(self, points: Ints) -> Ints:
        """Number of the block of each of `points`."""
        return self.blocks[self.row[points]]

    def judged(self) -> Ints:
        """Number of the rule that takes out each point, else -1."""
        rules = np.full(len(self.row), -1)
        suspect = np.unique(self.block(self._suspects()))
        if not len(suspect):
            return rules
        begin = np.searchsorted(self.row, np.searchsorted(self.blocks, suspect))
        end = np.searchsorted(self.row, np.searchsorted(self.blocks, suspect, "right"))
        points = np.concatenate([np.arange(one, other) for one, other in zip(begin.tolist(), end.tolist(), strict=True)])
        for _ in range(_PASSES):
            possible = self._possible(points[:-1], points[1:])
            jump = np.flatnonzero(~possible & (self.block(points[1:]) == self.block(points[:-1]))) + 1
            if not len(jump):
                break
            found = self._islands(points, jump)
            if not (found >= 0).any():
                break
            rules[points[found >= 0]] = found[found >= 0]
            points = points[found < 0]
        return rules

    def _suspects(self) -> Ints:
        """Points before which the leg is impossible.

        Most of what flies is beyond doubt by a bound that costs no sine.
        """
        if len(self.row) < 2:  # noqa: PLR2004
            return self.row[:0]
        reach = np.abs(np.diff(self.time_ms)) * (1.0 / MS_PER_SECOND)
        reach += self.settings.lag_s
        reach *= np.maximum(self.pace[:-1], self.pace[1:])
        reach += self.settings.slack_m
        degrees = np.abs(np.diff(self.latitude))
        degrees += np.abs(np.diff(self.longitude))
        degrees *= _METRES_PER_DEGREE
        at = np.flatnonzero(degrees > reach) + 1
        at = at[self.block(at) == self.block(at - 1)]
        suspects: Ints = at[~self._possible(at - 1, at)]
        return suspects

    def _metres(self, a: Ints, b: Ints) -> Floats:
        return distance_m(
            reduced_latitude(self.latitude[a]), self.longitude[a], reduced_latitude(self.latitude[b]), self.longitude[b]
        )

    def _possible(self, a: Ints, b: Ints) -> Bools:
        """Whether an aircraft can have got from points `a` to points `b`."""
        seconds = np.abs(self.time_ms[b] - self.time_ms[a]) / MS_PER_SECOND + self.settings.lag_s
        possible: Bools = self._metres(a, b) <= np.maximum(self.pace[a], self.pace[b]) * seconds + self.settings.slack_m
        return possible

    def _islands(self, points: Ints, jump: Ints) -> Ints:
        """Number of the rule that takes out each of `points`, which impossible legs end before those numbered `jump`; else -1."""
        edges = np.flatnonzero(np.diff(self.block(points), prepend=-1))
        first = np.union1d(edges, jump)
        last = np.append(first[1:], len(points)) - 1
        size = last - first + 1
        opens = np.isin(first, edges)  # the island is the first of its block
        closes = np.append(opens[1:], True)
        out = np.full(len(first), -1)
        middle = np.flatnonzero(~opens & ~closes)
        before, behind = points[last[middle - 1]], points[first[middle + 1]]
        bridged = self._possible(before, behind) & self._undone(before, points[first[middle]], points[last[middle]], behind)
        out[middle[bridged & (size[middle] <= np.minimum(size[middle - 1], size[middle + 1]))]] = 0
        self._strays(points, (first, last, size), (opens, closes), out)
        begins = (out >= 0) & ~np.append(False, (out >= 0)[:-1])
        since = np.arange(len(out)) - np.maximum.accumulate(np.where(begins, np.arange(len(out)), 0))
        out[since % 2 == 1] = -1
        return np.repeat(out, size)

    def _undone(self, before: Ints, first: Ints, last: Ints, behind: Ints) -> Bools:
        """Whether the leg from `last` to `behind` takes back the one from `before` to `first`, but for half of the shorter one.

        In degrees, of longitude as long as those of latitude: both legs are between the same two places.
        """
        scale = np.cos(np.radians(self.latitude[before]))
        there = self._degrees(before, first, scale)
        back = self._degrees(last, behind, scale)
        rest = np.hypot(there[0] + back[0], there[1] + back[1])
        undone: Bools = rest <= np.minimum(np.hypot(*there), np.hypot(*back)) / 2.0
        return undone

    def _degrees(self, a: Ints, b: Ints, scale: Floats) -> tuple[Floats, Floats]:
        """North and east of points `b` from points `a`, the shorter way round."""
        east = (self.longitude[b] - self.longitude[a] + DEGREES_PER_TURN / 2.0) % DEGREES_PER_TURN - DEGREES_PER_TURN / 2.0
        return self.latitude[b] - self.latitude[a], east * scale

    def _strays(self, points: Ints, islands: tuple[Ints, Ints, Ints], ends: tuple[Bools, Bools], out: Ints) -> None:
        """Mark, in place, short islands at an end of their block."""
        (first, last, size), (opens, closes) = islands, ends
        for at, beside, leg in (
            (np.flatnonzero(opens & ~closes), 1, (last, first)),
            (np.flatnonzero(closes & ~opens), -1, (first, last)),
        ):
            one, other = points[leg[0][at]], points[leg[1][at + beside]]
            metres = self._metres(one, other)
            seconds = np.abs(self.time_ms[other] - self.time_ms[one]) / MS_PER_SECOND + self.settings.lag_s
            never = (metres >= self.settings.stray_m) & (metres > self.settings.max_speed_mps * seconds)
            few = (size[at] <= _STRAY_ROWS) & (size[at] * _STRAY_SHARE <= size[at + beside])
            out[at[never & few]] = 1
