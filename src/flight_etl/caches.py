"""Values that outlive one object: found again by key, the least recently used given up first, none kept too long."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Cache", "Counts"]

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Counts:
    """How often something was found, and was not."""

    hits: int = 0
    misses: int = 0

    def to_json(self) -> dict[str, Any]:
        """Hits, misses, and the share of hits; None before the first question."""
        asked = self.hits + self.misses
        return {"hits": self.hits, "misses": self.misses, "hit_rate": round(self.hits / asked, 4) if asked else None}


class Cache(Generic[V]):
    """At most `entries` values, each for at most `ttl_s` seconds. Safe for threads.

    The lock is not held while a value is made: two threads that ask at the same moment may both make it, and none waits.
    """

    def __init__(self, *, entries: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._entries, self._ttl_s, self._clock = entries, ttl_s, clock
        self._kept: Any = None  # made when it is first asked, as cachetools is not in the base install
        self._hits = self._misses = 0

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Give the value of a key; `make` gives one that is not kept. What it raises is raised, and nothing is kept."""
        with self._lock:
            if self._kept is None:
                from cachetools import TTLCache

                self._kept = TTLCache(self._entries, self._ttl_s, timer=self._clock)
            found = self._kept.get(key, _NONE)
            self._hits += found is not _NONE
            self._misses += found is _NONE
        if found is not _NONE:
            kept: V = found
            return kept
        value = make()
        with self._lock:
            self._kept[key] = value
        return value

    @property
    def counts(self) -> Counts:
        """Hits and misses so far."""
        with self._lock:
            return Counts(self._hits, self._misses)

    def __len__(self) -> int:
        with self._lock:
            return 0 if self._kept is None else len(self._kept)


_NONE: Any = object()
