"""Where an aircraft is: along great circles, round loops that come back to where they began, to and from stands."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from flight_etl.bench.truth.legs import DOWN, LINE, TAXI_IN, TAXI_OUT
from flight_etl.units import METRES_PER_SECOND_PER_KNOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.bench.truth.kinds import Field
    from flight_etl.bench.truth.legs import Manoeuvre

__all__ = ["places", "way_metres"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_EARTH_RADIUS_M: Final = 6_371_000.0
_TURN_M_PER_KT: Final = 10.0  # a turn at 150 kt is about 1,500 m in radius
_LAP_S: Final = 240.0  # s, of a holding


def places(
    done: Sequence[Manoeuvre], part: Ints, speed: Floats, fields: Sequence[Field], bearing: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Latitude and longitude, deg, of each second."""
    way = np.array([one.way for one in done])[part]
    metres = speed * METRES_PER_SECOND_PER_KNOT
    line = np.concatenate(([0.0], np.cumsum(np.where(way == LINE, metres, 0.0))[:-1]))
    # Runways lie up to a kilometre or so off the reference point.
    east, north = (np.full(len(part), rng.uniform(-900, 900)) for _ in range(2))
    latitude, longitude, course = _on_line(line, fields, bearing)
    for taxi, sign in ((TAXI_OUT, -1.0), (TAXI_IN, 1.0)):
        at = np.flatnonzero(way == taxi)
        if len(at):
            gone = np.cumsum(metres[at])
            gone = gone - gone[-1] if sign < 0 else gone
            angle = rng.uniform(0, 2 * np.pi)
            east[at] += gone * np.sin(angle)
            north[at] += gone * np.cos(angle)
    for loop in range(1, int(way.max()) + 1):
        at = np.flatnonzero(way == loop)
        along, across = _oval(metres[at], float(speed[at].max()), laps=_laps(done, loop))
        side, angle = float(rng.choice([-1.0, 1.0])), course[at[0]]
        east[at] += along * np.sin(angle) + side * across * np.cos(angle)
        north[at] += along * np.cos(angle) - side * across * np.sin(angle)
    latitude = latitude + np.degrees(north / _EARTH_RADIUS_M)
    longitude = longitude + np.degrees(east / (_EARTH_RADIUS_M * np.cos(np.radians(latitude))))
    return latitude, (longitude + 180.0) % 360.0 - 180.0


def _laps(done: Sequence[Manoeuvre], loop: int) -> int:
    """A holding is flown in laps of four minutes, anything else once round."""
    ones = [one for one in done if one.way == loop]
    return max(round(ones[0].seconds / _LAP_S), 1) if len(ones) == 1 and ones[0].intent == DOWN else 1


def _oval(metres: Floats, most_kt: float, *, laps: int) -> tuple[Floats, Floats]:
    """Metres ahead and aside on an oval of two straights that is flown round in `laps`; `metres` are those of each second."""
    flown = np.cumsum(metres)
    lap = flown[-1] / laps
    radius = min(most_kt * _TURN_M_PER_KT, lap / (2 * np.pi) * 0.9)
    straight = (lap - 2 * np.pi * radius) / 2
    at = (flown - metres) % lap
    corners = np.cumsum([0.0, straight / 2, np.pi * radius, straight, np.pi * radius, straight / 2])
    bow = (at - corners[1]) / radius, (at - corners[3]) / radius
    legs = [at < corners[1], at < corners[2], at < corners[3], at < corners[4]]
    ahead = np.select(
        legs,
        [at, straight / 2 + radius * np.sin(bow[0]), straight / 2 - (at - corners[2]), -straight / 2 - radius * np.sin(bow[1])],
        at - lap,
    )
    aside = np.select(legs, [0.0 * at, radius * (1 - np.cos(bow[0])), 2 * radius + 0 * at, radius * (1 + np.cos(bow[1]))], 0.0)
    return ahead, aside


def _vector(latitude: float, longitude: float) -> Floats:
    a, b = np.radians(latitude), np.radians(longitude)
    return np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])


def way_metres(one: Field, other: Field) -> float:
    """Metres along the great circle on a sphere."""
    a, b = _vector(one.latitude, one.longitude), _vector(other.latitude, other.longitude)
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)) * _EARTH_RADIUS_M


def _on_line(line: Floats, fields: Sequence[Field], bearing: float) -> tuple[Floats, Floats, Floats]:
    """Position and course, rad, at so many metres along the great circles from field to field, and straight on behind."""
    vectors = [_vector(one.latitude, one.longitude) for one in fields]
    ends = np.cumsum([way_metres(a, b) for a, b in pairwise(fields)])
    piece = np.minimum(np.searchsorted(ends, line, "right"), len(ends) - 1)
    points, ahead = np.empty((3, len(line))), np.empty((3, len(line)))
    for number in range(len(ends)):
        start = vectors[number]
        toward = vectors[number + 1] - (vectors[number + 1] @ start) * start
        if ends[-1] < 1.0:
            east = np.cross([0, 0, 1], start)
            east = east / np.linalg.norm(east)
            north = np.cross(start, east)
            toward = np.sin(bearing) * east + np.cos(bearing) * north
        toward = toward / np.linalg.norm(toward)
        at = np.flatnonzero(piece == number)
        angle = (line[at] - (ends[number - 1] if number else 0.0)) / _EARTH_RADIUS_M
        points[:, at] = np.outer(start, np.cos(angle)) + np.outer(toward, np.sin(angle))
        ahead[:, at] = np.outer(toward, np.cos(angle)) - np.outer(start, np.sin(angle))
    latitude, longitude = np.arcsin(np.clip(points[2], -1, 1)), np.arctan2(points[1], points[0])
    east = ahead[1] * np.cos(longitude) - ahead[0] * np.sin(longitude)
    north = ahead[2] * np.cos(latitude) - np.sin(latitude) * (ahead[0] * np.cos(longitude) + ahead[1] * np.sin(longitude))
    return np.degrees(latitude), np.degrees(longitude), np.arctan2(east, north)
