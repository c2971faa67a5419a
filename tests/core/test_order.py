"""The one order of rows, and the blocks that track stages never look across."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracks import column, in_blocks, row, rows_table, same_rows

from flight_etl.core.order import address_codes, block_numbers, block_starts, mark_blocks, packed_key, sort_rows, timestamps_ms
from flight_etl.settings import SegmentSettings


def test_rows_are_ordered_by_address_and_time() -> None:
    table = rows_table(row(5, icao24="4b1902"), row(9), row(0, icao24="~000001"), row(3), row(1, icao24="4b1902"))
    ordered = sort_rows(table)
    assert column(ordered, "_record") == [3, 1, 4, 0, 2]
    assert ordered.schema == table.schema


def test_order_is_that_of_addresses_as_text() -> None:
    words = ["000000", "00000a", "~000000", "~ffffff", "ffffff", "4b1901", "~4b1901"]
    ordered = sort_rows(rows_table(*[row(0, icao24=word) for word in words]))
    assert column(ordered, "icao24") == sorted(words)


def test_equal_moments_are_ordered_by_content_with_nulls_last() -> None:
    rows = [row(0), row(0, altitude=2.0), row(0, altitude=1.0, squawk="7000"), row(0, altitude=1.0, squawk="1000")]
    rows += [row(0, altitude=1.0, squawk="1000", on_ground=True), row(0, altitude=1.0, squawk="1000", on_ground=False)]
    assert column(sort_rows(rows_table(*rows)), "_record") == [5, 4, 3, 2, 1, 0]


def test_rows_equal_in_content_are_ordered_by_their_place_in_the_source() -> None:
    rows = [row(0, _input=1, _record=0), row(0, _input=0, _record=9), row(0, _input=0, _record=4)]
    ordered = sort_rows(rows_table(*rows))
    assert list(zip(column(ordered, "_input"), column(ordered, "_record"), strict=True)) == [(0, 4), (0, 9), (1, 0)]


@pytest.mark.parametrize("days", [1, 20_000])
def test_order_never_depends_on_arrival(days: int) -> None:
    """20,000 days are more than the packed key has room for."""
    random = Random(days)
    rows = [row(random.choice([0, 1, days * 86_400]), icao24=random.choice(["4b1901", "~4b1901"]), _record=n) for n in range(60)]
    expected = sort_rows(rows_table(*rows))
    random.shuffle(rows)
    assert same_rows(sort_rows(rows_table(*rows)), expected)
    keys = list(zip(column(expected, "icao24"), column(expected, "timestamp"), strict=True))
    assert keys == sorted(keys)


def test_extra_columns_take_part_whatever_their_place() -> None:
    one = rows_table(row(0), row(0)).append_column("x:b", pa.array([2, 1])).append_column("x:a", pa.array([True, False]))
    other = one.select([*one.column_names[:-2], "x:a", "x:b"]).take(pa.array([1, 0]))
    assert column(sort_rows(one), "_record") == column(sort_rows(other), "_record") == [1, 0]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rows_in_order_come_back_as_they_are(count: int) -> None:
    table = rows_table(*[row(n) for n in range(count)])
    assert sort_rows(table) is table


def test_chunks_and_their_dictionaries_do_not_matter() -> None:
    parts = [rows_table(row(n, icao24=code)) for n, code in enumerate(["4b1903", "4b1901", "~4b1901"])]
    whole = rows_table(*[row(n, icao24=code, _record=0, _offset=0) for n, code in enumerate(["4b1903", "4b1901", "~4b1901"])])
    assert same_rows(sort_rows(pa.concat_tables(parts)), sort_rows(whole))


def test_addresses_are_numbers_with_a_bit_for_made_up_ones() -> None:
    expected = [0x4B1901, (1 << 24) | 0x4B1901]
    words = pa.array(["4b1901", "~4b1901"])
    assert address_codes(words).tolist() == expected
    assert address_codes(pa.chunked_array([words, words])).tolist() == expected * 2
    assert address_codes(pa.chunked_array([words.dictionary_encode()])).tolist() == expected
    empty = pa.chunked_array([], pa.dictionary(pa.int32(), pa.string()))
    assert address_codes(empty).tolist() == []
    assert address_codes(pa.chunked_array([empty.combine_chunks(), words.dictionary_encode()])).tolist() == expected
    assert timestamps_ms(pa.chunked_array([], pa.timestamp("ms", tz="UTC"))).tolist() == []


def test_times_too_far_apart_have_no_packed_key() -> None:
    codes, times = np.array([1, 1]), np.array([0, 1 << 38])
    assert packed_key(codes, times, earliest_ms=0) is None
    assert packed_key(codes, times - [0, 1], earliest_ms=0) is not None


def test_blocks_begin_at_gaps_and_aircraft() -> None:
    rows = [row(0), row(21_599.999), row(43_199.999), row(43_199.999, icao24="4b1902")]
    assert column(in_blocks(*rows), "_block") == [0, 0, 1, 2]


SHORT = SegmentSettings(max_flight_rows=3)


def test_long_blocks_are_cut_but_never_between_equal_times() -> None:
    times = np.array([0, 1, 2, 2, 2, 3, 4, 5, 5, 5, 5])
    starts = block_starts(np.zeros(11, np.int64), times, SHORT)
    assert np.flatnonzero(starts).tolist() == [0, 5]
    assert np.flatnonzero(block_starts(np.zeros(3, np.int64), times[:3], SHORT)).tolist() == [0]
    assert np.flatnonzero(block_starts(np.zeros(4, np.int64), np.arange(4), SHORT)).tolist() == [0, 3]
    assert np.flatnonzero(block_starts(np.zeros(9, np.int64), np.arange(9), SHORT)).tolist() == [0, 3, 6]


def test_long_blocks_are_cut_at_a_gap_where_there_is_one() -> None:
    hours = np.array([0, 1, 1.01, 1.02, 1.03, 1.04, 3, 3.01, 3.02]) * 3_600_000
    starts = block_starts(np.zeros(9, np.int64), hours.astype(np.int64), SHORT)
    assert np.flatnonzero(starts).tolist() == [0, 1, 4, 6]


@given(st.lists(st.sampled_from([0, 1, 1_800, 21_600]), min_size=1, max_size=60), st.integers(1, 9))
def test_rows_from_any_start_on_and_up_to_any_are_cut_in_the_same_places(steps_s: list[int], most: int) -> None:
    """Runners see some blocks and not their neighbours."""
    times = np.cumsum(steps_s) * 1000
    settings = SegmentSettings(max_flight_rows=most)
    codes = np.zeros(len(times), np.int64)
    whole = np.flatnonzero(block_starts(codes, times, settings)).tolist()
    edges = [*whole, len(times)]
    for at, begin in enumerate(whole):
        for end in edges[at + 1 :]:
            part = np.flatnonzero(block_starts(codes[begin:end], times[begin:end], settings)) + begin
            assert part.tolist() == [start for start in whole if begin <= start < end]
        for end in range(begin + 1, len(times) + 1):  # rows that have come so far: no start is taken back
            seen = np.flatnonzero(block_starts(codes[begin:end], times[begin:end], settings)) + begin
            assert set(seen.tolist()) <= set(whole)


def test_cuts_of_a_block_do_not_depend_on_its_neighbours() -> None:
    long = [row(s) for s in range(7)]
    settings = SegmentSettings(max_flight_rows=3)
    together = in_blocks(*long, *[row(s, icao24="4b1902") for s in range(5)], settings=settings)
    assert column(together, "_block") == [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4]


def test_without_marked_blocks_each_aircraft_is_one() -> None:
    table = sort_rows(rows_table(row(0), row(29_000), row(0, icao24="4b1902")))
    assert block_numbers(table).tolist() == [0, 0, 1]
    assert block_numbers(table.slice(0, 0)).tolist() == []
    assert block_numbers(mark_blocks(table, SegmentSettings())).tolist() == [0, 1, 2]
    assert block_numbers(mark_blocks(table.slice(0, 0), SegmentSettings())).tolist() == []
