"""The quality of rows is a sum: of any parts, in any order, exactly."""

from __future__ import annotations

import json
from functools import reduce
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_outliers import flown, moved
from tests.core.tracks import in_blocks, row

import flight_etl
from flight_etl.core.quality import Quality, merge, quality_of, summary
from flight_etl.settings import Settings


def quality(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return summary(quality_of(flight_etl.transform(in_blocks(*rows)).kept))


def test_rows_without_fault_are_wholly_covered() -> None:
    told = quality(flown(100))
    assert (told["rows"], told["positions"], told["coverage"], told["stale"], told["jumps"]) == (20, 20, 1.0, 0, 0)
    assert (told["imputed"], told["outliers"], told["first_jumps"], told["shared_places"]) == ({}, {}, [], [])
    assert told["position_age_s"] == {"known": 0, "p50": None, "p95": None}


def test_ages_are_told_by_the_upper_edges_of_their_classes() -> None:
    rows = [one | {"position_time": one["timestamp"] - 50 * at} for at, one in enumerate(flown(500))]
    assert quality(rows)["position_age_s"] == {"known": 100, "p50": 2.5, "p95": 5.0}  # 2.45 s and 4.7 s
    assert quality(flown(50, position_time=None))["position_age_s"]["known"] == 0
    old = [one | {"position_time": one["timestamp"] - 61_000} for one in flown(50)]
    assert (quality(old)["coverage"], quality(old)["position_age_s"]["p50"]) == (0.0, 65.0)


def test_repeats_holes_and_outliers_cover_nothing() -> None:
    rows = flown(100)
    rows[3] |= {name: rows[2][name] for name in ("latitude", "longitude")}
    rows[7] |= {"latitude": None, "longitude": None, "velocity": None}
    rows[12] = moved(rows[12], km_east=100)
    told = quality(rows)
    assert (told["positions"], told["stale"], told["coverage"]) == (19, 1, 0.85)
    assert (told["imputed"], told["imputed_share"], told["outliers"]) == ({"velocity": 1}, 0.05, {"out_and_back": 1})
    (jump,) = told["first_jumps"]
    assert (jump["icao24"], jump["time"], jump["rule"]) == ("4b1901", "2023-11-14T22:14:20+00:00", "out_and_back")
    assert jump["from"] == [round(rows[11]["latitude"], 6), 8.0]
    assert jump["to"][1] == round(rows[12]["longitude"], 6)
    assert 99 < jump["km"] < 101
    assert abs(jump["implied_mps"] - jump["km"] * 200) < 10  # in 5 s


def test_a_first_position_that_is_wrong_jumped_from_the_next_one() -> None:
    rows = flown(200)
    rows[0] = moved(rows[0], km_east=500)
    (jump,) = quality(rows)["first_jumps"]
    assert (jump["rule"], jump["from"][1], jump["km"] > 490) == ("stray_end", 8.0, True)


def test_a_place_to_which_three_aircraft_jump_is_told() -> None:
    rows = []
    for code in ("4b1903", "4b1901", "4b1902", "4b1904"):
        for at, one in enumerate(flown(100, icao24=code)):
            rows.append(one | ({"latitude": 33.82, "longitude": 35.49} if at in (8, 9) else {}))
    told = quality(rows)
    (place,) = told["shared_places"]
    assert place == {"near": [33.85, 35.45], "jumps": 4, "first_aircraft": ["4b1901", "4b1902", "4b1903"]}
    assert told["outliers"] == {"out_and_back": 8}  # of each aircraft the second row repeats the first
    assert told["jumps"] == 4


def test_of_many_jumps_the_first_twenty_are_named_and_all_counted() -> None:
    rows = [moved(one, km_east=100) if at % 10 == 5 else one for at, one in enumerate(flown(2_000))]
    told = quality(rows)
    assert (told["jumps"], len(told["first_jumps"])) == (40, 20)
    times = [one["time"] for one in told["first_jumps"]]
    assert times == sorted(times)


def test_of_no_rows_nothing_is_told() -> None:
    assert summary(Quality()) == quality([]) == {}


@st.composite
def recordings(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows, second = [], 0
    for _ in range(draw(st.integers(0, 60))):
        second += draw(st.sampled_from([1, 5, 5, 5, 2_000]))
        far = draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 2.0]))
        values = {"latitude": 50.0 + second / 500 % 20 + far, "longitude": 8.0, "kt": draw(st.sampled_from([None, 300.0]))}
        if draw(st.integers(0, 3)) == 0:
            values["heard"] = second - draw(st.sampled_from([0.0, 0.3, 20.0, 4_000.0]))
        rows.append(row(second, icao24=draw(st.sampled_from(["4b1901", "a00001", "a00002", "a00003"])), **values))
    return rows


@settings(max_examples=80, deadline=None)
@given(recordings(), st.randoms(use_true_random=False))
def test_parts_add_up_to_the_whole_in_any_order_and_by_way_of_json(rows: list[dict[str, Any]], random: Any) -> None:
    table = flight_etl.transform(in_blocks(*rows), Settings()).kept
    names = table["flight_id"].to_pylist()
    edges = [0, *(at for at, (one, other) in enumerate(pairwise(names), 1) if one != other), len(names)]
    parts = [quality_of(table.slice(a, b - a)) for a, b in pairwise(edges)]
    random.shuffle(parts)
    saved = [Quality.from_json(json.loads(json.dumps(part.to_json()))) for part in parts]
    assert summary(reduce(merge, saved, Quality())) == summary(quality_of(table))
    half = len(parts) // 2
    grouped = merge(reduce(merge, parts[:half], Quality()), reduce(merge, parts[half:], Quality()))
    assert grouped == reduce(merge, parts, Quality())
