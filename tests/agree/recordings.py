"""Recordings for tests of agreement: several layouts of the same traffic, and what goes wrong in practice."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def mixture(folder: Path, generated: Callable[..., Path]) -> Path:
    """Fill a folder: files of five layouts, an archive, a file twice, undeclared keys of changing type, bad records and files."""
    folder.mkdir(parents=True)
    kinds = [
        ("readsb", ".json.gz"),
        ("opensky", ".ndjson"),
        ("flat", ".ndjson.zst"),
        ("trace", ".json.gz"),
        ("adsbx-v2", ".json"),
    ]
    for number, (layout, suffix) in enumerate(kinds):
        source = generated(3_000, layout=layout, suffix=suffix, seed=5 + number % 2, interval_s=11)
        (folder / f"{layout}{suffix}").write_bytes(source.read_bytes())
    (folder / "again.json.gz").write_bytes((folder / "readsb.json.gz").read_bytes())
    (folder / "day.tar").write_bytes(_archive(generated))
    (folder / "extras.ndjson").write_text("".join(_odd(number) for number in range(2_000)))
    (folder / "page.json").write_text("<html>busy</html>")
    (folder / "cut.json").write_bytes(b'{"time": 1700000000, "states": [["40621d", "X", "UK", 1700000000, 1700000000, 0')
    (folder / "empty.json").write_bytes(b"")
    return folder


def _archive(generated: Callable[..., Path]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for seed in (1, 2, 3):
            data = generated(1_500, layout="trace", suffix=".json.gz", seed=seed).read_bytes()
            info = tarfile.TarInfo(f"traces/{seed:02x}/trace_full_{seed}.json")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("traces/ff/bad.json")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"\x1f\x8bbad"))
    return sink.getvalue()


def _odd(number: int) -> str:
    """A record whose undeclared keys change their type, every third without a time, every fourth a double."""
    record = {"icao24": f"4b{number % 7:04x}", "timestamp": 1_700_000_000 + number // 4 * 60, "latitude": 47.0, "longitude": 8.0}
    record["gate"] = number if number < 1_900 else f"B{number}"  # text at the very end: all of it is text
    record["load.kg"] = number / 4 if number % 5 else 7
    if number % 3 == 0:
        del record["timestamp"]
    return json.dumps(record) + "\n"
