"""What a flight does: its path over the ground and its programme of altitudes and speeds, part by part.

A flight is a chain of parts. A part has a path over the ground (way points with rounded corners) and a programme (segments in
which altitude and speed change at a constant rate). One segment of a part, the filler, has no duration of its own: it lasts
until the end of the programme falls on the end of the path. That is how touchdowns hit runways.

Paths live in a plane that is rolled along the great circle between the fields: x metres along it, y metres to its left.
Altitudes are pressure altitudes; a field has an offset for the day (QNH), so that the ground is seldom at its elevation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_KNOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.bench.fleet import Kind

__all__ = [
    "CRUISE",
    "GROUND",
    "PHASES",
    "STANDING_KT",
    "TAXI",
    "TAXI_KT",
    "Events",
    "Part",
    "Segment",
    "Trip",
    "circuits",
    "durations",
    "en_route",
    "filler_seconds",
]

Floats = npt.NDArray[np.float64]

PHASES: Final = ("ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing")
GROUND, TAXI, _TAKEOFF, _CLIMB, CRUISE, _DESCENT, _APPROACH, _LANDING = range(8)

STANDING_KT: Final = 5.0  # kt; DESIGN section 6
TAXI_KT: Final = 30.0  # kt
_LOW_FT: Final = 3_000.0  # ft above the field: take-off ends, approach begins
_TAXIING_KT: Final = 15.0  # kt
_GLIDE_FPM_PER_KT: Final = 101.27 * 0.0524  # ft/min per kt on a glide path of 3 degrees
_TRUE_PER_FT: Final = 1.75e-5  # true airspeed exceeds the indicated one by 1.75 % per 1,000 ft
_RUNWAY_M: Final = 3_000.0
_FILLER: Final = float("nan")
_GENTLE_KT_S: Final = 1.5  # kt/s; in the air no aircraft speeds up or slows down faster
_SHORTEST_CRUISE_S: Final = 180.0  # s; DESIGN asks two minutes of a level segment that is to count as cruise
_ROUND: Final = np.linspace(0.0, 1.0, 13)[:, None]  # points of a rounded corner


class Events(NamedTuple):
    """Chances of what makes flights less alike, 0 to 1."""

    level_off: float = 0.0
    step: float = 0.0  # a step climb or descent between cruise levels
    hold: float = 0.0
    go_around: float = 0.0


class Segment(NamedTuple):
    """A stretch of time in which altitude and speed change at constant rates; NaN seconds make it the filler."""

    seconds: float
    end_ft: float  # pressure altitude
    end_kt: float  # ground speed
    phase: int  # on the ground: the phase while faster than taxiing
    ground: bool = False


class Part(NamedTuple):
    """A path and the programme that is flown along it."""

    path: Floats  # (points, 2), m
    programme: list[Segment]


def _length(path: Floats) -> float:
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def _rounded(points: Sequence[Floats], radius: float) -> Floats:
    """Polyline through `points` whose corners are parabolas of about `radius` metres, or as wide as there is room."""
    corners = np.array(points)
    before, at, after = corners[:-2], corners[1:-1], corners[2:]
    inward, outward = at - before, after - at
    lengths_in, lengths_out = np.hypot(*inward.T), np.hypot(*outward.T)
    inward, outward = inward / lengths_in[:, None], outward / lengths_out[:, None]
    turn = np.arccos(np.clip((inward * outward).sum(axis=1), -1.0, 1.0))
    room = np.minimum(np.minimum(lengths_in, lengths_out) * 0.49, 1.3 * radius * np.tan(np.minimum(turn, 2.4) / 2))[:, None]
    begin, end = (at - room * inward)[:, None], (at + room * outward)[:, None]
    curves = (1 - _ROUND) ** 2 * begin + 2 * _ROUND * (1 - _ROUND) * at[:, None] + _ROUND**2 * end
    return np.concatenate([corners[:1], curves.reshape(-1, 2), corners[-1:]])


def durations(programme: Sequence[Segment], start_kt: float) -> list[float]:
    """Seconds of each segment, long enough in the air for its change of speed; NaN for the filler."""
    speeds = [start_kt, *(segment.end_kt for segment in programme)]
    return [
        segment.seconds if segment.ground else float(np.maximum(segment.seconds, abs(last - first) / _GENTLE_KT_S))
        for segment, (first, last) in zip(programme, pairwise(speeds), strict=True)
    ]


def _flown(programme: Sequence[Segment], start_kt: float) -> float:
    """Metres covered by all segments but the filler."""
    speeds = [start_kt, *(segment.end_kt for segment in programme)]
    means = (sum(pair) / 2 for pair in pairwise(speeds))
    covered = [seconds * mean for seconds, mean in zip(durations(programme, start_kt), means, strict=True)]
    return float(np.nansum(covered)) * METRES_PER_SECOND_PER_KNOT


def filler_seconds(part: Part, start_kt: float) -> float:
    """How long the part's filler has to last; negative where the path is too short for the rest of the programme."""
    speed = next(segment.end_kt for segment in part.programme if np.isnan(segment.seconds))
    return (_length(part.path) - _flown(part.programme, start_kt)) / (speed * METRES_PER_SECOND_PER_KNOT)


