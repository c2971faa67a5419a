r"""Where values begin and end, in bytes that may be broken.

A value in order ends where its brackets close. A value is *broken* when no continuation could mend it: a line break inside
a string, a bracket that closes another kind, a container where only a key may stand, or two values side by side where the
first is a string (the sign of a lost quote).

All of this depends on the bytes alone, never on how they were cut into blocks.
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flight_etl.core.decode.window import Window

__all__ = ["CLOSE_ARRAY", "CLOSE_OBJECT", "COLON", "COMMA", "OPEN_ARRAY", "OPEN_OBJECT", "QUOTE", "TAIL"]
__all__ += ["Verdict", "between", "extent", "find", "head_before", "next_member", "skip_blank"]

QUOTE, OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY, COMMA, COLON = b'"{}[],:'

_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]++|\\[^\n])*+"|[{}\[\]":,]|[^ \t\r\n{}\[\]":,]++')
_WORD: Final = re.compile(rb'[^ \t\r\n{}\[\]":,]*+')
_IN_STRING: Final = re.compile(rb'(?:[^"\\\n]++|\\[^\n])*+')
_OPENS: Final = {CLOSE_OBJECT: OPEN_OBJECT, CLOSE_ARRAY: OPEN_ARRAY}
_PARTIAL: Final = b" \t\r\n,{"  # a match that has only begun ends in these, behind one other byte

# Objects whose members are scalars, as far as one expression can tell.
_GAP: Final = rb"[ \t\r\n]*+"
_STRING: Final = rb'"[^"\\]*+"'
_MEMBER: Final = _GAP + _STRING + _GAP + b":" + _GAP + b"(?:" + _STRING + rb"|[-+.\w]++)" + _GAP
TAIL: Final = re.compile(b"((?:" + _GAP + b"," + _MEMBER + b")*+)" + _GAP + rb"\}")
"""The rest of an object behind an array; group 1 are its members."""


@cache
def head_before(names: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Pattern of the begin of an object up to the array under one of the names; group 1 are the members before."""
    name = b"(?:" + b"|".join(map(re.escape, names)) + b")"
    return re.compile(rb"\{((?:" + _MEMBER + b",)*+)" + _GAP + name + _GAP + b":" + _GAP + rb"(?=\[)")


def between(marks: bytes) -> re.Pattern[bytes]:
    """Pattern of the first byte that is neither white space nor one of `marks`."""
    return re.compile(rb"[^ \t\r\n%b]" % re.escape(marks))


_BLANK: Final = between(b"")
_BETWEEN_MEMBERS: Final = between(b",]")


class Verdict(IntEnum):
    """How the scan of a value ended."""

    WHOLE = 0
    DEEP = 1  # whole, but nested too deep
    LARGE = 2  # whole, but too long to have been kept
    BROKEN = 3
    CUT = 4  # the stream ends inside it


class _Last(IntEnum):
    """What the last token was, as far as it matters for the next one."""

    OPEN = 0
    COMMA = 1
    COLON = 2
    STRING = 3
    OTHER = 4  # a number, a word, or a closed container


def skip_blank(window: Window, at: int, *, keep: int | None = None, limit: int = 0, pattern: re.Pattern[bytes] = _BLANK) -> int:
    """Position of the first byte at or after `at` that is no white space; -1 at the end of the stream.

    Bytes from `keep` on stay in memory for up to `limit` bytes.
    """
    while True:
        found = pattern.search(window.data, at - window.start)
        if found:
            return window.start + found.start()
        at = max(at, window.end)
        if not window.more(at if keep is None or at - keep > limit else keep):
            return -1


def find(window: Window, pattern: re.Pattern[bytes], at: int, *, keep: int, limit: int) -> int:
    """Position behind the first match of `pattern` at or after `at`, or -1; bytes from `keep` on stay for up to `limit` bytes.

    A match is one byte, then any of `_PARTIAL`, and ends before a byte that it looks at; so it depends on no block's end,
    unless white space in it is longer than `limit`.
    """
    while True:
        found = pattern.search(window.data, at - window.start)
        if found:
            return window.start + found.end()
        begun = max(window.start + len(window.data.rstrip(_PARTIAL)) - 1, at)
        at = max(begun, window.end - limit)
        if not window.more(keep if window.end - keep <= limit else at):
            return -1


