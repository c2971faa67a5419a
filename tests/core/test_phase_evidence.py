from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flown import AIRPORTS, FIELDS, WHOLE, Pilot, airliner, enriched, go_around, phases, sequence, table_of

from flight_etl.core.enrich import enrich
from flight_etl.core.enrich.phase_words import (
    APPROACH,
    CLIMB,
    CRUISE,
    DESCENT,
    GROUND,
    LANDING,
    LEGAL,
    PHASES,
    TAKEOFF,
    TAXI,
    UNKNOWN,
    without_illegal,
    without_short,
)
from flight_etl.settings import PhaseSettings, Settings

RULES = Settings(phase=PhaseSettings(method="rules"))
Rows = list[dict[str, Any]]


def test_a_halt_while_taxiing_is_ground_however_short() -> None:
    pilot = Pilot(every_s=2.0).taxi(60)
    pilot.kt = 0.0
    assert sequence(enriched(pilot.fly(10, ground=True).taxi(60).rows)) == ["taxi", "ground", "taxi"]


def test_heights_are_above_the_pressure_altitude_of_the_ground_at_a_high_field() -> None:
    pilot = Pilot(at="KDEN", offset_ft=5_075.0).stand().taxi(60).depart(3_000).to(25_000, 1_500, 400).fly(600)
    pilot.to(3_000, -1_500, 200)
    pilot.east_km = -15.0
    table = enriched(pilot.land().rows)
    rows = table.to_pylist()
    takeoff = [row for row in rows if row["flight_phase"] == "takeoff"]
    assert takeoff[0]["height_ft"] == 0.0
    assert 2_700 < takeoff[-1]["height_ft"] < 3_000
    assert {row["origin_airport"] for row in rows} == {row["destination_airport"] for row in rows} == {"KDEN"}
    assert sequence(table)[2:-2] == ["takeoff", "climb", "cruise", "descent", "approach"]


def test_heights_are_above_the_elevation_where_the_ground_has_no_altitude() -> None:
    rows = [row for row in airliner(5.0, ground_altitude=False).rows if row["on_ground"] or row["altitude_ft"] > 400]
    table = enriched(rows)
    first = next(row for row in table.to_pylist() if row["height_ft"] is not None)
    assert first["height_ft"] == pytest.approx(first["altitude_ft"] - FIELDS["EHAM"][2])
    assert sequence(table) == WHOLE


def test_the_altitude_of_lift_off_stands_in_for_that_of_the_ground() -> None:
    table = enriched(airliner(2.0, ground_altitude=False, offset_ft=-625.0).rows)
    low = [row["height_ft"] for row in table.to_pylist() if row["flight_phase"] in ("takeoff", "approach")]
    heights = [height for height in low if height is not None]
    assert -30 < min(heights) < 100


def test_flipped_ground_flags_change_nothing() -> None:
    rows = airliner(5.0).rows
    want = phases(enriched(rows))
    for at in (50, 200, 300, 301, len(rows) - 100):
        rows[at] = rows[at] | {"on_ground": not rows[at]["on_ground"]}
    got = phases(enriched(rows))
    assert sum(a != b for a, b in zip(got, want, strict=True)) <= 2
    assert sequence(enriched(rows)) == WHOLE


@pytest.mark.parametrize("flag", [None, False])
def test_without_flags_the_ground_shows_in_speed_and_altitude(flag: bool | None) -> None:  # noqa: FBT001 - the flag is the case
    table = enriched([row | {"on_ground": flag} for row in airliner(5.0).rows])
    assert sequence(table) == WHOLE


def test_spikes_change_nothing_and_have_no_height() -> None:
    rows = airliner(5.0).rows
    want = phases(enriched(rows))
    for at, spike in ((120, 34_000.0), (250, 0.0), (400, 60_000.0), (401, 60_000.0), (-60, 34_000.0)):
        rows[at] = rows[at] | {"altitude_ft": spike}
    table = enriched(rows)
    assert phases(table) == want
    assert max(row["height_ft"] or 0 for row in table.to_pylist()) < 36_000


