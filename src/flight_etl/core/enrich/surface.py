"""On the ground or in the air: flags, speeds and altitudes weighed against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.airports import elevation_of, nearest_fields
from flight_etl.core.enrich.kernels import phase_kernels
from flight_etl.core.enrich.runs import Runs, any_of, first_where, median_where, next_true, previous_true, runs_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.track import Bools, Floats
    from flight_etl.settings import AirportSettings, PhaseSettings

__all__ = ["AIR", "FLYING_KT", "GROUND", "HIGHEST_FIELD_FT", "UNKNOWN", "surface_states"]

GROUND: Final = 1
AIR: Final = 0
UNKNOWN: Final = -1

FLYING_KT: Final = 80.0  # kt; above it an altitude well off the ground outweighs a flag that says ground
_SLOW_HEIGHT_FT: Final = 500.0  # ft above the field within which a slow aircraft is on it: the pressure may be off by as much
_LEVEL_FT: Final = 50.0  # ft above where it stood, within which an aircraft without flags still rolls
_TOUCH_HEIGHT_FT: Final = 600.0  # ft above the field; a touchdown is not seen higher
HIGHEST_FIELD_FT: Final = 15_500.0  # ft; Daocheng lies at 14,472, and the pressure may be low
_PASSING_FPM: Final = 300.0  # ft/min; faster through its altitude, an aircraft does not touch the ground there
_CLIMB_FT_PER_S: Final = 100.0  # ft/s, 6,000 ft/min; no hop goes up and comes down again faster
_HOP_FT: Final = 150.0  # ft; a shorter and lower hop between two stretches on the ground is a flipped flag


def surface_states(
    evidence: Evidence, airports: AirportTable, settings: PhaseSettings, places: AirportSettings
) -> npt.NDArray[np.int8]:
    """GROUND, AIR or UNKNOWN for each row of the evidence."""
    elevation = _field_elevation(evidence, airports, settings, places)
    state = _weighed(evidence, elevation, settings, places)
    state = _without_high_ground(evidence, state, elevation, settings)
    return _without_short_hops(evidence, state, settings)


def _weighed(evidence: Evidence, elevation: Floats, settings: PhaseSettings, places: AirportSettings) -> npt.NDArray[np.int8]:
    """Judge each row by itself, and the fast ones beside slow ones."""
    fast = phase_kernels()
    if fast is None:
        return _rolling(evidence, _row_states(evidence, elevation, settings, places), settings)
    e, error_ft = evidence, places.max_elevation_error_ft
    limits = (settings.taxi_speed_kt, FLYING_KT, error_ft, _SLOW_HEIGHT_FT, HIGHEST_FIELD_FT, _LEVEL_FT)
    state: npt.NDArray[np.int8] = fast.ground_states(
        e.speed_kt, e.altitude_ft, elevation, e.flag, e.hoverer, e.flight, e.piece, limits
    )
    return state


def _slow(evidence: Evidence, settings: PhaseSettings) -> Bools:
    return (evidence.speed_kt <= settings.taxi_speed_kt) & ~evidence.hoverer


def _field_elevation(evidence: Evidence, airports: AirportTable, settings: PhaseSettings, places: AirportSettings) -> Floats:
    """Elevation of the field by which each stretch of slow or flagged rows lies, ft; NaN elsewhere."""
    near = _slow(evidence, settings) | (evidence.flag == 1)
    runs = runs_of(near, within=evidence.flights)
    at = first_where(near & evidence.placed, runs)
    some = at >= 0
    found = nearest_fields(
        airports, evidence.latitude[at[some]], evidence.longitude[at[some]], max_distance_km=places.max_distance_km
    ).index
    elevation = np.full(len(runs), np.nan)
    elevation[some] = elevation_of(airports, found)
    return runs.spread(elevation)


def _row_states(evidence: Evidence, elevation: Floats, settings: PhaseSettings, places: AirportSettings) -> npt.NDArray[np.int8]:
    """Judge each row by itself."""
    slow, flag, altitude = _slow(evidence, settings), evidence.flag, evidence.altitude_ft
    height = altitude - np.where(np.isnan(elevation), 0.0, elevation)
    state = flag.copy()
    lifted = (flag == 1) & (evidence.speed_kt > FLYING_KT) & (height > places.max_elevation_error_ft)
    state[lifted] = AIR
    low = np.abs(altitude - elevation) <= _SLOW_HEIGHT_FT
    landed = (flag != 1) & slow & (low | (np.isnan(altitude) & ~np.isnan(elevation)))
    stands = (flag == UNKNOWN) & slow & np.isnan(elevation) & ~(altitude > HIGHEST_FIELD_FT)
    state[landed | stands] = GROUND
    flies = (flag == UNKNOWN) & ~slow & ((evidence.speed_kt > settings.taxi_speed_kt) | ~np.isnan(altitude))
    state[flies] = AIR
    return state


def _rolling(evidence: Evidence, state: npt.NDArray[np.int8], settings: PhaseSettings) -> npt.NDArray[np.int8]:
    """Add the fast parts of rolls where no flag shows them: next to slow rows, and no higher than these.

    Flags of a flight that never says ground, though it stands there, count as missing.
    """
    flights = evidence.flights
    mute = (evidence.flag == UNKNOWN) | ~any_of(evidence.flag == 1, flights)[flights.number]
    stood = (state == GROUND) & _slow(evidence, settings)
    measured = stood & ~np.isnan(evidence.altitude_ft)
    level = np.isnan(evidence.altitude_ft)
    for at in (previous_true(measured, evidence.flight), next_true(measured, evidence.flight)):
        level |= (at >= 0) & (evidence.altitude_ft - evidence.altitude_ft[at] <= _LEVEL_FT)
    may_roll = stood | (level & mute & ~evidence.hoverer)
    runs = runs_of(may_roll, begins=evidence.after_gap)
    rolls = may_roll & any_of(stood, runs)[runs.number]
    return np.where(rolls, np.int8(GROUND), state)


def _without_high_ground(
    evidence: Evidence, state: npt.NDArray[np.int8], elevation: Floats, settings: PhaseSettings
) -> npt.NDArray[np.int8]:
    """Take flags for flipped that say ground in mid-air: fast rows well above the field, by altitudes next to them.

    Short contacts at any speed of flight are such, too, and where no field is near those in a steady climb or descent.
    """
    runs = runs_of(state, within=evidence.flights)
    height = evidence.altitude_ft - elevation
    fast = (state == GROUND) & (evidence.speed_kt > FLYING_KT)
    high = (median_where(fast, height, runs) > _TOUCH_HEIGHT_FT) & ~any_of(evidence.speed_kt <= FLYING_KT, runs)
    brief = runs.seconds(evidence.key, evidence.flight) < settings.min_dwell_s
    brief &= _between(state, AIR, evidence, runs) & ~any_of(evidence.speed_kt <= settings.taxi_speed_kt, runs)
    doubted = runs.spread(brief & (state[runs.first] == GROUND))
    above = median_where(doubted, height, runs)
    passing = np.isnan(above) & (np.abs(median_where(doubted, evidence.rate_fpm, runs)) > _PASSING_FPM)
    flipped = high | (brief & ((above > _TOUCH_HEIGHT_FT) | passing))
    return np.where((state == GROUND) & runs.spread(flipped), np.int8(AIR), state)


def _without_short_hops(evidence: Evidence, state: npt.NDArray[np.int8], settings: PhaseSettings) -> npt.NDArray[np.int8]:
    """Take short and low hops between two stretches on the ground for flipped flags, and impossible ones for bad altitudes."""
    runs = runs_of(state == GROUND, within=evidence.flights)
    seconds = runs.seconds(evidence.key, evidence.flight)
    short = seconds < settings.min_dwell_s
    between = _between(state, GROUND, evidence, runs)
    top = np.full(len(runs), -np.inf)
    altitude = np.where(np.isnan(evidence.altitude_ft), -np.inf, evidence.altitude_ft)
    if len(runs):
        top = np.maximum.reduceat(altitude, runs.first)
    low = _neighbour_level(evidence, runs)
    rises = top - low > _HOP_FT
    flips = between & ((short & ~rises) | (top - low > _CLIMB_FT_PER_S * seconds))
    return np.where((state != GROUND) & runs.spread(flips), np.int8(GROUND), state)


def _between(state: npt.NDArray[np.int8], wanted: int, evidence: Evidence, runs: Runs) -> Bools:
    """Whether the rows right before and after each run are of its flight and in the state that is wanted."""
    size = len(state)
    before, after = np.maximum(runs.first - 1, 0), np.minimum(runs.last + 1, size - 1)
    flight = evidence.flight
    led = (runs.first > 0) & (flight[before] == flight[runs.first]) & (state[before] == wanted)
    followed = (runs.last < size - 1) & (flight[after] == flight[runs.last]) & (state[after] == wanted)
    between: Bools = led & followed
    return between


def _neighbour_level(evidence: Evidence, runs: Runs) -> Floats:
    """Lower of the altitudes right before and after each run, ft; that of the run's first row where neither is known."""
    size = len(evidence)
    if not size:
        return np.empty(0)
    before = evidence.altitude_ft[np.maximum(runs.first - 1, 0)]
    after = evidence.altitude_ft[np.minimum(runs.last + 1, size - 1)]
    return np.fmin(np.fmin(before, after), evidence.altitude_ft[runs.first])
