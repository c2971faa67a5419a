"""Where one flight ends and the next begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude
from flight_etl.core.order import block_numbers, timestamps_ms
from flight_etl.core.track import floats, next_true, one_array, previous_true, put, run_starts, tristate
from flight_etl.outcome import Outcome
from flight_etl.schema import empty_dropped
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Ints
    from flight_etl.settings import SegmentSettings

__all__ = ["segment"]

_STANDING_KT: Final = 5.0  # kt, as in the phase `ground`
_ROLLING_KT: Final = 30.0  # kt, as in the phase `taxi`; slower without a ground flag counts as on the surface
_STRAIGHT: Final = 0.7  # of the slower speed on both sides of a gap: with less way made good there was time for a landing
_FASTER: Final = 1.25  # of the faster one: with more it is another aircraft, or a position is wrong
_FLIP_MS: Final = 60_000  # ms; nothing takes off and lands again in less: the ground flag was wrong


def segment(table: pa.Table, settings: SegmentSettings) -> Outcome:
    """Add `flight_id` and `is_stitched`; rows are sorted and have `is_stale`.

    A flight begins at a block; after a gap of `gap_s` unless it flew on across it; at the end of the longest stop where an
    aircraft that flew before and flies again has stood on the ground for `ground_stop_s` in all; and at a new callsign that
    comes while on the ground or after a gap of `callsign_gap_s`. Where a callsign tells two flights apart, the stop between
    them does not do so again. What would begin in the same second as the flight before, and have its name, is part of that.
    What is heard on the ground behind a gap for less than `ground_stop_s` before the next flight begins is part of that one.
    `counts["stitched"]` counts gaps flown across.
    """
    if not table.num_rows:
        table = put(table, "flight_id", pa.array([], pa.dictionary(pa.int32(), pa.string())))
        return Outcome(put(table, "is_stitched", pa.array([], pa.bool_())), empty_dropped())
    rows = _Rows(table, settings)
    starts = rows.block_starts.copy()
    calls = rows.new_callsigns() if settings.callsign_change else np.zeros(len(starts), np.bool_)
    starts |= calls | rows.stops(calls)
    starts = rows.without_stubs(starts)
    first = np.flatnonzero(starts)
    second = rows.time_ms[first] // MS_PER_SECOND
    again = np.append(False, second[1:] == second[:-1]) & ~rows.block_starts[first]
    starts[first[again]] = False
    flight = np.cumsum(starts) - 1
    words = _names(table, first[~again])
    ids = pa.DictionaryArray.from_arrays(pa.array(flight.astype(np.int32)), words)
    joined = np.bincount(flight, weights=rows.stitched)[flight] > 0
    table = put(put(table, "flight_id", ids), "is_stitched", pa.array(joined))
    return Outcome(table, empty_dropped(), {"stitched": int(np.count_nonzero(rows.stitched))})


def _names(table: pa.Table, first: Ints) -> pa.Array:
    """Address and UTC time, to the second, of each flight's first row."""
    rows = table.select(["icao24", "timestamp"]).take(pa.array(first))
    seconds = np.floor_divide(timestamps_ms(rows["timestamp"]), MS_PER_SECOND)
    stamps = pc.strftime(pa.array(seconds).cast(pa.timestamp("s")), format="%Y%m%dT%H%M%SZ")
    return pc.binary_join_element_wise(one_array(rows["icao24"]).cast(pa.string()), stamps, "-")


def _round(known: Bools, blocks: Ints, after: Ints) -> tuple[Ints, Ints]:
    """Last known row before each of `after`, and first from it on, in its block; -1 where there is none."""
    return previous_true(known, blocks)[after - 1], next_true(known, blocks)[after]


