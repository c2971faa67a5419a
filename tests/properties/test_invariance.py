"""What cannot be seen in the output: order, chunks, workers, memory, cuts and compression of the input; and its layout."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

from flight_etl.resources import Budget
from flight_etl.runners import local
from flight_etl.settings import DecodeSettings, ResourceSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYOUTS = ("flat", "opensky", "readsb", "trace")
TINY = {
    "limit_bytes": 1,
    "held_bytes": 200_000,
    "run_bytes": 150_000,
    "range_bytes": 1,
    "min_range_rows": 700,
}  # nearly everything is spilled

PIECES = "a hundred pieces"
VARIANTS: dict[str, dict[str, Any]] = {
    "shuffled, spilled": {"shuffle": True, "tiny": 1, "chunk": 777},
    "one row at a time": {"chunk": 1},
    "chunks of seven, two workers": {"chunk": 7, "workers": 2},
    "one chunk, three workers": {"chunk": 100_000, "workers": 3},
    "spilled, three workers": {"tiny": 3, "chunk": 500},
    "little memory": {"memory": 384, "workers": 2},
    "much memory": {"memory": 4_096},
    "gzip": {"pack": gzip.compress},
    "zstd": {"pack": zstandard.compress},
    PIECES: {"pieces": 100, "shuffle": True, "tiny": 2},
}
AT_ONCE = {
    "all at once": {"shuffle": True, "tiny": 3, "chunk": 300, "pieces": 5, "pack": gzip.compress},
    "one of each": {"workers": 2, "chunk": 100_000, "memory": 384, "pack": zstandard.compress},
}


def parquet(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def plain(recording: Path, out: Path) -> dict[str, bytes]:
    """Run in the usual way, with one worker."""
    local.run([str(recording)], str(out), Settings(resources=ResourceSettings(workers=1)))
    return parquet(out)


def varied(recording: Path, folder: Path, variant: dict[str, Any]) -> dict[str, bytes]:
    """Run on the same records in another way."""
    lines = recording.read_bytes().splitlines(keepends=True)
    if variant.get("shuffle"):
        random.Random(3).shuffle(lines)
    pieces = variant.get("pieces", 1)
    paths = []
    for at in range(pieces):
        paths.append(folder / f"{at}.json")
        paths[-1].write_bytes(variant.get("pack", bytes)(b"".join(lines[at::pieces] if pieces > 1 else lines)))
    inputs = [str(path) for path in paths if path.stat().st_size]
    settings = Settings(
        decode=DecodeSettings(chunk_rows=variant.get("chunk", 10_000)),
        resources=ResourceSettings(workers=variant.get("workers", 1), memory_limit_mb=variant.get("memory")),
    )
    budget = Budget(**TINY, workers=variant["tiny"]) if "tiny" in variant else None
    report = local.run(inputs, str(folder / "out"), settings, budget=budget)
    assert not report.failed
    return parquet(folder / "out")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_small_recordings_give_the_same_bytes_in_every_way(generated: Callable[..., Path], tmp_path: Path, layout: str) -> None:
    recording = generated(1_200, layout=layout, interval_s=20)
    expected = plain(recording, tmp_path / "plain")
    for name, variant in AT_ONCE.items():
        (tmp_path / name).mkdir()
        assert varied(recording, tmp_path / name, variant) == expected, name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_one_at_a_time_give_the_same_bytes(generated: Callable[..., Path], tmp_path: Path, layout: str) -> None:
    recording = generated(60, layout=layout, interval_s=20)
    assert varied(recording, tmp_path, VARIANTS["one row at a time"]) == plain(recording, tmp_path / "plain")


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", VARIANTS)
def test_recordings_give_the_same_bytes_in_each_way(
    generated: Callable[..., Path], tmp_path: Path, layout: str, name: str
) -> None:
    rows = 600 if VARIANTS[name].get("chunk", 10_000) < 10 else 20_000
    recording = generated(rows, layout=layout)
    assert varied(recording, tmp_path, VARIANTS[name]) == plain(recording, tmp_path / "plain")


# Half of the coarser quantum of two layouts, and a little for rounding: 25 ft, 0.5 m/s, 1 deg, 64 ft/min, four decimals.
QUANTA = {
    "latitude": 6e-5,  # deg
    "longitude": 6e-5,  # deg
    "altitude": 3.9,  # m
    "geo_altitude": 3.9,  # m
    "velocity": 0.3,  # m/s
    "heading": 0.6,  # deg
    "vertical_rate": 0.2,  # m/s
}
SAME = ("on_ground", "squawk", "address_type")


def keyed(path: Path, folder: Path) -> dict[tuple[Any, Any], dict[str, Any]]:
    """NORMAL rows by aircraft and moment, of those that there is one of."""
    target = folder / f"{path.stem}.parquet"
    assert local.convert(str(path), str(target)).exit_code == 0
    found: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for row in pq.read_table(target).to_pylist():
        found.setdefault((row["icao24"], row["timestamp"].replace(microsecond=0)), []).append(row)
    return {key: rows[0] for key, rows in found.items() if len(rows) == 1}


@pytest.mark.parametrize("other", ["opensky", "opensky-objects", "opensky-history", "readsb", "adsbx-v2", "trace"])
def test_the_same_data_in_two_layouts_give_the_same_normal_rows(
    generated: Callable[..., Path], tmp_path: Path, other: str
) -> None:
    flat = keyed(generated(1_200, interval_s=20), tmp_path)
    rows = keyed(generated(1_200, layout=other, interval_s=20), tmp_path)
    both = sorted(flat.keys() & rows.keys())
    assert len(both) > 0.97 * len(flat)
    for name, quantum in QUANTA.items():
        pairs = [(flat[key][name], rows[key][name]) for key in both]
        known = np.array([pair for pair in pairs if None not in pair], float)
        assert len(known) > 0.5 * len(both) or name == "geo_altitude", name
        apart = np.abs(known[:, 0] - known[:, 1])
        if name == "heading":
            apart = np.minimum(apart, 360 - apart)
        assert apart.max(initial=0.0) <= quantum, name
    for name in SAME:
        pairs = [(flat[key][name], rows[key][name]) for key in both]
        assert all(one == two for one, two in pairs if one is not None and two is not None), name
