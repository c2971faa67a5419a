"""What can be known of each recording without its pilots, and is held: docs/phases.md lists it.

Facts come from outside where there are any: routes of known flights, counts that were taken of the files in other ways, what a
layout says by itself. The rest holds an answer that was looked at once.
"""

from __future__ import annotations

import os
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import flight_etl
from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude
from flight_etl.core.flights import flights_of
from flight_etl.core.quality import quality_of, summary
from flight_etl.settings import Settings
from flight_etl.store.airports import load_airports

SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES") or Path(__file__).parents[2].parent / "shared/data").resolve()

pytestmark = [
    pytest.mark.samples,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no folder {SAMPLES}; name one with FLIGHT_ETL_SAMPLES"),
]
if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS = (
    *("opensky/states_18col_ha_fixture.json", "opensky/states_gopensky_mock.json", "opensky/quickstart_snapshots.ndjson"),
    *("opensky_history/stonesoup_20210712_uk_6052.csv", "readsb/aircraft_dump1090fa_44.json", "readsb/adsbfi_readsb_api_21.json"),
    *("adsbx/adsbx_v2_462.json", "adsbx/adsbx_v1_29.json", "trace/trace_full_ac671b.json", "trace/adsb_actions_2023"),
    *("fr24/34a8254b.json", "ndjson/adsb_actions_1hr.ndjson"),
    *(
        f"flights/{name}.json.gz"
        for name in ("ajaccio", "belevingsvlucht", "calfire", "dreamliner_airfrance", "elal747", "samu31")
    ),
    *(f"surface/{name}.json.gz" for name in ("noisy_ground", "noisy_takeoff", "noisy_time_issue")),
)


@cache
def enriched(path: str) -> pa.Table:
    settings = Settings(units="aviation" if path.startswith(("flights/", "surface/")) else "si")
    return flight_etl.transform(flight_etl.read(SAMPLES / path, settings), settings).kept


def flights(path: str) -> list[dict[str, Any]]:
    return list(flights_of(enriched(path)).to_pylist())


def km_from(code: str, latitude: Any, longitude: Any) -> Any:
    """Distance from an airfield, km."""
    airports = load_airports()
    at = airports.icao.index(code)
    here = reduced_latitude(np.asarray(airports.latitude[at])), np.asarray(airports.longitude[at])
    return distance_m(*here, reduced_latitude(np.asarray(latitude)), np.asarray(longitude)) / 1_000.0


@pytest.mark.parametrize(
    ("path", "callsign", "origin", "destination", "km"),
    [
        ("fr24/34a8254b.json", "EDW24", "LSZH", "MMUN", (8_900, 9_500)),  # Edelweiss 24, Zurich to Cancun
        ("flights/elal747.json.gz", "ELY1747", "LIRF", "LLBG", (3_200, 3_600)),  # farewell of the 747: it drew one on its way
        ("flights/belevingsvlucht.json.gz", "TRA051", "EHAM", "EHAM", (2_300, 2_700)),
        ("surface/noisy_time_issue.json.gz", None, "LPPR", "LSZH", (1_600, 2_000)),  # by its own rows on the ground
    ],
)
def test_a_flight_of_known_route_is_one_flight_from_field_to_field(
    path: str, callsign: str | None, origin: str, destination: str, km: tuple[int, int]
) -> None:
    (flight,) = flights(path)
    assert (flight["callsign"], flight["origin_airport"], flight["destination_airport"]) == (callsign, origin, destination)
    assert km[0] <= flight["distance_km"] <= km[1]
    assert flight["takeoff_s"] > 0
    assert flight["landing_s"] > 0


def test_all_approaches_that_belevingsvlucht_breaks_off_are_at_lelystad_and_it_lands_at_schiphol() -> None:
    rows = (
        enriched("flights/belevingsvlucht.json.gz").select(["flight_phase", "latitude", "longitude", "altitude_ft"]).to_pylist()
    )
    turns = [two for one, two in pairwise(rows) if (one["flight_phase"], two["flight_phase"]) == ("approach", "climb")]
    assert len(turns) == 6
    for turn in turns:
        assert km_from("EHLE", turn["latitude"], turn["longitude"]) < 15
        assert km_from("EHAM", turn["latitude"], turn["longitude"]) > 45
        assert 1_800 < turn["altitude_ft"] < 2_300  # flown to 2,000 ft and no lower
    for phase in ("takeoff", "landing"):
        (first, *_) = [row for row in rows if row["flight_phase"] == phase]
        assert km_from("EHAM", first["latitude"], first["longitude"]) < 5


@pytest.mark.parametrize(("name", "callsign"), [("noisy_ground", "AUA570"), ("noisy_takeoff", "AFR181L")])
def test_noisy_departures_from_zurich_taxi_take_off_and_climb(name: str, callsign: str) -> None:
    (flight,) = flights(f"surface/{name}.json.gz")
    assert (flight["callsign"], flight["origin_airport"], flight["destination_airport"]) == (callsign, "LSZH", None)
    assert min(flight["taxi_s"], flight["takeoff_s"], flight["climb_s"]) > 0
    assert flight["unknown_s"] == 0


