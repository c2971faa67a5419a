"""Values in feet that were read as metres are told with the inputs and aircraft that they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from flight_etl.runners.units_told import Signs, told_of_units
from flight_etl.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command


def recording(name: str, rows: int = 50, **values: Any) -> str:
    """A file of level flight under the address 4b1801, or that in `values`."""
    common = {"icao24": "4b1801", "latitude": 47.0, "longitude": 8.0, "altitude": 10_000.0, "velocity": 230.0, "on_ground": False}
    lines = [json.dumps(common | {"timestamp": 1_700_000_000 + 5 * at} | values) for at in range(rows)]
    Path(name).write_text("\n".join(lines))
    return name


def units(report: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = report["quality"].get("units", {})
    return told


def test_one_input_in_feet_among_many_in_metres_is_named(etl: Command) -> None:
    good = [recording(f"good{at}.ndjson", 2_000, icao24=f"4b180{at}") for at in range(3)]
    bad = recording("feet.ndjson", icao24="4b1809", altitude=36_000.0, velocity=450.0)
    report = etl("run", *good, bad, "-o", "out", "--json").json
    assert units(report) == {
        "inputs": 1,
        "first_inputs": [{"path": bad, "rows": 50}],
        "aircraft": 1,
        "first_aircraft": ["4b1809"],
    }
    (note,) = report["notes"]
    assert note.startswith("values read as metres and m/s look like feet and knots in some inputs. Inputs: feet.ndjson.")
    assert "Aircraft: 4b1809" in note
    told = etl("run", *good, bad, "-o", "other")
    assert "1 input and 1 aircraft look like feet and knots" in told.out
    assert "feet.ndjson" in told.err


def test_metres_are_not_remarked_on_and_neither_is_what_the_user_calls_aviation(etl: Command) -> None:
    report = etl("run", recording("good.ndjson"), "-o", "out", "--json").json
    assert (units(report), report["notes"]) == ({}, [])
    bad = recording("feet.ndjson", altitude=36_000.0, velocity=450.0)
    report = etl("run", bad, "-o", "aviation", "--units", "aviation", "--json").json
    assert (units(report), report["notes"]) == ({}, [])


def test_altitudes_alone_in_feet_are_told_apart_from_all_in_aviation_units(etl: Command) -> None:
    report = etl("run", recording("mixed.ndjson", altitude=36_000.0), "-o", "out", "--json").json
    (note,) = report["notes"]
    assert "altitudes read as metres look like feet, while speeds look like m/s" in note
    assert "mixed.ndjson" in note
    assert etl("convert", "mixed.ndjson", "one.parquet", "--json").json["quality"]["units"]["inputs"] == 1


def test_of_many_inputs_the_first_twenty_are_named_and_all_counted(etl: Command) -> None:
    bad = [recording(f"{at:02}.ndjson", 5, altitude=36_000.0, velocity=450.0, icao24=f"4b18{at:02}") for at in range(25)]
    report = etl("run", *bad, "-o", "out", "--json").json
    assert [one["path"] for one in units(report)["first_inputs"]] == bad[:20]
    assert (units(report)["inputs"], units(report)["aircraft"]) == (25, 25)
    assert "00.ndjson, 01.ndjson, 02.ndjson and 22 more" in report["notes"][0]


def test_made_up_flights_in_their_own_units_show_no_sign(etl: Command, generated: Callable[..., Path]) -> None:
    for layout, suffix in (("flat", ".ndjson"), ("opensky", ".ndjson"), ("readsb", ".json")):
        report = etl("run", generated(5_000, layout=layout, suffix=suffix), "-o", layout, "--json").json
        assert (units(report), report["notes"]) == ({}, [])


@given(st.lists(st.dictionaries(st.sampled_from(["looks.input.0", "looks.input.1", "looks.aircraft.a", "x"]), st.integers(1, 9))))
def test_what_parts_say_adds_up(parts: list[dict[str, int]]) -> None:
    whole, joined = Signs(), Signs()
    for part in parts:
        rest = whole.take(part)
        assert rest.keys() <= {"x"}
        own = Signs()
        own.take(part)
        joined.add(own.inputs, own.aircraft)
    assert whole == joined
    told = told_of_units(whole, [("one", 10), ("two", 10_000)], Settings())
    assert told.get("inputs", 0) == (whole.inputs.get(0, 0) >= 5) + (whole.inputs.get(1, 0) >= 200)
