"""What the process may use, turned into sizes: how many rows in memory, how many at once through the track stages.

None of these numbers changes the output; they only decide how often rows visit the disk.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flight_etl.settings import ResourceSettings

__all__ = [
    "Budget",
    "give_back_memory",
    "keep_freed_memory",
    "peak_rss_mb",
    "plan",
    "rss_mb",
    "spare_pandas",
    "suit_allocation",
    "use_frugal_allocation",
]

_MB: Final = 1_000_000
_MIB: Final = 1 << 20
_RESERVE_BYTES: Final = 88 * _MIB  # libraries still to be imported, airport table, Parquet writer, allocator slack
# Peak of a row on its way through the track stages, B: what they add, and copies of what the row itself takes.
_TRACK_BYTES_PER_ROW: Final = 700
_TRACK_COPIES: Final = 2.5
_USUAL_ROW_BYTES: Final = 170  # B in memory of a row without extra columns
_MAX_RANGE_ROWS: Final = 131_072  # more gains no speed, fewer fit the caches better and keep all threads at work
_MIN_RANGE_ROWS: Final = 20_000
_MAX_RUN_BYTES: Final = 256 * _MIB
_ROOMY_BYTES: Final = 2_000 * _MB  # B; under a limit above it, freed memory is kept
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8  # glibc malloc.h


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Sizes for one run."""

    limit_bytes: int
    held_bytes: int  # B of gathered rows that may stay in memory; beyond, sorted runs go to disk
    run_bytes: int  # B of rows that are sorted together into one run
    range_bytes: int  # B that the rows that go through the track stages together may take there, for each worker
    workers: int
    min_range_rows: int = _MIN_RANGE_ROWS
    pens: int = 1  # files that are written at the same time, at the end

    def range_rows(self, row_bytes: float = _USUAL_ROW_BYTES) -> int:
        """Rows of this size that go through the track stages together (whole blocks may exceed it)."""
        rows = int(self.range_bytes / (_TRACK_BYTES_PER_ROW + _TRACK_COPIES * row_bytes))
        return max(self.min_range_rows, min(rows, _MAX_RANGE_ROWS))


def plan(settings: ResourceSettings, *, available_bytes: int | None = None, used_bytes: int | None = None) -> Budget:
    """Turn the memory limit into sizes; without one, half of what is free now is the limit.

    `available_bytes` and `used_bytes` stand for the machine's free memory and our own RSS in tests.
    """
    used = used_bytes if used_bytes is not None else _rss_bytes()
    if settings.memory_limit_mb is not None:
        limit = settings.memory_limit_mb * _MB
    else:
        limit = used + (available_bytes if available_bytes is not None else _available_bytes()) // 2
    workers = (settings.workers or os.cpu_count() or 1) if settings.parallel else 1
    room = max(limit - used - _RESERVE_BYTES, 64 * _MIB)
    least = _MIN_RANGE_ROWS * (_TRACK_BYTES_PER_ROW + _TRACK_COPIES * _USUAL_ROW_BYTES)
    workers = max(1, min(workers, int(room / (2 * least))))
    return Budget(
        limit_bytes=limit,
        held_bytes=int(room * 0.3),
        run_bytes=min(int(room * 0.15), _MAX_RUN_BYTES),
        range_bytes=int(room * 0.6) // (workers + 1),  # one is being written
        workers=workers,
        pens=workers if limit >= _ROOMY_BYTES else 1,
    )


def suit_allocation(limit_bytes: int) -> None:
    """Give freed memory back at once where the limit is tight; keep it for the next chunk where it is not.

    Fresh pages from the system cost as much time as all the work that is done on them.
    """
    if limit_bytes < _ROOMY_BYTES:
        use_frugal_allocation()
    else:
        keep_freed_memory()


def use_frugal_allocation() -> None:
    """Make freed memory go back to the system, so that RSS follows what is in use.

    Arrow's default pools and glibc's arenas keep freed pages for later, which a limit on RSS cannot tell from use.
    """
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    _tune({_M_ARENA_MAX: 2, _M_MMAP_THRESHOLD: 256 * 1024, _M_TRIM_THRESHOLD: 4 * _MIB, _M_TOP_PAD: 0})


def keep_freed_memory() -> None:
    """Make freed memory stay with the process, for the next allocation of that size."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())  # one pool for Arrow, NumPy and the decoder, which pass buffers on
    _tune({_M_ARENA_MAX: 2, _M_MMAP_THRESHOLD: 32 * _MIB, _M_TRIM_THRESHOLD: 512 * _MIB, _M_TOP_PAD: 16 * _MIB})


def _tune(options: dict[int, int]) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            for option, value in options.items():
                libc.mallopt(option, value)


def spare_pandas() -> None:
    """Keep pyarrow from importing pandas, which it does, where that is installed, when it first makes an array of a list.

    It costs a second and 40 MB. Only for processes of our own that never make a frame: pyarrow remembers the answer.
    """

    class Refusal:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name.partition(".")[0] == "pandas":
                raise ImportError(name)

    sys.meta_path.insert(0, Refusal)
    try:
        import pyarrow as pa

        pa.array([None])
    finally:
        sys.meta_path.remove(Refusal)


def give_back_memory() -> None:
    """Return freed heap pages to the system now."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)


def peak_rss_mb() -> float:
    """Peak RSS of this process since its start, MB (10^6 B), as the kernel counted it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MB if sys.platform == "darwin" else peak * 1024 / _MB


def rss_mb() -> float:
    """RSS of this process now, MB (10^6 B)."""
    return _rss_bytes() / _MB


# Linux tells both in two short files; importing psutil takes longer than a small run's work on its tracks.
def _rss_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        import psutil

        return int(psutil.Process().memory_info().rss)


def _available_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, IndexError, ValueError):
        import psutil

        return int(psutil.virtual_memory().available)
