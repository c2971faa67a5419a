"""Columns as arrays, and the arithmetic of runs inside flights."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tracks import START_MS, in_flights, row

from flight_etl.core import track


def test_a_track_tells_flights_times_and_what_is_fresh() -> None:
    rows = [row(0, heard=-1), row(1, heard=-1), row(2), row(4_000, heard=3_999), row(0, icao24="4b1902")]
    found = track.track_of(in_flights(*rows))
    assert len(found) == 5
    assert found.starts.tolist() == [True, False, False, True, True]
    assert found.flight.tolist() == [0, 0, 0, 1, 2]
    assert found.first.tolist() == [0, 3, 4]
    assert (found.stamp_ms - START_MS).tolist() == [0, 1_000, 2_000, 4_000_000, 0]
    assert (found.time_ms - START_MS).tolist() == [-1_000, -1_000, 2_000, 3_999_000, 0]
    assert found.fresh.tolist() == [True, False, True, True, True]
    assert len(track.track_of(in_flights())) == 0


def test_chunks_become_one_array() -> None:
    words = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", None, "c"]).dictionary_encode()]
    joined = track.one_array(pa.chunked_array(words))
    assert joined.to_pylist() == ["a", "b", "b", None, "c"]
    assert len(joined.dictionary) == 3
    assert track.one_array(pa.chunked_array([], pa.int8())).to_pylist() == []
    assert track.one_array(pa.chunked_array([words[0]])) is not None


def test_null_is_nan_and_back() -> None:
    column = pa.chunked_array([pa.array([1.5, None]), pa.array([2.5])])
    values = track.floats(column)
    assert np.isnan(values).tolist() == [False, True, False]
    assert track.floats_column(values).to_pylist() == [1.5, None, 2.5]
    assert track.floats_column(values[:1]).to_pylist() == [1.5]
    assert track.floats(pa.chunked_array([pa.array([1.5], pa.float32())])).dtype == np.float64


def test_truth_has_three_states() -> None:
    assert track.tristate(pa.chunked_array([pa.array([True, None, False])])).tolist() == [1, -1, 0]


def test_words_are_looked_up_by_their_codes() -> None:
    column = pa.chunked_array([pa.array(["A7", None, "B1", "A3"]).dictionary_encode()])
    assert track.word_codes(column, ["A7", "B1"]).tolist() == [True, False, True, False]
    assert track.word_codes(pa.chunked_array([pa.array([None], pa.string()).dictionary_encode()]), ["A7"]).tolist() == [False]


def test_codes_become_words() -> None:
    assert track.words_column(np.array([1, -1, 0]), ["a", "b"]).to_pylist() == ["b", None, "a"]
    assert track.words_column(np.array([1, 0]), ["a", "b"]).to_pylist() == ["b", "a"]


def test_a_column_is_set_in_its_place_or_added() -> None:
    table = pa.table({"a": [1], "b": [2]})
    assert track.put(table, "a", pa.array([3])).to_pydict() == {"a": [3], "b": [2]}
    assert track.put(table, "c", pa.array([3])).column_names == ["a", "b", "c"]
    assert table.to_pydict() == {"a": [1], "b": [2]}


@pytest.mark.parametrize("seed", range(10))
def test_neighbours_and_runs_equal_plain_loops(seed: int) -> None:
    random = Random(seed)
    size = random.choice([0, 1, 2, 30])
    flight = np.cumsum([random.random() < 0.2 for _ in range(size)], dtype=np.int64)
    mask = np.array([random.random() < 0.3 for _ in range(size)], np.bool_)
    before = [max((m for m in range(n + 1) if mask[m] and flight[m] == flight[n]), default=-1) for n in range(size)]
    after = [min((m for m in range(n, size) if mask[m] and flight[m] == flight[n]), default=-1) for n in range(size)]
    assert track.previous_true(mask, flight).tolist() == before
    assert track.next_true(mask, flight).tolist() == after
    starts = [n == 0 or bool(mask[n] != mask[n - 1]) or bool(flight[n] != flight[n - 1]) for n in range(size)]
    assert track.run_starts(mask, flight).tolist() == starts


@pytest.mark.parametrize("seed", range(10))
def test_time_keys_rise_and_never_mix_flights(seed: int) -> None:
    random = Random(seed)
    flight = np.cumsum([random.random() < 0.2 for _ in range(40)], dtype=np.int64) + 7
    time = START_MS + np.array([1_000 * n + random.choice([0, -5_000]) for n in range(40)], np.int64)
    key = track.time_key(flight, time)
    assert bool(np.all(np.diff(key) >= 0))
    for number in np.unique(flight):
        mine = flight == number
        latest = np.maximum.accumulate(time[mine])
        assert (key[mine] - key[mine][0]).tolist() == (latest - latest[0]).tolist()
        assert not np.isin(key[~mine], key[mine]).any()


def test_no_rows_have_no_keys() -> None:
    none: Any = np.empty(0, np.int64)
    assert track.time_key(none, none).tolist() == []
