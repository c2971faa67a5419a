"""Phases of rows from the flight round them (DESIGN section 6, method `context`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich import surface
from flight_etl.core.enrich.phase_words import APPROACH, CLIMB, CRUISE, DESCENT, GROUND, LANDING, TAKEOFF, TAXI, UNKNOWN
from flight_etl.core.enrich.runs import any_of, ends_of, first_where, last_where, runs_of
from flight_etl.core.enrich.smooth import Window, chord_speed
from flight_etl.core.track import next_true, previous_true
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.hops import Hops, Trend
    from flight_etl.core.enrich.phase_words import Labels
    from flight_etl.core.enrich.runs import Runs
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import PhaseSettings

__all__ = ["Tops", "air_labels", "ground_labels", "heights", "tops_of"]

_LEVEL_FPM: Final = 250.0  # ft/min; level flight, as far as the top of climb and of descent go
_BUMP_S: Final = 30.0  # s; a shorter change of rate in level flight is turbulence
_NEAR_TOP_FT: Final = 200.0  # ft below the highest point that still count as the top
_CRUISE_SHARE: Final = 0.88  # of the top's altitude (4,000 ft below FL350): lower levels are level-offs,
_HIGH_STEP_FT: Final = 2_000.0  # ft below the top, a step between flight levels,
_LOW_STEP_FT: Final = 500.0  # ft below it for flights that stay below 10,000 ft,
_LONG_S: Final = 600.0  # s; unless they last this long,
_LONG_SHARE: Final = 0.5  # no lower than this share of the top,
_PROGRESS: Final = 0.5  # and lead somewhere: straight distance over distance flown; less is a holding
_CLIMB_OVER_FPM: Final = 200.0  # ft/min; a take-off's climb has ended when its rate falls below this
_CLEAR_FT: Final = 250.0  # ft above 3,000 ft that an approach must rise to be a descent again
_ROLL_KT: Final = 60.0  # kt; a run on the ground that stays below it was no try to take off, but taxiing fast
_ROLL_CHANGE_KT: Final = 10.0  # kt from the first to the last speed that tell speeding up from slowing down


@dataclass(frozen=True, slots=True)
class Tops:
    """Of each hop: its first row at the top of climb, and its last before the top of descent.

    A hop without cruise has one top: then `descent` is the row before `climb`. One that never turns down ends before its top.
    """

    climb: Ints
    descent: Ints


def tops_of(evidence: Evidence, hops: Hops, trend: Trend, settings: PhaseSettings) -> Tops:
    """Find where hops stop climbing for good, and where they begin to descend for good."""
    runs, altitude = hops.runs, evidence.altitude_ft
    flying = hops.flies[runs.number]
    top = _highest(np.where(flying, altitude, -np.inf), runs)
    cruising = _cruise_levels(evidence, hops, trend, top, settings)
    at_top = cruising | (flying & (altitude >= top[runs.number] - _NEAR_TOP_FT))
    climb, descent = first_where(at_top & ~trend.up, runs), last_where(at_top & ~trend.down, runs)
    climb = np.where(climb < 0, first_where(at_top, runs), climb)
    descent = np.maximum(descent, climb - 1)
    cruises = (top >= settings.cruise_altitude_ft) | any_of(cruising, runs)
    turns = hops.to_ground | hops.to_pass | any_of(trend.down, runs)
    turn = np.where(turns, climb, runs.last + 1)
    return Tops(np.where(cruises, climb, turn), np.where(cruises, descent, turn - 1))


def _highest(values: Floats, runs: Runs) -> Floats:
    return np.maximum.reduceat(values, runs.first) if len(runs) else np.empty(0)


def _cruise_levels(evidence: Evidence, hops: Hops, trend: Trend, top: Floats, settings: PhaseSettings) -> Bools:
    """Rows of level segments that are cruise, not level-offs on the way up or down nor holdings."""
    runs, flights = hops.runs, runs_of(evidence.flight)
    level = _level(evidence, runs, hops.flies[runs.number])
    segments = runs_of(runs.number, level)
    hop = runs.number[segments.first]
    altitude = (evidence.altitude_ft[segments.first] + evidence.altitude_ft[segments.last]) / 2.0
    seconds = (evidence.key[segments.last] - evidence.key[segments.first]) / MS_PER_SECOND
    lasts = level[segments.first] & (seconds >= settings.level_segment_s)
    long = lasts & (seconds >= _LONG_S) & (altitude >= _LONG_SHARE * top[hop]) & (_progress(evidence, segments) >= _PROGRESS)
    high = altitude >= settings.cruise_altitude_ft - _NEAR_TOP_FT
    summit = _summits(segments, runs, trend) & (high | ~hops.from_pass[hop])
    # From the ground it is the highest level segment that counts. A track that begins in the air, or goes round, may show
    # no more than a level-off of its descent: there it must be near the top.
    highest = np.full(len(runs), -np.inf)
    np.maximum.at(highest, hop[lasts], altitude[lasts])
    reference = np.where(hops.from_ground & (highest >= _LONG_SHARE * top), highest, top)[hop]
    low_flight = _highest(top, runs_of(flights.number[runs.first])) < settings.cruise_altitude_ft
    near_low = altitude >= np.minimum(_CRUISE_SHARE * reference, reference - _LOW_STEP_FT)
    near_high = high & (altitude >= np.minimum(_CRUISE_SHARE * top[hop], top[hop] - _HIGH_STEP_FT))
    low = low_flight[flights.number[segments.first]]
    chosen = lasts & (summit | np.where(low, near_low | long, near_high | (long & high)))
    return chosen[segments.number]


def _summits(segments: Runs, runs: Runs, trend: Trend) -> Bools:
    """Whether a climb of the same hop comes last before each segment, and a descent first after it."""
    hop = runs.number
    moves = trend.up | trend.down
    before, after = previous_true(moves, hop)[segments.first], next_true(moves, hop)[segments.last]
    return (before >= 0) & trend.up[before] & (after >= 0) & trend.down[after]


def _level(evidence: Evidence, runs: Runs, flying: Bools) -> Bools:
    """Rows in level flight, short changes of rate that lead nowhere included."""
    level = flying & (np.abs(evidence.rate_fpm) <= _LEVEL_FPM)
    parts = runs_of(runs.number, level)
    hop = runs.number[parts.first]
    change = np.abs(evidence.altitude_ft[parts.last] - evidence.altitude_ft[parts.first])
    inside = np.zeros(len(parts), np.bool_)
    inside[1:-1] = (hop[:-2] == hop[1:-1]) & (hop[2:] == hop[1:-1])
    bump = inside & (parts.seconds(evidence.key, runs.number) < _BUMP_S) & (change < _NEAR_TOP_FT)
    return level | (bump[parts.number] & flying)


def _progress(evidence: Evidence, segments: Runs) -> Floats:
    """Straight distance made good over distance flown; 1 where positions do not tell."""
    first, last = ends_of(np.where(np.isnan(evidence.latitude), np.nan, np.arange(len(evidence), dtype=np.float64)), segments)
    known = ~np.isnan(first)
    begin, end = np.where(known, first, 0).astype(np.int64), np.where(known, last, 0).astype(np.int64)
    straight = (
        chord_speed(evidence.key, evidence.latitude, evidence.longitude, Window(begin, end + 1)) * KNOTS_PER_METRE_PER_SECOND
    )
    speed = np.where(np.isnan(evidence.speed_kt), 0.0, evidence.speed_kt)
    mean = np.add.reduceat(speed, segments.first) / (segments.last - segments.first + 1) if len(segments) else np.empty(0)
    return np.where(np.isnan(straight) | (mean <= 0), 1.0, straight / np.maximum(mean, 1.0))


def heights(evidence: Evidence, hops: Hops, tops: Tops, ground_ft: Floats) -> Floats:
    """Height above the field, ft: of departure until the top of climb, of arrival after the top of descent; else NaN.

    `ground_ft` is the pressure altitude of the ground for rows on it.
    """
    row, hop = np.arange(len(evidence)), hops.runs.number
    local = np.where(hops.start_ft == hops.end_ft, hops.start_ft, np.nan)
    field = np.select([row < tops.climb[hop], row > tops.descent[hop]], [hops.start_ft[hop], hops.end_ft[hop]], local[hop])
    field = np.where(hops.flies[hop], field, ground_ft)
    return evidence.altitude_ft - field


def air_labels(evidence: Evidence, hops: Hops, tops: Tops, trend: Trend, height: Floats, settings: PhaseSettings) -> Labels:
    """Phase of rows in the air; UNKNOWN for all others."""
    row, hop, runs = np.arange(len(evidence)), hops.runs.number, hops.runs
    low = _low(np.where(np.isnan(height), evidence.altitude_ft, height), runs, settings)
    climbed = hops.from_ground | hops.from_pass | any_of(trend.up, runs)
    label = np.select(
        [trend.up, row > tops.descent[hop], trend.down, row >= tops.climb[hop], climbed[hop]],
        [CLIMB, np.where(low, APPROACH, DESCENT), DESCENT, CRUISE, CLIMB],
        UNKNOWN,
    )
    label[_taking_off(evidence, hops, tops, height, settings)] = TAKEOFF
    label[~hops.flies[hop]] = UNKNOWN
    landing = runs.last[hops.to_ground]
    label[landing[np.isin(label[landing], [CLIMB, CRUISE, DESCENT])]] = APPROACH
    label[runs.first[hops.from_ground]] = TAKEOFF  # however far apart rows are, between ground and climb there was one
    return label.astype(np.int8)


def _low(height: Floats, runs: Runs, settings: PhaseSettings) -> Bools:
    """Rows below 3,000 ft, with those after them in the hop that are hardly above it."""
    low = height < settings.low_height_ft
    parts = runs_of(runs.number, low)
    hop = runs.number[parts.first]
    hardly = _highest(height, parts) < settings.low_height_ft + _CLEAR_FT
    hardly[:1] = False
    hardly[1:] &= hop[1:] == hop[:-1]
    return low | hardly[parts.number]


def _taking_off(evidence: Evidence, hops: Hops, tops: Tops, height: Floats, settings: PhaseSettings) -> Bools:
    """Rows from the ground until 3,000 ft above it or until the climb ends."""
    runs, row, hop = hops.runs, np.arange(len(evidence)), hops.runs.number
    start = first_where(evidence.rate_fpm > _CLIMB_OVER_FPM, runs)
    began = np.where(start >= 0, start, np.minimum(tops.climb, runs.last))[hop]
    high = np.where(np.isnan(height), evidence.altitude_ft, height) >= settings.low_height_ft
    over = first_where(high | ((row > began) & ~(evidence.rate_fpm > _CLIMB_OVER_FPM)), runs)
    over = np.where(over < 0, runs.last + 1, over)
    return hops.from_ground[hop] & (row < over[hop])


def ground_labels(evidence: Evidence, state: npt.NDArray[np.int8], piece: Ints, settings: PhaseSettings) -> Labels:
    """Phase of rows on the ground; UNKNOWN for all others."""
    speed, grounded = evidence.speed_kt, state == surface.GROUND
    fast = grounded & (speed > settings.taxi_speed_kt)
    fast = fast | _dips(evidence, grounded, fast, piece, settings)
    label = np.select(
        [~grounded | np.isnan(speed), speed <= settings.ground_speed_kt, speed <= settings.taxi_speed_kt],
        [UNKNOWN, GROUND, TAXI],
        UNKNOWN,
    )
    rolls = runs_of(piece, state, fast)
    return np.where(fast, _roll_labels(evidence, state, rolls, piece, settings)[rolls.number], label).astype(np.int8)


def _dips(evidence: Evidence, grounded: Bools, fast: Bools, piece: Ints, settings: PhaseSettings) -> Bools:
    """Short slow stretches between two fast ones on the ground."""
    runs = runs_of(piece, grounded, fast)
    inside = np.zeros(len(runs), np.bool_)
    is_fast, where = fast[runs.first], piece[runs.first]
    inside[1:-1] = is_fast[:-2] & is_fast[2:] & (where[:-2] == where[1:-1]) & (where[2:] == where[1:-1])
    dips = inside & grounded[runs.first] & (runs.seconds(evidence.key, piece) < settings.min_dwell_s)
    return dips[runs.number]


def _roll_labels(evidence: Evidence, state: npt.NDArray[np.int8], rolls: Runs, piece: Ints, settings: PhaseSettings) -> Labels:
    """Take-off or landing for each fast stretch on the ground, by what is before and after it, else by its speeds."""
    size = len(state)
    before, after = np.maximum(rolls.first - 1, 0), np.minimum(rolls.last + 1, size - 1)
    led = (rolls.first > 0) & (piece[before] == piece[rolls.first])
    followed = (rolls.last < size - 1) & (piece[after] == piece[rolls.last])
    came, goes = led & (state[before] == surface.AIR), followed & (state[after] == surface.AIR)
    speed = np.where(np.isnan(evidence.speed_kt), -np.inf, evidence.speed_kt)
    top, least = _highest(speed, rolls), -_highest(-np.where(np.isnan(evidence.speed_kt), np.inf, evidence.speed_kt), rolls)
    tried = (top >= _ROLL_KT) & (top - least >= _ROLL_CHANGE_KT)  # else it taxies fast, or its speed is frozen
    long = rolls.seconds(evidence.key, piece) >= settings.min_dwell_s
    first, last = ends_of(evidence.speed_kt, rolls)
    rejected, arrives, departs = tried & led & followed & long, tried & ~led & followed, tried & led & ~followed
    alone = tried & ~led & ~followed
    up, down = last - first >= _ROLL_CHANGE_KT, first - last >= _ROLL_CHANGE_KT
    return np.select(
        [goes, came, rejected | departs | (alone & up), arrives | (alone & down)],
        [TAKEOFF, LANDING, TAKEOFF, LANDING],
        UNKNOWN,
    ).astype(np.int8)
