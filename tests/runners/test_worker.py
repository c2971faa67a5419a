from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from flight_etl.bench.generate import write
from flight_etl.resilience.deadletter import BlobDeadLetters, FolderBlobs
from flight_etl.runners.worker import FolderWorker, Stop
from flight_etl.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in/deep").mkdir(parents=True)
    for number in range(3):
        write(tmp_path / f"in/{'deep/' if number else ''}{number}.json.gz", 300, layout="readsb", seed=number)
    return tmp_path


def _work(folder: Path, inputs: int) -> list[str]:
    told: list[str] = []
    FolderWorker(folder / "in", folder / "out", Settings(), settle_s=0.0).work(Stop(after=inputs), told=told.append)
    return told


def _rows(folder: Path) -> dict[str, int]:
    out = folder / "out"
    return {p.relative_to(out).as_posix(): pq.read_metadata(p).num_rows for p in sorted(out.rglob("*.parquet"))}


def test_each_file_becomes_a_parquet_file_of_its_name(folder: Path) -> None:
    told = _work(folder, 3)
    assert len(told) == 3
    rows = _rows(folder)
    assert list(rows) == ["0.json.gz.parquet", "deep/1.json.gz.parquet", "deep/2.json.gz.parquet"]
    assert all(number > 250 for number in rows.values())
    table = pq.read_table(folder / "out/0.json.gz.parquet")
    assert "flight_phase" in table.column_names


def test_a_bad_file_is_a_dead_letter_and_holds_up_no_other(folder: Path) -> None:
    (folder / "in/bad.json").write_text('{"now": 1, "aircraft": [{"hex": "40')
    told = _work(folder, 4)
    assert sum("failed" in line for line in told) == 1
    assert len(_rows(folder)) == 3
    (held,) = BlobDeadLetters(FolderBlobs(folder / "out/.flight-etl-dead-letters")).list()
    assert held.letter.key == str(folder / "in/bad.json")
    assert held.letter.error_class == "InputError"


def test_what_is_done_is_not_done_again_and_what_changed_is(folder: Path) -> None:
    _work(folder, 3)
    before = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*.parquet")}
    write(folder / "in/new.json", 100, layout="flat")
    assert _work(folder, 1) == ["new.json: 100 rows"]
    write(folder / "in/0.json.gz", 200, layout="readsb", seed=7)
    assert _work(folder, 1) == ["0.json.gz: 200 rows"]
    unchanged = [p for p, when in before.items() if p.stat().st_mtime_ns == when]
    assert len(unchanged) == 2


def test_a_stop_is_obeyed_at_once_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    stop = Stop()
    stop.set()
    FolderWorker(tmp_path / "in", tmp_path / "out", Settings()).work(stop)
    assert not (tmp_path / "out").exists()


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "flight_etl.runners.cli", "worker", "--watch", "in", "--output", "out"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))


def test_a_term_signal_ends_it_after_the_file_that_it_works_on(folder: Path) -> None:
    process = _start(folder)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told.decode()
    assert not list((folder / "out").rglob(".*flight-etl-[0-9]*"))


@pytest.mark.kill
def test_killed_fifty_times_every_file_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        write(tmp_path / f"in/{number:02d}.json", 400, layout="readsb", seed=number)
    chance = random.Random(5)
    for _ in range(50):
        process = _start(tmp_path)
        time.sleep(chance.uniform(0.3, 3.0))
        process.kill()
        process.communicate()
    process = _start(tmp_path)
    until = time.monotonic() + 300
    while len(list((tmp_path / "out/.flight-etl-done").glob("[!.]*.json"))) < 40 and time.monotonic() < until:
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    rows = _rows(tmp_path)
    assert len(rows) == 40
    for name in rows:
        report = json.loads((tmp_path / f"out/{name.removesuffix('.parquet')}.report.json").read_bytes())
        assert (report["read"], report["written"]) == (400, rows[name])
    assert not list((tmp_path / "out").rglob(".*.flight-etl-[0-9]*"))
