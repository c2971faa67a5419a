"""Inputs that are no flight data, or hostile: an answer in bounded time and memory, never another error than InputError."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from sources import Memory, decoded

from flight_etl.errors import InputError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_GOOD = b'{"icao24":"4b1901","timestamp":1}'
_ROW = b'["4b1901"' + b",1" * 16 + b"]"


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"]]", b",,,"])
@pytest.mark.parametrize("layout", ["flat", "opensky", "trace", "fr24", "flat-columns"])
def test_nothing_is_an_error(data: bytes, layout: str) -> None:
    result = decoded(data, layout)
    assert result.error is not None
    assert not result.kept.num_rows


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (b"<html><body>", ["bad_json"]),
        (b"null", ["not_a_record"]),
        (b"1\n2", ["not_a_record", "not_a_record"]),
        (b'[1, null, [], "x"]', ["not_a_record"] * 4),
        (b'nonsense {"icao24":"4b1901"}', ["bad_json"]),
        (b"[" + _GOOD + b', {"a": 1', ["truncated"]),
        (_GOOD + b'\n{"a": "', ["truncated"]),
        (b'{"a" 1}\n' + _GOOD, ["bad_json"]),
        (b"{1: 2}\n" + _GOOD, ["bad_json"]),
        (b'[{"a": "b]', ["truncated"]),
        (b'[{"a": "b\n]', ["bad_json"]),
    ],
)
def test_what_is_no_record_is_dropped_with_a_reason(data: bytes, reasons: list[str]) -> None:
    assert decoded(data, "flat").reasons == reasons


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"states":[' * 5_000,
        b'[{"states":' * 5_000,
        b'{"a":\n' + b"\n" * 200_000 + b"1",
        b'[{"a":"' + b"\n " * 200_000,
        b"[" + b"1," * 10_000,
        b'"' * 100_000,
        b'[{"' * 5_000,
        b'{"a":"x\n' * 2_000,
        b"[" + b'{"a":1} ' * 5_000,
        b'{"data":null,' + b'"data":null,' * 5_000 + b'"a":1}',
        b"x{" * 5_000,
        b"}{" * 5_000,
        b"\\" * 100_000,
        b'{"states":[' + b"[1," * 20_000,
        b'{"states":[' + b"],[" * 5_000,
        b"a,b\n" + b'"\n' * 20_000,
    ],
    ids=range(18),
)
@pytest.mark.parametrize("layout", ["flat", "opensky", "flat-columns", "opensky-history-csv"])
def test_hostile_repetition_takes_no_long_time(data: bytes, layout: str) -> None:
    """Work that grows with the square of the input would take minutes here."""
    result = decoded(data, layout)
    assert result.kept.num_rows + len(result.dropped) <= len(data)


def test_deep_nesting_costs_one_record() -> None:
    deep = b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    result = decoded(b"[%b,%b,%b]" % (_GOOD, deep, _GOOD), "flat")
    assert (result.reasons, result.kept.num_rows, result.error) == (["too_deep"], 2, None)


@pytest.mark.parametrize("depth", [3, 2_000])
def test_the_limit_of_depth_is_a_setting(depth: int) -> None:
    nested = b'{"icao24":"a","x":' + b"[" * 3 + b"]" * 3 + b"}"
    result = decoded(b"[%b,%b]" % (_GOOD, nested), "flat", max_depth=depth)
    assert result.reasons == (["too_deep"] if depth == 3 else [])


class _Huge:
    """A record of 64 MB, or so many, between good ones, made block by block."""

    name = "huge"

    def __init__(self, head: bytes, filling: bytes, tail: bytes, megabytes: int = 64) -> None:
        self._megabytes = megabytes
        self._parts = head, filling * ((1 << 20) // len(filling)), tail

    def open(self, offset: int = 0) -> Iterator[bytes]:
        assert offset == 0
        head, filling, tail = self._parts
        yield head
        for _ in range(self._megabytes):
            yield filling
        yield tail


@pytest.mark.parametrize(
    ("head", "filling", "tail"),
    [
        (_GOOD + b'\n{"x":"', b"y", b'"}\n' + _GOOD),
        (b"[" + _GOOD + b',{"x":"', b"y", b'"},' + _GOOD + b"]"),
        (b"[" + _GOOD + b',{"x":[0', b',"%b"' % (b"y" * 1021), b"]}," + _GOOD + b"]"),
        (b"[" + _GOOD + b",1", b"1", b"," + _GOOD + b"]"),
        (b"[" + _GOOD + b',{"x":', b" ", b"1}," + _GOOD + b"]"),
        (_GOOD + b'\n{"x":"', b"y", b"\n" + _GOOD),
        (_GOOD + b"\nword", b"y", b"\n" + _GOOD),
    ],
    ids=range(7),
)
def test_a_record_of_any_size_is_dropped_in_little_memory(head: bytes, filling: bytes, tail: bytes) -> None:
    source = _Huge(head, filling, tail)
    tracemalloc.start()
    try:
        result = decoded(source, "flat", max_record_bytes=1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result.kept.num_rows, len(result.dropped), result.error) == (2, 1, None)
    assert result.reasons[0] in ("too_large", "bad_json")
    assert peak < 12 << 20


def test_an_array_far_larger_than_memory_streams() -> None:
    source = _Huge(b'{"states":[' + _ROW, (b"," + _ROW) * 500, b'],"time":9}', megabytes=12)
    tracemalloc.start()
    try:
        from flight_etl.core.decode import decode
        from flight_etl.core.decode.layouts import LAYOUTS
        from flight_etl.settings import DecodeSettings

        rows = 0
        for outcome in decode(_Rewound(source), LAYOUTS["opensky"], DecodeSettings(chunk_rows=2_000)):
            assert set(outcome.kept["time"].to_pylist()) == {9000}
            rows += outcome.kept.num_rows
            if rows > 50_000:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300 << 20


class _Rewound:
    """A source that can be opened at any byte, by reading on to it."""

    def __init__(self, source: _Huge) -> None:
        self.name, self._source = source.name, source

    def open(self, offset: int = 0) -> Iterator[bytes]:
        for block in self._source.open():
            if offset < len(block):
                yield block[offset:]
            offset = max(0, offset - len(block))


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_what_came_before_a_failure_is_given_first(block: int) -> None:
    data = _GOOD + b"\n" + _GOOD + b"\n"
    result = decoded(Memory(data, block, failure=InputError("corrupt")), "flat")
    assert (result.kept.num_rows, result.error) == (2, "corrupt")
    with pytest.raises(Unavailable):
        decoded(Memory(data, block, failure=Unavailable("gone")), "flat")


def test_a_cut_document_says_where_and_keeps_what_came_before() -> None:
    result = decoded(b'{"time":7,"states":[' + _ROW + b"," + _ROW[:9], "opensky")
    assert (result.kept.num_rows, result.reasons) == (1, ["truncated"])
    assert result.error is not None
    assert "cut short" in result.error
    assert "record 1" in result.error
