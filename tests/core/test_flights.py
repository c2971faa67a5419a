"""One row for each flight: sums, maxima, firsts and lasts of its own rows."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.flown import airliner, go_around, table_of
from tests.core.tracks import in_blocks, row

import flight_etl
from flight_etl.core.flights import flights_of
from flight_etl.schema import FLIGHTS, arrow_schema
from flight_etl.settings import ImputeSettings, MotionSettings, PhaseSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

CODES = ["4b1901", "a00001", "~ffffff"]


def flown(seconds: Sequence[float], **values: Any) -> list[dict[str, Any]]:
    """Rows of one aircraft in the air at these seconds, a kilometre to the north every 5 s."""
    common = {"longitude": 8.0, "altitude": 10_000.0, "on_ground": False} | values
    return [row(s, kt=389, **({"latitude": 50 + s / 5 / 111.2} | common)) for s in seconds]


def only(rows: list[dict[str, Any]], settings: Settings | None = None) -> dict[str, Any]:
    """The one flight of these rows."""
    (flight,) = flights_of(flight_etl.transform(in_blocks(*rows), settings).kept).to_pylist()
    return flight


def test_a_flight_from_gate_to_gate() -> None:
    enriched = flight_etl.transform(table_of(airliner().rows)).kept
    (flight,) = flights_of(enriched).to_pylist()
    times = enriched["timestamp"].to_pylist()
    assert (flight["first_time"], flight["last_time"]) == (times[0], times[-1])
    assert (flight["origin_airport"], flight["destination_airport"]) == ("EHAM", "EDHI")
    assert flight["max_altitude_ft"] == pytest.approx(35_000, abs=60)
    assert flight["distance_km"] == enriched["cumulative_distance_km"][-1].as_py()
    words = enriched["flight_phase"].to_pylist()
    seconds: dict[str, float] = {}
    for word, (one, other) in zip(words, pairwise(times), strict=False):
        seconds[word] = seconds.get(word, 0.0) + (other - one).total_seconds()
    assert {word: flight[f"{word}_s"] for word in seconds} == seconds
    assert seconds.keys() == {"ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing"}
    assert (flight["rows"], flight["coverage"], flight["quality"]) == (len(words), 1.0, 1.0)


def test_callsigns_stand_in_the_order_in_which_they_came_and_the_most_frequent_is_the_callsign() -> None:
    rows = flown(range(0, 60, 5))
    for at, word in enumerate([None, "B", "A", "A", "B", "A", None, None, "C", "A", "A", "B"]):
        rows[at]["callsign"] = word
    plain = Settings(impute=ImputeSettings(methods=()))
    flight = only(rows, plain)
    assert (flight["callsign"], flight["callsigns"]) == ("A", ["B", "A", "C"])
    unnamed = only(flown(range(0, 60, 5)), plain)
    assert (unnamed["callsign"], unnamed["callsigns"]) == (None, [])


@pytest.mark.parametrize(
    ("seconds", "coverage"),
    [(range(0, 301, 60), 1.0), ([0, 300], 0.2), ([0, 100, 200, 300], 0.6), ([0, 30, 300, 400], 150 / 400), ([7], 1.0)],
)
def test_coverage_is_the_share_of_time_with_a_position_of_at_most_a_minute(seconds: Sequence[float], coverage: float) -> None:
    assert only(flown(seconds))["coverage"] == pytest.approx(coverage)


def test_positions_that_are_old_or_repeated_or_not_there_cover_nothing() -> None:
    rows = flown(range(0, 101, 10))
    for one in rows[1:]:
        one["latitude"] = one["longitude"] = None
    assert only(rows)["coverage"] == pytest.approx(0.6)
    stale = flown(range(0, 101, 10), heard=0.0, latitude=50.0)
    flight = only(stale)
    assert (flight["coverage"], flight["stale_share"]) == (pytest.approx(0.6), pytest.approx(10 / 11))
    assert only(flown([5], latitude=None, longitude=None))["coverage"] == 0.0
    assert only(flown(range(40, 141, 10), heard=0.0))["coverage"] == pytest.approx(0.2)


def test_a_filled_altitude_is_not_the_greatest_and_counts_as_filled() -> None:
    rows = flown(range(0, 50, 5))
    rows[5]["altitude"] = None
    flight = only(rows)
    assert flight["imputed_share"] == pytest.approx(0.1)
    assert flight["quality"] == pytest.approx(0.9)


def test_a_long_time_between_two_phases_is_unknown_and_all_seconds_are_those_of_the_flight() -> None:
    rows = go_around(3_000.0).rows
    rows = rows[: len(rows) // 3] + rows[len(rows) // 2 :]
    flights = flights_of(flight_etl.transform(table_of(rows)).kept).to_pylist()
    for flight in flights:
        seconds = [value for name, value in flight.items() if name.endswith("_s")]
        assert sum(seconds) == pytest.approx((flight["last_time"] - flight["first_time"]).total_seconds())


def test_without_motion_or_phases_what_comes_of_them_is_null() -> None:
    off = Settings(motion=MotionSettings(enabled=False), phase=PhaseSettings(enabled=False))
    flight = only(flown(range(0, 60, 5)), off)
    null = {name for name, value in flight.items() if value is None}
    assert null == {c.name for c in FLIGHTS if c.feature} | {"callsign"}


def test_no_rows_are_no_flights() -> None:
    empty = flight_etl.transform(in_blocks()).kept
    assert flights_of(empty).equals(arrow_schema(FLIGHTS).empty_table())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(CODES), st.integers(0, 5), st.booleans()), max_size=40),
    st.data(),
)
def test_which_flights_share_a_table_does_not_matter(told: list[tuple[str, int, bool]], data: st.DataObject) -> None:
    second, rows = 0, []
    for code, step, known in told:
        second += (1, 7, 60, 500, 4_000, 40_000)[step]
        (one,) = flown([second], icao24=code, callsign=data.draw(st.sampled_from([None, "A", "B"])))
        rows.append(one if known else one | {"latitude": None, "longitude": None})
    enriched = flight_etl.transform(in_blocks(*rows)).kept
    whole = flights_of(enriched)
    names = enriched["flight_id"].to_pylist()
    edges = [0, *(at for at, (one, other) in enumerate(pairwise(names), 1) if one != other), len(names)]
    parts = [flights_of(enriched.slice(a, b - a)) for a, b in pairwise(edges)]
    assert pa.concat_tables(parts).equals(whole)
    assert whole["flight_id"].to_pylist() == sorted(set(names))
    assert np.sum(whole["rows"]) == len(rows)
    assert all(0 <= value <= 1 for value in whole["quality"].to_pylist())
    assert all(one >= datetime(2023, 11, 14, tzinfo=UTC) for one in whole["first_time"].to_pylist())
