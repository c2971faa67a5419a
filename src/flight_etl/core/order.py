"""The one order of rows, and the group arithmetic that every track stage is built on.

Rows are ordered by (icao24, timestamp) and, where both are equal, by content, so that the order never depends on how the
rows arrived. A *block* is a longest stretch of one aircraft's rows without a gap of `block_gap_s` (and at most `max_rows` long):
track stages never look across its edges, so blocks may be processed apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.kernels import track_kernels
from flight_etl.schema import BLOCK, PROVENANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.settings import SegmentSettings

__all__ = [
    "address_codes",
    "block_numbers",
    "block_starts",
    "mark_blocks",
    "order_ties",
    "packed_key",
    "sort_rows",
    "sorted_order",
    "timestamps_ms",
]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_TIME_BITS: Final = 38  # ms: 8.7 years from the earliest row, which leaves 25 bits for the address and its ~
_NON_ICAO: Final = 1 << 24
_DIGITS: Final = 6  # of an address
_HEX: Final = np.full(256, -1, np.int64)
_SHIFTS: Final = np.arange(4 * _DIGITS - 4, -1, -4)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


def address_codes(icao24: pa.ChunkedArray | pa.Array) -> Ints:
    """Each address as an integer that sorts like its text: 24 bits, and bit 24 for a leading ~."""
    if isinstance(icao24, pa.ChunkedArray):
        icao24 = pa.concat_arrays(icao24.unify_dictionaries().chunks) if icao24.num_chunks else pa.array([], icao24.type)
    if not pa.types.is_dictionary(icao24.type):
        icao24 = icao24.dictionary_encode()
    if not len(icao24):
        return np.empty(0, np.int64)
    result: Ints = _codes(icao24.dictionary)[icao24.indices.to_numpy(zero_copy_only=False)]
    return result


def _codes(words: pa.StringArray) -> Ints:
    """Code of each word of a dictionary; all at once where none has a ~."""
    _, ends, text = words.buffers()
    if text is None or words.null_count:
        return np.array([_code(w) for w in words.to_pylist()], np.int64)
    bounds = np.frombuffer(ends, np.int32)[words.offset : words.offset + len(words) + 1]
    letters = np.frombuffer(text, np.uint8)[bounds[0] : bounds[-1]]
    if not bool(np.all(np.diff(bounds) == _DIGITS)):
        return np.array([_code(w) for w in words.to_pylist()], np.int64)
    digits = _HEX[letters.reshape(-1, _DIGITS)]
    if bool((digits < 0).any()):
        return np.array([_code(w) for w in words.to_pylist()], np.int64)
    codes: Ints = np.bitwise_or.reduce(digits << _SHIFTS, axis=1)
    return codes


def _code(word: str) -> int:
    return _NON_ICAO | int(word[1:], 16) if word.startswith("~") else int(word, 16)


def timestamps_ms(column: pa.ChunkedArray | pa.Array) -> Ints:
    """Milliseconds since 1970 of a timestamp column without nulls."""
    if isinstance(column, pa.ChunkedArray):
        return np.concatenate([timestamps_ms(c) for c in column.chunks]) if column.num_chunks else np.empty(0, np.int64)
    times: Ints = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return times


def packed_key(codes: Ints, times_ms: Ints, *, earliest_ms: int) -> Ints | None:
    """One int64 per row that sorts by (address, time); None where the times span more than 8.7 years."""
    if len(times_ms) and int(times_ms.max()) - earliest_ms >= 1 << _TIME_BITS:
        return None
    return (codes << _TIME_BITS) | (times_ms - earliest_ms)


def sort_rows(table: pa.Table) -> pa.Table:
    """Put rows into the one order. Input that is already in order comes back as it is.

    Equal (icao24, timestamp) are ordered by the content of all other columns, by their names with nulls last; rows equal in
    everything but provenance by input and record number.
    """
    if table.num_rows < 2:  # noqa: PLR2004
        return table
    codes = address_codes(table["icao24"])
    times = timestamps_ms(table["timestamp"])
    sorting = sorted_order(codes.astype(np.int32), times)
    order = np.arange(len(codes)) if sorting is None else sorting
    rises = _rises(codes, times) if sorting is None else _rises(codes[order], times[order])
    moved = not bool(rises.all()) and order_ties(lambda rows: table.take(pa.array(rows)), order, rises)
    if sorting is None and not moved:
        return table
    return _taken(table, pa.array(order))


def _taken(table: pa.Table, rows: pa.Array) -> pa.Table:
    """Rows by number. A column of nothing but nulls is in any order."""
    columns = [column if column.null_count == len(column) else column.take(rows) for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def sorted_order(codes: npt.NDArray[np.int32], times_ms: Ints) -> npt.NDArray[np.int32] | None:
    """Stable order of rows by (code, time); None where they are in it."""
    kernels = track_kernels()
    if kernels is not None:
        found: npt.NDArray[np.int32] | None
        found = kernels.order_of(np.ascontiguousarray(codes, np.int32), np.ascontiguousarray(times_ms, np.int64))
        return found
    if len(codes) < 2:  # noqa: PLR2004
        return None
    later = (codes[1:] > codes[:-1]) | ((codes[1:] == codes[:-1]) & (times_ms[1:] >= times_ms[:-1]))
    if bool(later.all()):
        return None
    key = packed_key(codes.astype(np.int64), times_ms, earliest_ms=int(times_ms.min()))
    return (np.lexsort((times_ms, codes)) if key is None else np.argsort(key, kind="stable")).astype(np.int32)


def _rises(codes: Ints, times: Ints) -> Bools:
    rises: Bools = (codes[1:] != codes[:-1]) | (times[1:] != times[:-1])
    return rises


def order_ties(rows_at: Callable[[npt.NDArray[Any]], pa.Table], order: npt.NDArray[Any], rises: Bools) -> bool:
    """Reorder, in place, the stretches of `order` whose keys are equal; tells whether anything had to move.

    `rises` says of each row but the first whether its key is above that of the row before, `rows_at` gives rows by number.
    """
    tied = np.zeros(len(order), np.bool_)
    tied[1:] |= ~rises
    tied[:-1] |= ~rises
    at = np.flatnonzero(tied)
    if not len(at):
        return False
    run = np.concatenate(([0], np.cumsum(rises)))[at]
    rows = rows_at(order[at])
    names = sorted(n for n in rows.column_names if n not in PROVENANCE and n not in ("icao24", "timestamp"))
    names += [n for n in PROVENANCE if n in rows.column_names]
    columns = {"run": pa.array(run)} | {f"c{i}": _comparable(rows[n]) for i, n in enumerate(names)}
    keys = [(name, "ascending") for name in columns]
    inner = pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy()
    order[at] = order[at][inner]
    return bool(np.any(inner != np.arange(len(inner))))


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column


def block_starts(codes: Ints, times_ms: Ints, settings: SegmentSettings) -> Bools:
    """Mask of the rows at which a block begins, for sorted rows.

    Blocks end at gaps of `block_gap_s`. One longer than `max_flight_rows` is cut at its last gap of `gap_s` within so many rows,
    where there is one, else behind as many, but never between equal timestamps; and what is left of it likewise. Two neighbours
    that were cut apart are longer than `max_flight_rows` together, so that rows from any start on are cut in the same places.
    """
    max_rows = settings.max_flight_rows
    starts = np.ones(len(codes), np.bool_)
    starts[1:] = (codes[1:] != codes[:-1]) | (times_ms[1:] - times_ms[:-1] >= settings.block_gap_s * 1000)
    first = np.flatnonzero(starts)
    lengths = np.diff(np.append(first, len(codes)))
    for begin, length in zip(first[lengths > max_rows], lengths[lengths > max_rows], strict=True):  # rare: days at 1 Hz
        starts[_cuts(times_ms[begin : begin + length], settings) + begin] = True
    return starts


def _cuts(times_ms: Ints, settings: SegmentSettings) -> Ints:
    """Rows at which a block that is too long is cut."""
    gaps = np.flatnonzero(times_ms[1:] - times_ms[:-1] >= settings.gap_s * 1000) + 1
    cuts: list[int] = []
    begin = 0
    while len(times_ms) - begin > settings.max_flight_rows:
        cut = begin + settings.max_flight_rows
        before = int(np.searchsorted(gaps, cut, "right")) - 1
        if before >= 0 and gaps[before] > begin:
            cut = int(gaps[before])
        while cut < len(times_ms) and times_ms[cut] == times_ms[cut - 1]:
            cut += 1
        if cut < len(times_ms):
            cuts.append(cut)
        begin = cut
    return np.array(cuts, np.int64)


def mark_blocks(table: pa.Table, settings: SegmentSettings) -> pa.Table:
    """Number the blocks of sorted rows in a column `_block`, before any row is dropped, so that all track stages agree."""
    codes, times = address_codes(table["icao24"]), timestamps_ms(table["timestamp"])
    starts = block_starts(codes, times, settings)
    return table.append_column(BLOCK, pa.array((np.cumsum(starts) - 1).astype(np.int32)))


def block_numbers(table: pa.Table) -> Ints:
    """Number of each row's block; without a column `_block`, each aircraft's rows are one."""
    if BLOCK in table.column_names:
        return np.concatenate([c.to_numpy() for c in table[BLOCK].chunks] or [np.empty(0)]).astype(np.int64)
    codes = address_codes(table["icao24"])
    return np.cumsum(np.diff(codes, prepend=codes[:1]) != 0)
