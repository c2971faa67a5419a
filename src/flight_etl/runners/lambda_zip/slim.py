"""A folder that pip filled, made as small as the function permits."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shutil import which
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError, SettingsError
from flight_etl.runners.lambda_zip import elf
from flight_etl.runners.lambda_zip.target import Target, here
from flight_etl.runners.lambda_zip.unneeded import why_unneeded
from flight_etl.store.airports import COMPACT, write_compact

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UNZIPPED_LIMIT_BYTES", "Slimmed", "check_unzipped", "size_of", "slim"]

UNZIPPED_LIMIT_BYTES: Final = 180_000_000  # DESIGN section 10; AWS takes 262,144,000 with all layers
_TASK_ROOT: Final = "/var/task"  # where Lambda unpacks; tracebacks name it
_SHOWN: Final = 5  # largest parts that an error names


@dataclass(frozen=True, kw_only=True, slots=True)
class Slimmed:
    """What was done to a folder. `notes` say in whole sentences what could not be done, and what follows from it."""

    bytes_before: int
    bytes_after: int
    notes: tuple[str, ...] = ()


def slim(folder: Path, target: Target) -> Slimmed:
    """Leave out what is not needed, strip libraries, compile sources, and put the table of airfields into its quick form.

    Done twice, it changes nothing the second time. Raises SettingsError where the folder is no package of the function, and
    FlightEtlError where it stays above 180 MB.
    """
    if not (folder / "main_etl_processor.py").is_file() or not (folder / "flight_etl").is_dir():
        raise SettingsError(
            f"{folder} is no package of the function: main_etl_processor.py and flight_etl/ must be in it "
            "(pip install -r requirements.txt -t FOLDER, and the modules beside requirements.txt)"
        )
    before = size_of(folder)
    _quick_airports(folder)
    _remove_unneeded(folder)
    _remove_aliases(folder)
    notes = [
        f"no strip for {machine} here: libraries were cut behind what a loader reads, and debuggers cannot read them"
        for machine in elf.strip(folder, sorted(folder.rglob("*.so*"))).without_tool
    ]
    notes += _compiled(folder, target)
    check_unzipped(folder)
    return Slimmed(bytes_before=before, bytes_after=size_of(folder), notes=tuple(notes))


def size_of(folder: Path) -> int:
    """Bytes in all files below a folder."""
    return sum(path.stat().st_size for path in _files(folder))


def check_unzipped(folder: Path) -> None:
    """Raise FlightEtlError that names the largest parts where the folder is too large for Lambda."""
    size = size_of(folder)
    if size <= UNZIPPED_LIMIT_BYTES:
        return
    parts = sorted(((size_of(one) if one.is_dir() else one.stat().st_size, one.name) for one in folder.iterdir()), reverse=True)
    shown = ", ".join(f"{name} {part / 1e6:.1f} MB" for part, name in parts[:_SHOWN])
    raise FlightEtlError(
        f"{folder}: {size / 1e6:.1f} MB unzipped, {UNZIPPED_LIMIT_BYTES / 1e6:.0f} MB are permitted (Lambda itself takes 262); "
        f"largest: {shown}. Leave out what the function does not import, or use the image form (Dockerfile)"
    )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _quick_airports(folder: Path) -> None:
    source = folder / "airportsdata" / "airports.csv"
    if source.is_file():
        write_compact(source, folder / "flight_etl" / "store" / COMPACT)


def _remove_unneeded(folder: Path) -> None:
    for path in sorted(_files(folder)):
        if why_unneeded(PurePosixPath(path.relative_to(folder).as_posix())) is not None:
            path.unlink()
    for path in sorted((one for one in folder.rglob("*") if one.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


def _remove_aliases(folder: Path) -> None:
    """Keep of `libx.so`, `libx.so.2600` and `libx.so.2600.1.0`, one file three times, the name that the linker asks for."""
    for path in sorted(folder.rglob("lib*.so.*")):
        plain, _, version = path.name.partition(".so.")
        if "." in version:
            continue
        for alias in (path.with_name(f"{plain}.so"), *path.parent.glob(f"{path.name}.*")):
            if alias.is_file() and (alias.is_symlink() or alias.read_bytes() == path.read_bytes()):
                alias.unlink()


def _compiled(folder: Path, target: Target) -> list[str]:
    """Compile all sources for the target's Python. Lambda's folder cannot be written to, so nobody does it later."""
    program = sys.executable if target.python == here().python else which(f"python{target.python}")
    # Hashes that nobody checks: times in a zip are not those of the files, and the files do not change.
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", _TASK_ROOT]
    if program is not None:
        done = subprocess.run(  # noqa: S603 - an interpreter of this machine
            [program, "-I", "-m", "compileall", *options, str(folder)], capture_output=True, check=False
        )
        if done.returncode == 0:
            return []
    slower = f"no python{target.python} here: sources are not compiled, and each cold start does it anew (about 0.3 s)"
    return [f"{slower}; put a python{target.python} on the PATH"]
