"""Sources decoded one after another give what each gives alone, whatever waits for whom."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sources import Memory, _plain

from flight_etl.core import extras
from flight_etl.core.decode import Decoder, decode, decoder_name
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.errors import InputError
from flight_etl.schema import INPUT
from flight_etl.settings import DecodeSettings

ROWS = b'[[0,50.0,8.0,"ground",1.5,90,0,0,{"flight":"AB%d  "}],[5,50.1,8.1,400,9,null,1,0,null]]'
TRACES = [
    (b'{"icao":"abc%03x","timestamp":%d,"r":"N%d","trace":' + ROWS + b"}") % (number, 1_700_000_000 + number, number, number)
    for number in range(20)
]
FLAT = [b'{"icao24":"abc%03x","timestamp":%d,"x%d":%d}' % (n, 1_700_000_000 + n, n % 3, n) for n in range(20)]
WRONG = [
    *(b"", b"  ", b"[]", b'{"icao":"abc001","timestamp":1.7e9,"trace":[]}', TRACES[0][:-9], FLAT[0] + b"\n{]\n" + FLAT[1]),
    *(TRACES[1].replace(b"50.1", b"5O.1"), FLAT[2].replace(b"1700", b'"17"00'), FLAT[3].replace(b'"x', b'"\\u0078')),
]


def alone(data: bytes, layout: str, settings: DecodeSettings, number: int) -> tuple[list[pa.Table], list[dict[str, object]], str]:
    tables, dropped, error = [], [], ""
    try:
        for outcome in decode(Memory(data), LAYOUTS[layout], settings):
            numbers = pa.array([number] * len(outcome.kept), pa.int32())
            tables.append(outcome.kept.append_column(INPUT, numbers))
            dropped += [row | {INPUT: number} for row in outcome.dropped.to_pylist()]
    except InputError as told:
        error = str(told)
    return tables, dropped, error


def rows(tables: list[pa.Table]) -> list[dict[str, object]]:
    joined = extras.concat([_plain(table) for table in tables])
    return [{key: value for key, value in row.items() if value is not None} for row in joined.to_pylist()]


@pytest.mark.parametrize("seed", range(25))
def test_many_sources_give_the_rows_drops_and_errors_of_each(seed: int) -> None:
    rng = random.Random(seed)
    settings = DecodeSettings(chunk_rows=rng.choice([1, 3, 7, 1_000]))
    picked = [rng.choice([*((one, "trace") for one in TRACES), *((one, "flat") for one in FLAT), (None, "")]) for _ in range(12)]
    sources = [(rng.choice(WRONG), rng.choice(["trace", "flat"])) if data is None else (data, layout) for data, layout in picked]
    for layout in ("trace", "flat"):
        group = [data for data, of in sources if of == layout] or [TRACES[0]]
        decoder = Decoder(settings)
        given, dropped, errors = [], [], []
        for number, data in enumerate(group):
            try:
                for piece in decoder.decode(Memory(data), LAYOUTS[layout], number):
                    given.append(piece)  # noqa: PERF402 - what came before an error counts
            except InputError as told:
                errors.append(str(told))
        given += list(decoder.flush())
        assert {name for _, name in given} <= {layout}
        for outcome, _ in given:
            dropped += outcome.dropped.to_pylist()
        single = [alone(data, layout, settings, number) for number, data in enumerate(group)]
        tables = [table for one, _, _ in single for table in one]
        if tables:
            assert rows([outcome.kept for outcome, _ in given]) == rows(tables)
        assert dropped == [row for _, one, _ in single for row in one]
        assert errors == [error for _, _, error in single if error]


@pytest.mark.skipif(decoder_name() == "reference", reason="the reference decoder gives a table for each source")
def test_small_sources_share_a_table() -> None:
    decoder = Decoder(DecodeSettings())
    given = [piece for number, data in enumerate(TRACES) for piece in decoder.decode(Memory(data), LAYOUTS["trace"], number)]
    given += list(decoder.flush())
    (outcome, _) = given[0]
    assert len(given) == 1
    assert pc.value_counts(outcome.kept[INPUT]).to_pylist() == [{"values": n, "counts": 2} for n in range(20)]


def test_another_layout_ends_what_waits() -> None:
    decoder = Decoder(DecodeSettings())
    given = list(decoder.decode(Memory(TRACES[0]), LAYOUTS["trace"], 0))
    given += list(decoder.decode(Memory(FLAT[0]), LAYOUTS["flat"], 1))
    given += list(decoder.flush())
    assert [name for outcome, name in given if len(outcome.kept)] == ["trace", "flat"]
