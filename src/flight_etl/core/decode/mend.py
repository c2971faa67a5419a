"""What to do about a broken record: book it, and find where reading resumes.

Reading resumes at the first *anchor* behind the broken record's begin. What lies before the anchor is the broken record.
In an array of objects an anchor is `}` then `{`, with nothing but blanks and commas between; `}` before `]`; a line that
begins with a bracket after one that does not end in `,`, `[`, `{` or `:`; and a line that begins with `{"`. In an array of
arrays it is the same with `]` and `[`. Between documents it is a line that begins with a bracket.

A record that was found broken where the next one opens ends there: its own closing bracket was lost; and so does one with a
wrong closing bracket before a comma and the next one. A row that holds another row has lost its closing bracket, too.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from flight_etl.core.decode.collect import Collector, Document
from flight_etl.core.decode.parse import parse
from flight_etl.core.decode.scan import (
    CLOSE_ARRAY,
    CLOSE_OBJECT,
    COLON,
    COMMA,
    OPEN_ARRAY,
    OPEN_OBJECT,
    QUOTE,
    Verdict,
    extent,
    find,
    skip_blank,
)
from flight_etl.outcome import Reason

if TYPE_CHECKING:
    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["Mender"]

# Not possessive: that would take some 30 bytes of memory for each byte searched (CPython 3.11), and no pattern goes back far.
_LINE: Final = rb'[^ \t\r\n,\[{:][ \t\r]*\n[ \t\r\n]*(?=[\[{])|\n(?=\{[ \t]*")'
_ANCHORS: Final = {
    dict: re.compile(rb"\}[ \t\r\n,]*(?=\{)|\}[ \t\r\n]*(?=\])|" + _LINE),
    list: re.compile(rb"\][ \t\r\n,]*(?=\[)|\][ \t\r\n]*(?=\])|" + _LINE),
}
_LINE_ANCHOR: Final = re.compile(rb"\n[ \t\r]*(?=[\[{])")
_STRAY_END: Final = re.compile(rb"\n|\}[ \t\r\n,]*(?=\{)|[^ \t\r\n:,\[{][ \t\r]*(?=[\[{])")
_ROW_WITHOUT_BEGIN: Final = re.compile(rb"[^\[\]{}\n]*+\](?=[ \t\r\n]*+,[ \t\r\n]*+\[)")
_STRING: Final = rb'"(?:[^"\\\n]++|\\.)*+"'
# A row up to where another one of so many columns begins in it. Lists of integers (receivers) and objects are part of a row.
_OPEN_ROW: Final = rb"\[(?:%b|[^\"\[\]{}]|\[[\d \t\r\n,]*+\]|\{(?:%b|[^\"{}])*+\})*+(?=\[(?:(?:%b|[^\"\[\]{},])*+,){%d})"
_ROW_BYTES: Final = 1 << 13  # B; two rows are shorter


@cache
def _open_row(least: int) -> re.Pattern[bytes]:
    """Pattern of a row without its closing bracket, where rows have at least so many columns."""
    return re.compile(_OPEN_ROW % (_STRING, _STRING, _STRING, max(least - 1, 0)))


class Mender(Collector):
    """A collector that gets past what is broken. Every method returns the position where reading resumes."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings, offset: int = 0) -> None:
        super().__init__(source, layout, settings, offset)
        self._open_row = _open_row(self._least)

    def _next_line(self, begin: int, broken: int, verdict: Verdict) -> int:
        """Book the object at `begin`, found to be broken or cut at `broken`, at the top of the stream."""
        held, raw = self._seen(begin, broken)
        anchor = find(self.window, _LINE_ANCHOR, begin + 1 if held else broken, keep=begin, limit=self._settings.max_record_bytes)
        return self._resume(begin, anchor, raw, verdict)

    def _resume(self, begin: int, anchor: int, raw: bytes, verdict: Verdict) -> int:
        if anchor >= 0:
            self._drop(begin, Reason.BAD_JSON, "not JSON", raw)
            return anchor
        if verdict is Verdict.CUT:
            self._drop(begin, Reason.TRUNCATED, "the input ends inside it", raw)
            self.cut_at = begin
        else:
            self._drop(begin, Reason.BAD_JSON, "not JSON, and nothing behind it looks like a record", raw)
        return self.window.drain()

    def _seen(self, begin: int, broken: int) -> tuple[bool, bytes]:
        """Whether the bytes from `begin` to `broken` are held, and which they are."""
        if broken - begin > self._settings.max_record_bytes:
            return False, b""
        return True, self.window.cut(begin, broken + 1)

    def _stray(self, begin: int) -> int:
        """Book what stands between documents and begins none, up to the next line or bracket."""
        limit = self._settings.max_record_bytes
        end = find(self.window, _STRAY_END, begin, keep=begin, limit=limit)
        end = self.window.end if end < 0 else end
        raw = self.window.cut(begin, end).strip() if end - begin <= limit else b""
        scalar = bool(raw) and parse(raw).error is None
        reason = Reason.NOT_A_RECORD if scalar else Reason.BAD_JSON
        self._drop(begin, reason, "a value that is no record" if scalar else "not JSON", raw)
        return end

    def _element(self, at: int, document: Document) -> tuple[int, bool]:
        """Read the element at `at` with all care; True when the array ends with it."""
        window, limit = self.window, self._settings.max_record_bytes
        byte = window.byte(at)
        if byte not in (OPEN_ARRAY, OPEN_OBJECT) and document is not self._bare and self._row is list:
            row = _ROW_WITHOUT_BEGIN.match(self._head(at, _ROW_BYTES))
            if row:
                self._drop(at, Reason.BAD_JSON, "a row without its opening bracket", row[0])
                return at + row.end(), False
        if byte == OPEN_ARRAY and self._row is list:
            row = self._open_row.match(self._head(at, _ROW_BYTES))
            if row:
                self._drop(at, Reason.BAD_JSON, "a row without its closing bracket", row[0])
                return at + row.end(), False
        end, verdict = extent(window, at, keep=at, limit=limit, max_depth=self._settings.max_depth)
        if verdict is Verdict.WHOLE and byte == QUOTE:
            after = skip_blank(window, end, keep=at, limit=limit)
            if after >= 0 and window.byte(after) == COLON:  # a member
                if self._row is list and document is not self._bare:  # so the array's own closing bracket was lost
                    return at, True
                end, verdict = after, Verdict.BROKEN
        if verdict in (Verdict.BROKEN, Verdict.CUT):
            return self._broken(at, end, verdict)
        self._judge(at, end, verdict, document)
        return end, False

    def _broken(self, at: int, broken: int, verdict: Verdict) -> tuple[int, bool]:
        """Book the element at `at`, found to be broken or cut at `broken`."""
        window, limit = self.window, self._settings.max_record_bytes
        held, raw = self._seen(at, broken)
        anchors = _ANCHORS[self._row]
        ends = self._next_behind(broken) if verdict is Verdict.BROKEN else -1
        if ends >= 0:
            sooner = anchors.search(raw) if held else None
            anchor = at + sooner.end() if sooner else ends
        else:
            anchor = find(window, anchors, at if held else broken, keep=at, limit=limit)
        resumed = self._resume(at, anchor, raw, verdict)
        if anchor < 0:
            self.cut_at = resumed if self.cut_at is None else self.cut_at
        return resumed, anchor < 0

    def _next_behind(self, broken: int) -> int:
        """Position of the next record where one that was found broken at `broken` ends there; -1: it does not."""
        byte = self.window.byte(broken)
        if byte == OPEN_OBJECT == self._opener:
            return broken
        return self._goes_on(broken) if byte in (CLOSE_ARRAY, CLOSE_OBJECT) else -1

    def _goes_on(self, at: int) -> int:
        """Position of the record behind the bracket at `at` and a comma; -1 where something else follows."""
        for expected in (COMMA, self._opener):
            at = skip_blank(self.window, at + 1, keep=at, limit=_ROW_BYTES)
            if at < 0 or self.window.byte(at) != expected:
                return -1
        return at

    def _head(self, at: int, count: int) -> bytes:
        """The first `count` bytes from `at` on, fewer only at the end of the stream."""
        window = self.window
        while window.end - at < count and window.more(at):
            pass
        return window.cut(at, at + count)
