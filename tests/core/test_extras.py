from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.core.extras import EXTRA_JSON, concat, conform, kinds, merge, plan

INT, FLOAT, BOOL, TEXT, NESTED = 1, 2, 4, 8, 16


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT
    if isinstance(value, float):
        return FLOAT
    return TEXT if isinstance(value, str) else NESTED


def _flying(rows: list[dict[str, Any]], *, first_record: int = 0, cap: int = 99) -> pa.Table:
    """Table in flight as a decoder would give it for these undeclared keys."""
    columns: dict[str, pa.Array] = {"_record": pa.array(range(first_record, first_record + len(rows)), pa.int64())}
    fields = [pa.field("_record", pa.int64())]
    keys = sorted({key for row in rows for key in row})
    for key in keys[:cap]:
        values = [row.get(key) for row in rows]
        mask = 0
        for value in values:
            mask |= 0 if value is None else _kind(value)
        if mask not in (INT, BOOL):
            values = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
        type_ = {INT: pa.int64(), BOOL: pa.bool_()}.get(mask, pa.string())
        columns[f"x:{key}"] = pa.array(values, type_)
        fields.append(pa.field(f"x:{key}", type_, metadata={"kinds": str(mask)}))
    if len(keys) > cap:
        folded = [{k: v for k, v in row.items() if k in keys[cap:]} for row in rows]
        columns[EXTRA_JSON] = pa.array([json.dumps(row) if row else None for row in folded], pa.string())
        fields.append(pa.field(EXTRA_JSON, pa.string()))
    return pa.table(columns, schema=pa.schema(fields))


