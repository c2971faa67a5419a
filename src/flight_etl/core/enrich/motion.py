"""Motion derived from positions, altitudes, speeds and headings, inside flights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude
from flight_etl.core.kernels import track_kernels
from flight_etl.core.track import Track, floats, floats_column, one_array, previous_true, put, run_starts, time_key, track_of
from flight_etl.outcome import Outcome
from flight_etl.schema import empty_dropped
from flight_etl.units import DEGREES_PER_TURN, FEET_PER_METRE, FPM_PER_METRE_PER_SECOND, KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import MotionSettings

__all__ = ["add_motion", "compiled_rates", "rates_of"]

_MICROMETRES: Final = 1e6  # per metre; distances are summed as integers, exactly, in this quantum
_GRID_PER_KM: Final = float(1 << 14)  # of 6.1 cm, finer than positions are known; few bits are few bytes (docs/adr/0019)
_MICRODEGREES: Final = 1e6  # per degree, likewise for turns
_HALF_TURN: Final = DEGREES_PER_TURN / 2.0
_JUMP_PASSES: Final = 3
_CACHED_ROWS: Final = 4_096
_SHORTEST_S: Final = 1.0  # s; position times of whole seconds make shorter intervals too unsure to judge a speed by

_CONVERTED: Final = (
    ("altitude_ft", "altitude", FEET_PER_METRE),
    ("geo_altitude_ft", "geo_altitude", FEET_PER_METRE),
    ("speed_knots", "velocity", KNOTS_PER_METRE_PER_SECOND),
    ("vertical_rate_fpm", "vertical_rate", FPM_PER_METRE_PER_SECOND),
)

_RATES: Final = (
    ("climb_rate_fpm", "altitude", FPM_PER_METRE_PER_SECOND),
    ("acceleration_kts_min", "velocity", KNOTS_PER_METRE_PER_SECOND * 60.0),
    ("turn_rate_deg_s", "heading", 1.0),
)


def add_motion(table: pa.Table, settings: MotionSettings) -> Outcome:
    """Add altitudes, speed and rate in aviation units, distances (km), and rates of change; nothing if not enabled.

    Rows are sorted and their flights consecutive. Stale rows neither get nor feed a derived value, except that the distance
    flown so far is carried on. Rates compare a sample with the last one at least `rate_span_s` older (or, near the start of
    a flight, with the oldest): at 1 Hz the 25 ft quantum of altitudes alone would make 1,500 ft/min from one sample to the
    next. `counts["motion.teleports"]` counts positions, and legs, that no aircraft can have flown.
    """
    if not settings.enabled:
        return Outcome(table, empty_dropped())
    for name, source, factor in _CONVERTED:
        table = put(table, name, _times(table[source], factor))
    track = track_of(table)
    distance, flown, teleports = _distances(table, track, settings)
    table = put(table, "distance_km", floats_column(distance))
    table = put(table, "cumulative_distance_km", floats_column(flown))
    del distance, flown
    rates = rates_of if track_kernels() is None else compiled_rates
    for name, source, factor in _RATES:
        found = rates(floats(table[source]), track, settings, factor, angle=source == "heading")
        table = put(table, name, floats_column(found))
    return Outcome(table, empty_dropped(), {"motion.teleports": teleports})


def _times(column: pa.ChunkedArray, factor: float) -> pa.Array:
    """Values times a factor, null for null and NaN."""
    if column.type != pa.float64():
        return floats_column(floats(column) * factor)
    result = pc.multiply(one_array(column), factor)
    return floats_column(floats(pa.chunked_array([result]))) if pc.any(pc.is_nan(result)).as_py() else result


def _distances(table: pa.Table, track: Track, settings: MotionSettings) -> tuple[Floats, Floats, int]:
    """Km from the previous believed position, km since the flight's first position, and how many teleports there were.

    Both kinds of km are multiples of 2^-14 km. Steps are summed as they are and their sums rounded, so errors do not add up.
    """
    latitude, longitude = floats(table["latitude"]), floats(table["longitude"])
    known = ~(np.isnan(latitude) | np.isnan(longitude)) & track.fresh
    at = np.flatnonzero(known)
    points = _Points(reduced_latitude(latitude[at]), longitude[at], track.time_ms[at], track.flight[at], settings.max_speed_mps)
    kept, leg, possible = points.believed()
    metres = np.full(len(track), np.nan)
    metres[at[kept][1:][possible]] = leg[possible]
    teleports = len(at) - len(kept) + int(np.count_nonzero(~possible & (np.diff(points.flight[kept]) == 0)))
    flown = _running(metres, track)
    flown[previous_true(known, track.flight) < 0] = np.nan
    return _on_grid(metres / 1000.0), _on_grid(flown), teleports


def _on_grid(km: Floats) -> Floats:
    """Nearest multiple of 2^-20 km, which floating point holds exactly."""
    rounded: Floats = np.rint(km * _GRID_PER_KM) / _GRID_PER_KM
    return rounded


def _running(metres: Floats, track: Track) -> Floats:
    """Sum of a flight's distances so far, km."""
    total = np.cumsum(np.rint(np.nan_to_num(metres) * _MICROMETRES).astype(np.int64))
    before = np.where(track.first > 0, total[track.first - 1], 0) if len(total) else total
    flown: Floats = (total - before[track.flight]) / (_MICROMETRES * 1000.0)
    return flown


