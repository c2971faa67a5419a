from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from raw_rows import normal, normal_row, raw_rows

from flight_etl.core import words
from flight_etl.core.normalise import normalise
from flight_etl.outcome import Reason
from flight_etl.schema import DROPPED_SCHEMA, NORMAL
from flight_etl.settings import NormaliseSettings

NOW = 1_700_000_000_000  # ms

OPENSKY = {
    "time": NOW,
    "icao24": "4b1901",
    "callsign": "SWR8AB  ",
    "origin_country": "Switzerland",
    "time_position": NOW - 2000,
    "last_contact": NOW - 1000,
    "longitude": 8.5,
    "latitude": 47.25,
    "baro_altitude": 3048.0,
    "on_ground": False,
    "velocity": 185.2,
    "true_track": 271.0,
    "vertical_rate": 2.54,
    "geo_altitude": 3200.4,
    "squawk": "1000",
    "spi": False,
    "position_source": "0",
    "category": "4",
}
READSB = {
    "now": NOW,
    "hex": "4b1901",
    "flight": "SWR8AB  ",
    "seen_pos": 2.0,
    "seen": 1.0,
    "lon": 8.5,
    "lat": 47.25,
    "alt_baro": 10_000.0,
    "gs": 360.0,
    "track": 271.0,
    "baro_rate": 500.0,
    "alt_geom": 10_500.0,
    "squawk": "1000",
    "spi": False,
    "type": "adsb_icao",
    "category": "A3",
}


def test_columns_are_those_of_normal_then_provenance_then_extras() -> None:
    raw = (
        raw_rows("opensky", OPENSKY)
        .append_column("x:sensors", pa.array(["[1]"]))
        .append_column("_input", pa.array([3], pa.int32()))
    )
    kept = normalise(raw, NormaliseSettings(layout="opensky")).kept
    assert kept.column_names == [c.name for c in NORMAL] + ["_input", "_record", "_offset", "x:sensors"]
    assert [kept.schema.field(c.name).type for c in NORMAL] == [c.type for c in NORMAL]


def test_a_row_of_opensky_and_one_of_readsb_become_the_same() -> None:
    one, other = normal_row("opensky", OPENSKY), normal_row("readsb", READSB)
    assert one.pop("origin_country") == "Switzerland"
    assert other.pop("origin_country") is None
    assert one == pytest.approx(other)
    assert one["position_time"] == NOW - 2000
    assert one["contact_time"] == NOW - 1000


def test_units_of_flat_names_follow_the_setting_and_those_of_aviation_names_do_not() -> None:
    plain = {
        "timestamp": NOW,
        "icao24": "4b1901",
        "altitude": 1000.0,
        "velocity": 100.0,
        "vertical_rate": 10.0,
        "geo_altitude": 1.0,
    }
    named = {"timestamp": NOW, "icao24": "4b1901", "altitude_ft": 1000.0, "velocity_kt": 100.0, "baro_rate_fpm": 600.0}
    si, aviation = (normal_row("flat", plain, units=units) for units in ("si", "aviation"))
    assert (si["altitude"], si["velocity"], si["vertical_rate"], si["geo_altitude"]) == (1000.0, 100.0, 10.0, 1.0)
    assert aviation["altitude"] == pytest.approx(304.8)
    assert aviation["velocity"] == pytest.approx(51.4444444)
    assert aviation["vertical_rate"] == pytest.approx(0.0508)
    for units in ("si", "aviation"):
        row = normal_row("flat", named, units=units)
        assert row["altitude"] == pytest.approx(304.8)
        assert row["velocity"] == pytest.approx(100 * 1852 / 3600)
        assert row["vertical_rate"] == pytest.approx(3.048)
    assert normal_row("flat", {"timestamp": NOW, "icao24": "4b1901", "velocity_kmh": 36.0})["velocity"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("4b1901", "4b1901"),
        (" 4B1901 ", "4b1901"),
        ("0x4B1901", "4b1901"),
        ("~2a3b4c", "~2a3b4c"),
        ("10123", "010123"),
        ("398564.0", "398564"),
        ("000000", "000000"),
    ],
)
def test_addresses_are_lower_case_hex(sent: str, expected: str) -> None:
    row = normal_row("flat", {"timestamp": NOW, "icao24": sent})
    assert row["icao24"] == expected
    assert row["address_type"] == ("non_icao" if "~" in expected else "icao")


