"""Sorted tables put together to one, in the one order of rows (core/order.py), each row copied once.

A `Part` is a sorted table with its keys, a `Piece` some of its rows. A `Lot` says which rows of which parts make a table, in
which order; it is cheap to make, so that it can be made on one thread and be turned into the table on another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flight_etl.core import extras
from flight_etl.core.kernels import track_kernels
from flight_etl.core.order import address_codes, order_ties, sorted_order, timestamps_ms
from flight_etl.schema import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flight_etl.core.order import Ints

__all__ = ["Keys", "Lot", "Part", "Piece", "keys_of", "part_of"]

Codes = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]

_COPIED_BITS: Final = (1, 32, 64)  # widths of values that can be copied
_ROW: Final = "_row"  # name of a column of nulls
# Columns of `Part.places`.
_VALUES, _VALIDITY, _OFFSET, _NULLS, _ENDS, _TEXT, _SIZE = range(7)  # addresses of buffers but for _OFFSET, _NULLS, _SIZE


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows in order: tables of one chunk for each column, with the code of each row's address and its time, ms UTC.

    `others` has the extra columns, `table` all the rest, which the tables of a run have in common. `places` has a line for
    each column of `table`: where its buffers are. `form` names these columns; None where the buffers cannot be read directly.
    """

    table: pa.Table
    others: pa.Table | None
    codes: Codes
    times: Ints
    form: str | None = None
    places: Places | None = None

    def position(self, code: int, time: int, begin: int, end: int) -> int:
        """First of the rows from `begin` to `end` that is not below a key."""
        codes = self.codes[begin:end]
        low, high = np.searchsorted(codes, np.array([code, code + 1], np.int32)).tolist()
        return int(begin + low + np.searchsorted(self.times[begin + low : begin + high], time))


class Piece(NamedTuple):
    """Rows of a part from `begin` to before `end`."""

    part: Part
    begin: int
    end: int


def part_of(table: pa.Table) -> Part:
    """Put the rows of a table into order, but for those with equal keys, which stay as they came."""
    table = table.combine_chunks()
    codes, times = address_codes(table["icao24"]).astype(np.int32), timestamps_ms(table["timestamp"])
    extra = [name for name in table.column_names if extras.is_extra(name)]
    others = table.select(extra) if extra else None
    table = table.drop_columns(extra) if extra else table
    form, places = (None, None) if track_kernels() is None else _places(table)
    part = Part(table, others, codes, times, form, places)
    order = sorted_order(codes, times)
    return part if order is None else _sorted(part, order)


def _sorted(part: Part, order: Codes) -> Part:
    others = part.others.take(pa.array(order)) if part.others is not None else None
    if part.form is None:
        return Part(part.table.take(pa.array(order)), others, part.codes[order], part.times[order])
    columns = _Columns([part], part.table.schema, np.zeros(len(order), np.int32), order)
    arrays, places = columns.copied()
    table = pa.Table.from_arrays(arrays, schema=part.table.schema)
    return Part(table, others, part.codes[order], part.times[order], part.form, places)


def _places(table: pa.Table) -> tuple[str | None, Places | None]:
    """Names and types of columns, and where their buffers are."""
    if not table.num_rows or not all(_can_be_copied(type_) for type_ in table.schema.types):
        return None, None
    lines = [_line(column.chunk(0)) for column in table.columns]
    if None in lines:
        return None, None
    return str(table.schema.names) + str(table.schema.types), np.array(lines, np.int64)


