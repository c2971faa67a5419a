"""Which room may see which: DESIGN section 3, read from the syntax of every file."""

from __future__ import annotations

import ast
from fnmatch import fnmatchcase

import pytest
from source_tree import imports, modules, tree

CONTRACT = {f"flight_etl.{name}" for name in ("schema", "units", "outcome", "errors", "settings", "settings_rules", "airports")}
VERSION = "flight_etl._version"
BEYOND_RUNNERS = ("flight_etl.runners", "flight_etl.api", "flight_etl.frontdoor", "flight_etl.docs")
# Third-party packages that are at home in one place: DESIGN section 3, and section 11 for stamina.
HOMES = {
    "obstore": ("flight_etl.store",),
    "boto3": ("flight_etl.resilience", "flight_etl.runners"),
    "botocore": ("flight_etl.resilience", "flight_etl.runners"),
    "stamina": ("flight_etl.resilience",),
    "click": ("flight_etl.runners.cli*", "flight_etl.docs"),
    "typer": (),
    "pyiceberg": ("flight_etl.store.tables.iceberg", "flight_etl.runners.table"),
    "deltalake": ("flight_etl.store.tables.delta", "flight_etl.runners.table"),
    "pyspark": ("flight_etl.runners.spark",),
    "py4j": ("flight_etl.runners.spark",),
    "pandas": ("flight_etl.frontdoor", "flight_etl.bench"),
    "polars": ("flight_etl.bench",),
    "duckdb": ("flight_etl.bench",),
    "openap": ("flight_etl.bench",),  # LGPL: compared with, never depended on
}


def inside(name: str, *rooms: str) -> bool:
    """Whether a module is one of `rooms` or lies in it; `*` stands for any part of a name."""
    return any(fnmatchcase(name, pattern) for room in rooms for pattern in (room, f"{room}.*"))


def seen(room: str) -> set[tuple[str, str]]:
    """Pairs of a module in a room and a module of the package that it imports."""
    return {(name, other) for name in modules() if inside(name, room) for other in imports(name) if inside(other, "flight_etl")}


def breaches(room: str, *permitted: str) -> set[tuple[str, str]]:
    return {(name, other) for name, other in seen(room) if not inside(other, *permitted)}


def test_core_sees_only_the_contract() -> None:
    assert seen("flight_etl.core")
    assert not breaches("flight_etl.core", "flight_etl.core", *CONTRACT)


@pytest.mark.parametrize("room", ["flight_etl.store", "flight_etl.resilience"])
def test_store_and_resilience_see_the_contract_and_never_core(room: str) -> None:
    assert seen(room)
    assert not breaches(room, room, *CONTRACT)


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_the_contract_sees_only_itself(name: str) -> None:
    assert not breaches(name, *CONTRACT)


def test_the_pipeline_sees_core_and_the_contract() -> None:
    assert not breaches("flight_etl.pipeline", "flight_etl.core", *CONTRACT)


def test_resources_and_reports_see_the_contract() -> None:
    for name in ("flight_etl.resources", "flight_etl.report"):
        assert not breaches(name, VERSION, *CONTRACT)


def test_nothing_sees_the_runners_but_those_who_drive_them() -> None:
    front_door = {name for name in modules() if not inside(name, "flight_etl")}
    sees = {name for name in modules() if any(inside(other, "flight_etl.runners") for other in imports(name))}
    assert not {name for name in sees - front_door if not inside(name, *BEYOND_RUNNERS)}


def test_measurements_see_the_contract_and_do_not_drive_core() -> None:
    assert not {pair for pair in seen("flight_etl.bench") if inside(pair[1], "flight_etl.core")}


@pytest.mark.parametrize("package", sorted(HOMES))
def test_a_third_party_package_is_imported_only_at_home(package: str) -> None:
    users = {name for name in modules() if any(inside(other, package) for other in imports(name))}
    assert not {name for name in users if not inside(name, *HOMES[package])}


def test_the_environment_is_read_in_one_function() -> None:
    readers = set()
    for name, path in modules().items():
        for function in ast.walk(tree(path)):
            if isinstance(function, ast.FunctionDef) and any(map(reads_environment, ast.walk(function))):
                readers.add((name, function.name))
        outside = [node for node in tree(path).body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        assert not any(reads_environment(node) for top in outside for node in ast.walk(top)), name
    assert readers == {("flight_etl.settings", "from_env")}


def reads_environment(node: ast.AST) -> bool:
    names = ("environ", "environb", "getenv", "getenvb")
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id == "os" and node.attr in names
    return isinstance(node, ast.ImportFrom) and node.module == "os" and any(alias.name in names for alias in node.names)