class _Rows:
    """What the rows say, as arrays."""

    def __init__(self, table: pa.Table, settings: SegmentSettings) -> None:
        blocks = block_numbers(table)
        self.time_ms = timestamps_ms(table["timestamp"])
        self.knots = knots = floats(table["velocity"]) * KNOTS_PER_METRE_PER_SECOND
        flag = tristate(table["on_ground"])
        self.surface: Bools = (flag == 1) | ((flag < 0) & (knots <= _ROLLING_KT))
        self.airborne: Bools = (flag == 0) | ((flag < 0) & (knots > _ROLLING_KT))
        # A stale row's speed is that of an older moment: an aircraft that is heard no more after landing stands.
        stale = tristate(table["is_stale"]) == 1
        self.standing: Bools = self.surface & ((knots <= _STANDING_KT) | np.isnan(knots) | stale)
        self.callsign = one_array(table["callsign"])
        elapsed = np.diff(self.time_ms, prepend=self.time_ms[0])
        edges = np.diff(blocks, prepend=-1) != 0
        gaps = ~edges & (elapsed >= settings.gap_s * MS_PER_SECOND)
        self.stitched: Bools = gaps & self._flown_across(table, blocks, gaps)
        self.away: Bools = gaps & ~self.stitched
        self.block_starts: Bools = edges | self.away
        self.blocks = np.cumsum(self.block_starts) - 1
        self.elapsed_ms: Ints = np.where(self.block_starts, 0, elapsed)
        self.flicker_ms = settings.callsign_gap_s * MS_PER_SECOND
        self.after_gap: Bools = self.elapsed_ms >= settings.callsign_gap_s * MS_PER_SECOND
        self.stop_ms = settings.ground_stop_s * MS_PER_SECOND

    def _flown_across(self, table: pa.Table, blocks: Ints, gaps: Bools) -> Bools:
        """Which of the `gaps` the aircraft flew across without landing.

        It is in the air on both sides, under the same callsign as far as any is known, and got from the one to the other
        nearly as straight and as fast as it flies, which leaves no time for a landing.
        """
        after = np.flatnonzero(gaps & self.airborne & np.append(False, self.airborne[:-1]))
        across = np.zeros(len(gaps), np.bool_)
        if not len(after):
            return across
        latitude, longitude = floats(table["latitude"]), floats(table["longitude"])
        before, behind = _round(~np.isnan(latitude), blocks, after)
        after, before, behind = (rows[(before >= 0) & (behind >= 0)] for rows in (after, before, behind))
        codes = self.callsign.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        old, new = _round(codes >= 0, blocks, after)
        same = (old < 0) | (new < 0) | (codes[old] == codes[new])
        one, other = reduced_latitude(latitude[before]), reduced_latitude(latitude[behind])
        metres = distance_m(one, longitude[before], other, longitude[behind])
        pace = metres / ((self.time_ms[behind] - self.time_ms[before]) / MS_PER_SECOND) * KNOTS_PER_METRE_PER_SECOND
        slow, fast = np.fmin(self.knots[before], self.knots[behind]), np.fmax(self.knots[before], self.knots[behind])
        across[after] = same & (slow > _ROLLING_KT) & (pace >= _STRAIGHT * slow) & (pace <= _FASTER * fast)
        return across

    def new_callsigns(self) -> Bools:
        """Rows at which a new callsign begins a flight.

        Between the last row of the old callsign and the first of the new one there must be a row on the surface or after
        a gap; the last such row begins the flight. Where only the old callsign's last row is on the surface, the next does.
        A callsign that lasts less than `callsign_gap_s` between two stretches of another one is none: a bit error, or two
        sources that do not agree.
        """
        result = np.zeros(len(self.blocks), np.bool_)
        codes = self.callsign.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        known = self._settled(np.flatnonzero(codes >= 0), codes)
        if len(known) < 2:  # noqa: PLR2004
            return result
        old, new = known[:-1], known[1:]
        changed = (codes[old] != codes[new]) & (self.blocks[old] == self.blocks[new])
        old, new = old[changed], new[changed]
        splits = np.where(self.surface | self.after_gap, np.arange(len(codes)), -1)
        last = np.maximum.accumulate(splits)[new]
        result[np.where(last > old, last, old + 1)[(last > old) | self.surface[old]]] = True
        return result

    def _settled(self, known: Ints, codes: Ints) -> Ints:
        """Rows of `known` without those whose callsign only flickers."""
        if not len(known):
            return known
        begins = np.ones(len(known), np.bool_)
        begins[1:] = (np.diff(codes[known]) != 0) | (np.diff(self.blocks[known]) != 0)
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(known)) - 1
        short = self.time_ms[known[last]] - self.time_ms[known[first]] < self.flicker_ms
        word, block = codes[known[first]], self.blocks[known[first]]
        flickers = np.zeros(len(first), np.bool_)
        flickers[1:-1] = short[1:-1] & (word[:-2] == word[2:]) & (block[:-2] == block[2:])
        settled: Ints = known[~flickers[np.cumsum(begins) - 1]]
        return settled

    def stops(self, calls: Bools) -> Bools:
        """Rows that end the longest stop of a stay on the ground, unless one of `calls` parts the flights already.

        Time counts as stopped between two standing rows, and across a gap that begins on the surface, even where the aircraft
        is not heard again before it has taken off.
        """
        stopped = np.zeros(len(self.blocks), np.bool_)
        stopped[1:] = self.standing[1:] & self.standing[:-1]
        stopped[1:] |= self.surface[:-1] & self.after_gap[1:]
        stopped &= ~self.block_starts
        total = np.cumsum(np.where(stopped, self.elapsed_ms, 0))
        begins = np.flatnonzero(stopped & ~np.append(False, stopped[:-1]))
        ends = np.flatnonzero(stopped & ~np.append(stopped[1:], False))
        lasted = total[ends] - (total - self.elapsed_ms)[begins]
        flying = self.flying()
        flown = np.cumsum(flying)
        first = np.flatnonzero(self.block_starts)
        number = np.cumsum(self.block_starts)[ends] - 1
        before: Ints = (flown - flying)[first][number]
        after: Ints = flown[np.append(first[1:], len(flown)) - 1][number]
        stays = flown[begins - 1]  # rows flown before a stop: the same for stops without flying between them
        between = (stays > before) & (stays < after)
        ends, lasted, stays = ends[between], lasted[between], stays[between]
        stay = np.cumsum(run_starts(stays)) - 1
        enough = np.bincount(stay, weights=lasted) >= self.stop_ms
        order = np.lexsort((lasted, stay))
        longest = order[np.flatnonzero(run_starts(stay[order][::-1])[::-1])]
        parted = np.isin(stays[longest], (flown - flying)[calls])
        result = np.zeros(len(self.blocks), np.bool_)
        result[ends[longest[enough & ~parted]]] = True
        return result

    def without_stubs(self, starts: Bools) -> Bools:
        """Beginnings of flights without those right behind a brief stay on the ground, where that begins behind a gap.

        An aircraft that is heard again on its stand may still send the callsign of the flight before.
        """
        first = np.flatnonzero(starts)
        last = np.append(first[1:], len(starts)) - 1
        flown = np.add.reduceat(self.airborne, first, dtype=np.int64)
        brief = (flown == 0) & (self.time_ms[last] - self.time_ms[first] < self.stop_ms)
        stub = (brief & self.away[first])[:-1] & ~self.block_starts[first[1:]]
        result = starts.copy()
        result[first[1:][stub]] = False
        return result

    def flying(self) -> Bools:
        """Airborne rows but for those that a wrong flag makes so for a moment, between rows on the surface."""
        flying = self.airborne.copy()
        known = np.flatnonzero(self.airborne | self.surface)
        first = np.flatnonzero(run_starts(self.airborne[known], self.blocks[known]))
        last = np.append(first[1:], len(known)) - 1
        # From the last row of the run before to the first row of the run after.
        begin, end = known[last[:-2]], known[first[2:]]
        inside = (self.blocks[begin] == self.blocks[end]) & self.airborne[known[first[1:-1]]]
        flips = np.flatnonzero(inside & (self.time_ms[end] - self.time_ms[begin] < _FLIP_MS)) + 1
        edges = np.zeros(len(known) + 1, np.int8)
        edges[first[flips]] += 1
        edges[last[flips] + 1] -= 1
        flying[known[np.cumsum(edges[:-1]) > 0]] = False
        return flying
