"""Source tokens of values: the bytes as they stand in the record, for values that are kept verbatim."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.parse import HugeNumber, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MemberTokens", "RowTokens"]

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]:,]', re.DOTALL)
_AFTER: Final = frozenset(b",} \t\r\n")
_KEY_DEPTH: Final = 1
_MINUS_ZERO: Final = b"-0"


class MemberTokens:
    """Tokens of the members of JSON objects, given by row; each object is taken apart at most once."""

    def __init__(self, raw_of: Callable[[int], bytes]) -> None:
        self._raw_of = raw_of
        self._parts: dict[int, dict[str, str]] = {}

    def token(self, row: int, key: str, value: Any) -> str:
        """Token of the member `key`, whose parsed value is `value`; strings are decoded."""
        known = _only_token(value)
        if known is not None:
            return known
        if row not in self._parts:
            raw = self._raw_of(row)
            if value == 0 and type(value) is int and _MINUS_ZERO not in raw:
                return "0"
            usual = _usual_token(raw, key, value)
            if usual is not None:
                return usual
            self._parts[row] = _members(raw)
        return self._parts[row][key]


class RowTokens:
    """Tokens of the elements of JSON arrays, given by row; each array is taken apart at most once."""

    def __init__(self, raws: Sequence[bytes], values: Sequence[Sequence[Any]]) -> None:
        self._raws, self._values = raws, values
        self._parts: dict[int, list[bytes]] = {}

    def token(self, row: int, index: int, value: Any) -> str:
        """Token of element `index`, whose parsed value is `value`; strings are decoded."""
        known = _only_token(value)
        if known is None and value == 0 and type(value) is int and _MINUS_ZERO not in self._raws[row]:
            return "0"
        return self.raw(row, index).decode("utf-8", "replace") if known is None else known

    def raw(self, row: int, index: int) -> bytes:
        """Bytes of element `index`."""
        if row not in self._parts:
            raw = self._raws[row]
            plain = raw[1:-1].split(b",")
            # As many commas as separators: then no comma stands inside a value.
            self._parts[row] = [part.strip() for part in plain] if len(plain) == len(self._values[row]) else _parts(raw)
        return self._parts[row][index]


def _only_token(value: Any) -> str | None:
    """Token of a value that has only one way to be written; None where there are several."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value) if isinstance(value, int) and value else None


def _usual_token(raw: bytes, key: str, value: Any) -> str | None:
    """Token in the form in which most writers write, which is orjson's, where it stands there so."""
    name = orjson.dumps(key)
    if raw.count(name) != 1:
        return None
    text = b"%b:%b" % (name, _dumped(value))
    at = raw.find(text)
    if at < 0 or not (isinstance(value, (dict, list)) or raw[at + len(text)] in _AFTER):
        return None
    return text[len(name) + 1 :].decode()


def _dumped(value: Any) -> bytes:
    if isinstance(value, HugeNumber):
        return str(value).encode()
    try:
        return orjson.dumps(value)
    except TypeError:  # a huge number somewhere in it
        return b"\0"


def _members(raw: bytes) -> dict[str, str]:
    """Token of each member; of equal keys the last one counts, as in a parser."""
    parts = _parts(raw)
    return {parse(key).value: text.decode("utf-8", "replace") for key, text in zip(parts[::2], parts[1::2], strict=False)}


def _parts(raw: bytes) -> list[bytes]:
    """What stands between the commas and colons of the outermost level."""
    depth, edges = 0, []
    for match in _TOKEN.finditer(raw):
        mark = match[0]
        if mark in b"]}":
            depth -= 1
        if (depth == 0 and mark in b"{[]}") or (depth == _KEY_DEPTH and mark in b",:"):
            edges.append(match.start())
        if mark in b"{[":
            depth += 1
    return [raw[a + 1 : b].strip() for a, b in itertools.pairwise(edges)]
