"""A row is stale where it repeats an older position; an aircraft that stands is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tracks import column, in_blocks, row

from flight_etl.core.dedupe import mark_stale
from flight_etl.settings import SegmentSettings, StaleSettings

if TYPE_CHECKING:
    from flight_etl.outcome import Outcome

HERE = {"latitude": 48.0, "longitude": 2.0}
THERE = {"latitude": 48.1, "longitude": 2.0}


def marked(*rows: dict[str, Any]) -> Outcome:
    outcome = mark_stale(in_blocks(*rows), StaleSettings())
    assert outcome.counts == {"stale": sum(column(outcome.kept, "is_stale"))}
    assert outcome.dropped.num_rows == 0
    return outcome


def stale(*rows: dict[str, Any]) -> list[bool]:
    return column(marked(*rows).kept, "is_stale")


def test_an_unchanged_position_time_is_stale_whatever_else_changes() -> None:
    assert stale(row(0, heard=0, kt=250, **HERE), row(1, heard=0, kt=260, **THERE)) == [False, True]


def test_a_new_position_time_is_fresh_whatever_else_stays() -> None:
    assert stale(row(0, heard=0, kt=250, **HERE), row(1, heard=1, kt=250, **HERE)) == [False, False]


def test_every_repeat_is_stale() -> None:
    rows = [row(s, heard=min(s, 2), kt=250, **HERE) for s in range(6)]
    assert stale(*rows) == [False, False, False, True, True, True]


def test_without_position_time_nothing_that_moves_stays_where_it_is() -> None:
    rows = [row(0, kt=250, **HERE), row(1, kt=250, **HERE), row(2, kt=251, **HERE), row(3, kt=251, **THERE)]
    assert stale(*rows) == [False, True, True, False]


@pytest.mark.parametrize(
    ("before", "after"),
    [({"heard": 0}, {}), ({}, {"heard": 0})],
)
def test_where_one_position_time_is_unknown_positions_decide(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert stale(row(0, kt=250, **HERE, **before), row(1, kt=250, **HERE, **after)) == [False, True]
    assert stale(row(0, kt=250, **HERE, **before), row(1, kt=250, **THERE, **after)) == [False, False]


@pytest.mark.parametrize(("kt", "expected"), [(0.0, False), (4.9, False), (5.1, True), (None, True)])
@pytest.mark.parametrize("on_ground", [True, False, None])
def test_without_position_time_only_a_slow_speed_keeps_a_repeat_from_being_stale(
    kt: float | None,
    on_ground: bool | None,  # noqa: FBT001
    *,
    expected: bool,
) -> None:
    """What sends no speed either says nothing new."""
    assert stale(*[row(s, kt=kt, on_ground=on_ground, **HERE) for s in range(3)]) == [False, expected, expected]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kt": 0.0, "on_ground": True}, False),
        ({"kt": 4.9, "on_ground": True}, False),
        ({"kt": 102.0, "on_ground": True}, True),
        ({"on_ground": True}, True),
        ({"kt": 0.0, "on_ground": False}, True),
        ({"kt": 0.0}, True),
    ],
    ids=str,
)
def test_an_aircraft_that_stands_on_the_ground_is_not_stale(changes: dict[str, Any], *, expected: bool) -> None:
    assert stale(row(0, heard=0, **HERE, **changes), row(1, heard=0, **HERE, **changes)) == [False, expected]


@pytest.mark.parametrize("place", [{}, {"latitude": 48.0}, {"longitude": 2.0}])
def test_no_position_repeats_none(place: dict[str, float]) -> None:
    assert stale(row(0, kt=250, **place), row(1, kt=250, **place)) == [False, False]


def test_another_aircraft_or_block_repeats_nothing() -> None:
    assert stale(row(0, kt=250, **HERE), row(0, kt=250, icao24="4b1902", **HERE)) == [False, False]
    assert stale(row(0, heard=0, kt=250, **HERE), row(21_600, heard=0, kt=250, **HERE)) == [False, False]


def test_the_least_speed_is_a_setting() -> None:
    table = in_blocks(row(0, kt=20, **HERE), row(1, kt=20, **HERE), settings=SegmentSettings())
    assert column(mark_stale(table, StaleSettings(min_speed_kt=20.1)).kept, "is_stale") == [False, False]


def test_tables_of_no_row_or_one_have_the_column() -> None:
    assert marked().kept["is_stale"].to_pylist() == []
    assert stale(row(0)) == [False]


def test_an_old_mark_is_replaced() -> None:
    once = marked(row(0), row(1)).kept
    again = mark_stale(once, StaleSettings()).kept
    assert again.equals(once)
