"""Tar archives are inputs like folders: each member one input, whatever has become of its neighbours."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight_etl.errors import FlightEtlError, InputError, NotFound
from flight_etl.store.inputs import Expansion, expand
from flight_etl.store.objects import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flight_etl.store.reading import Source

T = TypeVar("T")

LONG = f"traces/{'x' * 120}/trace_full_4d208a.json"  # does not fit a plain header
FORMATS = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


CONTENT = {
    "./traces/71/trace_full_ac671b.json": gzip.compress(b'{"icao":"ac671b"}' * 50, mtime=0),
    LONG: noise(3_000, 1),
    "traces/öst/~2.json": b"",
    "traces/99/exact.json": noise(1_024, 2),  # no padding behind it
}
NAMES = [name.removeprefix("./") for name in CONTENT]


def tar(files: Mapping[str, bytes], *, form: int = tarfile.GNU_FORMAT) -> bytes:
    """An archive of these files, each folder before what is in it."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("traces")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def stored(source: Source) -> bytes:
    """What of a source is there; its error is told by `error_of`."""
    file, data = source.stored_file(), b""
    try:
        while more := file.read(700):
            data += more
    except FlightEtlError:
        pass
    finally:
        file.close()
    return data


def error_of(source: Source) -> str | None:
    try:
        for _ in source.open():
            pass
    except FlightEtlError as error:
        return str(error)
    return None


def names(found: Expansion, archive: str) -> list[str]:
    return [source.name.removeprefix(f"{archive}!") for source in found.sources]


@pytest.mark.parametrize("form", FORMATS)
def test_each_member_is_an_input_with_its_own_name_and_bytes(form: int, tmp_path: Path) -> None:
    path = tmp_path / "day.tar"
    path.write_bytes(tar(CONTENT, form=form))
    found = expand([str(path)], output=None)
    assert names(found, str(path)) == NAMES
    assert [stored(source) for source in found.sources] == list(CONTENT.values())
    assert [source.size_bytes for source in found.sources] == [len(data) for data in CONTENT.values()]
    assert b"".join(found.sources[0].open()) == b'{"icao":"ac671b"}' * 50
    assert b"".join(found.sources[0].open(17)) == b'{"icao":"ac671b"}' * 49
    assert not found.failed


def test_a_member_is_read_again_from_any_offset(tmp_path: Path) -> None:
    path = tmp_path / "day.tar"
    path.write_bytes(tar(CONTENT))
    source = expand([str(path)], output=None).sources[1]
    assert [b"".join(source.open(offset)) for offset in (0, 2_999, 3_000)] == [CONTENT[LONG], CONTENT[LONG][2_999:], b""]


def test_what_is_no_recording_is_left_out_and_told(tmp_path: Path) -> None:
    files = {"./acas/acas.csv": b"1", "./heatmap/00.bin.ttf": b"2", "./traces/.hidden": b"3", "traces/_report.json": b"4"}
    (tmp_path / "day.tar").write_bytes(tar({**files, **CONTENT}))
    found = expand([str(tmp_path)], output=None)
    assert names(found, f"{tmp_path}/day.tar") == NAMES
    assert found.notes == (f"{tmp_path}/day.tar: left out 4 files that are no recordings, such as acas/acas.csv",)


@pytest.mark.parametrize("inputs", [["."], ["*.tar.a?"], ["day.tar.ab", "day.tar.aa", "day.tar.ac"]])
def test_parts_of_a_split_archive_are_one_archive(inputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tar(CONTENT)
    for at, letter in enumerate("abc"):  # cuts in the midst of data
        Path(f"day.tar.a{letter}").write_bytes(data[at * 2_700 : (at + 1) * 2_700 if at < 2 else None])
    found = expand(inputs, output=None)
    assert names(found, "day.tar") == NAMES
    assert [stored(source) for source in found.sources] == list(CONTENT.values())
    assert not found.failed


def test_a_part_without_the_one_before_it_is_one_failed_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tar(CONTENT)
    Path("day.tar.aa").write_bytes(data)
    Path("day.tar.ac").write_bytes(data)
    found = expand(["."], output=None)
    assert names(found, "day.tar") == NAMES
    ((name, error),) = found.failed
    assert (name, type(error)) == ("day.tar.ac", InputError)
    assert "day.tar.ab" in str(error)


WHOLE = tar(CONTENT)
END_OF_LAST = WHOLE.index(CONTENT["traces/99/exact.json"]) + 1_024


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, END_OF_LAST))
def test_an_archive_cut_short_anywhere_is_one_failed_input(size: int, tmp_path: Path) -> None:
    path = tmp_path / "day.tar"
    path.write_bytes(WHOLE[:size])
    found = expand([str(path)], output=None)
    errors = [error for source in found.sources if (error := error_of(source))]
    if found.sources and found.sources[0].name == str(path):  # nothing of a header is left: no archive
        assert size < 512
        return
    assert len(errors) + len(found.failed) == 1
    whole = [data for data in CONTENT.values() if data and WHOLE.index(data) + len(data) <= size]
    assert [data for source in found.sources if (data := stored(source))][: len(whole)] == whole


