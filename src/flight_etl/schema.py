"""The columns at each hand-over, with type, unit and the meaning of null: the single source of `docs/schema.md`.

In flight, tables carry three columns of provenance beside the declared ones (`_input`, `_record`, `_offset`), which are
never written, and one column `x:<key>` for each source key that no layout declares (see `core/extras.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

__all__ = [
    "BLOCK",
    "DROPPED_SCHEMA",
    "ENRICHED",
    "ENRICHED_ONLY",
    "EXTRA_PREFIX",
    "FLIGHTS",
    "INPUT",
    "NORMAL",
    "OFFSET",
    "PROVENANCE",
    "RECORD",
    "SCHEMA_VERSION",
    "Column",
    "arrow_schema",
    "empty_dropped",
]

SCHEMA_VERSION: Final = "1"

INPUT: Final = "_input"  # int32: index of the input in the run
RECORD: Final = "_record"  # int64: number of the record in its input, from 0
OFFSET: Final = "_offset"  # int64: byte of the decompressed input at which the record begins
PROVENANCE: Final = (INPUT, RECORD, OFFSET)
EXTRA_PREFIX: Final = "x:"
BLOCK: Final = "_block"  # int32: number of the row's block in its table, between the track stages only (core/order.py)

_TIME: Final = pa.timestamp("ms", tz="UTC")
_WORDS: Final = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One declared column. `feature` names the settings switch without which it is absent (None: always there)."""

    name: str
    type: pa.DataType
    unit: str
    null: str
    about: str
    feature: str | None = None

    def field(self) -> pa.Field:
        """Arrow field with unit, null meaning and description in its metadata."""
        return pa.field(self.name, self.type, metadata={"unit": self.unit, "null": self.null, "description": self.about})


def _c(name: str, type_: pa.DataType, unit: str, null: str, about: str, feature: str | None = None) -> Column:
    return Column(name=name, type=type_, unit=unit, null=null, about=about, feature=feature)


_CALC = "calculated_fields"
_PHASES = "flight_phases"

NORMAL: Final = (
    _c("icao24", _WORDS, "", "never", "24-bit aircraft address, lower-case hexadecimal; a leading ~ marks a non-ICAO address"),
    _c("address_type", _WORDS, "", "never", "icao, or non_icao for an address that a ground station made up (TIS-B, anonymous)"),
    _c("timestamp", _TIME, "ms UTC", "never", "the moment for which the snapshot or report speaks"),
    _c("position_time", _TIME, "ms UTC", "not known", "when the position was heard"),
    _c("contact_time", _TIME, "ms UTC", "not known", "when the aircraft was last heard at all"),
    _c("callsign", _WORDS, "", "not sent, or blank", "callsign, without padding"),
    _c("latitude", pa.float64(), "deg", "no position", "WGS-84 latitude, north positive"),
    _c("longitude", pa.float64(), "deg", "no position", "WGS-84 longitude, east positive"),
    _c(
        "altitude",
        pa.float64(),
        "m",
        "not sent, or reported as on the ground",
        "barometric (pressure) altitude against 1013.25 hPa",
    ),
    _c("geo_altitude", pa.float64(), "m", "not sent", "height above the WGS-84 ellipsoid"),
    _c("velocity", pa.float64(), "m/s", "not sent", "speed over ground"),
    _c("heading", pa.float64(), "deg", "not sent", "track over ground, clockwise from true north, 0 <= heading < 360"),
    _c("vertical_rate", pa.float64(), "m/s", "not sent", "reported rate of climb, up positive"),
    _c("on_ground", pa.bool_(), "", "not known", "the aircraft says, or its report format shows, that it is on the surface"),
    _c("squawk", _WORDS, "", "not sent", "transponder code, four octal digits as text"),
    _c("spi", pa.bool_(), "", "not sent", "special position identification pulse"),
    _c("position_source", _WORDS, "", "not known", "adsb, adsr, tisb, mlat, adsc, asterix, flarm, mode_s or other"),
    _c("category", _WORDS, "", "not sent", "emitter category A0 to D7 (DO-260B)"),
    _c("origin_country", _WORDS, "", "not sent", "country of registration, as the source names it"),
)