def test_two_dreamliners_are_two_flights_at_their_levels() -> None:
    assert [(one["callsign"], one["max_altitude_ft"]) for one in flights("flights/dreamliner_airfrance.json.gz")] == [
        ("FWKDL", pytest.approx(11_599)),
        ("AFR787V", pytest.approx(38_000)),
    ]


def test_repeats_of_the_stonesoup_sample_are_those_of_its_position_times() -> None:
    """10.66 % of its rows repeat (icao24, lastposupdate)."""
    told = summary(quality_of(enriched("opensky_history/stonesoup_20210712_uk_6052.csv")))
    assert told["stale"] == 645
    assert told["position_age_s"]["known"] == told["positions"] == 6_052
    assert told["coverage"] < 1 - told["stale_share"] + 1e-6


def test_snapshots_have_one_row_for_each_aircraft_and_what_says_ground_is_on_it() -> None:
    for path, aircraft, ground in (
        ("adsbx/adsbx_v2_462.json", 462, 198),
        ("readsb/adsbfi_readsb_api_21.json", 21, 9),
        ("adsbx/adsbx_v1_29.json", 29, None),
        ("readsb/aircraft_dump1090fa_44.json", 44, None),
        ("opensky/states_18col_ha_fixture.json", 4, None),
        ("opensky/states_gopensky_mock.json", 6, None),
    ):
        table = enriched(path)
        assert (table.num_rows, len(flights(path))) == (aircraft, aircraft)
        on_ground = table.filter(pc.fill_null(table["on_ground"], fill_value=False))
        if ground is not None:
            assert on_ground.num_rows == ground
        assert not {"cruise", "climb", "descent"} & set(on_ground["flight_phase"].to_pylist())
        assert set(pc.year(table["timestamp"]).to_pylist()) <= set(range(2015, 2027))  # ms and s are told apart


def test_an_hour_of_a_feed_is_an_hour_of_its_aircraft() -> None:
    table = enriched("ndjson/adsb_actions_1hr.ndjson")
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    assert 3_000 <= (times.max() - times.min()) / 1_000 <= 4_200
    assert len(set(table["icao24"].to_pylist())) == 59


def test_a_helicopter_has_no_roll_and_no_field() -> None:
    (flight,) = flights("flights/samu31.json.gz")
    assert (flight["takeoff_s"], flight["landing_s"], flight["taxi_s"], flight["origin_airport"]) == (0, 0, 0, None)


def test_the_calibration_flight_at_ajaccio_lands_there() -> None:
    (flight,) = flights("flights/ajaccio.json.gz")
    assert (flight["callsign"], flight["destination_airport"], flight["coverage"]) == ("CALIBRA", "LFKJ", 1.0)


def test_fire_fighters_heard_now_and_then_say_how_little_is_known_of_them() -> None:
    found = flights("flights/calfire.json.gz")
    assert len({one["icao24"] for one in found}) == 45
    assert sum(one["coverage"] < 0.5 for one in found) > len(found) / 10


def test_traces_of_a_day_are_those_of_their_files() -> None:
    files = (SAMPLES / "trace/adsb_actions_2023").rglob("*.json")
    named = {path.name.removeprefix("trace_full_").removesuffix(".json") for path in files}
    assert {one["icao24"] for one in flights("trace/adsb_actions_2023")} == named


def jumps(path: str) -> Iterator[tuple[str, str, float]]:
    for jump in summary(quality_of(enriched(path)))["first_jumps"]:
        yield jump["icao24"], jump["time"], jump["km"]


def test_the_one_aircraft_at_zurich_that_jumps_across_the_town_is_named() -> None:
    """Taxiing, it is 4 km away at 21:28:13, and back at its place ten seconds later; twice more 0.9 km."""
    assert list(jumps("surface/zurich_airport.json.gz")) == [
        ("4b17fd", "2019-11-05T21:28:13+00:00", pytest.approx(4.063, abs=0.01)),
        ("4b17fd", "2019-11-05T21:28:14+00:00", pytest.approx(4.053, abs=0.01)),
        ("4b17fd", "2019-11-05T21:46:17+00:00", pytest.approx(0.878, abs=0.01)),
        ("4b17fd", "2019-11-05T21:46:18+00:00", pytest.approx(0.883, abs=0.01)),
    ]


@pytest.mark.slow
def test_one_position_of_a_day_round_paris_is_out_of_reach() -> None:
    assert [jump[:2] for jump in jumps("flights/quickstart.json.gz")] == [("3991e0", "2021-10-07T14:54:53+00:00")]


@pytest.mark.parametrize("path", _OTHERS)
def test_no_position_of_any_other_recording_is(path: str) -> None:
    """The noisy ones are late and catch up, which takes nobody back."""
    assert summary(quality_of(enriched(path)))["outliers"] == {}
