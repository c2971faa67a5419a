"""Where flights begin: after gaps, after stops on the ground, at new callsigns; and what they are called."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

import pyarrow as pa
import pytest
from tracks import START, column, in_flights, row

from flight_etl.settings import SegmentSettings

AIR: dict[str, Any] = {"on_ground": False, "kt": 250.0}
STANDS: dict[str, Any] = {"on_ground": True, "kt": 0.0}
TAXIES: dict[str, Any] = {"on_ground": True, "kt": 15.0}


def stretch(begin: int, end: int, step: int = 60, **values: Any) -> list[dict[str, Any]]:
    """Rows from `begin` to before `end`, s."""
    return [row(s, **values) for s in range(begin, end, step)]


def begins(*rows: dict[str, Any], **settings: Any) -> list[float]:
    """Seconds at which flights after the first begin."""
    table = in_flights(*rows, settings=SegmentSettings(**settings))
    times, ids = column(table, "timestamp"), column(table, "flight_id")
    return [times[n + 1] for n, (one, other) in enumerate(pairwise(ids)) if one != other]


def turnaround(stop: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fly until 600 s, stop until 1500 s, and fly again."""
    return [*stretch(0, 600, **AIR), *stop, *stretch(1_500, 2_100, **AIR)]


@pytest.mark.parametrize(("gap", "expected"), [(1_799, []), (1_800, [1_800.0])])
def test_a_gap_begins_a_flight(gap: int, expected: list[float]) -> None:
    assert begins(row(0, **AIR), row(gap, **AIR)) == expected


def _far(s: float, km_east: float, **values: Any) -> dict[str, Any]:
    """A row in cruise at the equator, where a degree is 111.3 km."""
    return row(s, kt=450, longitude=km_east / 111.3, latitude=0.0, on_ground=False) | values


def _across(gap_s: float, km: float, **values: Any) -> pa.Table:
    """An aircraft that is heard for a minute, and `gap_s` later again, `km` further on."""
    before = [_far(s, s * 0.2315, callsign="AFR1") for s in (0, 30, 60)]
    return in_flights(*before, *(_far(60 + gap_s + s, 13.9 + km + s * 0.2315, **values) for s in (0, 30)))


@pytest.mark.parametrize(
    ("gap_s", "km", "values", "flights"),
    [
        (3_600, 833.0, {}, 1),  # 450 kt
        (3_600, 833.0, {"callsign": "AFR1"}, 1),
        (3_600, 833.0, {"callsign": "AFR2"}, 2),
        (3_600, 833.0, {"on_ground": True}, 2),
        (3_600, 500.0, {}, 2),  # there was time for a landing
        (3_600, 1_100.0, {}, 2),  # nothing gets there so fast
        (21_599, 5_000.0, {}, 1),
        (21_600, 5_000.0, {}, 2),  # the edge of a block
        (1_799, 50.0, {}, 1),
    ],
)
def test_a_gap_is_no_end_where_the_aircraft_shows_that_it_flew_on(
    gap_s: float, km: float, values: dict[str, Any], flights: int
) -> None:
    table = _across(gap_s, km, **values)
    assert len(set(column(table, "flight_id"))) == flights
    assert set(column(table, "is_stitched")) == {flights == 1 and gap_s >= 1_800}


def test_what_is_heard_of_a_parked_aircraft_under_its_old_callsign_is_no_flight() -> None:
    landed = [row(0, on_ground=False, kt=200, callsign="AFR1"), row(60, on_ground=True, kt=20, callsign="AFR1")]
    heard = [row(8_000, on_ground=True, kt=0, callsign="AFR1"), row(8_080, on_ground=True, kt=0, callsign="AFR2")]
    table = in_flights(*landed, *heard, row(8_400, on_ground=False, kt=150, callsign="AFR2"))
    assert [first for first, _ in groupby(column(table, "flight_id"))] == [f"4b1901-{START}", "4b1901-20231115T002640Z"]


def test_every_aircraft_has_its_own_flights() -> None:
    table = in_flights(row(0, icao24="4b1901"), row(0, icao24="4b1902"), row(5, icao24="~4b1901"), row(1, icao24="4b1901"))
    assert column(table, "flight_id") == [f"4b1901-{START}"] * 2 + [f"4b1902-{START}", "~4b1901-20231114T221325Z"]


def test_a_stop_on_the_ground_begins_a_flight_with_its_last_row() -> None:
    assert begins(*turnaround(stretch(600, 1_500, **STANDS))) == [1_440.0]


def test_taxiing_out_belongs_to_the_next_flight() -> None:
    stop = [*stretch(600, 660, 10, **TAXIES), *stretch(660, 1_320, **STANDS), *stretch(1_320, 1_500, 10, **TAXIES)]
    assert begins(*turnaround(stop)) == [1_260.0]


