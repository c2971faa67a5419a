"""Positions that an aircraft cannot have been at are marked and feed nothing; all others, and all rows, are left alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.tracks import column, in_blocks, row, same_rows

from flight_etl.api import transform
from flight_etl.bench.truth.days import days
from flight_etl.bench.truth.faults import LEVELS, heard_through
from flight_etl.core.dedupe import mark_stale
from flight_etl.core.order import block_numbers
from flight_etl.core.outliers import put_back, set_aside
from flight_etl.runners.accuracy import feed_table
from flight_etl.settings import OutlierSettings, Settings, StaleSettings
from flight_etl.store.airports import load_airports

if TYPE_CHECKING:
    from flight_etl.outcome import Outcome

METRES_PER_DEGREE = 111_195.0


def flown(seconds: int = 60, *, kt: float = 300.0, every_s: int = 5, **values: Any) -> list[dict[str, Any]]:
    """Rows of a flight to the north from 50 N, 8 E."""
    step = kt * 1852 / 3600 / METRES_PER_DEGREE
    return [row(s, kt=kt, **({"latitude": 50 + step * s, "longitude": 8.0} | values)) for s in range(0, seconds, every_s)]


def moved(one: dict[str, Any], *, km_east: float) -> dict[str, Any]:
    east = km_east * 1000 / METRES_PER_DEGREE / np.cos(np.radians(one["latitude"]))
    return one | {"longitude": one["longitude"] + east}


def judged(rows: list[dict[str, Any]], chosen: OutlierSettings | None = None) -> Outcome:
    return set_aside(mark_stale(in_blocks(*rows), StaleSettings()).kept, chosen or OutlierSettings())


def marks(rows: list[dict[str, Any]], chosen: OutlierSettings | None = None) -> dict[int, str]:
    """Which rows are marked, by their numbers, and why."""
    return {at: rule for at, rule in enumerate(column(judged(rows, chosen).kept, "outlier")) if rule}


def test_a_position_out_and_back_is_marked_and_put_back_as_it_was() -> None:
    rows = flown()
    rows[5] = moved(rows[5], km_east=300)
    outcome = judged(rows)
    assert marks(rows) == {5: "out_and_back"}
    assert outcome.counts == {"outlier.out_and_back": 1}
    assert [at for at, latitude in enumerate(column(outcome.kept, "latitude")) if latitude is None] == [5]
    back = put_back(outcome.kept).kept
    for name in ("latitude", "longitude", "position_time", "velocity"):
        assert column(back, name) == [one.get(name) for one in rows]


def test_an_island_of_several_rows_and_what_repeats_it_is_marked_as_a_whole() -> None:
    rows = flown(200)
    rows[10:14] = [moved(one, km_east=80) for one in rows[10:14]]
    rows[14] = rows[13] | {name: rows[14][name] for name in ("timestamp", "s")}  # a stale repeat
    assert marks(rows) == dict.fromkeys(range(10, 15), "out_and_back")


def test_two_rows_that_swap_places_with_believed_ones_are_both_marked() -> None:
    rows = flown(200)
    rows[10], rows[12] = moved(rows[10], km_east=80), moved(rows[12], km_east=80)
    assert marks(rows) == {10: "out_and_back", 12: "out_and_back"}


def test_the_first_fix_of_a_track_may_be_wrong_and_its_last() -> None:
    rows = flown(200)
    rows[0], rows[-1] = moved(rows[0], km_east=500), moved(rows[-1], km_east=-500)
    assert marks(rows) == {0: "stray_end", len(rows) - 1: "stray_end"}


def test_across_the_date_line_nothing_jumps() -> None:
    rows = [one | {"latitude": 10.0, "longitude": -179.99 if at % 2 else 179.99} for at, one in enumerate(flown(60, every_s=15))]
    assert marks(rows) == {}


def test_an_aircraft_that_catches_up_again_and_again_has_jumped_nowhere() -> None:
    """Receivers that are late and then on time again make jumps ahead, which none takes back."""
    rows = flown(600, every_s=1)
    for at, one in enumerate(rows):
        one["latitude"] += (at // 100) * 0.02  # 2.2 km in a second
    assert marks(rows) == {}


def test_a_wrong_speed_condemns_no_position() -> None:
    rows = flown(300)
    for one in rows:
        one["velocity"] = 0.0
    assert marks(rows) == {}


@pytest.mark.parametrize(("category", "found"), [("A7", True), ("A6", False), (None, False), ("B6", False)])
def test_what_a_category_cannot_fly_is_out_of_reach(category: str | None, found: bool) -> None:  # noqa: FBT001
    rows = [one | {"velocity": None, "category": category} for one in flown(kt=80)]
    rows[5] = moved(rows[5], km_east=3)  # 600 m/s there and back
    assert bool(marks(rows)) == found


def test_what_stands_on_the_ground_without_a_speed_does_not_fly_across_the_town_and_back() -> None:
    rows = [one | {"velocity": None, "on_ground": True} for one in flown(kt=10)]
    rows[5] = moved(rows[5], km_east=4)
    assert marks(rows) == {5: "out_and_back"}


def test_switched_off_it_marks_nothing() -> None:
    rows = flown()
    rows[5] = moved(rows[5], km_east=300)
    assert marks(rows, OutlierSettings(enabled=False)) == {}


def test_an_outlier_adds_no_distance_and_its_row_stays() -> None:
    rows = flown(600)
    straight = transform(in_blocks(*rows)).kept
    rows[50] = moved(rows[50], km_east=300)
    bent = transform(in_blocks(*rows)).kept
    assert bent.num_rows == straight.num_rows
    assert bent["distance_km"][50].as_py() is None
    assert bent["longitude"][50].as_py() == rows[50]["longitude"]
    assert bent["cumulative_distance_km"][-1].as_py() == pytest.approx(straight["cumulative_distance_km"][-1].as_py(), rel=1e-6)
    assert "motion.teleports" not in transform(in_blocks(*rows)).counts


def test_no_position_of_days_flown_without_fault_is_marked() -> None:
    rows = 0
    for day in days(load_airports(), flights=60, seed=31):
        told = transform(feed_table(day, heard_through(day, LEVELS["clean"], 31)))
        rows += told.kept.num_rows
        assert told.kept["outlier"].null_count == told.kept.num_rows, (day.number, day.kind.name)
    assert rows > 50_000


def test_of_jumps_put_into_such_days_nearly_all_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(5)
    put, found = 0, 0
    for day in days(load_airports(), flights=30, seed=32):
        table = feed_table(day, heard_through(day, LEVELS["clean"], 32))
        latitude = table["latitude"].to_numpy().copy()
        at = np.arange(20, len(latitude) - 20, 150)
        latitude[at] += np.where(latitude[at] > 0, -1, 1) * rng.uniform(2, 20, len(at))  # 200 to 2,000 km
        table = table.set_column(table.schema.get_field_index("latitude"), "latitude", pa.array(latitude))
        kept = transform(table).kept
        marked = np.isin(kept["latitude"].to_numpy(), latitude[at])
        said = kept["outlier"].is_valid().to_numpy()
        assert not (said & ~marked).any()
        put, found = put + len(at), found + int(np.count_nonzero(said & marked))
    assert put > 300
    assert found >= 0.97 * put


@st.composite
def wild(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows, second = [], 0
    for _ in range(draw(st.integers(0, 40))):
        second += draw(st.sampled_from([1, 1, 5, 60, 30_000]))
        far = draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, 100.0]))
        known = draw(st.integers(0, 5)) > 0
        rows.append(
            row(
                second,
                icao24=draw(st.sampled_from(["4b1901", "a00001"])),
                latitude=50.0 + second / 1000 % 20 + far if known else None,
                longitude=8.0 + far if known else None,
                velocity=draw(st.sampled_from([None, 0.0, 100.0, 250.0])),
                on_ground=draw(st.sampled_from([None, False, True])),
                category=draw(st.sampled_from([None, "A3", "A7"])),
            )
        )
    return rows


@settings(max_examples=150, deadline=None)
@given(wild(), st.data())
def test_how_rows_are_ordered_and_blocks_cut_into_tables_does_not_matter(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    table = mark_stale(in_blocks(*rows), StaleSettings()).kept
    whole = set_aside(table, OutlierSettings())
    assert same_rows(judged(data.draw(st.permutations(rows))).kept, whole.kept, but=("_record", "_offset"))
    numbers = block_numbers(table)
    edges = sorted({0, *np.searchsorted(numbers, np.unique(numbers)).tolist(), len(rows)})
    parts = [put_back(set_aside(table.slice(a, b - a), OutlierSettings()).kept).kept for a, b in pairwise(edges)]
    if parts:
        assert same_rows(pa.concat_tables(parts), put_back(whole.kept).kept)
    assert same_rows(put_back(whole.kept).kept, table, but=("outlier",))


def test_settings_reach_it_through_the_pipeline() -> None:
    rows = flown(600)
    rows[50] = moved(rows[50], km_east=300)
    off = Settings(outlier=OutlierSettings(enabled=False))
    assert "outlier.out_and_back" in transform(in_blocks(*rows)).counts
    assert "outlier.out_and_back" not in transform(in_blocks(*rows), off).counts
