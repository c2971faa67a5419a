"""The nearest airfield to a position."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.airports import AirportTable
from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude

if TYPE_CHECKING:
    from flight_etl.core.track import Floats, Ints

__all__ = ["NO_AIRPORTS", "AirportTable", "Fields", "elevation_of", "nearest_fields"]

_BAND_DEG: Final = 0.5  # deg of latitude; fields are kept in bands, by longitude inside a band
_BAND_SPAN: Final = 1_000.0  # deg; more than a band's longitudes reach, with the copies beyond 180
_WRAP_DEG: Final = 20.0  # deg beyond 180 for which fields are held twice
_KM_PER_DEGREE: Final = 110.5  # km, the least that a degree of latitude measures
_BATCH: Final = 16_384  # positions at a time; bounds memory
_STRIP_PENALTY_KM: Final = 4.0  # km; a helipad by the apron is nearer than the airport's reference point, up to half a runway off


@dataclass(frozen=True, slots=True)
class _Index:
    """Airfields by band and longitude."""

    key: Floats  # rising
    number: Ints  # airfield of each key
    beta: Floats  # rad, reduced latitude of each airfield


@lru_cache(maxsize=2)
def _index_of(airports: AirportTable) -> _Index:
    """Index a table; once, as every block of rows asks for it."""
    number = np.arange(len(airports))
    east, west = number[airports.longitude > 180 - _WRAP_DEG], number[airports.longitude < _WRAP_DEG - 180]
    which = np.concatenate((number, east, west))
    shift = np.repeat((0.0, -360.0, 360.0), (len(number), len(east), len(west)))
    key = _band(airports.latitude[which]) * _BAND_SPAN + airports.longitude[which] + shift
    order = np.argsort(key, kind="stable")
    return _Index(key[order], which[order], reduced_latitude(airports.latitude))


@dataclass(frozen=True, slots=True)
class Fields:
    """For each position its airfield's index in the table, or -1, and how far off it is, km, or NaN."""

    index: Ints
    distance_km: Floats


NO_AIRPORTS: Final = AirportTable((), np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.bool_))


def elevation_of(airports: AirportTable, index: Ints) -> Floats:
    """Elevation, ft, of airfields by index; NaN for -1."""
    return np.append(airports.elevation_ft, np.nan)[index]


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
    found = np.full(len(latitude), -1, np.int64)
    index = _index_of(airports)
    distance = np.full(len(latitude), np.nan)
    known = np.flatnonzero(~(np.isnan(latitude) | np.isnan(longitude)))
    for begin in range(0, len(known), _BATCH):
        at = known[begin : begin + _BATCH]
        position, candidate = _candidates(index, latitude[at], longitude[at], max_distance_km)
        beta = reduced_latitude(latitude[at])
        km = distance_m(beta[position], longitude[at][position], index.beta[candidate], airports.longitude[candidate]) / 1000.0
        fits = km <= max_distance_km
        if altitude_ft is not None:
            wrong = np.abs(altitude_ft[at][position] - airports.elevation_ft[candidate]) > max_elevation_error_ft
            fits &= ~wrong
        position, candidate, km = position[fits], candidate[fits], km[fits]
        cost = km + np.where(airports.has_iata[candidate], 0.0, _STRIP_PENALTY_KM)
        order = np.lexsort((candidate, cost, position))
        best = order[np.flatnonzero(np.diff(position[order], prepend=-1))]
        found[at[position[best]]] = candidate[best]
        distance[at[position[best]]] = km[best]
    return Fields(found, distance)


def _candidates(index: _Index, latitude: Floats, longitude: Floats, reach_km: float) -> tuple[Ints, Ints]:
    """Pairs of position and field that may be within `reach_km`: the fields of a box round each position."""
    north = reach_km / _KM_PER_DEGREE
    cosine = np.cos(np.radians(np.minimum(np.abs(latitude) + north, 89.9)))
    east = np.minimum(north / cosine, _WRAP_DEG)
    low, high = _band(latitude - north), _band(latitude + north)
    positions, fields = [], []
    for step in range(int(np.max(high - low, initial=0)) + 1):
        band = np.minimum(low + step, high) * _BAND_SPAN + longitude
        begin = np.searchsorted(index.key, band - east, "left")
        end = np.searchsorted(index.key, band + east, "right")
        count = np.where(low + step <= high, end - begin, 0)
        offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        positions.append(np.repeat(np.arange(len(latitude)), count))
        fields.append(index.number[np.repeat(begin, count) + offset])
    return np.concatenate(positions), np.concatenate(fields)
