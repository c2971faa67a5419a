"""Columns for the keys that no layout declares: how they get one type and one name, whatever the order in which values arrive.

In flight such a column is called `x:<key>`. Its field metadata hold `kinds`, a bit mask of the kinds of JSON values seen
under the key: 1 int, 2 float, 4 bool, 8 text, 16 nested. Its type is int64 where only ints were seen, bool where only
booleans were, else string with each value's source token (JSON strings decoded). For the answer to be the same for any
chunking, the two typed forms must be able to give their tokens back, so the decoder counts as ints only the integers that
fit int64 and are written as Python writes them (`-0` is a float), and numbers that no float64 can hold as text.

Keys beyond the cap share `extra_json`, a JSON object. A decoder that folds keys early must fold the largest ones: then every
key that is among the smallest of the whole run is a column in every chunk that has it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.schema import EXTRA_PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["EXTRA_JSON", "ExtrasPlan", "concat", "conform", "in_flight", "is_extra", "kinds", "merge", "plan"]

EXTRA_JSON: Final = "extra_json"
INT: Final = 1
FLOAT: Final = 2
BOOL: Final = 4
TEXT: Final = 8
NESTED: Final = 16
_KINDS: Final = b"kinds"

_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)
_SCALAR: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExtraColumn:
    """One extra column of the output: the key of the source, name and type in the output, and the kinds seen."""

    key: str
    name: str
    type: pa.DataType
    kinds: int

    def field(self) -> pa.Field:
        """Arrow field with the metadata that every written column has, and with what `in_flight` needs to read it again."""
        about = {
            "unit": "as in the source",
            "null": "not sent",
            "description": f"undeclared key {json.dumps(self.key)} of the source",
            "key": self.key,
            "kinds": str(self.kinds),
        }
        return pa.field(self.name, self.type, metadata=about)


@dataclass(frozen=True, slots=True)
class ExtrasPlan:
    """What becomes of every undeclared key of a run. `folds`: there is a column `extra_json`, the last one."""

    columns: tuple[ExtraColumn, ...]
    folds: bool

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """Fields of the extra columns, in the order of the output."""
        return tuple(column.field() for column in self.columns) + ((_JSON_FIELD,) if self.folds else ())


_JSON_FIELD: Final = pa.field(
    EXTRA_JSON,
    pa.string(),
    metadata={
        "unit": "as in the source",
        "null": "no such key sent",
        "description": "undeclared keys beyond the number that get a column each, as a JSON object with sorted keys",
    },
)


def kinds(schema: pa.Schema) -> dict[str, int]:
    """Kinds seen, by name in flight (`x:<key>`, and `extra_json` where keys were folded already)."""
    return {field.name: _mask(field) for field in schema if is_extra(field.name)}


def in_flight(field: pa.Field) -> pa.Field:
    """Give the field of a written extra column its name and its kinds in flight, so that tables of several runs can be joined.

    What was written as float64 gives back the value and not the source's token: `1.50` beside text of another run is `1.5`.
    """
    if field.name == EXTRA_JSON:
        return pa.field(EXTRA_JSON, pa.string(), metadata={_KINDS: str(TEXT).encode()})
    about = field.metadata or {}
    key = about.get(b"key", field.name.encode()).decode()
    return pa.field(EXTRA_PREFIX + key, field.type, metadata={_KINDS: about.get(_KINDS, str(_kind_of(field.type)).encode())})


def _kind_of(type_: pa.DataType) -> int:
    if pa.types.is_boolean(type_):
        return BOOL
    return INT if pa.types.is_integer(type_) else FLOAT if pa.types.is_floating(type_) else TEXT


def merge(kinds_a: Mapping[str, int], kinds_b: Mapping[str, int]) -> dict[str, int]:
    """Kinds seen in either, names sorted."""
    return {name: kinds_a.get(name, 0) | kinds_b.get(name, 0) for name in sorted({*kinds_a, *kinds_b})}


def plan(kinds: Mapping[str, int], *, max_columns: int, reserved: Collection[str]) -> ExtrasPlan:
    """Decide the extra columns of a run from the kinds of all its tables.

    The smallest `max_columns` keys keep a column. A name that is taken, by `reserved` or by a smaller key, in any case of its
    letters (engines such as DuckDB and Spark ignore case), gets the prefix `extra_` until it is free.
    """
    keys = sorted(name.removeprefix(EXTRA_PREFIX) for name in kinds if name.startswith(EXTRA_PREFIX))
    taken = {name.casefold() for name in reserved} | {EXTRA_JSON, ""}
    columns = []
    for key in keys[:max_columns]:
        name = key
        while name.casefold() in taken:
            name = f"extra_{name}"
        taken.add(name.casefold())
        columns.append(ExtraColumn(key, name, _final_type(kinds[EXTRA_PREFIX + key]), kinds[EXTRA_PREFIX + key]))
    return ExtrasPlan(tuple(columns), folds=EXTRA_JSON in kinds or len(keys) > max_columns)


def _final_type(mask: int) -> pa.DataType:
    if mask == INT:
        return pa.int64()
    if mask in (FLOAT, INT | FLOAT):
        return pa.float64()
    return pa.bool_() if mask == BOOL else pa.string()


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables in flight one after another, whatever extra columns each has, and however they are typed there.

    Columns other than extra ones must be the same in all; they come in the order of the first table, extra ones by name.
    """
    if len({_signature(table.schema) for table in tables}) == 1:
        return pa.concat_tables([table.select(tables[0].column_names) for table in tables])
    seen: dict[str, int] = {}
    for table in tables:
        seen = merge(seen, kinds(table.schema))
    fields = [field for field in tables[0].schema if not is_extra(field.name)]
    fields += [pa.field(name, _joint_type(name, tables), metadata={_KINDS: str(mask).encode()}) for name, mask in seen.items()]
    schema = pa.schema(fields)
    return pa.concat_tables([_fitted(table, schema) for table in tables])


