"""Batches of rows that `_fast.pyx` has parsed, and their RAW tables: those that `reference.py` gives for the same records."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core import extras
from flight_etl.core.decode.collect import Document, Records, wanted_of
from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.parse import parse
from flight_etl.core.decode.reference import raw_table
from flight_etl.core.decode.values import RAW_TYPES, column_of, ground_of
from flight_etl.schema import EXTRA_PREFIX, OFFSET, RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.core.decode import _fast
    from flight_etl.core.decode.layout import Field, Layout
    from flight_etl.core.decode.plan import Column, Plan

    Ints = npt.NDArray[np.int64]
    Codes = npt.NDArray[np.int32]
    Flags = npt.NDArray[np.uint8]
    _Surrounding = tuple[pa.Array | pa.ChunkedArray, dict[bytes, bytes] | dict[str, str] | None]  # with metadata of a field
    Words = tuple[npt.NDArray[np.int32], bytes]  # offsets and bytes, as in an Arrow array of strings

__all__ = ["PLACE_WIDTH", "Batch", "Whole"]

PLACE_WIDTH: Final = 6  # int64 that the parser gives of a whole document

# States of a cell and kinds of extra values, as in _fast.pyx.
_HELD: Final = 1
_LEFT: Final = 2
_MOST_TEXT: Final = (1 << 31) - 1  # B of text that an array holds
_ENCODED: Final = pa.dictionary(pa.int32(), pa.string())


class _Whole(Exception):  # noqa: N818 - nothing has gone wrong
    """This batch is for the reference decoder: the answer for one record depends on others."""


class Whole:
    """Whole documents of a piece of the stream, each with rows. `places` are those of the parser: int64, a row for each."""

    __slots__ = ("_data", "_start", "places")
    complete = True

    def __init__(self, piece: tuple[bytes, int], places: Ints) -> None:
        self._data, self._start = piece
        self.places = places

    @property
    def rows(self) -> Ints:
        """Rows of each document."""
        rows: Ints = self.places[:, -1]
        return rows

    def documents(self, layout: Layout) -> list[tuple[Document, int]]:
        """Documents as the reference wants them, and their rows."""
        wanted = wanted_of(layout)
        found = []
        for at, head, head_end, tail, tail_end, rows in self.places.tolist():
            members = parse(b"{" + self._data[head:head_end] + b'"":0' + self._data[tail:tail_end] + b"}").value
            envelope = {key: members[key] for key in wanted if key in members}
            found.append((Document(self._start + at, (), envelope, complete=True), rows))
        return found

    def read(self, parser: _fast.Parser) -> bool:
        """Have a parser read the members round the rows; False where they are not plain."""
        return parser.around(self._data, self.places.tobytes())


class Batch:
    """Rows in the order of the stream: most of them parsed by the fast decoder, the odd ones by the reference."""

    def __init__(self, plan: Plan) -> None:
        self.rows = 0
        self.size = 0  # B
        self._plan = plan
        self._begins: list[int] = []  # rows with which a document begins
        self._documents: list[Document | Whole] = []
        self._around: _Parsed | None = None  # the members round the rows, where all documents are whole
        self._pieces: list[tuple[int, bytes, int]] = []  # first fast row, bytes of the stream, their position
        self._odd = Records()
        self._odd_rows: list[int] = []
        self._parsed: _Parsed | None = None
        self._inputs: list[tuple[int, int]] = []  # first row of each input, and its number

    def begin(self, number: int) -> None:
        """Say which input the rows to come are of."""
        self._inputs.append((self.rows, number))

    def inputs(self) -> npt.NDArray[np.int32]:
        """Number of each row's input."""
        begins, numbers = [row for row, _ in self._inputs], [number for _, number in self._inputs]
        return np.repeat(np.array(numbers, np.int32), np.diff([*begins, self.rows]))

    def add_run(self, rows: int, size: int, piece: tuple[bytes, int], document: Document | Whole) -> None:
        """Count rows that the parser has taken from a piece of the stream."""
        if not rows:
            return
        if not self._pieces or self._pieces[-1][1] is not piece[0]:
            self._pieces.append((self.rows - len(self._odd), *piece))
        self._add(rows, size, document)

    def add_documents(self, size: int, piece: tuple[bytes, int], places: Ints) -> None:
        """Count rows of whole documents that the parser has taken from a piece of the stream."""
        if len(places):
            whole = Whole(piece, places)
            self.add_run(int(whole.rows.sum()), size, piece, whole)

    def add_odd(self, number: int, at: int, raw: bytes, value: Any, document: Document) -> None:
        """Add a record that the parser did not take."""
        odd = self._odd
        odd.numbers.append(number)
        odd.offsets.append(at)
        odd.raws.append(raw)
        odd.values.append(value)
        odd.documents.append(document)
        self._odd_rows.append(self.rows)
        self._add(1, len(raw), document)

    def _add(self, rows: int, size: int, document: Document | Whole) -> None:
        if not self._documents or self._documents[-1] is not document:
            self._begins.append(self.rows)
            self._documents.append(document)
        self.rows += rows
        self.size += size

    def document(self, row: int) -> Document | Whole:
        """Document of a row, or the whole ones that it is among."""
        return self._documents[bisect_right(self._begins, row) - 1]

    def take(self, parser: _fast.Parser, around: _fast.Parser | None) -> None:
        """Take over what the parser has, which forgets it; `around` is the one for members round the rows."""
        if parser.rows:
            self._parsed = _Parsed(parser, self._plan)
        parser.clear()
        if around is None or self._plan.around is None or self._odd:
            return
        if all(isinstance(one, Whole) and one.read(around) for one in self._documents):
            self._around = _Parsed(around, self._plan.around)
        around.clear()

    def table(self, layout: Layout, *, max_extras: int) -> tuple[pa.Table, dict[str, int]]:
        """RAW table of the rows, and the counts of unreadable values."""
        carried = [(one, dict(one.carried)) for one in self._documents if isinstance(one, Document)]
        try:
            return self._table(layout, max_extras)
        except _Whole:
            for one, before in carried:  # or what its own rows have brought would hold from the first of them on
                one.carried = before
            return raw_table(self._records(layout), layout, max_extras=max_extras)

    def _table(self, layout: Layout, max_extras: int) -> tuple[pa.Table, dict[str, int]]:
        if self._parsed is None:
            return raw_table(self._odd, layout, max_extras=max_extras)
        if self._odd and any(field.carry for field in layout.fields):
            raise _Whole
        table, counts = self._parsed.table(layout, self._surroundings(layout))
        if self._odd:
            odd, odd_counts = raw_table(self._odd, layout, max_extras=max_extras)
            table = _merged(table, odd, np.array(self._odd_rows))
            counts = {key: counts.get(key, 0) + odd_counts.get(key, 0) for key in counts | odd_counts}
        names = [name for name in table.column_names if name.startswith(EXTRA_PREFIX) or name == extras.EXTRA_JSON]
        if len(names) > max_extras or extras.EXTRA_JSON in names:
            raise _Whole
        return table, counts

    def _surroundings(self, layout: Layout) -> _Listed | _Repeated:
        if self._around is not None and self._around.is_simple:
            rows = np.concatenate([one.rows for one in self._documents if isinstance(one, Whole)])
            return _Repeated(self._around, rows)
        return _Listed(self._rows_by_document(layout))

    def _rows_by_document(self, layout: Layout) -> list[tuple[Document, int]]:
        """Documents, and how many rows parsed by the fast decoder each has."""
        odd = np.searchsorted(self._odd_rows, [*self._begins, self.rows])
        rows = (np.diff([*self._begins, self.rows]) - np.diff(odd)).tolist()
        found: list[tuple[Document, int]] = []
        for one, count in zip(self._documents, rows, strict=True):
            found += one.documents(layout) if isinstance(one, Whole) else [(one, count)]
        return found

    def _records(self, layout: Layout) -> Records:
        """All records, as the reference decoder wants them."""
        records, odd = Records(), list(self._odd_rows)
        assert self._parsed is not None
        numbers, offsets, lengths = (array.tolist() for array in self._parsed.places)
        fast = place = 0
        for row in range(self.rows):
            if odd and odd[0] == row:
                del odd[0]
                one = len(self._odd_rows) - len(odd) - 1
                number, at, raw, value = (getattr(self._odd, name)[one] for name in ("numbers", "offsets", "raws", "values"))
            else:
                number, at = numbers[fast], offsets[fast]
                while place + 1 < len(self._pieces) and self._pieces[place + 1][0] <= fast:
                    place += 1
                _, data, start = self._pieces[place]
                raw = data[at - start : at - start + lengths[fast]]
                value = parse(raw).value
                fast += 1
            records.numbers.append(number)
            records.offsets.append(at)
            records.raws.append(raw)
            records.values.append(value)
        counts = np.diff([*self._begins, self.rows]).tolist()
        for entry, count in zip(self._documents, counts, strict=True):
            for document, rows in entry.documents(layout) if isinstance(entry, Whole) else [(entry, count)]:
                records.documents += [document] * rows
        return records


