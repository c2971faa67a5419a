from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from raw_rows import normal

from flight_etl.core.select import select
from flight_etl.outcome import Reason
from flight_etl.settings import FilterSettings

NOW = 1_700_000_000_000  # ms


def _table(*rows: dict[str, Any]) -> pa.Table:
    return normal("flat", *({"timestamp": NOW, "icao24": "4b1901"} | row for row in rows)).kept


def test_nothing_set_gives_the_same_table_back() -> None:
    table = _table({})
    assert select(table, FilterSettings()).kept is table


def test_a_condition_that_all_rows_meet_gives_the_same_table_back() -> None:
    table = _table({})
    assert select(table, FilterSettings(icao24=("4b1901",))).kept is table


def test_what_is_left_out_is_dropped_as_filtered() -> None:
    outcome = select(_table({}, {"icao24": "aaaaaa"}), FilterSettings(icao24=("4b1901",)))
    assert outcome.kept["icao24"].to_pylist() == ["4b1901"]
    (row,) = outcome.dropped.to_pylist()
    assert (row["reason"], row["icao24"], row["_record"]) == (Reason.FILTERED, "aaaaaa", 1)


def test_an_address_may_be_plain_text_too() -> None:
    table = _table({}, {"icao24": "aaaaaa"})
    plain = table.set_column(0, "icao24", table["icao24"].cast(pa.string()))
    assert select(plain, FilterSettings(icao24=("aaaaaa",))).kept.num_rows == 1


@pytest.mark.parametrize(
    ("longitude", "latitude", "inside"),
    [(5.0, 45.0, True), (0.0, 40.0, True), (10.0, 50.0, True), (10.1, 45.0, False), (5.0, 50.1, False), (None, None, False)],
)
def test_a_box_holds_its_edges_and_no_row_without_position(longitude: float | None, latitude: float | None, inside: bool) -> None:  # noqa: FBT001 - a table of answers
    table = _table({"longitude": longitude, "latitude": latitude})
    assert select(table, FilterSettings(bbox=(0.0, 40.0, 10.0, 50.0))).kept.num_rows == inside


@pytest.mark.parametrize(
    ("longitude", "inside"), [(179.0, True), (-179.0, True), (180.0, True), (0.0, False), (170.0, True), (-169.9, False)]
)
def test_a_box_whose_west_is_east_of_its_east_crosses_the_antimeridian(longitude: float, inside: bool) -> None:  # noqa: FBT001 - a table of answers
    table = _table({"longitude": longitude, "latitude": 0.5})
    assert select(table, FilterSettings(bbox=(170.0, 0.0, -170.0, 1.0))).kept.num_rows == inside


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (FilterSettings(start_ms=NOW), [NOW, NOW + 1]),
        (FilterSettings(end_ms=NOW), [NOW - 1]),
        (FilterSettings(start_ms=NOW, end_ms=NOW + 1), [NOW]),
    ],
)
def test_times_are_kept_from_the_start_on_and_before_the_end(settings: FilterSettings, kept: list[int]) -> None:
    table = _table(*({"timestamp": NOW + shift} for shift in (-1, 0, 1)))
    assert select(table, settings).kept["timestamp"].cast(pa.int64()).to_pylist() == kept


def test_conditions_add_up() -> None:
    table = _table({"latitude": 1.0, "longitude": 1.0}, {"icao24": "aaaaaa", "latitude": 1.0, "longitude": 1.0}, {})
    settings = FilterSettings(icao24=("4b1901",), bbox=(0.0, 0.0, 2.0, 2.0), start_ms=NOW)
    outcome = select(table, settings)
    assert outcome.kept["_record"].to_pylist() == [0]
    assert outcome.dropped.num_rows == 2


def test_no_rows_are_accepted() -> None:
    settings = FilterSettings(icao24=("4b1901",), bbox=(0.0, 0.0, 2.0, 2.0), start_ms=NOW)
    empty = _table({}).slice(0, 0)
    assert select(empty, settings).kept.num_rows == 0
    assert select(pa.Table.from_batches([], empty.schema), settings).kept.num_rows == 0