@dataclass(frozen=True, slots=True)
class Trip:
    """What the parts of one flight have in common."""

    kind: Kind
    wind: float  # share of the airspeed that is added at cruise level
    ground_ft: tuple[float, float]  # pressure altitude of the fields
    length_m: float
    out: Floats  # direction of the departure runway
    home: Floats  # direction of the arrival runway
    stands: tuple[Floats, Floats]
    side: float  # 1: patterns to the left
    rng: np.random.Generator
    events: Events

    def happens(self, chance: float) -> bool:
        """Draw once."""
        return bool(self.rng.random() < chance)

    def lasts(self, shortest: float, longest: float) -> float:
        """Draw whole seconds."""
        return float(self.rng.integers(int(shortest), int(longest) + 1))

    def speed(self, altitude_ft: float, share: float = 1.0) -> float:
        """Ground speed in climb and descent at a pressure altitude, kt."""
        true_kt = min(self.kind.climb_kt * share * (1 + _TRUE_PER_FT * max(altitude_ft, 0.0)), self.kind.cruise_kt)
        return true_kt * (1 + self.wind * min(altitude_ft / (self.kind.levels[1] * 100), 1.0))

    def near(self, share: float = 0.75) -> float:
        """Ground speed at 3,000 ft above a field, kt."""
        return max(self.kind.climb_kt * share, self.kind.approach_kt)

    @property
    def end(self) -> Floats:
        """Threshold of the arrival runway."""
        return np.array([self.length_m, 0.0]) - _RUNWAY_M / 2 * self.home

    def depart(self) -> Part:
        """From the stand to standing on the runway."""
        ground = self.ground_ft[0]
        start = -_RUNWAY_M / 2 * self.out
        across = np.array([-self.out[1], self.out[0]])
        beside = start + 250.0 * across * np.copysign(1.0, across @ self.stands[0])
        programme = [
            Segment(self.lasts(60, 180), ground, 0.0, _TAKEOFF, ground=True),
            Segment(8.0, ground, 2.5, _TAKEOFF, ground=True),  # pushback
            Segment(50.0, ground, 2.5, _TAKEOFF, ground=True),
            Segment(8.0, ground, 0.0, _TAKEOFF, ground=True),
            Segment(self.lasts(30, 90), ground, 0.0, _TAKEOFF, ground=True),
            Segment(12.0, ground, _TAXIING_KT, _TAKEOFF, ground=True),
            Segment(_FILLER, ground, _TAXIING_KT, _TAKEOFF, ground=True),
            Segment(12.0, ground, 0.0, _TAKEOFF, ground=True),
            Segment(self.lasts(5, 60), ground, 0.0, _TAKEOFF, ground=True),
        ]
        return Part(_rounded([self.stands[0], beside, start], 60.0), programme)

    def arrive(self) -> Part:
        """From touchdown to the stand."""
        ground, kind = self.ground_ft[1], self.kind
        runway_end = self.end + 2_300.0 * self.home
        across = np.array([-self.home[1], self.home[0]])
        stand = self.stands[1]
        beside = runway_end + 250.0 * across * np.copysign(1.0, across @ (stand - runway_end))
        programme = [
            Segment(round((kind.approach_kt - _TAXIING_KT) / 2.7), ground, _TAXIING_KT, _LANDING, ground=True),
            Segment(_FILLER, ground, _TAXIING_KT, _LANDING, ground=True),
            Segment(12.0, ground, 0.0, _LANDING, ground=True),
            Segment(self.lasts(120, 300), ground, 0.0, _LANDING, ground=True),
        ]
        return Part(_rounded([self.end, runway_end, beside, stand], 60.0), programme)

    def take_off(self) -> list[Segment]:
        """Roll and leave the ground."""
        roll_s = round(self.kind.lift_kt / 4)
        return [Segment(roll_s, self.ground_ft[0], self.kind.lift_kt, _TAKEOFF, ground=True)]

    def climb(self, top_ft: float) -> list[Segment]:
        """From leaving the ground to the top of climb."""
        ground = self.ground_ft[0]
        low = min(ground + _LOW_FT, top_ft)
        between = [level for level in (8_000.0, 10_000.0, 18_000.0, 26_000.0, 32_000.0) if low < level < top_ft]
        levels = [low, *between, top_ft] if top_ft > low else [low]
        pause = between[self.rng.integers(len(between))] if between and self.happens(self.events.level_off) else None
        programme, at = [], ground
        for number, level in enumerate(levels):
            rate = self.kind.climb_fpm * (1 - 0.65 * level / (self.kind.levels[1] * 100 + 5_000))
            speed = self.speed(level) if number else self.near()
            phase = _CLIMB if number else _TAKEOFF
            programme.append(Segment((level - at) / max(rate, 300.0) * 60, level, speed, phase))
            if level == pause:
                programme.append(Segment(self.lasts(60, 100), level, speed, _CLIMB))
            at = level
        return programme

    def levels(self, level_ft: float) -> tuple[float, float]:
        """First and last cruise level, when `level_ft` is the higher one."""
        other = level_ft - 2_000.0
        if other < max(12_000.0, *(ground + 5_000.0 for ground in self.ground_ft)) or not self.happens(self.events.step):
            return level_ft, level_ft
        return (level_ft, other) if self.happens(0.5) else (other, level_ft)

    def cruise(self, first_ft: float, last_ft: float) -> list[Segment]:
        """Cruise, with the filler at the higher level."""
        speed = self.kind.cruise_kt * (1 + self.wind)
        faster = Segment(20.0, first_ft, speed, CRUISE)
        long = Segment(_FILLER, max(first_ft, last_ft), speed, CRUISE)
        short = Segment(self.lasts(240, 420), min(first_ft, last_ft), speed, CRUISE)
        if first_ft < last_ft:
            return [faster, short, Segment(130.0, last_ft, speed, _CLIMB), long]
        if first_ft > last_ft:
            return [faster, long, Segment(120.0, last_ft, speed, _DESCENT), short]
        return [faster, long]

    def descend(self, top_ft: float, *, to_ft: float = 0.0) -> list[Segment]:
        """From a level down to `to_ft` above the field of arrival, at approach speed where that is the ground."""
        ground, kind = self.ground_ft[1], self.kind
        low = ground + _LOW_FT
        between = [level for level in (30_000.0, 20_000.0, 10_000.0, 6_000.0) if max(low, ground + to_ft) < level < top_ft]
        pause = between[-1] if between and self.happens(self.events.level_off) else None
        programme, at = [], top_ft
        for level in between:
            rate = min(2_100.0, kind.climb_fpm) if at > 10_000.0 else min(1_400.0, kind.climb_fpm)  # noqa: PLR2004
            programme.append(Segment((at - level) / rate * 60, level, self.speed(level), _DESCENT))
            if level == pause:
                programme.append(Segment(self.lasts(60, 120), level, self.speed(level), _DESCENT))
            at = level
        if to_ft < _LOW_FT:
            programme += self.final(at, to_ft)
        elif at > ground + to_ft:
            programme.append(Segment((at - ground - to_ft) / 1_200.0 * 60, ground + to_ft, self.speed(at, 0.8), _DESCENT))
        return programme

    def final(self, at: float, to_ft: float) -> list[Segment]:
        """Down the last 3,000 ft, on a glide path of three degrees from 1,500 ft."""
        ground, kind = self.ground_ft[1], self.kind
        programme = []
        steps = [
            (_LOW_FT, self.near(), _DESCENT),
            (1_500.0, kind.approach_kt * 1.15, _APPROACH),
            (to_ft, kind.approach_kt, _APPROACH),
        ]
        for height, speed, phase in steps:
            drop = at - ground - height
            if drop > 0:
                rate = min(_GLIDE_FPM_PER_KT * max(speed, kind.approach_kt), 1_200.0)
                programme.append(Segment(drop / rate * 60, ground + height, speed, phase))
                at = ground + height
        return programme

    def pattern(self, start: Floats, programme: list[Segment], start_kt: float, spare_s: float) -> Part:
        """Round a rectangle from `start`, beside or on the arrival runway, to its threshold, with `spare_s` for the filler."""
        home, turn = self.home, self.kind.turn_m
        across = self.side * np.array([-home[1], home[0]])
        up, wide = start + (_RUNWAY_M + 2 * turn) * home, 3 * turn * across
        speed = next(segment.end_kt for segment in programme if np.isnan(segment.seconds))
        need = _flown(programme, start_kt) + spare_s * speed * METRES_PER_SECOND_PER_KNOT
        final = max(2 * turn, (need - 2 * np.hypot(*(up - self.end)) - 6 * turn) / 2 + 1.5 * turn)
        base = self.end - final * home
        return Part(_rounded([start, up, up + wide, base + wide, base, self.end], turn), programme)


