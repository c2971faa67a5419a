"""CSV, and objects of columns."""

from __future__ import annotations

import json
from random import Random

import pytest
from documents import damaged, scalar
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import Memory, decoded

_HEADER = b"time,icao24,lat,lon,velocity,callsign,extra\n"


def _csv(body: bytes, **options: int) -> list[dict[str, object]]:
    return decoded(_HEADER + body, "opensky-history-csv", **options).rows


@pytest.mark.parametrize(
    ("body", "cells"),
    [
        (b"1,4b1901,1.5,2,3,SWR,7\n", ("SWR", 7)),
        (b"1,4b1901,1.5,2,3,SWR,7\r\n", ("SWR", 7)),
        (b"1,4b1901,1.5,2,3,SWR,7", ("SWR", 7)),
        (b'1,4b1901,1.5,2,3,"S,R",7\n', ("S,R", 7)),
        (b'1,4b1901,1.5,2,3,"S""R",7\n', ('S"R', 7)),
        (b'1,4b1901,1.5,2,3,"S\nR",7\n', ("S\nR", 7)),
        (b"1,4b1901,1.5,2,3,,\n", (None, None)),
        (b'1,4b1901,1.5,2,3,"",true\n', (None, True)),
        (b"1,4b1901,1.5,2,3,S,1e999\n", ("S", "1e999")),
        (b"1,4b1901,1.5,2,3,S,1.50\n", ("S", "1.50")),
        (b"1,4b1901,1.5,2,3,S\x00R,x\n", ("S\x00R", "x")),
        (b"1,4b1901,1.5,2,3,S\xffR,x\n", ("S\ufffdR", "x")),
    ],
)
def test_csv_cells(body: bytes, cells: tuple[object, object]) -> None:
    (row,) = _csv(body)
    assert (row["time"], row["icao24"], row["lat"]) == (1000, "4b1901", 1.5)
    assert (row.get("callsign"), row.get("x:extra")) == cells


@pytest.mark.parametrize("bad", [b"1,2\n", b"1,4b1901,1,2,3,S,7,8\n", b'1,"4b1901,1,2,3,S\n', b'"\n'])
def test_a_broken_csv_row_costs_only_itself(bad: bytes) -> None:
    good = b"1,4b1901,1,2,3,S,7\n"
    result = decoded(b"\xef\xbb\xbf" + _HEADER + good + bad + good * 3, "opensky-history-csv")
    assert (result.kept.num_rows, result.reasons, result.error) == (4, ["bad_width"], None)
    assert result.column("_record") == [0, 2, 3, 4]


def test_csv_that_ends_inside_a_row_is_cut_short() -> None:
    result = decoded(_HEADER + b"1,4b1901,1,2,3,S,7\n1,4b", "opensky-history-csv")
    assert (result.kept.num_rows, result.reasons) == (1, ["truncated"])
    assert "cut short" in str(result.error)


def test_a_csv_row_beyond_the_limit_is_dropped() -> None:
    good = b"1,4b1901,1,2,3,S,7\n"
    data = _HEADER + good + b"1" * 500 + b"\n" + good
    for block in (1, 1 << 20):
        result = decoded(Memory(data, block), "opensky-history-csv", max_record_bytes=100)
        assert (result.kept.num_rows, result.reasons) == (2, ["too_large"])


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_blocks_and_chunks_change_nothing_in_csv_and_columns(seed: int) -> None:
    random = Random(seed)
    layout = random.choice(["opensky-history-csv", "flat-columns"])
    if layout == "flat-columns":
        rows = [str(n) for n in range(random.randrange(5))]
        table = {
            key: {row: scalar(random) for row in rows if random.random() < 0.8} for key in ("icao24", "timestamp", "lat", "e")
        }
        lists = {key: [scalar(random) for _ in range(random.randrange(4))] for key in ("icao24", "timestamp", "e")}
        data = json.dumps(random.choice([table, lists])).encode()
    else:
        cells = ["1", "4b1901", "", '"a"', '"a,b"', '"a\nb"', "1.0"]
        data = _HEADER + b"".join((",".join(random.choice(cells) for _ in range(7)) + "\n").encode() for _ in range(4))
    data = damaged(random, data) if random.random() < 0.6 else data
    whole = decoded(data, layout, max_record_bytes=60)
    for source, rows_at_once in ((Memory(data, 1), 10_000), (Memory(data, random.randrange(2, 50)), 2)):
        other = decoded(source, layout, max_record_bytes=60, chunk_rows=rows_at_once)
        assert (other.error, other.dropped, other.counts) == (whole.error, whole.dropped, whole.counts)
        assert other.kept.equals(whole.kept)
    numbers = sorted(row["_record"] for row in [*whole.rows, *whole.dropped])
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    "columns",
    [
        {"icao24": ["a", "b"], "timestamp": [1, 2], "position_source": [0, 1], "x": [[1], {"y": 1.50}]},
        {
            "icao24": {"0": "a", "1": "b"},
            "timestamp": {"0": 1, "1": 2},
            "position_source": {"0": 0, "1": 1},
            "x": {"0": [1], "1": {"y": 1.50}},
        },
        {"n": 2, "icao24": ["a", "b"], "timestamp": [1, 2], "position_source": [0, 1], "x": [[1], {"y": 1.50}]},
    ],
)
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf \n"])
def test_columns_become_rows(columns: object, start: bytes) -> None:
    result = decoded(start + json.dumps(columns, separators=(",", ":")).encode(), "flat-columns")
    assert result.error is None
    assert (result.column("icao24"), result.column("timestamp")) == (["a", "b"], [1000, 2000])
    assert (result.column("position_source"), result.column("x:x")) == (["0", "1"], ["[1]", '{"y":1.5}'])


def test_rows_that_a_column_leaves_out_are_null_there() -> None:
    result = decoded(b'{"icao24":{"0":"a","1":"b","7":"c"},"lat":{"1":1.5},"lon":[]}', "flat-columns")
    assert (result.column("icao24"), result.column("latitude")) == (["a", "b", "c"], [None, 1.5, None])


@pytest.mark.parametrize(
    "data",
    [
        b'{"icao24":{"0":"aaaa","1":"b"},"lat":{"1":1,"0":2}}',
        b'{"icao24":["a","b"',
        b'{"icao24":["a"}}',
        b'{"icao24" ["a"]}',
        b"[1]",
        b"{}",
        b'{"icao24":"a"}',
        ("{" + ",".join(f'"c{n}":[1]' for n in range(600)) + "}").encode(),
    ],
)
def test_columns_that_cannot_be_read_are_an_error(data: bytes) -> None:
    assert decoded(data, "flat-columns").error is not None