@pytest.mark.parametrize("sent", ["4b19", "4b1901a", "ghijkl", "~", "-12345", "1234567", "N/A", "٣٩٨٥٦٤", "9" * 5000])
def test_a_row_whose_address_is_none_is_dropped_and_quoted(sent: str) -> None:
    outcome = normal("flat", {"timestamp": NOW, "icao24": sent})
    assert outcome.kept.num_rows == 0
    (row,) = outcome.dropped.to_pylist()
    assert row["reason"] == Reason.BAD_ICAO24
    assert sent[:40] in row["detail"]
    assert len(row["detail"]) < 100
    assert row["icao24"] is None


def test_a_heartbeat_row_has_no_address_and_its_callsign_is_told() -> None:
    outcome = normal("flat", {"timestamp": NOW, "callsign": "N/A"}, {"timestamp": NOW, "icao24": "  "}, {})
    assert outcome.dropped.schema == DROPPED_SCHEMA
    assert outcome.dropped["reason"].to_pylist() == [Reason.MISSING_ICAO24] * 3
    assert outcome.dropped["detail"].to_pylist() == ["no address; callsign N/A", "no address", "no address"]
    assert outcome.dropped["_record"].to_pylist() == [0, 1, 2]
    assert outcome.dropped["_offset"].to_pylist() == [0, 10, 20]


def test_a_row_without_a_time_is_dropped_with_its_address() -> None:
    outcome = normal("opensky", OPENSKY, OPENSKY | {"time": None})
    assert outcome.kept.num_rows == 1
    (row,) = outcome.dropped.to_pylist()
    assert (row["reason"], row["icao24"], row["_record"]) == (Reason.MISSING_TIMESTAMP, "4b1901", 1)


def test_dropped_rows_say_which_input_they_come_from() -> None:
    raw = raw_rows("flat", {"timestamp": NOW}).append_column("_input", pa.array([7], pa.int32()))
    assert normalise(raw, NormaliseSettings()).dropped["_input"].to_pylist() == [7]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("", None), ("        ", None), ("00000000", None), ("@@@@@@@@", None), ("AFR1 ", "AFR1"), ("ab-c\0", "ab-c")],
)
def test_blank_callsigns_are_null(sent: str, expected: str | None) -> None:
    assert normal_row("opensky", OPENSKY | {"callsign": sent})["callsign"] == expected


@pytest.mark.parametrize(
    ("sent", "expected", "nulled"),
    [
        ("0241", "0241", 0),
        ("241", "0241", 0),
        ("1174.0", "1174", 0),
        ("0", None, 1),
        ("0000", "0000", 0),
        ("8000", None, 1),
        ("", None, 0),
        ("abc", None, 1),
    ],
)
def test_squawks_are_four_octal_digits(sent: str, expected: str | None, nulled: int) -> None:
    outcome = normal("opensky", OPENSKY | {"squawk": sent})
    assert outcome.kept["squawk"].to_pylist() == [expected]
    assert outcome.counts.get("nulled.squawk_code", 0) == nulled


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        *(
            (str(n), code)
            for n, code in enumerate(
                [*(f"A{n}" for n in range(8)), *(f"B{n}" for n in range(1, 8)), *(f"C{n}" for n in range(1, 6))], start=1
            )
        ),
        ("0", None),
        ("-1", None),
        ("21", None),
        ("a5", "A5"),
        ("D7", "D7"),
        ("E1", None),
        ("4.0", "A3"),
    ],
)
def test_categories_are_emitter_categories(sent: str, expected: str | None) -> None:
    assert words.category(sent) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("0", "adsb"),
        ("1", "asterix"),
        ("2", "mlat"),
        ("3", "flarm"),
        ("8", "other"),
        ("-1", "other"),
        ("ADS-B", "adsb"),
        ("MLAT", "mlat"),
        ("tisb_icao", "tisb"),
        ("Mode S", "mode_s"),
        (" ", None),
        ("radar", "other"),
    ],
)
def test_position_sources_are_words(sent: str, expected: str | None) -> None:
    assert words.source(sent) == expected


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("adsb_icao", "adsb"),
        ("adsb_icao_nt", "adsb"),
        ("adsb_other", "adsb"),
        ("adsr_icao", "adsr"),
        ("adsr_other", "adsr"),
        ("tisb_trackfile", "tisb"),
        ("mlat", "mlat"),
        ("adsc", "adsc"),
        ("mode_s", "mode_s"),
        ("other", "other"),
        ("unknown", "other"),
        ("", None),
    ],
)
def test_types_of_readsb_are_position_sources(type_: str, expected: str | None) -> None:
    assert normal_row("readsb", READSB | {"type": type_})["position_source"] == expected


