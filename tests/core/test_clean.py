from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from raw_rows import normal

from flight_etl.core.clean import RULES, clean, units_warning
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.outcome import Reason, add_counts
from flight_etl.settings import CleanSettings

NOW = 1_700_000_000_000  # ms
GOOD = {
    "time": NOW,
    "icao24": "4b1901",
    "callsign": "SWR8AB",
    "time_position": NOW,
    "last_contact": NOW,
    "longitude": 8.5,
    "latitude": 47.25,
    "baro_altitude": 3048.0,
    "on_ground": False,
    "velocity": 185.2,
    "vertical_rate": 2.54,
    "geo_altitude": 3200.4,
}
SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES", Path(__file__).parents[2].parent / "shared" / "data"))


def _table(*changes: dict[str, Any]) -> pa.Table:
    return normal("opensky", *(GOOD | change for change in changes)).kept


def test_a_good_row_stays_as_it_is() -> None:
    table = _table({}, {"on_ground": True, "baro_altitude": 4411.0, "velocity": 0.0})
    outcome = clean(table, CleanSettings())
    assert outcome.kept.equals(table)
    assert outcome.dropped.num_rows == 0
    assert not [key for key in outcome.counts if key.startswith("nulled")]


@pytest.mark.parametrize(
    ("change", "rule", "nulled"),
    [
        ({"latitude": 90.01}, "position_range", {"latitude", "longitude", "position_time"}),
        ({"longitude": -180.5}, "position_range", {"latitude", "longitude", "position_time"}),
        ({"latitude": None}, "half_position", {"latitude", "longitude", "position_time"}),
        ({"longitude": None}, "half_position", {"latitude", "longitude", "position_time"}),
        ({"latitude": 0.0, "longitude": -0.0}, "null_island", {"latitude", "longitude", "position_time"}),
        ({"time_position": NOW + 61_000}, "position_time_range", {"position_time"}),
        ({"time_position": NOW - 15_001_000}, "position_time_range", {"position_time"}),
        ({"last_contact": NOW + 61_000}, "contact_time_range", {"contact_time"}),
        ({"baro_altitude": -1000.1}, "altitude_range", {"altitude"}),
        ({"baro_altitude": 30_481.0}, "altitude_range", {"altitude"}),
        ({"geo_altitude": 30_481.0}, "geo_altitude_range", {"geo_altitude"}),
        ({"baro_altitude": 5001.0, "on_ground": True, "geo_altitude": None}, "altitude_on_ground", {"altitude", "geo_altitude"}),
        ({"geo_altitude": 5001.0, "on_ground": True}, "geo_altitude_on_ground", {"geo_altitude"}),
        ({"velocity": -0.1}, "velocity_range", {"velocity"}),
        ({"velocity": 1100.1}, "velocity_range", {"velocity"}),
        ({"vertical_rate": -449.6}, "vertical_rate_range", {"vertical_rate"}),
        ({"callsign": "TOOLONG12"}, "callsign_form", {"callsign"}),
        ({"callsign": "N/A"}, "callsign_form", {"callsign"}),
    ],
)
def test_what_cannot_be_true_becomes_null_and_is_counted(change: dict[str, Any], rule: str, nulled: set[str]) -> None:
    outcome = clean(_table(change, {}), CleanSettings())
    broken, good = outcome.kept.to_pylist()
    assert {n for n, v in broken.items() if v is None and good[n] is not None} == nulled
    assert {k: n for k, n in outcome.counts.items() if k.startswith("nulled.")} == {f"nulled.{rule}": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"latitude": -90.0, "longitude": 180.0},
        {"latitude": 0.0, "longitude": 8.0},
        {"latitude": None, "longitude": None},
        {"time_position": NOW + 60_000, "last_contact": NOW - 15_000_000},
        {"baro_altitude": 30_480.0},
        {"velocity": 1100.0, "vertical_rate": -152.4},
        {"callsign": "D-EABC"},
        {"on_ground": None, "baro_altitude": 9000.0},
    ],
)
def test_the_limits_themselves_are_possible(change: dict[str, Any]) -> None:
    table = _table(change)
    assert clean(table, CleanSettings()).kept.equals(table)


@pytest.mark.parametrize(
    ("time", "kept"), [(0, 0), (631_152_000_000, 1), (631_151_999_999, 0), (4_102_444_800_000, 1), (4_102_444_800_001, 0)]
)
def test_a_row_outside_the_possible_years_is_dropped_and_told(time: int, kept: int) -> None:
    outcome = clean(_table({"time": time}), CleanSettings())
    assert outcome.kept.num_rows == kept
    assert outcome.dropped.num_rows == 1 - kept
    if not kept:
        (row,) = outcome.dropped.to_pylist()
        assert row["reason"] == Reason.BAD_TIMESTAMP
        assert str(time) in row["detail"]
        assert row["icao24"] == "4b1901"


def test_times_without_a_zone_are_utc() -> None:
    assert clean(_table({}), CleanSettings(min_time="2024-01-01")).kept.num_rows == 0
    assert clean(_table({}), CleanSettings(min_time="2023-11-14T22:13:20")).kept.num_rows == 1


