from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from flown import START_MS, Pilot, airliner, table_of

from flight_etl.core.enrich.geodesy import EQUATOR_RADIUS_M, FLATTENING, distance_m, reduced_latitude
from flight_etl.core.enrich.motion import add_motion
from flight_etl.core.enrich.speed import CATEGORIES, add_speed_category
from flight_etl.settings import MotionSettings, SpeedSettings

Rows = list[dict[str, Any]]
GRID_KM = 2**-14  # of which distances are multiples


def vincenty_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Length of the geodesic by T. Vincenty's inverse formula (Survey Review 23, 1975), good to 0.5 mm."""
    radius_b = EQUATOR_RADIUS_M * (1 - FLATTENING)
    u1, u2 = (math.atan((1 - FLATTENING) * math.tan(math.radians(p[0]))) for p in (a, b))
    east = lam = math.radians(b[1] - a[1])
    for _ in range(200):
        sin_sigma = math.hypot(
            math.cos(u2) * math.sin(lam),
            math.cos(u1) * math.sin(u2) - math.sin(u1) * math.cos(u2) * math.cos(lam),
        )
        if sin_sigma == 0:
            return 0.0
        cos_sigma = math.sin(u1) * math.sin(u2) + math.cos(u1) * math.cos(u2) * math.cos(lam)
        sigma = math.atan2(sin_sigma, cos_sigma)
        sin_alpha = math.cos(u1) * math.cos(u2) * math.sin(lam) / sin_sigma
        cos2_alpha = 1 - sin_alpha**2
        middle = cos_sigma - 2 * math.sin(u1) * math.sin(u2) / cos2_alpha if cos2_alpha else 0.0
        c = FLATTENING / 16 * cos2_alpha * (4 + FLATTENING * (4 - 3 * cos2_alpha))
        inner = middle + c * cos_sigma * (2 * middle**2 - 1)
        before, lam = lam, east + (1 - c) * FLATTENING * sin_alpha * (sigma + c * sin_sigma * inner)
        if abs(lam - before) < 1e-13:
            break
    square = cos2_alpha * (EQUATOR_RADIUS_M**2 - radius_b**2) / radius_b**2
    big_a = 1 + square / 16384 * (4096 + square * (-768 + square * (320 - 175 * square)))
    big_b = square / 1024 * (256 + square * (-128 + square * (74 - 47 * square)))
    last = big_b / 6 * middle * (4 * sin_sigma**2 - 3) * (4 * middle**2 - 3)
    delta = big_b * sin_sigma * (middle + big_b / 4 * (cos_sigma * (2 * middle**2 - 1) - last))
    return radius_b * big_a * (sigma - delta)


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    beta = reduced_latitude(np.array([a[0], b[0]]))
    return float(distance_m(beta[:1], np.array([a[1]]), beta[1:], np.array([b[1]]))[0])


def _near(km: float) -> Any:
    return pytest.approx(km, abs=0.51 * GRID_KM)


def moved(rows: Rows, **settings: Any) -> list[dict[str, Any]]:
    return list(add_motion(table_of(rows), MotionSettings(**settings)).kept.to_pylist())


def _rows(*changes: dict[str, Any], every_s: float = 10.0) -> Rows:
    base = {"latitude": 52.0, "longitude": 4.0, "altitude_ft": 10_000.0, "speed_kt": 300.0, "rate_fpm": 0.0, "heading": 90.0}
    return [base | {"timestamp": START_MS + round(at * every_s * 1000)} | change for at, change in enumerate(changes)]


def test_distances_are_those_of_the_ellipsoid() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        a = (float(rng.uniform(-80, 80)), float(rng.uniform(-180, 180)))
        length = float(10 ** rng.uniform(-4, 1.9))  # deg
        bearing = float(rng.uniform(0, 2 * math.pi))
        b = (max(-89.0, min(89.0, a[0] + length * math.cos(bearing))), a[1] + length * math.sin(bearing))
        exact = vincenty_m(a, b)
        assert _distance(a, b) == pytest.approx(exact, rel=1e-5, abs=1e-3)
        if exact < 10_000_000:
            assert abs(_distance(a, b) - exact) < 15


