"""Blocks decoded ahead, files decoded together, and the threads they are decoded on cannot be seen in the rows."""

from __future__ import annotations

import gzip
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from flight_etl.core import extras
from flight_etl.core.decode import PartsDecoder, decoder_name
from flight_etl.errors import InputError
from flight_etl.runners import ahead, flow
from flight_etl.runners.records import Ledger, record_outcomes
from flight_etl.settings import DecodeSettings, Settings
from flight_etl.store.reading import BytesSource, LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flight_etl.store.reading import Source

pytestmark = pytest.mark.skipif(decoder_name() != "fast", reason="without the fast decoder all is done in order")

FLAT = [b'{"icao24":"abc%03x","timestamp":%d,"altitude":%d.5,"x":%d}\n' % (n, 1_700_000_000 + n, n, n) for n in range(6)]
STATES = [
    b'{"time":%d,"states":[["abc%03x","A%d ","X",%d,%d,8.5,47.5,100.0,false,9.5,1.0,0.0,null,90.0,"7000",false,0],'
    b'["abd%03x",null,"Y",null,5,null,null,null,true,0,0,0,null,null,null,false,0]]}\n' % (n, n, n, n, n, n)
    for n in range(1_700_000_000, 1_700_000_004)
]
AIRCRAFT = [
    b'{"now":%d.5,"aircraft":[{"hex":"abc%03x","seen":1,"gs":10},{"hex":"abd%03x","seen":2}]}\n' % (n, n % 9, n % 9)
    for n in range(4)
]
LINES = {
    "flat": [
        *FLAT,
        *(FLAT[0].replace(b"abc", b"xyz"), FLAT[1][:20], FLAT[2].replace(b"\n", b""), FLAT[3].replace(b",", b",\n"), FLAT[4][5:]),
        *(b"what\n", b"\n", b" \r\n", b",", b"]", b"}", b"[", b"7\n", b"null\n", b'"a\n', b"\xff\n", b"[[[", b'{"records":['),
        *(b'{"icao24":"abc009","timestamp":"soon","spi":"perhaps","k":NaN}\n', b'{"icao24":"abc00a","timestamp":NaN}\n'),
        b'{"records":[' + FLAT[5].strip() + b",\n" + FLAT[4].strip() + b"]}\n",
        b"[" + b",".join(FLAT[:3]) + b"]",
    ],
    "opensky": [
        *STATES,
        *(
            STATES[0].replace(b"],[", b"],\n["),
            STATES[1][:60],
            STATES[2].replace(b'"time"', b'"x":{"y":[1]},"time"'),
            STATES[1][30:],
        ),
        *(
            b'{"time":5,"states":null}\n',
            b'{"time":6,"states":[]}',
            b"\n",
            b'{"states":[',
            b"]}\n",
            STATES[3].replace(b"8.5", b"8.5.5"),
        ),
        b'{"states":[["abcdef","B","Z",1,2,8.0,47.0,1.0,false,9.0,1.0,0.0,null,9.0,"7000",false,0]],\n"time":1700000009}\n',
    ],
    "readsb": [
        *AIRCRAFT,
        *(
            AIRCRAFT[0].strip(),
            AIRCRAFT[1].replace(b",", b",\n"),
            AIRCRAFT[2][:40],
            b'{"now":1700000000,"hex":"abc00f","seen":1}\n',
        ),
        *(b'{"hex":"abc00e","seen":1,"now":1700000001}\n', b'{"now":1,"aircraft":null}\n', b'{"hex":"abc00c","aircraft":null}\n'),
    ],
}


def all_of(sources: Sequence[Source], workers: int, settings: Settings) -> dict[str, Any]:
    """Rows, dropped rows in their order, and the books."""
    ledger = Ledger([source.name for source in sources])
    kept, dropped = [], []
    for outcome in record_outcomes(sources, settings, ledger, workers=workers):
        kept.append(outcome.kept)
        dropped += outcome.dropped.to_pylist()
        ledger.drop(outcome.dropped)
        ledger.count(outcome.counts)
        ledger.write(outcome.kept)
    rows = extras.concat(kept).to_pylist() if kept else []
    books = [(one.path, one.layout, one.read, one.written, one.dropped, one.error) for one in ledger.reports()]
    rows = [{key: value for key, value in row.items() if value is not None} for row in rows]
    return {"rows": rows, "dropped": dropped, "counts": ledger.counts, "books": books}


class Cut(BytesSource):
    """Bytes that come in blocks cut anywhere; `failure` is raised behind the last one."""

    def __init__(self, data: bytes, cuts: Sequence[int], failure: InputError | None) -> None:
        super().__init__("cut", data)
        self.cuts, self.failure = cuts, failure

    def open(self, offset: int = 0) -> Iterator[bytes]:
        yield from super().open(offset)
        if self.failure is not None:
            raise self.failure

    def lines(self, size: Callable[[], int]) -> Iterator[bytes]:
        assert size() > 0
        for begin, end in pairwise([0, *self.cuts, len(self._data)]):
            if begin < end:
                yield self._data[begin:end]
        if self.failure is not None:
            raise self.failure