def test_a_null_altitude_is_never_guessed() -> None:
    rows = airliner(5.0).rows
    labels = phases(enriched(rows))
    blind = [row | {"altitude_ft": None} for row in rows]
    table = enriched(blind)
    assert table["height_ft"].null_count == len(rows)
    assert {p for p, row in zip(phases(table), rows, strict=True) if not row["on_ground"]} <= {"unknown", "takeoff", "landing"}
    on_ground = [at for at, row in enumerate(rows) if row["on_ground"]]
    assert [phases(table)[at] for at in on_ground] == [labels[at] for at in on_ground]


def test_a_hole_in_the_altitudes_is_unknown_if_it_is_long_and_bridged_if_short() -> None:
    rows = airliner(5.0).rows
    middle = phases(enriched(rows)).index("cruise") + 100
    short = [row | ({"altitude_ft": None} if middle <= at < middle + 20 else {}) for at, row in enumerate(rows)]
    assert sequence(enriched(short)) == WHOLE
    long = [row | ({"altitude_ft": None} if middle <= at < middle + 60 else {}) for at, row in enumerate(rows)]
    assert sequence(enriched(long)) == [*WHOLE[:5], "unknown", *WHOLE[4:]]


@pytest.mark.parametrize("category", ["A7", "B1"])
def test_a_hovering_helicopter_is_not_on_the_ground(category: str) -> None:
    pilot = Pilot(every_s=2.0, at="EHLE").stand(30).to(500, 400, 60).fly(300, to_kt=0.0).fly(300).to(1_500, 600, 90)
    pilot.fly(300).to(20, -600, 10)
    pilot.height_ft = pilot.kt = 0.0
    rows = [row | {"category": category} for row in pilot.stand(30).rows]
    for flag in (True, False):
        flagged = [row | ({} if flag or row["on_ground"] else {"on_ground": None}) for row in rows]
        got = sequence(enriched(flagged))
        assert got[0] == got[-1] == "ground"
        assert {"ground", "taxi", "landing"}.isdisjoint(got[1:-1])
        assert got[1] == "takeoff"
        assert "cruise" in got


def test_a_row_alone_is_judged_by_itself_with_less_confidence() -> None:
    rows = airliner(5.0).rows
    want = phases(enriched(rows))
    for at in (at for at in range(4, len(rows) - 4, 10) if len(set(want[at - 4 : at + 5])) == 1):
        (got,) = phases(enriched([rows[at]]))
        assert got == want[at] or got == "unknown" or {got, want[at]} <= {"takeoff", "climb", "descent", "approach"}
    single = enriched([rows[len(rows) // 2]])
    assert phases(single) == ["cruise"]
    assert 0 < single["phase_confidence"][0].as_py() < 0.7


def test_rules_use_the_point_alone() -> None:
    base = Pilot(kt=200, height_ft=2_000, east_km=3).fly(5).rows[0] | {"on_ground": False}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"on_ground": True, "speed_kt": 3.0}, "ground"),
        ({"on_ground": True, "speed_kt": 5.0}, "ground"),
        ({"on_ground": True, "speed_kt": 30.0}, "taxi"),
        ({"on_ground": None, "speed_kt": 20.0, "altitude_ft": 50.0}, "taxi"),
        ({"on_ground": True, "speed_kt": 100.0}, "unknown"),
        ({"rate_fpm": 1_500.0}, "takeoff"),
        ({"rate_fpm": 1_500.0, "altitude_ft": 5_000.0}, "climb"),
        ({"rate_fpm": -700.0}, "approach"),
        ({"rate_fpm": -700.0, "altitude_ft": 5_000.0}, "descent"),
        ({"altitude_ft": 30_000.0}, "cruise"),
        ({"altitude_ft": 9_000.0}, "unknown"),
        ({"altitude_ft": None}, "unknown"),
        ({"altitude_ft": 30_000.0, "rate_fpm": None}, "unknown"),
        ({"on_ground": True, "speed_kt": 200.0, "altitude_ft": 9_000.0, "rate_fpm": 1_000.0}, "climb"),
    ]
    table = enriched(*([base | change] for change, _ in cases), settings=RULES)
    assert phases(table) == [phase for _, phase in cases]


def test_rules_tell_takeoff_from_landing_by_the_speeds_next_to_it() -> None:
    rows = Pilot(every_s=2.0, kt=40).fly(30, to_kt=140, ground=True).rows
    assert set(phases(enriched(rows, settings=RULES))) == {"takeoff"}
    rows = Pilot(every_s=2.0, kt=140).fly(30, to_kt=40, ground=True).rows
    assert set(phases(enriched(rows, settings=RULES))) == {"landing"}


