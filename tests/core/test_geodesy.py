"""Distances against exact geodesics on the WGS-84 ellipsoid, and what a sphere would cost."""

from __future__ import annotations

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import example, given
from hypothesis import strategies as st

from flight_etl.core.enrich.geodesy import EQUATOR_RADIUS_M, FLATTENING, distance_m, reduced_latitude

MEAN_RADIUS_M = EQUATOR_RADIUS_M * (1 - FLATTENING / 3)  # (2a + b) / 3: 6,371,009 m
SPHERE_BOUND = 0.005615  # docs/quality.md; (2a + b) / 3 over a(1 - e^2), less 1
LINE_M = 10_000_000.0  # nothing nearly antipodal, for which neither formula is meant
NEAR_THE_POLE = 89.0  # deg; there, cosines come from differences of numbers near 1

angles = st.floats(0, 360)
metres = st.floats(1.0, LINE_M)
latitudes = st.floats(-90, 90)


def ends(latitude: float, azimuth: float, length_m: float) -> tuple[np.ndarray, ...]:
    """Both ends of a geodesic of that length, as one-row columns: latitude and longitude of each, deg."""
    there = Geodesic.WGS84.Direct(latitude, 0.0, azimuth, length_m)
    return tuple(np.array([value]) for value in (latitude, 0.0, there["lat2"], there["lon2"]))


def on_a_sphere(north: np.ndarray, east: np.ndarray, north_to: np.ndarray, east_to: np.ndarray) -> float:
    """Great circle by the haversine formula on the mean radius, m."""
    phi, phi_to = np.radians(north), np.radians(north_to)
    half = np.sin((phi_to - phi) / 2) ** 2 + np.cos(phi) * np.cos(phi_to) * np.sin(np.radians(east_to - east) / 2) ** 2
    return float((2 * MEAN_RADIUS_M * np.arcsin(np.sqrt(half))).item())


@given(latitudes, angles, metres)
@example(0.0, 0.0, 1_000.0)
@example(90.0, 0.0, 1_000.0)
@example(0.0, 90.0, LINE_M)
@example(50.0, 45.0, LINE_M)
def test_the_distance_is_that_of_the_ellipsoid(latitude: float, azimuth: float, length_m: float) -> None:
    north, east, north_to, east_to = ends(latitude, azimuth, length_m)
    found = distance_m(reduced_latitude(north), east, reduced_latitude(north_to), east_to).item()
    rounding = 0.1 if max(abs(north.item()), abs(north_to.item())) > NEAR_THE_POLE else 1e-4
    assert abs(found - length_m) <= min(1e-5 * length_m, 15.0) + rounding


@given(latitudes, angles, st.floats(1_000.0, LINE_M))
def test_a_sphere_would_be_off_by_no_more_than_its_bound(latitude: float, azimuth: float, length_m: float) -> None:
    assert abs(on_a_sphere(*ends(latitude, azimuth, length_m)) / length_m - 1) <= SPHERE_BOUND


def test_the_bound_of_the_sphere_is_reached_where_the_ellipsoid_is_bent_most_and_least() -> None:
    along_the_meridian = on_a_sphere(*ends(0.0, 0.0, 1_000.0)) / 1_000.0 - 1
    at_the_pole = on_a_sphere(*ends(89.99, 0.0, 1_000.0)) / 1_000.0 - 1
    assert along_the_meridian == pytest.approx(0.0056, abs=5e-5)
    assert at_the_pole == pytest.approx(-0.0045, abs=5e-5)