def test_every_setting_of_a_limit_is_read() -> None:
    strict = CleanSettings(
        min_altitude_m=3100.0, max_ground_altitude_m=1.0, max_velocity_mps=1.0, max_vertical_rate_mps=1.0, max_position_lag_s=1.0
    )
    outcome = clean(_table({"time_position": NOW - 2000}, {"baro_altitude": 3101.0, "on_ground": True}), strict)
    assert outcome.kept["altitude"].null_count == 2
    assert outcome.kept["velocity"].null_count == outcome.kept["vertical_rate"].null_count == 2
    assert outcome.kept["position_time"].null_count == 1
    assert (
        clean(_table({}), CleanSettings(max_altitude_m=1.0, max_position_lead_s=-1.0)).counts["nulled.position_time_range"] == 1
    )


def test_rules_have_names_of_their_own_and_say_where_their_limits_come_from() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.limit and rule.source for rule in RULES)


def test_no_rows_and_plain_text_columns_are_accepted() -> None:
    empty = _table({}).slice(0, 0)
    assert clean(empty, CleanSettings()).kept.num_rows == 0
    assert clean(pa.Table.from_batches([], empty.schema), CleanSettings()).kept.num_rows == 0
    table = _table({"callsign": "N/A"})
    plain = table.set_column(table.schema.get_field_index("callsign"), "callsign", table["callsign"].cast(pa.string()))
    assert clean(plain, CleanSettings()).kept["callsign"].to_pylist() == [None]


def _climbs(n: int, *, altitude: float, velocity: float, vertical_rate: float) -> pa.Table:
    return _table(*[{"baro_altitude": altitude, "velocity": velocity, "vertical_rate": vertical_rate}] * n)


def test_feet_per_minute_read_as_metres_per_second_are_noticed_whatever_flies() -> None:
    """A helicopter's climb is as telling as a jet's, and telling before the limits null it."""
    for rows in (
        _climbs(10, altitude=1125.0, velocity=87.0, vertical_rate=512.0),
        _climbs(10, altitude=9000.0, velocity=300.0, vertical_rate=-2048.0),
    ):
        warning = units_warning(clean(rows, CleanSettings()).counts)
        assert warning is not None
        assert "--units aviation" in warning


def test_a_cruise_in_feet_and_knots_is_noticed_without_rates() -> None:
    rows = _table(*[{"baro_altitude": 37_000.0, "velocity": 450.0, "vertical_rate": None}] * 10)
    assert units_warning(clean(rows, CleanSettings()).counts) is not None


@pytest.mark.parametrize(
    ("altitude", "velocity", "vertical_rate"),
    [(11_277.0, 290.0, 0.3), (12_000.0, 370.0, 12.0), (8_000.0, 300.0, 254.0), (18_000.0, 15.0, 1.0), (17_000.0, 600.0, None)],
    ids=["airliner", "jet stream", "fighter", "balloon", "Concorde"],
)
def test_true_metres_are_never_taken_for_feet(altitude: float, velocity: float, vertical_rate: float | None) -> None:
    rows = _table(*[{"baro_altitude": altitude, "velocity": velocity, "vertical_rate": vertical_rate}] * 100)
    assert units_warning(clean(rows, CleanSettings()).counts) is None


def test_rare_errors_in_metres_are_not_taken_for_feet() -> None:
    rows = pa.concat_tables(
        [
            _climbs(4, altitude=1e4, velocity=200.0, vertical_rate=600.0),
            _climbs(96, altitude=1e4, velocity=200.0, vertical_rate=0.0),
        ]
    )
    assert units_warning(clean(rows, CleanSettings()).counts) is None
    assert units_warning({}) is None


def _sample(path: Path, limit: int) -> pa.Table:
    """First records of a JSON array of flat objects, read as SI."""
    with gzip.open(path) as file:
        records = json.load(file)
    aliases = {key: field.name for field in LAYOUTS["flat"].fields for key in field.keys if not field.path}
    step = max(1, len(records) // limit)
    rows = [
        {aliases[k]: str(v) if k == "squawk" else v for k, v in r.items() if k in aliases and v is not None}
        for r in records[::step]
    ]
    return normal("flat", *rows).kept


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no recordings here")
@pytest.mark.parametrize(
    "name", ["quickstart", "elal747", "dreamliner_airfrance", "belevingsvlucht", "calfire", "ajaccio", "samu31"]
)
def test_recordings_in_feet_are_noticed_when_read_as_metres(name: str) -> None:
    rows = _sample(SAMPLES / "flights" / f"{name}.json.gz", 3000)
    assert units_warning(clean(rows, CleanSettings()).counts) is not None


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no recordings here")
def test_opensky_recordings_are_never_taken_for_feet() -> None:
    lines = (SAMPLES / "opensky" / "quickstart_snapshots.ndjson").read_text().splitlines()
    places = {field.index: field.name for field in LAYOUTS["opensky"].fields if field.index is not None}
    texts = {"position_source"}
    counts = []
    for body in map(json.loads, lines):
        rows = [
            {name: str(s[i]) if name in texts else s[i] for i, name in places.items() if i < len(s)}
            | {"time": body["time"] * 1000}
            for s in body["states"]
        ]
        rows = [row | {k: row[k] * 1000 for k in ("time_position", "last_contact") if row[k] is not None} for row in rows]
        counts.append(clean(normal("opensky", *rows).kept, CleanSettings()).counts)
    total = add_counts(counts)
    assert total["looks.rate_samples"] > 1000
    assert units_warning(total) is None
