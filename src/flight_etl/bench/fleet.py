"""Who flies, what, and between which fields: the tables behind the generator.

Fields are public facts (ICAO code, WGS-84 position, elevation), taken from airportsdata (MIT). Address blocks are those of
ICAO Annex 10 vol. III, of which a part is used. Performance figures are round numbers near those of EUROCONTROL's Aircraft
Performance Database.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from flight_etl.units import METRES_PER_NAUTICAL_MILE

__all__ = ["AIRPORTS", "EARTH_RADIUS_M", "Aircraft", "Airport", "Kind", "airframe", "unit_vector"]

EARTH_RADIUS_M: Final = 6_371_008.8  # mean radius, IUGG
_STRANGER_SHARE: Final = 0.2  # of the aircraft are registered far from their base
_NON_ICAO_SHARE: Final = 0.06  # of the aircraft are known by an address that a ground station made up


class Airport(NamedTuple):
    """An airfield."""

    icao: str
    latitude: float  # deg
    longitude: float  # deg
    elevation_ft: float


class Kind(NamedTuple):
    """A type of aircraft and how it flies."""

    code: str
    model: str
    category: str  # emitter category, DO-260B
    levels: tuple[int, int]  # hundreds of ft, lowest and highest cruise; of GA: above the field
    cruise_kt: float  # true airspeed
    climb_kt: float  # indicated airspeed, also in descent
    climb_fpm: float  # at sea level
    lift_kt: float
    approach_kt: float
    turn_m: float  # radius of a turn near the field
    range_nm: tuple[float, float]  # shortest and longest trip


class Operator(NamedTuple):
    """Airline, country of registration and address block of some aircraft."""

    prefixes: tuple[str, ...]  # of the ICAO codes of the fields at which it is based
    country: str
    registration: str
    airline: str
    name: str
    first_address: int
    addresses: int  # a power of two


class Aircraft(NamedTuple):
    """One airframe and the two fields between which it flies."""

    icao24: str
    registration: str
    kind: Kind
    operator: Operator
    base: int  # index in AIRPORTS
    outstation: int  # index in AIRPORTS; the base, for circuits
    legs: int  # flights in a row
    stand_m: float  # where it parks, metres east of a point north of the field

    @property
    def circuits(self) -> bool:
        """It flies touch-and-go circuits at its base."""
        return self.base == self.outstation


AIRPORTS: Final = (
    Airport("LSZH", 47.4647, 8.5492, 1416),
    Airport("LSGG", 46.2381, 6.1090, 1411),
    Airport("LFPG", 49.0128, 2.5500, 392),
    Airport("EHAM", 52.3086, 4.7639, -11),
    Airport("EGLL", 51.4706, -0.4619, 83),
    Airport("EGTK", 51.8369, -1.3200, 270),
    Airport("EGBJ", 51.8942, -2.1672, 101),
    Airport("EDDF", 50.0264, 8.5431, 364),
    Airport("EDDC", 51.1328, 13.7672, 755),
    Airport("EDAZ", 52.2036, 13.1564, 131),
    Airport("LEMD", 40.4936, -3.5668, 2001),
    Airport("LEBL", 41.2971, 2.0785, 12),
    Airport("LIRF", 41.8045, 12.2508, 15),
    Airport("EKCH", 55.6179, 12.6560, 17),
    Airport("ESSA", 59.6519, 17.9186, 137),
    Airport("KMSP", 44.8820, -93.2218, 842),
    Airport("KORD", 41.9769, -87.9082, 680),
    Airport("KJFK", 40.6399, -73.7787, 13),
    Airport("KATL", 33.6367, -84.4279, 1026),
    Airport("KDFW", 32.8972, -97.0377, 606),
    Airport("KDEN", 39.8617, -104.6732, 5434),
    Airport("KASE", 39.2219, -106.8682, 7838),
    Airport("KAPA", 39.5701, -104.8493, 5885),
    Airport("KCOS", 38.8058, -104.7008, 6187),
    Airport("KPHX", 33.4343, -112.0116, 1135),
    Airport("KLAX", 33.9425, -118.4080, 128),
    Airport("KSFO", 37.6188, -122.3754, 13),
    Airport("CYYZ", 43.6772, -79.6306, 569),
    Airport("MMMX", 19.4363, -99.0721, 7316),
    Airport("MMUN", 21.0365, -86.8771, 22),
    Airport("SKBO", 4.7016, -74.1469, 8361),
    Airport("SEQM", -0.1292, -78.3575, 9200),
    Airport("SBGR", -23.4356, -46.4731, 2459),
    Airport("SBBR", -15.8692, -47.9208, 3497),
    Airport("FAOR", -26.1337, 28.2423, 5558),
    Airport("FACT", -33.9648, 18.6017, 151),
    Airport("VIDP", 28.5665, 77.1031, 777),
    Airport("VABB", 19.0887, 72.8679, 37),
    Airport("ZUDC", 29.3231, 100.0533, 14472),
    Airport("ZUUU", 30.5785, 103.9470, 1625),
    Airport("RJTT", 35.5523, 139.7800, 35),
    Airport("RJCC", 42.7752, 141.6920, 82),
    Airport("YSSY", -33.9461, 151.1770, 21),
    Airport("YMML", -37.6733, 144.8430, 434),
    Airport("NFFN", -17.7554, 177.4430, 59),  # its flights to NSFA cross the 180th meridian
    Airport("NSFA", -13.8300, -172.0080, 58),
)

_CRUISERS: Final = (
    Kind("A320", "Airbus A320-214", "A3", (310, 390), 447, 290, 2600, 145, 136, 3800, (120, 800)),
    Kind("B738", "Boeing 737-800", "A3", (320, 410), 452, 285, 2700, 148, 140, 3900, (120, 800)),
    Kind("E190", "Embraer 190", "A3", (310, 390), 440, 270, 2500, 140, 130, 3600, (100, 700)),
    Kind("B77W", "Boeing 777-300ER", "A5", (290, 370), 484, 310, 2400, 165, 148, 4600, (300, 900)),
    Kind("AT76", "ATR 72-600", "A2", (160, 230), 270, 170, 1500, 116, 112, 2200, (60, 300)),
    Kind("PC12", "Pilatus PC-12", "A1", (200, 280), 265, 150, 1600, 85, 90, 1600, (60, 350)),
)
_CRUISER_WEIGHTS: Final = (0.3, 0.3, 0.16, 0.06, 0.1, 0.08)
_LIGHT: Final = Kind("C172", "Cessna 172S", "A1", (30, 60), 112, 88, 750, 56, 62, 750, (30, 75))
_LIGHT_FIELDS: Final = ("EGTK", "EGBJ", "EDAZ", "EDDC", "KAPA", "KCOS")
_LIGHT_SHARE: Final = 0.12  # of the aircraft
_CIRCUIT_SHARE: Final = 0.5  # of the light ones, where there are circuits at all

_OPERATORS: Final = (
    Operator(("K",), "United States", "N", "DAL", "Delta Air Lines", 0xA00000, 1 << 19),
    Operator(("LS",), "Switzerland", "HB-", "SWR", "Swiss", 0x4B0000, 1 << 15),
    Operator(("ED",), "Germany", "D-", "DLH", "Lufthansa", 0x3C0000, 1 << 18),
    Operator(("EG",), "United Kingdom", "G-", "BAW", "British Airways", 0x400000, 1 << 18),
    Operator(("LF", "LI"), "France", "F-", "AFR", "Air France", 0x380000, 1 << 18),
    Operator(("EH",), "Kingdom of the Netherlands", "PH-", "KLM", "KLM", 0x480000, 1 << 15),
    Operator(("LE", "SK", "SE"), "Spain", "EC-", "IBE", "Iberia", 0x340000, 1 << 18),
    Operator(("EK", "ES"), "Sweden", "SE-", "SAS", "Scandinavian Airlines", 0x4A8000, 1 << 15),
    Operator(("CY",), "Canada", "C-", "ACA", "Air Canada", 0xC00000, 1 << 18),
    Operator(("MM",), "Mexico", "XA-", "AMX", "Aeromexico", 0x0D0000, 1 << 15),
    Operator(("SB",), "Brazil", "PR-", "TAM", "LATAM Brasil", 0xE40000, 1 << 18),
    Operator(("FA",), "South Africa", "ZS-", "SAA", "South African Airways", 0x008000, 1 << 15),
    Operator(("V",), "India", "VT-", "IGO", "IndiGo", 0x800000, 1 << 18),
    Operator(("ZU",), "China", "B-", "CSC", "Sichuan Airlines", 0x780000, 1 << 18),
    Operator(("RJ",), "Japan", "JA", "JAL", "Japan Airlines", 0x840000, 1 << 18),
    Operator(("Y", "NF", "NS"), "Australia", "VH-", "QFA", "Qantas", 0x7C0000, 1 << 18),
)
_SCATTER: Final = 7919  # odd, so that multiples of it visit every address of a block before one returns
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def unit_vector(latitude: float, longitude: float) -> np.ndarray:
    """Direction from the centre of the sphere; deg in."""
    north, east = np.radians(latitude), np.radians(longitude)
    return np.array([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


@cache
def _distances_nm() -> np.ndarray:
    vectors = np.array([unit_vector(field.latitude, field.longitude) for field in AIRPORTS])
    angles: np.ndarray = np.arccos(np.clip(vectors @ vectors.T, -1.0, 1.0))
    return angles * (EARTH_RADIUS_M / METRES_PER_NAUTICAL_MILE)


@cache
def _routes(kind: Kind) -> tuple[tuple[int, int], ...]:
    """Pairs of fields that lie in the type's range."""
    light = np.array([field.icao in _LIGHT_FIELDS for field in AIRPORTS])
    near = (_distances_nm() >= kind.range_nm[0]) & (_distances_nm() <= kind.range_nm[1])
    allowed = np.outer(light, light) if kind is _LIGHT else np.outer(~light, ~light)
    return tuple((int(base), int(outstation)) for base, outstation in np.argwhere(near & allowed))


