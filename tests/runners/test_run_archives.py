"""Runs over archives: what a folder of the same files gives, with each member in the report."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Command


def packed(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def traces(generated: Callable[..., Path]) -> dict[str, bytes]:
    """Recordings of several layouts under names that say nothing."""
    return {
        f"traces/{number:02x}/trace_full_{number}.json": generated(2_000, layout=layout, suffix=suffix, seed=number).read_bytes()
        for number, (layout, suffix) in enumerate([("trace", ".json.gz"), ("trace", ".json"), ("readsb", ".json.gz")])
    }


def test_an_archive_gives_the_rows_of_a_folder_with_the_same_files(
    etl: Command, generated: Callable[..., Path], tmp_path: Path
) -> None:
    files = traces(generated)
    for name, data in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    data = packed(files)
    (tmp_path / "day.tar.aa").write_bytes(data[: len(data) // 2])
    (tmp_path / "day.tar.ab").write_bytes(data[len(data) // 2 :])
    assert etl("run", "folder", "-o", "one", "--json").code == 0
    report = etl("run", "day.tar.aa", "day.tar.ab", "-o", "other", "--json").json
    assert (tmp_path / "one/part-00000.parquet").read_bytes() == (tmp_path / "other/part-00000.parquet").read_bytes()
    assert [one["path"] for one in report["inputs"]] == [f"day.tar!{name}" for name in files]
    assert all(one["read"] == one["written"] + sum(one["dropped"].values()) > 0 for one in report["inputs"])


def test_a_corrupt_member_is_one_failed_input(etl: Command, generated: Callable[..., Path], tmp_path: Path) -> None:
    files = traces(generated) | {"traces/00/bad.json": b"<html>", "acas/acas.json": b"{}"}
    (tmp_path / "day.tar").write_bytes(packed(files))
    done = etl("run", "day.tar", "-o", "out", "--json")
    assert done.code == 1
    assert [one["path"] for one in done.json["inputs"] if one["error"]] == ["day.tar!traces/00/bad.json"]
    assert done.json["written"] > 0


def test_convert_reads_an_archive_in_its_order(etl: Command, generated: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "day.tar").write_bytes(packed(traces(generated)))
    report = etl("convert", "day.tar", "day.parquet", "--json").json
    assert pq.read_metadata(tmp_path / "day.parquet").num_rows == report["written"] == 6_000 - sum(report["dropped"].values())


def test_an_archive_cut_short_is_one_failed_input_and_the_rest_is_written(
    etl: Command, generated: Callable[..., Path], tmp_path: Path
) -> None:
    files = traces(generated)
    data = packed(files)
    (tmp_path / "day.tar").write_bytes(data[: data.rindex(files["traces/02/trace_full_2.json"]) + 4_000])
    done = etl("run", "day.tar", "-o", "out", "--json")
    assert done.code == 1
    (failed,) = [one for one in done.json["inputs"] if one["error"]]
    assert failed["path"] == "day.tar!traces/02/trace_full_2.json"
    assert "cut short" in failed["error"]
    assert done.json["read"] >= 4_000