def test_a_latitude_from_mlat_or_tisb_overrules_the_type() -> None:
    mlat = READSB | {"type": "mode_s", "mlat": '["gs","lat","lon"]', "tisb": "[]"}
    tisb = READSB | {"mlat": '["gs"]', "tisb": '["lat"]'}
    nowhere = mlat | {"lat": None, "lon": None}
    assert normal("readsb", mlat, tisb, nowhere).kept["position_source"].to_pylist() == ["mlat", "tisb", "mode_s"]


def test_dump1090_without_type_means_adsb_where_there_is_a_position() -> None:
    row = READSB | {"type": None, "mlat": "[]"}
    assert normal("readsb", row, row | {"lat": None, "lon": None}, READSB | {"type": None}).kept[
        "position_source"
    ].to_pylist() == ["adsb", None, None]


def test_an_altitude_of_ground_means_on_ground_and_a_number_airborne() -> None:
    kept = normal("readsb", *(READSB | {"alt_baro": value} for value in ("ground", 0.0, None))).kept
    assert kept["on_ground"].to_pylist() == [True, False, None]
    assert kept["altitude"].to_pylist() == [None, 0.0, None]


def test_a_flat_altitude_number_does_not_say_airborne() -> None:
    base = {"timestamp": NOW, "icao24": "4b1901"}
    kept = normal(
        "flat", base | {"altitude": 5.0}, base | {"altitude_ft": "ground"}, base | {"altitude": 5.0, "on_ground": True}
    ).kept
    assert kept["on_ground"].to_pylist() == [None, True, True]
    assert kept["altitude"].to_pylist() == [5.0, None, 5.0]


def test_fr24_altitude_zero_means_on_ground() -> None:
    base = {"timestamp": NOW, "modes": "4B1901", "callsign": "EDW24", "latitude": 47.4, "longitude": 8.5, "squawk": "0"}
    kept = normal("fr24", base | {"altitude": 0.0}, base | {"altitude": 1000.0}, base).kept
    assert kept["on_ground"].to_pylist() == [True, False, None]
    assert kept["altitude"].to_pylist() == [None, pytest.approx(304.8), None]
    assert kept["position_time"].to_pylist() == kept["timestamp"].to_pylist()
    assert kept["squawk"].null_count == 3


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(-150.0, 210.0), (360.0, 0.0), (-1e-20, 0.0), (725.0, 5.0), (0.0, 0.0), (math.nan, None), (math.inf, None)],
)
def test_headings_are_in_one_turn(sent: float, expected: float | None) -> None:
    assert normal_row("opensky", OPENSKY | {"true_track": sent})["heading"] == expected


def test_numbers_that_are_none_are_null_and_counted() -> None:
    outcome = normal("opensky", OPENSKY | {"velocity": math.inf, "baro_altitude": math.nan})
    assert outcome.kept["velocity"].null_count == outcome.kept["altitude"].null_count == 1
    assert outcome.counts == {"nulled.not_finite": 2}


