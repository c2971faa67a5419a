"""Records, parsed by orjson, to RAW tables: slow, obviously right, and the oracle for any faster decoder."""

from __future__ import annotations

from itertools import zip_longest
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa

from flight_etl.core.decode.collect import leads_to
from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.parse import HugeNumber
from flight_etl.core.decode.tokens import MemberTokens, RowTokens
from flight_etl.core.decode.values import column_of, ground_of
from flight_etl.core.extras import BOOL, EXTRA_JSON, FLOAT, INT, NESTED, TEXT
from flight_etl.schema import EXTRA_PREFIX, OFFSET, RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flight_etl.core.decode.collect import Document, Records
    from flight_etl.core.decode.layout import Field, Layout, Variant

    Token = Callable[[int, Any], str]  # row, value -> source token

__all__ = ["raw_table"]

_INT64: Final = range(-(1 << 63), 1 << 63)
_KIND_OF: Final = {int: INT, float: FLOAT, bool: BOOL, str: TEXT, HugeNumber: TEXT, dict: NESTED, list: NESTED}


def raw_table(records: Records, layout: Layout, *, max_extras: int) -> tuple[pa.Table, dict[str, int]]:
    """RAW table of some records (see the package's docstring), and the counts of unreadable values."""
    table = _Columns(records, max_extras)
    if layout.rows == "array":
        _array_columns(table, records, layout)
    else:
        _object_columns(table, records, layout)
    return table.finish()


class _Columns:
    """The columns of one table as they come to be."""

    def __init__(self, records: Records, max_extras: int) -> None:
        self.records = records
        self.counts: dict[str, int] = {}
        self._max_extras = max_extras
        self._names = [RECORD, OFFSET]
        self._arrays: list[pa.Array] = [pa.array(records.numbers, pa.int64()), pa.array(records.offsets, pa.int64())]
        self._extras: dict[str, tuple[Sequence[Any], Token]] = {}

    def declared(self, field: Field, values: Sequence[Any] | None, token: Token) -> None:
        """Add the RAW column of a field; None: all null."""
        if values is None:
            values = [None] * len(self.records)
        if field.kind is Kind.ALTITUDE:
            self._add(f"{field.name}_ground", ground_of(values))
        if field.kind is Kind.TEXT:
            values = _texts(values, token)
        column, unreadable = column_of(values, field)
        if unreadable:
            self.counts[f"unreadable.{field.name}"] = unreadable
        self._add(field.name, column)

    def undeclared(self, key: str, values: Sequence[Any], token: Token) -> None:
        """Add the column of an undeclared key, or further values of it where it is null so far."""
        if key in self._extras:
            first, first_token = self._extras[key]
            chosen = [(a, first_token) if a is not None else (b, token) for a, b in zip(first, values, strict=True)]
            values = [value for value, _ in chosen]
            tokens = [one for _, one in chosen]
            self._extras[key] = (values, lambda row, value: tokens[row](row, value))
        else:
            self._extras[key] = (values, token)

    def _add(self, name: str, column: pa.Array) -> None:
        self._names.append(name)
        self._arrays.append(column)

    def finish(self) -> tuple[pa.Table, dict[str, int]]:
        """Put everything together: extra columns by name, those beyond the permitted number in one."""
        fields = [pa.field(name, array.type) for name, array in zip(self._names, self._arrays, strict=True)]
        keys = sorted(key for key, (values, _) in self._extras.items() if any(value is not None for value in values))
        arrays = list(self._arrays)
        for key in keys[: self._max_extras]:
            array, mask = _extra_column(*self._extras[key])
            arrays.append(array)
            fields.append(pa.field(EXTRA_PREFIX + key, array.type, metadata={"kinds": str(mask)}))
        if len(keys) > self._max_extras:
            arrays.append(self._folded(keys[self._max_extras :]))
            fields.append(pa.field(EXTRA_JSON, pa.string(), metadata={"kinds": str(TEXT)}))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), self.counts

    def _folded(self, keys: Iterable[str]) -> pa.Array:
        members: list[list[str]] = [[] for _ in range(len(self.records))]
        for key in keys:
            values, token = self._extras[key]
            name = orjson.dumps(key).decode()
            for row, value in enumerate(values):
                if value is not None:
                    text = orjson.dumps(value).decode() if type(value) is str else token(row, value)
                    members[row].append(f"{name}:{text}")
        return pa.array(["{" + ",".join(row) + "}" if row else None for row in members], pa.string())


def _texts(values: Sequence[Any], token: Token) -> Sequence[str | None]:
    """Texts as they are, and the source tokens of all else."""
    if set(map(type, values)) <= {str, type(None)}:
        return values
    return [v if v is None or type(v) is str else token(row, v) for row, v in enumerate(values)]


