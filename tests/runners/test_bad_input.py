"""Bad input: a clear message with the place, the right exit code, and everything good around it is still processed."""

from __future__ import annotations

import gzip
import json
import os
import resource
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import zstandard

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.conftest import Command, Done

T0 = 1_700_000_000


def record(number: int) -> bytes:
    """A good record of an aircraft of its own."""
    return json.dumps({"icao24": f"abc{number:03x}", "timestamp": T0 + number, "altitude": 1000.0, "velocity": 100.0}).encode()


GOOD = [record(number) for number in range(4)]
BAD = b'{"icao24":"abcfff","timestamp":1700000000,%b}'


def among(*broken: bytes) -> bytes:
    """An array with the broken records between good ones."""
    return b"[" + b",\n".join([GOOD[0], *broken, GOOD[1]]) + b"]"


# name -> (content, code, read, written, dropped, words of the error)
CASES: dict[str, tuple[bytes, int, int, int, dict[str, int], str]] = {
    "empty": (b"", 0, 0, 0, {}, ""),
    "white space": (b" \n\t\r\n ", 0, 0, 0, {}, ""),
    "only a BOM": (b"\xef\xbb\xbf", 0, 0, 0, {}, ""),
    "an array of no records": (b"[ ]\n", 0, 0, 0, {}, ""),
    "an array of no records and much space, then some": (b"[]" + b" " * (5 << 20) + GOOD[0], 1, 0, 0, {}, "none of the layouts"),
    "an empty array of states": (b'{"time":1700000000,"states":null}', 0, 0, 0, {}, ""),
    "not JSON": (b"hello world\n", 1, 0, 0, {}, "neither JSON nor CSV"),
    "a web page": (b"<!DOCTYPE html><p>502", 1, 0, 0, {}, "HTML"),
    "a zip": (b"PK\x03\x04" + b"\0" * 50, 1, 0, 0, {}, "unpack it first"),
    "wrong JSON": (b'{"a":1,"b":[1,2]}', 1, 0, 0, {}, "none of the layouts"),
    "numbers": (b"[1,2,3]", 1, 0, 0, {}, "none of the layouts"),
    "null": (b"null", 1, 0, 0, {}, "neither JSON"),
    "zeros": (b"\0" * 1_000, 1, 0, 0, {}, "neither JSON"),
    "cut short in an array": (among()[:-10], 1, 2, 1, {"truncated": 1}, "record 1: cut short"),
    "cut short in a line": (b"\n".join(GOOD)[:-10], 1, 4, 3, {"truncated": 1}, "record 3: cut short"),
    "cut short before a record": (b'{"time":1700000000,"states":[', 1, 0, 0, {}, ""),
    "a broken record": (among(b'{"icao24": abc}'), 0, 3, 2, {"bad_json": 1}, ""),
    "a broken line": (b"\n".join([GOOD[0], b"what is this", GOOD[1]]), 0, 3, 2, {"bad_json": 1}, ""),
    "scalars among records": (among(b"7", b"null", b'"x"', b"[]"), 0, 6, 2, {"not_a_record": 4}, ""),
    "deep nesting": (among(BAD % (b'"x":' + b"[" * 10_000 + b"]" * 10_000)), 0, 3, 2, {"too_deep": 1}, ""),
    "nothing but nesting": (b"[" * 10_000 + b"]" * 10_000, 1, 0, 0, {}, ""),
    "nesting without an end": (among(BAD % (b'"x":' + b"[" * 10_000)), 0, 3, 2, {"bad_json": 1}, ""),
    "400 digits": (among(BAD % (b'"altitude":' + b"9" * 400)), 0, 3, 3, {}, ""),
    "1e999": (among(BAD % b'"altitude":1e999,"new_key":1e999'), 0, 3, 3, {}, ""),
    "NaN and Infinity": (among(BAD % b'"altitude":NaN,"velocity":-Infinity,"new_key":Infinity'), 0, 3, 3, {}, ""),
    "a huge time": (among(b'{"icao24":"abcfff","timestamp":1e300}'), 0, 3, 2, {"missing_timestamp": 1}, ""),
    "keys twice": (among(BAD % b'"altitude":1,"altitude":2,"new_key":1,"new_key":2'), 0, 3, 3, {}, ""),
    "invalid UTF-8": (among(BAD % b'"callsign":"\xff\xfe"'), 0, 3, 2, {"bad_json": 1}, ""),
    "a lone surrogate": (among(BAD % b'"callsign":"A\\ud800","new_key":"\\udc00"'), 0, 3, 3, {}, ""),
    "a surrogate in UTF-8": (among(BAD % b'"callsign":"\xed\xa0\x80"'), 0, 3, 2, {"bad_json": 1}, ""),
    "no address, no time": (
        among(b'{"timestamp":1}', b'{"icao24":"zzz","timestamp":1700000000}', b'{"icao24":"abc001"}'),
        *(0, 5, 2, {"missing_icao24": 1, "bad_icao24": 1, "missing_timestamp": 1}, ""),
    ),
    "a long record": (among(BAD % (b'"x":"' + b"y" * 300_000 + b'"')), 0, 3, 2, {"too_large": 1}, ""),
    "a long line": (b"\n".join([GOOD[0], b'{"x":"' + b"y" * 3_000_000, GOOD[1]]), 0, 3, 2, {"bad_json": 1}, ""),
    "a cut gzip": (gzip.compress(b"\n".join(GOOD) + b"\n", mtime=0)[:-4], 1, 4, 4, {}, "gzip data are cut short"),
    "text behind a gzip": (gzip.compress(b"\n".join(GOOD), mtime=0) + b"more", 1, 4, 4, {}, "not gzip"),
    "a cut zstd": (zstandard.compress(b"\n".join(GOOD) * 1)[:-1], 1, 0, 0, {}, "zstd data are cut short"),
    "a bomb": (zstandard.compress(b"\n".join(GOOD) + b"\n" + b" " * (80 << 20)), 1, 4, 4, {}, "decompression bomb"),
    "zeros behind lines": (b"\n".join(GOOD) + b"\n" + b"\0" * 100, 0, 5, 4, {"bad_json": 1}, ""),
}


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "_quarantine.ndjson"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def run(etl: Command, *arguments: object) -> Done:
    return etl("run", *arguments, "-o", "out", "--json", "--set", "decode.max_record_bytes=200000")