@cache
def _can_be_copied(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return bool(type_.index_type == pa.int32() and type_.value_type == pa.string())
    return bool(pa.types.is_primitive(type_) and type_.bit_width in _COPIED_BITS)


def _line(array: pa.Array) -> list[int] | None:
    words = isinstance(array, pa.DictionaryArray)
    held = array.indices if words else array
    validity, values = held.buffers()
    if values is None:
        return None
    line = [values.address, validity.address if validity is not None and held.null_count else 0, held.offset, held.null_count]
    if not words:
        return [*line, 0, 0, 0]
    dictionary = array.dictionary
    if dictionary.null_count:
        return None
    _, ends, text = dictionary.buffers()
    if ends is None:
        return [*line, 0, 0, 0] if held.null_count == len(held) else None
    return [*line, ends.address + 4 * dictionary.offset, 0 if text is None else text.address, len(dictionary)]


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Keys of the rows of pieces, in order; `order` counts the rows through all pieces, None: it is theirs."""

    codes: Codes
    times: Ints
    order: npt.NDArray[np.int32] | None

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.codes)


def keys_of(pieces: Sequence[Piece]) -> Keys:
    """Order of the rows of sorted pieces; those with equal keys stay in the order of the pieces."""
    codes = np.concatenate([part.codes[begin:end] for part, begin, end in pieces])
    times = np.concatenate([part.times[begin:end] for part, begin, end in pieces])
    order = sorted_order(codes, times)
    return Keys(codes, times, None) if order is None else Keys(codes[order], times[order], order)


@dataclass(frozen=True, slots=True, eq=False)
class Lot:
    """Rows in order: those from `begin` to before `end` of `keys`, which are the keys of `pieces`.

    Extra columns will be as `plan` says, or, without one, as they are. `starts` are the rows of the lot at which a block
    begins, where that is known: they are numbered in a column `_block` then.
    """

    pieces: Sequence[Piece]
    keys: Keys
    begin: int
    end: int
    plan: extras.ExtrasPlan | None
    starts: Ints | None = field(default=None)

    def table(self) -> pa.Table:
        """Copy the rows. Those with equal keys are ordered by content, as `sort_rows` does."""
        codes, times = self.keys.codes[self.begin : self.end], self.keys.times[self.begin : self.end]
        rises = (codes[1:] != codes[:-1]) | (times[1:] != times[:-1])
        order = np.arange(self.begin, self.end, dtype=np.int32) if self.keys.order is None else self.keys.order
        if self.keys.order is not None:
            order = order[self.begin : self.end].copy()
        pieces = _Pieces(self.pieces, self.plan)
        if not bool(rises.all()):
            order_ties(pieces.rows, order, rises)
        table = pieces.rows(order)
        if self.starts is None:
            return table
        marks = np.zeros(self.end - self.begin, np.int32)
        marks[self.starts] = 1
        return table.append_column(BLOCK, pa.array(np.cumsum(marks, dtype=np.int32) - np.int32(1)))


class _Pieces:
    """Rows of pieces, by their number through all of them."""

    def __init__(self, pieces: Sequence[Piece], plan: extras.ExtrasPlan | None) -> None:
        self._pieces, self._plan = pieces, plan
        self._starts = np.concatenate(([0], np.cumsum([piece.end - piece.begin for piece in pieces]))).astype(np.int64)
        forms = {piece.part.form for piece in pieces}
        self._form = forms.pop() if len(forms) == 1 else None

    def rows(self, order: npt.NDArray[Any]) -> pa.Table:
        """Copy rows to a table of one chunk for each column."""
        declared = self._joined(order, self._declared, None) if self._form is None else self._copied(order)
        wanted = self._plan is not None and (self._plan.columns or self._plan.folds)
        if not wanted and all(part.others is None for part, _, _ in self._pieces):
            return declared
        others = self._joined(order, self._others, self._plan)
        return pa.Table.from_arrays([*declared.columns, *others.columns], schema=pa.schema([*declared.schema, *others.schema]))

    def _copied(self, order: npt.NDArray[Any]) -> pa.Table:
        kernels = track_kernels()
        assert kernels is not None
        begins = np.array([piece.begin for piece in self._pieces], np.int64)
        part, row = kernels.places(np.ascontiguousarray(order, np.int32), self._starts, begins)
        schema = self._pieces[0].part.table.schema
        arrays, _ = _Columns([piece.part for piece in self._pieces], schema, part, row).copied()
        return pa.Table.from_arrays(arrays, schema=schema)

    def _declared(self, at: int, begin: int, end: int) -> pa.Table:
        """Rows of a piece, without extra columns."""
        part, first, _ = self._pieces[at]
        return part.table.slice(first + begin, end - begin)

    def _others(self, at: int, begin: int, end: int) -> pa.Table:
        """Extra columns of rows of a piece; with one that is dropped again, since a table without columns has no rows."""
        part, first, _ = self._pieces[at]
        rows = pa.table({_ROW: pa.nulls(end - begin, pa.bool_())})
        if part.others is None:
            return rows
        others = part.others.slice(first + begin, end - begin)
        return pa.Table.from_arrays([*rows.columns, *others.columns], schema=pa.schema([*rows.schema, *others.schema]))

    def _joined(
        self, order: npt.NDArray[Any], rows_of: Callable[[int, int, int], pa.Table], plan: extras.ExtrasPlan | None
    ) -> pa.Table:
        """Copy rows by way of a table of all those from the first to the last that is used of each piece."""
        wanted = np.zeros(int(self._starts[-1]), np.bool_)
        wanted[order] = True
        seen = np.flatnonzero(wanted)
        low, high = np.searchsorted(seen, self._starts[:-1]), np.searchsorted(seen, self._starts[1:])
        some = np.flatnonzero(high > low)
        first, last = seen[low[some]], seen[high[some] - 1]
        begins, ends = first - self._starts[some], last - self._starts[some] + 1
        used = [rows_of(*one) for one in zip(some.tolist(), begins.tolist(), ends.tolist(), strict=True)]
        if plan is not None:  # before ties are ordered by content, which must have its final type for that
            used = [extras.conform(table, plan) for table in used]
        shift = np.cumsum(np.append(0, last - first + 1))[:-1] - first
        number = np.searchsorted(self._starts[some], order, "right") - 1
        taken = extras.concat(used).combine_chunks().take(pa.array(order + shift[number]))
        return taken.drop_columns([_ROW]) if _ROW in taken.column_names else taken


class _Columns:
    """Columns of parts of one form, copied row by row: row `row[i]` of part `part[i]` becomes row i."""

    def __init__(self, parts: Sequence[Part], fields: Sequence[pa.Field], part: Codes, row: Codes) -> None:
        self._parts, self._fields, self._part, self._row = parts, fields, part, row
        self._lines = np.stack([one.places for one in parts if one.places is not None])
        self._nulls = self._lines[:, :, _NULLS].sum(axis=0)
        self._empty = self._nulls == sum(one.table.num_rows for one in parts)

    def copied(self) -> tuple[list[pa.Array], Places]:
        """Copy all columns, and tell where they are; but for words of several parts, they share one piece of memory."""
        kernels = track_kernels()
        assert kernels is not None
        size = len(self._row)
        widths = np.array([self._copied_width(at, one.type) for at, one in enumerate(self._fields)], np.int64)
        values = -(-size * widths // 64) * 8  # B, in words of 8
        bits = np.where((self._nulls > 0) & (widths > 0), -(-size // 64) * 8, 0)
        ends = np.cumsum(np.column_stack((values, bits)).ravel())
        begins = np.append(0, ends[:-1]).reshape(-1, 2)
        memory = pa.allocate_buffer(int(ends[-1]) if len(ends) else 0)
        missing = kernels.take_columns(self._lines, widths, bits, self._part, self._row, begins, np.frombuffer(memory, np.uint8))
        lines = self._lines[0].copy()
        lines[:, _VALUES], lines[:, _OFFSET], lines[:, _NULLS] = memory.address + begins[:, 0], 0, missing
        lines[:, _VALIDITY] = np.where(missing > 0, memory.address + begins[:, 1], 0)
        columns = []
        for at, (one, width, null) in enumerate(zip(self._fields, widths.tolist(), missing.tolist(), strict=True)):
            if width:
                data, valid = begins[at].tolist()
                buffers = [memory.slice(valid, int(bits[at])) if null else None, memory.slice(data, int(values[at]))]
                columns.append(self._array(at, one.type, buffers, null))
            else:
                columns.append(pa.nulls(size, one.type) if self._empty[at] else self._words(at))
                lines[at] = _line(columns[-1])
        return columns, lines

    def _copied_width(self, at: int, type_: pa.DataType) -> int:
        """Bits of a value that is copied as it is; 0: nothing but nulls, or words of several dictionaries."""
        words = pa.types.is_dictionary(type_)
        if words and len(self._parts) == 1:
            return 32
        return 0 if words or self._empty[at] else int(type_.bit_width)

    def _array(self, at: int, type_: pa.DataType, buffers: list[pa.Buffer | None], null: int) -> pa.Array:
        if not pa.types.is_dictionary(type_):
            return pa.Array.from_buffers(type_, len(self._row), buffers, null)
        indices = pa.Array.from_buffers(pa.int32(), len(self._row), buffers, null)
        words = self._parts[0].table.column(self._fields[at].name).chunk(0).dictionary
        return pa.DictionaryArray.from_arrays(indices, words, safe=False)

    def _words(self, at: int) -> pa.Array:
        """Words of several dictionaries, as such of one, in the order of their first appearance."""
        kernels = track_kernels()
        assert kernels is not None
        codes = np.empty(len(self._row), np.int32)
        lines = np.ascontiguousarray(self._lines[:, at])
        ends, text = kernels.take_words(lines, self._part, self._row, codes)
        words = pa.StringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(text))
        missing = codes < 0
        indices = pa.array(codes, mask=missing) if self._nulls[at] and missing.any() else pa.array(codes)
        return pa.DictionaryArray.from_arrays(indices, words, safe=False)
