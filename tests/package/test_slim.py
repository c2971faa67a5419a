"""Making a package smaller, on folders of our own making: what goes, what stays, and when it is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flight_etl.errors import FlightEtlError, SettingsError
from flight_etl.runners.lambda_zip import elf, slim
from flight_etl.runners.lambda_zip.archive import write_zip
from flight_etl.runners.lambda_zip.target import Target, here
from flight_etl.runners.lambda_zip.unneeded import RULES, why_unneeded
from flight_etl.store.airports import COMPACT, load_airports, write_compact

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Command

GONE = [
    "pyarrow/tests/test_array.py", "pyarrow/include/arrow/api.h", "pyarrow/src/arrow/python/api.cc", "pyarrow/lib.pyx",
    "pyarrow/includes/libarrow.pxd", "pyarrow/array.pxi", "pyarrow/libarrow_flight.so.2600", "pyarrow/flight.py",
    "pyarrow/libarrow_python_flight.so.2600", "pyarrow/_flight.cpython-313-x86_64-linux-gnu.so", "pyarrow/libarrow_s3.so.2600",
    "pyarrow/_s3fs.cpython-313-x86_64-linux-gnu.so", "numpy/_core/tests/test_api.py", "numpy/f2py/rules.py",
    "numpy/__init__.pyi", "numpy/_core/lib/libnpymath.a", "zstandard/_cffi.cpython-313-x86_64-linux-gnu.so",
    "boto3/session.py", "botocore/data/s3/2006-03-01/service-2.json.gz", "six.py", "six-1.17.0.dist-info/METADATA",
    "click/core.py", "markdown_it_py-4.0.0.dist-info/METADATA", "python_dateutil-2.9.0.dist-info/METADATA",
    "rich/console.py", "bin/f2py", "orjson-3.13.0.dist-info/RECORD", "flight_etl-0.1.0.dist-info/direct_url.json",
    "flight_etl/__pycache__/api.cpython-311.pyc", "flight_etl/core/decode/_fast.pyx", "airportsdata/airports.csv",
    "pyarrow/_pyarrow_cpp_tests.cpython-313-x86_64-linux-gnu.so", "numpy/_core/_multiarray_tests.cpython-313-x86_64-linux-gnu.so",
]  # fmt: skip
KEPT = [
    # the first three are linked to by pyarrow's own lib, though nobody calls them
    "pyarrow/libarrow_substrait.so.2600", "pyarrow/libarrow_dataset.so.2600", "pyarrow/libarrow_acero.so.2600",
    "pyarrow/libarrow_python.so.2600", "pyarrow/lib.cpython-313-x86_64-linux-gnu.so", "pyarrow/parquet/core.py",
    "pyarrow/fs.py", "numpy.libs/libscipy_openblas64_-32a4b2a6.so",
    "numpy/_core/_multiarray_umath.cpython-313-x86_64-linux-gnu.so", "numpy/testing/__init__.py",
    "numpy/random/mtrand.cpython-313-x86_64-linux-gnu.so", "obstore/_obstore.abi3.so", "orjson-3.13.0.dist-info/METADATA",
    "numpy-2.4.6.dist-info/licenses/numpy/_core/include/LICENSE.txt", "airportsdata-20260905.dist-info/licenses/LICENSE",
    "flight_etl/core/decode/_fast.abi3.so", "flight_etl/runners/aws_lambda.py",
    "aws_lambda_powertools/utilities/batch/base.py", "main_etl_processor.py", "stamina/_core.py",
    "zstandard/backend_c.cpython-313.so", "typing_extensions.py", "jmespath/parser.py", f"flight_etl/store/{COMPACT}",
    "flight_etl/py.typed",
]  # fmt: skip


@pytest.mark.parametrize("path", GONE)
def test_it_goes(path: str) -> None:
    assert why_unneeded(PurePosixPath(path))


@pytest.mark.parametrize("path", KEPT)
def test_it_stays(path: str) -> None:
    assert why_unneeded(PurePosixPath(path)) is None


def test_every_rule_is_for_something() -> None:
    assert not [rule.pattern.pattern for rule in RULES if not any(rule.pattern.search(f"/{path}") for path in GONE)]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small folder as pip fills one: a library with symbols under three names, sources, a table of airfields."""
    folder = tmp_path / "package"
    native = importlib.util.find_spec("psutil._psutil_linux") or importlib.util.find_spec("orjson.orjson")
    assert native is not None
    assert native.origin is not None
    for name in ("liba.so", "liba.so.7", "liba.so.7.1.0"):
        (folder / "pyarrow").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(native.origin, folder / "pyarrow" / name)
    (folder / "moved.libs").mkdir()
    shutil.copyfile(native.origin, folder / "moved.libs" / "libb.so")
    (folder / "flight_etl" / "store").mkdir(parents=True)
    (folder / "flight_etl" / "store" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "main_etl_processor.py").write_text("import flight_etl\n", encoding="utf-8")
    (folder / "flight_etl" / "__init__.py").write_text("CODES = frozenset({'a', 'b', 'c', 'd'})\n", encoding="utf-8")
    (folder / "pyarrow" / "tests").mkdir()
    (folder / "pyarrow" / "tests" / "test_it.py").write_text("", encoding="utf-8")
    (folder / "airportsdata").mkdir()
    source = importlib.util.find_spec("airportsdata")
    assert source is not None
    assert source.origin is not None
    shutil.copyfile(Path(source.origin).parent / "airports.csv", folder / "airportsdata" / "airports.csv")
    return folder


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_keeps_what_the_function_opens(package: Path) -> None:
    done = slim.slim(package, here())
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    assert below(package) == {
        *("main_etl_processor.py", f"__pycache__/main_etl_processor.{tag}.pyc", "pyarrow/liba.so.7", "moved.libs/libb.so"),
        *("flight_etl/__init__.py", f"flight_etl/__pycache__/__init__.{tag}.pyc", f"flight_etl/store/{COMPACT}"),
        *("flight_etl/store/__init__.py", f"flight_etl/store/__pycache__/__init__.{tag}.pyc"),
    }
    assert done.bytes_after == slim.size_of(package) < done.bytes_before