def _way(trip: Trip, level_ft: float, *, hold: bool, go_around: bool) -> list[Part]:
    """Parts from the take-off roll to touchdown; the first one has the cruise."""
    turn, length = trip.kind.turn_m, trip.length_m
    axis = np.array([length, 0.0])
    start, ground = -_RUNWAY_M / 2 * trip.out, trip.ground_ft[1]
    way = [start, 3 * turn * trip.out, np.array([9 * turn, 0.0])]
    middle = np.array([length / 2, trip.side * min(0.03 * length, 25_000.0)])
    ahead = [*way, middle] if length > 60 * turn else way
    to_ft = 400.0 if go_around else 0.0
    first_ft, last_ft = trip.levels(level_ft)
    final = trip.end - to_ft / np.tan(np.radians(3.0)) * METRES_PER_FOOT * trip.home
    approach = [axis - [max(9 * turn, 11_000.0), 0.0], axis - max(4 * turn, 6_000.0) * trip.home, final]
    up = [*trip.take_off(), *trip.climb(first_ft), *trip.cruise(first_ft, last_ft)]
    if not hold:
        return [Part(_rounded([*ahead, *approach], turn), [*up, *trip.descend(last_ft, to_ft=to_ft)])]
    height = max(7_000.0, 1_000.0 * np.ceil((10_000.0 - ground) / 1_000.0))
    down = trip.descend(last_ft, to_ft=height)
    rest = trip.descend(ground + height, to_ft=to_ft)
    speed = down[-1].end_kt if down else up[-1].end_kt
    fix = axis - [_flown(rest, speed) + 70.0 * speed * METRES_PER_SECOND_PER_KNOT + 3 * turn, 0.0]
    across, leg = np.array([0.0, trip.side * 2.6 * turn]), np.array([3 * turn, 0.0])
    lap = [fix + leg, fix + leg + across, fix - leg + across, fix - leg]
    level = Segment(_FILLER, ground + height, speed, _DESCENT)
    return [
        Part(_rounded([*ahead, fix], turn), [*up, *down]),
        Part(_rounded([fix, *lap, fix, *lap, fix], turn), [level]),
        Part(_rounded([fix, *approach], turn), [level, *rest]),
    ]


