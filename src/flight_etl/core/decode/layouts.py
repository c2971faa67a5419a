"""One declarative Layout per source format: where the records are, which fields they have, in which types and units.

Adding a format is adding a table here. `name` is what people see and type; the key in `LAYOUTS` is unique (the CSV form of
OpenSky's history has a key of its own and the same name). The order of `LAYOUTS` is the order in which they are tried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flight_etl.core.decode.layout import Field, Kind, Layout, Variant
from flight_etl.units import Unit

__all__ = ["LAYOUTS", "LAYOUT_NAMES"]


_N, _T, _B, _A, _TIME = Kind.NUMBER, Kind.TEXT, Kind.BOOL, Kind.ALTITUDE, Kind.TIME
_M, _MPS, _DEG = Unit.METRE, Unit.METRE_PER_SECOND, Unit.DEGREE
_FT, _KT, _FPM = Unit.FOOT, Unit.KNOT, Unit.FOOT_PER_MINUTE
_AUTO: Final = Unit.EPOCH_AUTO


def _f(name: str, kind: Kind, target: str | None, *keys: str, unit: Unit = Unit.NONE) -> Field:
    """Build a field of an object record whose first key is its name, unless keys say otherwise."""
    return Field(name=name, kind=kind, keys=keys or (name,), unit=unit, target=target)


# OpenSky REST, /states/all and /states/own: openskynetwork/opensky-api docs/free/states-response.rst.
_OPENSKY_COLUMNS: Final = (
    ("icao24", _T, Unit.NONE, "icao24"),
    ("callsign", _T, Unit.NONE, "callsign"),
    ("origin_country", _T, Unit.NONE, "origin_country"),
    ("time_position", _TIME, Unit.EPOCH_SECOND, "position_time"),
    ("last_contact", _TIME, Unit.EPOCH_SECOND, "contact_time"),
    ("longitude", _N, _DEG, "longitude"),
    ("latitude", _N, _DEG, "latitude"),
    ("baro_altitude", _N, _M, "altitude"),
    ("on_ground", _B, Unit.NONE, "on_ground"),
    ("velocity", _N, _MPS, "velocity"),
    ("true_track", _N, _DEG, "heading"),
    ("vertical_rate", _N, _MPS, "vertical_rate"),
    (None, None, None, None),  # sensors, kept as an extra column
    ("geo_altitude", _N, _M, "geo_altitude"),
    ("squawk", _T, Unit.NONE, "squawk"),
    ("spi", _B, Unit.NONE, "spi"),
    ("position_source", _T, Unit.NONE, "position_source"),
    ("category", _T, Unit.NONE, "category"),
)

_OPENSKY: Final = Layout(
    name="opensky",
    about="OpenSky /states/all bodies: rows are arrays; metres and m/s",
    records=(("states",),),
    rows="array",
    fields=(
        Field(name="time", kind=_TIME, keys=("time",), envelope=True, unit=Unit.EPOCH_SECOND, target="timestamp"),
        *(
            Field(name=name, kind=kind, index=index, unit=unit, target=target)
            for index, (name, kind, unit, target) in enumerate(_OPENSKY_COLUMNS)
            if name is not None and kind is not None and unit is not None
        ),
    ),
    widths=(13, 17, 18),
    extra_columns=((12, "sensors"),),
    variants=(
        # July 2017: `alert` stood before `spi` and pushed the rest by one (OpenSky forum, thread 213).
        Variant(
            name="2017",
            width=18,
            bool_at=16,
            index=(("spi", 16), ("position_source", 17), ("category", None)),
            extra_columns=((12, "sensors"), (15, "alert")),
        ),
    ),
)

_OPENSKY_OBJECTS: Final = Layout(
    name="opensky-objects",
    about="the OpenSky envelope with objects under states; metres and m/s",
    records=(("states",),),
    rows="object",
    signatures=(("icao24",),),
    fields=(
        _f("record_time", _TIME, "timestamp", "timestamp", "time", "snapshot_time", unit=_AUTO),
        Field(name="time", kind=_TIME, keys=("time", "timestamp"), envelope=True, unit=_AUTO, target="timestamp"),
        _f("icao24", _T, "icao24"),
        _f("callsign", _T, "callsign"),
        _f("origin_country", _T, "origin_country", "origin_country", "originCountry"),
        _f(
            "time_position", _TIME, "position_time", "time_position", "timePosition", "lastposupdate", "lastPosUpdate", unit=_AUTO
        ),
        _f("last_contact", _TIME, "contact_time", "last_contact", "lastContact", "lastcontact", unit=_AUTO),
        _f("longitude", _N, "longitude", "longitude", "lon", unit=_DEG),
        _f("latitude", _N, "latitude", "latitude", "lat", unit=_DEG),
        _f("baro_altitude", _N, "altitude", "baro_altitude", "baroAltitude", "baroaltitude", "altitude", unit=_M),
        _f("on_ground", _B, "on_ground", "on_ground", "onGround", "onground"),
        _f("velocity", _N, "velocity", unit=_MPS),
        _f("true_track", _N, "heading", "true_track", "trueTrack", "heading", "track", unit=_DEG),
        _f("vertical_rate", _N, "vertical_rate", "vertical_rate", "verticalRate", "vertrate", "vertRate", unit=_MPS),
        _f("geo_altitude", _N, "geo_altitude", "geo_altitude", "geoAltitude", "geoaltitude", unit=_M),
        _f("squawk", _T, "squawk"),
        _f("spi", _B, "spi"),
        _f("position_source", _T, "position_source", "position_source", "positionSource"),
        _f("category", _T, "category"),
    ),
)

# OpenSky history: Trino state_vectors_data4, Impala, and the public weekly "states" dumps; camelCase in JSON re-exports.
_HISTORY: Final = Layout(
    name="opensky-history",
    about="rows of OpenSky's history tables; metres and m/s",
    records=((), ("states",), ("records",), ("data",)),
    rows="object",
    signatures=(
        ("time", "icao24", "vertrate"),
        ("time", "icao24", "baroaltitude"),
        ("time", "icao24", "lastposupdate"),
        ("time", "icao24", "lastcontact"),
        ("time", "icao24", "vertRate"),
        ("time", "icao24", "baroAltitude"),
        ("time", "icao24", "lastPosUpdate"),
        ("time", "icao24", "lastContact"),
        ("time", "icao24", "lat", "lon", "velocity"),
    ),
    fields=(
        _f("time", _TIME, "timestamp", unit=_AUTO),
        _f("icao24", _T, "icao24"),
        _f("lat", _N, "latitude", "lat", "latitude", unit=_DEG),
        _f("lon", _N, "longitude", "lon", "longitude", unit=_DEG),
        _f("velocity", _N, "velocity", unit=_MPS),
        _f("heading", _N, "heading", "heading", "true_track", "trueTrack", unit=_DEG),
        _f("vertrate", _N, "vertical_rate", "vertrate", "vertRate", "vertical_rate", "verticalRate", unit=_MPS),
        _f("callsign", _T, "callsign"),
        _f("onground", _B, "on_ground", "onground", "onGround", "on_ground"),
        _f("spi", _B, "spi"),
        _f("squawk", _T, "squawk"),
        _f("baroaltitude", _N, "altitude", "baroaltitude", "baroAltitude", "baro_altitude", unit=_M),
        _f("geoaltitude", _N, "geo_altitude", "geoaltitude", "geoAltitude", "geo_altitude", unit=_M),
        _f("lastposupdate", _TIME, "position_time", "lastposupdate", "lastPosUpdate", "time_position", unit=_AUTO),
        _f("lastcontact", _TIME, "contact_time", "lastcontact", "lastContact", "last_contact", unit=_AUTO),
        _f("category", _T, "category"),
        _f("origin_country", _T, "origin_country", "origin_country", "originCountry"),
        _f("position_source", _T, "position_source", "position_source", "positionSource"),
    ),
)

# readsb, dump1090-fa, tar1090: wiedehopf/readsb README-json.md; `altitude`, `speed`, `vert_rate` are dump1090-mutability's.
_READSB_FIELDS: Final = (
    _f("record_now", _TIME, "timestamp", "now", unit=_AUTO),
    Field(name="now", kind=_TIME, keys=("now",), envelope=True, unit=_AUTO, target="timestamp"),
    _f("hex", _T, "icao24"),
    _f("flight", _T, "callsign"),
    _f("lat", _N, "latitude", unit=_DEG),
    _f("lon", _N, "longitude", unit=_DEG),
    _f("seen_pos", _N, "position_time", unit=Unit.AGE_SECOND),
    # After 60 s without a position readsb moves it here.
    Field(name="last_lat", kind=_N, keys=("lastPosition",), path=("lat",), keep=True, unit=_DEG, target="latitude"),
    Field(name="last_lon", kind=_N, keys=("lastPosition",), path=("lon",), unit=_DEG, target="longitude"),
    Field(
        name="last_seen_pos",
        kind=_N,
        keys=("lastPosition",),
        path=("seen_pos",),
        unit=Unit.AGE_SECOND,
        target="position_time",
    ),
    _f("seen", _N, "contact_time", unit=Unit.AGE_SECOND),
    _f("alt_baro", _A, "altitude", "alt_baro", "altitude", unit=_FT),
    _f("alt_geom", _N, "geo_altitude", unit=_FT),
    _f("gs", _N, "velocity", "gs", "speed", unit=_KT),
    _f("track", _N, "heading", unit=_DEG),
    Field(name="true_heading", kind=_N, keys=("true_heading",), keep=True, unit=_DEG),  # heading, where on the ground
    _f("baro_rate", _N, "vertical_rate", "baro_rate", "vert_rate", unit=_FPM),
    Field(name="geom_rate", kind=_N, keys=("geom_rate",), keep=True, unit=_FPM, target="vertical_rate"),
    _f("squawk", _T, "squawk"),
    _f("spi", _B, "spi"),
    _f("category", _T, "category"),
    Field(name="type", kind=_T, keys=("type",), keep=True),
    Field(name="mlat", kind=_T, keys=("mlat",), keep=True),  # names of the fields that come from MLAT
    Field(name="tisb", kind=_T, keys=("tisb",), keep=True),
    _f("validposition", _B, None),
    _f("validtrack", _B, None),
)

_READSB: Final = Layout(
    name="readsb",
    about="aircraft.json and history_N.json of readsb, dump1090 and tar1090, and --json-port lines; ft, kt, ft/min",
    records=(("aircraft",), ()),
    rows="object",
    signatures=(("hex", "seen"), ("hex", "messages"), ("hex", "seen_pos"), ("hex", "type"), ("hex", "validposition")),
    fields=_READSB_FIELDS,
    number_is_airborne=True,
)

_ADSBX_V2: Final = Layout(
    name="adsbx-v2",
    about="REST bodies of ADSBexchange v2 and its like (adsb.lol, airplanes.live, adsb.fi); ft, kt, ft/min",
    records=(("ac",),),
    rows="object",
    signatures=(("hex",),),
    fields=_READSB_FIELDS,
    number_is_airborne=True,
)

# Virtual Radar Server's vocabulary. `galt` is adjusted to the local pressure, so roughly above sea level and not above the
# ellipsoid: it is no geo_altitude, and stays an extra column.
_ADSBX_V1: Final = Layout(
    name="adsbx-v1",
    about="REST bodies of ADSBexchange v1: every value a string; ft, kt, ft/min",
    records=(("ac",),),
    rows="object",
    signatures=(("icao", "postime"), ("icao", "spd"), ("icao", "trak")),
    fields=(
        Field(name="ctime", kind=_TIME, keys=("ctime",), envelope=True, unit=_AUTO, target="timestamp"),
        _f("postime", _TIME, "position_time", unit=_AUTO),
        _f("icao", _T, "icao24"),
        _f("call", _T, "callsign"),
        _f("lat", _N, "latitude", unit=_DEG),
        _f("lon", _N, "longitude", unit=_DEG),
        _f("alt", _A, "altitude", unit=_FT),
        Field(name="altt", kind=_B, keys=("altt",), keep=True),  # true: alt is geometric
        _f("spd", _N, "velocity", unit=_KT),
        _f("trak", _N, "heading", unit=_DEG),
        Field(name="trkh", kind=_B, keys=("trkh",), keep=True),  # true: trak is a heading, which is the track on the ground only
        _f("vsi", _N, "vertical_rate", unit=_FPM),
        _f("sqk", _T, "squawk"),
        _f("gnd", _B, "on_ground"),
        _f("cou", _T, "origin_country"),
        Field(name="mlat", kind=_T, keys=("mlat",), keep=True),
        Field(name="tisb", kind=_T, keys=("tisb",), keep=True),
        Field(name="trt", kind=_N, keys=("trt",), keep=True),  # transponder: 1 Mode S, 2 to 5 ADS-B
    ),
)


def _in_aircraft(name: str, kind: Kind, target: str | None, *, unit: Unit = Unit.NONE, carry: bool = False) -> Field:
    """Build a field of the object at position 8 of a trace row, which about every fourth row has."""
    return Field(name=f"aircraft_{name}", kind=kind, index=8, path=(name,), unit=unit, target=target, carry=carry)


# readsb globe_history: wiedehopf/readsb README-json.md, "trace jsons". Rows had 9 columns before 2022.
_TRACE: Final = Layout(
    name="trace",
    about="trace_full_<hex>.json of readsb's globe_history; ft, kt, ft/min",
    records=(("trace",),),
    rows="array",
    signatures=(("icao",),),
    fields=(
        Field(name="icao", kind=_T, keys=("icao",), envelope=True, target="icao24"),
        Field(name="base", kind=_TIME, keys=("timestamp",), envelope=True, unit=_AUTO),
        Field(name="offset", kind=_N, index=0, unit=Unit.OFFSET_SECOND, target="timestamp"),
        Field(name="lat", kind=_N, index=1, unit=_DEG, target="latitude"),
        Field(name="lon", kind=_N, index=2, unit=_DEG, target="longitude"),
        Field(name="alt", kind=_A, index=3, unit=_FT, target="altitude"),
        Field(name="gs", kind=_N, index=4, unit=_KT, target="velocity"),
        Field(name="track", kind=_N, index=5, unit=_DEG, target="heading"),
        # Bits: 1 no position in the 20 s before, 2 new leg (unreliable), 4 the rate is geometric, 8 the altitude is geometric.
        Field(name="flags", kind=_N, index=6, keep=True),
        Field(name="rate", kind=_N, index=7, unit=_FPM, target="vertical_rate"),
        Field(name="type", kind=_T, index=9, keep=True),
        Field(name="alt_geom", kind=_N, index=10, unit=_FT, target="geo_altitude"),
        Field(name="geom_rate", kind=_N, index=11, keep=True, unit=_FPM, target="vertical_rate"),
        _in_aircraft("flight", _T, "callsign", carry=True),
        _in_aircraft("squawk", _T, "squawk", carry=True),
        _in_aircraft("category", _T, "category", carry=True),
        _in_aircraft("spi", _B, "spi"),
        _in_aircraft("type", _T, None),
        _in_aircraft("alt_geom", _N, "geo_altitude", unit=_FT),
        _in_aircraft("track", _N, "heading", unit=_DEG),
        _in_aircraft("baro_rate", _N, "vertical_rate", unit=_FPM),
        _in_aircraft("geom_rate", _N, "vertical_rate", unit=_FPM),
    ),
    widths=(9, 14, 15),
    extra_columns=((12, "ias"), (13, "roll"), (14, "receiver")),
    extra_object=8,
    envelope_extras=tuple((key, (key,)) for key in ("r", "t", "desc", "dbFlags", "ownOp", "year", "noRegData")),
    number_is_airborne=True,
    position_at_timestamp=True,
)

_FR24: Final = Layout(
    name="fr24",
    about="Flightradar24 playback: a flight with nested track[]; both unit systems are given, the aviation one is read",
    records=(("result", "response", "data", "flight", "track"),),
    rows="object",
    fields=(
        _f("timestamp", _TIME, "timestamp", unit=_AUTO),
        Field(name="modes", kind=_T, keys=("aircraft",), path=("identification", "modes"), envelope=True, target="icao24"),
        Field(name="callsign", kind=_T, keys=("identification",), path=("callsign",), envelope=True, target="callsign"),
        _f("latitude", _N, "latitude", unit=_DEG),
        _f("longitude", _N, "longitude", unit=_DEG),
        Field(name="altitude", kind=_N, keys=("altitude",), path=("feet",), unit=_FT, target="altitude"),
        Field(name="speed", kind=_N, keys=("speed",), path=("kts",), unit=_KT, target="velocity"),
        Field(name="vertical_speed", kind=_N, keys=("verticalSpeed",), path=("fpm",), unit=_FPM, target="vertical_rate"),
        _f("heading", _N, "heading", unit=_DEG),
        _f("squawk", _T, "squawk"),
    ),
    envelope_extras=(
        ("registration", ("aircraft", "identification", "registration")),
        ("typecode", ("aircraft", "model", "code")),
        ("flight_number", ("identification", "number", "default")),
    ),
    position_at_timestamp=True,
    zero_is_ground=True,
)

# Names that say their unit, or that only sources in feet and knots use, come with that unit whatever `units` says.
_FLAT_FIELDS: Final = (
    _f(
        "timestamp",
        _TIME,
        "timestamp",
        *("timestamp", "time", "now", "datetime", "date_time", "timestamp_utc", "time_utc", "timestamp_ms", "ts", "clock"),
        unit=_AUTO,
    ),
    _f("icao24", _T, "icao24", "icao24", "icao", "hex", "icao_address", "icao24_address", "hexid", "mode_s", "modes"),
    _f("callsign", _T, "callsign", "callsign", "call_sign", "callSign", "flight", "ident"),
    _f("latitude", _N, "latitude", "latitude", "lat", unit=_DEG),
    _f("longitude", _N, "longitude", "longitude", "lon", "lng", "long", unit=_DEG),
    _f(
        "position_time",
        _TIME,
        "position_time",
        *("position_time", "time_position", "last_position", "lastposupdate", "lastPosUpdate", "timePosition"),
        unit=_AUTO,
    ),
    Field(
        name="last_latitude",
        kind=_N,
        keys=("last_position", "lastPosition"),
        path=("latitude",),
        keep=True,
        unit=_DEG,
        target="latitude",
    ),
    Field(
        name="last_longitude",
        kind=_N,
        keys=("last_position", "lastPosition"),
        path=("longitude",),
        unit=_DEG,
        target="longitude",
    ),
    Field(
        name="last_timestamp",
        kind=_TIME,
        keys=("last_position", "lastPosition"),
        path=("timestamp",),
        unit=_AUTO,
        target="position_time",
    ),
    _f("contact_time", _TIME, "contact_time", "contact_time", "last_contact", "lastcontact", "lastContact", unit=_AUTO),
    _f("altitude_m", _A, "altitude", "altitude_m", "baro_altitude_m", "alt_m", unit=_M),
    _f("altitude_ft", _A, "altitude", "alt_baro", "altitude_baro", "altitude_ft", "baro_altitude_ft", "alt_ft", unit=_FT),
    _f(
        "altitude",
        _A,
        "altitude",
        *("altitude", "baro_altitude", "baroaltitude", "baroAltitude", "barometric_altitude", "alt"),
        unit=Unit.NATIVE_ALTITUDE,
    ),
    _f("geo_altitude_m", _N, "geo_altitude", "geo_altitude_m", "geoaltitude_m", unit=_M),
    _f("geo_altitude_ft", _N, "geo_altitude", "alt_geom", "geo_altitude_ft", "geoaltitude_ft", "altitude_geom", unit=_FT),
    _f(
        "geo_altitude",
        _N,
        "geo_altitude",
        *("geo_altitude", "geoaltitude", "geoAltitude", "geometric_altitude", "gps_altitude"),
        unit=Unit.NATIVE_ALTITUDE,
    ),
    _f("velocity_mps", _N, "velocity", "velocity_mps", "velocity_ms", "speed_mps", "speed_ms", unit=_MPS),
    _f(
        "velocity_kt",
        _N,
        "velocity",
        *("gs", "gscp", "gspeed", "speed_kt", "speed_kts", "speed_knots", "velocity_kt", "groundspeed_kt", "ground_speed_kt"),
        unit=_KT,
    ),
    _f("velocity_kmh", _N, "velocity", "speed_kmh", "velocity_kmh", unit=Unit.KM_PER_HOUR),
    _f(
        "velocity",
        _N,
        "velocity",
        *("velocity", "groundspeed", "ground_speed", "groundSpeed", "speed"),
        unit=Unit.NATIVE_SPEED,
    ),
    _f("heading", _N, "heading", "heading", "track", "true_track", "trueTrack", "course", "track_angle", unit=_DEG),
    _f("vertical_rate_mps", _N, "vertical_rate", "vertical_rate_mps", "vertical_rate_ms", unit=_MPS),
    _f("baro_rate_fpm", _N, "vertical_rate", "baro_rate", "vertical_rate_fpm", "vspeed", "rocd_fpm", unit=_FPM),
    Field(name="geom_rate_fpm", kind=_N, keys=("geom_rate",), keep=True, unit=_FPM, target="vertical_rate"),
    _f(
        "vertical_rate",
        _N,
        "vertical_rate",
        *("vertical_rate", "vertrate", "vertRate", "verticalRate", "vert_rate", "vertical_speed", "verticalSpeed"),
        unit=Unit.NATIVE_RATE,
    ),
    _f("on_ground", _B, "on_ground", "on_ground", "onground", "onGround", "is_on_ground", "gnd"),
    _f("squawk", _T, "squawk", "squawk", "squawk_code"),
    _f("spi", _B, "spi"),
    _f("position_source", _T, "position_source", "position_source", "positionSource"),
    _f("category", _T, "category", "category", "emitter_category"),
    _f("origin_country", _T, "origin_country", "origin_country", "originCountry"),
)

_FLAT_ADDRESSES: Final = ("icao24", "icao", "hex", "icao_address", "icao24_address", "hexid", "mode_s", "modes")
_FLAT_TIMES: Final = (
    "timestamp",
    "time",
    "now",
    "datetime",
    "date_time",
    "timestamp_utc",
    "time_utc",
    "timestamp_ms",
    "ts",
    "clock",
)

_FLAT: Final = Layout(
    name="flat",
    about="one object a record, in an array, under records or data, or one a line; SI, or --units aviation",
    records=((), ("records",), ("data",), ("states",)),
    rows="object",
    signatures=tuple((address,) for address in _FLAT_ADDRESSES) + tuple((time,) for time in _FLAT_TIMES),
    fields=_FLAT_FIELDS,
)

LAYOUTS: Final[dict[str, Layout]] = {
    "opensky": _OPENSKY,
    "trace": _TRACE,
    "fr24": _FR24,
    "adsbx-v2": _ADSBX_V2,
    "adsbx-v1": _ADSBX_V1,
    "readsb": _READSB,
    "opensky-history": _HISTORY,
    "opensky-history-csv": replace(_HISTORY, records=((),), rows="csv"),
    "opensky-objects": _OPENSKY_OBJECTS,
    "flat": _FLAT,
    "flat-columns": replace(
        _FLAT, name="flat-columns", about="one object of columns, as pandas writes it", rows="columns", records=((),)
    ),
}

LAYOUT_NAMES: Final = tuple(sorted({layout.name for layout in LAYOUTS.values()}))
