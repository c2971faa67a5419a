"""What holds for any bytes at all, and for any way of cutting them."""

from __future__ import annotations

import json
import math
import re
from random import Random
from typing import Any

import pytest
from documents import JSON_LAYOUTS, LAYOUTS_OF_ROWS, damaged, documents, envelope, record, written
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import Decoded, Memory, decoded

_SEEDS = st.integers(0, 2**32)
_LIMITS = [1 << 24, 1 << 24, 100, 30]
_RECORDS = 7
_DAMAGES = {
    "a lost closing bracket": lambda raw: raw[:-1],
    "a closing bracket too many": lambda raw: raw + raw[-1:],
    "another closing bracket": lambda raw: raw[:-1] + (b"]" if raw.endswith(b"}") else b"}"),
    "a bare word": lambda raw: raw.replace(b"45.5", b"n/a"),
    "a missing value": lambda raw: raw.replace(b"45.5", b""),
    "a comma too many": lambda raw: raw.replace(b"45.5", b"45.5,,"),
    "a trailing comma": lambda raw: raw[:-1] + b"," + raw[-1:],
    "no comma": lambda raw: raw.replace(b",", b" ", 1),
    "no colon": lambda raw: raw.replace(b":", b" ", 1) if b":" in raw else raw.replace(b"45.5", b'"a" "b"'),
    "an unclosed string": lambda raw: raw.replace(b'dd"', b"dd"),
    "an unopened string": lambda raw: raw.replace(b'"aabb', b"aabb"),
    "a line break in a string": lambda raw: raw.replace(b"aabb", b"aa\nbb"),
    "a byte that is no UTF-8": lambda raw: raw.replace(b"aabb", b"aa\xffbb"),
    "a NUL byte": lambda raw: raw.replace(b"aabb", b"aa\x00bb"),
    "a bad escape": lambda raw: raw.replace(b"aabb", b"aa\\xbb"),
}
_MENDABLE = {"a closing bracket too many"}  # the record itself is whole


def _case(seed: int) -> tuple[Random, str, bytes]:
    random = Random(seed)
    layout = random.choice(JSON_LAYOUTS)
    data = documents(random, layout)
    return random, layout, damaged(random, data) if random.random() < 0.7 else data


def _assert_same(one: Decoded, other: Decoded) -> None:
    assert other.error == one.error
    assert other.dropped == one.dropped
    assert other.counts == one.counts
    assert other.kept.equals(one.kept)


@given(_SEEDS)
@settings(max_examples=150, deadline=None)
def test_blocks_and_chunks_change_nothing(seed: int) -> None:
    random, layout, data = _case(seed)
    limit = random.choice(_LIMITS)
    whole = decoded(data, layout, max_record_bytes=limit)
    _assert_same(whole, decoded(Memory(data, 1), layout, max_record_bytes=limit))
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(3))
    _assert_same(whole, decoded(Memory(data, cuts=cuts), layout, max_record_bytes=limit))
    rows = random.choice([1, 2, 3])
    _assert_same(whole, decoded(Memory(data, random.randrange(2, 60)), layout, max_record_bytes=limit, chunk_rows=rows))


@given(_SEEDS)
@settings(max_examples=150, deadline=None)
def test_records_are_numbered_without_holes_and_begin_where_it_says(seed: int) -> None:
    _, layout, data = _case(seed)
    result = decoded(data, layout)
    kept = result.rows
    places = sorted((row["_record"], row["_offset"]) for row in [*kept, *result.dropped])
    assert [number for number, _ in places] == list(range(len(places)))
    assert [offset for _, offset in places] == sorted({offset for _, offset in places})
    opener = b"[" if layout in LAYOUTS_OF_ROWS else b"{"
    assert all(data[row["_offset"] :].startswith(opener) for row in kept)


@given(_SEEDS)
@settings(max_examples=100, deadline=None)
def test_valid_records_have_the_values_that_json_gives(seed: int) -> None:
    random = Random(seed)
    layout = random.choice(JSON_LAYOUTS)
    rows = [record(random, layout) for _ in range(_RECORDS)]
    document = envelope(random, layout, rows)
    if None in document.values():
        return
    data = written(random, document).encode()
    result = decoded(data, layout)
    assert result.error is None
    assert result.kept.num_rows == _RECORDS
    for row, offset in zip(rows, result.column("_offset"), strict=True):
        found, _ = json.JSONDecoder().raw_decode(data[offset:].decode())
        assert found == row
    key, column = {"opensky": (7, "baro_altitude"), "trace": (1, "lat"), "adsbx-v1": ("x", "x:x")}.get(layout, ("", ""))
    if column == "x:x" or not column or column not in result.kept.column_names:
        return
    assert result.column(column) == [_number(row[key]) for row in rows]


def _number(value: Any) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(e[0-9]+)?", value):  # a hexadecimal word may look like a number
        found = float(value)
        return found if math.isfinite(found) else None  # as 1e999, which no column can hold
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _rows_of(layout: str) -> list[bytes]:
    if layout == "opensky":
        return [
            json.dumps([f"aabb{n:02x}", "SWR dd", "Chad", 1, 1, 45.5, 45.5, *[1.0] * 4, 0, None, 1.0, "0", False, 0]).encode()
            for n in range(_RECORDS)
        ]
    return [
        json.dumps({"icao24": f"aabb{n:02x}", "timestamp": 1, "callsign": "dd", "lat": 45.5, "p": {"x": 1}}).encode()
        for n in range(_RECORDS)
    ]


@pytest.mark.parametrize("form", ["array", "array, a record a line", "lines", "rows of a document"])
@pytest.mark.parametrize("damage", _DAMAGES)
@pytest.mark.parametrize("at", [0, 3])
def test_a_damaged_record_costs_only_itself(form: str, damage: str, at: int) -> None:
    """For each of these damages, in any record but the last, if its values hold no arrays of objects."""
    layout = "opensky" if form.startswith("rows") else "flat"
    rows = _rows_of(layout)
    rows[at] = _DAMAGES[damage](rows[at])
    separator = {"array": b",", "lines": b"\n", "rows of a document": b","}.get(form, b",\n")
    begin, end = {"lines": (b"", b""), "rows of a document": (b'{"states":[', b'],"time":7}')}.get(form, (b"[", b"]"))
    result = decoded(begin + separator.join(rows) + end, layout)
    names = result.column("icao24")
    others = [f"aabb{n:02x}" for n in range(_RECORDS) if n != at]
    assert [name for name in names if name in others] == others
    assert result.error is None
    if damage not in _MENDABLE:
        assert (names, result.kept.num_rows + len(result.dropped)) == (others, _RECORDS)


@pytest.mark.parametrize("cut", range(1, 60, 3))
@pytest.mark.parametrize("layout", ["opensky", "readsb"])
def test_a_line_cut_short_costs_no_other_line(layout: str, cut: int) -> None:
    line = {
        "opensky": b'{"time":7,"states":[%b]}' % b",".join(_rows_of("opensky")[:2]),
        "readsb": b'{"now":7,"aircraft":[{"hex":"aabb00","seen":1,"nav":["a","b"]},{"hex":"aabb01"}]}',
    }[layout]
    result = decoded(b"\n".join([line, line[:cut], line, line]), layout)
    assert result.error is None
    whole = [row for row in result.rows if row["_offset"] < len(line) or row["_offset"] > len(line) + cut + 1]
    assert len(whole) == 6
    time, name = {"opensky": ("time", "icao24"), "readsb": ("now", "hex")}[layout]
    assert [row[name] for row in whole] == ["aabb00", "aabb01"] * 3
    assert {row[time] for row in whole} == {7000}