def _signature(schema: pa.Schema) -> frozenset[tuple[str, str, int]]:
    return frozenset((field.name, str(field.type), _mask(field)) for field in schema)


def _mask(field: pa.Field) -> int:
    return int((field.metadata or {}).get(_KINDS, b"0"))


def is_extra(name: str) -> bool:
    """Whether a column is an extra one, by its name in flight."""
    return name.startswith(EXTRA_PREFIX) or name == EXTRA_JSON


def _joint_type(name: str, tables: Sequence[pa.Table]) -> pa.DataType:
    """Type of a column of all tables; a column in which nothing was seen (kinds 0) may become any."""
    own = [table.schema.field(name) for table in tables if name in table.column_names]
    types = {field.type for field in own if _mask(field)}
    return types.pop() if len(types) == 1 and not any(map(pa.types.is_dictionary, types)) else pa.string()


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        _cast(table[field.name], field.type) if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """Change the type of an extra column. Ints and booleans become their tokens; an int beyond 2**53 the nearest float."""
    if column.type == type_:
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), type_)])
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    cast = column.cast(type_, safe=False)
    return pc.if_else(pc.is_finite(cast), cast, None) if pa.types.is_floating(type_) else cast


def conform(table: pa.Table, plan: ExtrasPlan) -> pa.Table:
    """Give a table in flight the extra columns of the run's plan, behind all others; those that it lacks are null.

    Folded values are JSON tokens again: a token that is a number, true, false, an object or an array stands for itself, all
    else becomes a JSON string. That depends on the token alone, and so not on the chunk in which it was read.
    """
    others = [name for name in table.column_names if not is_extra(name)]
    arrays, fields = [table[name] for name in others], [table.schema.field(name) for name in others]
    for column in plan.columns:
        name = EXTRA_PREFIX + column.key
        arrays.append(_cast(table[name], column.type) if name in table.column_names else pa.nulls(table.num_rows, column.type))
    if plan.folds:
        arrays.append(_folded(table, plan))
    return pa.Table.from_arrays(arrays, schema=pa.schema([*fields, *plan.fields]))


def _folded(table: pa.Table, plan: ExtrasPlan) -> pa.Array:
    """Build the column `extra_json`, from what has no column in the plan and from what was folded before."""
    held = {EXTRA_PREFIX + column.key for column in plan.columns}
    members: list[dict[str, str]] = [{} for _ in range(table.num_rows)]
    if EXTRA_JSON in table.column_names:
        for row, text in _values(table[EXTRA_JSON]):
            members[row].update((key, _token(value)) for key, value in _members(text))
    for name in table.column_names:
        if name.startswith(EXTRA_PREFIX) and name not in held:
            for row, text in _values(table[name]):
                members[row][name.removeprefix(EXTRA_PREFIX)] = _token(text)
    return pa.array([_object(row) for row in members], pa.string())


def _values(column: pa.ChunkedArray) -> Iterator[tuple[int, str]]:
    """Row number and token of each value that is not null."""
    rows = pc.indices_nonzero(column.is_valid()).to_pylist()
    return zip(rows, _cast(column.drop_null(), pa.string()).to_pylist(), strict=True)


def _object(members: dict[str, str]) -> str | None:
    if not members:
        return None
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{members[key]}" for key in sorted(members)) + "}"


def _token(text: str) -> str:
    """Token of a value as JSON: verbatim where it is JSON and no string, else as a string."""
    return text if _SCALAR.fullmatch(text) or _is_nested(text) else json.dumps(text, ensure_ascii=False)


def _is_nested(text: str) -> bool:
    """Whether `text`, which may be any text that a source sent, is a JSON object or array."""
    if text[:1] not in ("{", "["):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _members(text: str) -> Iterator[tuple[str, str]]:
    """Key and token of each member of a JSON object, strings decoded, all else verbatim; nested to any depth."""
    depth, edges = 0, []
    for match in _STRUCTURE.finditer(text):
        mark = match[0]
        if depth == 0 or (depth == 1 and mark in ",:}"):
            edges.append(match.start())
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark, 0)
    parts = [text[start + 1 : end].strip() for start, end in pairwise(edges)]
    for key, value in zip(parts[::2], parts[1::2], strict=False):
        if value != "null":
            yield json.loads(key), json.loads(value) if value.startswith('"') else value