@pytest.mark.parametrize("name", CASES)
def test_bad_input_costs_only_itself(etl: Command, name: str) -> None:
    content, code, read, written, dropped, words = CASES[name]
    Path("bad.json").write_bytes(content)
    Path("good.json").write_bytes(b"[" + record(100) + b"]")
    done = run(etl, "bad.json", "good.json")
    bad, good = done.json["inputs"]
    assert (done.code, good["written"], good["error"]) == (code, 1, None)
    assert bad["read"] == bad["written"] + sum(bad["dropped"].values())
    assert (bad["read"], bad["written"], bad["dropped"]) == (read, written, dropped)
    assert bool(bad["error"]) == bool(code)
    assert words in (bad["error"] or "")
    assert "bad.json" in (bad["error"] or "bad.json")
    assert pq.read_table("out/part-00000.parquet").num_rows == bad["written"] + 1
    found = lines(Path("out"))
    assert sorted(line["reason"] for line in found) == sorted(r for r, count in bad["dropped"].items() for _ in range(count))
    for line in found:
        assert line["file"] == "bad.json"
        assert 0 <= line["record"] < bad["read"]
    for one, two in pairwise(sorted(found, key=lambda line: line["record"])):
        assert one["offset"] <= two["offset"]


def test_the_place_in_the_quarantine_is_where_the_record_begins(etl: Command) -> None:
    content = among(b'{"icao24": abc}', b'{"timestamp":1}')
    Path("bad.json").write_bytes(content)
    run(etl, "bad.json")
    found = {line["reason"]: line for line in lines(Path("out"))}
    assert content[found["bad_json"]["offset"] :].startswith(b'{"icao24": abc}')
    assert content[found["missing_icao24"]["offset"] :].startswith(b'{"timestamp":1}')
    assert (found["bad_json"]["record"], found["missing_icao24"]["record"]) == (1, 2)
    assert '{"icao24": abc}' in found["bad_json"]["detail"]


def test_values_that_no_parser_takes_leave_the_rest_of_their_record(etl: Command) -> None:
    Path("bad.json").write_bytes(among(BAD % b'"altitude":NaN,"velocity":1e999,"heading":12.5,"callsign":"X","callsign":"Y"'))
    run(etl, "bad.json")
    row = next(row for row in pq.read_table("out/part-00000.parquet").to_pylist() if row["icao24"] == "abcfff")
    assert (row["altitude"], row["velocity"], row["heading"], row["callsign"]) == (None, None, 12.5, "Y")


def test_a_failed_input_is_named_with_its_reason_for_people_too(etl: Command) -> None:
    Path("bad.json").write_bytes(b"hello")
    Path("good.json").write_bytes(GOOD[0])
    done = etl("run", "bad.json", "good.json", "-o", "out")
    assert done.code == 1
    assert done.err == "failed: bad.json: neither JSON nor CSV of a known layout; it begins with b'hello'\n"
    assert "bad.json (failed)" in done.out


