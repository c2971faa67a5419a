"""The fast decoder gives what the reference decoder gives: rows, types, places, drops, counts and errors, for any bytes."""

from __future__ import annotations

import gzip
import io
import json
import os
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from documents import JSON_LAYOUTS, damaged, documents
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sources import Decoded, Memory, _decoded, decoded

from flight_etl.bench.generate import write
from flight_etl.core.decode import decode, decoder, decoder_name, detect
from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.settings import DecodeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(decoder_name() != "fast", reason="the extension is not built")

SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES") or Path(__file__).parents[2].parent / "shared/data").resolve()
RECORDINGS = sorted(path for path in SAMPLES.rglob("*.*json*") if path.is_file() and path.stat().st_size < 1 << 20)
_SEEDS = st.integers(0, 2**32)

_NUMBERS = [
    *("0", "-0", "1", "-1", "47.458", "-0.0", "0.0", "1e5", "1E+5", "1.5e-7", "12345678", "123456789.123456789", "0.1e1"),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551616"),
    *("1700000000", "1700000000000", "1700000000000000", "1700000000000000123", "1700000000.5", "1.7e9", "99999999999.9995"),
    *("1e300", "1e400", "-1e400", "1e-400", "5e-324", "2.2250738585072011e-308", "9" * 19 + "e300", "1" * 400),
    *("9007199254740992.5", "9007199254740993.0", "0.30000000000000004", "52.21168000000001", "7.2057594037927933e16", "1e23"),
    *("1" * 30, "0." + "3" * 40),
]
_BROKEN = [
    *("01", "1.", ".5", "+1", "-", "1e", "1e+", "tru", "nul", "Nan", "'a'", '"\\x"', '"a\nb"', '"\\u12"', "", "1 2"),
    *("\x0c1", "\ufeff1"),
]
_WORDS = ["null", "true", "false", "null", "NaN", "Infinity", "-Infinity", "[NaN]", '{"a":NaN}']
_TEXTS = [
    *("", " ", "a1b2c3", "SWR8AB  ", "ground", " Ground ", "0", "1", "true", "False", "-0", "007", "1.50", ".5", "5.", "+5"),
    *("12 ", "n/a", "nan", "1e3", "1e999", "2023-11-14T22:13:20Z", "2023-11-14 22:13:20.5", "1700000000", "1700000000000.7"),
    *("\u00e9\u2202\U0001f6e9", 'q\\"uo\\\\te', "\\u0041b", "\\u00e9", "\\u2202", "\\ud83d\\udee9", "\\ud800", "\\u0000", "\\/"),
    *("x" * 17, "0123456789abcdef", "y" * 300, "},{", "],["),
]
_NESTED = [
    *("[]", "{}", "[1, 2]", '["lat"]', '{"a":{"b":[1.50,{}]}}', "[" * 70 + "]" * 70),
    '{"lat":1.5,"lon":"7","seen_pos":null,"latitude":2}',
    '{"latitude":1.50,"latitude":2}',
    '{"flight":"ABC","squawk":7700,"x":-0}',
    '{"flight":"","ias":3,"t":"B738"}',
    '{"feet":100,"kts":"5","fpm":null}',
]
_SIMPLE = [
    "1700000000",
    "1700000000.5",
    '"1700000000"',
    '"N1"',
    '""',
    "null",
    "7",
    "-0",
    "0",
    "true",
    '"caf\\u00e9"',
    "1.50",
    '"x"',
]
_BLANKS = ["", "", "", "", " ", "\n", "\t", "\r\n  "]


def token(random: Random) -> str:
    kind = random.random()
    if kind < 0.4:
        return random.choice(_NUMBERS) if random.random() < 0.9 else repr(random.uniform(-1e6, 1e6))
    if kind < 0.75:
        return f'"{random.choice(_TEXTS)}"'
    if kind < 0.88:
        return random.choice(_WORDS)
    return random.choice(_NESTED) if kind < 0.985 else random.choice(_BROKEN)


