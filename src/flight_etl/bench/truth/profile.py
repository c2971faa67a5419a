"""A leg second by second: altitude, speed, place, and the phase by the definitions of DESIGN section 6.

Where a phase begins or ends with a climb or descent, DESIGN's rates decide (level is -300 to 500 ft/min); for climbs and
descents that are not twice as fast as that, half their own rate does, which is where the straight lines through both meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from flight_etl.bench.truth.legs import AROUND, CRUISE, PAUSE, ROLL, RUN, UP
from flight_etl.bench.truth.paths import places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.bench.truth.kinds import Field
    from flight_etl.bench.truth.legs import Leg, Manoeuvre

__all__ = ["PHASES", "Profile", "profile_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PHASES: Final = ("ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing")
_GROUND, _TAXI, _TAKEOFF, _CLIMB, _CRUISE, _DESCENT, _APPROACH, _LANDING = range(8)

# DESIGN section 6.
_STANDING_KT: Final = 5.0
_TAXI_KT: Final = 30.0
_LOW_FT: Final = 3_000.0
_RISING_FPM: Final = 500.0
_SINKING_FPM: Final = -300.0

_EASE_S: Final = (7, 17)  # s, odd; over which a rate goes over into the next


@dataclass(frozen=True, slots=True)
class Profile:
    """A leg as parallel arrays, one entry a second."""

    latitude: Floats  # deg
    longitude: Floats  # deg
    altitude_ft: Floats  # pressure altitude
    speed_kt: Floats
    rate_fpm: Floats
    on_ground: Bools
    phase: npt.NDArray[np.int8]

    def __len__(self) -> int:
        """Count the seconds."""
        return len(self.phase)


def profile_of(leg: Leg, fields: Sequence[Field], field_ft: Sequence[float], bearing: float, rng: np.random.Generator) -> Profile:
    """Fly the leg from the first of `fields` by the others; `bearing`, rad, is that of the runway where it stays at one."""
    seconds = np.array([one.seconds for one in leg.done]).astype(np.int64)
    part = np.repeat(np.arange(len(seconds)), seconds)
    ground = np.array([one.ground for one in leg.done])[part]
    half = int(rng.integers(*_EASE_S)) // 2
    rate = _eased(np.array([60 * one.climb_ft / one.seconds for one in leg.done])[part], ground, half)
    altitude = field_ft[0] + np.concatenate(([0.0], np.cumsum(rate[:-1]))) / 60
    knots = np.array([0.0, *(one.to_kt for one in leg.done)])
    speed = np.interp(np.arange(len(part)), np.concatenate(([0], np.cumsum(seconds))), knots)
    latitude, longitude = places(leg.done, part, speed, fields, bearing, rng)
    intent = _moved(leg.done, part, rate, half)
    phase = _phases(intent, ground, altitude, speed, rate, tuple(field_ft))
    return Profile(latitude, longitude, altitude, speed, rate, ground, phase)


def _eased(rate: Floats, ground: Bools, half: int) -> Floats:
    """Let rates go over into each other in the air; heights gained stay the same, since what leaks out is folded back."""
    kernel = np.hanning(2 * half + 3)[1:-1]
    kernel /= kernel.sum()
    result = rate.copy()
    edges = np.flatnonzero(np.diff(ground)) + 1
    for begin, end in zip([0, *edges], [*edges, len(rate)], strict=True):
        if not ground[begin]:
            wide = np.convolve(rate[begin:end], kernel)
            inner = wide[half : len(wide) - half].copy()
            inner[:half] += wide[:half][::-1]
            inner[-half:] += wide[len(wide) - half :][::-1]
            result[begin:end] = inner
    return result


def _phases(
    intent: Ints, ground: Bools, altitude: Floats, speed: Floats, rate: Floats, field_ft: tuple[float, ...]
) -> npt.NDArray[np.int8]:
    around = np.flatnonzero((intent[1:] == AROUND) & (intent[:-1] != AROUND)) + 1
    # With a diversion it is the last field after the last go-around.
    diverted = len(field_ft) > 2  # noqa: PLR2004
    goal = np.where(
        np.arange(len(ground)) >= (around[-1] if diverted and len(around) else len(ground)), field_ft[-1], field_ft[1]
    )
    height = altitude - goal
    low = np.where(height < _LOW_FT, _APPROACH, _DESCENT)
    level = np.select([rate > _RISING_FPM, rate < _SINKING_FPM], [_CLIMB, _DESCENT], _CRUISE)
    air = np.select([np.isin(intent, (UP, PAUSE, AROUND)), intent == CRUISE], [_CLIMB, level], low)
    air[_taking_off(intent, ground, altitude - field_ft[0])] = _TAKEOFF
    stands = np.select(
        [speed <= _STANDING_KT, speed <= _TAXI_KT, intent == ROLL, intent == RUN], [_GROUND, _TAXI, _TAKEOFF, _LANDING], _TAXI
    )
    return np.where(ground, stands, air).astype(np.int8)


def _moved(done: Sequence[Manoeuvre], part: Ints, rate: Floats, half: int) -> Ints:
    """Intent of each second, with the edges moved to where the eased rate passes the one that decides."""
    intent = np.array([one.intent for one in done])[part]
    fpm = [60 * one.climb_ft / one.seconds for one in done]
    starts = np.flatnonzero(np.diff(part)) + 1
    for at in starts:
        before, after = done[part[at] - 1], done[part[at]]
        if before.ground or after.ground or before.intent == after.intent:
            continue
        window = np.arange(max(int(at) - half - 1, 0), min(int(at) + half + 2, len(rate)))
        first, then = fpm[part[at] - 1], fpm[part[at]]
        if first > 0:  # the end of a climb
            passed = window[rate[window] <= min(_RISING_FPM, (first + max(then, 0.0)) / 2)]
        elif after.intent == AROUND:
            passed = window[rate[window] > 0]
        elif then < 0:  # the beginning of a descent
            passed = window[rate[window] < max(_SINKING_FPM, then / 2)]
        else:  # the beginning of a climb
            passed = window[rate[window] > min(_RISING_FPM, then / 2)]
        edge = int(passed[0]) if len(passed) else at
        intent[min(edge, at) : max(edge, at)] = after.intent if edge < at else before.intent
    return intent


def _taking_off(intent: Ints, ground: Bools, height: Floats) -> Bools:
    """Seconds in the air from lift-off until 3,000 ft or the end of the climb, after each time on the ground."""
    over = (intent != UP) | (height >= _LOW_FT)
    hop = np.cumsum(np.concatenate(([True], ground[1:] != ground[:-1])))
    passed = np.cumsum(over & ~ground)
    first = np.concatenate(([True], hop[1:] != hop[:-1]))
    base = np.repeat(passed[first] - (over & ~ground)[first], np.diff(np.append(np.flatnonzero(first), len(hop))))
    return np.asarray(~ground & (passed == base))