def _merged(table: pa.Table, odd: pa.Table, odd_rows: Ints) -> pa.Table:
    """Put odd rows back between the others."""
    rows = table.num_rows + odd.num_rows
    others = np.setdiff1d(np.arange(rows), odd_rows, assume_unique=True)
    order = np.empty(rows, np.int64)
    order[others], order[odd_rows] = np.arange(len(others)), len(others) + np.arange(len(odd_rows))
    plain = [column.cast(pa.string()) if column.type == _ENCODED else column for column in table.columns]
    schema = pa.schema([field.with_type(column.type) for field, column in zip(table.schema, plain, strict=True)])
    both = extras.concat([pa.Table.from_arrays(plain, schema=schema), odd])
    return both.take(pa.array(order))


class _Parsed:
    """What the parser has made of the records of a batch."""

    def __init__(self, parser: _fast.Parser, plan: Plan) -> None:
        self.rows = parser.rows
        self.places = parser.places()
        self._plan = plan
        self._columns = [parser.column(number) for number in range(len(plan.columns))]
        self._extras = parser.extras()
        self._counts: dict[str, int] = {}

    def table(self, layout: Layout, documents: _Listed | _Repeated) -> tuple[pa.Table, dict[str, int]]:
        """RAW table, whatever the number of its extra columns. Raises _Whole."""
        around = documents.around(layout)
        numbers, offsets, _ = self.places
        names, arrays = [RECORD, OFFSET], [pa.array(numbers), pa.array(offsets)]
        number = 0
        for field in layout.fields:
            ground = None
            if field.envelope:
                array = around[field.name][0]
            else:
                array, ground = self._declared(self._plan.columns[number], self._columns[number], documents)
                number += 1
            if ground is not None:
                names.append(f"{field.name}_ground")
                arrays.append(ground)
            names.append(field.name)
            arrays.append(array)
        fields = [pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)]
        undeclared: dict[str, _Surrounding] = {
            EXTRA_PREFIX + name: self._extra(cells, tokens) for name, cells, tokens in self._extras
        }
        for name, column in around.items():
            if name.startswith(EXTRA_PREFIX):
                if name in undeclared:  # the records' own value wins, one by one
                    raise _Whole
                undeclared[name] = column
        for name in sorted(undeclared):
            array, metadata = undeclared[name]
            arrays.append(array)
            fields.append(pa.field(name, array.type, metadata=metadata))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), self._counts

    @property
    def is_simple(self) -> bool:
        """Whether the tokens of undeclared keys are those that a writer of JSON would give."""
        return not any(np.bitwise_or.reduce(cells["kind"]) & (extras.FLOAT | extras.NESTED) for _, cells, _ in self._extras)

    def repeated(self, layout: Layout, rows: Ints) -> dict[str, _Surrounding]:
        """Columns by name, with the metadata of those of undeclared keys; each value as often as `rows` says. Raises _Whole."""
        found: dict[str, _Surrounding] = {}
        fields = [field for field in layout.fields if field.envelope]
        for field, column, parsed in zip(fields, self._plan.columns, self._columns, strict=True):
            array, ground = self._declared(column, parsed, _Listed([]))
            if ground is not None:
                raise _Whole
            found[field.name] = _each(array, rows), None
        if self._counts:
            raise _Whole
        for name, cells, tokens in self._extras:
            array, metadata = self._extra(cells, tokens)
            found[EXTRA_PREFIX + name] = _each(array, rows), metadata
        return found

    def _declared(self, column: Column, parsed: Any, documents: _Listed | _Repeated) -> tuple[pa.Array, pa.Array]:
        """Column of a field; and that of where it was "ground", or None."""
        field = column.field
        if field.kind is Kind.TEXT:
            return self._text(field, parsed, documents), None
        if parsed is None:
            return _nulls(self.rows, field.kind), _false(self.rows) if field.kind is Kind.ALTITUDE else None
        state, values, codes, words, flags, left = parsed
        values = flags if field.kind is Kind.BOOL else values
        valid = state == _HELD
        if left:
            rows = np.flatnonzero(state == _LEFT)
            known = [parse(token).value for token in _split(words)]
            sent = [known[code] for code in codes[rows]]
            read, unreadable = column_of(sent, field)
            if unreadable:
                self._counts[f"unreadable.{field.name}"] = unreadable
            values = values.copy()
            valid[rows] = read.is_valid().to_numpy(zero_copy_only=False)
            values[rows] = pc.fill_null(read, pa.scalar(0).cast(read.type)).to_numpy(zero_copy_only=False)
            if field.kind is Kind.ALTITUDE:
                flags = flags.copy()
                flags[rows] = ground_of(sent).to_numpy(zero_copy_only=False)
        ground = _array(pa.bool_(), flags) if field.kind is Kind.ALTITUDE else None
        return _array(RAW_TYPES[field.kind], values, valid), ground

    def _text(self, field: Field, parsed: Any, documents: _Listed | _Repeated) -> pa.Array:
        codes, words = (None, (np.zeros(1, np.int32), b"")) if parsed is None else (parsed[2], parsed[3])
        if field.carry:
            codes, words = documents.carried(codes, words, self.rows, field)
        if codes is None:
            return _nulls(self.rows, field.kind)
        offsets, text = words
        dictionary = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
        indices = _array(pa.int32(), np.maximum(codes, 0), codes >= 0)
        return pa.DictionaryArray.from_arrays(indices, dictionary, safe=False)

    def _extra(self, cells: Any, tokens: bytes) -> tuple[pa.Array, dict[str, str]]:
        """Column of an undeclared key as core/extras.py wants it, and its metadata."""
        mask = int(np.bitwise_or.reduce(cells["kind"]))
        rows = cells["row"]
        valid = np.zeros(self.rows, np.bool_)
        valid[rows] = True
        if mask in (extras.INT, extras.BOOL):
            values = np.zeros(self.rows, np.int64)
            values[rows] = cells["value"]
            array = _array(pa.int64() if mask == extras.INT else pa.bool_(), values, valid)
        else:
            lengths = np.zeros(self.rows + 1, np.int32)
            lengths[rows + 1] = cells["length"]
            buffers: list[Any] = [None, pa.py_buffer(np.cumsum(lengths, dtype=np.int32)), pa.py_buffer(tokens)]
            buffers[0] = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
            array = pa.Array.from_buffers(pa.string(), self.rows, buffers)
        return array, {"kinds": str(mask)}