def test_a_damaged_header_costs_its_member_alone(tmp_path: Path) -> None:
    data = bytearray(tar(CONTENT))
    begin = data.index(CONTENT["traces/99/exact.json"]) - 512
    data[begin : begin + 8] = b"DAMAGED!"
    path = tmp_path / "day.tar"
    path.write_bytes(bytes(data) + tar({"later.json": b"[]"}))  # and a second archive behind
    found = expand([str(path)], output=None)
    assert names(found, str(path)) == [*NAMES[:-1], "later.json"]
    ((name, error),) = found.failed
    assert name == str(path)
    assert f"byte {begin}" in str(error)


def test_a_corrupt_member_fails_and_its_neighbours_do_not(tmp_path: Path) -> None:
    broken = bytearray(gzip.compress(noise(5_000, 3), mtime=0))
    broken[2_000:2_100] = b"\0" * 100
    path = tmp_path / "day.tar"
    path.write_bytes(tar({"a.json": b"[1]", "b.json": bytes(broken), "c.json": b"[2]"}))
    found = expand([str(path)], output=None)
    assert [error_of(source) is None for source in found.sources] == [True, False, True]
    assert str(error_of(found.sources[1])).startswith(f"{path}!b.json")


def test_an_archive_without_a_file_is_a_failed_input(tmp_path: Path) -> None:
    path = tmp_path / "day.tar"
    path.write_bytes(tar({"acas/acas.csv": b"1"}))
    found = expand([str(path)], output=None)
    assert [(name, type(error)) for name, error in found.failed] == [(str(path), NotFound)]


def test_a_file_that_only_has_the_name_of_an_archive_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "day.tar"
    path.write_bytes(b'[{"icao24":"4d208a"}]' * 100)
    assert [source.name for source in expand([str(path)], output=None).sources] == [str(path)]


def test_an_archive_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "day.tar"
    path.write_bytes(tar(CONTENT))
    assert len(expand([str(path), str(tmp_path)], output=None).sources) == len(CONTENT)


def test_an_archive_in_an_object_store_is_read_as_one_on_disk() -> None:
    """In any order of its members, also when it is larger than what is kept of it, and split where no piece ends."""
    files = {**CONTENT, **{f"traces/{number}.json": noise(3_000_000 + number, number) for number in range(8)}}
    pool, data = Pool(), tar(files)
    bucket, _ = pool.open("memory://in/")
    for name, part in (("d/day.tar.aa", data[:9_000_001]), ("d/day.tar.ab", data[9_000_001:]), ("other.tar", data)):
        bucket.put(name, part)
    found = expand(["memory://in/d", "memory://in/other.tar"], output=None, pool=pool)
    paths = [name.removeprefix("./") for name in files]
    assert [source.name for source in found.sources] == [
        f"memory://in/{archive}!{path}" for archive in ("d/day.tar", "other.tar") for path in paths
    ]
    wanted = list(files.values()) * 2
    assert [stored(source) for source in reversed(found.sources)] == wanted[::-1]
    assert [stored(source) for source in found.sources] == wanted
    assert not found.failed


def test_small_members_in_an_object_store_cost_requests_by_bytes_and_not_by_number() -> None:
    requests: list[object] = []

    def counting(function: Callable[[], T]) -> T:
        requests.append(function)
        return function()

    files = {f"traces/{number:02x}.json": noise(5_000, number) for number in range(200)}
    pool = Pool(counting)
    bucket, _ = pool.open("memory://in/")
    bucket.put("day.tar", tar(files))
    found = expand(["memory://in/day.tar"], output=None, pool=pool)
    assert [b"".join(source.open()) for source in found.sources for _ in range(2)] == [d for d in files.values() for _ in "12"]
    assert len(requests) <= 4  # put, head, and the body; each member is opened twice