def test_a_roll_that_is_seen_alone_shows_by_its_speeds_what_it_is() -> None:
    assert set(phases(enriched(Pilot(every_s=2.0, kt=40).fly(30, to_kt=140, ground=True).rows))) == {"takeoff"}
    assert set(phases(enriched(Pilot(every_s=2.0, kt=140).fly(30, to_kt=40, ground=True).rows))) == {"landing"}
    assert set(phases(enriched(Pilot(every_s=2.0, kt=140).fly(30, ground=True).rows))) == {"unknown"}
    slows = Pilot(every_s=2.0, kt=120).fly(30, to_kt=31, ground=True).taxi(60).rows
    assert sequence(enriched(slows)) == ["landing", "taxi"]


def test_a_rejected_takeoff_is_one_and_fast_taxiing_is_not() -> None:
    pilot = Pilot(every_s=2.0).taxi(60)
    pilot.kt = 31.0
    rows = pilot.fly(25, to_kt=110, ground=True).fly(25, to_kt=31, ground=True).taxi(60).rows
    assert sequence(enriched(rows)) == ["taxi", "takeoff", "taxi"]
    pilot = Pilot(every_s=2.0).taxi(60)
    pilot.kt = 35.0
    assert sequence(enriched(pilot.fly(40, ground=True).taxi(60).rows)) == ["taxi", "unknown", "taxi"]


def test_short_dips_below_30_kt_do_not_end_a_landing_and_brief_crawling_is_taxi() -> None:
    pilot = Pilot(every_s=2.0, height_ft=1_500, kt=140, east_km=-6).to(0, -750, 130)
    pilot.height_ft = 0.0
    pilot.fly(30, to_kt=35, ground=True).fly(8, to_kt=28, ground=True).fly(10, to_kt=36, ground=True).taxi(60)
    pilot.kt = 4.0
    table = enriched(pilot.fly(10, ground=True).taxi(60).rows)
    assert sequence(table) == ["approach", "landing", "taxi"]


def test_stale_rows_take_the_phase_round_them_but_never_stand_at_speed() -> None:
    rows = airliner(5.0).rows
    want = phases(enriched(rows))
    for at in range(3, len(rows), 3):
        rows[at] = rows[at] | {"is_stale": True}
    table = enriched(rows)
    assert sum(a != b for a, b in zip(phases(table), want, strict=True)) < 12
    last = rows[-1] | {"is_stale": True}
    frozen = [last | {"speed_kt": kt, "timestamp": last["timestamp"] + kt * 100} for kt in (4, 20, 130)]
    late = last | {"timestamp": last["timestamp"] + 200_000}
    table = enriched([*rows, *frozen, late])
    assert phases(table)[-4:] == ["ground", "ground", "taxi", "ground"]  # it was heard standing; nothing stands at 130 kt
    assert table.to_pylist()[-2]["phase_confidence"] <= 0.5


def test_a_stale_row_in_the_air_says_nothing_after_a_gap() -> None:
    rows = Pilot(height_ft=30_000, kt=450).fly(600).rows
    late = rows[-1] | {"is_stale": True, "timestamp": rows[-1]["timestamp"] + 200_000}
    assert phases(enriched([*rows, late]))[-2:] == ["cruise", "unknown"]


def test_a_flight_of_stale_rows_is_unknown() -> None:
    table = enriched([row | {"is_stale": True} for row in airliner(60.0).rows])
    assert set(phases(table)) == {"unknown"}


def test_a_frozen_speed_does_not_hide_that_the_aircraft_taxies() -> None:
    pilot = Pilot(every_s=2.0, height_ft=1_500, kt=140, east_km=-6).to(0, -750, 130)
    pilot.height_ft = 0.0
    rows = [row | {"speed_kt": 130.0} for row in pilot.fly(30, to_kt=31, ground=True).taxi(120).rows]
    got = phases(enriched(rows))
    assert got[-1] == "taxi"
    assert "landing" in got


