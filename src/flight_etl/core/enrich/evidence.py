"""What the rows of flights say about where the aircraft was in its flight, spikes and frozen values put aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.kernels import phase_kernels
from flight_etl.core.enrich.runs import previous_true, runs_of
from flight_etl.core.enrich.smooth import (
    EXCURSION_S,
    FPM_SCALE,
    METRES_PER_DEGREE,
    QUANTA_PER_FOOT,
    SPIKE_FT,
    SPIKE_FT_PER_S,
    bridged,
    chord_speed,
    excursions,
    fitted_slope,
    spikes,
    straight_speed,
    window_at,
    window_mean,
)
from flight_etl.core.track import FLIGHT_SPAN, Track, floats, time_key, tristate, word_codes
from flight_etl.units import FEET_PER_METRE, FPM_PER_METRE_PER_SECOND, KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from flight_etl.core.enrich.runs import Runs
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import PhaseSettings

__all__ = ["Evidence", "evidence_of"]

_HOVERERS: Final = ("A7", "B1", "B2", "B4", "B6")  # rotorcraft, gliders, balloons, ultralights, drones: slow is not grounded
_HOLD_S: Final = 30.0  # s for which the last altitude before a hole, or the first after it, still stands
_MOST_FPM: Final = 10_000.0  # ft/min; a reported rate beyond this says nothing
_AGREE_FPM: Final = 400.0  # ft/min between reported rate and slope of the altitudes; further apart, the altitudes are right
_SURE_SPAN_S: Final = 10.0  # s of altitudes that make their slope better than a reported rate
_MOMENT_S: Final = 2.0  # s on each side over which the reported rate of the moment is a mean
_MOMENT_SLOPE_S: Final = 6.0  # s on each side over which it is the slope of the altitudes, where none is reported
_CHORD_S: Final = 7.5  # s on each side over which speed is taken from positions
_CHORD_GAP_S: Final = 30.0  # s; over a longer chord a turn looks like standing still
_FROZEN_KT: Final = 25.0  # kt between reported speed and that from positions; further apart, and by
_FROZEN_SHARE: Final = 0.4  # of the reported speed, the reported one is not this moment's


@dataclass(frozen=True, slots=True)
class Evidence:
    """Fresh rows of flights, as parallel arrays; NaN is unknown."""

    row: Ints  # row of the table
    flight: Ints
    key: Ints  # rising; differences inside a flight are ms
    latitude: Floats  # deg, of the last known position
    longitude: Floats  # deg
    altitude_ft: Floats  # pressure altitude without spikes, bridged across short holes
    heard: Bools  # the altitude was in the row itself
    rate_fpm: Floats  # robust vertical rate
    moment_fpm: Floats  # vertical rate of the moment, hardly smoothed
    agreed: Bools  # reported rate and altitudes say the same
    speed_kt: Floats  # as reported, or from positions where nothing is reported or it is frozen
    reported_kt: Floats
    flag: npt.NDArray[np.int8]  # on_ground: 1, 0, or -1 for unknown
    hoverer: Bools
    after_gap: Bools  # the row before is of another flight, or too long ago to conclude anything across
    piece: Ints  # counts these, so that what no gap parts has one number
    flights: Runs  # rows of each flight
    placed: Bools  # the position is known
    last_placed: Ints  # row of the last known position of the flight, or -1

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.row)


def evidence_of(table: pa.Table, track: Track, settings: PhaseSettings) -> Evidence:
    """Gather the evidence of all fresh rows."""
    row = np.flatnonzero(track.fresh)
    flight = track.flight.take(row)
    key = _key(flight, track.time_ms.take(row))
    altitude = floats(table["altitude"]).take(row) * FEET_PER_METRE
    said = floats(table["vertical_rate"]).take(row) * FPM_PER_METRE_PER_SECOND
    vertical = _vertical(altitude, said, key, flight, settings)
    latitude, longitude = floats(table["latitude"]).take(row), floats(table["longitude"]).take(row)
    reported = floats(table["velocity"]).take(row) * KNOTS_PER_METRE_PER_SECOND
    gap = np.ones(len(row), np.bool_)
    gap[1:] = np.diff(key) > settings.max_gap_s * MS_PER_SECOND
    placed = ~np.isnan(latitude)
    return Evidence(
        row=row,
        flight=flight,
        key=key,
        latitude=latitude,
        longitude=longitude,
        altitude_ft=vertical.altitude_ft,
        heard=vertical.heard,
        rate_fpm=vertical.rate_fpm,
        moment_fpm=vertical.moment_fpm,
        agreed=vertical.agreed,
        speed_kt=_speeds(reported, latitude, longitude, key, flight),
        reported_kt=reported,
        flag=tristate(table["on_ground"]).take(row),
        hoverer=word_codes(table["category"], _HOVERERS).take(row),
        after_gap=gap,
        piece=np.cumsum(gap, dtype=np.int64),
        flights=runs_of(flight),
        placed=placed,
        last_placed=previous_true(placed, flight),
    )


def _key(flight: Ints, time_ms: Ints) -> Ints:
    fast = phase_kernels()
    if fast is None:
        return time_key(flight, time_ms)
    key: Ints = fast.time_keys(flight, time_ms, FLIGHT_SPAN)
    return key


@dataclass(frozen=True, slots=True)
class _Vertical:
    """The columns of the evidence that come from altitudes and reported rates."""

    altitude_ft: Floats
    heard: Bools
    rate_fpm: Floats
    agreed: Bools
    moment_fpm: Floats


def _vertical(altitude_ft: Floats, said_fpm: Floats, key: Ints, flight: Ints, settings: PhaseSettings) -> _Vertical:
    fast = phase_kernels()
    if fast is not None:
        heard = fast.heard_altitudes(altitude_ft, key, flight, SPIKE_FT, SPIKE_FT_PER_S, EXCURSION_S * MS_PER_SECOND)
        spans_s = (settings.rate_window_s / 2.0, _MOMENT_S, _MOMENT_SLOPE_S, settings.max_gap_s)
        times = tuple(round(span * MS_PER_SECOND) for span in spans_s)
        limits = (_MOST_FPM, _AGREE_FPM, _SURE_SPAN_S)
        rate, agreed, moment = fast.vertical_rates(said_fpm, altitude_ft, heard, key, times, QUANTA_PER_FOOT, FPM_SCALE, limits)
        gap, hold = settings.max_gap_s * MS_PER_SECOND, _HOLD_S * MS_PER_SECOND
        return _Vertical(fast.bridged_altitudes(altitude_ft, heard, key, gap, hold), heard, rate, agreed, moment)
    altitude, heard = _altitudes(altitude_ft, key, flight)
    rate, agreed = _rates(said_fpm, altitude, heard, key, settings)
    missing = np.flatnonzero(~heard)
    bridge = altitude.copy()
    bridge[missing] = bridged(key[missing], key[heard], altitude[heard], max_gap_s=settings.max_gap_s, hold_s=_HOLD_S)
    return _Vertical(bridge, heard, rate, agreed, _moment(said_fpm, altitude, heard, key, settings))


def _altitudes(altitude_ft: Floats, key: Ints, flight: Ints) -> tuple[Floats, Bools]:
    """Altitudes, and which of them are known and no spikes."""
    heard = ~np.isnan(altitude_ft)
    known = np.flatnonzero(heard)
    heard[known[spikes(altitude_ft[known], key[known], flight[known])]] = False
    known = np.flatnonzero(heard)
    heard[known[excursions(altitude_ft[known], key[known], flight[known])]] = False
    return altitude_ft, heard


def _rates(reported: Floats, altitude: Floats, heard: Bools, key: Ints, settings: PhaseSettings) -> tuple[Floats, Bools]:
    """Robust vertical rate, ft/min, and where both sources agree on it.

    The mean of the reported rates in the window, unless the slope of the altitudes in it is well known and says otherwise,
    or nothing is reported.
    """
    half = settings.rate_window_s / 2.0
    window = window_at(key, key[heard], half_s=half, max_gap_s=settings.max_gap_s)
    slope = fitted_slope(key, key[heard], altitude[heard], window)
    usable = ~np.isnan(reported) & (np.abs(reported) <= _MOST_FPM)
    mean = window_mean(reported[usable], window_at(key, key[usable], half_s=half))
    agreed = np.abs(mean - slope.fpm) <= _AGREE_FPM
    from_altitudes = np.isnan(mean) | (~agreed & (slope.span_s >= _SURE_SPAN_S))
    return np.where(from_altitudes, slope.fpm, mean), agreed


def _moment(reported: Floats, altitude: Floats, heard: Bools, key: Ints, settings: PhaseSettings) -> Floats:
    """Vertical rate, ft/min, over a few seconds: as reported, else the slope of the altitudes."""
    usable = ~np.isnan(reported) & (np.abs(reported) <= _MOST_FPM)
    mean = window_mean(reported[usable], window_at(key, key[usable], half_s=_MOMENT_S))
    rest = np.flatnonzero(np.isnan(mean))
    window = window_at(key[rest], key[heard], half_s=_MOMENT_SLOPE_S, max_gap_s=settings.max_gap_s)
    mean[rest] = fitted_slope(key[rest], key[heard], altitude[heard], window).fpm
    return mean


def _speeds(reported: Floats, latitude: Floats, longitude: Floats, key: Ints, flight: Ints) -> Floats:
    """Speed to believe, kt: the reported one, or that from positions where it is missing or contradicted by them."""
    fast = phase_kernels()
    if fast is not None:
        limits = (_FROZEN_KT, _FROZEN_SHARE)
        half, gap = round(_CHORD_S * MS_PER_SECOND), round(_CHORD_GAP_S * MS_PER_SECOND)
        per_degree = METRES_PER_DEGREE * KNOTS_PER_METRE_PER_SECOND
        row, north, east, middle, seconds = fast.chords(reported, latitude, longitude, key, half, gap, per_degree, limits)
        moved = straight_speed(north, east, middle, seconds) * KNOTS_PER_METRE_PER_SECOND
        speeds: Floats = fast.believed_speeds(reported, row, moved, key, flight, (*limits, 2.0 * _CHORD_S))
        return speeds
    known = ~(np.isnan(latitude) | np.isnan(longitude))
    window = window_at(key, key[known], half_s=_CHORD_S, max_gap_s=_CHORD_GAP_S)
    moved = chord_speed(key[known], latitude[known], longitude[known], window) * KNOTS_PER_METRE_PER_SECOND
    off = np.abs(reported - moved)
    frozen = (off > _FROZEN_KT) & (off > _FROZEN_SHARE * reported)
    runs = runs_of(flight, frozen)  # where positions of two sources disagree, a chord may be short for a moment
    frozen &= (runs.seconds(key, flight) >= 2.0 * _CHORD_S)[runs.number]
    return np.where(np.isnan(reported) | frozen, moved, reported)
