"""Columns of a table of flights as NumPy arrays, and the arithmetic of runs inside flights.

Sums over windows are taken from prefix sums of integers: these wrap around without loss, so that a window's sum is exact
and never depends on the rows before it, in this flight or in others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flight_etl.core.kernels import track_kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FLIGHT_SPAN",
    "Bools",
    "Floats",
    "Ints",
    "Track",
    "floats",
    "floats_column",
    "next_true",
    "one_array",
    "previous_true",
    "put",
    "run_starts",
    "time_key",
    "track_of",
    "tristate",
    "word_codes",
    "words_column",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

FLIGHT_SPAN: Final = 1 << 40  # ms, 35 years: no flight's times reach into the next one's
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Track:
    """Rows of flights: where flights begin, each row's flight number and time, and whether it tells something new.

    `time_ms` is when the position was heard where that is known, else the timestamp.
    """

    starts: Bools
    flight: Ints
    first: Ints  # row at which each flight begins
    stamp_ms: Ints
    time_ms: Ints
    fresh: Bools

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.flight)


def track_of(table: pa.Table) -> Track:
    """Read the frame of `table`: sorted rows whose flights are consecutive."""
    codes = _indices(one_array(table["flight_id"]))
    starts = np.ones(len(codes), np.bool_)
    starts[1:] = codes[1:] != codes[:-1]
    stamp = one_array(table["timestamp"]).cast(pa.int64()).to_numpy(zero_copy_only=False)
    heard = one_array(table["position_time"]).cast(pa.int64())
    known = heard.is_valid().to_numpy(zero_copy_only=False)
    time = np.where(known, heard.fill_null(0).to_numpy(zero_copy_only=False), stamp)
    fresh = tristate(table["is_stale"]) != 1
    return Track(starts, np.cumsum(starts) - 1, np.flatnonzero(starts), stamp, time, fresh)


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """Join a column's chunks to one array; dictionaries are unified."""
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.array([], column.type)
    return pa.concat_arrays(column.unify_dictionaries().chunks)


def floats(column: pa.ChunkedArray) -> Floats:
    """Values as float64, NaN for null. The array may be a view: not to be written to."""
    values: Floats = one_array(column).to_numpy(zero_copy_only=False)
    return values.astype(np.float64, copy=False)


def tristate(column: pa.ChunkedArray) -> Codes:
    """1 for true, 0 for false, -1 for null."""
    codes: Codes = one_array(column).cast(pa.int8()).fill_null(_UNKNOWN).to_numpy(zero_copy_only=False)
    return codes


def word_codes(column: pa.ChunkedArray, words: Sequence[str]) -> Bools:
    """Whether each row's word is among `words`; false for null."""
    encoded = one_array(column)
    dictionary = encoded.dictionary.to_pylist()
    listed = np.array([*(word in words for word in dictionary), False])
    return listed[_indices(encoded)]


def _indices(encoded: pa.DictionaryArray) -> Ints:
    indices: Ints = encoded.indices.fill_null(_UNKNOWN).to_numpy(zero_copy_only=False)
    return indices


def floats_column(values: npt.NDArray[np.floating]) -> pa.Array:
    """Arrow column with null for NaN."""
    kernels = track_kernels()
    if kernels is not None and values.dtype == np.float64 and values.flags.c_contiguous:
        bits, count = kernels.known(values)
        buffers = [pa.py_buffer(bits) if count else None, pa.py_buffer(values)]
        return pa.Array.from_buffers(pa.float64(), len(values), buffers, count)
    missing = np.isnan(values)
    return pa.array(values, mask=missing) if missing.any() else pa.array(values)


def words_column(codes: npt.NDArray[np.integer], words: Sequence[str]) -> pa.DictionaryArray:
    """Dictionary column from indices into `words`; a negative index is null."""
    indices = codes.astype(np.int32)
    missing = indices < 0
    encoded = pa.array(indices, mask=missing) if missing.any() else pa.array(indices)
    return pa.DictionaryArray.from_arrays(encoded, pa.array(words, pa.string()))


def put(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """Set a column of that name, in its place if it is there."""
    at = table.schema.get_field_index(name)
    return table.append_column(name, column) if at < 0 else table.set_column(at, name, column)


def time_key(flight: Ints, time_ms: Ints) -> Ints:
    """Return one rising integer per row: the flight, and the latest time so far in it, ms. Differences inside a flight are ms."""
    if not len(flight):
        return np.empty(0, np.int64)
    first = np.flatnonzero(run_starts(flight))
    begin = np.repeat(time_ms[first], np.diff(np.append(first, len(flight))))
    key = (flight - flight[0]) * FLIGHT_SPAN + (time_ms - begin)
    return np.maximum.accumulate(key)


def run_starts(*values: npt.NDArray[np.generic]) -> Bools:
    """Mask of the rows at which any of `values` differs from the row before; the first row is one."""
    starts = np.ones(len(values[0]), np.bool_)
    if len(starts):
        starts[1:] = values[0][1:] != values[0][:-1]
    for value in values[1:]:
        starts[1:] |= value[1:] != value[:-1]
    return starts


def previous_true(mask: Bools, flight: Ints) -> Ints:
    """Row of the last true at or before each row in the same flight; -1 where there is none."""
    at = np.where(mask, np.arange(len(mask)), -1)
    at = np.maximum.accumulate(at) if len(at) else at
    return np.where((at >= 0) & (flight[at] == flight), at, -1)


def next_true(mask: Bools, flight: Ints) -> Ints:
    """Row of the first true at or after each row in the same flight; -1 where there is none."""
    size = len(mask)
    if not size:
        return np.empty(0, np.int64)
    at = np.where(mask, np.arange(size), size)
    at = np.minimum.accumulate(at[::-1])[::-1]
    inside = np.minimum(at, size - 1)
    return np.where((at < size) & (flight[inside] == flight), inside, -1)