def test_doing_it_twice_changes_nothing(package: Path, listing: Callable[[Path], dict[str, bytes]]) -> None:
    slim.slim(package, here())
    once = listing(package)
    slim.slim(package, here())
    assert listing(package) == once


def test_the_same_folder_gives_the_same_zip_wherever_and_whenever(package: Path, tmp_path: Path) -> None:
    """Other times, modes, places and orders of creation do not show."""
    other = tmp_path / "elsewhere" / "deeper"
    for path in sorted(package.rglob("*"), reverse=True):
        if path.is_file():
            copy = other / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
    made = []
    for at, folder in enumerate((package, other)):
        slim.slim(folder, here())
        write_zip(folder, tmp_path / f"{at}.zip")
        made.append((tmp_path / f"{at}.zip").read_bytes())
    assert made[0] == made[1]


@pytest.mark.skipif(elf.tool("strip", elf.machine_of(Path(sys.executable)) or "") is None, reason="no strip on this machine")
def test_libraries_lose_their_symbols_but_not_those_that_auditwheel_moved(package: Path) -> None:
    made = package / "pyarrow" / "liba.so.7"
    compiled = made.with_suffix(".c")
    compiled.write_text("static int hidden(void) { return 7; } int shown(void) { return hidden(); }", encoding="utf-8")
    if subprocess.run(["cc", "-g", "-shared", "-fPIC", "-o", made, compiled], check=False).returncode:
        pytest.skip("no compiler on this machine")
    shutil.copyfile(made, package / "moved.libs" / "libb.so")
    kept, before = (package / "moved.libs" / "libb.so").read_bytes(), made.stat().st_size
    assert elf.has_symbols(made)
    assert elf.strip(package, [made, package / "moved.libs" / "libb.so"]).libraries == 1
    assert made.stat().st_size < before
    assert not elf.has_symbols(made)
    assert elf.strip(package, [made]).libraries == 0
    assert (package / "moved.libs" / "libb.so").read_bytes() == kept
    assert not list(package.rglob("*.part"))


