"""What a run works with that may outlive it, and may be remembered or watched. None of it changes the output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.airports import AirportTable
    from flight_etl.core.decode.layout import Layout
    from flight_etl.settings import DecodeSettings
    from flight_etl.store.reading import HeldSource, Source

__all__ = ["MEANS", "Means", "load_airports", "read_airports", "recognise"]


def recognise(source: Source | HeldSource, settings: DecodeSettings) -> Layout | None:
    """Recognise an input, as `core.decode.detect` does; loaded when it is needed, since an event may convert nothing."""
    from flight_etl.core.decode import detect

    return detect(source, settings)


def load_airports() -> AirportTable:
    """Give the airfields, read once for the process, likewise."""
    from flight_etl.store import airports

    return airports.load_airports()


def read_airports() -> AirportTable:
    """Read the airfields anew."""
    from flight_etl.store import airports

    return airports.load_airports.__wrapped__()


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """The defaults recognise each input anew, read the airfields once for the process, and watch nothing."""

    detect: Callable[[Source | HeldSource, DecodeSettings], Layout | None] = recognise
    airports: Callable[[], AirportTable] = load_airports
    between: Callable[[], None] = lambda: None  # called between pieces of the work; what it raises ends it
    is_short: Callable[[], bool] = lambda: False  # asked between chunks; True: rows that can wait on disk are to go there
    piece_rows: Callable[[], int] = lambda: sys.maxsize  # most rows through the record stages at once, from now on


MEANS: Final = Means()