ENRICHED_ONLY: Final = (
    _c("flight_id", _WORDS, "", "never", "icao24 and the UTC time of the flight's first row"),
    _c(
        "is_stitched",
        pa.bool_(),
        "",
        "never",
        "the flight goes on behind a gap in which it was not heard for segment.gap_s or more",
    ),
    _c("is_stale", pa.bool_(), "", "never", "the row repeats an older position; it feeds no derived motion"),
    _c(
        "outlier",
        _WORDS,
        "",
        "nothing speaks against the position",
        "rule by which the aircraft cannot have been at the position, from which nothing is derived: out_and_back or stray_end",
    ),
    _c("altitude_ft", pa.float64(), "ft", "as altitude", "altitude in feet", _CALC),
    _c("geo_altitude_ft", pa.float64(), "ft", "as geo_altitude", "geo_altitude in feet", _CALC),
    _c("speed_knots", pa.float64(), "kt", "as velocity", "velocity in knots", _CALC),
    _c("vertical_rate_fpm", pa.float64(), "ft/min", "as vertical_rate", "vertical_rate in feet per minute", _CALC),
    _c(
        "distance_km",
        pa.float64(),
        "km",
        "first point of the flight, no position, stale, or an outlier",
        "distance from the flight's previous fresh position, to the nearest 2^-14 km (6.1 cm)",
        _CALC,
    ),
    _c(
        "cumulative_distance_km",
        pa.float64(),
        "km",
        "before the flight's first position",
        "distance flown since the flight's first position, to the nearest 2^-14 km (6.1 cm)",
        _CALC,
    ),
    _c(
        "climb_rate_fpm",
        pa.float64(),
        "ft/min",
        "no two fresh altitudes close enough in time",
        "rate of climb from altitudes, not from the reported rate",
        _CALC,
    ),
    _c(
        "acceleration_kts_min",
        pa.float64(),
        "kt/min",
        "no two fresh speeds close enough in time",
        "change of speed over ground",
        _CALC,
    ),
    _c(
        "turn_rate_deg_s",
        pa.float64(),
        "deg/s",
        "no two fresh headings close enough in time",
        "change of heading, right turns positive",
        _CALC,
    ),
    _c(
        "height_ft",
        pa.float64(),
        "ft",
        "no altitude, or no field near",
        "height above the field of departure or arrival",
        _PHASES,
    ),
    _c(
        "flight_phase",
        _WORDS,
        "",
        "never",
        "ground, taxi, takeoff, climb, cruise, descent, approach, landing or unknown",
        _PHASES,
    ),
    _c(
        "phase_confidence", pa.float32(), "", "never", "0 (a guess) to 1 (every piece of evidence agrees); 0 for unknown", _PHASES
    ),
    _c("speed_category", _WORDS, "", "as velocity", "stationary, taxi, low, medium, high or supersonic", _CALC),
    _c(
        "origin_airport",
        _WORDS,
        "",
        "the track does not begin on the ground at a known field",
        "ICAO code of the field of departure",
        _PHASES,
    ),
    _c(
        "destination_airport",
        _WORDS,
        "",
        "the track does not end on the ground at a known field",
        "ICAO code of the field of arrival",
        _PHASES,
    ),
    _c("imputed", _WORDS, "", "nothing was filled", "names of the columns that were filled, in schema order, joined by commas"),
)

ENRICHED: Final = NORMAL + ENRICHED_ONLY

_TEXT: Final = pa.string()

FLIGHTS: Final = (
    _c("flight_id", _TEXT, "", "never", "as in the data set"),
    _c("icao24", _TEXT, "", "never", "as in the data set"),
    _c("callsign", _TEXT, "", "none was sent", "the callsign of most rows; of several the one that came first"),
    _c("callsigns", pa.list_(_TEXT), "", "never; empty where none was sent", "every callsign, in the order in which they came"),
    _c("first_time", _TIME, "ms UTC", "never", "timestamp of the first row"),
    _c("last_time", _TIME, "ms UTC", "never", "timestamp of the last row"),
    _c("origin_airport", _TEXT, "", "as in the data set", "ICAO code of the field of departure", "flight_phases"),
    _c("destination_airport", _TEXT, "", "as in the data set", "ICAO code of the field of arrival", "flight_phases"),
    _c("distance_km", pa.float64(), "km", "no position", "distance flown, from believed fresh positions", "calculated_fields"),
    _c("max_altitude_ft", pa.float64(), "ft", "no altitude", "greatest barometric altitude that was sent, stale rows left out"),
    *(
        _c(f"{phase}_s", pa.float64(), "s", "without phases", f"time in the phase {phase}", "flight_phases")
        for phase in ("ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing", "unknown")
    ),
    _c("rows", pa.int64(), "", "never", "rows in the data set"),
    _c(
        "coverage",
        pa.float64(),
        "",
        "never",
        "share of the time from first to last row at which the newest believed position was at most 60 s old",
    ),
    _c("stale_share", pa.float64(), "", "never", "share of rows that repeat an older position"),
    _c("imputed_share", pa.float64(), "", "never", "share of rows in which a number was filled"),
    _c("outlier_share", pa.float64(), "", "never", "share of rows whose position the aircraft cannot have been at"),
    _c("quality", pa.float64(), "", "never", "0 to 1: the least of coverage, 1 - imputed_share and 1 - outlier_share"),
)

DROPPED_SCHEMA: Final = pa.schema(
    [
        pa.field(RECORD, pa.int64(), nullable=False),
        pa.field(OFFSET, pa.int64(), nullable=False),
        pa.field(INPUT, pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),  # what exactly, for people: a JSON path, the offending value, a snippet
        pa.field("icao24", pa.string()),
        pa.field("timestamp", _TIME),
    ]
)


def arrow_schema(columns: tuple[Column, ...], *, features: frozenset[str] | None = None) -> pa.Schema:
    """Arrow schema of `columns`; with `features`, without the columns whose feature is not among them."""
    return pa.schema([c.field() for c in columns if features is None or c.feature is None or c.feature in features])


def empty_dropped() -> pa.Table:
    """Return a table of no dropped rows."""
    return DROPPED_SCHEMA.empty_table()
