from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flown import WHOLE, Pilot, airliner, enriched, go_around, phases, sequence

from flight_etl.core.enrich.phase_words import PHASES


@pytest.mark.parametrize("every_s", [1.0, 5.0, 10.0])
def test_a_whole_flight_has_every_phase_once(every_s: float) -> None:
    table = enriched(airliner(every_s).rows)
    assert sequence(table) == WHOLE
    assert set(table["origin_airport"].to_pylist()) == {"EHAM"}
    assert set(table["destination_airport"].to_pylist()) == {"EDHI"}


def test_a_whole_flight_heard_once_a_minute_has_the_phases_that_last() -> None:
    got = sequence(enriched(airliner(60.0).rows))
    assert [p for p in got if p != "landing"] == [p for p in WHOLE if p != "landing"]


def test_phases_change_where_the_table_of_design_says() -> None:
    table = enriched(airliner(5.0).rows)
    by_phase: dict[str, list[dict[str, Any]]] = {name: [] for name in PHASES}
    for row in table.to_pylist():
        by_phase[row["flight_phase"]].append(row)
    assert all(row["speed_knots"] <= 5 for row in by_phase["ground"])
    assert all(5 < row["speed_knots"] <= 30 for row in by_phase["taxi"])
    assert all(row["speed_knots"] > 30 for row in by_phase["takeoff"] + by_phase["landing"])
    assert max(row["height_ft"] for row in by_phase["takeoff"]) < 3_000
    assert min(row["height_ft"] for row in by_phase["climb"]) >= 3_000
    assert min(row["altitude_ft"] for row in by_phase["cruise"]) >= 34_000
    assert min(row["height_ft"] for row in by_phase["descent"]) >= 3_000
    assert max(row["height_ft"] for row in by_phase["approach"]) < 3_000
    assert by_phase["takeoff"][0]["on_ground"]
    assert all(row["on_ground"] for row in by_phase["landing"])


def test_confidence_is_high_where_all_agrees_and_0_for_unknown() -> None:
    rows = airliner(5.0).rows
    table = enriched(rows)
    sure = np.array(table["phase_confidence"].to_pylist())
    assert str(table.schema.field("phase_confidence").type) == "float"
    assert sure.min() > 0.5
    assert sure.max() == 1.0
    blind = enriched([row | {"altitude_ft": None, "on_ground": None, "speed_kt": None, "latitude": None} for row in rows])
    assert set(phases(blind)) == {"unknown"}
    assert set(blind["phase_confidence"].to_pylist()) == {0.0}


def test_a_level_off_in_the_climb_is_climb_and_one_in_the_descent_is_descent() -> None:
    pilot = Pilot().taxi(60).depart(3_000).to(20_000, 2_000, 400).fly(240).to(35_000, 1_800, 450).fly(900)
    pilot.to(15_000, -2_000, 300).fly(300).to(6_000, -1_500, 250).fly(150).to(2_500, -1_000, 180).fly(150)
    assert sequence(enriched(pilot.land().rows))[1:-2] == ["takeoff", "climb", "cruise", "descent", "approach"]


def test_a_holding_in_the_descent_is_descent() -> None:
    pilot = Pilot().taxi(60).depart(3_000).to(35_000, 2_000, 450).fly(900).to(21_000, -2_000, 300)
    for turn in range(40):
        pilot.heading = 90.0 + turn * 45.0
        pilot.fly(30)
    pilot.to(2_500, -1_500, 180)
    assert sequence(enriched(pilot.land().rows))[1:-2] == ["takeoff", "climb", "cruise", "descent", "approach"]


def test_step_climbs_and_descents_are_such_between_cruise_levels() -> None:
    pilot = Pilot().taxi(60).depart(3_000).to(33_000, 2_000, 450).fly(900).to(35_000, 1_000).fly(1_200)
    pilot.to(31_000, -1_000).fly(900).to(2_000, -1_800, 180).land()
    got = sequence(enriched(pilot.rows))[1:-2]
    assert got == ["takeoff", "climb", "cruise", "climb", "cruise", "descent", "cruise", "descent", "approach"]


def test_turbulence_in_cruise_is_cruise() -> None:
    rows = airliner(5.0).rows
    labels = phases(enriched(rows))
    rng = np.random.default_rng(7)
    for row, label in zip(rows, labels, strict=True):
        if label == "cruise":
            row["rate_fpm"] += float(rng.integers(-12, 12)) * 64.0
            row["altitude_ft"] += float(rng.integers(-3, 4)) * 25.0
    assert sequence(enriched(rows)) == WHOLE


