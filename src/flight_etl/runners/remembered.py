"""What a process remembers from one object to the next, and how often that was of use. What pays, and why: docs/adr/0011."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from flight_etl.caches import Cache, Counts
from flight_etl.runners.means import Means, load_airports, read_airports, recognise
from flight_etl.store.object_cache import ObjectCache

if TYPE_CHECKING:
    from flight_etl.airports import AirportTable
    from flight_etl.core.decode.layout import Layout
    from flight_etl.settings import DecodeSettings
    from flight_etl.store.reading import HeldSource, Source

__all__ = ["FORGETFUL", "Remembered"]

_LAYOUT_TTL_S: Final = 3_600.0  # s; a layout belongs to one version of an object and is never stale, only of no more use

FORGETFUL: Final = Means(airports=read_airports)  # what works the same and remembers nothing


class Remembered:
    """Layouts by version of the input, the table of airfields, and bytes of inputs (`store/object_cache.py`)."""

    def __init__(self, entries: int, *, scratch: str | None = None) -> None:
        self.objects = ObjectCache(scratch)
        self._layouts: Cache[Layout | None] = Cache(entries=entries, ttl_s=_LAYOUT_TTL_S)
        self._airports: Cache[AirportTable] = Cache(entries=1, ttl_s=math.inf)  # part of the package: never stale
        self.means = Means(detect=self._detect, airports=self._load_airports)

    def _detect(self, source: Source | HeldSource, settings: DecodeSettings) -> Layout | None:
        if source.version is None:
            return recognise(source, settings)
        return self._layouts.get((source.version, settings.layout), lambda: recognise(source, settings))

    def _load_airports(self) -> AirportTable:
        return self._airports.get((), load_airports)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Hits and misses of each cache."""
        by_level = {f"object_{level}": Counts(*counts) for level, counts in self.objects.counts().items()}
        found = {"layouts": self._layouts.counts, "airports": self._airports.counts, **by_level}
        return {name: counts.to_json() for name, counts in found.items()}
