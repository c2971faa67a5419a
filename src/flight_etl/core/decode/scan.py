"""Where values begin and end, in bytes that may be broken.

A value in order ends where its brackets close. A value is *broken* when no continuation could mend it: a line break inside
a string, a bracket that closes another kind, a container where only a key may stand, or two values side by side where the
first is a string (the sign of a lost quote). After a broken record, reading resumes at the first *anchor* behind the
record's begin: `}` `,` `{` (in arrays of arrays `]` `,` `[`), the same closing bracket before a `]`, or a line that begins
with a bracket after one that does not end in `,`, `[`, `{` or `:`. What lies before the anchor is the broken record.

All of this depends on the bytes alone, never on how they were cut into blocks.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flight_etl.core.decode.window import Window

__all__ = ["ARRAY_ANCHOR", "ARRAY_END", "LINE_ANCHOR", "OBJECT_ANCHOR", "OBJECT_END", "Verdict", "extent", "find", "skip_blank"]

_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]++|\\[^\n])*+"|[{}\[\]":,]|[^\s{}\[\]":,]++', re.DOTALL)
_IN_STRING: Final = re.compile(rb'(?:[^"\\\n]++|\\[^\n])*+', re.DOTALL)
_NOT_BLANK: Final = re.compile(rb"[^ \t\r\n]")
_NEW_LINE: Final = rb"[^\s,\[{:]\s*\n\s*(?=[\[{])"

# Where an element of an array most likely ends, for a first try; group 1 is behind the element.
OBJECT_END: Final = re.compile(rb"\}()\s*(?:,\s*\{|\])")
ARRAY_END: Final = re.compile(rb"\]()\s*(?:,\s*\[|\])")
# Where reading resumes after a broken record.
OBJECT_ANCHOR: Final = re.compile(rb"\}\s*,\s*(?=\{)|\}\s*(?=\])|" + _NEW_LINE)
ARRAY_ANCHOR: Final = re.compile(rb"\]\s*,\s*(?=\[)|\]\s*(?=\])|" + _NEW_LINE)
LINE_ANCHOR: Final = re.compile(rb"\n\s*(?=[\[{])")

_ANCHOR_TAIL: Final = 1 << 16  # B kept when an anchor is searched in a record too large to be held

_QUOTE, _OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY, _COMMA, _COLON = b'"{}[],:'
_CLOSES: Final = {_CLOSE_OBJECT: _OPEN_OBJECT, _CLOSE_ARRAY: _OPEN_ARRAY}


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


def skip_blank(window: Window, at: int, keep: int | None = None) -> int:
    """Position of the first byte at or after `at` that is no white space; -1 at the end of the stream.

    Bytes from `keep` on stay in memory; None: none that are skipped.
    """
    while True:
        found = _NOT_BLANK.search(window.data, at - window.start)
        if found:
            return window.start + found.start()
        at = window.end
        if not window.more(at if keep is None else keep):
            return -1


def find(window: Window, pattern: re.Pattern[bytes], at: int, *, limit: int) -> int:
    """Position behind the first match of `pattern` after `at`, or -1; keeps up to `limit` bytes from `at` on."""
    keep = begin = at
    while True:
        found = pattern.search(window.data, begin - window.start)
        # A match that touches the end of what is in memory may be another one with more bytes.
        if found and (found.end() < len(window.data) or window.ended):
            return window.start + found.end()
        if window.end - keep > limit:
            keep = begin = max(begin, window.end - _ANCHOR_TAIL)
        if window.ended or not window.more(keep):
            return window.start + found.end() if found else -1


def extent(window: Window, at: int, *, keep: int, limit: int, max_depth: int) -> tuple[int, Verdict]:
    """Position behind the value that begins at `at`, or where it was found broken.

    Bytes from `keep` on stay in memory while the value is at most `limit` bytes long.
    """
    scan = _Scan(window, at, keep, limit, max_depth)
    return scan.run()


class _Scan:
    """The scan of one value. `stack` holds the brackets that are open."""

    __slots__ = ("at", "begin", "deep", "keep", "large", "last", "limit", "max_depth", "resumes", "stack", "window")

    def __init__(self, window: Window, at: int, keep: int, limit: int, max_depth: int) -> None:
        self.window, self.at, self.begin, self.keep = window, at, at, keep
        self.limit, self.max_depth = limit, max_depth
        self.stack = bytearray()
        self.last = _Last.OPEN
        self.deep = self.large = self.resumes = False

    def run(self) -> tuple[int, Verdict]:
        """Scan to the end of the value."""
        while True:
            verdict = self._tokens()
            if verdict is not None:
                return self.at, verdict
            if self.resumes:
                self.resumes = False
                continue
            if self.at - self.begin > self.limit or self.window.end - self.begin > self.limit:
                self.large = True
            if self.window.ended or not self.window.more(self.at if self.large else self.keep):
                return self.window.end, self._at_end()

    def _at_end(self) -> Verdict:
        """A bare scalar may end with the stream; all else is cut."""
        bare = not self.stack and self.last is _Last.OTHER
        return self._whole() if bare else Verdict.CUT

    def _whole(self) -> Verdict:
        if self.large or self.at - self.begin > self.limit:
            return Verdict.LARGE
        return Verdict.DEEP if self.deep else Verdict.WHOLE

    def _tokens(self) -> Verdict | None:
        """Go through the tokens in memory; None when more bytes are needed."""
        window, stack = self.window, self.stack
        data, start = window.data, window.start
        for token in _TOKEN.finditer(data, self.at - start):
            begin, end = token.span()
            byte = data[begin]
            if byte == _QUOTE:
                if end - begin == 1:  # a string that does not end here
                    return self._open_string(begin)
                if self.last is _Last.STRING:
                    self.at = start + begin
                    return Verdict.BROKEN
                self.last = _Last.STRING
            elif byte in (_OPEN_OBJECT, _OPEN_ARRAY):
                if not self._may_open():
                    self.at = start + begin
                    return Verdict.BROKEN
                stack.append(byte)
                self.deep = self.deep or len(stack) > self.max_depth
                self.last = _Last.OPEN
                self.at = start + end
                continue
            elif byte in _CLOSES:
                if not stack or stack[-1] != _CLOSES[byte]:
                    self.at = start + begin
                    return Verdict.BROKEN
                stack.pop()
                self.last = _Last.OTHER
            elif byte in (_COMMA, _COLON):
                if not stack:
                    self.at = start + begin
                    return Verdict.BROKEN
                self.last = _Last.COMMA if byte == _COMMA else _Last.COLON
            else:
                if self.last is _Last.STRING:
                    self.at = start + begin
                    return Verdict.BROKEN
                if end == len(data) and not window.ended and not self.large:  # a word may go on in the next block
                    self.at = start + begin
                    self.last = _Last.OTHER if not stack else self.last
                    return None
                self.last = _Last.OTHER
            self.at = start + end
            if not stack:
                return self._whole()
        self.at = window.end
        return None

    def _may_open(self) -> bool:
        if not self.stack:
            return True
        if self.stack[-1] == _OPEN_OBJECT:
            return self.last is _Last.COLON
        return self.last in (_Last.OPEN, _Last.COMMA)

    def _open_string(self, begin: int) -> Verdict | None:
        """Go on in a string whose end is not in memory; a line break in it breaks it."""
        window = self.window
        self.at = window.start + begin
        if self.last is _Last.STRING:
            return Verdict.BROKEN
        inside = self.at + 1
        while True:
            found = _IN_STRING.match(window.data, inside - window.start)
            assert found is not None  # the pattern matches the empty string
            inside = window.start + found.end()
            rest = window.data[found.end() : found.end() + 2]
            if rest[:1] == b'"':
                self.last = _Last.STRING
                self.at = inside + 1
                self.resumes = bool(self.stack)
                return None if self.stack else self._whole()
            if rest[:1] == b"\n" or rest == b"\\\n":
                self.at = inside
                return Verdict.BROKEN
            self.large = self.large or inside - self.begin > self.limit
            if window.ended or not window.more(inside if self.large else self.keep):
                self.at = window.end
                return Verdict.CUT
