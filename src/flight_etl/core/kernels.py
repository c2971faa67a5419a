"""The compiled kernels of the track half, where they were built. Without them NumPy does the same, slower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

try:
    from flight_etl.core import _track_kernels
except ImportError:  # installed where there was no compiler
    _track_kernels = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["track_kernels", "tracks_name"]


def track_kernels() -> ModuleType | None:
    """Return the module of the compiled kernels, or None."""
    return _track_kernels


def tracks_name() -> Literal["fast", "reference"]:
    """Which code sorts and merges rows here, and finds rates; both give the same answers."""
    return "reference" if _track_kernels is None else "fast"
