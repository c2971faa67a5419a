"""The flat modules: nothing but imports, names that the README maps, requirements that the package has."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest
from benchmark_suite import DataGenerator

import flight_etl

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src" / "lambda" / "etl"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_docstring_imports_and_names_and_nothing_else(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    body = [node for node in tree.body[1:] if not isinstance(node, ast.If)]
    assert [type(node) for node in body] == [ast.ImportFrom] * (len(body) - 1) + [ast.Assign]
    runs = [ast.unparse(node) for node in tree.body if isinstance(node, ast.If)]
    assert runs in ([], ["if __name__ == '__main__':\n    main()"])
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted(imported - {"main"}) == importlib.import_module(name).__all__


def test_the_folder_is_no_package() -> None:
    assert not (FOLDER / "__init__.py").exists()
    assert not (FOLDER.parent / "__init__.py").exists()


def test_the_readme_maps_each_name_to_its_home() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| `([\w.]+)` \|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    mapped: dict[str, list[str]] = {}
    for module, names, home in rows:
        for name in re.findall(r"`(\w+)`", names):
            mapped.setdefault(module, []).append(name)
            assert getattr(importlib.import_module(module), name).__module__ == home
    assert {module: sorted(names) for module, names in mapped.items()} == {
        module: importlib.import_module(module).__all__ for module in MODULES
    }


def test_the_readme_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    flights, stats = names["flights"], names["stats"]
    assert flights.num_rows == stats.rows_out  # type: ignore[attr-defined]
    assert "distance_km" not in flights.column_names  # type: ignore[attr-defined]


def test_requirements_are_the_package_and_its_dependencies() -> None:
    """Those of the extra `aws` too, but for boto3, which Lambda's runtime has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "--"))]
    cloud = [line for line in project["optional-dependencies"]["aws"] if not line.startswith("boto3")]
    assert wanted == [project["name"], *sorted(project["dependencies"] + cloud)]


def test_test_data_are_what_was_asked_for_and_read_back(tmp_path: Path) -> None:
    data = DataGenerator.generate_test_data(500, "complex")
    assert len(data) == 500
    assert data == DataGenerator.generate_test_data(500)
    assert data != DataGenerator().generate_test_data(500, seed=1)
    size = DataGenerator.save_test_data_as_json(data, tmp_path / "data.json")
    assert size == (tmp_path / "data.json").stat().st_size
    table = flight_etl.read(tmp_path / "data.json")
    assert table.num_rows == 500
    assert table["icao24"].to_pylist() == [record["icao24"] for record in data]
    with pytest.raises(ValueError, match="complexity"):
        DataGenerator.generate_test_data(1, "rich")  # type: ignore[arg-type]