class _Listed:
    """What stands round the rows: documents one by one, and how many rows each has."""

    def __init__(self, documents: list[tuple[Document, int]]) -> None:
        self._documents = documents

    def around(self, layout: Layout) -> dict[str, _Surrounding]:
        """Columns of it: the reference's table of one empty record each, repeated for their rows. Raises _Whole."""
        if not layout.envelope_extras and not any(field.envelope for field in layout.fields):
            return {}
        empty: list[Any] = [[] if layout.rows == "array" else {} for _ in self._documents]
        numbers = list(range(len(empty)))
        records = Records(numbers, numbers, [orjson.dumps(one) for one in empty], empty, [one for one, _ in self._documents])
        table, counts = raw_table(records, layout, max_extras=len(layout.envelope_extras))
        if any(key.startswith("unreadable.") for key in counts):
            raise _Whole
        names = {field.name for field in layout.fields if field.envelope}
        table = table.select([name for name in table.column_names if name in names or name.startswith(EXTRA_PREFIX)])
        table = table.take(pa.array(np.repeat(numbers, [rows for _, rows in self._documents])))
        return {field.name: (table[field.name], field.metadata) for field in table.schema}

    def carried(self, codes: Codes | None, words: Words, rows: int, field: Field) -> tuple[Codes | None, Words]:
        """Values, each holding until the next one of its document."""
        return _carried(codes, words, rows, field, self._documents)


