"""The forms in which records come, layout by layout."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sources import Memory, decoded

from flight_etl.core.decode import detect
from flight_etl.errors import InputError, SettingsError
from flight_etl.settings import DecodeSettings

_FLAT = {"icao24": "4b1901", "timestamp": 1}


def _row(width: int = 17, **places: Any) -> list[Any]:
    row: list[Any] = ["4b1901", *[None] * (width - 1)]
    for place, value in places.items():
        row[int(place[1:])] = value
    return row


def _dump(*documents: Any, separator: str = "\n") -> bytes:
    return separator.join(json.dumps(one) for one in documents).encode()


@pytest.mark.parametrize("separator", ["", "\n", "\r\n", ",", " , \n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_several_documents_in_one_file(separator: str, start: bytes, block: int) -> None:
    flat = decoded(Memory(start + _dump(_FLAT, _FLAT, [_FLAT], {"data": [_FLAT]}, separator=separator), block), "flat")
    assert (flat.kept.num_rows, flat.error, flat.dropped) == (4, None, [])
    bodies = [{"time": 5, "states": [_row()]}, {"states": [_row()], "time": 6}, {"time": 7, "states": None}]
    for data in (_dump(*bodies, separator=separator), _dump(bodies)):
        states = decoded(Memory(start + data, block), "opensky")
        assert (states.column("time"), states.error, states.dropped) == ([5000, 6000], None, [])


@pytest.mark.parametrize("states", ["null", "[]"])
def test_an_empty_envelope_is_no_error(states: str) -> None:
    result = decoded(f'{{"time":7,"states":{states}}}'.encode(), "opensky")
    assert (result.kept.num_rows, result.dropped, result.error) == (0, [], None)


def test_a_null_beside_an_address_is_a_value() -> None:
    result = decoded(b' {"icao24":"4b1901","data":null}\n {"data":null}\n[{"icao24":"4b1902","data":null}]', "flat")
    assert result.column("icao24") == ["4b1901", "4b1902"]


def test_what_stands_behind_a_long_array_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flight_etl.core.decode.collect.HELD_BYTES", 300)
    documents = [{"states": [_row()] * 20, "time": 5}, {"states": [_row()] * 20, "time": 6}]
    for block in (3, 1 << 20):
        result = decoded(Memory(_dump(*documents), block), "opensky", chunk_rows=4)
        assert result.column("time") == [5000] * 20 + [6000] * 20


@pytest.mark.parametrize(
    ("now", "milliseconds"), [(1.5, 1500), (1_700_000_000, 1_700_000_000_000), (1_700_000_000_123, 1_700_000_000_123)]
)
def test_now_in_seconds_or_milliseconds(now: float, milliseconds: int) -> None:
    body = {"now": now, "ac": [{"hex": "4b1901", "alt_baro": "ground"}, {"hex": "4b1902", "alt_baro": 100}]}
    result = decoded(_dump(body), "adsbx-v2")
    assert result.column("now") == [milliseconds] * 2
    assert (result.column("alt_baro_ground"), result.column("alt_baro")) == ([True, False], [None, 100.0])


def test_widths_of_opensky_rows() -> None:
    old = _row(18, p15=False, p16=True, p17=3)
    rows = [_row(13, p12=[1]), _row(17, p16=2), _row(18, p16=2, p17=4), old, _row(19, p18="x"), _row(12), []]
    result = decoded(_dump({"time": 1, "states": rows}), "opensky")
    assert result.reasons == ["bad_width", "bad_width"]
    assert result.column("position_source") == [None, "2", "2", "3", None]
    assert result.column("category") == [None, None, "4", None, None]
    assert result.column("spi") == [None, None, None, True, None]
    assert (result.column("x:alert"), result.column("x:column_18")) == ([None, None, None, False, None], [None] * 4 + ["x"])
    assert result.column("x:sensors") == ["[1]", None, None, None, None]


def test_what_a_trace_says_holds_until_it_says_otherwise() -> None:
    def row(offset: float, about: Any) -> list[Any]:
        return [offset, 1.0, 2.0, "ground", None, None, 0, None, about, "adsb_icao", None, None, None, -0.0]

    trace = [
        row(0, None),
        row(1, {"flight": "A", "spi": 1, "rssi": -1.50}),
        row(2, None),
        row(3, {"flight": "B"}),
        row(4.5, None),
    ]
    document = {"trace": trace, "icao": "4b1901", "timestamp": 1_700_000_000, "r": "D-ABCD"}
    for rows in (1, 100):
        result = decoded(_dump(document, {**document, "r": None}), "trace", chunk_rows=rows)
        assert result.column("aircraft_flight") == [None, "A", "A", "B", "B"] * 2
        assert result.column("aircraft_spi")[:5] == [None, True, None, None, None]
        assert (result.column("icao")[0], result.column("x:r")) == ("4b1901", ["D-ABCD"] * 5 + [None] * 5)
        assert result.column("x:rssi")[1] == "-1.5"


def test_fr24_playback() -> None:
    track = [{"timestamp": 1, "latitude": 1, "altitude": {"feet": 100}, "speed": {"kts": 2}, "verticalSpeed": {"fpm": None}}]
    flight = {"identification": {"callsign": "X"}, "track": track, "aircraft": {"identification": {"modes": "4B1901"}}}
    (row,) = decoded(_dump({"result": {"response": {"data": {"flight": flight}}}}), "fr24").rows
    assert (row["modes"], row["callsign"], row["altitude"], row["speed"]) == ("4B1901", "X", 100.0, 2.0)


def test_undeclared_keys_beyond_the_cap_share_one_column() -> None:
    keys = {f"k{n:03}": n for n in range(300)}
    result = decoded(_dump({**_FLAT, **keys}, {**_FLAT, "k299": "text", "k000": 1.5}), "flat")
    extra = [name for name in result.kept.column_names if name.startswith("x:")]
    assert (len(extra), extra[-1]) == (256, "x:k255")
    folded = [json.loads(text) for text in result.column("extra_json")]
    assert folded == [{f"k{n:03}": n for n in range(256, 300)}, {"k299": "text"}]
    assert result.column("x:k000") == ["0", "1.5"]


@pytest.mark.parametrize(
    ("token", "value", "counts"),
    [
        (b"NaN", None, {"nan_token": 1}),
        (b"-Infinity", None, {"nan_token": 1}),
        (b"1e999", None, {"unreadable.altitude": 1}),
        (b"1" * 400, None, {"unreadable.altitude": 1}),
        (b"1" * 5000, None, {"unreadable.altitude": 1}),
        (b"1" * 30, float("1" * 30), {}),
        (b"18446744073709551615", 2.0**64, {}),
        (b'"12.5"', 12.5, {}),
        (b'"1e999"', None, {"unreadable.altitude": 1}),
        (b'""', None, {}),
        (b'" "', None, {}),
        (b'"x"', None, {"unreadable.altitude": 1}),
        (b"true", None, {"unreadable.altitude": 1}),
        (b"[1]", None, {"unreadable.altitude": 1}),
        (b'1,"altitude":2', 2.0, {}),
    ],
)
def test_numbers(token: bytes, value: float | None, counts: dict[str, int]) -> None:
    result = decoded(b'[{"icao24":"a","altitude":%b}]' % token, "flat")
    assert (result.column("altitude"), result.counts) == ([value], counts)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (b'"\\ud800x"', "\ufffdx"),
        (b"1" * 400, "1" * 400),
        (b"1e999", "1e999"),
        (b"1.50", "1.50"),
        (b"-0", "-0"),
        (b"0", 0),
        (b"9223372036854775808", "9223372036854775808"),
        (b"true", True),
        (b'{ "a": [1.50, "]"] }', '{ "a": [1.50, "]"] }'),
        (b'"a","x":1.50', "1.50"),
    ],
)
def test_undeclared_values_keep_their_tokens(token: bytes, text: object) -> None:
    assert decoded(b'[{"icao24":"a","x":%b}]' % token, "flat").column("x:x") == [text]


@pytest.mark.parametrize(
    ("token", "milliseconds"),
    [
        (b"1700000000", 1_700_000_000_000),
        (b"1700000000123456", 1_700_000_000_123),
        (b"1700000000123456789", 1_700_000_000_123),
        (b'"1700000000.5"', 1_700_000_000_500),
        (b'"2023-11-14T22:13:20Z"', 1_700_000_000_000),
        (b'"2023-11-14 22:13:20"', 1_700_000_000_000),
        (b'"0001-01-01T00:00:00+23:59"', -62_135_683_140_000),
        (b'"soon"', None),
        (b"1e300", None),
        (b"[1]", None),
        (b'""', None),
    ],
)
def test_times(token: bytes, milliseconds: int | None) -> None:
    assert decoded(b'[{"icao24":"a","timestamp":%b}]' % token, "flat").column("timestamp") == [milliseconds]


@pytest.mark.parametrize(
    ("tokens", "values"),
    [("1,0,true,false,null", [True, False, True, False, None]), ('"1","FALSE"," ",2,[],"x"', [True, False, *[None] * 4])],
)
def test_booleans(tokens: str, values: list[bool | None]) -> None:
    data = "\n".join(f'{{"icao24":"a","on_ground":{token}}}' for token in tokens.split(","))
    assert decoded(data.encode(), "flat").column("on_ground") == values


def test_a_layout_that_is_named_overrules_the_content() -> None:
    source = Memory(_dump({"time": 1, "states": [_row()]}))
    found = detect(source, DecodeSettings())
    named = detect(source, DecodeSettings(layout="flat"))
    assert found is not None
    assert named is not None
    assert (found.name, named.name) == ("opensky", "flat")
    with pytest.raises(SettingsError):
        detect(source, DecodeSettings(layout="nonsense"))
    csv = detect(Memory(b"time,icao24,lat\n"), DecodeSettings(layout="opensky-history"))
    assert csv is not None
    assert csv.rows == "csv"


@pytest.mark.parametrize("data", [b"PAR1xx", b"<html>", b"MSG,3", b"hello", b'{"a":{"b":1}}', b"[1,2]", b"\0" * 257 + b"ustar"])
def test_content_of_no_layout_is_an_error(data: bytes) -> None:
    with pytest.raises(InputError):
        detect(Memory(data), DecodeSettings())


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf"])
def test_nothing_has_no_layout(data: bytes) -> None:
    assert detect(Memory(data), DecodeSettings()) is None
