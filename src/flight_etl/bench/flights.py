"""The truth: one flight from stand to stand, sampled from exact functions of time, with the phase of each moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from flight_etl.bench.fleet import AIRPORTS, EARTH_RADIUS_M, unit_vector
from flight_etl.bench.trips import CRUISE, GROUND, STANDING_KT, TAXI, TAXI_KT, Trip, circuits, durations, en_route, filler_seconds
from flight_etl.units import METRES_PER_FOOT, METRES_PER_NAUTICAL_MILE, METRES_PER_SECOND_PER_KNOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.bench.fleet import Aircraft
    from flight_etl.bench.trips import Events, Part

__all__ = ["Flight", "fly"]

Floats = npt.NDArray[np.float64]

_STAND_NORTH_M: Final = 900.0  # stands lie north of the field's middle
_RATE_SPAN_S: Final = 3.0  # s to each side over which the reported rate looks


@dataclass(frozen=True, slots=True)
class Flight:
    """Samples of one flight; arrays of equal length."""

    seconds: npt.NDArray[np.int64]  # s since the flight's first sample
    latitude: Floats  # deg
    longitude: Floats  # deg
    altitude_ft: Floats  # pressure altitude
    height_ft: Floats  # above the field of departure until the last cruise level is left, then of arrival
    geo_altitude_m: Floats  # above the ellipsoid
    speed_kt: Floats  # over ground
    track_deg: Floats
    rate_fpm: Floats
    on_ground: npt.NDArray[np.bool_]
    phase: npt.NDArray[np.int8]  # index in PHASES


class _Line(NamedTuple):
    """The flight as break points of piecewise linear functions of time, and its path by metres flown."""

    seconds: Floats
    altitude_ft: Floats
    speed_kt: Floats
    flown_m: Floats
    phase: npt.NDArray[np.int8]  # of the segment that begins here
    ground: npt.NDArray[np.bool_]
    path: Floats
    path_m: Floats


def _joined(parts: Sequence[Part], start_ft: float) -> _Line:
    """Solve the fillers and put the parts end to end."""
    rows: list[tuple[float, float, float, float]] = [(0.0, start_ft, 0.0, 0.0)]
    for part in parts:
        start_kt = rows[-1][2]
        for segment, lasting in zip(part.programme, durations(part.programme, start_kt), strict=True):
            seconds = filler_seconds(part, start_kt) if np.isnan(lasting) else lasting
            assert seconds >= 0, "a part's path is too short for its programme"
            time, _, before, flown = rows[-1]
            covered = seconds * (before + segment.end_kt) / 2 * METRES_PER_SECOND_PER_KNOT
            rows.append((time + seconds, segment.end_ft, segment.end_kt, flown + covered))
    segments = [segment for part in parts for segment in part.programme]
    path = np.concatenate([part.path for part in parts])
    path = path[np.r_[True, np.any(np.diff(path, axis=0) != 0, axis=1)]]
    seconds, altitude, speed, flown_m = np.array(rows).T
    return _Line(
        seconds=seconds,
        altitude_ft=altitude,
        speed_kt=speed,
        flown_m=flown_m,
        phase=np.array([segment.phase for segment in segments], np.int8),
        ground=np.array([segment.ground for segment in segments]),
        path=path,
        path_m=np.r_[0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))],
    )


def _on_sphere(x: Floats, y: Floats, origin: Floats, along: Floats) -> Floats:
    """Unit vectors, shape (3, n), of points of the rolled plane."""
    left = np.cross(origin, along)[:, None]
    forward, aside = x / EARTH_RADIUS_M, y / EARTH_RADIUS_M
    on_line = np.cos(forward) * origin[:, None] + np.sin(forward) * along[:, None]
    return np.asarray(np.cos(aside) * on_line + np.sin(aside) * left)


def _undulation_m(latitude: Floats, longitude: Floats) -> Floats:
    """Height of the geoid above the ellipsoid, m. Invented: as smooth and as large as the real one, but not the real one."""
    return np.asarray(35.0 * np.sin(2 * longitude) * np.cos(latitude) + 10.0)


def fly(plane: Aircraft, rng: np.random.Generator, *, back: bool, offsets_ft: Floats, interval_s: int, events: Events) -> Flight:
    """Fly from the base to the outstation, or `back`, sampled every `interval_s`; `offsets_ft` (QNH) is by field of AIRPORTS."""
    ends = (plane.outstation, plane.base) if back else (plane.base, plane.outstation)
    origin, along, length = _great_circle(*ends)
    ground = tuple(AIRPORTS[end].elevation_ft + float(offsets_ft[end]) for end in ends)
    angles = np.radians(rng.uniform(-40, 40, 2)) * (not plane.circuits)
    trip = Trip(
        kind=plane.kind,
        wind=float(rng.uniform(-0.12, 0.12)),
        ground_ft=(ground[0], ground[1]),
        length_m=length,
        out=np.array([np.cos(angles[0]), np.sin(angles[0])]),
        home=np.array([np.cos(angles[1]), np.sin(angles[1])]),
        stands=(_stand(plane, ends[0], 0.0, origin, along), _stand(plane, ends[1], length, origin, along)),
        side=float(rng.choice([-1.0, 1.0])),
        rng=rng,
        events=events,
    )
    parts = [trip.depart(), *circuits(trip), trip.arrive()] if plane.circuits else en_route(trip, _level(trip))
    line = _joined(parts, ground[0])
    return _sampled(line, trip, np.arange(0, int(line.seconds[-1]) + 1, interval_s), (origin, along), ends, offsets_ft)


def _great_circle(start: int, end: int) -> tuple[Floats, Floats, float]:
    """Unit vector of the start, unit vector along the way, and metres; from a field to itself: along its runway."""
    origin = unit_vector(AIRPORTS[start].latitude, AIRPORTS[start].longitude)
    east, north = _compass(origin)
    if start == end:
        runway = np.radians(start * 47 % 360)
        return origin, np.sin(runway) * east + np.cos(runway) * north, 0.0
    goal = unit_vector(AIRPORTS[end].latitude, AIRPORTS[end].longitude)
    along = goal - (goal @ origin) * origin
    return origin, along / np.linalg.norm(along), float(np.arccos(goal @ origin)) * EARTH_RADIUS_M


def _compass(at: Floats) -> tuple[Floats, Floats]:
    """Unit vectors to the east and to the north at unit vectors `at`, shape (3,) or (3, n)."""
    level = np.hypot(at[0], at[1])
    east = np.stack([-at[1] / level, at[0] / level, np.zeros_like(at[0])])
    north = np.stack([-at[2] * at[0] / level, -at[2] * at[1] / level, level])
    return east, north


def _stand(plane: Aircraft, field: int, x: float, origin: Floats, along: Floats) -> Floats:
    """Where the aircraft parks at a field that lies at `x` on the way; the same place on earth whatever the way."""
    place = unit_vector(AIRPORTS[field].latitude, AIRPORTS[field].longitude)
    east, north = _compass(place)
    offset = plane.stand_m * east + _STAND_NORTH_M * north
    angle = x / EARTH_RADIUS_M
    forward = np.cos(angle) * along - np.sin(angle) * origin
    return np.array([x + offset @ forward, offset @ np.cross(origin, along)])


def _level(trip: Trip) -> float:
    """Cruise level to begin with: one of the type's, no higher than the way is long."""
    level = 1_000.0 * trip.rng.integers(trip.kind.levels[0] // 10, trip.kind.levels[1] // 10 + 1)
    highest = max(trip.ground_ft)
    if trip.kind.levels[0] < 100:  # noqa: PLR2004 - GA flies by height above the ground
        return float(500.0 * np.ceil((highest + level) / 500.0))
    room = highest + 100.0 * trip.length_m / METRES_PER_NAUTICAL_MILE  # ft; half the way up, half the way down
    level = max(level, 1_000.0 * np.ceil(highest / 1_000.0 + 5.0))
    return float(min(level, 1_000.0 * np.floor(room / 1_000.0)))


def _sampled(
    line: _Line,
    trip: Trip,
    seconds: npt.NDArray[np.int64],
    plane: tuple[Floats, Floats],
    ends: tuple[int, int],
    offsets_ft: Floats,
) -> Flight:
    segment = np.clip(np.searchsorted(line.seconds, seconds, side="right") - 1, 0, len(line.phase) - 1)
    within = seconds - line.seconds[segment]
    altitude = np.interp(seconds, line.seconds, line.altitude_ft)
    speed = np.interp(seconds, line.seconds, line.speed_kt)
    flown = line.flown_m[segment] + within * (line.speed_kt[segment] + speed) / 2 * METRES_PER_SECOND_PER_KNOT
    around = np.maximum(20.0, speed * METRES_PER_SECOND_PER_KNOT)
    x, y = (np.interp(flown, line.path_m, line.path[:, axis]) for axis in (0, 1))
    dx, dy = (
        np.interp(flown + around, line.path_m, line.path[:, axis]) - np.interp(flown - around, line.path_m, line.path[:, axis])
        for axis in (0, 1)
    )
    at = _on_sphere(x, y, *plane)
    ahead = _on_sphere(x + dx, y + dy, *plane) - at
    east, north = _compass(at)
    latitude, longitude = np.arcsin(np.clip(at[2], -1.0, 1.0)), np.arctan2(at[1], at[0])
    ground = line.ground[segment]
    by_speed = np.where(speed <= STANDING_KT, GROUND, np.where(speed <= TAXI_KT, TAXI, line.phase[segment]))
    aloft = line.seconds[np.flatnonzero(~line.ground)[0]]
    leaves = line.seconds[np.flatnonzero(line.phase == CRUISE)[-1] + 1]  # the last cruise level
    share = np.clip((seconds - aloft) / (leaves - aloft), 0.0, 1.0)
    height = altitude - np.where(seconds < leaves, *trip.ground_ft)
    offset = offsets_ft[ends[0]] * (1 - share) + offsets_ft[ends[1]] * share
    geo_ft = altitude - offset + 0.03 * trip.wind / 0.12 * height  # warmer air is thicker: up to 3 % of the height
    rate = np.interp(seconds + _RATE_SPAN_S, line.seconds, line.altitude_ft)
    rate -= np.interp(seconds - _RATE_SPAN_S, line.seconds, line.altitude_ft)
    return Flight(
        seconds=seconds,
        latitude=np.degrees(latitude),
        longitude=np.degrees(longitude),
        altitude_ft=altitude,
        height_ft=height,
        geo_altitude_m=geo_ft * METRES_PER_FOOT + _undulation_m(latitude, longitude),
        speed_kt=speed,
        track_deg=np.degrees(np.arctan2((ahead * east).sum(axis=0), (ahead * north).sum(axis=0))) % 360.0,
        rate_fpm=np.where(ground, 0.0, rate * 60 / (2 * _RATE_SPAN_S)),
        on_ground=ground,
        phase=np.where(ground, by_speed, line.phase[segment]).astype(np.int8),
    )