@pytest.mark.parametrize(("stop_s", "expected"), [(540, [1_140.0]), (541, [])])
def test_a_shorter_stop_does_not(stop_s: float, expected: list[float]) -> None:
    rows = turnaround([*stretch(600, 1_200, **STANDS), *stretch(1_200, 1_500, **TAXIES)])
    assert begins(*rows, ground_stop_s=stop_s) == expected


def test_without_flying_before_or_after_a_stop_is_no_flights_edge() -> None:
    stop = stretch(600, 1_500, **STANDS)
    assert begins(*stretch(0, 600, **TAXIES), *stop, *stretch(1_500, 2_100, **AIR)) == []
    assert begins(*stretch(0, 600, **AIR), *stop, *stretch(1_500, 2_100, **TAXIES)) == []
    assert begins(*stop) == []


def test_flying_in_another_block_is_not_flying_before() -> None:
    rows = [row(0, **AIR), *stretch(3_600, 4_500, **STANDS), *stretch(4_500, 5_000, **AIR)]
    assert begins(*rows) == [3_600.0]


def test_stops_of_one_stay_add_up_and_the_longest_begins_the_flight() -> None:
    stop = [*stretch(600, 800, 10, **STANDS), row(800, **TAXIES), *stretch(810, 1_200, 10, **STANDS)]
    stop += [*stretch(1_200, 1_400, 10, **TAXIES), *stretch(1_400, 1_500, 10, **STANDS)]
    assert begins(*turnaround(stop)) == [1_190.0]
    assert begins(*turnaround(stop), ground_stop_s=700) == []


def test_a_gap_that_begins_on_the_ground_is_a_stop() -> None:
    assert begins(*turnaround([row(600, **TAXIES), row(1_490, **TAXIES)])) == [1_490.0]
    assert begins(*turnaround([row(600, on_ground=True, kt=100), row(700, on_ground=True, kt=20)])) == [1_500.0]
    assert begins(*turnaround([row(600, **STANDS), row(890, **STANDS), row(1_490, **TAXIES)])) == [1_490.0]


def test_a_gap_in_the_air_or_before_the_landing_is_none() -> None:
    assert begins(*turnaround([])) == []
    assert begins(*turnaround([*stretch(1_400, 1_500, 10, **STANDS)])) == []


def test_stale_speeds_on_the_ground_are_of_an_aircraft_that_stands() -> None:
    stop = [row(s, on_ground=True, kt=102, latitude=48.0, longitude=2.0) for s in range(600, 1_500, 10)]
    assert begins(*turnaround(stop)) == [1_490.0]
    moving = [given | {"latitude": 48.0 + n / 1000} for n, given in enumerate(stop)]
    assert begins(*turnaround(moving)) == []


def test_an_unknown_speed_on_the_ground_is_of_an_aircraft_that_stands() -> None:
    assert begins(*turnaround(stretch(600, 1_500, on_ground=True))) == [1_440.0]


def test_without_a_ground_flag_speed_tells() -> None:
    rows = [*stretch(0, 600, kt=100), *stretch(600, 1_500, kt=3), *stretch(1_500, 2_100, kt=31)]
    assert begins(*rows) == [1_440.0]
    assert begins(*[given | {"velocity": None} for given in rows]) == []


def test_two_turnarounds_are_three_flights() -> None:
    rows = [*turnaround(stretch(600, 1_500, **STANDS)), *stretch(2_100, 2_900, **STANDS), *stretch(2_900, 3_000, **AIR)]
    assert begins(*rows) == [1_440.0, 2_880.0]


def test_a_ground_flag_that_flips_for_a_moment_is_no_flying() -> None:
    flipped = stretch(0, 1_500, 10, **STANDS)
    flipped[20] |= {"on_ground": False}
    assert begins(*flipped, *stretch(1_500, 2_100, **AIR)) == []
    hop = [given | ({"on_ground": False} if 200 <= 10 * n <= 260 else {}) for n, given in enumerate(flipped)]
    assert begins(*hop, *stretch(1_500, 2_100, **AIR)) == [1_490.0]


def test_a_flip_beside_a_gap_may_have_been_a_flight() -> None:
    rows = [*stretch(0, 700, **STANDS), row(720, **AIR), *stretch(1_000, 2_000, **STANDS), *stretch(2_000, 2_400, **AIR)]
    assert begins(*rows) == [1_960.0]


def test_a_new_callsign_on_the_ground_begins_a_flight() -> None:
    rows = [*stretch(0, 300, callsign="AFR1", **STANDS), *stretch(300, 600, callsign="AFR2", **STANDS)]
    assert begins(*rows) == [300.0]
    assert begins(*rows, callsign_change=False) == []


def test_a_new_callsign_in_the_air_does_not() -> None:
    assert begins(*stretch(0, 300, callsign="AFR1", **AIR), *stretch(300, 600, callsign="AFR2", **AIR)) == []