def test_the_nose_is_the_track_on_the_ground_only() -> None:
    row = READSB | {"track": None, "true_heading": 95.0}
    assert normal("readsb", row, row | {"alt_baro": "ground"}, READSB | {"alt_baro": "ground", "true_heading": 1.0}).kept[
        "heading"
    ].to_pylist() == [None, 95.0, 271.0]


def test_an_older_position_comes_with_its_own_age() -> None:
    """A position is never put together from two reports."""
    row = READSB | {"last_lat": 1.0, "last_lon": 2.0, "last_seen_pos": 70.0}
    fresh, old, none = normal(
        "readsb", row, row | {"lat": None, "lon": None, "seen_pos": None}, {**READSB, "lat": None, "lon": None, "seen_pos": None}
    ).kept.to_pylist()
    assert (fresh["latitude"], fresh["longitude"]) == (47.25, 8.5)
    assert (old["latitude"], old["longitude"]) == (1.0, 2.0)
    assert (old["timestamp"] - old["position_time"]).total_seconds() == 70
    assert (none["latitude"], none["position_time"]) == (None, None)


def test_a_record_with_its_own_time_needs_no_envelope() -> None:
    assert normal_row("readsb", READSB | {"now": None, "record_now": NOW + 500})["timestamp"] == NOW + 500


def test_very_old_dump1090_says_when_position_and_track_are_none() -> None:
    row = normal_row("readsb", READSB | {"validposition": False, "validtrack": False})
    assert (row["latitude"], row["longitude"], row["position_time"], row["heading"]) == (None, None, None, None)
    assert normal_row("readsb", READSB | {"validposition": True, "validtrack": True})["heading"] == 271.0


TRACE: dict[str, Any] = {
    "icao": "ac671b",
    "base": NOW,
    "offset": 8.96,
    "lat": 16.7,
    "lon": -88.0,
    "alt": 32_000.0,
    "gs": 480.0,
    "track": 10.0,
    "flags": 0.0,
    "rate": -640.0,
    "type": "adsb_icao",
}


def test_a_trace_row_speaks_at_base_plus_offset_and_its_position_too() -> None:
    row = normal_row("trace", TRACE | {"aircraft_flight": "DAL1812 "})
    assert row["timestamp"] == row["position_time"] == NOW + 8960
    assert row["callsign"] == "DAL1812"
    assert row["on_ground"] is False
    assert row["vertical_rate"] == pytest.approx(-640 * 0.3048 / 60)
    assert normal("trace", TRACE | {"base": None}).dropped["reason"].to_pylist() == [Reason.MISSING_TIMESTAMP]
    assert normal("trace", TRACE | {"offset": math.inf}).dropped["reason"].to_pylist() == [Reason.MISSING_TIMESTAMP]


def test_a_geometric_altitude_in_a_trace_is_no_pressure_altitude() -> None:
    kept = normal("trace", TRACE | {"flags": 12.0}, TRACE | {"flags": 9.0, "alt_geom": 33_000.0}, TRACE | {"flags": 1.0}).kept
    assert kept["altitude"].to_pylist() == [None, None, pytest.approx(32_000 * 0.3048)]
    assert kept["geo_altitude"].to_pylist() == [pytest.approx(32_000 * 0.3048), pytest.approx(33_000 * 0.3048), None]
    assert kept["on_ground"].to_pylist() == [False] * 3


def test_old_trace_rows_take_what_the_aircraft_object_says() -> None:
    row = normal_row(
        "trace",
        TRACE
        | {
            "track": None,
            "rate": None,
            "type": None,
            "aircraft_track": 11.0,
            "aircraft_baro_rate": 64.0,
            "aircraft_alt_geom": 100.0,
            "aircraft_type": "mlat",
            "aircraft_squawk": "4637",
            "aircraft_category": "A3",
        },
    )
    assert (row["heading"], row["position_source"], row["squawk"], row["category"]) == (11.0, "mlat", "4637", "A3")
    assert row["vertical_rate"] == pytest.approx(64 * 0.3048 / 60)
    assert row["geo_altitude"] == pytest.approx(30.48)


