"""Numbers made fit for decisions: spikes found, holes bridged, rates and speeds taken over windows of time.

Samples are known values of flights in order, with a rising `key` (see `track.time_key`) whose differences inside a flight
are ms. Windows are by time, so that one and the same window works from 1 s to 60 s between samples: a window always
reaches the next sample on each side, if that is not farther off than the permitted gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.kernels import phase_kernels
from flight_etl.core.track import run_starts
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Floats, Ints

__all__ = [
    "EXCURSION_S",
    "FPM_SCALE",
    "METRES_PER_DEGREE",
    "QUANTA_PER_FOOT",
    "SPIKE_FT",
    "SPIKE_FT_PER_S",
    "Slope",
    "Window",
    "bridged",
    "chord_speed",
    "excursions",
    "fitted_slope",
    "moving_mean",
    "spikes",
    "straight_speed",
    "window_at",
    "window_mean",
]

QUANTA_PER_FOOT: Final = 10.0  # altitudes and rates are summed as integers, exactly, in tenths
SPIKE_FT: Final = 400.0  # ft off the median of five neighbours, plus what an aircraft may climb in the time between them
SPIKE_FT_PER_S: Final = 100.0
EXCURSION_S: Final = 30.0  # s; several receivers repeat one broken altitude for no longer
METRES_PER_DEGREE: Final = 111_195.0  # m, mean
FPM_SCALE: Final = 60.0 * MS_PER_SECOND / QUANTA_PER_FOOT  # ft/min of one tenth of a ft in a ms


@dataclass(frozen=True, slots=True)
class Window:
    """Samples begin .. end - 1 of each query, all of its flight; empty where nothing is near."""

    begin: Ints
    end: Ints


@dataclass(frozen=True, slots=True)
class Slope:
    """Rate of change, ft/min, by least squares, and the time that its samples span, s; NaN and 0 where unknown."""

    fpm: Floats
    span_s: Floats


def spikes(values: Floats, key: Ints, flight: Ints) -> Bools:
    """Mask of altitudes, ft, that stand out from the median of the five round them further than any climb explains."""
    size = len(values)
    first = np.flatnonzero(run_starts(flight))
    last = np.append(first[1:], size)[: len(first)] - 1
    low, high = np.repeat(first, last - first + 1), np.repeat(last, last - first + 1)
    at = np.arange(size)
    near = [values[np.clip(at + step, low, high)] for step in (-2, -1, 0, 1, 2)]
    middle = _median5(*near)
    seconds = (key[np.minimum(at + 1, high)] - key[np.maximum(at - 1, low)]) / MS_PER_SECOND
    found: Bools = np.abs(values - middle) > SPIKE_FT + SPIKE_FT_PER_S * seconds
    return found


def excursions(values: Floats, key: Ints, flight: Ints) -> Bools:
    """Mask of short stretches of altitudes, ft, that are reached and left again faster than any climb explains."""
    size = len(values)
    mask = np.zeros(size, np.bool_)
    seconds = np.diff(key) / MS_PER_SECOND
    step = np.diff(values)
    jump = (np.abs(step) > SPIKE_FT + SPIKE_FT_PER_S * seconds) & (flight[1:] == flight[:-1])
    at = np.flatnonzero(jump)
    out, back = at[:-1], at[1:]  # from row out + 1 to row back
    short = (key[back] - key[out + 1] <= EXCURSION_S * MS_PER_SECOND) & (flight[out] == flight[back])
    returns = step[out] * step[back] < 0
    edges = np.zeros(size + 1, np.int64)
    np.add.at(edges, out[short & returns] + 1, 1)
    np.add.at(edges, back[short & returns] + 1, -1)
    mask[:] = np.cumsum(edges[:-1]) > 0
    return mask


def _median5(a: Floats, b: Floats, c: Floats, d: Floats, e: Floats) -> Floats:
    """Median of five by comparing and swapping."""
    a, b = np.minimum(a, b), np.maximum(a, b)
    d, e = np.minimum(d, e), np.maximum(d, e)
    d, b = np.maximum(a, d), np.minimum(b, e)  # neither the least nor the greatest of these four is the median
    result: Floats = np.maximum(np.minimum(b, d), np.minimum(np.maximum(b, d), c))
    return result


def window_at(query: Ints, key: Ints, *, half_s: float, max_gap_s: float | None = None) -> Window:
    """Find the samples within `half_s` of each query and, with `max_gap_s`, the next beyond on each side if within that."""
    half = round(half_s * MS_PER_SECOND)
    size = len(key)
    if not size:
        return Window(np.zeros(len(query), np.int64), np.zeros(len(query), np.int64))
    begin = np.searchsorted(key, query - half, "left")
    end = np.searchsorted(key, query + half, "right")
    if max_gap_s is None:
        return Window(begin, end)
    gap = round(max_gap_s * MS_PER_SECOND)
    # Most windows hold a sample on each side already: only for the others is the next one looked up.
    alone = np.flatnonzero((begin >= size) | (key[np.minimum(begin, size - 1)] >= query))
    before = np.searchsorted(key, query[alone], "left") - 1
    reach = (before >= 0) & (query[alone] - key[before] <= gap)
    begin[alone[reach]] = before[reach]
    alone = np.flatnonzero((end <= 0) | (key[np.maximum(end - 1, 0)] <= query))
    after = np.searchsorted(key, query[alone], "right")
    reach = (after < size) & (key[np.minimum(after, size - 1)] - query[alone] <= gap)
    end[alone[reach]] = after[reach] + 1
    return Window(begin, end)


def _prefix(values: Ints) -> Ints:
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:])
    return total


def fitted_slope(query: Ints, key: Ints, altitude_ft: Floats, window: Window) -> Slope:
    """Slope of the straight line through the samples of each window."""
    size = len(key)
    count = window.end - window.begin
    inside = np.minimum(window.begin, max(size - 1, 0))
    if not size:
        return Slope(np.full(len(query), np.nan), np.zeros(len(query)))
    altitude = np.rint(altitude_ft * QUANTA_PER_FOOT).astype(np.int64)
    base = altitude[inside]

    def over(values: Ints) -> Ints:
        total = _prefix(values)
        return total[window.end] - total[window.begin]

    sum_t, sum_a = over(key), over(altitude)
    t = (sum_t - count * query).astype(np.float64)
    a = (sum_a - count * base).astype(np.float64)
    tt = (over(key * key) - 2 * query * sum_t + count * query * query).astype(np.float64)
    ta = (over(key * altitude) - query * sum_a - base * sum_t + count * query * base).astype(np.float64)
    spread = count * tt - t * t
    known = (count > 1) & (spread > 0)
    fpm = np.full(len(query), np.nan)
    fpm[known] = (count * ta - t * a)[known] / spread[known] * FPM_SCALE
    span = np.where(known, key[np.maximum(window.end - 1, 0)] - key[inside], 0) / MS_PER_SECOND
    return Slope(fpm, span)


def window_mean(values: Floats, window: Window) -> Floats:
    """Mean of the samples of each window, to a tenth; NaN where it is empty."""
    total = _prefix(np.rint(values * QUANTA_PER_FOOT).astype(np.int64))
    count = window.end - window.begin
    mean = np.full(len(count), np.nan)
    some = count > 0
    mean[some] = (total[window.end] - total[window.begin])[some] / (count[some] * QUANTA_PER_FOOT)
    return mean


def moving_mean(values: Floats, key: Ints, *, half_s: float) -> Floats:
    """Mean, to a tenth, of the known values within `half_s` of each row that has one; NaN elsewhere."""
    fast = phase_kernels()
    if fast is not None:
        return np.asarray(fast.moving_means(values, key, round(half_s * MS_PER_SECOND), QUANTA_PER_FOOT))
    known = ~np.isnan(values)
    window = window_at(key, key[known], half_s=half_s)
    return np.where(known, window_mean(values[known], window), np.nan)


def bridged(query: Ints, key: Ints, values: Floats, *, max_gap_s: float, hold_s: float) -> Floats:
    """Value at each query: between two samples at most `max_gap_s` apart a straight line, else a sample within `hold_s`."""
    result = np.full(len(query), np.nan)
    size = len(key)
    if not size:
        return result
    gap, hold = max_gap_s * MS_PER_SECOND, hold_s * MS_PER_SECOND
    after = np.searchsorted(key, query, "left")
    before = np.minimum(np.searchsorted(key, query, "right"), size) - 1
    inside_b, inside_a = np.maximum(before, 0), np.minimum(after, size - 1)
    since = np.where(before >= 0, query - key[inside_b], np.iinfo(np.int64).max)
    until = np.where(after < size, key[inside_a] - query, np.iinfo(np.int64).max)
    between = (since <= gap) & (until <= gap) & (since + until <= gap)
    whole = np.maximum(since + until, 1).astype(np.float64)
    share = np.where(between, since, 0) / whole
    result[between] = (values[inside_b] + (values[inside_a] - values[inside_b]) * share)[between]
    held = ~between & ((since <= hold) | (until <= hold))
    result[held] = np.where(since <= until, values[inside_b], values[inside_a])[held]
    return result


def chord_speed(key: Ints, latitude: Floats, longitude: Floats, window: Window) -> Floats:
    """Speed, m/s, of the straight way from the first to the last position of each window; NaN where unknown."""
    size = len(key)
    speed = np.full(len(window.begin), np.nan)
    if not size:
        return speed
    some = window.end - window.begin > 1
    a, b = window.begin[some], window.end[some] - 1
    north = latitude[b] - latitude[a]
    east = (longitude[b] - longitude[a] + 180.0) % 360.0 - 180.0
    speed[some] = straight_speed(north, east, (latitude[a] + latitude[b]) / 2.0, (key[b] - key[a]) / MS_PER_SECOND)
    return speed


def straight_speed(north: Floats, east: Floats, latitude: Floats, seconds: Floats) -> Floats:
    """Speed, m/s, of ways of so many degrees north and, as if on the equator, east; NaN where no time passed."""
    metres = METRES_PER_DEGREE * np.hypot(north, east * np.cos(np.radians(latitude)))
    return np.where(seconds > 0, metres / np.maximum(seconds, 1e-3), np.nan)
