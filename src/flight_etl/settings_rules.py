"""Settings from text and tables, and what is permitted: one line for each rule, and one message for each breach."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from flight_etl import settings as contract
from flight_etl.errors import SettingsError
from flight_etl.settings import MIN_MEMORY_MB, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.settings import ImputeSettings

__all__ = ["NUMBERS", "WORDS", "check", "check_methods", "from_mapping", "override"]

_TRUE: Final = frozenset(("1", "true", "yes", "on"))
_FALSE: Final = frozenset(("0", "false", "no", "off"))
_TOP: Final = ""  # section of the fields of Settings itself

# section, field -> the least and the greatest permitted value, and the unit. None is permitted wherever it is a default.
_RANGES: Final[dict[tuple[str, str], tuple[float, float, str]]] = {
    ("decode", "chunk_rows"): (1, 10_000_000, "rows"),
    ("decode", "max_record_bytes"): (1 << 10, 1 << 30, "bytes"),
    ("decode", "max_depth"): (1, 1024, "levels"),
    ("decode", "max_extra_columns"): (0, 1024, "columns"),
    ("clean", "max_velocity_mps"): (1, math.inf, "m/s"),
    ("clean", "max_vertical_rate_mps"): (1, math.inf, "m/s"),
    ("clean", "max_position_lag_s"): (0, math.inf, "s"),
    ("clean", "max_position_lead_s"): (0, math.inf, "s"),
    ("filter", "start_ms"): (-62_135_596_800_000, 253_402_300_799_999, "ms since 1970, the years 1 to 9999"),
    ("filter", "end_ms"): (-62_135_596_800_000, 253_402_300_799_999, "ms since 1970, the years 1 to 9999"),
    ("dedupe", "tolerance_s"): (0, 60, "s"),
    ("stale", "min_speed_kt"): (0, math.inf, "kt"),
    ("outlier", "max_speed_mps"): (1, math.inf, "m/s"),
    ("outlier", "speed_factor"): (1, math.inf, "times"),
    ("outlier", "least_speed_mps"): (0, math.inf, "m/s"),
    ("outlier", "lag_s"): (0, math.inf, "s"),
    ("outlier", "slack_m"): (0, math.inf, "m"),
    ("outlier", "stray_m"): (0, math.inf, "m"),
    ("segment", "gap_s"): (60, math.inf, "s"),
    ("segment", "block_gap_s"): (60, math.inf, "s"),
    ("segment", "ground_stop_s"): (0, math.inf, "s"),
    ("segment", "callsign_gap_s"): (0, math.inf, "s"),
    ("segment", "max_flight_rows"): (1_000, 1_000_000, "rows"),
    ("impute", "max_gap_s"): (0, math.inf, "s"),
    ("motion", "max_gap_s"): (1, math.inf, "s"),
    ("motion", "max_speed_mps"): (1, math.inf, "m/s"),
    ("motion", "rate_span_s"): (0, math.inf, "s"),
    ("phase", "rate_window_s"): (1, 600, "s"),
    ("phase", "max_gap_s"): (1, math.inf, "s"),
    ("airports", "max_distance_km"): (0, 100, "km"),
    ("output", "row_group_rows"): (1_000, 10_000_000, "rows"),
    ("output", "rows_per_file"): (1, math.inf, "rows"),
    ("resources", "memory_limit_mb"): (MIN_MEMORY_MB, math.inf, "MB"),
    ("resources", "workers"): (1, 256, "threads"),
    ("service", "max_retries"): (0, 20, "retries"),
}
# Columns that may be filled, by any method and by those for text.
NUMBERS: Final = ("altitude", "geo_altitude", "velocity", "heading", "vertical_rate")
WORDS: Final = ("callsign", "position_source", "category", "origin_country")
_OF_WORDS: Final = ("forward_fill", "backward_fill", "mode", "none")
_ADDRESS: Final = re.compile(r"~?[0-9a-f]{6}")
_MAX_LATITUDE: Final = 90.0  # deg
_MAX_LONGITUDE: Final = 180.0  # deg


def override(settings: Settings, section: str, key: str, value: Any, *, name: str | None = None) -> Settings:
    """Settings with one field replaced; text is read as the field's type. `name` is what the user calls the field.

    Raises SettingsError for an unknown section or field, or a value that is not permitted.
    """
    name = name or (f"{section}.{key}" if section else key)
    target: Any = settings if section == _TOP else getattr(settings, section, None)
    sections = [f.name for f in dataclasses.fields(Settings) if dataclasses.is_dataclass(getattr(settings, f.name))]
    if target is None or (section and section not in sections):
        raise SettingsError(f"{name}: there is no section {section!r}; sections are {', '.join(sections)}")
    hints = typing.get_type_hints(type(target), vars(contract))
    keys = [f.name for f in dataclasses.fields(target) if section != _TOP or f.name not in sections]
    if key not in keys:
        raise SettingsError(f"{name}: there is no setting {key!r}; settings here are {', '.join(keys)}")
    read = _read(hints[key], value, name, _range_words(section, key))
    _in_range(section, key, read, name)
    changed: Any = dataclasses.replace(target, **{key: read})
    whole: dict[str, Any] = {section: changed}
    replaced: Settings = changed if section == _TOP else dataclasses.replace(settings, **whole)
    return replaced


def from_mapping(data: Mapping[str, Any], *, base: Settings, where: str) -> Settings:
    """Apply a table of settings (as from TOML: top-level fields and sections) to `base`; `where` is named in errors."""
    settings = base
    for section, value in data.items():
        members = value.items() if isinstance(value, dict) else [(section, value)]
        for key, one in members:
            inside = section if isinstance(value, dict) else _TOP
            label = f"{where}: {section}.{key}" if inside else f"{where}: {key}"
            settings = override(settings, inside, key, one, name=label)
    return settings


def check(settings: Settings) -> None:
    """Raise SettingsError unless every field is in its range, and the fields agree with each other."""
    for section, key in _RANGES:
        _in_range(section, key, getattr(getattr(settings, section), key), f"{section}.{key}")
    tolerance, gap = settings.dedupe.tolerance_s, settings.segment.gap_s
    if tolerance >= gap:
        raise SettingsError(f"dedupe.tolerance_s={tolerance} is not permitted: less than segment.gap_s={gap}")
    if settings.segment.block_gap_s < gap:
        raise SettingsError(f"segment.block_gap_s={settings.segment.block_gap_s} is not permitted: at least segment.gap_s={gap}")
    if settings.filter.bbox is not None:
        west, south, east, north = settings.filter.bbox
        if max(abs(west), abs(east)) > _MAX_LONGITUDE or not -_MAX_LATITUDE <= south <= north <= _MAX_LATITUDE:
            raise SettingsError(
                f"filter.bbox={settings.filter.bbox} is not permitted: west,south,east,north in degrees, "
                "longitudes -180 to 180, latitudes -90 to 90, south below north"
            )
    _check_filter(settings)
    edges = dataclasses.astuple(settings.speed)
    if list(edges) != sorted(edges):
        raise SettingsError(f"speed={settings.speed} is not permitted: each edge at least as high as the one before it")
    check_methods(settings.impute)
    if not re.fullmatch(r"[^.]+(\.[^.]+)+", settings.table.name):
        raise SettingsError(f"table.name={settings.table.name!r} is not permitted: namespace.name")


def check_methods(settings: ImputeSettings) -> None:
    """Raise SettingsError for a column that may not be filled, or not by that method."""
    for column, method in settings.methods:
        if column not in NUMBERS + WORDS:
            raise SettingsError(f"impute.methods: {column!r} is never filled; only {', '.join(NUMBERS + WORDS)} may be")
        if column in WORDS and method not in _OF_WORDS:
            raise SettingsError(f"impute.methods: {column}={method!r} is not permitted: text takes {', '.join(_OF_WORDS)}")


def _check_filter(settings: Settings) -> None:
    start, end = settings.filter.start_ms, settings.filter.end_ms
    if start is not None and end is not None and start >= end:
        raise SettingsError(f"filter.end_ms={end} is not permitted: later than filter.start_ms={start} (--from before --to)")
    for address in settings.filter.icao24:
        if not _ADDRESS.fullmatch(address):
            raise SettingsError(
                f"filter.icao24={address!r} is not permitted: six hexadecimal digits in lower case, perhaps after ~"
            )


def _in_range(section: str, key: str, value: Any, name: str) -> None:
    permitted = _RANGES.get((section, key))
    if permitted is None or value is None:
        return
    least, most, _ = permitted
    if not least <= value <= most:
        raise SettingsError(f"{name}={value!r} is not permitted: {_range_words(section, key)}")


def _range_words(section: str, key: str) -> str:
    """What is permitted of a number; nothing where there is no range."""
    if (section, key) not in _RANGES:
        return ""
    least, most, unit = _RANGES[section, key]
    return f"at least {least:,} {unit}" if most == math.inf else f"{least:,} to {most:,} {unit}"


def _read(hint: Any, value: Any, name: str, permitted: str) -> Any:
    """Value as the type that a field declares."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)  # Literal[...] | None is the former
    options = typing.get_args(hint) if union else (hint,)
    if type(None) in options and (value is None or (isinstance(value, str) and value.lower() in ("", "none"))):
        return None
    for option in options:
        found = _as(option, value)
        if found is not None:
            return found[0]
    words = ", ".join(filter(None, (_words(options), permitted)))
    raise SettingsError(f"{name}={value!r} is not permitted: {words}")