class _Repeated:
    """The same of whole documents, whose members have been parsed as rows of their own."""

    def __init__(self, members: _Parsed, rows: Ints) -> None:
        self._members, self._rows = members, rows

    def around(self, layout: Layout) -> dict[str, _Surrounding]:
        """Columns of it. Raises _Whole."""
        return self._members.repeated(layout, self._rows)

    def carried(self, codes: Codes | None, words: Words, rows: int, field: Field) -> tuple[Codes | None, Words]:  # noqa: ARG002
        """Values, each holding until the next one of its document, "" until then none."""
        if codes is None:
            return None, words
        # The row that a value comes from: the latest that has one, or the first one of the document, which then has none.
        sent = np.where(codes >= 0, np.arange(rows), 0)
        begins = np.cumsum(self._rows) - self._rows
        sent[begins] = begins
        result = codes[np.maximum.accumulate(sent)]
        empty = np.flatnonzero(np.diff(words[0]) == 0)
        if len(empty):
            result[result == empty[0]] = -1
        return result, words


def _each(array: pa.Array, counts: Ints) -> pa.Array:
    """Each value as often as `counts` says. Text is put together from bytes, which takes a fraction of the time of `take`."""
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(_each(array.indices, counts), array.dictionary, safe=False)
    if not pa.types.is_string(array.type):
        return array.take(pa.array(np.repeat(np.arange(len(array)), counts)))
    words = [b"" if word is None else word for word in array.cast(pa.binary()).to_pylist()]
    text = b"".join([word * count for word, count in zip(words, counts.tolist(), strict=True)])
    lengths = np.repeat(np.array([len(word) for word in words]), counts)
    valid = None
    if array.null_count:
        valid = np.repeat(array.is_valid().to_numpy(zero_copy_only=False), counts)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > _MOST_TEXT:
        raise _Whole
    validity = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(
        pa.string(), len(lengths), [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(text)]
    )


