"""One row of each aircraft and moment stays, which one is decided by a strategy, and the others are accounted for."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tracks import column, in_blocks, row, rows_table

from flight_etl.core.dedupe import dedupe
from flight_etl.core.order import sort_rows
from flight_etl.schema import DROPPED_SCHEMA
from flight_etl.settings import DedupeSettings, SegmentSettings

if TYPE_CHECKING:
    from flight_etl.outcome import Outcome


def deduped(*rows: dict[str, Any], **settings: Any) -> Outcome:
    outcome = dedupe(in_blocks(*rows), DedupeSettings(**settings))
    assert outcome.dropped.schema == DROPPED_SCHEMA
    assert outcome.kept.num_rows + outcome.dropped.num_rows == len(rows)
    return outcome


def kept_records(*rows: dict[str, Any], **settings: Any) -> list[int]:
    return column(deduped(*rows, **settings).kept, "_record")


def test_first_and_last_go_by_record_number() -> None:
    rows = [row(0, latitude=9.0), row(0, latitude=1.0), row(0, latitude=5.0)]
    assert kept_records(*rows, strategy="first") == [0]
    assert kept_records(*rows, strategy="last") == [2]


def test_first_and_last_go_by_input_before_record_number() -> None:
    rows = [row(0, _input=1, _record=3), row(0, _input=0, _record=7), row(0, _input=1, _record=2)]
    assert kept_records(*rows, strategy="first") == [7]
    assert kept_records(*rows, strategy="last") == [3]


def test_rows_without_inputs_go_by_record_number() -> None:
    table = sort_rows(rows_table(row(0, latitude=2.0), row(0, latitude=1.0)).drop_columns(["_input"]))
    outcome = dedupe(table, DedupeSettings(strategy="last"))
    assert column(outcome.kept, "_record") == [1]
    assert outcome.dropped.to_pylist()[0]["_input"] == 0
    assert column(outcome.dropped, "detail") == ["record 1 is kept"]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"position_source": "adsb"}, {"position_source": "adsr", "squawk": "1000"}),
        ({"position_source": "adsr"}, {"position_source": "mlat", "squawk": "1000"}),
        ({"position_source": "mlat"}, {"position_source": "tisb", "squawk": "1000"}),
        ({"position_source": "tisb"}, {"position_source": "flarm", "squawk": "1000"}),
        ({"position_source": "other"}, {"squawk": "1000"}),
        ({"position_source": "asterix", "squawk": "1000"}, {"position_source": "mode_s"}),
        ({"squawk": "1000"}, {"callsign": None}),
        ({"heard": -1.0, "latitude": 9.0}, {"heard": -2.0, "latitude": 1.0}),
        ({"heard": -1.0}, {"contact_time": 1_699_999_999_000}),
        ({"latitude": 1.0}, {"latitude": 2.0}),
    ],
    ids=str,
)
def test_the_best_row_has_the_best_source_then_most_values_then_the_freshest_position(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    assert kept_records(row(0, **better), row(0, **worse)) == [0]
    assert kept_records(row(0, **worse), row(0, **better)) == [1]


@pytest.mark.parametrize("strategy", ["first", "last", "best_quality"])
def test_which_row_stays_never_depends_on_the_order_of_arrival(strategy: Any) -> None:
    rows = [row(s, latitude=float(n % 3), _record=n, _input=n % 2) for n, s in enumerate([0, 0, 0, 1, 1, 5, 5, 5])]
    expected = kept_records(*rows, strategy=strategy)
    for seed in range(5):
        assert kept_records(*Random(seed).sample(rows, len(rows)), strategy=strategy) == expected


def test_equal_rows_are_kept_by_their_place_in_the_source() -> None:
    assert kept_records(row(0, _record=8), row(0, _record=3), row(0, _record=5)) == [3]


def test_only_one_aircraft_and_moment_makes_a_duplicate() -> None:
    rows = [row(0), row(0.001), row(0, icao24="4b1902"), row(0, icao24="~4b1901")]
    assert deduped(*rows).dropped.num_rows == 0


def test_dropped_rows_say_where_they_were_and_which_row_is_kept() -> None:
    outcome = deduped(row(0, latitude=2.0, _record=4, _offset=17), row(0, latitude=1.0, _record=9))
    (dropped,) = outcome.dropped.to_pylist()
    assert (dropped["_record"], dropped["_offset"], dropped["_input"]) == (4, 17, 0)
    assert (dropped["reason"], dropped["detail"], dropped["icao24"]) == ("duplicate", "record 9 is kept", "4b1901")
    assert column(outcome.dropped, "timestamp") == [0.0]


def test_the_detail_names_the_input_where_it_is_another() -> None:
    outcome = deduped(row(0, _input=0, _record=5), row(0, _input=2, _record=1), row(0, _input=0, _record=6), strategy="last")
    assert column(outcome.dropped, "detail") == ["record 1 of input 2 is kept"] * 2


def test_rows_at_another_time_than_the_one_kept_are_near_duplicates() -> None:
    rows = [row(0.0), row(0.4, position_source="adsb"), row(0.4), row(1.0)]
    outcome = deduped(*rows, tolerance_s=1.0)
    assert column(outcome.kept, "_record") == [1]
    assert dict(zip(column(outcome.dropped, "_record"), column(outcome.dropped, "reason"), strict=True)) == {
        0: "near_duplicate",
        2: "duplicate",
        3: "near_duplicate",
    }


def test_a_stretch_begins_with_the_first_row_after_the_one_before() -> None:
    """Not a chain: rows 0.8 s apart never make one row of a whole flight."""
    assert kept_records(*[row(0.8 * n) for n in range(7)], tolerance_s=1.0, strategy="first") == [0, 2, 4, 6]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance_ms", [0, 1, 250, 1000, 60_000])
def test_stretches_equal_those_of_a_plain_loop(seed: int, tolerance_ms: int) -> None:
    random = Random(seed)
    steps = [random.choice([0, 1, 100, 250, 900, 2_000_000]) for _ in range(200)]
    times = [sum(steps[: n + 1]) for n in range(len(steps))]
    rows = [row(t / 1000, icao24=random.choice(["4b1901", "4b1902"]), _record=n) for n, t in enumerate(times)]
    expected, begin = [], dict[str, int]()
    for number, t in enumerate(times):
        code = rows[number]["icao24"]
        if code not in begin or t - begin[code] > tolerance_ms:
            begin[code] = t
            expected.append(number)
    assert sorted(kept_records(*rows, strategy="first", tolerance_s=tolerance_ms / 1000)) == expected


def test_a_stretch_ends_with_its_block() -> None:
    table = in_blocks(row(0), row(60), settings=SegmentSettings(gap_s=60, block_gap_s=60))
    assert dedupe(table, DedupeSettings(tolerance_s=60)).kept.num_rows == 2


def test_blocks_may_begin_with_any_number() -> None:
    table = in_blocks(row(0), row(7_200), row(7_200.5), settings=SegmentSettings())
    outcome = dedupe(table.slice(1), DedupeSettings(tolerance_s=1.0, strategy="first"))
    assert column(outcome.kept, "_record") == [1]


def test_switched_off_nothing_happens() -> None:
    table = in_blocks(row(0), row(0))
    assert dedupe(table, DedupeSettings(enabled=False)).kept is table


@pytest.mark.parametrize("rows", [[], [row(0)], [row(0), row(1)]])
def test_a_table_without_duplicates_comes_back_as_it_is(rows: list[dict[str, Any]]) -> None:
    table = in_blocks(*rows)
    outcome = dedupe(table, DedupeSettings())
    assert outcome.kept is table
    assert outcome.dropped.num_rows == 0


def test_extra_columns_stay() -> None:
    table = in_blocks(row(0), row(0, position_source="adsb")).append_column("x:rssi", pa.array([-1.0, -2.0]))
    assert dedupe(table, DedupeSettings()).kept["x:rssi"].to_pylist() in ([-1.0], [-2.0])
