"""Units of the sources and exact factors to SI."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "DEGREES_PER_TURN",
    "FEET_PER_METRE",
    "FPM_PER_METRE_PER_SECOND",
    "KNOTS_PER_METRE_PER_SECOND",
    "METRES_PER_FOOT",
    "METRES_PER_NAUTICAL_MILE",
    "METRES_PER_SECOND_PER_FPM",
    "METRES_PER_SECOND_PER_KMH",
    "METRES_PER_SECOND_PER_KNOT",
    "MS_PER_SECOND",
    "Unit",
]

METRES_PER_FOOT: Final = 0.3048  # exact, international foot (1959)
METRES_PER_NAUTICAL_MILE: Final = 1852.0  # exact, Monaco (1929)
METRES_PER_SECOND_PER_KNOT: Final = 1852.0 / 3600.0
METRES_PER_SECOND_PER_FPM: Final = 0.3048 / 60.0
METRES_PER_SECOND_PER_KMH: Final = 1.0 / 3.6
FEET_PER_METRE: Final = 1.0 / METRES_PER_FOOT
KNOTS_PER_METRE_PER_SECOND: Final = 3600.0 / 1852.0
FPM_PER_METRE_PER_SECOND: Final = 60.0 / 0.3048
DEGREES_PER_TURN: Final = 360.0
MS_PER_SECOND: Final = 1000


class Unit(StrEnum):
    """What a number in a source means. `NATIVE_*` is decided by the `units` setting (flat layouts only)."""

    NONE = "none"
    METRE = "m"
    FOOT = "ft"
    METRE_PER_SECOND = "m/s"
    KNOT = "kt"
    KM_PER_HOUR = "km/h"
    FOOT_PER_MINUTE = "ft/min"
    DEGREE = "deg"
    EPOCH_SECOND = "s since 1970-01-01 UTC"
    EPOCH_MILLISECOND = "ms since 1970-01-01 UTC"
    EPOCH_AUTO = "s, ms or us since 1970-01-01 UTC by magnitude, or ISO 8601 text"
    AGE_SECOND = "s before the snapshot's time"
    OFFSET_SECOND = "s after the document's base time"
    NATIVE_ALTITUDE = "m, or ft with units=aviation"
    NATIVE_SPEED = "m/s, or kt with units=aviation"
    NATIVE_RATE = "m/s, or ft/min with units=aviation"
