"""Sorted tables are put together alike by the kernels and by Arrow, whatever is null, sliced, or in several dictionaries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.core import extras, merge, order
from flight_etl.core.kernels import track_kernels

START = 1_700_000_000_000  # ms
WORDS = ["", "A", "ABCDEFGH", "a word of more than eight bytes", "Österreich", "A0"]
EXTRA = pa.field("x:rssi", pa.int64(), metadata={b"kinds": b"1"})

rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 5),
        st.one_of(st.none(), st.floats(0, 9)),
        st.sampled_from([None, *WORDS]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def table(some: list[tuple[int, int, float | None, str | None, bool]], first: int, *, extra: bool) -> pa.Table:
    codes, times, numbers, words, flags = zip(*some, strict=True)
    columns = {
        "icao24": pa.array([f"{c:06x}" for c in codes]).dictionary_encode(),
        "timestamp": pa.array([START + 1000 * t for t in times], pa.timestamp("ms", tz="UTC")),
        "altitude": pa.array(numbers, pa.float64()),
        "callsign": pa.array(words, pa.string()).dictionary_encode(),
        "spi": pa.array([flag if number is not None else None for flag, number in zip(flags, numbers, strict=True)], pa.bool_()),
        "geo_altitude": pa.nulls(len(some), pa.float64()),
        "_input": pa.array(np.zeros(len(some), np.int32)),
        "_record": pa.array(np.arange(first, first + len(some))),
    }
    made = pa.table(columns)
    return made.append_column(EXTRA, pa.array(codes, pa.int64())) if extra else made


def plain(one: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = one.to_pylist()
    return rows


def lot(tables: list[pa.Table], plan: extras.ExtrasPlan | None) -> merge.Lot:
    pieces = [merge.Piece(part, 0, len(part.codes)) for part in map(merge.part_of, tables)]
    keys = merge.keys_of(pieces)
    return merge.Lot(pieces, keys, 0, len(keys), plan)


@settings(deadline=None)
@given(given_=st.lists(st.tuples(rows, st.booleans(), st.integers(0, 3)), min_size=1, max_size=5), planned=st.booleans())
def test_the_kernels_and_arrow_make_the_same_table(given_: list[tuple], *, planned: bool) -> None:
    tables, first = [], 0
    for some, extra, cut in given_:
        tables.append(table(some, first, extra=extra).slice(min(cut, len(some) - 1)))
        first += len(some)
    kinds: dict[str, int] = {}
    for one in tables:
        kinds = extras.merge(kinds, extras.kinds(one.schema))
    plan = extras.plan(kinds, max_columns=9, reserved=()) if planned else None
    fast = lot(tables, plan).table()
    with pytest.MonkeyPatch.context() as patch:
        for module in (merge, order):
            patch.setattr(module, "track_kernels", lambda: None)
        slow = lot(tables, plan).table()
        joined = extras.concat([one if plan is None else extras.conform(one, plan) for one in tables]).combine_chunks()
        expected = order.sort_rows(joined)
    assert plain(fast) == plain(slow) == plain(expected)
    fast.validate(full=True)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 200)), max_size=300))
def test_the_order_is_stable(keys: list[tuple[int, int]]) -> None:
    codes = np.array([code for code, _ in keys], np.int32)
    times = np.array([time for _, time in keys], np.int64) * (1 << 40)
    found = order.sorted_order(codes, times)
    expected = sorted(range(len(keys)), key=lambda at: keys[at])
    assert (list(range(len(keys))) if found is None else found.tolist()) == expected


def test_the_extremes_of_codes_and_times_are_in_order() -> None:
    codes = np.array([(1 << 25) - 1, 0, (1 << 25) - 1, 0], np.int32)
    times = np.array([2**62, 2**62, -(2**62), -(2**62)], np.int64)
    found = order.sorted_order(codes, times)
    assert found is not None
    assert found.tolist() == [3, 1, 2, 0]


@pytest.mark.skipif(track_kernels() is None, reason="there is no compiler")
def test_buffers_are_read_directly_where_all_columns_permit_it() -> None:
    assert merge.part_of(table([(1, 2, 3.0, "A", True)], 0, extra=True)).form is not None
    odd = table([(1, 2, 3.0, "A", True)], 0, extra=False).append_column("text", pa.array(["word"]))
    assert merge.part_of(odd).form is None
