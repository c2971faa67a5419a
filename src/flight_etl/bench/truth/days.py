"""Days of aircraft: legs one after the other with turnarounds, sampled as their receiver does, labelled."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from flight_etl.bench.truth.kinds import KINDS, choose_fields
from flight_etl.bench.truth.paths import way_metres
from flight_etl.bench.truth.profile import PHASES, profile_of
from flight_etl.bench.truth.programmes import between_fields, round_the_field
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.airports import AirportTable
    from flight_etl.bench.truth.kinds import Field, Kind
    from flight_etl.bench.truth.profile import Profile
    from flight_etl.bench.truth.programmes import Flown

__all__ = ["INTERVALS_S", "PHASES", "Day", "Leg", "Rows", "days"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

INTERVALS_S: Final = (1, 2, 5, 10, 30, 60)
_FEET_PER_HPA: Final = 27.3  # ft of pressure altitude near the ground
_START_MS: Final = 1_735_689_600_000  # 2025-01-01T00:00:00Z
_ROUND_SHARE: Final = {"light aircraft": 0.5, "helicopter": 0.3, "glider": 1.0}
_DIVERSION: Final = 0.03
_SAME_CALLSIGN: Final = 0.15  # of days; light aircraft always keep theirs
_SILENT_S: Final = (900, 5_400)  # s from the last row of a leg to the first of the next where the transponder is off
_FIRST_ADDRESS: Final = 0xA00000


@dataclass(frozen=True, slots=True)
class Rows:
    """What receivers hear of one aircraft or of many, as parallel arrays, NaN where unknown, and the truth about each row."""

    aircraft: Ints
    time_ms: Ints  # as the feed says
    heard_ms: Ints  # when the position was heard; 0 where the feed does not say
    latitude: Floats  # deg
    longitude: Floats  # deg
    altitude_ft: Floats  # pressure altitude
    speed_kt: Floats
    rate_fpm: Floats
    heading_deg: Floats
    on_ground: npt.NDArray[np.int8]  # 1, 0, or -1 where unknown
    phase: npt.NDArray[np.int8]  # truth, index of PHASES
    flight: Ints  # truth: number of the leg in the whole set
    since_change_s: Floats  # truth: s to the nearest change of phase, before or after
    airborne: npt.NDArray[np.bool_]  # truth

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.time_ms)

    def take(self, rows: Any) -> Rows:
        """Rows by index or mask."""
        return Rows(*(getattr(self, one.name)[rows] for one in fields(self)))

    def changed(self, **columns: Any) -> Rows:
        """Rows with other columns."""
        return replace(self, **columns)


@dataclass(frozen=True, slots=True)
class Leg:
    """Truth about one flight."""

    callsign: str
    origin: str
    destination: str
    highest_ft: float  # elevation of the higher of its fields


@dataclass(frozen=True, slots=True)
class Day:
    """What one aircraft does, and how often it is heard."""

    number: int
    icao24: str
    kind: Kind
    interval_s: int
    legs: tuple[Leg, ...]
    rows: Rows


def days(airports: AirportTable, *, flights: int, seed: int, pressure_hpa: float = 0.0) -> Iterator[Day]:
    """Fly so many flights or a few more. The same arguments give the same days; pressure off by up to `pressure_hpa`."""
    number = flown = 0
    while flown < flights:
        rng = np.random.default_rng([seed, number])
        day = _day(airports, number, flown, rng, pressure_hpa)
        if day is not None:
            flown += len(day.legs)
            yield day
        number += 1


def _day(airports: AirportTable, number: int, flown: int, rng: np.random.Generator, pressure_hpa: float) -> Day | None:
    kind = KINDS[rng.choice(len(KINDS), p=[one.share for one in KINDS])]
    legs = int(rng.integers(1, 4))
    stays = rng.random() < _ROUND_SHARE.get(kind.name, 0.0)
    diverts = not stays and not kind.low and rng.random() < _DIVERSION * legs
    places = choose_fields(airports, kind, 0 if stays else legs + diverts, rng)
    offset = {place.icao: float(rng.uniform(-1, 1)) * pressure_hpa * _FEET_PER_HPA for place in places}
    routes = [(places[0],) * 2] * min(legs, 2) if stays else _routes(places, diverts=diverts)
    name = f"{'TRU' if not kind.low else 'N'}{number % 1000:03d}"
    same = kind.low or rng.random() < _SAME_CALLSIGN
    second, profiles, said = int(rng.integers(0, 43_200)), [], []
    for at, route in enumerate(routes):
        profile = _fly(kind, route, offset, rng)
        if profile is None:
            return None
        profiles.append((second, profile))
        second += len(profile) + int(rng.integers(*_SILENT_S))
        said.append(
            Leg(name if same else f"{name}{'ABC'[at]}", route[0].icao, route[-1].icao, max(place.elevation_ft for place in route))
        )
    interval = int(rng.choice(INTERVALS_S))
    rows = _heard(number, flown, profiles, interval, rng)
    return Day(number, f"{_FIRST_ADDRESS + number * 7919 % 0x100000:06x}", kind, interval, tuple(said), rows)


def _routes(places: list[Field], *, diverts: bool) -> list[tuple[Field, ...]]:
    """Pairs of fields in a row; with a diversion the last leg goes by way of one where it does not land."""
    pairs: list[tuple[Field, ...]] = list(pairwise(places))
    return [*pairs[:-2], (*pairs[-2], places[-1])] if diverts else pairs


def _fly(kind: Kind, route: tuple[Field, ...], offset: dict[str, float], rng: np.random.Generator) -> Profile | None:
    ground = tuple(place.elevation_ft + offset[place.icao] for place in route)
    flown: Flown | None
    if route[0] == route[-1] and len(route) == 2:  # noqa: PLR2004
        flown = round_the_field(kind, ground[0], rng)
    else:
        ways = tuple(way_metres(a, b) for a, b in pairwise(route))
        flown = between_fields(kind, ground, ways, rng)
    if flown is None:
        return None
    return profile_of(flown.leg, route, ground, float(rng.uniform(0, 2 * np.pi)), rng)


def _heard(number: int, flown: int, profiles: list[tuple[int, Profile]], interval: int, rng: np.random.Generator) -> Rows:
    """Sample the seconds of all legs."""
    parts = []
    shift = int(rng.integers(0, interval))
    for leg, (second, profile) in enumerate(profiles):
        at = np.arange(len(profile))
        change = np.flatnonzero(np.diff(profile.phase)) + 0.5
        place = np.searchsorted(change, at)
        ends = np.concatenate(([-np.inf], change, [np.inf]))
        near = np.minimum(at - ends[place], ends[place + 1] - at)
        north = np.gradient(profile.latitude)
        east = np.gradient(np.unwrap(profile.longitude, period=360.0)) * np.cos(np.radians(profile.latitude))
        some = at[(at + second + shift) % interval == 0]
        time = _START_MS + (second + some) * MS_PER_SECOND
        parts.append(
            Rows(
                aircraft=np.full(len(some), number),
                time_ms=time,
                heard_ms=time.copy(),
                latitude=profile.latitude[some],
                longitude=profile.longitude[some],
                altitude_ft=profile.altitude_ft[some],
                speed_kt=profile.speed_kt[some],
                rate_fpm=profile.rate_fpm[some],
                heading_deg=(np.degrees(np.arctan2(east, north)) % 360.0)[some],
                on_ground=profile.on_ground[some].astype(np.int8),
                phase=profile.phase[some],
                flight=np.full(len(some), flown + leg),
                since_change_s=near[some],
                airborne=~profile.on_ground[some],
            )
        )
    return Rows(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Rows)))
