"""Unknown values filled inside a flight, and marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.order import timestamps_ms
from flight_etl.core.track import floats, floats_column, one_array, put, run_starts, tristate, words_column
from flight_etl.outcome import Outcome
from flight_etl.schema import NORMAL, empty_dropped
from flight_etl.settings_rules import NUMBERS, WORDS, check_methods
from flight_etl.units import DEGREES_PER_TURN, MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import FillMethod, ImputeSettings

__all__ = ["NUMBERS", "WORDS", "check_methods", "impute"]

_NOT_ON_GROUND: Final = ("altitude", "geo_altitude", "vertical_rate")  # null on the ground says "on the ground"
_HALF_TURN: Final = DEGREES_PER_TURN / 2.0
_NO_DIRECTION: Final = 1e-9  # length of the mean of unit vectors, below which rounding alone gives it a direction


def impute(table: pa.Table, settings: ImputeSettings) -> Outcome:
    """Fill columns by their methods, in the order of `settings.methods`, and add `imputed`: which ones were, by row.

    Numbers are filled within `max_gap_s` of known values, and interpolated only between two at most that far apart; text
    anywhere in its flight. Filled values and the numbers of stale rows are not built upon, and altitudes and rates on the
    ground stay unknown. Headings are averaged as directions: a mean of opposite ones is unknown, and a median is that of the
    deviations from the mean. Of several modes the smallest is taken. `counts` has `imputed.<column>`. Raises SettingsError as
    `check_methods` does.
    """
    check_methods(settings)
    frame = _Frame(table, settings)
    filled = np.zeros(table.num_rows, np.int64)
    counts: dict[str, int] = {}
    places = {column.name: place for place, column in enumerate(NORMAL)}
    for name, method in settings.methods:
        if method == "none":
            continue
        earlier = filled >> places[name] & 1 == 1
        fill = frame.words if name in WORDS else frame.numbers
        column, rows = fill(table, name, method, earlier)
        if len(rows):
            table = put(table, name, column)
            filled[rows] |= 1 << places[name]
            counts[f"imputed.{name}"] = counts.get(f"imputed.{name}", 0) + len(rows)
    return Outcome(put(table, "imputed", _names(filled)), empty_dropped(), counts)


def _names(filled: Ints) -> pa.DictionaryArray:
    """Words for sets of columns, given as bits by their place in the schema; null for none."""
    sets, codes = np.unique(filled, return_inverse=True)
    words = [",".join(c.name for place, c in enumerate(NORMAL) if bits >> place & 1) for bits in sets.tolist()]
    if words and not words[0]:
        return words_column(codes - 1, words[1:])
    return words_column(codes, words)


class _Frame:
    """Flights and times of the rows, and how to fill."""

    def __init__(self, table: pa.Table, settings: ImputeSettings) -> None:
        self.flight: Ints = one_array(table["flight_id"]).indices.to_numpy().astype(np.int64)
        self.flights = int(self.flight.max(initial=-1)) + 1
        self.time_ms = timestamps_ms(table["timestamp"])
        self.fresh: Bools = tristate(table["is_stale"]) != 1
        self.surface: Bools = tristate(table["on_ground"]) == 1
        self.gap_ms = settings.max_gap_s * MS_PER_SECOND

    def numbers(self, table: pa.Table, name: str, method: FillMethod, earlier: Bools) -> tuple[pa.Array, Ints]:
        """Column with its holes filled, and the rows at which they were; `earlier` says which another method has filled."""
        values = floats(table[name])
        unknown = np.isnan(values)
        holes = np.flatnonzero(unknown & ~self.surface if name in _NOT_ON_GROUND else unknown)
        if not len(holes):
            return table[name], holes
        known = np.flatnonzero(~unknown & self.fresh & ~earlier)
        before, after = self.neighbours(holes, known)
        since = np.where(before >= 0, self.time_ms[holes] - self.time_ms[before], np.inf)
        until = np.where(after >= 0, self.time_ms[after] - self.time_ms[holes], np.inf)
        if method == "interpolate":
            near = since + until <= self.gap_ms
            share = np.where(near, since, 0.0) / np.where(near, np.maximum(since + until, 1.0), 1.0)
            step = values[after] - values[before]
            if name == "heading":
                step = _HALF_TURN - (_HALF_TURN - step) % DEGREES_PER_TURN  # the shorter way round
            fill = values[before] + step * share
            fill = _direction(fill) if name == "heading" else fill
        elif method == "forward_fill":
            near, fill = since <= self.gap_ms, values[before]
        elif method == "backward_fill":
            near, fill = until <= self.gap_ms, values[after]
        else:
            near = np.minimum(since, until) <= self.gap_ms
            average = _DIRECTIONS if name == "heading" else _AVERAGES
            fill = average[method](values[known], self.flight[known], self.flights)[self.flight[holes]]
        good = near & ~np.isnan(fill)
        result = values.copy()
        result[holes[good]] = fill[good]
        return floats_column(result), holes[good]

    def words(self, table: pa.Table, name: str, method: FillMethod, earlier: Bools) -> tuple[pa.Array, Ints]:
        """Column of words, likewise."""
        encoded = one_array(table[name])
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        holes, known = np.flatnonzero(codes < 0), np.flatnonzero((codes >= 0) & ~earlier)
        if method == "mode":
            byname = np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False))
            most = _mode(np.argsort(byname)[codes[known]].astype(np.float64), self.flight[known], self.flights)
            most = most[self.flight[holes]]
            good = ~np.isnan(most)
            fill = byname[most[good].astype(np.int64)]
        else:
            source = self.neighbours(holes, known)[0 if method == "forward_fill" else 1]
            good = source >= 0
            fill = codes[source[good]]
        codes[holes[good]] = fill
        return words_column(codes, encoded.dictionary.to_pylist()), holes[good]

    def neighbours(self, holes: Ints, known: Ints) -> tuple[Ints, Ints]:
        """Known rows before and after each hole in its flight; -1 where there is none."""
        place = np.searchsorted(known, holes)
        padded = np.concatenate(([-1], known, [-1]))
        before, after = padded[place], padded[place + 1]
        here = self.flight[holes]
        same = [np.where((rows >= 0) & (self.flight[rows] == here), rows, -1) for rows in (before, after)]
        return same[0], same[1]


def _ordered(values: Floats, flight: Ints, flights: int) -> tuple[Ints, Ints, Ints]:
    """Order by flight and value, and where each flight begins in it and how many values it has."""
    count = np.bincount(flight, minlength=flights)
    return np.lexsort((values, flight)), np.cumsum(count) - count, count


def _mean(values: Floats, flight: Ints, flights: int) -> Floats:
    total, count = np.bincount(flight, weights=values, minlength=flights), np.bincount(flight, minlength=flights)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _median(values: Floats, flight: Ints, flights: int) -> Floats:
    order, begin, count = _ordered(values, flight, flights)
    median = np.full(flights, np.nan)
    some = count > 0
    low, high = order[(begin + (count - 1) // 2)[some]], order[(begin + count // 2)[some]]
    median[some] = (values[low] + values[high]) / 2.0
    return median


def _mode(values: Floats, flight: Ints, flights: int) -> Floats:
    """Most frequent value of each flight, the smallest of several."""
    order, _, _ = _ordered(values, flight, flights)
    run = np.flatnonzero(run_starts(flight[order], values[order]))
    length = np.diff(np.append(run, len(order)))
    of, value = flight[order[run]], values[order[run]]
    best = np.lexsort((value, -length, of))
    leads = best[run_starts(of[best])]
    mode = np.full(flights, np.nan)
    mode[of[leads]] = value[leads]
    return mode


def _direction(degrees: Floats) -> Floats:
    """0 <= direction < 360; the remainder of a tiny negative number would be 360."""
    turned = degrees % DEGREES_PER_TURN
    result: Floats = np.where(turned >= DEGREES_PER_TURN, 0.0, turned)
    return result


def _mean_direction(values: Floats, flight: Ints, flights: int) -> Floats:
    """Direction of the sum of unit vectors (Mardia and Jupp, Directional Statistics, 2000, section 2.2)."""
    angle = np.radians(values)
    east, north = _mean(np.sin(angle), flight, flights), _mean(np.cos(angle), flight, flights)
    mean = _direction(np.degrees(np.arctan2(east, north)))
    return np.where(np.hypot(east, north) > _NO_DIRECTION, mean, np.nan)


def _median_direction(values: Floats, flight: Ints, flights: int) -> Floats:
    mean = _mean_direction(values, flight, flights)
    deviation = _HALF_TURN - (_HALF_TURN - (values - mean[flight])) % DEGREES_PER_TURN
    return _direction(mean + _median(deviation, flight, flights))


_AVERAGES: Final[dict[str, Callable[[Floats, Ints, int], Floats]]] = {"mean": _mean, "median": _median, "mode": _mode}
_DIRECTIONS: Final = _AVERAGES | {"mean": _mean_direction, "median": _median_direction}