def _extra_column(values: Sequence[Any], token: Token) -> tuple[pa.Array, int]:
    """Column of an undeclared key as core/extras.py wants it, and the kinds of its values."""
    types = set(map(type, values)) - {type(None)}
    mask = 0
    for one in types:
        mask |= _KIND_OF[one]
    if mask == INT and 0 not in values and all(value is None or value in _INT64 for value in values):
        return pa.array(values, pa.int64()), INT
    if mask == BOOL:
        return pa.array(values, pa.bool_()), BOOL
    tokens = _texts(values, token)
    if mask & INT:
        plain = [_is_plain(value, text) for value, text in zip(values, tokens, strict=True) if type(value) is int]
        if not all(plain):  # an int that int64 cannot hold, or -0
            mask = (mask if any(plain) else mask & ~INT) | FLOAT
        if mask == INT:
            return pa.array(values, pa.int64()), INT
    return pa.array(tokens, pa.string()), mask


def _is_plain(value: int, token: str | None) -> bool:
    return value in _INT64 and token == str(value)


# -- records that are objects ------------------------------------------------------------------------------------------


def _object_columns(table: _Columns, records: Records, layout: Layout) -> None:
    values = records.values
    tokens = MemberTokens(records.raws.__getitem__)
    present = set().union(*values)
    declared = {key for field in layout.fields if not field.envelope for key in field.keys}
    nested = {key for field in layout.fields if field.path for key in field.keys}
    for field in layout.fields:
        if field.envelope:
            table.declared(field, _envelope_values(records.documents, field), _no_token)
            continue
        keys = [key for key in field.keys if key in present]
        column = _first_of(values, keys) if keys else None
        if column is not None and field.path:
            column = [None if value is None else _below(value, field.path) for value in column]
        elif column is not None and not nested.isdisjoint(keys):
            column = _without_nested(values, column, [key for key in keys if key in nested])
        table.declared(field, column, _member_tokens(values, tokens, keys, field))
    kept = {key for field in layout.fields if field.keep for key in field.keys}
    if layout.extras:
        for key in sorted(present & kept | (present - declared)):
            table.undeclared(key, [record.get(key) for record in values], _key_token(tokens, key))
    _envelope_extras(table, records, layout)