def test_vincenty_agrees_with_a_published_geodesic() -> None:
    flinders, buninyong = (-(37 + 57 / 60 + 3.72030 / 3600), 144 + 25 / 60 + 29.52440 / 3600), (-37.6528211389, 143.9264955278)
    assert vincenty_m(flinders, buninyong) == pytest.approx(54_972.271, abs=0.01)  # Geoscience Australia, GRS80


def test_no_way_is_no_distance_and_the_date_line_is_no_wall() -> None:
    assert _distance((52.0, 4.0), (52.0, 4.0)) == 0.0
    assert _distance((10.0, 179.9), (10.0, -179.9)) == pytest.approx(_distance((10.0, 0.0), (10.0, 0.2)), rel=1e-9)


def test_units_are_converted_and_null_stays_null() -> None:
    nothing = {"altitude_ft": None, "speed_kt": None, "rate_fpm": None, "heading": None, "latitude": None, "longitude": None}
    known, unknown = moved(_rows({"rate_fpm": -640.0}, nothing))
    assert known["altitude_ft"] == pytest.approx(10_000)
    assert known["speed_knots"] == pytest.approx(300)
    assert known["vertical_rate_fpm"] == pytest.approx(-640)
    for name in ("altitude_ft", "geo_altitude_ft", "speed_knots", "vertical_rate_fpm", "distance_km", "climb_rate_fpm"):
        assert unknown[name] is None
    assert unknown["acceleration_kts_min"] is unknown["turn_rate_deg_s"] is None
    assert unknown["cumulative_distance_km"] == 0.0


def test_distance_is_from_the_last_known_position_and_adds_up() -> None:
    rows = moved(_rows({}, {"longitude": 4.01}, {"longitude": None, "latitude": None}, {"longitude": 4.03}))
    leg = vincenty_m((52, 4), (52, 4.01)) / 1000
    assert [r["distance_km"] for r in rows] == [None, _near(leg), None, _near(2 * leg)]
    assert rows[2]["cumulative_distance_km"] == _near(leg)
    assert rows[3]["cumulative_distance_km"] == _near(3 * leg)


def test_distances_are_multiples_of_a_binary_fraction_and_errors_do_not_add_up() -> None:
    rows = moved(_rows(*({"longitude": 4.0 + 0.0001 * at} for at in range(5_000)), every_s=1.0))
    steps = np.array([r["distance_km"] for r in rows[1:]]) / GRID_KM
    sums = np.array([r["cumulative_distance_km"] for r in rows]) / GRID_KM
    assert (steps == np.rint(steps)).all()
    assert (sums == np.rint(sums)).all()
    leg = vincenty_m((52, 4), (52, 4.0001)) / 1000 / GRID_KM
    assert np.abs(steps - leg).max() <= 0.6
    assert np.abs(sums - leg * np.arange(5_000)).max() <= 0.6  # 4 cm in 34 km


def test_before_the_first_position_nothing_is_flown() -> None:
    rows = moved(_rows({"longitude": None, "latitude": None}, {}))
    assert [r["cumulative_distance_km"] for r in rows] == [None, 0.0]


def test_rates_come_from_altitude_speed_and_heading() -> None:
    rows = moved(_rows({}, {"altitude_ft": 10_100.0, "speed_kt": 310.0, "heading": 120.0}))
    assert rows[0]["climb_rate_fpm"] is None
    assert rows[1]["climb_rate_fpm"] == pytest.approx(600)
    assert rows[1]["acceleration_kts_min"] == pytest.approx(60)
    assert rows[1]["turn_rate_deg_s"] == pytest.approx(3)


@pytest.mark.parametrize(("before", "after", "rate"), [(350, 10, 2.0), (10, 350, -2.0), (0, 180, 18.0), (90, 90, 0.0)])
def test_turns_go_the_shorter_way_round(before: float, after: float, rate: float) -> None:
    rows = moved(_rows({"heading": before}, {"heading": after}))
    assert rows[1]["turn_rate_deg_s"] == pytest.approx(rate)


def test_at_1_hz_rates_span_several_seconds() -> None:
    rows = moved(_rows(*({"altitude_ft": 25.0 * round(at * 10 / 25)} for at in range(30)), every_s=1.0))
    assert all(350 <= r["climb_rate_fpm"] <= 850 for r in rows[8:])


