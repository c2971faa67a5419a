"""What a package can be made for, and what goes into it."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from checkout import ROOT, copied_checkout

from flight_etl.errors import SettingsError, StoreError
from flight_etl.runners.lambda_zip import contents
from flight_etl.runners.lambda_zip.target import Target, here
from flight_etl.runners.lambda_zip.unneeded import LEFT_OUT

if TYPE_CHECKING:
    from conftest import Command


@pytest.mark.parametrize("version", ["3.10", "2.7", "3", "3.13.1", "", "latest"])
def test_a_python_that_the_package_does_not_run_on_is_refused(version: str, etl: Command) -> None:
    with pytest.raises(SettingsError, match=r"not permitted: 3\.11 or later"):
        Target(python=version)
    told = etl("package-lambda", "--python-version", version)
    assert (told.code, "3.11 or later" in told.err) == (2, True)


def test_an_architecture_that_lambda_does_not_have_is_refused() -> None:
    with pytest.raises(SettingsError, match="x86_64, arm64"):
        Target(arch="riscv64")


def test_wheels_for_older_systems_fit_too_and_newer_ones_do_not() -> None:
    tags = Target(arch="arm64").platforms
    assert {"manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(tags)
    assert "manylinux_2_35_aarch64" not in tags
    assert not [tag for tag in tags if "x86_64" in tag]


def test_the_running_interpreter_is_a_target() -> None:
    assert here().is_here
    assert not Target(python="3.99", arch=here().arch).is_here


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", one)[0].lower().replace("-", "_") for one in requirements}


def test_the_package_holds_what_pyproject_declares_but_what_is_left_out() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = names(project["dependencies"] + project["optional-dependencies"]["aws"])
    assert names(contents.requirements()) == declared - LEFT_OUT.keys()
    assert {"boto3", "click", "rich"} <= declared - names(contents.requirements())


def test_nothing_that_is_left_out_is_needed_by_what_is_not() -> None:
    """Followed through the declarations of everything that is installed here."""
    todo, seen = sorted(names(contents.requirements())), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        needed = [one for one in metadata.requires(name) or [] if "extra ==" not in one]
        todo += sorted(names(needed))
    assert len(seen) > len(contents.requirements())
    assert not seen & LEFT_OUT.keys()


def test_a_failure_of_pip_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(StoreError, match=r"^pip install failed with 1: .*No matching distribution"):
        contents.install_dependencies(tmp_path, Target(python="3.99"))


@pytest.mark.slow
def test_an_installed_package_carries_the_front_door(tmp_path: Path) -> None:
    """The wheel, unpacked far from any checkout, gives the same modules as the checkout."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    source = copied_checkout(tmp_path / "checkout")
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)], check=True, capture_output=True
    )
    code = "from flight_etl.runners.lambda_zip.contents import front_door; print(front_door())"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {code}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.strip()
    assert Path(told).is_relative_to(tmp_path / "site")
    shipped = {path.name: path.read_bytes() for path in Path(told).iterdir() if path.is_file()}
    written = {path.name: path.read_bytes() for path in (ROOT / "src" / "lambda" / "etl").iterdir() if path.is_file()}
    assert shipped == written


@pytest.mark.slow
def test_a_source_distribution_holds_all_that_building_needs(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    checkout = copied_checkout(tmp_path / "checkout")
    written = {path.relative_to(checkout).as_posix() for path in (checkout / "src").rglob("*") if path.is_file()}
    code = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    with tarfile.open(tmp_path / done.stdout.splitlines()[-1]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", *written} - held == set()