def _missed(trip: Trip, start: Floats, start_kt: float) -> Part:
    """Go around: climb away, come back on the same runway."""
    height = 3_500.0 if trip.happens(0.5) and trip.kind.climb_fpm > 1_000 else 2_000.0  # noqa: PLR2004
    top, phase = trip.ground_ft[1] + height, _DESCENT if height >= _LOW_FT else _APPROACH
    speed = max(trip.near(), trip.kind.approach_kt)
    climb = Segment((height - 400.0) / (0.7 * trip.kind.climb_fpm) * 60, top, speed, _CLIMB)
    return trip.pattern(start, [climb, Segment(_FILLER, top, speed, phase), *trip.final(top, 0.0)], start_kt, 60.0)


def circuits(trip: Trip) -> list[Part]:
    """Touch-and-go circuits 1,000 ft above the field."""
    ground, kind = trip.ground_ft[1], trip.kind
    top = ground + 1_000.0
    up = Segment(1_000.0 / kind.climb_fpm * 60, top, kind.climb_kt, _TAKEOFF)
    level = Segment(_FILLER, top, kind.climb_kt, CRUISE)
    circuit = [up, level, *trip.final(top, 0.0)]
    touch = [
        Segment(6.0, ground, 0.7 * kind.approach_kt, _LANDING, ground=True),
        Segment(8.0, ground, kind.lift_kt, _TAKEOFF, ground=True),
    ]
    first = trip.pattern(trip.end, [*trip.take_off(), *circuit], 0.0, _SHORTEST_CRUISE_S)
    again = trip.pattern(trip.end, [*touch, *circuit], kind.approach_kt, _SHORTEST_CRUISE_S)
    return [first, *[again] * int(trip.rng.integers(2, 5))]


def en_route(trip: Trip, level_ft: float) -> list[Part]:
    """All parts of a trip; the cruise level comes down until the cruise is long enough."""
    hold, go_around = trip.happens(trip.events.hold), trip.happens(trip.events.go_around)
    while True:
        holding = hold and level_ft >= 22_000.0 and trip.length_m > 400_000.0  # noqa: PLR2004 - room for the racetrack
        flown = _way(trip, level_ft, hold=holding, go_around=go_around)
        if filler_seconds(flown[0], 0.0) >= _SHORTEST_CRUISE_S:
            break
        level_ft -= 1_000.0 if trip.kind.levels[0] > 100 else 500.0  # noqa: PLR2004 - flight levels, or GA
    if go_around:
        flown.append(_missed(trip, flown[-1].path[-1], flown[-1].programme[-1].end_kt))
    return [trip.depart(), *flown, trip.arrive()]
