"""The compiled kernels of the phases, where they were built. Without them NumPy does the same, slower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

try:
    from flight_etl.core.enrich import _phase_kernels
except ImportError:  # installed where there was no compiler
    _phase_kernels = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["phase_kernels", "phases_name"]


def phase_kernels() -> ModuleType | None:
    """Return the module of the compiled kernels, or None."""
    return _phase_kernels


def phases_name() -> Literal["fast", "reference"]:
    """Which code finds the phases here; both give the same answers."""
    return "reference" if _phase_kernels is None else "fast"
