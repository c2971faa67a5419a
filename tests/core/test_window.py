"""The window along a stream has the bytes of the stream, however they come and whatever is kept."""

from __future__ import annotations

from random import Random
from unittest.mock import patch

from documents import JSON_LAYOUTS, documents
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import Memory, decoded

from flight_etl.core.decode import window
from flight_etl.core.decode.window import Window

_SEEDS = st.integers(0, 2**32)


@given(_SEEDS)
@settings(max_examples=200, deadline=None)
def test_what_is_in_memory_is_the_stream(seed: int) -> None:
    random = Random(seed)
    data = random.randbytes(random.randrange(400))
    source = Memory(data, random.choice([1, 5, 16, 17, 40]))
    joint = random.choice([1, 3, 8])
    seen, end = Window(source.open()), 0
    with patch.multiple(window, _LARGE_BYTES=16, _JOINT_BYTES=joint):
        while True:
            keep = max(seen.start, random.choice([0, seen.end, random.randint(0, seen.end), seen.end - joint]))
            if not seen.more(keep):
                break
            assert seen.end > end, "every call brings something"
            assert seen.start <= keep, "what was to be kept is there"
            assert seen.data == data[seen.start : seen.end]
            end = seen.end
    assert end == len(data)
    assert seen.ended


def test_a_large_block_is_not_copied() -> None:
    data = bytes(1 << 17)
    blocks = [data, b"a" + data[1:], b"b" + data[1:]]
    seen = Window(iter(blocks))
    assert seen.more(0)
    assert seen.data is blocks[0]
    assert seen.more(seen.end - 10)
    assert len(seen.data) < len(data)
    assert seen.more(seen.end - 10)
    assert seen.data is blocks[1]
    assert seen.start == len(data)


@given(_SEEDS)
@settings(max_examples=100, deadline=None)
def test_decoding_does_not_see_how_blocks_are_joined(seed: int) -> None:
    random = Random(seed)
    layout = random.choice(JSON_LAYOUTS)
    data = documents(random, layout)
    whole = decoded(data, layout)
    large, joint = random.choice([(1, 1), (40, 1), (40, 30)])  # the beginning of a block is never longer than it
    with patch.multiple(window, _LARGE_BYTES=large, _JOINT_BYTES=joint):
        other = decoded(Memory(data, random.choice([40, 60, 200])), layout)
    assert (other.error, other.dropped, other.counts) == (whole.error, whole.dropped, whole.counts)
    assert other.kept.equals(whole.kept)
