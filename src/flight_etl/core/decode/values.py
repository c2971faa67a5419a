"""Values as they were parsed -> Arrow columns of the declared kinds.

A value that cannot be read as its kind is null and counted; null, and `""`, are null and not counted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.parse import HugeNumber
from flight_etl.units import MS_PER_SECOND, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flight_etl.core.decode.layout import Field

__all__ = ["RAW_TYPES", "column_of", "ground_of"]

RAW_TYPES: Final = {
    Kind.NUMBER: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.BOOL: pa.bool_(),
    Kind.ALTITUDE: pa.float64(),
    Kind.TIME: pa.int64(),
}

_NUMBER: Final = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*", re.ASCII)
_GROUND: Final = "ground"
_TRUE: Final = frozenset((1, "1", "true"))
_FALSE: Final = frozenset((0, "0", "false"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# A number of seconds up to here (the year 5138) is seconds; a thousand times as much, ms; and so on for us and ns.
_MOST_SECONDS: Final = 1e11
_MAX_TIME_MS: Final = float(1 << 62)

_UNREADABLE: Final = object()
_COMPARABLE: Final = {int, float, str, type(None)}  # of which a value equals none of another meaning


def column_of(values: Sequence[Any], field: Field) -> tuple[pa.Array, int]:
    """RAW column of a field, and how many values were unreadable."""
    kinds = set(map(type, values))
    if kinds == {type(None)}:
        return pa.nulls(len(values), RAW_TYPES[field.kind]), 0
    if field.kind in (Kind.NUMBER, Kind.ALTITUDE) and kinds <= {int, float, type(None)}:
        try:
            return pa.array(values, pa.float64()), 0
        except (pa.ArrowInvalid, OverflowError):  # an int beyond 2**53
            return pa.array([None if v is None else float(v) for v in values], pa.float64()), 0
    read = _READERS[field.kind] if field.kind is not Kind.TIME else _time_reader(field.unit)
    # Equal values are read alike, so each is read once; but not 0 and -0.0, nor a time as an int, whose digits are all kept.
    alike = kinds <= _COMPARABLE and not (field.kind is Kind.TIME and {int, float} <= kinds)
    different = set(values) if alike else {0}
    if 0 not in different:
        known = {value: read(value) for value in different if value is not None}
        read_values = list(map(known.get, values))
    else:
        read_values = [None if value is None else read(value) for value in values]
    unreadable = read_values.count(_UNREADABLE)
    if unreadable:
        read_values = [None if value is _UNREADABLE else value for value in read_values]
    return pa.array(read_values, RAW_TYPES[field.kind]), unreadable


def ground_of(values: Sequence[Any]) -> pa.Array:
    """Where an ALTITUDE was sent as the word "ground"."""
    if str not in set(map(type, values)):
        return pa.array(np.zeros(len(values), np.bool_))
    return pa.array([_is_ground(value) for value in values], pa.bool_())


def _is_ground(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() == _GROUND


def _number(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, HugeNumber):
        if not value.strip():
            return None
        if _NUMBER.fullmatch(value):
            number = float(value)
            return number if abs(number) != float("inf") else _UNREADABLE
        return _UNREADABLE
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return _UNREADABLE


def _altitude(value: Any) -> Any:
    return None if _is_ground(value) else _number(value)


def _bool(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        value = value.strip().lower()
        if not value:
            return None
    elif not isinstance(value, (int, float)):
        return _UNREADABLE
    return True if value in _TRUE else False if value in _FALSE else _UNREADABLE


def _text(value: Any) -> Any:
    """Text, or the token that `tokens` put in its place."""
    if isinstance(value, str):
        return value or None
    return _UNREADABLE


def _time_reader(unit: Unit) -> Callable[[Any], Any]:
    """Reader of times, ms since 1970-01-01 UTC, for a field's unit."""
    return lambda value: _time(value, unit)


def _time(value: Any, unit: Unit) -> Any:
    number = _number(value)
    if number is None:
        return None
    if number is _UNREADABLE:
        return _iso(value.strip()) if isinstance(value, str) and not isinstance(value, HugeNumber) else _UNREADABLE
    # An int is taken as it is, so that microseconds keep all their digits.
    number = value if isinstance(value, int) else number
    milliseconds = number * _milliseconds_per(abs(number), unit)
    return round(milliseconds) if abs(milliseconds) < _MAX_TIME_MS else _UNREADABLE


def _milliseconds_per(magnitude: float, unit: Unit) -> float:
    if unit is Unit.EPOCH_SECOND:
        return MS_PER_SECOND
    if unit is Unit.EPOCH_MILLISECOND:
        return 1
    if magnitude < _MOST_SECONDS:
        return MS_PER_SECOND
    if magnitude < _MOST_SECONDS * 1e3:
        return 1
    return 1e-3 if magnitude < _MOST_SECONDS * 1e6 else 1e-6


def _iso(text: str) -> Any:
    """ISO 8601; without a zone it is UTC. Only whole dates with a time of day, or without one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _UNREADABLE
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return round((moment - _EPOCH) / _MILLISECOND)
    except OverflowError:
        return _UNREADABLE


_READERS: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.BOOL: _bool,
    Kind.ALTITUDE: _altitude,
}
