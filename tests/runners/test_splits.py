"""Inputs are dealt out whole, in order and evenly, and are the same inputs where they are opened again."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from test_run_archives import packed

from flight_etl.errors import NotFound
from flight_etl.runners.splits import OPENING_BYTES, Split, pack
from flight_etl.store.inputs import expand
from flight_etl.store.reading import LocalSource

if TYPE_CHECKING:
    import pytest

    from flight_etl.store.reading import Source


def numbers(texts: list[str]) -> list[list[int]]:
    return [[number for number, _ in json.loads(text)["inputs"]] for text in texts]


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=30), split_bytes=st.integers(100_000, 10_000_000))
def test_every_input_is_in_one_split_in_order_and_splits_are_balanced(sizes: list[int], split_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources: list[Source] = []
        for number, size in enumerate(sizes):
            path = Path(folder, str(number))
            path.touch()
            os.truncate(path, size)
            sources.append(LocalSource(path))
        splits = numbers(pack(sources, split_bytes=split_bytes))
    assert [number for split in splits for number in split] == list(range(len(sizes)))
    weights = [size + OPENING_BYTES for size in sizes]
    for split in splits:
        assert sum(weights[number] for number in split) <= split_bytes + max(weights[number] for number in split)


def test_no_input_gives_no_split() -> None:
    assert pack([], split_bytes=1) == []


def test_inputs_opened_again_have_the_same_names_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = packed({f"traces/{number}.json": bytes([number]) * 900 for number in range(20)})
    Path("day.tar.aa").write_bytes(data[:5_000])
    Path("day.tar.ab").write_bytes(data[5_000:])
    Path("plain.json").write_bytes(b"[1]")
    found = expand(["day.tar.aa", "plain.json", "day.tar.ab"], output=None).sources
    texts = pack(found, split_bytes=6 * OPENING_BYTES)
    assert len(texts) > 2
    monkeypatch.chdir("/")  # another process has another working directory
    splits = [Split.open(text, None) for text in texts]
    again = [source for split in splits for source in split.sources]
    assert [source.name for source in again] == [source.name for source in found]
    assert [b"".join(source.open()) for source in again] == [*(bytes([number]) * 900 for number in range(20)), b"[1]"]


def test_an_input_that_is_gone_when_it_is_opened_again_fails_alone(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(b"[1]")
    (text,) = pack(expand([str(tmp_path)], output=None).sources, split_bytes=1 << 30)
    (tmp_path / "a.json").unlink()
    split = Split.open(text, None)
    assert split.numbers == [1]
    assert [(number, type(error)) for number, error in split.failed] == [(0, NotFound)]
