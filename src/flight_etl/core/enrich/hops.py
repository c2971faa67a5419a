"""A flight's time in the air, cut into hops: from one low point, on the ground or above it, to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich import surface
from flight_etl.core.enrich.contacts import NEAR_FACTOR, edge_levels, fields_at
from flight_etl.core.enrich.edges import settled
from flight_etl.core.enrich.kernels import phase_kernels
from flight_etl.core.enrich.runs import any_of, next_true, previous_true, runs_of
from flight_etl.core.enrich.smooth import Window, chord_speed
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.core.enrich.contacts import Contacts
    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.runs import Runs
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import PhaseSettings, Settings

__all__ = ["Hops", "Trend", "hops_of", "trend_of"]

_STEP_FT: Final = 400.0  # ft; a climb or descent of less is a level flown badly
_QUANTUM_FT: Final = 25.0  # ft; of reported altitudes
_RELEASE: Final = 0.5  # of the threshold: a climb or descent that has begun lasts until its rate falls below this share
_LOW_SHARE: Final = 0.5  # of the height come from, to which a go-around has descended
_LOW_FT: Final = 600.0  # ft above the field; or to this, however low it came from
_DOWN_AND_UP_FPM: Final = 4_000.0  # ft/min; faster, nothing comes down to a field, and climbs away again
_STRAIGHT: Final = 0.6  # of the way flown: so much way made good leaves no time for a landing
_LOW_PASS_S: Final = 600.0  # s between the end of the descent and the climb away; longer is flying low


@dataclass(frozen=True, slots=True)
class Trend:
    """Rows of climbs and of descents that change the altitude by a step or more, or that a hole in the track cuts short."""

    up: Bools
    down: Bools


@dataclass(frozen=True, slots=True)
class Hops:
    """Stretches in the air of known altitude, gaps flown across included.

    Runs that are no hop (on the ground, altitude unknown) have `flies` false.
    """

    runs: Runs
    flies: Bools
    from_ground: Bools  # the row before the hop is on the ground, or the flight is first seen climbing out
    to_ground: Bools  # the row after it is
    from_pass: Bools  # it begins where a go-around begins to climb
    to_pass: Bools
    start_ft: Floats  # pressure altitude of the field of departure; NaN unknown
    end_ft: Floats  # likewise of arrival


def _air(evidence: Evidence, state: npt.NDArray[np.int8]) -> Bools:
    air: Bools = (state == surface.AIR) & ~np.isnan(evidence.altitude_ft)
    return air


def trend_of(evidence: Evidence, state: npt.NDArray[np.int8], piece: Ints, settings: PhaseSettings) -> Trend:
    """Tell climbs and descents from level flight."""
    rise, sink = settings.climb_rate_fpm, settings.descent_rate_fpm
    direction = settled(_directions(evidence, state, piece, rise, sink), evidence, piece, rise, sink)
    return Trend(direction == 1, direction == -1)


def _directions(evidence: Evidence, state: npt.NDArray[np.int8], piece: Ints, rise: float, sink: float) -> npt.NDArray[np.int8]:
    """1 in climbs, -1 in descents, 0 in level flight, 2 for rows that are not in the air at a known altitude."""
    fast = phase_kernels()
    if fast is not None:
        limits = (rise, sink, _RELEASE, _STEP_FT, _QUANTUM_FT)
        return np.asarray(fast.directions(evidence.rate_fpm, evidence.altitude_ft, state, piece, limits))
    air, rate = _air(evidence, state), evidence.rate_fpm
    up = _lasting(air & (rate > rise), air & (rate > rise * _RELEASE), piece)
    down = _lasting(air & (rate < sink), air & (rate < sink * _RELEASE), piece)
    altitude = evidence.altitude_ft
    up, down = _stepping(up, state, air, altitude, piece), _stepping(down, state, air, altitude, piece)
    return np.where(air, up.astype(np.int8) - down, np.int8(2))


def _lasting(begun: Bools, still: Bools, piece: Ints) -> Bools:
    runs = runs_of(piece, still)
    lasting: Bools = still & any_of(begun, runs)[runs.number]
    return lasting


def _stepping(mask: Bools, state: npt.NDArray[np.int8], air: Bools, altitude: Floats, piece: Ints) -> Bools:
    """Keep the runs of `mask` that are a step high, by their ends half way to the rows next to them, or that are cut short."""
    size = len(mask)
    runs = runs_of(piece, air, mask)
    before, after = np.maximum(runs.first - 1, 0), np.minimum(runs.last + 1, size - 1)
    seen = air | (state == surface.GROUND)
    led = (runs.first > 0) & (piece[before] == piece[runs.first]) & seen[before]
    followed = (runs.last < size - 1) & (piece[after] == piece[runs.last]) & seen[after]
    begin = (altitude[runs.first] + np.where(air[before] & led, altitude[before], altitude[runs.first])) / 2.0
    end = (altitude[runs.last] + np.where(air[after] & followed, altitude[after], altitude[runs.last])) / 2.0
    keep = ~(led & followed) | (np.abs(end - begin) >= _STEP_FT)
    # A rate over a window runs ahead of, and lags behind, the altitude: what has not left or has reached the level is level.
    leaves = np.abs(altitude - altitude[runs.first][runs.number]) > _QUANTUM_FT
    reaches = np.abs(altitude - altitude[runs.last][runs.number]) > _QUANTUM_FT
    level = (air[before] & led)[runs.number] & ~leaves | (air[after] & followed)[runs.number] & ~reaches
    kept: Bools = mask & keep[runs.number] & ~level
    return kept


def hops_of(
    evidence: Evidence,
    state: npt.NDArray[np.int8],
    piece: Ints,
    trend: Trend,
    contacts: Contacts,
    airports: AirportTable,
    settings: Settings,
) -> Hops:
    """Cut the time in the air at ground contacts, where a go-around begins to climb, and at gaps that may hide either."""
    air = _air(evidence, state)
    passes, pass_ft = _low_passes(evidence, air, trend, contacts, airports, settings)
    level = contacts.level_ft.copy()
    level[passes] = pass_ft
    touches = contacts.mask.copy()
    touches[passes] = True
    starts = np.zeros(len(air), np.bool_)
    starts[passes] = True
    begins = evidence.after_gap & ~_flown_across(evidence, air)
    begins[passes] = True
    runs = runs_of(air, within=evidence.flights, begins=begins)
    flies = air[runs.first]
    before, after = np.maximum(runs.first - 1, 0), np.minimum(runs.last + 1, len(air) - 1)
    led = (runs.first > 0) & (piece[before] == piece[runs.first])
    followed = (runs.last < len(air) - 1) & (piece[after] == piece[runs.last])
    first_seen, last_seen = edge_levels(evidence, airports, settings.airports)
    flight = evidence.flights.number[runs.first]
    came_from = previous_true(touches, evidence.flight)[runs.first]
    goes_to = np.where(evidence.flight[after] == evidence.flight[runs.last], next_true(touches, evidence.flight)[after], -1)
    goes_to[runs.last == len(air) - 1] = -1
    return Hops(
        runs=runs,
        flies=flies,
        from_ground=flies & ((led & contacts.mask[before]) | np.isin(runs.first, contacts.climb_out)),
        to_ground=flies & followed & contacts.mask[after],
        from_pass=starts[runs.first],
        to_pass=flies & followed & starts[after],
        start_ft=np.where(came_from >= 0, level[came_from], first_seen[flight]),
        end_ft=np.where(goes_to >= 0, level[goes_to], last_seen[flight]),
    )


def _flown_across(evidence: Evidence, air: Bools) -> Bools:
    """Rows in the air behind a gap across which the aircraft cannot but have flown on.

    Too little time to come down and climb again, or as much way made good as it flies in that time.
    """
    row = np.flatnonzero(evidence.after_gap[1:] & air[1:] & air[:-1] & (evidence.flight[1:] == evidence.flight[:-1])) + 1
    seconds = np.maximum((evidence.key[row] - evidence.key[row - 1]) / MS_PER_SECOND, 1.0)
    both_ft = evidence.altitude_ft[row] + evidence.altitude_ft[row - 1]
    high = both_ft / _DOWN_AND_UP_FPM * 60.0 > seconds
    made = chord_speed(evidence.key, evidence.latitude, evidence.longitude, Window(row - 1, row + 1)) * KNOTS_PER_METRE_PER_SECOND
    speed = np.fmin(evidence.speed_kt[row], evidence.speed_kt[row - 1])
    across = np.zeros(len(air), np.bool_)
    across[row[high | (made >= _STRAIGHT * speed)]] = True
    return across


def _low_passes(
    evidence: Evidence,
    air: Bools,
    trend: Trend,
    contacts: Contacts,
    airports: AirportTable,
    settings: Settings,
) -> tuple[Ints, Floats]:
    """Rows at which go-arounds begin to climb, and the pressure altitude of the field below each.

    That is where a climb follows a descent that went near a field: below 3,000 ft and half the height it came from. Where the
    aircraft touches the same field before or after, its level there is known better than from the table.
    """
    runs = runs_of(air, trend.up, trend.down, begins=evidence.after_gap)
    moving = np.flatnonzero(trend.up[runs.first] | trend.down[runs.first])
    rises = trend.up[runs.first[moving]]
    first, last = runs.first[moving], runs.last[moving]
    stretch = runs_of(air, begins=evidence.after_gap).number[first]
    turns = np.flatnonzero(~rises[:-1] & rises[1:] & (stretch[:-1] == stretch[1:]))
    quick = evidence.key[first[turns + 1]] - evidence.key[last[turns]] <= _LOW_PASS_S * MS_PER_SECOND
    turns = turns[quick]
    swings = runs_of(stretch, rises)
    begin, row = first[swings.first[swings.number[turns]]], first[turns + 1]
    if len(airports):
        field, field_ft = fields_at(evidence, row, airports, reach_km=settings.airports.max_distance_km * NEAR_FACTOR)
        for touch in (previous_true(contacts.mask, evidence.flight)[row], next_true(contacts.mask, evidence.flight)[row]):
            same = (touch >= 0) & (field >= 0) & (contacts.field[touch] == field) & ~np.isnan(contacts.level_ft[touch])
            field_ft = np.where(same, contacts.level_ft[touch], field_ft)
    else:
        field_ft = np.zeros(len(row))
    height, from_height = evidence.altitude_ft[row] - field_ft, evidence.altitude_ft[begin] - field_ft
    low = height < np.minimum(settings.phase.low_height_ft, np.maximum(_LOW_SHARE * from_height, _LOW_FT))
    return row[low], field_ft[low]
