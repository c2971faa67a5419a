"""Bytes come back whole from whatever they are packed in, in bounded blocks, and damage is told after what is sound."""

from __future__ import annotations

import errno
import gzip
import os
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from flight_etl.errors import Denied, InputError, NotFound, Unavailable
from flight_etl.store import failures, reading
from flight_etl.store.reading import BLOCK_BYTES, BytesSource, LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SKIPPABLE = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"


def text(count: int = 40_000) -> bytes:
    """Lines that do not compress too well; about 70 B each."""
    return b"".join(
        b'{"icao24":"%06x","time":%d,"altitude":%d}\n' % (n * 7919 % 99_991, 10**9 + n, n * n % 9973) for n in range(count)
    )


TEXT = text()


def all_of(data: bytes, offset: int = 0) -> tuple[bytes, InputError | None]:
    """Everything a source gives, and the error that ends it."""
    found = []
    try:
        for block in BytesSource("in.json", data).open(offset):
            assert 0 < len(block) <= BLOCK_BYTES
            found.append(block)
    except InputError as error:
        return b"".join(found), error
    return b"".join(found), None


PACKED = {
    "plain": TEXT,
    "gzip": gzip.compress(TEXT),
    "gzip of many members": gzip.compress(TEXT[:1_000_000]) + gzip.compress(b"") + gzip.compress(TEXT[1_000_000:]),
    "gzip with padding": gzip.compress(TEXT) + b"\0" * 600_000,
    "zstd": zstandard.compress(TEXT),
    "zstd of many frames": zstandard.compress(TEXT[:1_000_000]) + SKIPPABLE + zstandard.compress(TEXT[1_000_000:]),
    "zstd after a skippable frame": SKIPPABLE + zstandard.compress(TEXT),
    "zstd with checksum": zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(TEXT),
}


