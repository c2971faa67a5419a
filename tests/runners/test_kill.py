"""A kill at any moment leaves the old output or the new one, whole; the next run works and cleans up."""

from __future__ import annotations

import json
import random
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