def _as(hint: Any, value: Any) -> tuple[Any] | None:
    """Value as one type, in a tuple; None where it is none."""
    if typing.get_origin(hint) is typing.Literal:
        words = typing.get_args(hint)
        found = next((w for w in words if isinstance(value, str) and value.lower() == w.lower()), None)
        return None if found is None else (found,)
    if typing.get_origin(hint) is tuple:
        return _as_tuple(typing.get_args(hint), value)
    if hint is bool:
        return _as_bool(value)
    if hint in (int, float):
        return _as_number(hint, value)
    return (value,) if hint is str and isinstance(value, str) else None


def _as_bool(value: Any) -> tuple[Any] | None:
    if isinstance(value, bool):
        return (value,)
    word = str(value).lower()
    return (word in _TRUE,) if word in _TRUE | _FALSE else None


def _as_number(hint: Any, value: Any) -> tuple[Any] | None:
    if isinstance(value, bool):
        return None
    try:
        number = hint(value)
    except (TypeError, ValueError, OverflowError):
        return None
    exact = number == value if isinstance(value, float) else True
    return (number,) if exact and number == number and abs(number) != math.inf else None  # noqa: PLR0124 - NaN


def _as_tuple(members: tuple[Any, ...], value: Any) -> tuple[Any] | None:
    """Tuples are written as lists, as `a,b,c`, or, of pairs, as tables or `a=b,c=d`."""
    repeated = len(members) == 2 and members[1] is Ellipsis  # noqa: PLR2004
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, dict):
        value = list(value.items())
    if not isinstance(value, (list, tuple)) or not (repeated or len(value) == len(members)):
        return None
    pairs = repeated and typing.get_origin(members[0]) is tuple
    value = [tuple(one.split("=", 1)) if pairs and isinstance(one, str) else one for one in value]
    found = [_as(members[0] if repeated else members[at], one) for at, one in enumerate(value)]
    return None if None in found else (tuple(one[0] for one in found if one is not None),)


def _words(options: tuple[Any, ...]) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    words = []
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            words.append(", ".join(typing.get_args(option)))
        else:
            words.append(names.get(option, "a list"))
    return " or ".join(words)
