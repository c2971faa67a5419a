"""Distance on the WGS-84 ellipsoid, for whole columns.

Lambert's formula (W. D. Lambert, 1942): the central angle between reduced latitudes, corrected to first order in the
flattening. Against exact geodesics it is off by less than 1e-5 of the distance, and by less than 15 m on any line up to
10,000 km (a sphere: up to 0.562 %, docs/quality.md); tests/core/test_geodesy.py holds this against exact geodesics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from flight_etl.core.track import Floats

__all__ = ["EQUATOR_RADIUS_M", "FLATTENING", "distance_m", "reduced_latitude"]

EQUATOR_RADIUS_M: Final = 6_378_137.0  # m, WGS-84 semi-major axis
FLATTENING: Final = 1.0 / 298.257223563  # WGS-84
_TINY: Final = 1e-300  # keeps 0 / 0 out of legs of no length


def reduced_latitude(latitude_deg: Floats) -> Floats:
    """Latitude on the auxiliary sphere, rad, of geodetic latitude, deg."""
    radians = np.radians(latitude_deg)
    return np.arctan2((1.0 - FLATTENING) * np.sin(radians), np.cos(radians))


def distance_m(beta_from: Floats, longitude_from: Floats, beta_to: Floats, longitude_to: Floats) -> Floats:
    """Metres between points given by reduced latitude, rad, and longitude, deg. Of no use for nearly antipodal points."""
    mean, half = (beta_from + beta_to) / 2.0, (beta_to - beta_from) / 2.0
    sin2_mean, sin2_half = np.square(np.sin(mean)), np.square(np.sin(half))
    sin2_east = np.square(np.sin(np.radians(longitude_to - longitude_from) / 2.0))
    haversine = np.clip(sin2_half + (1.0 - sin2_mean - sin2_half) * sin2_east, 0.0, 1.0)
    sigma = 2.0 * np.arcsin(np.sqrt(haversine))
    sin_sigma = 2.0 * np.sqrt(haversine * (1.0 - haversine))
    across = (sigma - sin_sigma) * sin2_mean * (1.0 - sin2_half) / np.maximum(1.0 - haversine, _TINY)
    along = (sigma + sin_sigma) * (1.0 - sin2_mean) * sin2_half / np.maximum(haversine, _TINY)
    return EQUATOR_RADIUS_M * (sigma - FLATTENING / 2.0 * (across + along))
