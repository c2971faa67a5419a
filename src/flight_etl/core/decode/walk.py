"""Finds the records of a layout in a stream of documents, with the place of each, and the members round them.

A document is a value at the top of the stream: a record itself, an array of records, or an object (an *envelope*) that
leads to the array of records along one of the layout's paths. Also several documents, one after another, with or without
commas, or in an array. An element that bears the records array itself is a document of its own: this is how a line that
was cut short costs no more than its last record.

What the envelope says holds for all records of the document, also for those before it. Records wait until the document has
ended; in a document too long for that, its end is looked up ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.collect import Collector, Document, Records, leads_to
from flight_etl.core.decode.parse import parse
from flight_etl.core.decode.scan import (
    ARRAY_ANCHOR,
    ARRAY_END,
    LINE_ANCHOR,
    OBJECT_ANCHOR,
    OBJECT_END,
    Verdict,
    extent,
    find,
    skip_blank,
)
from flight_etl.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["Walker"]

_MAX_MEMBER_BYTES: Final = 1 << 20  # B of an envelope member
_PARSER_DEPTH: Final = 1024  # levels that orjson accepts
_BOM: Final = b"\xef\xbb\xbf"
_QUOTE, _OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY, _COMMA, _COLON = b'"{}[],:'

_Level = dict[str, Any]


class Walker(Collector):
    """Walks a stream and collects its records; see the module's docstring. `walk` is to be run, `take` to be called between."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings, offset: int = 0) -> None:
        super().__init__(source, layout, settings, offset)
        self._source, self._layout = source, layout
        self._paths = [path for path in layout.records if path]
        self._heads = frozenset(path[0] for path in self._paths)
        self._wanted = {key for f in layout.fields if f.envelope for key in f.keys}
        self._wanted |= {path[0] for _, path in layout.envelope_extras}
        self._end = ARRAY_END if layout.rows == "array" else OBJECT_END
        self._anchor = ARRAY_ANCHOR if layout.rows == "array" else OBJECT_ANCHOR
        self._fast = settings.max_depth >= _PARSER_DEPTH

    def _complete(self, document: Document) -> None:
        """Look up what the document says behind the records read so far."""
        if document.complete:  # documents before it are, too
            return
        ahead = Walker(self._source, self._layout, self._settings, document.offset)
        found = Document(document.offset)
        for _ in ahead._object(document.offset, found):
            ahead.found = Records()
        document.envelope.update(found.envelope)
        document.complete = True

    # -- documents ---------------------------------------------------------------------------------------------------

    def walk(self) -> Iterator[None]:
        """Walk the whole stream; gives way whenever enough records have come together."""
        at = self.window.start
        window = self.window
        while len(window.data) < len(_BOM) and window.more(at):
            pass
        if window.data.startswith(_BOM):
            at += len(_BOM)
        while True:
            at = skip_blank(window, at)
            if at < 0:
                return
            byte = window.data[at - window.start]
            if byte == _OPEN_OBJECT:
                if self._plain and self._fast:
                    at, done = self._lines(at)
                    if done:
                        if self.is_ready(self._settings.chunk_rows):
                            yield
                        continue
                at = yield from self._object(at, self._document(at))
            elif byte == _OPEN_ARRAY:
                at = yield from self._array(at, self._bare)
            elif byte == _COMMA:
                at += 1
            else:
                at = self._stray(at)
            if self.is_ready(self._settings.chunk_rows):
                yield

    def _lines(self, at: int) -> tuple[int, bool]:
        """Read lines that are a record each, as long as they are; True if there was one."""
        window = self.window
        first, last = at, self.read + self._settings.chunk_rows
        limit = self._settings.max_record_bytes
        while self.read < last:
            data, start = window.data, window.start
            line_end = data.find(b"\n", at - start)
            if line_end < 0:
                if not window.ended and window.end - at <= limit and window.more(at):
                    continue
                data, start, line_end = window.data, window.start, len(window.data)
            raw = data[at - start : line_end]
            if not raw.startswith(b"{") or len(raw) > limit:
                break
            try:
                value: Any = orjson.loads(raw)
            except orjson.JSONDecodeError:
                break
            if not self._heads.isdisjoint(value) and any(self._is_array_or_null(value, path) for path in self._paths):
                break
            self._keep(at, raw.rstrip(), value, self._bare)
            at = start + line_end
            if line_end == len(data):
                break
            at += 1
        return at, at > first

    def _is_array_or_null(self, value: dict[str, Any], path: tuple[str, ...]) -> bool:
        """Whether the document has its records, or null in their place, at `path`; beside an address null is only a value."""
        there = leads_to(value, path)
        return isinstance(there, list) or (there is None and not self._has_address(value))

    def _has_address(self, value: dict[str, Any]) -> bool:
        keys = (key for f in self._layout.fields if f.target == "icao24" and not f.envelope for key in f.keys)
        return self._plain and any(value.get(key) is not None for key in keys)

    def _document(self, at: int) -> Document:
        return Document(at, complete=not self._wanted)

    def _object(self, at: int, document: Document) -> Generator[None, None, int]:
        """Walk an object at the top: an envelope, or a record."""
        begin, before = at, (self.read, self.empty_documents)
        at, verdict = yield from self._members(at, (), document, document.envelope, keep=begin)
        document.complete = True
        if (self.read, self.empty_documents) != before:
            if verdict is Verdict.CUT and self.cut_at is None:
                self.cut_at = at
            return at
        return self._whole(begin, at, verdict)

    def _whole(self, begin: int, at: int, verdict: Verdict) -> int:
        """Take an object that leads to no records as a record, or book it as broken."""
        window, limit = self.window, self._settings.max_record_bytes
        if verdict in (Verdict.BROKEN, Verdict.CUT):
            held = begin >= window.start
            anchor = find(window, LINE_ANCHOR, begin + 1 if held else at, limit=limit)
            if anchor >= 0:
                self._drop(begin, Reason.BAD_JSON, "not JSON", window.data[max(begin - window.start, 0) :])
                return anchor
            if verdict is Verdict.CUT:
                self._drop(begin, Reason.TRUNCATED, "the input ends inside it")
                self.cut_at = begin
            else:
                self._drop(begin, Reason.BAD_JSON, "not JSON, and nothing behind it looks like a record")
            while window.more(window.end):
                pass
            return window.end
        end, verdict = (
            (at, Verdict.LARGE)
            if begin < window.start
            else extent(window, begin, keep=begin, limit=limit, max_depth=self._settings.max_depth)
        )
        if not self._plain and verdict is Verdict.WHOLE:
            self._drop(begin, Reason.NOT_A_RECORD, f"an object without {self._names()}", window.cut(begin, end))
        else:
            self._judge(begin, end, verdict, self._bare)
        return end

    def _names(self) -> str:
        return " or ".join(json_path for json_path in ("$." + ".".join(path) for path in self._paths))

    def _members(
        self, at: int, prefix: tuple[str, ...], document: Document, level: _Level, *, keep: int
    ) -> Generator[None, None, tuple[int, Verdict]]:
        """Go through the members of the object at `at`: into the records, along the paths to them, past all others."""
        window, limit = self.window, self._settings.max_record_bytes
        at += 1
        while True:
            if at - keep > limit:  # whatever it is, it is no record; bytes need not be kept
                keep = at
            at = skip_blank(window, at, keep)
            if at < 0:
                return window.end, Verdict.CUT
            byte = window.data[at - window.start]
            if byte == _CLOSE_OBJECT:
                return at + 1, Verdict.WHOLE
            if byte == _COMMA:
                at += 1
                continue
            if byte != _QUOTE:
                return at, Verdict.BROKEN
            end, verdict = extent(window, at, keep=keep, limit=limit, max_depth=1)
            if verdict is not Verdict.WHOLE:
                return end, verdict if verdict is Verdict.CUT else Verdict.BROKEN
            key = parse(window.cut(at, end)).value
            at = skip_blank(window, end, keep)
            if at < 0 or window.data[at - window.start] != _COLON:
                return (window.end, Verdict.CUT) if at < 0 else (at, Verdict.BROKEN)
            at = skip_blank(window, at + 1, keep)
            if at < 0:
                return window.end, Verdict.CUT
            at, verdict, keep = yield from self._member(at, (*prefix, key), document, level, keep=keep)
            if verdict in (Verdict.BROKEN, Verdict.CUT):
                return at, verdict

    def _member(
        self, at: int, path: tuple[str, ...], document: Document, level: _Level, *, keep: int
    ) -> Generator[None, None, tuple[int, Verdict, int]]:
        """Read one member's value, which begins at `at`; also gives the position from which bytes are kept."""
        window = self.window
        byte = window.data[at - window.start]
        if path in self._paths and byte == _OPEN_ARRAY:
            document.envelope = level
            before = self.read
            at = yield from self._array(at, document)
            self.empty_documents += self.read == before
            return at, Verdict.CUT if self.cut_at is not None else Verdict.WHOLE, at
        if byte == _OPEN_OBJECT and any(one[: len(path)] == path for one in self._paths if len(one) > len(path)):
            at, verdict = yield from self._members(at, path, document, {}, keep=keep)
            return at, verdict, keep
        end, verdict = self._value(at, keep)
        if verdict in (Verdict.BROKEN, Verdict.CUT):
            return end, verdict, keep
        if path in self._paths and end - at == len(b"null") and window.cut(at, end) == b"null" and not self._is_record_at(keep):
            self.empty_documents += 1
        if path[-1] in self._wanted and end - at <= _MAX_MEMBER_BYTES and at >= window.start:
            level[path[-1]] = parse(window.cut(at, end)).value
        return end, Verdict.WHOLE, keep

    def _is_record_at(self, begin: int) -> bool:
        """Whether the object at `begin` bears an address of its own, so that a null in it is just a value."""
        if not self._plain:
            return False
        end, verdict = extent(
            self.window, begin, keep=begin, limit=self._settings.max_record_bytes, max_depth=self._settings.max_depth
        )
        value = parse(self.window.cut(begin, end)).value if verdict is Verdict.WHOLE else None
        return isinstance(value, dict) and self._has_address(value)

    def _value(self, at: int, keep: int) -> tuple[int, Verdict]:
        """Find the end of any value."""
        return extent(self.window, at, keep=keep, limit=self._settings.max_record_bytes, max_depth=_PARSER_DEPTH)

    def _stray(self, at: int) -> int:
        """Book what stands between documents and begins none, up to the next line or bracket."""
        window = self.window
        begin = at
        while True:
            data = window.data
            i = at - window.start
            ends = [e for e in (data.find(mark, i + 1) for mark in (b"\n", b"{", b"[")) if e >= 0]
            if ends or not window.more(begin if window.end - begin <= _MAX_MEMBER_BYTES else window.end):
                break
            at = max(at, window.start)
        end = window.start + min(ends) if ends else window.end
        raw = window.data[max(begin - window.start, 0) : end - window.start]
        scalar = parse(raw.strip()).error is None
        reason = Reason.NOT_A_RECORD if scalar else Reason.BAD_JSON
        self._drop(begin, reason, "a value that is no record" if scalar else "not JSON", raw)
        return end

    # -- arrays ------------------------------------------------------------------------------------------------------

    def _array(self, at: int, document: Document) -> Generator[None, None, int]:
        """Walk an array of records, to behind its end."""
        window, chunk = self.window, self._settings.chunk_rows
        at += 1
        while True:
            if self._fast and (self._plain or document is not self._bare):
                at = self._elements(at, document, chunk)
            if self.is_ready(chunk):
                yield
            at = skip_blank(window, at)
            if at < 0:
                self.cut_at = window.end
                return window.end
            byte = window.data[at - window.start]
            if byte == _CLOSE_ARRAY:
                return at + 1
            if byte in (_COMMA, _CLOSE_OBJECT, _COLON):  # a stray bracket behind a record that is whole is no harm
                at += 1
                continue
            if byte == _OPEN_OBJECT and self._bears_records(at):
                if document is not self._bare:  # a line that was cut short, and the next document
                    return at
                at = yield from self._object(at, self._document(at))
                continue
            at, ends = self._element(at, document)
            if ends:
                return at

    def _elements(self, at: int, document: Document, chunk: int) -> int:
        """Read elements as long as they are in memory, in order, and records."""
        data, start = self.window.data, self.window.start
        last, limit = self.read + chunk, self._settings.max_record_bytes
        row, least, opener = self._row, self._least, b"[" if self._row is list else b"{"
        search, heads = self._end.search, self._heads
        i = at - start
        while self.read < last:
            i = data.find(opener, i)
            if i < 0 or (i > at - start and data[at - start : i].strip(b" \t\r\n,")):
                break
            match = search(data, i)
            if match is None or match.start(1) - i > limit:
                break
            raw = data[i : match.start(1)]
            try:
                value: Any = orjson.loads(raw)
            except orjson.JSONDecodeError:
                break
            if type(value) is not row or len(value) < least or (row is dict and not heads.isdisjoint(value)):
                break
            self._keep(start + i, raw, value, document)
            i = match.start(1)
            at = start + i
        return at

    def _bears_records(self, at: int) -> bool:
        """Whether the object at `at` leads to an array of records itself."""
        if not self._paths:
            return False
        window, limit = self.window, self._settings.max_record_bytes
        end, verdict = extent(window, at, keep=at, limit=limit, max_depth=self._settings.max_depth)
        if verdict is Verdict.WHOLE:
            value = parse(window.cut(at, end)).value
            return isinstance(value, dict) and any(isinstance(leads_to(value, path), list) for path in self._paths)
        # Too large or cut: its first key tells.
        head = window.data[max(at - window.start, 0) :][:_MAX_MEMBER_BYTES]
        return at >= window.start and any(b'"%b"' % path[-1].encode() in head for path in self._paths) and self._row is list

    def _element(self, at: int, document: Document) -> tuple[int, bool]:
        """Read the element at `at` with all care; True when the document ends with it."""
        window, limit = self.window, self._settings.max_record_bytes
        end, verdict = extent(window, at, keep=at, limit=limit, max_depth=self._settings.max_depth)
        if verdict is Verdict.BROKEN:
            anchor = find(window, self._anchor, at, limit=limit)
            if anchor < 0:
                self._drop(at, Reason.BAD_JSON, "not JSON, and nothing behind it looks like a record", self._seen(at))
                while window.more(window.end):
                    pass
                self.cut_at = window.end
                return window.end, True
            self._drop(at, Reason.BAD_JSON, "not JSON", self._seen(at)[: anchor - at])
            return anchor, self._begins_document(anchor)
        if verdict is Verdict.CUT:
            return self._cut_element(at)
        self._judge(at, end, verdict, document)
        return end, False

    def _cut_element(self, at: int) -> tuple[int, bool]:
        """Book an element inside which the stream ends, unless a line in it begins anew."""
        window = self.window
        anchor = find(window, self._anchor, at, limit=self._settings.max_record_bytes) if at >= window.start else -1
        if anchor >= 0 and anchor < window.end:
            self._drop(at, Reason.BAD_JSON, "not JSON", self._seen(at)[: anchor - at])
            return anchor, self._begins_document(anchor)
        self._drop(at, Reason.TRUNCATED, "the input ends inside it", self._seen(at))
        self.cut_at = at
        return window.end, True

    def _begins_document(self, at: int) -> bool:
        """Whether a bracket at the begin of a line, where no comma leads to it, begins another document."""
        data, i = self.window.data, at - self.window.start
        before = data[:i].rstrip(b" \t\r\n")
        return (
            data[i : i + 1] == b"{"
            and (self._row is list or not before.endswith((b",", b"[")))
            and b"\n" in data[len(before) : i]
        )

    def _seen(self, at: int) -> bytes:
        return self.window.data[max(at - self.window.start, 0) :]
