"""The nearest airfield to a position."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude

if TYPE_CHECKING:
    from flight_etl.core.enrich.track import Bools, Floats, Ints

__all__ = ["AirportTable", "Fields", "nearest_fields"]

_BAND_DEG: Final = 0.5  # deg of latitude; fields are kept in bands, by longitude inside a band
_BAND_SPAN: Final = 1_000.0  # deg; more than a band's longitudes reach, with the copies beyond 180
_WRAP_DEG: Final = 20.0  # deg beyond 180 for which fields are held twice
_KM_PER_DEGREE: Final = 110.5  # km, the least that a degree of latitude measures
_BATCH: Final = 16_384  # positions at a time; bounds memory
_STRIP_PENALTY_KM: Final = 4.0  # km; a helipad by the apron is nearer than the airport's reference point, up to half a runway off


@dataclass(frozen=True, eq=False)
class AirportTable:
    """Airfields as parallel arrays. `has_iata` stands for size: airlines go there."""

    icao: tuple[str, ...]
    latitude: Floats
    longitude: Floats
    elevation_ft: Floats
    has_iata: Bools
    _key: Floats = field(init=False, repr=False)
    _field: Ints = field(init=False, repr=False)
    _beta: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        number = np.arange(len(self.icao))
        east, west = number[self.longitude > 180 - _WRAP_DEG], number[self.longitude < _WRAP_DEG - 180]
        which = np.concatenate((number, east, west))
        shift = np.repeat((0.0, -360.0, 360.0), (len(number), len(east), len(west)))
        key = _band(self.latitude[which]) * _BAND_SPAN + self.longitude[which] + shift
        order = np.argsort(key, kind="stable")
        object.__setattr__(self, "_key", key[order])
        object.__setattr__(self, "_field", which[order])
        object.__setattr__(self, "_beta", reduced_latitude(self.latitude))


@dataclass(frozen=True, slots=True)
class Fields:
    """For each position its airfield's index in the table, or -1, and how far off it is, km, or NaN."""

    index: Ints
    distance_km: Floats


def _band(latitude: Floats) -> Floats:
    return np.floor(latitude / _BAND_DEG)


def nearest_fields(
    airports: AirportTable,
    latitude: Floats,
    longitude: Floats,
    *,
    max_distance_km: float,
    altitude_ft: Floats | None = None,
    max_elevation_error_ft: float = np.inf,
) -> Fields:
    """Nearest airfield within `max_distance_km` of each position; NaN finds none.

    A field without an IATA code counts as 4 km farther off, so that helipads and strips by an airport do not win. With
    `altitude_ft`, pressure altitude on the ground, fields whose elevation differs by more than `max_elevation_error_ft` are
    left out; an unknown altitude leaves none out. Ties go to the earlier field in the table.
    """
    index = np.full(len(latitude), -1, np.int64)
    distance = np.full(len(latitude), np.nan)
    known = np.flatnonzero(~(np.isnan(latitude) | np.isnan(longitude)))
    for begin in range(0, len(known), _BATCH):
        at = known[begin : begin + _BATCH]
        position, candidate = _candidates(airports, latitude[at], longitude[at], max_distance_km)
        beta = reduced_latitude(latitude[at])
        km = (
            distance_m(beta[position], longitude[at][position], airports._beta[candidate], airports.longitude[candidate])  # noqa: SLF001 - the table's own index
            / 1000.0
        )
        fits = km <= max_distance_km
        if altitude_ft is not None:
            wrong = np.abs(altitude_ft[at][position] - airports.elevation_ft[candidate]) > max_elevation_error_ft
            fits &= ~wrong
        position, candidate, km = position[fits], candidate[fits], km[fits]
        cost = km + np.where(airports.has_iata[candidate], 0.0, _STRIP_PENALTY_KM)
        order = np.lexsort((candidate, cost, position))
        best = order[np.flatnonzero(np.diff(position[order], prepend=-1))]
        index[at[position[best]]] = candidate[best]
        distance[at[position[best]]] = km[best]
    return Fields(index, distance)


def _candidates(airports: AirportTable, latitude: Floats, longitude: Floats, reach_km: float) -> tuple[Ints, Ints]:
    """Pairs of position and field that may be within `reach_km`: the fields of a box round each position."""
    north = reach_km / _KM_PER_DEGREE
    cosine = np.cos(np.radians(np.minimum(np.abs(latitude) + north, 89.9)))
    east = np.minimum(north / cosine, _WRAP_DEG)
    low, high = _band(latitude - north), _band(latitude + north)
    positions, fields = [], []
    for step in range(int(np.max(high - low, initial=0)) + 1):
        band = np.minimum(low + step, high) * _BAND_SPAN + longitude
        begin = np.searchsorted(airports._key, band - east, "left")  # noqa: SLF001 - the table's own index
        end = np.searchsorted(airports._key, band + east, "right")  # noqa: SLF001 - the table's own index
        count = np.where(low + step <= high, end - begin, 0)
        offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        positions.append(np.repeat(np.arange(len(latitude)), count))
        fields.append(airports._field[np.repeat(begin, count) + offset])  # noqa: SLF001 - the table's own index
    return np.concatenate(positions), np.concatenate(fields)
