from __future__ import annotations

import numpy as np
import pytest

from flight_etl.core.enrich.airports import NO_AIRPORTS, AirportTable, elevation_of, nearest_fields
from flight_etl.store.airports import load_airports


def table(*fields: tuple[str, float, float, float, bool]) -> AirportTable:
    code, latitude, longitude, elevation, iata = zip(*fields, strict=True)
    return AirportTable(code, np.array(latitude), np.array(longitude), np.array(elevation), np.array(iata))


def nearest(airports: AirportTable, *places: tuple[float, float], reach_km: float = 10.0) -> list[str | None]:
    latitude, longitude = (np.array(axis, dtype=float) for axis in zip(*places, strict=True))
    found = nearest_fields(airports, latitude, longitude, max_distance_km=reach_km)
    assert np.array_equal(np.isnan(found.distance_km), found.index < 0)
    return [airports.icao[at] if at >= 0 else None for at in found.index]


THREE = table(("AAAA", 52.0, 4.0, 0.0, True), ("BBBB", 52.1, 4.0, 3_000.0, True), ("CCCC", 52.0, 4.01, 10.0, False))


def test_the_nearest_field_wins_and_far_ones_do_not() -> None:
    assert nearest(THREE, (52.01, 4.0), (52.09, 4.0), (53.0, 4.0), (np.nan, 4.0), (52.0, np.nan)) == [
        "AAAA",
        "BBBB",
        None,
        None,
        None,
    ]


def test_a_strip_without_airlines_gives_way_to_an_airport_close_by() -> None:
    assert nearest(THREE, (52.0, 4.01)) == ["AAAA"]
    assert nearest(table(("CCCC", 52.0, 4.01, 10.0, False)), (52.0, 4.01)) == ["CCCC"]


def test_the_pressure_altitude_rules_out_fields_at_another_elevation() -> None:
    place = (np.array([52.05, 52.05, 52.05]), np.array([4.0, 4.0, 4.0]))
    found = nearest_fields(
        THREE, *place, max_distance_km=10.0, altitude_ft=np.array([2_900.0, 100.0, np.nan]), max_elevation_error_ft=1_500.0
    )
    assert [THREE.icao[at] for at in found.index] == ["BBBB", "AAAA", "AAAA"]


def test_fields_are_found_across_the_date_line_and_near_the_poles() -> None:
    airports = table(("NFNM", -16.8, 179.99, 0.0, True), ("TUVA", -8.0, -179.99, 0.0, True), ("NZSP", -89.9, 0.0, 9_300.0, True))
    assert nearest(airports, (-16.8, -179.99), (-8.0, 179.99), (-89.9, 5.0)) == ["NFNM", "TUVA", "NZSP"]


def test_a_search_by_boxes_finds_what_a_search_of_all_finds() -> None:
    rng = np.random.default_rng(3)
    airports = table(*((f"F{n}", float(rng.uniform(50, 54)), float(rng.uniform(2, 8)), 0.0, True) for n in range(400)))
    places = [(float(rng.uniform(50, 54)), float(rng.uniform(2, 8))) for _ in range(200)]
    want = []
    for latitude, longitude in places:
        km = 111.2 * np.hypot(airports.latitude - latitude, (airports.longitude - longitude) * np.cos(np.radians(latitude)))
        want.append(airports.icao[int(km.argmin())] if km.min() < 15 else None)
    got = nearest(airports, *places, reach_km=15.0)
    assert sum(a != b for a, b in zip(got, want, strict=True)) <= 2  # the plane is no ellipsoid


def test_more_positions_than_a_batch_are_all_answered() -> None:
    found = nearest_fields(THREE, np.full(40_000, 52.0), np.full(40_000, 4.0), max_distance_km=1.0)
    assert set(found.index.tolist()) == {0}


def test_no_table_finds_nothing() -> None:
    assert len(NO_AIRPORTS) == 0
    assert nearest(NO_AIRPORTS, (52.0, 4.0)) == [None]
    assert np.isnan(elevation_of(NO_AIRPORTS, np.array([-1]))).all()
    assert elevation_of(THREE, np.array([1, -1]))[0] == 3_000.0


@pytest.mark.parametrize(
    ("place", "code"),
    [((52.3105, 4.7683), "EHAM"), ((39.8561, -104.6737), "KDEN"), ((-37.008, 174.785), "NZAA"), ((30.0, -30.0), None)],
)
def test_the_packaged_table_knows_the_world(place: tuple[float, float], code: str | None) -> None:
    airports = load_airports()
    assert airports is load_airports()
    assert len(airports) > 20_000
    assert list(airports.icao) == sorted(airports.icao)
    assert nearest(airports, place) == [code]