def _by_parts(beta_from: Floats, longitude_from: Floats, beta_to: Floats, longitude_to: Floats) -> Floats:
    """`distance_m`, some rows at a time, so that what it makes on the way stays in the processor's caches."""
    metres = np.empty(len(beta_from))
    for at in range(0, len(metres), _CACHED_ROWS):
        part = slice(at, at + _CACHED_ROWS)
        metres[part] = distance_m(beta_from[part], longitude_from[part], beta_to[part], longitude_to[part])
    return metres


class _Points:
    """Known fresh positions of flights, and which of them to believe."""

    def __init__(self, beta: Floats, longitude: Floats, time_ms: Ints, flight: Ints, max_speed_mps: float) -> None:
        self.beta, self.longitude, self.time_ms, self.flight = beta, longitude, time_ms, flight
        self.max_speed_mps = max_speed_mps

    def between(self, a: Ints, b: Ints) -> tuple[Floats, Bools]:
        """Metres from points `a` to points `b`, and whether an aircraft can have flown each."""
        metres = _by_parts(self.beta[a], self.longitude[a], self.beta[b], self.longitude[b])
        seconds = np.maximum(np.abs(self.time_ms[b] - self.time_ms[a]) / MS_PER_SECOND, _SHORTEST_S)
        return metres, (self.flight[a] == self.flight[b]) & (metres <= self.max_speed_mps * seconds)

    def legs(self, points: Ints) -> tuple[Floats, Bools]:
        """`between` each of `points` and the next."""
        return self.between(points[:-1], points[1:])

    def believed(self) -> tuple[Ints, Floats, Bools]:
        """Points left after taking out those that a track jumps to and back from, and the legs between them.

        Impossible legs cut a flight's points into islands. An island between two such legs is left out if it is no longer
        than its neighbours and the leg that bridges it is possible. Of such islands in a row every second one is, as
        leaving one out makes its neighbours whole.
        """
        points = np.arange(len(self.flight))
        metres, possible = self.legs(points)
        for _ in range(_JUMP_PASSES):
            jump = np.flatnonzero(~possible) + 1
            same = self.flight[points[jump]] == self.flight[points[jump - 1]]
            if not same.any():
                break
            out = self._detours(points, np.concatenate(([0], jump)), np.concatenate((same, [False])))
            if not out.any():
                break
            points = points[~out]
            metres, possible = self.legs(points)
        return points, metres, possible

    def _detours(self, points: Ints, first: Ints, followed: Bools) -> Bools:
        """Mask of `points` in islands to leave out; `followed` says whether the next island is of the same flight."""
        last = np.append(first[1:], len(points)) - 1
        size = last - first + 1
        out = np.zeros(len(first), np.bool_)
        middle = np.flatnonzero(followed[1:] & followed[:-1]) + 1
        _, bridged = self.between(points[last[middle - 1]], points[first[middle + 1]])
        out[middle] = bridged & (size[middle] <= np.minimum(size[middle - 1], size[middle + 1]))
        begins = out.copy()
        begins[1:] &= ~out[:-1]
        since = np.arange(len(out)) - np.maximum.accumulate(np.where(begins, np.arange(len(out)), 0))
        return np.repeat(out & (since % 2 == 0), size)


def compiled_rates(values: Floats, track: Track, settings: MotionSettings, scale: float, *, angle: bool) -> Floats:
    """`rates_of` in one pass."""
    kernels = track_kernels()
    assert kernels is not None
    span_ms = round(settings.rate_span_s * MS_PER_SECOND)
    fresh = track.fresh.view(np.uint8)
    found: Floats = kernels.rates(values, fresh, track.flight, track.time_ms, span_ms, settings.max_gap_s, scale, angle)
    return found


def rates_of(values: Floats, track: Track, settings: MotionSettings, scale: float, *, angle: bool) -> Floats:
    """Change per second between fresh samples, times `scale`; NaN elsewhere, across gaps, and where no time has passed."""
    rate = np.full(len(values), np.nan)
    at = np.flatnonzero(~np.isnan(values) & track.fresh)
    if not len(at):
        return rate
    flight, time = track.flight[at], track.time_ms[at]
    back = _baseline(flight, time, settings.rate_span_s)
    samples = values[at]
    change = _turned(samples, back) if angle else samples - samples[back]
    seconds = (time - time[back]) / MS_PER_SECOND
    usable = (seconds > 0) & (seconds <= settings.max_gap_s)
    rate[at[usable]] = change[usable] / seconds[usable] * scale
    return rate


def _baseline(flight: Ints, time_ms: Ints, span_s: float) -> Ints:
    """Sample to compare each one with: the last at least `span_s` older, or else the flight's first."""
    key = time_key(flight, time_ms)
    first = np.flatnonzero(run_starts(flight))
    begin = np.repeat(first, np.diff(np.append(first, len(flight))))
    older = np.searchsorted(key, key - round(span_s * MS_PER_SECOND), "right") - 1
    return np.maximum(np.minimum(older, np.arange(len(key)) - 1), begin)


def _turned(heading: Floats, back: Ints) -> Floats:
    """Degrees turned since sample `back`, every step between two samples taken the shorter way round."""
    step = np.zeros(len(heading))
    step[1:] = np.diff(heading)
    step = _HALF_TURN - (_HALF_TURN - step) % DEGREES_PER_TURN
    total = np.cumsum(np.rint(step * _MICRODEGREES).astype(np.int64))
    turned: Floats = (total - total[back]) / _MICRODEGREES
    return turned