def test_impossible_altitudes_on_the_ground_are_no_hop() -> None:
    rows = Pilot(every_s=2.0).taxi(200).rows
    for row in rows:
        row["on_ground"] = None
    for row in rows[40:70]:
        row["altitude_ft"], row["speed_kt"], row["latitude"], row["longitude"] = 36_000.0, None, None, None
    table = enriched(rows)
    assert set(phases(table)) <= {"taxi", "unknown"}
    assert max(height or 0 for height in table["height_ft"].to_pylist()) < 1_500


def test_without_airports_there_are_heights_from_the_ground_and_no_names() -> None:
    table = enriched(go_around(2_500).rows, airports=None)
    assert table["origin_airport"].null_count == table["destination_airport"].null_count == len(table)
    assert sequence(table)[4:] == ["descent", "approach", "climb", "approach", "landing", "taxi"]


def test_a_flight_has_airports_only_where_it_touches_the_ground() -> None:
    whole = airliner(5.0).rows
    first, last = phases(enriched(whole)).index("climb"), phases(enriched(whole)).index("approach")
    begun = enriched(whole[first:])
    assert begun["origin_airport"].null_count == len(begun)
    assert set(begun["destination_airport"].to_pylist()) == {"EDHI"}
    ended = enriched(whole[:last])
    assert set(ended["origin_airport"].to_pylist()) == {"EHAM"}
    assert ended["destination_airport"].null_count == len(ended)


def test_flights_together_and_apart_become_the_same_rows() -> None:
    alone, low = [airliner(5.0).rows[9]], Pilot(height_ft=9_000, kt=300).fly(300).rows
    flights = [airliner(5.0).rows, go_around(5_000).rows, airliner(60.0).rows, alone, low]
    together = enriched(*flights)
    begin = 0
    for number, flight in enumerate(flights):
        part = table_of(*flights).slice(begin, len(flight))
        apart = enrich(part, Settings(), AIRPORTS).kept
        assert apart.to_pylist() == together.slice(begin, len(flight)).to_pylist(), number
        begin += len(flight)


def test_an_empty_table_stays_empty() -> None:
    for settings in (Settings(), RULES):
        table = enriched([], settings=settings)
        assert len(table) == 0
        assert "flight_phase" in table.column_names


def _random_flight(rng: np.random.Generator) -> Rows:
    """Something that an aircraft may do, badly heard."""
    pilot = Pilot(every_s=float(rng.choice([1, 5, 10, 30])), ground_altitude=bool(rng.integers(2)))
    pilot.taxi(float(rng.integers(20, 200))).depart(float(rng.integers(800, 4_000)), float(rng.integers(600, 2_500)))
    for _ in range(int(rng.integers(2, 8))):
        move = rng.integers(5)
        if move == 0:
            pilot.fly(float(rng.integers(10, 600)))
        elif move == 1:
            pilot.gap(float(rng.integers(20, 600)))
        elif move == 2:
            pilot.to(0, -900, 120)
            pilot.height_ft = 0.0
            pilot.fly(12, ground=True)
        else:
            target = float(rng.integers(200, 38_000))
            pilot.to(target, float(rng.integers(300, 3_000)) * (1 if target > pilot.height_ft else -1), 60 + target / 100)
    rows = pilot.land().rows if rng.integers(2) else pilot.rows
    for row in rows:
        luck = rng.random()
        if luck < 0.02:
            row["on_ground"] = not row["on_ground"]
        elif luck < 0.04:
            row["altitude_ft"] = float(rng.integers(0, 40_000))
        elif luck < 0.08:
            row["is_stale"] = True
        elif luck < 0.1:
            row["altitude_ft"] = row["latitude"] = row["longitude"] = None
        elif luck < 0.12:
            row["speed_kt"] = None
        elif luck < 0.14:
            row["speed_kt"] = float(rng.integers(0, 500))
    return rows


