"""Processes are measured as they were, and a failure is a failure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from flight_etl.bench.measure import CaseFailedError, measured

if TYPE_CHECKING:
    from pathlib import Path

MB = 1_000_000


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_process_says_and_takes_is_told(tmp_path: Path) -> None:
    found = measured(python("import time; time.sleep(0.2); print('done')"), cwd=tmp_path)
    assert found.stdout == "done\n"
    assert found.seconds >= 0.2
    assert 0 < found.cpu_seconds < found.seconds


def test_memory_of_the_process_and_of_its_children_counts(tmp_path: Path) -> None:
    """And not that of the process that measures, which may be larger than what it starts."""
    own = bytearray(b"x") * 500_000_000
    del own
    grown = "import sys, time; held = bytearray(b'x') * 200_000_000; time.sleep(0.3)"
    alone = measured(python(grown), cwd=tmp_path).peak_rss_mb
    both = f"import subprocess; held = bytearray(b'x') * 200_000_000; subprocess.run({python(grown)!r}, check=True)"
    assert 200 < alone < 300
    assert measured(python(both), cwd=tmp_path).peak_rss_mb > 400


def test_a_failed_process_gives_no_time_but_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CaseFailedError, match=r"exit code 3\nno such luck"):
        measured(python("import sys; print('no such luck', file=sys.stderr); sys.exit(3)"), cwd=tmp_path)


def test_a_process_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(CaseFailedError, match="stopped after"):
        measured(python("import time; time.sleep(60)"), cwd=tmp_path, timeout_s=0.2)