@pytest.mark.parametrize("offset", [0, 1, 999_999, 1_000_000, len(TEXT) - 1, len(TEXT), len(TEXT) + 9])
@pytest.mark.parametrize("packing", PACKED)
def test_the_same_bytes_come_back_from_any_packing_and_offset(packing: str, offset: int) -> None:
    assert all_of(PACKED[packing], offset) == (TEXT[offset:], None)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x1f", b"(\xb5/", b"\xef\xbb\xbf[]"])
def test_short_inputs_that_are_not_compressed_come_as_they_are(data: bytes) -> None:
    assert all_of(data) == (data, None)


@given(st.binary(max_size=300), st.integers(0, 320))
def test_small_inputs_of_any_content_survive(data: bytes, offset: int) -> None:
    for packed in (gzip.compress(data), zstandard.compress(data)):
        assert all_of(packed, offset) == (data[offset:], None)


@pytest.mark.parametrize("packing", ["gzip", "gzip of many members", "zstd", "zstd of many frames", "zstd with checksum"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_of_a_file_that_is_cut_short_all_that_is_there_comes_first(packing: str, share: float) -> None:
    packed = PACKED[packing]
    found, error = all_of(packed[: min(max(5, int(share * len(packed))), len(packed) - 1)])
    assert TEXT.startswith(found)
    assert len(found) >= int(share * len(TEXT)) * 0.8 - 200_000
    assert error is not None
    assert "cut short" in str(error)
    assert "in.json" in str(error)


def test_of_a_gzip_member_with_a_wrong_checksum_all_content_comes_first() -> None:
    packed = bytearray(PACKED["gzip"])
    packed[-8] ^= 1
    found, error = all_of(bytes(packed))
    assert TEXT.startswith(found)
    assert len(found) >= len(TEXT) - 1
    assert "corrupt" in str(error)


@pytest.mark.parametrize("members", [b"", gzip.compress(TEXT[:5000])])
def test_a_gzip_stream_that_turns_into_nonsense_gives_what_comes_before(members: bytes) -> None:
    deflate = zlib.compressobj(wbits=31)
    sound = members + deflate.compress(TEXT) + deflate.flush(zlib.Z_FULL_FLUSH)
    found, error = all_of(sound + b"\x07" * 100_000)  # a block of type 3, which does not exist
    expected = (TEXT[:5000] if members else b"") + TEXT
    assert expected.startswith(found)
    assert len(found) >= len(expected) - 1
    assert "corrupt" in str(error)
    assert abs(int(str(error).split("at byte ")[1].split()[0]) - len(sound)) < 100


def test_of_corrupt_zstd_the_blocks_before_come_first() -> None:
    packed = bytearray(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(TEXT))
    packed[len(packed) // 2 :] = os.urandom(len(packed) - len(packed) // 2)
    found, error = all_of(bytes(packed))
    assert TEXT.startswith(found[:-BLOCK_BYTES] if len(found) > BLOCK_BYTES else b"")
    assert error is not None
    assert all_of(PACKED["zstd"][:-1])[1] is not None


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_what_follows_and_is_no_member_is_corrupt(packing: str) -> None:
    found, error = all_of(PACKED[packing] + b"junk!")
    assert found == TEXT
    assert "corrupt" in str(error)
    assert f"byte {len(PACKED[packing])}" in str(error)


def test_padding_must_be_zeros() -> None:
    found, error = all_of(PACKED["gzip"] + b"\0\0\0x")
    assert found == TEXT
    assert "corrupt" in str(error)


@pytest.mark.parametrize("pack", [lambda data: gzip.compress(data, 9), zstandard.compress], ids=["gzip", "zstd"])
def test_a_bomb_is_stopped_early(pack: Callable[[bytes], bytes]) -> None:
    blocks = BytesSource("bomb", pack(bytes(400 << 20))).open()
    sizes: list[int] = []
    with pytest.raises(InputError, match="decompression bomb"):
        sizes.extend(len(block) for block in blocks)
    assert reading.RATIO_FROM_BYTES - BLOCK_BYTES <= sum(sizes) < 400 << 20


def test_a_small_input_may_be_as_repetitive_as_it_likes() -> None:
    assert all_of(zstandard.compress(bytes(8 << 20))) == (bytes(8 << 20), None)


def test_progress_counts_stored_bytes(tmp_path: Path) -> None:
    path = tmp_path / "in.json"  # recognised by content, not by name
    path.write_bytes(PACKED["gzip"])
    source = LocalSource(path)
    assert (source.name, source.size_bytes, source.consumed_bytes) == (str(path), len(PACKED["gzip"]), 0)
    seen = [source.consumed_bytes for _ in source.open()]
    assert seen == sorted(seen)
    assert seen[0] > 0
    assert source.consumed_bytes == source.size_bytes
    assert b"".join(source.open()) == TEXT  # again from the start


def test_a_missing_file_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        LocalSource(tmp_path / "none.json")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        LocalSource(tmp_path / "pipe")


def test_a_file_that_goes_away_is_not_found_when_read(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(b"[]")
    source = LocalSource(tmp_path / "in.json")
    (tmp_path / "in.json").unlink()
    with pytest.raises(NotFound):
        list(source.open())


class Failing:
    """A file whose disk breaks."""

    def close(self) -> None: ...

    def read(self, _: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def test_a_disk_that_breaks_while_reading_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    source = BytesSource("in.json", b"")
    monkeypatch.setattr(source, "_file", Failing)
    with pytest.raises(Unavailable, match=r"in\.json") as caught:
        list(source.open())
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, "NotFound"),
        (errno.EACCES, "Denied"),
        (errno.EROFS, "Denied"),
        (errno.ENOSPC, "StoreError"),
        (errno.EIO, "Unavailable"),
        (errno.EISDIR, "StoreError"),
    ],
)
def test_errors_of_the_system_are_told_apart_by_number(number: int, kind: str) -> None:
    error = failures.store_failure(OSError(number, os.strerror(number)), "/x", "read")
    assert type(error).__name__ == kind
    assert str(error).startswith("/x: cannot read: ")


def test_what_we_may_not_read_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.json").write_bytes(b"[]")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(reading.io, "FileIO", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(Denied, match="Permission denied"):
        LocalSource(tmp_path / "in.json")
