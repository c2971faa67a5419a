"""Memory watched between chunks, and given back before the bound is reached. No thread: who works, looks."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flight_etl import resources

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MemoryWatch"]

_PRESSURE: Final = 0.85  # of the bound, from which on memory is short
_RELAXED: Final = 0.65  # of the bound, below which chunks may grow again
_STEP: Final = 0.02  # of the bound, by which memory must have grown since the last relief for another one to be worth its time
_CALM_LOOKS: Final = 8  # looks in a row at relaxed memory before chunks are doubled
_LEAST_CHUNK_ROWS: Final = 1_000


@dataclass(slots=True)
class MemoryWatch:
    """Halves chunks under pressure, down to 1,000 rows, and doubles them again up to `usual_rows` when it has gone."""

    usual_rows: int
    told: Callable[[float, float], None] = lambda *_: None  # RSS and bound, MB, after each relief
    rss_mb: Callable[[], float] = resources.rss_mb
    relieves: bool = True  # False: pressure is counted and nothing is done
    bound_mb: float | None = None  # MB of RSS for the process; None: nothing to watch
    chunk_rows: int = 0  # rows, now
    pressures: int = 0  # times that memory was short
    _calm: int = 0
    _relieved_mb: float = 0.0  # RSS after the last relief, while it is still above the pressure mark

    def __post_init__(self) -> None:
        self.chunk_rows = self.usual_rows

    def look(self) -> bool:
        """Say whether memory is short, after having given back what could be."""
        if self.bound_mb is None:
            return False
        rss = self.rss_mb()
        if rss <= _PRESSURE * self.bound_mb:
            self._relieved_mb = 0.0
            self._recover(relaxed=rss < _RELAXED * self.bound_mb)
            return False
        if self._relieved_mb and rss < self._relieved_mb + _STEP * self.bound_mb:
            return False
        self.pressures += 1
        self._relieved_mb = rss
        if self.relieves:
            self.relieve()
        return self.relieves

    def relieve(self) -> None:
        """Give memory back, and work in smaller pieces from now on."""
        gc.collect()
        resources.give_back_memory()
        self._calm = 0
        self.chunk_rows = min(self.chunk_rows, max(self.chunk_rows // 2, _LEAST_CHUNK_ROWS))
        self._relieved_mb = self.rss_mb()
        self.told(self._relieved_mb, self.bound_mb or 0.0)

    def _recover(self, *, relaxed: bool) -> None:
        self._calm = self._calm + 1 if relaxed else 0
        if self._calm >= _CALM_LOOKS and self.chunk_rows < self.usual_rows:
            self.chunk_rows = min(2 * self.chunk_rows, self.usual_rows)
            self._calm = 0

    def to_json(self) -> dict[str, Any]:
        """State for the health answer."""
        return {"bound_mb": self.bound_mb, "chunk_rows": self.chunk_rows, "times_short": self.pressures}
