"""One record's bytes to Python values, with leniency for what other writers call JSON.

orjson reads nearly everything. What it refuses is tried again with the standard library, for the sake of records that are
sound but for one value: `NaN` and `Infinity` become null and are counted, numbers that no float64 can hold become a
`HugeNumber`, lone surrogates become U+FFFD. All else that orjson refuses is no JSON.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

__all__ = ["HugeNumber", "Parsed", "parse"]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MAX_DIGITS: Final = 4_300  # Python's own limit on digits of an int


class HugeNumber(str):
    """The token of a number beyond the range of float64."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value, or why there is none, and how many NaN and Infinity tokens became null in it."""

    value: Any
    nan_tokens: int = 0
    error: str | None = None


def parse(raw: bytes) -> Parsed:
    """Parse the bytes of one value."""
    try:
        return Parsed(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        return _lenient(raw, str(error))


def _lenient(raw: bytes, refusal: str) -> Parsed:
    nan_tokens = 0

    def constant(_: str) -> None:
        nonlocal nan_tokens
        nan_tokens += 1

    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=constant, parse_int=_integer, parse_float=_real)
    except (ValueError, RecursionError):
        return Parsed(None, error=f"not JSON ({refusal})")
    return Parsed(_mended(value), nan_tokens)


def _integer(token: str) -> int | float | HugeNumber:
    if len(token) < _MAX_DIGITS:
        number = int(token)
        if -(1 << 63) <= number < (1 << 64):
            return number
    return _real(token)


def _real(token: str) -> float | HugeNumber:
    number = float(token)
    return number if math.isfinite(number) else HugeNumber(token)


def _mended(value: Any) -> Any:
    """Replace lone surrogates, which no UTF-8 text can hold, in strings and keys."""
    if isinstance(value, HugeNumber):
        return value
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value