def test_a_go_around_is_approach_climb_and_approach_again_without_takeoff() -> None:
    table = enriched(go_around(2_500).rows)
    assert sequence(table)[4:] == ["descent", "approach", "climb", "approach", "landing", "taxi"]
    assert phases(table).index("takeoff") < phases(table).index("approach")
    assert set(table["destination_airport"].to_pylist()) == {"EHLE"}


def test_after_a_go_around_it_is_descent_above_3000_ft() -> None:
    got = sequence(enriched(go_around(5_000).rows))
    assert got[4:] == ["descent", "approach", "climb", "descent", "approach", "landing", "taxi"]


def test_a_touch_and_go_touches_the_ground_and_takes_off_again() -> None:
    pilot = Pilot(every_s=2.0).taxi(60).depart(1_500, 1_000, 120).fly(60)
    pilot.to(0, -700, 80)
    pilot.height_ft = 0.0
    pilot.fly(6, to_kt=60.0, ground=True).fly(8, to_kt=85.0, ground=True).to(1_500, 900, 110).fly(60)
    pilot.east_km = -5.0
    table = enriched(pilot.land(-700, 70).rows)
    assert sequence(table) == ["taxi", "takeoff", "approach", "takeoff", "approach", "landing", "taxi"]
    assert set(table["origin_airport"].to_pylist()) == {"EHAM"}
    assert set(table["destination_airport"].to_pylist()) == {"EHAM"}


def test_a_flight_that_stays_low_cruises_at_its_highest_level_segment() -> None:
    pilot = Pilot(every_s=5.0).taxi(60).depart(1_000, 700, 100).fly(60).to(2_500, 600, 110).fly(900)
    pilot.to(1_200, -500, 100).fly(60).land(-500, 70)
    assert sequence(enriched(pilot.rows)) == ["taxi", "takeoff", "climb", "cruise", "approach", "landing", "taxi"]


def test_a_cruise_below_a_short_peak_is_cruise() -> None:
    pilot = Pilot().taxi(60).depart(4_500, 900, 110).to(3_500, -600).fly(1_200).land(-600, 70)
    got = sequence(enriched(pilot.rows))
    assert got == ["taxi", "takeoff", "climb", "descent", "cruise", "descent", "approach", "landing", "taxi"]


def test_a_gap_is_bridged_only_where_there_was_no_time_for_a_landing() -> None:
    pilot = Pilot().taxi(60).depart(3_000).to(20_000, 2_000, 400).gap(300)
    pilot.height_ft = 33_000
    pilot.to(35_000, 1_500).fly(300).gap(400).fly(300).gap(300)
    pilot.height_ft = 6_000
    pilot.fly(90).gap(300)
    pilot.height_ft = 2_000
    pilot.land()
    table = enriched(pilot.rows)
    assert sequence(table) == ["taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing", "taxi"]
    assert phases(table)[-1] == "taxi"


def test_a_track_that_begins_and_ends_in_the_air_is_labelled_from_what_it_shows() -> None:
    pilot = Pilot(height_ft=12_000, kt=350, east_km=80).to(30_000, 1_500, 450).fly(600).to(20_000, -1_500)
    table = enriched(pilot.rows)
    assert sequence(table) == ["climb", "cruise", "descent"]
    assert table["origin_airport"].null_count == table["destination_airport"].null_count == len(table)
    assert table["height_ft"].null_count == len(table)


@pytest.mark.parametrize(
    ("height_ft", "fpm", "phase"),
    [
        (8_000, 1_500, "climb"),
        (8_000, -1_500, "descent"),
        (2_500, -700, "approach"),
        (36_000, 0, "cruise"),
        (6_000, 0, "unknown"),
    ],
)
def test_a_minute_in_the_air_shows_its_phase(height_ft: float, fpm: float, phase: str) -> None:
    rows = Pilot(every_s=10.0, height_ft=height_ft, kt=200, east_km=4).fly(60, fpm=fpm).rows
    assert set(phases(enriched(rows))) == {phase}


def test_a_climb_that_levels_off_where_the_track_ends_stays_climb() -> None:
    rows = Pilot().taxi(60).depart(3_000).to(6_000, 2_000).fly(60).rows
    assert sequence(enriched(rows)) == ["taxi", "takeoff", "climb"]