def _final(rows: list[dict[str, Any]], *, max_columns: int = 99, reserved: tuple[str, ...] = ()) -> pa.Table:
    table = _flying(rows)
    return conform(table, plan(kinds(table.schema), max_columns=max_columns, reserved=reserved))


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([1, 2], pa.int64(), [1, 2]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([1.5, 2.5], pa.float64(), [1.5, 2.5]),
        ([True, None], pa.bool_(), [True, None]),
        ([1, "a"], pa.string(), ["1", "a"]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([1.5, True], pa.string(), ["1.5", "true"]),
        (["a"], pa.string(), ["a"]),
        ([[1, 2]], pa.string(), ["[1, 2]"]),
        ([None, None], pa.string(), [None, None]),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_all_its_values(
    values: list[Any], type_: pa.DataType, expected: list[Any]
) -> None:
    column = _final([{"k": value} for value in values])["k"]
    assert column.type == type_
    assert column.to_pylist() == expected


def test_a_float_that_no_column_can_hold_is_null() -> None:
    table = pa.table({"x:k": ["1e999", "1"]}, schema=pa.schema([pa.field("x:k", pa.string(), metadata={"kinds": "2"})]))
    assert conform(table, plan(kinds(table.schema), max_columns=9, reserved=()))["k"].to_pylist() == [None, 1.0]


def test_names_that_are_taken_get_a_prefix_until_they_are_free() -> None:
    rows = [{"Altitude": 1, "altitude": 2, "extra_altitude": 3, "rssi": 4, "": 5, "extra_json": 6}]
    final = _final(rows, reserved=("altitude",))
    assert dict(zip(final.column_names, final.to_pylist()[0].values(), strict=True)) == {
        "_record": 0,
        "extra_": 5,
        "extra_Altitude": 1,
        "extra_extra_altitude": 2,
        "extra_extra_extra_altitude": 3,
        "extra_extra_json": 6,
        "rssi": 4,
    }


def test_final_fields_say_that_their_unit_is_that_of_the_source() -> None:
    final = _final([{"a": 1, "b": 2}], max_columns=1)
    assert [final.schema.field(n).metadata[b"unit"] for n in ("a", EXTRA_JSON)] == [b"as in the source"] * 2


def test_keys_beyond_the_cap_share_one_column_of_json() -> None:
    rows: list[dict[str, Any]] = [
        {"a": 1, "z": 'x"y', "m": [1, {"q": 2}]},
        {"a": 2},
        {"m": 1.50, "z": "7"},
        {"m": True, "z": "[not json"},
    ]
    final = _final(rows, max_columns=1)
    assert final.column_names == ["_record", "a", EXTRA_JSON]
    assert final[EXTRA_JSON].to_pylist() == [
        '{"m":[1, {"q": 2}],"z":"x\\"y"}',
        None,
        '{"m":1.5,"z":7}',
        '{"m":true,"z":"[not json"}',
    ]


def test_what_the_decoder_folded_is_kept_and_put_in_order() -> None:
    table = _flying([{"c": "x,:}", "d": {"e": '}"'}, "a": 1, "b": None}, {"a": 2, "d": [], "c": "null"}], cap=1)
    final = conform(table, plan(kinds(table.schema), max_columns=0, reserved=()))
    assert [json.loads(row) for row in final[EXTRA_JSON].to_pylist()] == [
        {"a": 1, "c": "x,:}", "d": {"e": '}"'}},
        {"a": 2, "d": [], "c": "null"},
    ]
    assert list(json.loads(final[EXTRA_JSON][0].as_py())) == ["a", "c", "d"]


def test_deeply_nested_folded_values_are_kept() -> None:
    deep = "[" * 1000 + "]" * 1000
    table = pa.table({EXTRA_JSON: [f'{{"k": {deep}}}']})
    assert conform(table, plan({EXTRA_JSON: 0}, max_columns=9, reserved=()))[EXTRA_JSON].to_pylist() == [f'{{"k":{deep}}}']


def test_kinds_travel_with_joined_tables() -> None:
    joined = concat([_flying([{"a": 1}]), _flying([{"a": "x", "b": True}]), _flying([{}])])
    assert kinds(joined.schema) == {"x:a": INT | TEXT, "x:b": BOOL}
    assert joined["x:a"].to_pylist() == ["1", "x", None]
    assert joined["x:b"].to_pylist() == [None, True, None]


def test_tables_alike_are_joined_without_copying() -> None:
    part = _flying([{"a": 1}])
    assert concat([part, part])["x:a"].num_chunks == 2


def test_encoded_text_is_text() -> None:
    plain = _flying([{"a": "x"}, {"a": "y"}])
    field = plain.schema.field("x:a")
    encoded = plain.set_column(1, field.with_type(pa.dictionary(pa.int32(), pa.string())), plain["x:a"].dictionary_encode())
    assert concat([encoded, _flying([{"a": "z", "b": 1}])])["x:a"].to_pylist() == ["x", "y", "z"]
    assert conform(encoded, plan(kinds(encoded.schema), max_columns=9, reserved=()))["a"].type == pa.string()


_SCALARS = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.just(2**53 + 1),
    st.sampled_from([0.5, -1.25, 1e300]),
    st.booleans(),
    st.sampled_from(["", "x", "7", "true", "null", "[1]", "{bad", 'é"\\']),
    st.sampled_from([[1], {"a": None}, []]),
)
_ROWS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "B", "c", "altitude", 'q"x']), _SCALARS, max_size=4), min_size=1, max_size=8
)


@settings(max_examples=150, deadline=None)
@given(_ROWS, st.sets(st.integers(1, 7)), st.integers(0, 4))
def test_the_result_does_not_depend_on_how_rows_were_cut_into_chunks(
    rows: list[dict[str, Any]], cuts: set[int], cap: int
) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    whole = _flying(rows, cap=cap)
    parts = [_flying(rows[a:b], first_record=a, cap=cap) for a, b in pairwise(edges)]
    seen: dict[str, int] = {}
    for part in parts:
        seen = merge(seen, kinds(part.schema))
    chosen = plan(seen, max_columns=cap, reserved=("altitude",))
    assert chosen == plan(kinds(whole.schema), max_columns=cap, reserved=("altitude",))
    expected = conform(whole, chosen)
    assert expected.schema.names[1:] == [field.name for field in chosen.fields]
    assert conform(concat(parts), chosen).equals(expected)
    assert concat([conform(part, chosen) for part in parts]).equals(expected)
    if len(parts) > 2:
        assert conform(concat([parts[0], concat(parts[1:])]), chosen).equals(expected)
