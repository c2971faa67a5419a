"""The operations page keeps its word: each item of its checklist names tests that are there."""

from __future__ import annotations

import ast
import re

import pytest
from source_tree import ROOT

PAGE = ROOT / "docs" / "operations.md"
ITEMS = 35
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[int, tuple[str, str]]:
    """Number of each item, what it asks for, and what shows it."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Checklist\n")[2]
    return {int(number): (asks, shown) for number, asks, shown in _ROW.findall(section)}


def functions(path: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_every_item_has_its_row() -> None:
    assert sorted(rows()) == list(range(1, ITEMS + 1))


@pytest.mark.parametrize("number", range(1, ITEMS + 1))
def test_the_tests_of_an_item_exist(number: int) -> None:
    _, shown = rows()[number]
    named = _TEST.findall(shown)
    assert named or shown.startswith("not tested: "), f"item {number} names no test and gives no reason"
    missing = [f"{path}::{name}" for path, name in named if not (ROOT / path).exists() or name not in functions(path)]
    assert not missing