def test_missing_files_empty_folders_and_patterns_without_a_match_fail_by_name(etl: Command) -> None:
    Path("good.json").write_bytes(GOOD[0])
    Path("folder").mkdir()
    done = run(etl, "missing.json", "folder", "*.nope", "good.json")
    assert done.code == 1
    failed = {one["path"]: one["error"] for one in done.json["inputs"] if one["error"]}
    assert failed.keys() == {"missing.json", "folder", "*.nope"}
    assert done.json["written"] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_an_unreadable_file_and_an_unwritable_folder_are_told(etl: Command) -> None:
    Path("good.json").write_bytes(GOOD[0])
    Path("secret.json").write_bytes(GOOD[1])
    Path("secret.json").chmod(0)
    done = run(etl, "secret.json", "good.json")
    assert done.code == 1
    assert "secret.json" in done.json["inputs"][-1]["error"]
    Path("locked").mkdir(mode=0o500)
    done = etl("run", "good.json", "-o", "locked/out")
    assert done.code == 1
    assert "locked/out" in done.err


def test_a_file_named_twice_is_read_once_and_noted(etl: Command) -> None:
    Path("good.json").write_bytes(b"\n".join(GOOD))
    Path("link.json").symlink_to("good.json")
    done = run(etl, "good.json", "./good.json", "link.json")
    assert (done.code, done.json["read"], len(done.json["inputs"])) == (0, 4, 1)
    assert len(done.json["notes"]) == 2


def test_an_input_inside_the_output_is_refused_and_the_output_kept(
    etl: Command, listing: Callable[[Path], dict[str, bytes]]
) -> None:
    Path("good.json").write_bytes(GOOD[0])
    assert run(etl, "good.json").code == 0
    Path("out/in.json").write_bytes(GOOD[1])
    before = listing(Path("out"))
    done = run(etl, "out/in.json", "--overwrite")
    assert done.code == 1
    assert "lies inside it" in done.json["inputs"][0]["error"]
    assert listing(Path("out")) == before
    done = run(etl, ".", "--overwrite")  # what a folder holds of the output is left out
    assert (done.code, done.json["read"]) == (0, 1)
    assert listing(Path("out"))["in.json"] == GOOD[1]


def test_convert_never_replaces_its_own_input(etl: Command) -> None:
    Path("good.json").write_bytes(GOOD[0])
    assert etl("convert", "good.json", "good.json", "--overwrite").code == 1
    assert Path("good.json").read_bytes() == GOOD[0]


@pytest.mark.parametrize("content", [b"hello", b'{"a":1}', None])
def test_where_every_input_fails_nothing_is_published_and_the_old_output_stays(
    etl: Command, listing: Callable[[Path], dict[str, bytes]], content: bytes | None
) -> None:
    if content is not None:
        Path("bad.json").write_bytes(content)
    done = run(etl, "bad.json")
    assert (done.code, done.json["outputs"], done.json["quarantine"]) == (1, [], None)
    assert "nothing was published" in done.json["notes"][-1]
    assert etl("convert", "bad.json", "out.parquet").code == 1
    assert [path.name for path in Path().iterdir() if path.name != "bad.json"] == []
    Path("good.json").write_bytes(GOOD[0])
    assert run(etl, "good.json").code == 0
    assert etl("convert", "good.json", "out.parquet").code == 0
    before = listing(Path())
    assert run(etl, "bad.json", "--overwrite").code == 1
    assert etl("convert", "bad.json", "out.parquet", "--overwrite").code == 1
    assert listing(Path()) == before


def test_names_of_files_are_shown_and_written_as_they_are(etl: Command) -> None:
    names = ["[red]x[b].json", ":smile:.json", os.fsdecode(b"caf\xe9.json"), "mit Leer\nzeichen.json"]
    for name in names:
        Path(name).write_bytes(among(b"7"))
    shown = etl("run", *names, "-o", "out")
    assert shown.code == 0
    assert "[red]x[b].json" in shown.out
    assert ":smile:.json" in shown.out
    assert {line["file"] for line in lines(Path("out"))} == set(names)
    assert [one["path"] for one in run(etl, *names, "--overwrite").json["inputs"]] == names


@pytest.mark.parametrize("kilobytes", [2, 60])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(
    etl: Command,
    start: Callable[..., subprocess.Popen[bytes]],
    generated: Callable[..., Path],
    tmp_path: Path,
    listing: Callable[[Path], dict[str, bytes]],
    kilobytes: int,
) -> None:
    sample = generated(2_000, interval_s=20)
    etl("run", sample, "-o", "out")
    before = listing(tmp_path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1_000, kilobytes * 1_000))

    process = start("run", sample, "-o", "out", "--json", "--overwrite", before=limit)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "File too large" in json.loads(out)["error"]
    assert err.count(b"\n") == 1
    assert b"free space or name another place" in err
    assert listing(tmp_path) == before
