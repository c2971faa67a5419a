"""Tops of climb and of descent of each hop: where it stops climbing for good, and where it begins to descend for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.edges import moved_edges
from flight_etl.core.enrich.runs import any_of, ends_of, first_where, last_where, next_true, previous_true, runs_of
from flight_etl.core.enrich.smooth import Window, chord_speed
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.hops import Hops, Trend
    from flight_etl.core.enrich.runs import Runs
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import PhaseSettings

__all__ = ["LEVEL_FPM", "SLOW_S", "Tops", "highest", "rate_off", "tops_of"]

LEVEL_FPM: Final = 250.0  # ft/min; level flight, as far as the top of climb and of descent go
SLOW_S: Final = 45.0  # s before levelling off, or after, where a slow climb or descent shows its rate
_BUMP_S: Final = 30.0  # s; a shorter change of rate in level flight is turbulence
_NEAR_TOP_FT: Final = 200.0  # ft below the highest point that still count as the top
_CRUISE_SHARE: Final = 0.88  # of the top's altitude (4,000 ft below FL350): lower levels are level-offs,
_HIGH_STEP_FT: Final = 2_000.0  # ft below the top, a step between flight levels,
_LOW_STEP_FT: Final = 500.0  # ft below it for flights that stay below 10,000 ft,
_LONG_S: Final = 600.0  # s; unless they last this long,
_LONG_SHARE: Final = 0.5  # no lower than this share of the top,
_STAY_S: Final = 300.0  # s, or this long,
_STAY_SHARE: Final = 0.7  # no lower than this share of it,
_PROGRESS: Final = 0.5  # and lead somewhere: straight distance over distance flown; less is a holding


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
    flying = runs.spread(hops.flies)
    top = highest(np.where(flying, altitude, -np.inf), runs)
    cruising = _cruise_levels(evidence, hops, trend, top, settings)
    at_top = cruising | (flying & (altitude >= runs.spread(top) - _NEAR_TOP_FT))
    climb = np.where(any_of(at_top & ~trend.up, runs), _climbed(evidence, runs, trend, at_top), first_where(at_top, runs))
    descent = np.maximum(_descends(evidence, runs, trend, at_top, settings), climb - 1)
    cruises = (top >= settings.cruise_altitude_ft) | any_of(cruising, runs)
    turns = hops.to_ground | hops.to_pass | any_of(trend.down, runs)
    turn = np.where(turns, climb, runs.last + 1)
    return Tops(np.where(cruises, climb, turn), np.where(cruises, descent, turn - 1))


def _climbed(evidence: Evidence, runs: Runs, trend: Trend, at_top: Bools) -> Ints:
    """First row of each hop at its top: where its last climb ends or, if that was too slow to be one, where it levels off."""
    first = first_where(at_top & ~trend.up, runs)
    quiet = runs_of(trend.up, trend.down, within=runs)
    start = quiet.first[quiet.number[first]]
    near = np.abs(evidence.altitude_ft[start] - evidence.altitude_ft[first]) <= _NEAR_TOP_FT
    steep = (start > runs.first) & trend.up[start - 1] & near
    level = first_where(at_top & ~trend.up & (evidence.rate_fpm <= LEVEL_FPM), runs)
    some = np.flatnonzero(~steep & (level > runs.first))
    rate = rate_off(evidence, level[some], -SLOW_S)
    some, rate = some[rate > 0], rate[rate > 0]
    bounds = (runs.first[some] + 1, runs.last[some])
    limit = np.minimum(LEVEL_FPM, rate / 2.0)
    first[some] = moved_edges(
        evidence, level[some], bounds, np.ones(len(some), np.int64), limit, falls=np.ones(len(some), np.bool_)
    )
    return np.where(steep, start, first)


def _descends(evidence: Evidence, runs: Runs, trend: Trend, at_top: Bools, settings: PhaseSettings) -> Ints:
    """Last row of each hop at its top, likewise; -1 where it never leaves off descending."""
    last = last_where(at_top & ~trend.down, runs)
    quiet = runs_of(trend.up, trend.down, within=runs)
    end = quiet.last[quiet.number[last]]
    near = np.abs(evidence.altitude_ft[end] - evidence.altitude_ft[last]) <= _NEAR_TOP_FT
    steep = (end < runs.last) & trend.down[np.minimum(end + 1, len(at_top) - 1)] & near
    level = last_where(at_top & ~trend.down & (evidence.rate_fpm >= -LEVEL_FPM), runs)
    some = np.flatnonzero(~steep & (level >= 0) & (level < runs.last))
    rate = -rate_off(evidence, level[some], SLOW_S)
    some, rate = some[rate > 0], rate[rate > 0]
    bounds = (runs.first[some] + 1, runs.last[some])
    limit = np.minimum(-settings.descent_rate_fpm, rate / 2.0)
    last[some] = (
        moved_edges(evidence, level[some] + 1, bounds, -np.ones(len(some), np.int64), limit, falls=np.zeros(len(some), np.bool_))
        - 1
    )
    return np.where((last >= 0) & steep, end, last)


def rate_off(evidence: Evidence, row: Ints, seconds: float) -> Floats:
    """Vertical rate, ft/min, so long after each row."""
    at = np.searchsorted(evidence.key, evidence.key[row] + round(seconds * MS_PER_SECOND))
    rate: Floats = evidence.rate_fpm[np.clip(at, 0, len(evidence) - 1)]
    return rate


def highest(values: Floats, runs: Runs) -> Floats:
    """Highest value of each run."""
    return np.maximum.reduceat(values, runs.first) if len(runs) else np.empty(0)


def _cruise_levels(evidence: Evidence, hops: Hops, trend: Trend, top: Floats, settings: PhaseSettings) -> Bools:
    """Rows of level segments that are cruise, not level-offs on the way up or down nor holdings."""
    runs, flights = hops.runs, evidence.flights
    level = _level(evidence, runs, runs.spread(hops.flies))
    segments = runs_of(level, within=runs, begins=evidence.after_gap)
    hop = runs.number[segments.first]
    altitude = (evidence.altitude_ft[segments.first] + evidence.altitude_ft[segments.last]) / 2.0
    seconds = (evidence.key[segments.last] - evidence.key[segments.first]) / MS_PER_SECOND
    lasts = level[segments.first] & (seconds >= settings.level_segment_s)
    lengthy = ((seconds >= _LONG_S) & (altitude >= _LONG_SHARE * top[hop])) | (
        (seconds >= _STAY_S) & (altitude >= _STAY_SHARE * top[hop])
    )
    long = lasts & lengthy & (_progress(evidence, segments) >= _PROGRESS)
    high = altitude >= settings.cruise_altitude_ft - _NEAR_TOP_FT
    summit = _summits(segments, runs, trend) & (high | ~hops.from_pass[hop])
    # From the ground it is the highest level segment that counts. A track that begins in the air, or goes round, may show
    # no more than a level-off of its descent: there it must be near the top.
    most = np.full(len(runs), -np.inf)
    np.maximum.at(most, hop[lasts], altitude[lasts])
    reference = np.where(hops.from_ground & (most >= _LONG_SHARE * top), most, top)[hop]
    low_flight = highest(top, runs_of(flights.number[runs.first])) < settings.cruise_altitude_ft
    # After a go-around what is level below 3,000 ft is the way round to the next approach, unless it leads away.
    again = hops.from_pass[hop] & (altitude - hops.start_ft[hop] < settings.low_height_ft)
    near_low = ~again & (altitude >= np.minimum(_CRUISE_SHARE * reference, reference - _LOW_STEP_FT))
    near_high = high & (altitude >= np.minimum(_CRUISE_SHARE * top[hop], top[hop] - _HIGH_STEP_FT))
    low = low_flight[flights.number[segments.first]]
    chosen = lasts & (summit | np.where(low, near_low | long, near_high | (long & high)))
    return segments.spread(chosen)


def _summits(segments: Runs, runs: Runs, trend: Trend) -> Bools:
    """Whether a climb of the same hop comes last before each segment, and a descent first after it."""
    hop = runs.number
    moves = trend.up | trend.down
    before, after = previous_true(moves, hop)[segments.first], next_true(moves, hop)[segments.last]
    return (before >= 0) & trend.up[before] & (after >= 0) & trend.down[after]


def _level(evidence: Evidence, runs: Runs, flying: Bools) -> Bools:
    """Rows in level flight, short changes of rate that lead nowhere included."""
    level = flying & (np.abs(evidence.rate_fpm) <= LEVEL_FPM)
    parts = runs_of(level, within=runs, begins=evidence.after_gap)
    hop = runs.number[parts.first]
    change = np.abs(evidence.altitude_ft[parts.last] - evidence.altitude_ft[parts.first])
    inside = np.zeros(len(parts), np.bool_)
    inside[1:-1] = (hop[:-2] == hop[1:-1]) & (hop[2:] == hop[1:-1])
    bump = inside & (parts.seconds(evidence.key, runs.number) < _BUMP_S) & (change < _NEAR_TOP_FT)
    return level | (parts.spread(bump) & flying)


def _progress(evidence: Evidence, segments: Runs) -> Floats:
    """Straight distance made good over distance flown; 1 where positions do not tell."""
    first, last = ends_of(np.where(evidence.placed, np.arange(len(evidence), dtype=np.float64), np.nan), segments)
    known = ~np.isnan(first)
    begin, end = np.where(known, first, 0).astype(np.int64), np.where(known, last, 0).astype(np.int64)
    straight = (
        chord_speed(evidence.key, evidence.latitude, evidence.longitude, Window(begin, end + 1)) * KNOTS_PER_METRE_PER_SECOND
    )
    speed = np.where(np.isnan(evidence.speed_kt), 0.0, evidence.speed_kt)
    mean = np.add.reduceat(speed, segments.first) / (segments.last - segments.first + 1) if len(segments) else np.empty(0)
    return np.where(np.isnan(straight) | (mean <= 0), 1.0, straight / np.maximum(mean, 1.0))
