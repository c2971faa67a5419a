"""The compiled kernels of the track half, where they were built. Without them NumPy does the same, slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from flight_etl.core import _track_kernels
except ImportError:  # installed where there was no compiler
    _track_kernels = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["track_kernels"]


def track_kernels() -> ModuleType | None:
    """Return the module of the compiled kernels, or None."""
    return _track_kernels
