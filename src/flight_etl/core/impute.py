"""Unknown values filled inside a flight, and marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flight_etl.core.order import timestamps_ms
from flight_etl.core.track import floats, floats_column, next_true, one_array, previous_true, put, tristate, words_column
from flight_etl.errors import SettingsError
from flight_etl.outcome import Outcome
from flight_etl.schema import NORMAL, empty_dropped
from flight_etl.units import DEGREES_PER_TURN, MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import FillMethod, ImputeSettings

__all__ = ["NUMBERS", "WORDS", "check_methods", "impute"]

NUMBERS: Final = ("altitude", "geo_altitude", "velocity", "heading", "vertical_rate")
WORDS: Final = ("callsign", "position_source", "category", "origin_country")
_NOT_ON_GROUND: Final = ("altitude", "geo_altitude", "vertical_rate")  # null on the ground says "on the ground"
_OF_WORDS: Final = ("forward_fill", "backward_fill", "mode", "none")
_HALF_TURN: Final = DEGREES_PER_TURN / 2.0
_NO_DIRECTION: Final = 1e-9  # length of the mean of unit vectors, below which rounding alone gives it a direction


def check_methods(settings: ImputeSettings) -> None:
    """Raise SettingsError for a column that may not be filled, or not by that method."""
    for column, method in settings.methods:
        if column not in NUMBERS + WORDS:
            raise SettingsError(f"impute.methods: {column!r} is never filled; only {', '.join(NUMBERS + WORDS)} may be")
        if column in WORDS and method not in _OF_WORDS:
            raise SettingsError(f"impute.methods: {column}={method!r} is not permitted: text takes {', '.join(_OF_WORDS)}")


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
        column, where = fill(table, name, method, earlier)
        number = int(np.count_nonzero(where))
        if number:
            table = put(table, name, column)
            filled |= where.astype(np.int64) << places[name]
            counts[f"imputed.{name}"] = counts.get(f"imputed.{name}", 0) + number
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
        self.time_ms = timestamps_ms(table["timestamp"])
        self.fresh: Bools = tristate(table["is_stale"]) != 1
        self.surface: Bools = tristate(table["on_ground"]) == 1
        self.gap_ms = settings.max_gap_s * MS_PER_SECOND

    def numbers(self, table: pa.Table, name: str, method: FillMethod, earlier: Bools) -> tuple[pa.Array, Bools]:
        """Column with its holes filled, and where they were; `earlier` says which another method has filled."""
        values = floats(table[name])
        holes = np.isnan(values)
        if name in _NOT_ON_GROUND:
            holes &= ~self.surface
        known = ~np.isnan(values) & self.fresh & ~earlier
        before, after = previous_true(known, self.flight), next_true(known, self.flight)
        since = np.where(before >= 0, self.time_ms - self.time_ms[before], np.inf)
        until = np.where(after >= 0, self.time_ms[after] - self.time_ms, np.inf)
        if method == "interpolate":
            near = since + until <= self.gap_ms
            with np.errstate(invalid="ignore"):
                share = np.where(near, since / np.maximum(since + until, 1.0), 0.0)
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
            fill = average[method](values, known, self.flight)
        where = holes & near & ~np.isnan(fill)
        return floats_column(np.where(where, fill, values)), where

    def words(self, table: pa.Table, name: str, method: FillMethod, earlier: Bools) -> tuple[pa.Array, Bools]:
        """Column of words, likewise."""
        encoded = one_array(table[name])
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        known = (codes >= 0) & ~earlier
        if method == "forward_fill":
            source = previous_true(known, self.flight)
            fill = np.where(source >= 0, codes[source], -1)
        elif method == "backward_fill":
            source = next_true(known, self.flight)
            fill = np.where(source >= 0, codes[source], -1)
        else:
            order = np.argsort(np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False)))
            ranked = np.where(known, order[codes] if len(order) else -1, np.nan)
            most = _mode(ranked, known, self.flight)
            back = np.append(np.argsort(order), -1)
            fill = back[np.where(np.isnan(most), len(order), most).astype(np.int64)]
        where = (codes < 0) & (fill >= 0)
        indices = np.where(where, fill, codes).astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(indices, mask=indices < 0), encoded.dictionary), where


def _ordered(values: Floats, known: Bools, flight: Ints) -> tuple[Ints, Ints, Ints]:
    """Known rows by flight and value, and where each flight's begin and how many they are."""
    rows = np.flatnonzero(known)
    order = rows[np.lexsort((values[rows], flight[rows]))]
    count = np.bincount(flight[rows], minlength=int(flight.max(initial=-1)) + 1)
    return order, np.cumsum(count) - count, count


def _mean(values: Floats, known: Bools, flight: Ints) -> Floats:
    size = int(flight.max(initial=-1)) + 1
    total = np.bincount(flight[known], weights=values[known], minlength=size)
    count = np.bincount(flight[known], minlength=size)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    result: Floats = mean[flight]
    return result


def _median(values: Floats, known: Bools, flight: Ints) -> Floats:
    order, begin, count = _ordered(values, known, flight)
    median = np.full(len(count), np.nan)
    some = count > 0
    low, high = order[(begin + (count - 1) // 2)[some]], order[(begin + count // 2)[some]]
    median[some] = (values[low] + values[high]) / 2.0
    result: Floats = median[flight]
    return result


def _mode(values: Floats, known: Bools, flight: Ints) -> Floats:
    """Most frequent value of each row's flight, the smallest of several."""
    order, _, count = _ordered(values, known, flight)
    mode = np.full(len(count), np.nan)
    if len(order):
        first = np.ones(len(order), np.bool_)
        first[1:] = (values[order][1:] != values[order][:-1]) | (flight[order][1:] != flight[order][:-1])
        run = np.flatnonzero(first)
        length = np.diff(np.append(run, len(order)))
        best = np.lexsort((values[order[run]], -length, flight[order[run]]))
        leads = best[np.flatnonzero(np.diff(flight[order[run[best]]], prepend=-1))]
        mode[flight[order[run[leads]]]] = values[order[run[leads]]]
    result: Floats = mode[flight]
    return result


def _direction(degrees: Floats) -> Floats:
    """0 <= direction < 360; the remainder of a tiny negative number would be 360."""
    turned = degrees % DEGREES_PER_TURN
    result: Floats = np.where(turned >= DEGREES_PER_TURN, 0.0, turned)
    return result


def _mean_direction(values: Floats, known: Bools, flight: Ints) -> Floats:
    """Direction of the sum of unit vectors (Mardia and Jupp, Directional Statistics, 2000, section 2.2)."""
    angle = np.radians(np.where(known, values, 0.0))
    east, north = _mean(np.sin(angle), known, flight), _mean(np.cos(angle), known, flight)
    mean = _direction(np.degrees(np.arctan2(east, north)))
    return np.where(np.hypot(east, north) > _NO_DIRECTION, mean, np.nan)


def _median_direction(values: Floats, known: Bools, flight: Ints) -> Floats:
    mean = _mean_direction(values, known, flight)
    deviation = _HALF_TURN - (_HALF_TURN - (values - mean)) % DEGREES_PER_TURN
    return _direction(mean + _median(deviation, known & ~np.isnan(mean), flight))


_AVERAGES: Final[dict[str, Callable[[Floats, Bools, Ints], Floats]]] = {"mean": _mean, "median": _median, "mode": _mode}
_DIRECTIONS: Final = _AVERAGES | {"mean": _mean_direction, "median": _median_direction}
