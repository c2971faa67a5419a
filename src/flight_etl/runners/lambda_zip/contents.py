"""What goes into the package: the dependencies, this package as it runs here, the front door, and a decoder for the target."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import flight_etl
from flight_etl.errors import FlightEtlError, StoreError
from flight_etl.runners.lambda_zip import elf
from flight_etl.runners.lambda_zip.unneeded import LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.runners.lambda_zip.target import Target

__all__ = ["copy_package", "front_door", "install_dependencies", "place_decoder", "requirements"]

_HERE: Final = Path(flight_etl.__file__).parent
_COMPILED: Final = (
    Path("core", "_track_kernels.abi3.so"),
    Path("core", "decode", "_fast.abi3.so"),
    Path("core", "enrich", "_phase_kernels.abi3.so"),
)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_LAST_LINES: Final = 5  # of a failed command's output that an error tells


def front_door() -> Path:
    """Folder of the flat modules: in a checkout where they are written, in an installed package where setup.py copied them."""
    packaged = Path(__file__).parent / "front_door"
    written = _HERE.parent / "lambda" / "etl"
    found = packaged if packaged.is_dir() else written
    if not (found / "main_etl_processor.py").is_file():
        raise FlightEtlError(f"{found}: the modules of the Lambda function are not there; install flight-etl again")
    return found


def requirements() -> list[str]:
    """What the function needs beside Lambda's runtime: the dependencies and those of the extra `aws`, less what is left out."""
    try:
        declared = metadata.requires("flight-etl") or []
    except metadata.PackageNotFoundError as error:
        raise FlightEtlError("flight-etl is not installed here, so its dependencies are not known: pip install it") from error
    wanted = []
    for line in declared:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        needed = not marker or re.fullmatch(r"""extra == ['"]aws['"]""", marker)
        found = _NAME.match(requirement)
        if needed and found and re.sub(r"[-.]+", "_", found[0]).lower() not in LEFT_OUT:
            wanted.append(requirement)
    return sorted(wanted)


def install_dependencies(folder: Path, target: Target) -> None:
    """Let pip fill `folder` with wheels for the target. Raises StoreError with pip's last words."""
    chosen = [] if target.is_here else [word for tag in target.platforms for word in ("--platform", tag)]
    if chosen:
        chosen += ["--python-version", target.python, "--implementation", "cp"]
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--only-binary=:all:"]
    _called([sys.executable, "-m", "pip", "install", *options, *chosen, "--target", str(folder), *requirements()])


def copy_package(folder: Path) -> None:
    """Copy this package, as it runs here, without its decoder; and the flat modules to the root."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.c", "front_door")
    shutil.copytree(_HERE, folder / "flight_etl", ignore=ignored)
    for path in sorted(front_door().glob("*.py")):
        shutil.copyfile(path, folder / path.name)


def place_decoder(folder: Path, target: Target) -> str | None:
    """Put the fast decoder, and all else that is compiled, into the package: as it runs here, or compiled for the target.

    Returns None, or a sentence that says why the package decodes by the reference decoder.
    """
    place = folder / "flight_etl"
    if all((_HERE / name).is_file() and elf.machine_of(_HERE / name) == target.machine for name in _COMPILED):
        for name in _COMPILED:
            shutil.copyfile(_HERE / name, place / name)
        return None
    compiler, source = elf.tool("gcc", target.machine), _HERE.parents[1]
    if not (source / "setup.py").is_file():
        return _slower(f"this installation holds no decoder for {target.arch}; make the package in a checkout")
    if compiler is None:
        return _slower(f"no compiler for {target.arch} here; install gcc-{target.machine.replace('_', '-')}-linux-gnu")
    try:
        _cross_compile(source, compiler, place)
    except FlightEtlError as error:
        return _slower(str(error))
    return None


def _slower(why: str) -> str:
    return f"the package decodes by the reference decoder, about ten times slower: {why}"


def _cross_compile(source: Path, compiler: str, place: Path) -> None:
    cross = ["env", f"CC={compiler}", f"LDSHARED={compiler} -shared"]
    with tempfile.TemporaryDirectory() as made:
        checkout = Path(made) / "source"  # in the checkout itself a build would leave its own decoder behind
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.c")
        checkout.mkdir()
        for name in ("setup.py", "pyproject.toml", "README.md"):
            shutil.copy(source / name, checkout)
        shutil.copytree(source / "src", checkout / "src", ignore=ignored)
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", made]
        _called([*cross, sys.executable, "-m", "pip", "wheel", *options, str(checkout)])
        (wheel,) = Path(made).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            packed = {path: f"flight_etl/{path.as_posix()}" for path in _COMPILED}
            if not set(packed.values()) <= set(archive.namelist()):
                raise FlightEtlError(f"{compiler} could not compile it")
            for path, member in packed.items():
                (place / path).write_bytes(archive.read(member))


def _called(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip() and not line.startswith("WARNING")]
        said = " | ".join(lines[-_LAST_LINES:]) or "it said nothing"
        begin = command.index("-m") + 1
        raise StoreError(f"{' '.join(command[begin : begin + 2])} failed with {done.returncode}: {said}")
