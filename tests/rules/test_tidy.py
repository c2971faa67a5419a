"""What may not be committed: unfinished marks, overlong files, this machine's paths, unmerged conflicts."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from source_tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = {".py", ".pyx", ".pxd", ".pxi", ".md", ".toml", ".yml", ".yaml", ".txt", ".cfg", ".sh", ".json", ""}
MAX_LINES = 500  # of a file in src
# Spelt so that this file does not match itself.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
CONFLICT = re.compile(r"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)
ABSOLUTE = re.compile(r"(?<![\w./:-])/(?:home|root|Users|work|mnt|tmp/\w|var/folders)/?\b")
PRINTING = re.compile(r"^\s*print\(", re.MULTILINE)


def tracked() -> list[Path]:
    """Text files that git knows, or would add; without git (an unpacked sdist), all of the checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        listed = [str(p.relative_to(ROOT)) for top in ("src", "tests", "docs", "benchmarks") for p in (ROOT / top).rglob("*")]
    return [path for name in listed if (path := ROOT / name).is_file() and path.suffix in ENDINGS]


def offenders(pattern: re.Pattern[str], *, under: str = "") -> list[str]:
    found = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(under):
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}" for match in pattern.finditer(text)]
    return found


def test_there_are_files_to_look_at() -> None:
    assert len(tracked()) > 100


@pytest.mark.parametrize("pattern", [UNFINISHED, CONFLICT, ABSOLUTE], ids=["unfinished", "conflict", "path"])
def test_no_file_has_such_a_mark(pattern: re.Pattern[str]) -> None:
    assert not offenders(pattern)


def test_no_file_in_src_is_overlong() -> None:
    sources = [p for p in tracked() if p.is_relative_to(ROOT / "src")]
    sizes = {p.relative_to(ROOT): p.read_text(encoding="utf-8").count("\n") for p in sources}
    assert not {str(path): lines for path, lines in sizes.items() if lines > MAX_LINES}


def test_the_library_does_not_print() -> None:
    assert not offenders(PRINTING, under="src/")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNFINISHED, "# TO" + "DO later"),
        (CONFLICT, "<" * 7 + " ours"),
        (ABSOLUTE, "open('/ho" + "me/me/x')"),
        (ABSOLUTE, "cd /wo" + "rk/x"),
        (PRINTING, "    print(1)"),
    ],
)
def test_the_patterns_find_what_they_look_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