@pytest.mark.parametrize("seed", range(30))
def test_the_invariants_hold_on_flights_badly_heard(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flights = [_random_flight(rng) for _ in range(3)]
    table = enriched(*flights)
    last: dict[str, Any] | None = None
    for row in table.to_pylist():
        speed, phase = row["speed_knots"], row["flight_phase"]
        assert phase in PHASES
        assert 0 <= row["phase_confidence"] <= 1
        assert (row["phase_confidence"] == 0) == (phase == "unknown")
        if speed is not None:
            assert not (phase == "ground" and speed > 30.0001)
            # What it reports may be frozen; then that is told by the confidence.
            assert not (phase == "taxi" and speed > 30.0001 and row["phase_confidence"] > 0.5)
            assert not (phase == "ground" and speed > 5.0001 and row["phase_confidence"] > 0.8)
        if last is not None and last["flight_id"] == row["flight_id"] and not row["is_stale"] | last["is_stale"]:
            near = (row["timestamp"] - last["timestamp"]).total_seconds() <= 120
            was = last["flight_phase"]
            assert not near or phase in (was, "unknown") or phase in LEGAL[was], (was, phase, row["timestamp"])
        last = row


def test_the_rules_let_nothing_stand_at_speed_either() -> None:
    rng = np.random.default_rng(5)
    for row in enriched(*(_random_flight(rng) for _ in range(5)), settings=RULES).to_pylist():
        fast = (row["speed_knots"] or 0) > 30.0001
        assert not (fast and row["flight_phase"] in ("ground", "taxi"))


@pytest.mark.parametrize("airports", [AIRPORTS, None])
def test_a_slow_aircraft_that_says_ground_in_mid_air_is_not_on_it(airports: Any) -> None:
    pilot = Pilot(every_s=5.0, kt=70, height_ft=2_900, east_km=-9).to(1_000, -400, 65)
    want = phases(enriched(pilot.rows, airports=airports))
    pilot.rows[20]["on_ground"] = True
    pilot.rows[35]["on_ground"] = True
    assert phases(enriched(pilot.rows, airports=airports)) == want


def test_an_illegal_transition_makes_the_shorter_phase_unknown() -> None:
    labels = np.array([GROUND] * 5 + [CRUISE] * 3 + [DESCENT] * 4 + [LANDING] * 9, np.int8)
    key, piece = np.arange(len(labels)) * 1_000, np.zeros(len(labels), np.int64)
    got = without_illegal(labels, key, piece)
    assert got.tolist() == [GROUND] * 5 + [UNKNOWN] * 7 + [LANDING] * 9
    piece[5:12] = 1  # behind a gap anything may follow
    piece[12:] = 2
    assert without_illegal(labels, key, piece).tolist() == labels.tolist()


def test_short_phases_go_to_the_one_before_or_else_the_one_after() -> None:
    def joined(*parts: tuple[Any, int]) -> list[tuple[Any, int]]:
        labels = np.repeat(np.array([p for p, _ in parts], np.int8), [n for _, n in parts])
        at = np.arange(len(labels))
        got = without_short(labels, at * 1_000, np.zeros(len(at), np.int64), 20.0, np.zeros(len(at), np.bool_))
        edges = np.flatnonzero(np.diff(got, prepend=-1))
        return [(int(got[e]), int(n)) for e, n in zip(edges, np.diff(np.append(edges, len(got))), strict=True)]

    assert joined((CLIMB, 60), (CRUISE, 1), (CLIMB, 60)) == [(CLIMB, 121)]
    assert joined((CLIMB, 60), (CRUISE, 5), (CLIMB, 5), (CRUISE, 60)) == [(CLIMB, 70), (CRUISE, 60)]
    assert joined((TAKEOFF, 60), (CLIMB, 5), (CRUISE, 60)) == [(TAKEOFF, 60), (CRUISE, 65)]
    assert joined((CRUISE, 60), (APPROACH, 5), (LANDING, 30)) == [(CRUISE, 60), (APPROACH, 5), (LANDING, 30)]
    assert joined((TAXI, 60), (GROUND, 5), (TAXI, 60)) == [(TAXI, 125)]
    assert joined((GROUND, 60), (TAXI, 5), (GROUND, 60)) == [(GROUND, 60), (TAXI, 5), (GROUND, 60)]
    assert joined((CRUISE, 60), (UNKNOWN, 5), (CRUISE, 60)) == [(CRUISE, 60), (UNKNOWN, 5), (CRUISE, 60)]


def test_every_phase_is_in_the_table_of_legal_transitions() -> None:
    assert set(LEGAL) == set(PHASES)
    assert all(after <= set(PHASES) for after in LEGAL.values())


def test_phases_are_left_out_when_switched_off() -> None:
    table = enriched(airliner(60.0).rows, settings=Settings(phase=PhaseSettings(enabled=False)))
    assert "flight_phase" not in table.column_names
    assert "height_ft" not in table.column_names
