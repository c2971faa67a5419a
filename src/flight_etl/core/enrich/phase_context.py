"""Phases of rows from the flight round them (DESIGN section 6, method `context`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich import surface
from flight_etl.core.enrich.edges import moved_edges
from flight_etl.core.enrich.kernels import phase_kernels
from flight_etl.core.enrich.phase_words import APPROACH, CLIMB, CRUISE, DESCENT, GROUND, LANDING, TAKEOFF, TAXI, UNKNOWN
from flight_etl.core.enrich.runs import any_of, ends_of, first_where, runs_of
from flight_etl.core.enrich.smooth import moving_mean
from flight_etl.core.enrich.tops import LEVEL_FPM, SLOW_S, highest, rate_off

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.hops import Hops, Trend
    from flight_etl.core.enrich.phase_words import Labels
    from flight_etl.core.enrich.runs import Runs
    from flight_etl.core.enrich.tops import Tops
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import PhaseSettings

__all__ = ["air_labels", "ground_labels", "heights"]

_CLIMB_OVER_FPM: Final = 200.0  # ft/min; a take-off's climb has ended when its rate falls below this
_MEAN_S: Final = 10.0  # s on each side over which the height is a mean where 3,000 ft decide
_CLEAR_FT: Final = 75.0  # ft above 3,000 ft that an approach must rise to be a descent again
_ROLL_KT: Final = 60.0  # kt; a run on the ground that stays below it was no try to take off, but taxiing fast
_FASTEST_ROLL_KT: Final = 250.0  # kt; nothing rolls faster
_ROLL_ROWS: Final = 5  # rows after the first that show a roll, however short
_ROLL_CHANGE_KT: Final = 10.0  # kt from the first to the last speed that tell speeding up from slowing down


def heights(evidence: Evidence, hops: Hops, tops: Tops, ground_ft: Floats) -> Floats:
    """Height above the field, ft: of departure until the top of climb, of arrival after the top of descent; else NaN.

    `ground_ft` is the pressure altitude of the ground for rows on it.
    """
    fast, runs = phase_kernels(), hops.runs
    if fast is not None:
        of_hops = (runs.first, runs.last, hops.flies, tops.climb, tops.descent, hops.start_ft, hops.end_ft)
        return np.asarray(fast.hop_heights(evidence.altitude_ft, ground_ft, *of_hops))
    row, hop = np.arange(len(evidence)), runs.number
    local = np.where(hops.start_ft == hops.end_ft, hops.start_ft, np.nan)
    field = np.select([row < tops.climb[hop], row > tops.descent[hop]], [hops.start_ft[hop], hops.end_ft[hop]], local[hop])
    field = np.where(hops.flies[hop], field, ground_ft)
    return evidence.altitude_ft - field


def air_labels(evidence: Evidence, hops: Hops, tops: Tops, trend: Trend, height: Floats, settings: PhaseSettings) -> Labels:
    """Phase of rows in the air; UNKNOWN for all others."""
    runs = hops.runs
    low = _low(evidence, np.where(np.isnan(height), evidence.altitude_ft, height), runs, settings)
    climbed = hops.from_ground | hops.from_pass | any_of(trend.up, runs)
    taking_off = _taking_off(evidence, hops, tops, height, settings)
    label = _hop_labels(hops, tops, trend, climbed, low, taking_off)
    landing = runs.last[hops.to_ground]
    label[landing[np.isin(label[landing], [CLIMB, CRUISE, DESCENT])]] = APPROACH
    label[runs.first[hops.from_ground]] = TAKEOFF  # however far apart rows are, between ground and climb there was one
    return label


def _hop_labels(hops: Hops, tops: Tops, trend: Trend, climbed: Bools, low: Bools, taking_off: Bools) -> Labels:
    """Phase of each row by its place in its hop; whether a hop has `climbed` is told for each."""
    fast, runs = phase_kernels(), hops.runs
    if fast is not None:
        words = tuple(int(word) for word in (TAKEOFF, CLIMB, CRUISE, DESCENT, APPROACH, UNKNOWN))
        of_hops = (runs.first, runs.last, hops.flies, climbed, tops.climb, tops.descent)
        return np.asarray(fast.hop_labels(trend.up, trend.down, low, taking_off, *of_hops, words))
    row, hop = np.arange(len(low)), runs.number
    label = np.select(
        [trend.up, row > tops.descent[hop], trend.down, row >= tops.climb[hop], climbed[hop]],
        [CLIMB, np.where(low, APPROACH, DESCENT), DESCENT, CRUISE, CLIMB],
        UNKNOWN,
    )
    label[taking_off] = TAKEOFF
    label[~hops.flies[hop]] = UNKNOWN
    return label.astype(np.int8)


def _low(evidence: Evidence, height: Floats, runs: Runs, settings: PhaseSettings) -> Bools:
    """Rows below 3,000 ft, with those after them in the hop that are hardly above it.

    The mean over some seconds decides: who flies level at 3,000 ft is reported on both sides of it by turns.
    """
    height = moving_mean(height, evidence.key, half_s=_MEAN_S)
    low = height < settings.low_height_ft
    parts = runs_of(low, within=runs)
    hop = runs.number[parts.first]
    hardly = highest(height, parts) < settings.low_height_ft + _CLEAR_FT
    hardly[:1] = False
    hardly[1:] &= hop[1:] == hop[:-1]
    return low | parts.spread(hardly)


def _taking_off(evidence: Evidence, hops: Hops, tops: Tops, height: Floats, settings: PhaseSettings) -> Bools:
    """Rows from the ground until 3,000 ft above it or until the climb ends."""
    runs, row = hops.runs, np.arange(len(evidence))
    start = first_where(evidence.rate_fpm > _CLIMB_OVER_FPM, runs)
    began = runs.spread(np.where(start >= 0, start, np.minimum(tops.climb, runs.last)))
    high = np.where(np.isnan(height), evidence.altitude_ft, height) >= settings.low_height_ft
    over = first_where(high | ((row > began) & ~(evidence.rate_fpm > _CLIMB_OVER_FPM)), runs)
    over = np.where(over < 0, runs.last + 1, over)
    over = _over_at(evidence, hops, over, high)
    return runs.spread(hops.from_ground) & (row < runs.spread(over))


def _over_at(evidence: Evidence, hops: Hops, over: Ints, high: Bools) -> Ints:
    """Rows at which take-offs are over, with those that level off low put where they do."""
    runs = hops.runs
    some = np.flatnonzero(hops.from_ground & (over <= runs.last) & (over > runs.first))
    some = some[~high[over[some]]]
    rate = rate_off(evidence, over[some], -SLOW_S / 2)
    some, rate = some[rate > 0], rate[rate > 0]
    bounds = (runs.first[some] + 1, runs.last[some])
    limit = np.minimum(LEVEL_FPM * 2, rate / 2.0)
    moved = over.copy()
    moved[some] = moved_edges(
        evidence, over[some], bounds, np.ones(len(some), np.int64), limit, falls=np.ones(len(some), np.bool_)
    )
    return moved


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
    rolls = runs_of(state, fast, begins=evidence.after_gap)
    return np.where(fast, rolls.spread(_roll_labels(evidence, state, rolls, piece, settings)), label).astype(np.int8)


def _dips(evidence: Evidence, grounded: Bools, fast: Bools, piece: Ints, settings: PhaseSettings) -> Bools:
    """Short slow stretches between two fast ones on the ground."""
    runs = runs_of(grounded, fast, begins=evidence.after_gap)
    inside = np.zeros(len(runs), np.bool_)
    is_fast, where = fast[runs.first], piece[runs.first]
    inside[1:-1] = is_fast[:-2] & is_fast[2:] & (where[:-2] == where[1:-1]) & (where[2:] == where[1:-1])
    dips = inside & grounded[runs.first] & (runs.seconds(evidence.key, piece) < settings.min_dwell_s)
    return runs.spread(dips)


def _roll_labels(evidence: Evidence, state: npt.NDArray[np.int8], rolls: Runs, piece: Ints, settings: PhaseSettings) -> Labels:
    """Take-off or landing for each fast stretch on the ground, by what is before and after it, else by its speeds.

    What is neither, and whose speed is to be doubted, taxies.
    """
    size = len(state)
    before, after = np.maximum(rolls.first - 1, 0), np.minimum(rolls.last + 1, size - 1)
    led = (rolls.first > 0) & (piece[before] == piece[rolls.first])
    followed = (rolls.last < size - 1) & (piece[after] == piece[rolls.last])
    came, goes = led & (state[before] == surface.AIR), followed & (state[after] == surface.AIR)
    speed = np.where(np.isnan(evidence.speed_kt), -np.inf, evidence.speed_kt)
    top, least = highest(speed, rolls), -highest(-np.where(np.isnan(evidence.speed_kt), np.inf, evidence.speed_kt), rolls)
    tried = (top >= _ROLL_KT) & (top - least >= _ROLL_CHANGE_KT)  # else it taxies fast, or its speed is frozen
    long = (rolls.seconds(evidence.key, piece) >= settings.min_dwell_s) | (rolls.last - rolls.first >= _ROLL_ROWS)
    first, last = ends_of(evidence.speed_kt, rolls)
    rejected, arrives, departs = tried & led & followed & long, tried & ~led & followed, tried & led & ~followed
    alone = tried & ~led & ~followed
    up, down = last - first >= _ROLL_CHANGE_KT, first - last >= _ROLL_CHANGE_KT
    return np.select(
        [goes, came, rejected | departs | (alone & up), arrives | (alone & down)],
        [TAKEOFF, LANDING, TAKEOFF, LANDING],
        np.where(_doubtful(evidence, rolls), TAXI, UNKNOWN),
    ).astype(np.int8)


def _doubtful(evidence: Evidence, rolls: Runs) -> Bools:
    """Fast stretches whose speed is mostly not this moment's: not sent, frozen, or faster than anything rolls."""
    reported = evidence.reported_kt
    doubted = np.isnan(reported) | (reported != evidence.speed_kt) | (reported > _FASTEST_ROLL_KT)
    share = np.add.reduceat(doubted, rolls.first, dtype=np.float64) if len(rolls) else np.empty(0)
    mostly: Bools = share > (rolls.last - rolls.first + 1) / 2.0
    return mostly
