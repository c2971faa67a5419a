"""Speed over ground in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.track import floats, put, words_column
from flight_etl.outcome import Outcome
from flight_etl.schema import empty_dropped
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND

if TYPE_CHECKING:
    import pyarrow as pa

    from flight_etl.settings import SpeedSettings

__all__ = ["CATEGORIES", "add_speed_category"]

CATEGORIES: Final = ("stationary", "taxi", "low", "medium", "high", "supersonic")


def add_speed_category(table: pa.Table, settings: SpeedSettings) -> Outcome:
    """Add `speed_category`; an edge belongs to the faster category, and null stays null."""
    knots = floats(table["velocity"]) * KNOTS_PER_METRE_PER_SECOND
    edges = (settings.taxi_kt, settings.low_kt, settings.medium_kt, settings.high_kt, settings.supersonic_kt)
    codes = np.searchsorted(np.array(edges), knots, "right")
    codes[np.isnan(knots)] = -1
    return Outcome(put(table, "speed_category", words_column(codes, CATEGORIES)), empty_dropped())