@pytest.mark.parametrize(("gap", "expected"), [(299, []), (300, [300.0])])
def test_a_new_callsign_after_a_gap_begins_a_flight(gap: int, expected: list[float]) -> None:
    assert begins(row(0, callsign="AFR1", **AIR), row(gap, callsign="AFR2", **AIR)) == expected


def test_a_callsign_that_is_first_heard_in_the_air_counts_from_the_ground_or_the_gap_before() -> None:
    ground = [row(0, callsign="AFR1", **STANDS), row(60, **TAXIES), row(70, **AIR), row(80, callsign="AFR2", **AIR)]
    assert begins(*ground) == [60.0]
    gap = [row(0, callsign="AFR1", **AIR), row(400, **AIR), row(410, **AIR), row(420, callsign="AFR2", **AIR)]
    assert begins(*gap) == [400.0]


def test_an_old_callsign_on_the_ground_and_a_new_one_in_the_air_are_two_flights() -> None:
    rows = [row(0, callsign="AFR1", **STANDS), row(60, **AIR), row(120, callsign="AFR2", **AIR)]
    assert begins(*rows) == [60.0]


def test_a_callsign_that_is_not_heard_for_a_while_is_no_new_one() -> None:
    assert begins(row(0, callsign="AFR1", **STANDS), row(60, **STANDS), row(120, callsign="AFR1", **STANDS)) == []
    assert begins(row(0, **STANDS), row(60, callsign="AFR1", **STANDS)) == []


@pytest.mark.parametrize("change", [600, 900, 1_440])
def test_a_callsign_and_a_stop_tell_the_same_two_flights_apart_once(change: int) -> None:
    rows = turnaround(stretch(600, 1_500, **STANDS))
    rows = [given | {"callsign": "AFR1" if given["s"] < change else "AFR2"} for given in rows]
    assert begins(*_timed(rows)) == [float(change)]


def test_a_callsign_after_a_gap_and_a_stop_too() -> None:
    rows = [row(0, callsign="AFR1", **AIR), row(60, callsign="AFR1", **TAXIES), row(900, callsign="AFR2", **AIR)]
    assert begins(*rows, row(960, callsign="AFR2", **AIR)) == [900.0]


def test_a_callsign_elsewhere_does_not_hide_a_stop() -> None:
    rows = [*stretch(-300, 0, callsign="AFR0", **STANDS), *turnaround(stretch(600, 1_500, **STANDS))]
    rows = [given | {"callsign": "AFR0" if n < 5 else "AFR1"} for n, given in enumerate(rows)]
    assert begins(*rows) == [0.0, 1_440.0]


def test_flights_have_the_time_of_their_first_row_in_their_names() -> None:
    table = in_flights(row(0.999, **AIR), row(60, **AIR), row(3_600, **AIR))
    assert column(table, "flight_id") == [f"4b1901-{START}"] * 2 + ["4b1901-20231114T231320Z"]
    assert table.schema.field("flight_id").type == pa.dictionary(pa.int32(), pa.string())


def test_names_are_unique() -> None:
    """Flights that would begin in the same second are one."""
    rows = [row(n / 4, callsign=f"AFR{n}", **STANDS) for n in range(12)]
    table = in_flights(*rows)
    assert len(set(column(table, "flight_id"))) == 3
    assert table["flight_id"].chunk(0).dictionary.to_pylist() == sorted(set(column(table, "flight_id")))


def test_the_first_flight_of_the_next_aircraft_is_never_joined_to_the_one_before() -> None:
    table = in_flights(row(0, icao24="4b1901"), row(0.5, icao24="4b1902"), row(0.5, icao24="4b1903"))
    assert len(set(column(table, "flight_id"))) == 3


def test_names_do_not_depend_on_later_rows() -> None:
    rows = turnaround(stretch(600, 1_500, **STANDS))
    whole = column(in_flights(*rows), "flight_id")
    assert column(in_flights(*rows[:-3]), "flight_id") == whole[:-3]


def test_a_block_that_is_too_long_is_cut_into_flights() -> None:
    rows = [row(s, **AIR) for s in range(10)]
    assert begins(*rows, max_flight_rows=4) == [4.0, 8.0]


def test_no_rows_are_no_flights() -> None:
    assert column(in_flights(), "flight_id") == []


def _timed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda given: float(given["s"]))


@pytest.mark.parametrize(("seconds", "expected"), [(240, []), (300, [600.0, 960.0])])
def test_a_callsign_that_only_flickers_on_the_ground_is_none(seconds: int, expected: list[float]) -> None:
    """A bit error, or a second source that names the aircraft otherwise for a while."""
    flicker = stretch(600, 600 + seconds + 60, callsign="OTHER", **TAXIES)
    rest = stretch(600 + seconds + 60, 2_000, callsign="OWN", **TAXIES)
    assert begins(*stretch(0, 600, callsign="OWN", **AIR), *flicker, *rest) == expected
