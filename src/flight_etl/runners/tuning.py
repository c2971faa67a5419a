"""How a process works that serves many objects: none of it changes an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TUNING", "Tuning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """Beside what the settings say. With `service.caching` off, neither connections nor anything else are kept."""

    pooling: bool = True  # keep connections to buckets from one object to the next
    cache_entries: int = 128  # values in each cache in memory
    watch_memory: bool = True  # look at the process's memory between chunks
    relieve_memory: bool = True  # when it is short, collect garbage, spill, and work in smaller chunks
    before_object: Callable[[], None] = lambda: None  # what it raises is that object's failure


TUNING: Final = Tuning()
