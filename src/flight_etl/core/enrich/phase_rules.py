"""Phases of rows by themselves (DESIGN section 6, method `rules`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.airports import elevation_of, nearest_fields
from flight_etl.core.enrich.phase_words import APPROACH, CLIMB, CRUISE, DESCENT, GROUND, LANDING, TAKEOFF, TAXI, UNKNOWN
from flight_etl.core.enrich.surface import FLYING_KT, HIGHEST_FIELD_FT

if TYPE_CHECKING:
    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.phase_words import Labels
    from flight_etl.core.track import Floats, Ints
    from flight_etl.settings import AirportSettings, PhaseSettings

__all__ = ["point_heights", "point_labels"]

_REACH: Final = 2.0  # of the distance at which a field is that of an aircraft on the ground
_SPEEDING_KT: Final = 2.0  # kt from the row before to the row after that tell speeding up from slowing down


def point_heights(evidence: Evidence, rows: Ints, airports: AirportTable, settings: PhaseSettings, reach_km: float) -> Floats:
    """Height of `rows` above the field nearest to each, ft; NaN where none is within reach or the aircraft far above any."""
    height = np.full(len(rows), np.nan)
    some = np.flatnonzero(evidence.altitude_ft[rows] <= HIGHEST_FIELD_FT + settings.low_height_ft)
    at = rows[some]
    index = nearest_fields(airports, evidence.latitude[at], evidence.longitude[at], max_distance_km=reach_km * _REACH).index
    height[some] = evidence.altitude_ft[at] - elevation_of(airports, index)
    return height


def point_labels(evidence: Evidence, rows: Ints, height: Floats, settings: PhaseSettings, places: AirportSettings) -> Labels:
    """Phase of each of `rows`. Only whether it is speeding up or slowing down is taken from the rows next to it."""
    altitude, rate, speed = evidence.altitude_ft[rows], evidence.rate_fpm[rows], evidence.speed_kt[rows]
    flag = evidence.flag[rows]
    aloft = (speed > FLYING_KT) & (height > places.max_elevation_error_ft)
    grounded = ((flag == 1) & ~aloft) | ((flag < 0) & (height <= settings.ground_height_ft) & ~evidence.hoverer[rows])
    change = _speed_change(evidence, rows)
    low = np.where(np.isnan(height), altitude, height) < settings.low_height_ft
    rises, sinks = rate > settings.climb_rate_fpm, rate < settings.descent_rate_fpm
    return np.select(
        [
            grounded & (speed <= settings.ground_speed_kt),
            grounded & (speed <= settings.taxi_speed_kt),
            grounded & (change >= _SPEEDING_KT),
            grounded & (change <= -_SPEEDING_KT),
            grounded | np.isnan(altitude) | np.isnan(rate),
            low & rises,
            rises,
            low & sinks,
            sinks,
            altitude >= settings.cruise_altitude_ft,
        ],
        [GROUND, TAXI, TAKEOFF, LANDING, UNKNOWN, TAKEOFF, CLIMB, APPROACH, DESCENT, CRUISE],
        UNKNOWN,
    ).astype(np.int8)


def _speed_change(evidence: Evidence, row: Ints) -> Floats:
    """Speed after each row less that before it, kt, as far as no gap lies between; NaN for a row alone."""
    speed, last = evidence.speed_kt, np.append(evidence.after_gap[1:], True)
    before = np.where(evidence.after_gap[row], row, row - 1)
    after = np.where(last[row], row, row + 1)
    return np.where(before == after, np.nan, speed[after] - speed[before])