V1 = {
    "ctime": NOW,
    "postime": NOW - 3000,
    "icao": "4010ED",
    "call": "EZY98KM",
    "lat": 52.3,
    "lon": 4.7,
    "alt": 375.0,
    "spd": 11.8,
    "trak": 357.2,
    "gnd": True,
    "cou": "United Kingdom",
    "mlat": "0",
    "tisb": "0",
    "trt": 5.0,
    "sqk": "7344",
    "altt": False,
    "trkh": True,
}


def test_a_v1_row_speaks_at_the_time_of_its_body() -> None:
    row = normal_row("adsbx-v1", V1)
    assert (row["timestamp"], row["position_time"]) == (NOW, NOW - 3000)
    assert (row["icao24"], row["on_ground"], row["squawk"], row["origin_country"]) == ("4010ed", True, "7344", "United Kingdom")
    assert (row["position_source"], row["heading"]) == ("adsb", 357.2)
    assert row["altitude"] == pytest.approx(114.3)


def test_v1_flags_say_what_altitude_and_track_are() -> None:
    kept = normal("adsbx-v1", V1 | {"altt": True, "gnd": False}, V1 | {"mlat": "1"}, V1 | {"tisb": "1"}, V1 | {"trt": 1.0}).kept
    first = kept.slice(0, 1).to_pylist()[0]
    assert (first["altitude"], first["geo_altitude"], first["heading"]) == (None, pytest.approx(114.3), None)
    assert kept["position_source"].to_pylist() == ["adsb", "mlat", "tisb", None]


def test_flat_last_position_stands_in_for_a_missing_one() -> None:
    row = {"timestamp": NOW, "icao24": "4b1901", "last_latitude": 1.0, "last_longitude": 2.0, "last_timestamp": NOW - 9000}
    old, fresh = normal_row("flat", row), normal_row("flat", row | {"latitude": 3.0, "longitude": 4.0})
    assert (old["latitude"], old["longitude"], old["position_time"]) == (1.0, 2.0, NOW - 9000)
    assert (fresh["latitude"], fresh["longitude"], fresh["position_time"]) == (3.0, 4.0, None)


def test_absent_columns_count_as_null() -> None:
    raw = pa.table(
        {"_record": pa.array([0]), "_offset": pa.array([0]), "timestamp": pa.array([NOW]), "icao24": pa.array(["4b1901"])}
    )
    (row,) = normalise(raw, NormaliseSettings()).kept.to_pylist()
    assert {name for name, value in row.items() if value is not None} == {
        "icao24",
        "address_type",
        "timestamp",
        "_record",
        "_offset",
    }


def test_no_rows_give_no_rows() -> None:
    for layout in ("opensky", "trace", "flat", "readsb"):
        outcome = normal(layout)
        assert outcome.kept.num_rows == outcome.dropped.num_rows == 0
        assert outcome.kept.column_names[: len(NORMAL)] == [c.name for c in NORMAL]


def test_times_that_overflow_are_no_times() -> None:
    assert normal("opensky", OPENSKY | {"time": 2**63 - 1}).dropped["reason"].to_pylist() == [Reason.MISSING_TIMESTAMP]
    assert normal_row("readsb", READSB | {"seen_pos": 1e300})["position_time"] is None


def test_encoded_and_chunked_text_is_read_like_any_other() -> None:
    raw = raw_rows("opensky", OPENSKY, OPENSKY | {"icao24": "ABCDEF", "callsign": None})
    at = raw.schema.get_field_index("icao24")
    encoded = raw.set_column(at, "icao24", raw["icao24"].dictionary_encode())
    parts = pa.concat_tables([encoded.slice(0, 1), encoded.slice(1)])
    settings = NormaliseSettings(layout="opensky")
    assert normalise(parts, settings).kept.to_pylist() == normalise(raw, settings).kept.to_pylist()