def _first_of(values: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Sequence[Any]:
    """Value of the first of `keys` that is neither null nor empty text, for each record."""
    if len(keys) == 1:
        key = keys[0]
        return [record.get(key) for record in values]
    columns = [[record.get(key) for record in values] for key in keys]
    return [next((v for v in row if v is not None and v != ""), None) for row in zip(*columns, strict=True)]


def _without_nested(values: Sequence[Mapping[str, Any]], column: Sequence[Any], keys: Iterable[str]) -> Sequence[Any]:
    """Values of a field, null where one is an object or an array of one of `keys`, which other fields read."""

    def of_keys(row: int, value: Any) -> bool:
        return isinstance(value, (dict, list)) and any(values[row].get(key) is value for key in keys)

    return [None if of_keys(row, value) else value for row, value in enumerate(column)]


def _below(value: Any, path: tuple[str, ...]) -> Any:
    found = leads_to(value, path)
    return None if found is ... else found


def _member_tokens(values: Sequence[Any], tokens: MemberTokens, keys: Sequence[str], field: Field) -> Token:
    """Token of a field's value: verbatim in the record, in the form of orjson below it."""

    def token(row: int, value: Any) -> str:
        if field.path:
            return _plain_token(value)
        key = next(key for key in keys if values[row].get(key) is value)
        return tokens.token(row, key, value)

    return token


def _key_token(tokens: MemberTokens, key: str) -> Token:
    return lambda row, value: tokens.token(row, key, value)


def _no_token(_: int, value: Any) -> str:
    return _plain_token(value)


def _plain_token(value: Any) -> str:
    return str(value) if isinstance(value, HugeNumber) else orjson.dumps(value).decode()


# -- what the envelope says --------------------------------------------------------------------------------------------


def _envelope_values(documents: Sequence[Document], field: Field) -> Sequence[Any]:
    known = {document: _envelope_value(document, field) for document in set(documents)}
    return [known[document] for document in documents]


def _envelope_value(document: Document, field: Field) -> Any:
    found = (_below(document.envelope.get(key), field.path) for key in field.keys)
    return next((value for value in found if value is not None and value != ""), None)


def _envelope_extras(table: _Columns, records: Records, layout: Layout) -> None:
    documents = set(records.documents)
    for name, path in layout.envelope_extras:
        known = {document: _below(document.envelope, path) for document in documents}
        table.undeclared(name, [known[document] for document in records.documents], _no_token)


# -- records that are arrays -------------------------------------------------------------------------------------------


def _array_columns(table: _Columns, records: Records, layout: Layout) -> None:
    rows = records.values
    tokens = RowTokens(records.raws, rows)
    variants = _variants(rows, layout)
    columns = _transposed(rows, layout)
    for field in layout.fields:
        if field.envelope:
            table.declared(field, _envelope_values(records.documents, field), _no_token)
            continue
        assert field.index is not None
        column = _placed(columns, rows, variants, field)
        if column is not None and field.path:
            column = [None if value is None else _below(value, field.path) for value in column]
        if field.carry:
            column = _carried(column or [None] * len(rows), records.documents, field.name)
        table.declared(field, column, _field_token(tokens, field, variants))
    _array_extras(table, columns, variants, tokens, layout)
    _envelope_extras(table, records, layout)


def _variants(rows: Sequence[list[Any]], layout: Layout) -> list[Variant | None]:
    """Variant that each row is of."""
    if not layout.variants:
        return [None] * len(rows)

    def variant_of(row: list[Any]) -> Variant | None:
        return next((v for v in layout.variants if len(row) == v.width and isinstance(row[v.bool_at], bool)), None)

    return [variant_of(row) for row in rows]


def _transposed(rows: Sequence[list[Any]], layout: Layout) -> list[Sequence[Any]]:
    columns: list[Sequence[Any]] = list(zip_longest(*rows))
    empty = [None] * len(rows)
    return columns + [empty] * (layout.widths[-1] - len(columns))


def _placed(
    columns: Sequence[Sequence[Any]], rows: Sequence[list[Any]], variants: Sequence[Variant | None], field: Field
) -> Sequence[Any]:
    """Values of a field, wherever each row has it."""
    assert field.index is not None
    usual = columns[field.index]
    if not any(variants):
        return usual
    moved = {id(v): dict(v.index).get(field.name, field.index) for v in variants if v is not None}

    def value(row: int) -> Any:
        variant = variants[row]
        index = field.index if variant is None else moved[id(variant)]
        return None if index is None or index >= len(rows[row]) else rows[row][index]

    return [value(row) for row in range(len(rows))]


def _carried(values: Sequence[Any], documents: Sequence[Document], name: str) -> list[Any]:
    """Values, each holding until the next one of its document."""
    result = list(values)
    for row, (value, document) in enumerate(zip(values, documents, strict=True)):
        if value is None:
            result[row] = document.carried.get(name)
        else:
            document.carried[name] = value
    return result


def _field_token(tokens: RowTokens, field: Field, variants: Sequence[Variant | None]) -> Token:
    def token(row: int, value: Any) -> str:
        if field.path or field.index is None:
            return _plain_token(value)
        variant = variants[row]
        index = None if variant is None else dict(variant.index).get(field.name)
        return tokens.token(row, field.index if index is None else index, value)

    return token


def _array_extras(
    table: _Columns,
    columns: Sequence[Sequence[Any]],
    variants: Sequence[Variant | None],
    tokens: RowTokens,
    layout: Layout,
) -> None:
    """Extra columns by position, beyond the widest width, and from the object inside the row."""

    def at(index: int) -> Token:
        return lambda row, value: tokens.token(row, index, value)

    for field in layout.fields:
        if field.keep and field.index is not None:
            table.undeclared(field.name, columns[field.index], at(field.index))
    for index, name in layout.extra_columns:
        table.undeclared(name, _where(columns[index], variants, None), at(index))
    for variant in {id(v): v for v in variants if v is not None}.values():
        for index, name in variant.extra_columns:
            table.undeclared(name, _where(columns[index], variants, variant), at(index))
    for index in range(layout.widths[-1], len(columns)):
        table.undeclared(f"column_{index}", columns[index], at(index))
    if layout.extra_object is not None:
        _nested_extras(table, columns[layout.extra_object], tokens, layout)


def _where(column: Sequence[Any], variants: Sequence[Variant | None], variant: Variant | None) -> Sequence[Any]:
    if not any(variants):
        return column
    return [value if of is variant else None for value, of in zip(column, variants, strict=True)]


def _nested_extras(table: _Columns, objects: Sequence[Any], tokens: RowTokens, layout: Layout) -> None:
    index = layout.extra_object
    assert index is not None
    declared = {field.path[0] for field in layout.fields if field.path and field.index == index}
    held = [(row, value) for row, value in enumerate(objects) if isinstance(value, dict)]
    members = MemberTokens(lambda row: tokens.raw(row, index))
    for key in sorted(set().union(*map(itemgetter(1), held)) - declared):
        values: list[Any] = [None] * len(objects)
        for row, value in held:
            values[row] = value.get(key)
        table.undeclared(key, values, _key_token(members, key))