def test_rates_are_null_across_a_gap_and_where_no_time_passed() -> None:
    rows = _rows({}, {"altitude_ft": 12_000.0}, every_s=301.0)
    assert moved(rows)[1]["climb_rate_fpm"] is None
    assert moved(rows, max_gap_s=400.0)[1]["climb_rate_fpm"] is not None
    same = [row | {"position_time": START_MS} for row in _rows({}, {"altitude_ft": 12_000.0})]
    assert moved(same)[1]["climb_rate_fpm"] is None


def test_stale_rows_get_and_feed_nothing() -> None:
    rows = moved(_rows({}, {"is_stale": True, "longitude": 5.0, "altitude_ft": 0.0}, {"longitude": 4.01}))
    assert rows[1]["distance_km"] is rows[1]["climb_rate_fpm"] is None
    assert rows[1]["cumulative_distance_km"] == 0.0
    assert rows[2]["distance_km"] == _near(vincenty_m((52, 4), (52, 4.01)) / 1000)
    assert rows[2]["climb_rate_fpm"] == 0


def test_a_jump_there_and_back_adds_no_distance_and_is_counted() -> None:
    changes = [{"longitude": 4.0 + 0.01 * at} for at in range(12)]
    straight = moved(_rows(*changes))
    changes[4] = {"longitude": 40.0}
    changes[8] = {"latitude": -10.0}
    outcome = add_motion(table_of(_rows(*changes)), MotionSettings())
    rows = outcome.kept.to_pylist()
    assert rows[4]["distance_km"] is rows[8]["distance_km"] is None
    assert rows[-1]["cumulative_distance_km"] == pytest.approx(straight[-1]["cumulative_distance_km"], rel=1e-6)
    assert outcome.counts == {"motion.teleports": 2}


def test_a_track_that_alternates_between_two_places_keeps_one_of_them() -> None:
    changes = [{"longitude": 4.0 + 0.01 * at + (30.0 if at % 2 and 2 < at < 9 else 0.0)} for at in range(14)]
    outcome = add_motion(table_of(_rows(*changes)), MotionSettings())
    assert outcome.counts["motion.teleports"] >= 3
    assert outcome.kept.to_pylist()[-1]["cumulative_distance_km"] < 15


def test_a_jump_for_good_is_one_leg_without_distance() -> None:
    outcome = add_motion(table_of(_rows({}, {"longitude": 4.01}, {"longitude": 60.0}, {"longitude": 60.01})), MotionSettings())
    rows = outcome.kept.to_pylist()
    assert rows[2]["distance_km"] is None
    assert rows[3]["distance_km"] is not None
    assert outcome.counts == {"motion.teleports": 1}


def test_position_time_is_when_the_position_was_heard() -> None:
    first, second = _rows({}, {"heading": 120.0})
    late = [first | {"position_time": START_MS}, second | {"position_time": START_MS + 5_000}]
    assert moved(late)[1]["turn_rate_deg_s"] == pytest.approx(6)


def test_motion_ends_with_the_flight() -> None:
    one, other = airliner(30.0).rows, Pilot(height_ft=9_000, kt=300).fly(300).rows
    both = add_motion(table_of(one, other), MotionSettings()).kept
    alone = add_motion(table_of(one, other).slice(len(one)), MotionSettings()).kept
    assert both.slice(len(one)).to_pylist() == alone.to_pylist()
    first = both.slice(len(one), 1).to_pylist()[0]
    assert first["distance_km"] is first["climb_rate_fpm"] is first["turn_rate_deg_s"] is None


def test_without_motion_nothing_is_added() -> None:
    table = table_of(_rows({}))
    assert add_motion(table, MotionSettings(enabled=False)).kept is table


def test_an_empty_table_gets_the_columns() -> None:
    assert "distance_km" in add_motion(table_of([]), MotionSettings()).kept.column_names


def test_speeds_become_words_and_an_edge_is_of_the_faster() -> None:
    speeds = [0, 4.9, 5, 29.9, 30, 149, 150.01, 349, 350.01, 719, 720.01, None]
    table = add_speed_category(table_of(_rows(*({"speed_kt": kt} for kt in speeds))), SpeedSettings()).kept
    assert table["speed_category"].to_pylist() == [*sorted(CATEGORIES * 2, key=CATEGORIES.index)[: len(speeds) - 1], None]