def keys_of(layout: str) -> list[str]:
    fields = [field for field in LAYOUTS[layout].fields if not field.envelope]
    known = [key for field in fields for key in field.keys]
    heads = [path[0] for path in LAYOUTS[layout].records if path]
    others = ["x", "nav_modes", "r", "registration", "caf\\u00e9", "caf\u00e9", "a" * 45, "b" * 37, "b" * 36, "", "now", *heads]
    return known + known + others


def raw_record(random: Random, layout: str, keys: list[str]) -> str:
    def blank() -> str:
        return random.choice(_BLANKS)

    if LAYOUTS[layout].rows == "array":
        width = random.choice([*LAYOUTS[layout].widths, random.randrange(22)])
        cells = [token(random) for _ in range(width)]
        return "[" + ",".join(blank() + cell + blank() for cell in cells) + "]"
    chosen = random.sample(keys, random.randrange(min(8, len(keys))))
    members = [f'{blank()}"{key}"{blank()}:{blank()}{token(random)}{blank()}' for key in chosen]
    return "{" + ",".join(members) + "}"


def raw_documents(random: Random, layout: str) -> bytes:
    """Records of the wildest tokens, a few sorts of keys in each case so that they meet in columns."""
    keys = random.sample(pool := keys_of(layout), min(len(pool), random.randrange(1, 12)))
    rows = [raw_record(random, layout, keys) for _ in range(random.randrange(1, 9))]
    paths = LAYOUTS[layout].records
    if () in paths and random.random() < 0.6:
        lines = random.choice(["\n", "\n", "\r\n", "\n\n", " ", ",\n", ", "]).join(rows)
        return (lines if random.random() < 0.6 else f"[{lines}]").encode()
    path = random.choice([path for path in paths if path])
    text = "[" + random.choice([",", ", ", ",\n", ",,", " "]).join(rows) + "]"
    around = [f'"{key}":{token(random)}' for key in ("time", "now", "icao", "timestamp", "r", "t") if random.random() < 0.4]
    for key in reversed(path):
        members = [*around, f'"{key}":{text}']
        random.shuffle(members)
        text = "{" + ",".join(members) + "}"
        around = []
    return (text + random.choice(["", "\n", "\n" + text])).encode()