def _registration(operator: Operator, number: int) -> str:
    """Mark number `number` of the operator's country: as many digits or letters as keep marks unique."""
    if operator.registration == "N":
        return f"N{100 + number}A"
    if operator.registration == "JA":
        return f"JA{100 + number}"
    letters, rest = "", number
    while len(letters) < 4 or rest:  # noqa: PLR2004 - four letters, more only for very large fleets
        rest, at = divmod(rest, len(_LETTERS))
        letters = _LETTERS[at] + letters
    return operator.registration + letters


def airframe(number: int, *, seed: int, circuits: bool, non_icao: bool) -> Aircraft:
    """Airframe `number` of the fleet of `seed`.

    With `circuits` some light aircraft stay at their field; with `non_icao` some addresses begin with `~`.
    """
    rng = np.random.default_rng([seed, 1, number])
    light = rng.random() < _LIGHT_SHARE
    kind = _LIGHT if light else _CRUISERS[rng.choice(len(_CRUISERS), p=_CRUISER_WEIGHTS)]
    routes = _routes(kind)
    base, outstation = routes[rng.integers(len(routes))]
    if rng.random() < _CIRCUIT_SHARE and light and circuits:
        outstation = base
    at_home = [operator for operator in _OPERATORS if AIRPORTS[base].icao.startswith(operator.prefixes)]
    operator = _OPERATORS[rng.integers(len(_OPERATORS))] if rng.random() < _STRANGER_SHARE else at_home[0]
    address = f"{operator.first_address + number * _SCATTER % operator.addresses:06x}"
    return Aircraft(
        icao24="~" + address if rng.random() < _NON_ICAO_SHARE and non_icao else address,
        registration=_registration(operator, number),
        kind=kind,
        operator=operator,
        base=base,
        outstation=outstation,
        legs=int(rng.integers(1, 3)),
        stand_m=float(rng.integers(-600, 600)),
    )
