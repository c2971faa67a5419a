"""Scratch folders are gone afterwards, whatever became of their process."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from flight_etl.runners.processor import Processor
from flight_etl.runners.queue_worker import work_queue
from flight_etl.runners.scratch import scratch_folder, sweep
from flight_etl.runners.worker import Stop
from flight_etl.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, time
from flight_etl.runners.scratch import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_is_gone_with_its_block_and_stays_while_it_is_in_use(tmp_path: Path) -> None:
    with scratch_folder(str(tmp_path)) as one, scratch_folder(str(tmp_path)) as other:
        (one / "file").write_text("x")
        assert sweep(str(tmp_path)) == 0
        assert (one / "file").exists()
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_sweeps_before_it_takes_its_first_message(tmp_path: Path) -> None:
    (tmp_path / "flight-etl-left").mkdir()
    (tmp_path / "flight-etl-left.lock").touch()
    settings = replace(Settings(), resources=replace(Settings().resources, spill_dir=str(tmp_path)))
    stop = Stop()
    stop.set()
    work_queue(Processor(settings), "https://queue", None, stop)
    assert not (tmp_path / "flight-etl-left").exists()


def test_the_folder_of_a_killed_process_is_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "flight-etl-of-the-user").mkdir()
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    assert sweep(str(tmp_path)) == 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (tmp_path / folder / "file").exists()
    assert sweep(str(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["flight-etl-of-the-user"]