@contextmanager
def reference() -> Iterator[None]:
    """Decode without the extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "fast_walker", None)
        yield


def both(data: bytes | Memory, layout: str, **options: Any) -> tuple[Decoded, Decoded]:
    one = decoded(data, layout, **options)  # by the reference decoder
    used = []
    fast = decoder.fast_walker

    def noted(*args: Any) -> Any:
        used.append(args)
        return fast(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "fast_walker", noted)
        other = _decoded(Memory(data) if isinstance(data, bytes) else data, layout, DecodeSettings(**options))
    assert used or LAYOUTS[layout].rows in ("columns", "csv"), "the reference decoder would be compared with itself"
    return one, other


def assert_same(data: bytes | Memory, layout: str, **options: Any) -> Decoded:
    one, other = both(data, layout, **options)
    assert other.error == one.error
    assert other.dropped == one.dropped
    assert other.counts == one.counts
    expected, found = one.kept, other.kept
    assert found.schema.equals(expected.schema, check_metadata=True)
    for name in expected.column_names:
        # As text, since NaN is in no column, and -0.0 is not 0.0.
        assert str(found[name].to_pylist()) == str(expected[name].to_pylist()), name
    return other


def options_of(random: Random) -> dict[str, Any]:
    return {
        "chunk_rows": random.choice([1, 2, 3, 10_000]),
        "max_record_bytes": random.choice([1 << 24, 1 << 24, 100, 30]),
        "max_extra_columns": random.choice([256, 256, 2, 0]),
        "max_depth": random.choice([1024, 1024, 1024, 3]),
    }


def cut(random: Random, data: bytes) -> Memory:
    return Memory(data, random.choice([1, 7, 60, 1 << 20]))


@given(_SEEDS)
@example(565)  # a row of OpenSky without its closing bracket, which makes one with the row behind it inside
@settings(max_examples=400, deadline=None)
def test_documents_as_they_should_be_and_damaged(seed: int) -> None:
    random = Random(seed)
    layout = random.choice(JSON_LAYOUTS)
    data = documents(random, layout)
    data = damaged(random, data) if random.random() < 0.5 else data
    assert_same(cut(random, data), layout, **options_of(random))


@given(_SEEDS)
@example(0)
@settings(max_examples=1000, deadline=None)
def test_tokens_of_every_kind_in_every_place(seed: int) -> None:
    random = Random(seed)
    layout = random.choice(JSON_LAYOUTS)
    data = raw_documents(random, layout)
    data = damaged(random, data) if random.random() < 0.15 else data
    assert_same(cut(random, data), layout, **options_of(random))


@given(_SEEDS)
@example(2255)  # a nested value with a NaN under another key of a field whose members are read
@example(35955)
@settings(max_examples=400, deadline=None)
def test_many_documents_of_which_some_are_plain(seed: int) -> None:
    """Whole documents are read at a time; one that is not plain takes nothing of the others along."""
    random = Random(seed)
    layout = random.choice([name for name in JSON_LAYOUTS if any(LAYOUTS[name].records)])
    name = next(path for path in LAYOUTS[layout].records if path)[-1]
    good = documents(random, layout).split(b"\n")[0]
    odd = [good.replace(b'"%b"' % name.encode(), b'"\\u0061"'), good[: len(good) // 2], good.replace(b":", b" : "), b"{}"]
    odd += [raw_documents(random, layout), damaged(random, good), good.replace(b"{", b'{"now":NaN,', 1), b"null"]
    odd += [b'{"time":1e999,"now":[1],"%b":[]}' % name.encode(), b'{"%b":null}' % name.encode()]
    parts = [good if random.random() < 0.7 else random.choice(odd) for _ in range(random.randrange(1, 40))]
    assert_same(cut(random, random.choice([b"\n", b"", b" ,\r\n"]).join(parts)), layout, **options_of(random))


@given(_SEEDS)
@settings(max_examples=400, deadline=None)
def test_members_of_every_kind_round_plain_rows(seed: int) -> None:
    """What stands round the rows of whole documents is read as rows of its own, where it is plain."""
    random = Random(seed)
    layout = random.choice(["opensky", "opensky-objects", "readsb", "adsbx-v1", "trace"])
    keys = [key for field in LAYOUTS[layout].fields if field.envelope for key in field.keys]
    keys += [name for name, _ in LAYOUTS[layout].envelope_extras] + ["x", ""]
    row = {"opensky": '["abc001",null,null,1,2,8.0,47.0,1.0,false,9.0,1.0,0.0,null,9.0,"7000",false,0]'}
    row["trace"] = '[%d,50.0,8.0,"ground",1.5,90,0,0,%s]'
    wild = random.random() < 0.5

    def members() -> list[str]:
        chosen = random.sample(keys, random.randrange(min(4, len(keys)) + 1))
        return [f'"{key}":{token(random) if wild else random.choice(_SIMPLE)}' for key in chosen]

    def rows() -> str:
        carried = ["null", '{"flight":"AB1 "}', '{"flight":""}', '{"squawk":"7000","category":"A1"}']
        found = [row.get(layout, '{"icao24":"abc001","hex":"abc002","icao":"abc003","x":1}') for _ in range(random.randrange(4))]
        return ",".join(one % (n, random.choice(carried)) if layout == "trace" else one for n, one in enumerate(found))

    name = next(path for path in LAYOUTS[layout].records if path)[0]
    whole = ["{" + ",".join([*members(), f'"{name}":[{rows()}]', *members()]) + "}" for _ in range(random.randrange(1, 9))]
    assert_same(cut(random, "\n".join(whole).encode()), layout, chunk_rows=random.choice([2, 7, 10_000]))


def plain_token(random: Random, kind: Kind) -> str:
    """Of the form that most values of a kind have, up to the edges of what the parser reads the short way."""
    if random.random() < 0.1:
        return "null"
    if kind is Kind.BOOL:
        return random.choice(["true", "false"])
    if kind is Kind.TEXT and random.random() < 0.9:
        return f'"{random.choice(_PLAIN_TEXTS)}"'
    if kind is Kind.TIME and random.random() < 0.8:
        return str(random.randrange(10 ** random.choice([1, 7, 8, 9, 10, 13, 15, 16])))
    digits = random.choice([1, 2, 3, 6, 7, random.choice([8, 9, 16, 19])])
    decimals = random.choice([0, 1, 2, 6, 7, 8, 9, random.choice([14, 15, 16])])
    whole = random.choice(["0", str(random.randrange(1, 10**digits))])
    fraction = f".{random.randrange(10**decimals):0{decimals}d}" if decimals else ""
    behind = random.choice([""] * 40 + ["e2", "E-3", ".", "-"])
    return random.choice(["", "", "-"]) + whole + fraction + behind


_PLAIN_TEXTS = ["a1b2c3", "4b1901", "SWR8AB  ", "7700", "A3", "x" * 7, "x" * 8, "x" * 9, "y" * 16, "y" * 17, "", " ", "0"]
_CHANGES = {  # of one record among others: what comes instead of its members
    "none": lambda _, members: members,
    "one is missing": lambda at, members: members[:at] + members[at + 1 :],
    "two are missing": lambda at, members: members[:at] + members[at + 2 :],
    "one comes twice": lambda at, members: [*members[: at + 1], (members[at][0], "null"), *members[at + 1 :]],
    "one is new": lambda at, members: [*members[:at], ('"brand_new":', "1"), *members[at:]],
    "another order": lambda at, members: members[at:] + members[:at],
    "blanks": lambda at, members: [*members[:at], (members[at][0] + " ", members[at][1] + " "), *members[at + 1 :]],
}


@given(_SEEDS)
@settings(max_examples=300, deadline=None)
def test_records_that_are_alike_but_for_one_thing(seed: int) -> None:
    """Records like the last one are read by a plan; whatever is different in one of them is seen."""
    random = Random(seed)
    layout = random.choice([name for name in JSON_LAYOUTS if LAYOUTS[name].rows == "object"])
    fields = [field for field in LAYOUTS[layout].fields if not field.envelope and not field.path and not field.keep]
    kinds = {random.choice(field.keys): field.kind for field in random.sample(fields, random.randrange(2, len(fields)))}
    if random.random() < 0.2:
        kinds = dict.fromkeys(random.sample(keys_of(layout), 3), Kind.NUMBER) | kinds
    comma, colon = random.choice([(",", ":"), (",", ":"), (", ", ": "), (" ,\n", " :\t")])
    rows = []
    for _ in range(random.randrange(20, 60)):
        tokens = [token(random) if random.random() < 0.005 else plain_token(random, kind) for kind in kinds.values()]
        members = [(f'"{key}"{colon}', one) for key, one in zip(kinds, tokens, strict=True)]
        change = random.choice(list(_CHANGES)) if random.random() < 0.2 else "none"
        members = _CHANGES[change](random.randrange(len(members)), members)
        row = "{" + comma.join(name + value for name, value in members) + "}"
        rows.append(row[: random.randrange(len(row))] if random.random() < 0.02 else row)
    path = random.choice(LAYOUTS[layout].records)
    text = "\n".join(rows) if not path else ",".join(rows)
    for key in reversed(path):
        text = f'{{"{key}":' + (f"[{text}]" if key == path[-1] else text) + "}"
    options = options_of(random)
    assert_same(Memory(text.encode(), random.choice([1 << 20, 1 << 20, 1500])), layout, **options | {"max_record_bytes": 1 << 24})


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50), st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_numbers_are_the_nearest_float64(values: list[float], digits: int) -> None:
    tokens = [text for value in values for text in (repr(value), f"{value:.{digits}e}", f"{value:.{digits}f}")]
    data = b"\n".join(b'{"lat":%b,"lon":"%b"}' % (one.encode(), one.encode()) for one in tokens)
    result = assert_same(data, "flat")
    sent = [float(one) for one in tokens]
    finite = [value if abs(value) != float("inf") else None for value in sent]
    expected = [0.0 if one == "-0" else value for one, value in zip(tokens, finite, strict=True)]
    assert str(result.column("latitude")) == str(expected)


@given(st.binary(max_size=60), st.sampled_from(JSON_LAYOUTS))
@settings(max_examples=300, deadline=None)
def test_any_bytes_inside_a_string(noise: bytes, layout: str) -> None:
    text = b'"' + noise + b'"'
    if LAYOUTS[layout].rows == "array":
        name = LAYOUTS[layout].records[0][0].encode()
        data = b'{"%b":[[1,2,3,4,5,6,7,8,9,10,11,12,13,14],[%b,2,3,4,5,6,7,8,9,10,11,%b,13]]}' % (name, text, text)
    else:
        data = b'{"hex":%b,%b:1,"x":{%b:[%b]}}\n{"hex":"a"}' % (text, text, text, text)
    assert_same(data, layout)


@pytest.mark.parametrize("complexity", ["medium", "complex"])
@pytest.mark.parametrize("layout", ["flat", "opensky", "opensky-history", "readsb", "adsbx-v2", "trace"])
def test_generated_recordings(layout: str, complexity: Any) -> None:
    file = io.BytesIO()
    write(file, 3_000, layout=layout, complexity=complexity, seed=5)
    for block, rows in ((1 << 20, 10_000), (5_000, 700)):
        result = assert_same(Memory(file.getvalue(), block), layout, chunk_rows=rows)
        assert len(result.kept) == 3_000


def test_a_variant_among_rows_of_other_widths() -> None:
    """A bool at position 16 of 18 columns moves the fields of that row, and of no other."""
    row = '["4b1901","SWR1","CH",1,1,8.5,47.4,400,false,0,90,0,[1],410,"7700",{}]'
    ends = ["false,0", "true,false,2", "false,0,4", "false,true,2", "false,true", "true,false,2,9"]
    data = ('{"time":5,"states":[' + ",".join(row.format(end) for end in ends) + "]}").encode()
    result = assert_same(data, "opensky")
    assert result.column("spi") == [False, False, False, True, False, True]
    assert result.column("x:alert") == [None, True, None, False, None, None]


def test_a_number_of_the_variant_has_its_own_token() -> None:
    """Found by fuzzing: with -0 anywhere in the row, the token of a moved 0 was that of the usual place."""
    data = b'{"time":5,"states":[["4b1901","SWR1","CH",1,1,-0.5,47.4,400,false,0,90,0,null,410,"7700",true,false,0]]}'
    result = assert_same(data, "opensky")
    assert (result.column("position_source"), result.column("spi")) == (["0"], [False])


def test_text_is_a_dictionary_for_the_stages_behind() -> None:
    source = Memory(b'{"hex":"a","timestamp":1}\n{"hex":"a","timestamp":2}')
    (outcome,) = decode(source, LAYOUTS["flat"], DecodeSettings())
    texts = [field.name for field in LAYOUTS["flat"].fields if field.kind is Kind.TEXT]
    assert {outcome.kept.schema.field(name).type for name in texts} == {pa.dictionary(pa.int32(), pa.string())}
    assert outcome.kept["icao24"].chunk(0).dictionary.to_pylist() == ["a"]


@pytest.mark.parametrize("chunk_rows", [1, 10])
def test_a_time_with_all_its_digits_does_not_depend_on_an_equal_one(chunk_rows: int) -> None:
    row = '["4b1901","SWR1","CH",%s,1,8.5,47.4,400,false,0,90,0,null,410,"7700",false,0]'
    whole, real = "9" * 15, "9" * 15 + ".0"  # s; a thousand times as much is beyond what a float64 holds exactly
    for first, second in ((whole, real), (real, whole)):
        data = f'{{"time":5,"states":[{row % first},{row % second}]}}'.encode()
        found = assert_same(data, "opensky", chunk_rows=chunk_rows).column("time_position")
        assert found == [999_999_999_999_999_000 if one == whole else 999_999_999_999_998_976 for one in (first, second)]


def test_what_is_carried_begins_with_its_own_row_in_a_batch_that_is_read_again() -> None:
    """Such a batch, here one with more undeclared keys than there may be columns, is for the reference from its first row on."""
    rows = [[n, 50.0, 8.0, 1000, 1.5, 90, 0, 0, {"flight": "AB1", "x": n} if n % 3 == 1 else None] for n in range(9)]
    data = json.dumps({"icao": "abc001", "timestamp": 1700000000, "trace": rows}).encode()
    result = assert_same(data, "trace", chunk_rows=3, max_extra_columns=0)
    assert result.column("aircraft_flight") == [None, *["AB1"] * 8]


def test_a_row_that_holds_the_next_one_has_lost_its_closing_bracket() -> None:
    row = '["4b1901","SWR1","CH",1,1,8.5,47.4,400,false,0,90,0,%s,410,"7700",false,0]'
    rows = [row % "null", row % "[1, 2]", (row % "null")[:-1], row % "null", row % "[3]"]
    data = '{"time":5,"states":[' + ",".join(rows) + "]}"
    for chunk_rows in (1, 10):
        result = assert_same(data.encode(), "opensky", chunk_rows=chunk_rows)
        assert len(result.kept) == 4
        assert [one["detail"].split(":")[0] for one in result.dropped] == ["a row without its closing bracket"]


@pytest.mark.parametrize("value", ["[1]", "[NaN]", '{"lat":NaN}', "{}"])
@pytest.mark.parametrize("chunk_rows", [1, 10])
def test_what_a_nested_value_is_depends_on_its_own_key(value: str, chunk_rows: int) -> None:
    """It is null under a key whose members other fields read, and unreadable under another, whatever other records have."""
    records = [f'{{"hex":"a","{key}":{value}}}' for key in ("timePosition", "last_position")]
    others = ['{"hex":"b","last_position":{"latitude":1.5}}', '{"hex":"c","position_time":1700000000}']
    for among in ([], others[:1], others[1:], others):
        for record, unreadable in zip(records, [1, None], strict=True):
            result = assert_same("\n".join([record, *among]).encode(), "flat", chunk_rows=chunk_rows)
            assert result.counts.get("unreadable.position_time") == unreadable


@pytest.mark.parametrize("key", ["lat", "timestamp", "icao24", "x"])
@pytest.mark.parametrize("other", ["0", "-0", "1.5", '"a"', '"-0"'])
def test_a_zero_keeps_its_sign_where_it_has_an_exponent(key: str, other: str) -> None:
    """Also in a record whose key comes twice, which only the reference decoder reads."""
    for zero in ("-0E-3", "-0e2", "-0.0e5", "-0." + "0" * 20, "-0e300"):
        records = [f'{{"hex":"a","{key}":{one},"{key}":{zero}}}' for one in (zero, "null", other)]
        records += [f'{{"hex":"a","{key}":{one}}}' for one in (zero, other)]
        for chunk_rows in (1, 10):
            result = assert_same("\n".join(records).encode(), "flat", chunk_rows=chunk_rows)
            if key == "lat":
                assert [str(value) for value in result.column("latitude")[:4]] == ["-0.0"] * 4


def test_many_keys_are_no_reason_for_another_answer() -> None:
    lines = [b'{"hex":"a","k%d":%d,"k%d":"t"}' % (i, i, i % 7 + 9000) for i in range(2_500)]
    assert_same(b"\n".join(lines), "flat", chunk_rows=1_000, max_extra_columns=10)


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no folder {SAMPLES}; name one with FLIGHT_ETL_SAMPLES")
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_real_recordings(path: Path) -> None:
    data = path.read_bytes()
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    layout = detect(Memory(data), DecodeSettings())
    key = next(key for key, one in LAYOUTS.items() if one is layout)
    assert_same(data[: 4 << 20], key, chunk_rows=1_000)