@pytest.mark.parametrize("layout", LINES)
@hypothesis_settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_blocks_cut_anywhere_give_what_one_thread_gives(layout: str, data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from(LINES[layout]), min_size=1, max_size=40))
    content = b"".join(lines)
    ends = [sum(map(len, lines[:count])) for count in range(len(lines))]
    cuts = sorted(data.draw(st.lists(st.sampled_from(ends) | st.integers(0, len(content)), max_size=12)))
    failure = data.draw(st.sampled_from([None, None, InputError("broken at its end")]))
    decode = DecodeSettings(layout=layout, chunk_rows=data.draw(st.sampled_from([1, 3, 1_000])))
    source = Cut(content, cuts, failure)
    with patch.object(ahead, "_MISSES", data.draw(st.sampled_from([1, 2, 100]))):
        found = all_of([source], 2, Settings(decode=decode))
    assert found == all_of([source], 1, Settings(decode=DecodeSettings(layout=layout)))


@pytest.mark.parametrize("layout", ["flat", "opensky"])
@hypothesis_settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_files_decoded_together_give_what_each_gives_alone(layout: str, data: st.DataObject) -> None:
    pack = st.sampled_from([bytes, gzip.compress, lambda content: gzip.compress(content)[:-9]])
    contents = st.lists(st.sampled_from(LINES[layout]), max_size=6).map(b"".join)
    sources = [
        BytesSource(f"{n}", one(data.draw(contents))) for n, one in enumerate(data.draw(st.lists(pack, min_size=1, max_size=9)))
    ]
    for source in sources:
        source.is_near = data.draw(st.booleans())
    settings = Settings(decode=DecodeSettings(chunk_rows=data.draw(st.sampled_from([1, 3, 1_000]))))
    room = data.draw(st.sampled_from([300, 1 << 20]))
    with (
        patch.object(flow, "_MOST_FILES", data.draw(st.sampled_from([1, 2, 100]))),
        patch.object(flow, "block_bytes", lambda _: room),
    ):
        found = all_of(sources, 2, settings)
    assert found == all_of(sources, 1, Settings())


@pytest.mark.parametrize(
    ("form", "ways"), [("lines", {"decode"}), ("array", {"decode", "stretch"}), ("indented", {"decode", "stretch"})]
)
def test_lines_are_decoded_ahead_and_the_rest_in_order(monkeypatch: pytest.MonkeyPatch, form: str, ways: set[str]) -> None:
    """So that what is promised above is promised of both ways."""
    lines = FLAT[0] * 4_000
    contents = {"lines": lines, "array": b"[" + lines.replace(b"\n", b",\n") + b"{}]", "indented": lines.replace(b",", b",\n")}
    used = set()

    def noted(name: str) -> None:
        usual = getattr(PartsDecoder, name)

        def way(*args: Any, **named: Any) -> Any:
            used.add(name)
            return usual(*args, **named)

        monkeypatch.setattr(PartsDecoder, name, way)

    noted("decode")
    noted("stretch")
    content = contents[form]
    cuts = [content.index(b"\n", at) + 1 for at in range(20_000, 200_000, 30_000)]
    found = all_of([Cut(content, cuts, None)], 2, Settings())
    assert used == ways
    assert found["books"][0][3] == 4_000


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(1, 90))
def test_blocks_of_lines_are_the_bytes_whole_and_end_with_lines(lengths: list[int], size: int) -> None:
    content = b"".join(b"x" * length + b"\n" for length in lengths)
    blocks = list(BytesSource("in", content).lines(lambda: size))
    assert b"".join(blocks) == content
    assert all(block.endswith(b"\n") for block in blocks)


@pytest.mark.parametrize("ends", [b"\n", b""])
@pytest.mark.parametrize("size", [1_000, 70_000, 100_000, 1 << 20])
def test_blocks_of_a_local_file_end_with_lines(tmp_path: Path, size: int, ends: bytes) -> None:
    path = tmp_path / "in.ndjson"
    content = b"".join(b"%d" % n * (n % 50) + b"\n" for n in range(9_000)) + b"y" * 300_000 + b"\nz" + ends
    path.write_bytes(content)
    blocks = list(LocalSource(path).lines(lambda: size))
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= size << 4
    if size > 100_000:
        assert all(block.endswith(b"\n") for block in blocks[:-1])
    path.write_bytes(gzip.compress(content))
    assert b"".join(LocalSource(path).lines(lambda: size)) == content


def test_bytes_are_held_where_they_are_sound_and_not_too_many(tmp_path: Path) -> None:
    content = b"x" * 1_000
    for name, packed in (("plain", content), ("gz", gzip.compress(content))):
        path = tmp_path / name
        path.write_bytes(packed)
        assert (LocalSource(path).held(1_000), LocalSource(path).held(999)) == (content, None)
    path.write_bytes(gzip.compress(content)[:-3])
    assert LocalSource(path).held(9_999) is None
