"""What a Lambda package is made for: a version of Python and an architecture."""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass
from typing import Final

from flight_etl.errors import SettingsError

__all__ = ["ARCHITECTURES", "Target", "here"]

ARCHITECTURES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}  # as AWS calls them: as compilers and wheels do
_OLDEST_MINOR: Final = 11  # of Python 3, as pyproject.toml has it
_GLIBC_MINORS: Final = range(34, 16, -1)  # glibc 2.34 of Amazon Linux 2023, below python3.12 and later, down to manylinux2014


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A runtime of Lambda. Raises SettingsError where there can be none of this kind."""

    python: str = "3.13"
    arch: str = "x86_64"  # x86_64 or arm64

    def __post_init__(self) -> None:
        found = re.fullmatch(r"3\.(\d{1,2})", self.python)
        if found is None or int(found[1]) < _OLDEST_MINOR:
            raise SettingsError(f"python-version={self.python!r} is not permitted: 3.{_OLDEST_MINOR} or later, for example 3.13")
        if self.arch not in ARCHITECTURES:
            raise SettingsError(f"arch={self.arch!r} is not permitted: {', '.join(ARCHITECTURES)}")

    @property
    def machine(self) -> str:
        """Architecture, as compilers and wheels call it."""
        return ARCHITECTURES[self.arch]

    @property
    def is_here(self) -> bool:
        """Whether the running interpreter is of this kind."""
        return self == here()

    @property
    def platforms(self) -> tuple[str, ...]:
        """Tags of the wheels that run there, the newest first; pip does not know that one includes those below it."""
        return (*(f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBC_MINORS), f"manylinux2014_{self.machine}")


def here() -> Target:
    """The running interpreter on this machine."""
    machine = platform.machine()
    arch = next((name for name, known in ARCHITECTURES.items() if known == machine), None)
    if arch is None:
        raise SettingsError(f"this machine is {machine}: Lambda has {', '.join(ARCHITECTURES)}; name one with --arch")
    return Target(python=f"{sys.version_info.major}.{sys.version_info.minor}", arch=arch)