def next_member(window: Window, at: int, *, keep: int, limit: int) -> tuple[bytes | None, int, Verdict]:
    """Go from inside an object to its next member: the key as it is written, and the position of the value.

    Commas too many and stray `]` are no harm. Without a key: WHOLE behind the object, or BROKEN or CUT at that position.
    """
    at = skip_blank(window, at, keep=keep, limit=limit, pattern=_BETWEEN_MEMBERS)
    if at < 0:
        return None, window.end, Verdict.CUT
    if window.byte(at) == CLOSE_OBJECT:
        return None, at + 1, Verdict.WHOLE
    if window.byte(at) != QUOTE:
        return None, at, Verdict.BROKEN
    keep = min(keep, at)
    end, verdict = extent(window, at, keep=keep, limit=limit, max_depth=1)
    if verdict is not Verdict.WHOLE:
        return None, end, verdict if verdict is Verdict.CUT else Verdict.BROKEN
    key = window.cut(at, end)
    at = skip_blank(window, end, keep=keep, limit=limit)
    if at >= 0 and window.byte(at) != COLON:
        return None, at, Verdict.BROKEN
    at = skip_blank(window, at + 1, keep=keep, limit=limit) if at >= 0 else at
    return (None, window.end, Verdict.CUT) if at < 0 else (key, at, Verdict.WHOLE)


def extent(window: Window, at: int, *, keep: int, limit: int, max_depth: int) -> tuple[int, Verdict]:
    """Position behind the value that begins at `at`, or where it was found broken.

    Bytes from `keep` on stay in memory while the value is at most `limit` bytes long.
    """
    return _Scan(window, at, keep, limit, max_depth).run()


class _Scan:
    """The scan of one value. `stack` holds the brackets that are open."""

    __slots__ = ("at", "begin", "deep", "keep", "large", "last", "limit", "max_depth", "stack", "window")

    def __init__(self, window: Window, at: int, keep: int, limit: int, max_depth: int) -> None:
        self.window, self.at, self.begin, self.keep = window, at, at, keep
        self.limit, self.max_depth = limit, max_depth
        self.stack = bytearray()
        self.last = _Last.OPEN
        self.deep = self.large = False

    def run(self) -> tuple[int, Verdict]:
        """Scan to the end of the value."""
        while True:
            verdict = self._tokens()
            if verdict is not None:
                return self.at, verdict
            if self.at == self.window.end and not self._more(self.at):
                return self.window.end, Verdict.CUT

    def _more(self, needed: int) -> bool:
        """Read on; bytes from `needed` on stay in any case."""
        self.large = self.large or self.window.end - self.begin > self.limit
        return self.window.more(needed if self.large else self.keep)

    def _whole(self) -> Verdict:
        if self.at - self.begin > self.limit:
            return Verdict.LARGE
        return Verdict.DEEP if self.deep else Verdict.WHOLE

    def _tokens(self) -> Verdict | None:
        """Go through the tokens in memory; None when there are no more, or the window has moved."""
        data, start, stack = self.window.data, self.window.start, self.stack
        for token in _TOKEN.finditer(data, self.at - start):
            begin, end = token.span()
            byte = data[begin]
            self.at = start + begin
            if not self._may_follow(byte):
                return Verdict.BROKEN
            if byte in (OPEN_OBJECT, OPEN_ARRAY):
                stack.append(byte)
                self.deep = self.deep or len(stack) > self.max_depth
                self.last = _Last.OPEN
            elif byte in _OPENS:
                stack.pop()
                self.last = _Last.OTHER
            elif byte == QUOTE:
                self.last = _Last.STRING
                if end - begin == 1:  # a string that does not end here
                    return self._long_string()
            elif byte in (COMMA, COLON):
                self.last = _Last.COMMA if byte == COMMA else _Last.COLON
            else:
                self.last = _Last.OTHER
                if end == len(data):
                    return self._long_word()
            self.at = start + end
            if not stack:
                return self._whole()
        self.at = self.window.end
        return None

    def _may_follow(self, byte: int) -> bool:
        """Whether a token that begins with `byte` may stand here."""
        stack = self.stack
        if byte in (OPEN_OBJECT, OPEN_ARRAY):
            if stack and stack[-1] == OPEN_OBJECT:
                return self.last is _Last.COLON
            return self.last in (_Last.OPEN, _Last.COMMA)
        if byte in _OPENS:
            return bool(stack) and stack[-1] == _OPENS[byte]
        if byte in (COMMA, COLON):
            return bool(stack)
        return self.last is not _Last.STRING

    def _long_string(self) -> Verdict | None:
        """Go on in a string whose end is not in memory; a line break in it breaks it."""
        window, inside = self.window, self.at + 1
        while True:
            found = _IN_STRING.match(window.data, inside - window.start)
            assert found is not None  # the pattern matches the empty string
            inside = window.start + found.end()
            rest = window.data[found.end() : found.end() + 2]
            if rest[:1] == b'"':
                self.at = inside + 1
                return None if self.stack else self._whole()
            if rest[:1] == b"\n" or rest == b"\\\n":
                self.at = inside
                return Verdict.BROKEN
            if not self._more(inside):
                self.at = window.end
                return Verdict.CUT

    def _long_word(self) -> Verdict | None:
        """Go on in a word that may not end with what is in memory."""
        window = self.window
        while True:
            found = _WORD.match(window.data, self.at - window.start)
            assert found is not None  # the pattern matches the empty string
            self.at = window.start + found.end()
            if self.at < window.end or not self._more(self.at):
                return None if self.stack else self._whole()
