"""A kill at any moment leaves the old output or the new one, whole; the next run works and cleans up."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command

MOMENTS = 10

pytestmark = pytest.mark.kill


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_killed_run_leaves_the_old_output_or_the_new_one(
    etl: Command,
    start: Callable[..., subprocess.Popen[bytes]],
    generated: Callable[..., Path],
    tmp_path: Path,
    listing: Callable[[Path], dict[str, bytes]],
    *,
    partitioned: bool,
) -> None:
    flags = ["--overwrite", "--partition-by", "date"] if partitioned else ["--overwrite"]
    recordings = [generated(4_000, seed=seed, interval_s=20) for seed in (1, 2)]
    out = tmp_path / "out"

    def content() -> dict[str, bytes]:
        files = listing(out)
        report = json.loads(files.pop("_report.json"))  # has seconds in it
        return files | {"read from": report["inputs"][0]["path"].encode()}

    whole = {}
    for recording in recordings:
        etl("run", recording, "-o", "out", *flags)
        whole[recording] = content()
    began = time.monotonic()
    start("run", recordings[0], "-o", "out", *flags).communicate(timeout=60)
    usual_s = time.monotonic() - began
    rng = random.Random(1)
    old, new = recordings
    survived = 0
    for moment in range(MOMENTS):
        process = start("run", new, "-o", "out", *flags)
        # Half of the kills fall into the end of a run, where it publishes.
        time.sleep(usual_s * (rng.random() if moment % 2 else rng.uniform(0.8, 1.0)))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        found = content()
        assert found in (whole[old], whole[new])
        if found == whole[new]:
            survived += 1
            old, new = new, old
    assert survived < MOMENTS
    done = etl("run", new, "-o", "out", *flags)
    assert (done.code, content()) == (0, whole[new])
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def test_a_killed_convert_leaves_the_old_file_or_the_new_one(
    etl: Command, start: Callable[..., subprocess.Popen[bytes]], generated: Callable[..., Path], tmp_path: Path
) -> None:
    recordings = [generated(4_000, seed=seed, interval_s=20) for seed in (1, 2)]
    target = tmp_path / "out.parquet"
    whole = []
    for recording in recordings:
        etl("convert", recording, target, "--overwrite")
        whole.append(target.read_bytes())
    rng = random.Random(2)
    for moment in range(MOMENTS):
        process = start("convert", recordings[moment % 2], target, "--overwrite")
        time.sleep(rng.uniform(0.3, 1.6))
        process.kill()
        process.communicate(timeout=30)
        assert target.read_bytes() in whole
    assert etl("convert", recordings[0], target, "--overwrite").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"out.parquet", "out.report.json"}


def test_a_killed_compaction_leaves_the_old_files_or_the_new_ones(
    etl: Command,
    start: Callable[..., subprocess.Popen[bytes]],
    generated: Callable[..., Path],
    tmp_path: Path,
    listing: Callable[[Path], dict[str, bytes]],
) -> None:
    """Tried on the output of a run, which is swapped, and on one of a worker, which is updated by a journal, in turn."""
    lines = generated(6_000, interval_s=20).read_bytes().splitlines(keepends=True)
    pristine = {kind: tmp_path / kind for kind in ("run", "worker")}
    for kind, folder in pristine.items():
        for number in range(6):
            (tmp_path / "piece.ndjson").write_bytes(b"".join(lines[number::6]))
            assert etl("run", "piece.ndjson", "-o", "piece", "--partition-by", "date", "--overwrite").code == 0
            for path in (tmp_path / "piece").rglob("*.parquet"):
                target = folder / path.parent.name / f"{number}.{path.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
        if kind == "run":
            shutil.copy(tmp_path / "piece/_report.json", folder)

    def content(folder: Path) -> dict[str, bytes]:
        return {name: data for name, data in listing(folder).items() if name.endswith(".parquet") and name[0] != "."}

    shutil.copytree(pristine["run"], tmp_path / "whole")
    began = time.monotonic()
    start("compact", "whole").communicate(timeout=60)
    usual_s = time.monotonic() - began
    whole = content(tmp_path / "whole")
    old = content(pristine["run"])
    rng = random.Random(3)
    found = []
    for moment in range(2 * MOMENTS):
        target = tmp_path / f"set-{moment}"
        shutil.copytree(pristine["worker" if moment % 2 else "run"], target)
        process = start("compact", target.name)
        time.sleep(usual_s * rng.uniform(0.5, 1.0))
        process.kill()
        process.communicate(timeout=30)
        found.append(content(target))
        # Moving the files of a worker's output takes a moment, in which both may be there; the next one ends it.
        assert found[-1] in (old, whole) or (moment % 2 and found[-1].items() <= (old | whole).items())
        assert etl("compact", target.name).code == 0
        assert content(target) == whole
        assert not [path for path in tmp_path.rglob(".*") if path.name.startswith((f".set-{moment}.", ".flight-etl"))]
    assert old in found
