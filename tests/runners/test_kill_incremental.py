"""Thousands of snapshots in twenty runs, with kills at any moment, are in the end what one run over all of them gives."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_compact import content

from flight_etl.bench.generate import write
from flight_etl.runners import local
from flight_etl.settings import OutputSettings, ResourceSettings, Settings

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Command

SNAPSHOTS = 5_000
RUNS = 20
KILLS = 30
BY_DATE = Settings(output=OutputSettings(partition_by="date"), resources=ResourceSettings(workers=1))

pytestmark = [pytest.mark.kill, pytest.mark.slow]


def test_five_thousand_snapshots_survive_thirty_kills(
    etl: Command, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Every snapshot counts once, though they come in random order and every twentieth comes twice, under another name."""
    rng = random.Random(5)
    write(tmp_path / "all.ndjson", 50_000, layout="opensky", complexity="complex", seed=4, interval_s=4)
    lines = (tmp_path / "all.ndjson").read_bytes().splitlines(keepends=True)[:SNAPSHOTS]
    assert len(lines) == SNAPSHOTS
    arriving = [(f"{number}.json", line) for number, line in enumerate(lines)]
    arriving += [(f"again-{name}", line) for name, line in rng.sample(arriving, SNAPSHOTS // 20)]
    rng.shuffle(arriving)
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    flags = ("in", "-o", "out", "--partition-by", "date", "--workers", "1")
    kills = sorted(rng.randrange(RUNS) for _ in range(KILLS - 4))
    published = 0
    began = time.monotonic()
    start("run", "all.ndjson", "-o", "warm", "--workers", "1").communicate(timeout=120)
    usual_s = time.monotonic() - began
    for number in range(RUNS):
        for name, line in arriving[number::RUNS]:
            (inputs / name).write_bytes(line)
        for _ in range(kills.count(number)):
            process = start("run", *flags)
            time.sleep(usual_s * rng.uniform(0.3, 1.1))
            process.kill()
            process.communicate(timeout=60)
            published += _whole(out)
        done = etl("run", *flags, "--json")
        assert done.code == 0, done.err
        assert _whole(out)
    for _ in range(4):
        process = start("compact", "out", "--workers", "1")
        time.sleep(2 * usual_s * rng.random())
        process.kill()
        process.communicate(timeout=60)
        assert _whole(out)
    assert published
    assert etl("compact", "out", "--workers", "1").code == 0
    local.run([str(inputs)], str(tmp_path / "one"), BY_DATE)
    assert content(out) == content(tmp_path / "one")
    entries = [entry for batch in _manifest(out) for entry in batch["inputs"].items()]
    assert sorted(Path(path).name for path, _ in entries) == sorted(name for name, _ in arriving)
    read = sum(entry["read"] for _, entry in entries)
    assert read == json.loads((tmp_path / "one/_report.json").read_text())["read"]
    assert all(entry["read"] == entry["written"] + sum(entry["dropped"].values()) for _, entry in entries)
    assert {path.name for path in tmp_path.iterdir()} == {"all.ndjson", "in", "out", "one", "warm"}


def _manifest(out: Path) -> list[dict[str, object]]:
    batches: list[dict[str, object]] = json.loads((out / "_manifest.json").read_bytes())["batches"]
    return batches


def _whole(out: Path) -> bool:
    """Whether there is an output; then the files that it consists of are those of which its manifest speaks."""
    if not out.exists():
        return False
    names = {name for batch in _manifest(out) for name in batch["files"]}  # type: ignore[attr-defined]
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.parquet")} == names
    return True