@lru_cache(maxsize=16)
def _nulls(rows: int, kind: Kind) -> pa.Array:
    return pa.nulls(rows, _ENCODED if kind is Kind.TEXT else RAW_TYPES[kind])


@lru_cache(maxsize=2)
def _false(rows: int) -> pa.Array:
    return _array(pa.bool_(), np.zeros(rows, np.uint8))


def _array(type_: pa.DataType, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Arrow array over the values, which are not copied, but booleans are packed; null where not valid."""
    data = np.packbits(values, bitorder="little") if type_ == pa.bool_() else values
    validity = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(type_, len(values), [validity, pa.py_buffer(data)])


def _split(words: Words) -> list[bytes]:
    offsets, text = words
    ends = offsets.tolist()
    return [text[begin:end] for begin, end in pairwise(ends)]


def _carried(
    codes: Codes | None, words: Words, rows: int, field: Field, documents: Sequence[tuple[Document, int]]
) -> tuple[Codes | None, Words]:
    """Values, each holding until the next one of its document, and "" without one; as reference.py has it."""
    known = [word.decode() for word in _split(words)]
    result = np.full(rows, -1, np.int32) if codes is None else codes.copy()
    begin = 0
    for document, count in documents:
        part = result[begin : begin + count]
        begin += count
        sent = np.flatnonzero(part >= 0)
        first = document.carried.get(field.name)
        if first is not None:
            if type(first) is not str:
                raise _Whole
            part[: sent[0] if len(sent) else count] = len(known)
            known.append(first)
        if len(sent):
            ends = np.append(sent[1:], count)
            part[sent[0] :] = np.repeat(part[sent], ends - sent)
            document.carried[field.name] = known[part[-1]]
    if not known:
        return None, words
    strings = pa.array(known, pa.string()).dictionary_encode()
    again = strings.indices.to_numpy()
    result = np.where(result >= 0, again[result], -1).astype(np.int32)
    words_again = strings.dictionary.to_pylist()
    if "" in words_again:
        result[result == words_again.index("")] = -1
    text = "".join(words_again).encode()
    offsets = np.cumsum([0, *(len(word.encode()) for word in words_again)], dtype=np.int32)
    return result, (offsets, text)