@pytest.mark.parametrize("number", [62, 183])
def test_without_strip_it_works_and_says_so(package: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """For libraries of either machine: what a loader reads stays, byte for byte, and the table of sections goes."""
    monkeypatch.setenv("PATH", "")
    shutil.rmtree(package / "pyarrow")
    data = bytearray(256)
    data[:4] = b"\x7fELF"  # a program header at 64 that loads the first 160 bytes, and at 192 a section: a table of symbols
    for at, value in (
        (0x12, number),
        (0x20, 64),
        (0x28, 192),
        (0x36, 56),
        (0x38, 1),
        (0x3A, 64),
        (0x3C, 1),
        (64 + 0x20, 160),
        (196, 2),
    ):
        data[at : at + 2] = value.to_bytes(2, "little")
    (package / "library.so").write_bytes(data)
    assert elf.has_symbols(package / "library.so")
    (note,) = slim.slim(package, here()).notes
    assert f"no strip for {elf.machine_of(package / 'library.so')}" in note
    left = (package / "library.so").read_bytes()
    assert (len(left), left[64:]) == (160, bytes(data[64:160]))
    assert not elf.has_symbols(package / "library.so")


def test_a_library_that_was_cut_can_still_be_loaded(tmp_path: Path) -> None:
    native = importlib.util.find_spec("psutil._psutil_linux")
    if native is None or native.origin is None:
        pytest.skip("psutil has another library on this machine")
    library = tmp_path / Path(native.origin).name
    library.write_bytes(elf.loaded_part(Path(native.origin).read_bytes()))
    code = f"import ctypes; print(bool(ctypes.CDLL({str(library)!r}).PyInit__psutil_linux))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_without_the_targets_python_it_works_and_says_so(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    notes = slim.slim(package, Target(python="3.99", arch=here().arch)).notes
    assert any("python3.99" in note for note in notes)
    assert not list(package.rglob("*.pyc"))


def test_compiled_sources_are_used_though_the_times_of_files_are_lost(package: Path) -> None:
    slim.slim(package, here())
    source = package / "main_etl_processor.py"
    source.write_text("raise SystemExit('compiled anew')\n", encoding="utf-8")
    code = f"import sys; sys.path.insert(0, {str(package)!r}); import main_etl_processor as m; print(m.__spec__.cached)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_file()


def test_a_folder_that_is_no_package_is_left_alone(tmp_path: Path, listing: Callable[[Path], dict[str, bytes]]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "mine.py").write_text("", encoding="utf-8")
    before = listing(tmp_path)
    with pytest.raises(SettingsError, match=r"main_etl_processor\.py"):
        slim.slim(tmp_path, here())
    assert listing(tmp_path) == before


def test_a_folder_over_the_limit_is_refused_and_its_largest_parts_are_named(package: Path, etl: Command) -> None:
    with (package / "model.bin").open("wb") as file:
        file.truncate(slim.UNZIPPED_LIMIT_BYTES)  # a hole: it takes no room on the disk
    with pytest.raises(FlightEtlError, match=r"180 MB are permitted.*largest: model\.bin 180\.0 MB"):
        slim.slim(package, here())
    told = etl("package-lambda", "--slim", package, "--json")
    assert told.code == 1
    assert "model.bin" in told.json["error"]


def test_the_command_slims_a_folder_and_tells_sizes(package: Path, etl: Command) -> None:
    told = etl("package-lambda", "--slim", package, "--python-version", here().python, "--json")
    assert (told.code, told.json["bytes_after"], told.json["notes"]) == (0, slim.size_of(package), [])
    assert "MB" in etl("package-lambda", "--slim", package).out


def test_both_forms_of_the_table_of_airfields_are_the_same(tmp_path: Path) -> None:
    """The compact form is read by the package itself, in a copy where it lies beside the module."""
    shutil.copytree(Path(slim.__file__).parents[2], tmp_path / "flight_etl", ignore=shutil.ignore_patterns("__pycache__"))
    source = importlib.util.find_spec("airportsdata")
    assert source is not None
    assert source.origin is not None
    write_compact(Path(source.origin).parent / "airports.csv", tmp_path / "flight_etl" / "store" / COMPACT)
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); sys.modules['airportsdata'] = None\n"
        "from flight_etl.store.airports import load_airports\n"
        "t = load_airports()\n"
        "print(json.dumps([t.icao, *(list(map(float, c)) for c in (t.latitude, t.longitude, t.elevation_ft, t.has_iata))]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    icao, *columns = json.loads(done.stdout)
    table = load_airports()
    assert tuple(icao) == table.icao
    wanted = (table.latitude, table.longitude, table.elevation_ft, table.has_iata)
    assert all(np.array_equal(found, column) for found, column in zip(columns, wanted, strict=True))
