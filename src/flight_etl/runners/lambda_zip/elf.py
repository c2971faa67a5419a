"""Shared libraries: which machine they are for, and what they can do without."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Stripped", "has_symbols", "loaded_part", "machine_of", "strip", "tool"]

_SYMBOL_TABLE: Final = 2  # SHT_SYMTAB
_MACHINES: Final = {62: "x86_64", 183: "aarch64"}  # e_machine of the ELF header


@dataclass(frozen=True, kw_only=True, slots=True)
class Stripped:
    """How many libraries lost their symbols, and for which machines `loaded_part` stood in for `strip`."""

    libraries: int = 0
    without_tool: tuple[str, ...] = ()


def machine_of(path: Path) -> str | None:
    """Machine that an ELF file is for, as compilers call it; None for anything else."""
    with path.open("rb") as file:
        head = file.read(20)
    if not head.startswith(b"\x7fELF") or len(head) < 20:  # noqa: PLR2004 - the fixed part of the header
        return None
    number = int.from_bytes(head[18:20], "little")
    return _MACHINES.get(number, f"ELF machine {number}")


def has_symbols(path: Path) -> bool:
    """Whether a 64-bit ELF file still has the table of symbols that strip removes (generic ABI, "Section header table")."""
    data = path.read_bytes()
    begin = int.from_bytes(data[0x28:0x30], "little")
    size, count = (int.from_bytes(data[at : at + 2], "little") for at in (0x3A, 0x3C))
    kinds = (
        {int.from_bytes(data[at + 4 : at + 8], "little") for at in range(begin, begin + size * count, size)} if size else set()
    )
    return _SYMBOL_TABLE in kinds


def loaded_part(data: bytes) -> bytes:
    """Give a 64-bit ELF file up to the last byte that its program headers name, which is all that a loader reads.

    Less thorough than strip and in need of no tool: sections behind it, symbols and debug information among them, go, and with
    them the table of sections, so that debuggers and linkers can do nothing with the file any more.
    """
    begin = int.from_bytes(data[0x20:0x28], "little")
    size, count = (int.from_bytes(data[at : at + 2], "little") for at in (0x36, 0x38))
    end = begin + size * count
    for at in range(begin, end, size):
        offset, length = (int.from_bytes(data[at + place : at + place + 8], "little") for place in (0x08, 0x20))
        end = max(end, offset + length)
    part = bytearray(data[:end])
    part[0x28:0x30] = bytes(8)  # where the table of sections is
    part[0x3C:0x40] = bytes(4)  # how many there are, and which holds their names
    return bytes(part)


def tool(name: str, machine: str) -> str | None:
    """Path of a binutils or gcc program that works on files of this machine, if one is installed."""
    native = machine == platform.machine()
    found = shutil.which(name) if native else shutil.which(f"{machine}-linux-gnu-{name}")
    return found or (shutil.which("llvm-strip") if name == "strip" else None)


def strip(folder: Path, libraries: Iterable[Path]) -> Stripped:
    """Take the symbols for debuggers and linkers out of shared libraries; those without any are not touched.

    Those in `*.libs` stay as they are: auditwheel has moved their sections about, and strip breaks some of them (numpy's
    OpenBLAS among them).
    """
    by_machine: dict[str, list[Path]] = {}
    for path in libraries:
        moved = path.relative_to(folder).parts[0].endswith(".libs")
        if not moved and (machine := machine_of(path)) is not None and has_symbols(path):
            by_machine.setdefault(machine, []).append(path)
    done, missing = 0, []
    for machine, paths in sorted(by_machine.items()):
        program = tool("strip", machine)
        if program is None:
            missing.append(machine)
        for path in paths:
            _strip(program, path)
        done += len(paths)
    return Stripped(libraries=done, without_tool=tuple(missing))


def _strip(program: str | None, path: Path) -> None:
    """Put a stripped copy in the place of the file: one that this process has loaded must not change under it."""
    part = path.with_name(f"{path.name}.part")
    if program is None:
        part.write_bytes(loaded_part(path.read_bytes()))
        part.chmod(path.stat().st_mode)
        part.replace(path)
        return
    done = subprocess.run([program, "--strip-unneeded", "-o", part, path], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        part.unlink(missing_ok=True)
        raise FlightEtlError(f"{path}: {Path(program).name} failed: {done.stderr.strip()}")
    part.chmod(path.stat().st_mode)
    part.replace(path)
