"""Constants of the work that all peers do, so that none does it by other numbers."""

from __future__ import annotations

from typing import Final

from flight_etl.settings import PhaseSettings, Settings, SpeedSettings
from flight_etl.units import FEET_PER_METRE, FPM_PER_METRE_PER_SECOND, KNOTS_PER_METRE_PER_SECOND

__all__ = ["EARTH_KM", "FILL_GAP_S", "FLAT", "FPM", "FT", "GAP_S", "KT", "PHASE", "SPEED", "STATE"]

_SETTINGS: Final = Settings()
GAP_S: Final = _SETTINGS.segment.gap_s  # s without a row, after which a flight begins
FILL_GAP_S: Final = _SETTINGS.impute.max_gap_s  # s across which numbers are filled
PHASE: Final[PhaseSettings] = _SETTINGS.phase
SPEED: Final[SpeedSettings] = _SETTINGS.speed
FT: Final = FEET_PER_METRE
KT: Final = KNOTS_PER_METRE_PER_SECOND
FPM: Final = FPM_PER_METRE_PER_SECOND
EARTH_KM: Final = 6_371.0088  # km, mean radius; a sphere, as people do it in these tools

# Keys of generated flat records, with the type of each: s since 1970, deg, m, m/s.
FLAT: Final = {
    "icao24": "text",
    "callsign": "text",
    "origin_country": "text",
    "timestamp": "int",
    "time_position": "int",
    "last_contact": "int",
    "latitude": "float",
    "longitude": "float",
    "altitude": "float",
    "geo_altitude": "float",
    "velocity": "float",
    "heading": "float",
    "vertical_rate": "float",
    "on_ground": "bool",
    "squawk": "text",
    "spi": "bool",
    "position_source": "int",
    "category": "text",
}
# Columns of OpenSky's state vectors that are not null for good, by position, with the flat names.
STATE: Final = {
    "icao24": (0, "text"),
    "callsign": (1, "text"),
    "origin_country": (2, "text"),
    "time_position": (3, "int"),
    "last_contact": (4, "int"),
    "longitude": (5, "float"),
    "latitude": (6, "float"),
    "altitude": (7, "float"),
    "on_ground": (8, "bool"),
    "velocity": (9, "float"),
    "heading": (10, "float"),
    "vertical_rate": (11, "float"),
    "geo_altitude": (13, "float"),
    "squawk": (14, "text"),
    "spi": (15, "bool"),
    "position_source": (16, "int"),
}
