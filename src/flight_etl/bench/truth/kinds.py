"""Kinds of aircraft by what they can do, and where they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from flight_etl.airports import AirportTable

__all__ = ["KINDS", "Field", "Kind", "choose_fields"]

_EARTH_RADIUS_KM: Final = 6_371.0
_APART_KM: Final = 6.0  # km; a small field with another one nearer than this is not named by any track that ends there
# Elevations, ft, where fields are high and tables of airfields are known to differ: aeronautical publications of the states.
_HIGH: Final = {
    "EHAM": -11.0, "KASE": 7_838.0, "KDEN": 5_434.0, "MMMX": 7_316.0, "SKBO": 8_361.0, "SEQM": 7_841.0, "SLLP": 13_325.0,
    "SPZO": 10_860.0, "ZULS": 11_713.0, "ZUDC": 14_472.0, "FAOR": 5_558.0, "HAAB": 7_630.0, "OIII": 3_962.0, "LSZH": 1_416.0,
}  # fmt: skip
_NAMED: Final = (
    *_HIGH,
    *("EGLL", "LFPG", "EDDF", "LEMD", "KJFK", "KORD", "KATL", "KSLC", "VIDP", "RJTT", "YSSY", "SBGR", "LTFM", "OMDB", "KSFO"),
    *("KMSP", "CYYC", "LOWI", "NZQN", "VNKT", "KEGE", "WSSS", "LIRF", "ESSA", "ENGM", "OEJN", "LLBG"),
)
_NAMED_SHARE: Final = 0.6  # of the departures of airlines


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What one kind of aircraft does; pairs are the least and the most of it."""

    name: str
    share: float  # of the days flown
    category: str  # emitter category (DO-260B)
    cruise_ft: tuple[float, float]  # pressure altitude; above the field where `low`
    climb_fpm: tuple[float, float]
    descend_fpm: tuple[float, float]
    lift_kt: float  # 0: rises from the spot
    climb_kt: float
    cruise_kt: float
    approach_kt: float
    way_km: tuple[float, float]
    low: bool = False  # stays low, flies by height above the field, from small fields


KINDS: Final = (
    Kind(
        name="airliner", share=0.32, category="A3", cruise_ft=(27_000, 41_000), climb_fpm=(1_500, 2_800),
        descend_fpm=(1_300, 2_300), lift_kt=145, climb_kt=290, cruise_kt=450, approach_kt=135, way_km=(450, 2_300),
    ),
    Kind(
        name="turboprop", share=0.16, category="A2", cruise_ft=(13_000, 25_000), climb_fpm=(900, 1_700),
        descend_fpm=(900, 1_600), lift_kt=105, climb_kt=180, cruise_kt=270, approach_kt=105, way_km=(180, 700),
    ),
    Kind(
        name="business jet", share=0.16, category="A2", cruise_ft=(33_000, 45_000), climb_fpm=(2_000, 3_800),
        descend_fpm=(1_500, 2_600), lift_kt=118, climb_kt=270, cruise_kt=440, approach_kt=112, way_km=(450, 2_500),
    ),
    Kind(
        name="light aircraft", share=0.18, category="A1", cruise_ft=(1_500, 6_500), climb_fpm=(500, 950),
        descend_fpm=(400, 700), lift_kt=60, climb_kt=80, cruise_kt=112, approach_kt=66, way_km=(45, 320), low=True,
    ),
    Kind(
        name="helicopter", share=0.12, category="A7", cruise_ft=(800, 2_800), climb_fpm=(550, 1_100),
        descend_fpm=(400, 750), lift_kt=0, climb_kt=75, cruise_kt=125, approach_kt=0, way_km=(35, 180), low=True,
    ),
    Kind(
        name="glider", share=0.06, category="B1", cruise_ft=(1_800, 4_500), climb_fpm=(450, 750),
        descend_fpm=(350, 550), lift_kt=42, climb_kt=62, cruise_kt=70, approach_kt=50, way_km=(0, 0), low=True,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """An airfield that is flown from or to."""

    icao: str
    latitude: float  # deg
    longitude: float  # deg
    elevation_ft: float


def _field(airports: AirportTable, index: int) -> Field:
    icao = airports.icao[index]
    elevation = _HIGH.get(icao, float(airports.elevation_ft[index]))
    return Field(icao, float(airports.latitude[index]), float(airports.longitude[index]), elevation)


def _distances_km(airports: AirportTable, index: int) -> np.ndarray:
    latitude, longitude = np.radians(airports.latitude), np.radians(airports.longitude)
    north = np.sin((latitude - latitude[index]) / 2) ** 2
    east = np.cos(latitude) * np.cos(latitude[index]) * np.sin((longitude - longitude[index]) / 2) ** 2
    return np.asarray(2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(north + east, 1.0))))


def _departures(airports: AirportTable, kind: Kind, rng: np.random.Generator) -> int:
    """Field to begin a day at."""
    if not kind.low and rng.random() < _NAMED_SHARE:
        named = [airports.icao.index(code) for code in _NAMED if code in airports.icao]
        if named:
            return int(named[rng.integers(len(named))])
    some = np.flatnonzero(airports.has_iata) if not kind.low else np.arange(len(airports))
    return int(some[rng.integers(len(some))])


def _alone(airports: AirportTable, index: int) -> bool:
    return int(np.count_nonzero(_distances_km(airports, index) < _APART_KM)) == 1


def choose_fields(airports: AirportTable, kind: Kind, legs: int, rng: np.random.Generator) -> list[Field]:
    """Fields of a day of so many legs, each as far from the one before as the kind flies; low fliers also use small ones.

    Big ones have an IATA code. A small one has no other within 6 km, since no track could tell the two apart.
    """
    while True:
        chosen = [_departures(airports, kind, rng)]
        if kind.low and not _alone(airports, chosen[0]):
            continue
        for _ in range(legs):
            distance = _distances_km(airports, chosen[-1])
            near = (distance >= kind.way_km[0]) & (distance <= max(kind.way_km[1], 0.0))
            if not kind.low:
                near &= airports.has_iata
            some = np.flatnonzero(near)
            picks = some[rng.permutation(len(some))[:20]]
            good = [int(at) for at in picks if not kind.low or at == chosen[-1] or _alone(airports, int(at))]
            if not good:
                break
            chosen.append(good[0])
        if len(chosen) == legs + 1:
            return [_field(airports, at) for at in chosen]
