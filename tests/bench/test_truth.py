"""The truth that detection is judged by: what DESIGN section 6 says of each phase holds for it second by second."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from flight_etl.bench.truth.days import PHASES, Day, days
from flight_etl.bench.truth.faults import LEVELS, heard_through
from flight_etl.bench.truth.kinds import KINDS
from flight_etl.store.airports import load_airports

GROUND, TAXI, TAKEOFF, CLIMB, CRUISE, DESCENT, APPROACH, LANDING = range(8)
# By DESIGN section 6; a helicopter rises from the spot, and an approach of one ends on it.
MAY_FOLLOW = {
    "ground": {"taxi", "takeoff"},
    "taxi": {"ground", "takeoff"},
    "takeoff": {"climb", "cruise", "approach", "taxi"},
    "climb": {"cruise", "descent", "approach"},
    "cruise": {"climb", "descent", "approach"},
    "descent": {"climb", "cruise", "approach"},
    "approach": {"climb", "descent", "landing", "takeoff", "ground", "taxi"},
    "landing": {"taxi"},
}
FLOWN = list(days(load_airports(), flights=150, seed=11))


def each_flight(day: Day) -> list[np.ndarray]:
    return [np.flatnonzero(day.rows.flight == one) for one in np.unique(day.rows.flight)]


def test_there_is_every_kind_and_every_phase_and_fields_from_below_the_sea_to_above_8400_ft() -> None:
    assert {day.kind.name for day in FLOWN} == {kind.name for kind in KINDS}
    assert set(np.unique(np.concatenate([day.rows.phase for day in FLOWN]))) == set(range(8))
    airports = load_airports()
    highest = [leg.highest_ft for day in FLOWN for leg in day.legs]
    assert max(highest) > 8_400
    used = {code for day in FLOWN for leg in day.legs for code in (leg.origin, leg.destination)}
    assert min(airports.elevation_ft[airports.icao.index(code)] for code in used) < 0
    assert len(used) > 100


def test_there_are_go_arounds_touch_and_goes_rejected_take_offs_step_climbs_and_days_of_several_legs() -> None:
    follows = {pair for day in FLOWN for rows in each_flight(day) for pair in pairwise(day.rows.phase[rows])}
    assert {(APPROACH, CLIMB), (APPROACH, TAKEOFF), (TAKEOFF, TAXI), (CRUISE, CLIMB)} <= follows
    assert max(len(day.legs) for day in FLOWN) == 3
    assert any(leg.origin == leg.destination for day in FLOWN for leg in day.legs)


@pytest.mark.parametrize("day", [day for day in FLOWN if day.interval_s == 1], ids=lambda day: f"{day.kind.name} {day.number}")
def test_phases_follow_each_other_as_they_may(day: Day) -> None:
    for rows in each_flight(day):
        for before, after in pairwise(PHASES[code] for code in day.rows.phase[rows]):
            assert before == after or after in MAY_FOLLOW[before], (day.number, before, after)


def test_every_row_is_what_its_phase_says() -> None:
    for day in FLOWN:
        rows, phase = day.rows, day.rows.phase
        ground = rows.on_ground == 1
        assert (ground[np.isin(phase, (GROUND, TAXI, LANDING))]).all()
        assert (~ground[np.isin(phase, (CLIMB, CRUISE, DESCENT, APPROACH))]).all()
        assert (rows.speed_kt[phase == GROUND] <= 5).all()
        assert ((rows.speed_kt[phase == TAXI] > 5) & (rows.speed_kt[phase == TAXI] <= 30)).all()
        assert (rows.speed_kt[(phase == LANDING) | ((phase == TAKEOFF) & ground)] > 30).all()
        level = rows.rate_fpm[phase == CRUISE]
        assert ((level >= -300) & (level <= 500)).all()


def test_heights_above_the_field_decide_take_off_and_approach() -> None:
    for day in FLOWN:
        for rows in each_flight(day):
            one = day.rows.take(rows)
            start, end = one.altitude_ft[0], one.altitude_ft[-1]
            assert (one.altitude_ft[one.phase == TAKEOFF] - start < 3_000).all()
            last = np.flatnonzero(one.phase == CRUISE)
            after = np.arange(len(one)) > (last[-1] if len(last) else len(one))
            assert (one.altitude_ft[(one.phase == APPROACH) & after] - end < 3_000).all()
            assert (one.altitude_ft[(one.phase == DESCENT) & after] - end >= 3_000).all()


def test_places_move_as_fast_as_the_aircraft_says() -> None:
    for day in (day for day in FLOWN if day.interval_s == 1):
        for rows in each_flight(day):
            one = day.rows.take(rows)
            north = np.diff(one.latitude) * 111_195.0
            east = np.diff(np.unwrap(one.longitude, period=360.0)) * 111_195.0 * np.cos(np.radians(one.latitude[1:]))
            knots = np.hypot(north, east) * 3_600 / 1_852
            off = np.abs(knots - (one.speed_kt[1:] + one.speed_kt[:-1]) / 2)
            assert np.quantile(off, 0.99) < 12, (day.kind.name, day.number)
            assert off.max() < 60 + 0.1 * one.speed_kt.max(), (day.kind.name, day.number)


def test_flights_begin_and_end_within_four_km_of_their_fields() -> None:
    airports = load_airports()
    for day in FLOWN:
        for leg, rows in zip(day.legs, each_flight(day), strict=True):
            air = rows[day.rows.airborne[rows]]
            for code, at in ((leg.origin, air[0]), (leg.destination, air[-1])):
                field = airports.icao.index(code)
                north = (day.rows.latitude[at] - airports.latitude[field]) * 111.2
                east = (day.rows.longitude[at] - airports.longitude[field]) * 111.2 * np.cos(np.radians(airports.latitude[field]))
                moved = day.interval_s * day.rows.speed_kt[at] * 1.852 / 3_600
                assert np.hypot(north, east) < 4 + moved, (day.number, code)


def test_rates_are_those_of_the_altitudes() -> None:
    for day in (day for day in FLOWN if day.interval_s == 1):
        for rows in each_flight(day):
            one = day.rows.take(rows)
            np.testing.assert_allclose(np.diff(one.altitude_ft) * 60, one.rate_fpm[:-1], atol=1e-6)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    first, again = (next(days(load_airports(), flights=1, seed=5)) for _ in range(2))
    other = next(days(load_airports(), flights=1, seed=6))
    for noise in LEVELS.values():
        a, b = heard_through(first, noise, 5), heard_through(again, noise, 5)
        assert np.array_equal(a.time_ms, b.time_ms)
        assert np.array_equal(a.altitude_ft, b.altitude_ft, equal_nan=True)
    assert not np.array_equal(first.rows.latitude[:50], other.rows.latitude[:50])


def test_clean_leaves_the_truth_as_it_is() -> None:
    for day in FLOWN[:10]:
        rows = heard_through(day, LEVELS["clean"], 11)
        assert all(np.array_equal(getattr(rows, name), getattr(day.rows, name)) for name in day.rows.__slots__)


@pytest.mark.parametrize("name", ["standard", "heaviest"])
def test_a_level_of_noise_contains_what_it_says(name: str) -> None:
    noise = LEVELS[name]
    size = missing = stale = flipped = doubled = 0
    for day in (day for day in FLOWN if day.interval_s == 1):
        rows = heard_through(day, noise, 11)
        known = ~np.isnan(rows.altitude_ft)
        assert np.array_equal(rows.altitude_ft[known][:200] % 25 == 0, np.abs(rows.altitude_ft[known][:200] % 25) < 1e-9)
        size += len(rows)
        missing += int(np.count_nonzero(np.isnan(rows.speed_kt)))
        stale += int(np.count_nonzero((rows.heard_ms > 0) & (rows.heard_ms < rows.time_ms - 500)))
        flipped += int(np.count_nonzero((rows.on_ground >= 0) & (rows.on_ground == rows.airborne)))
        doubled += int(np.count_nonzero(np.diff(rows.time_ms) == 0))
        assert (np.diff(rows.time_ms) >= 0).all()
    assert missing / size == pytest.approx(noise.missing, rel=0.35)
    assert noise.stale / 4 < stale / size < noise.stale * 1.5
    assert 0 < flipped / size < noise.flipped * 3
    assert doubled > 0
