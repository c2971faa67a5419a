"""The package's source files and their syntax trees, for tests that hold its rules."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "flight_etl"
FRONT_DOOR = SRC / "lambda" / "etl"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """Dotted name of a file of the package; the flat modules of the front door have their plain name."""
    if FRONT_DOOR in path.parents:
        return path.stem
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Path]:
    """Every module by its name."""
    return {module_name(path): path for path in sorted([*PACKAGE.rglob("*.py"), *FRONT_DOOR.glob("*.py")])}


@cache
def imports(name: str) -> frozenset[str]:
    """Modules that a module imports anywhere in it, also for type checking alone; relative imports are not used."""
    found: set[str] = set()
    for node in ast.walk(tree(modules()[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            assert node.module is not None
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & modules().keys()
            plain = len(submodules) < len(node.names)
            found |= submodules | ({node.module} if plain else set())
    return frozenset(found)
