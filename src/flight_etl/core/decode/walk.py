"""Finds the records of a layout in a stream of documents, with the place of each, and the members round them.

A document is a value at the top of the stream: a record itself, an array of records, or an object (an *envelope*) that
leads to the array of records along one of the layout's paths. Also several documents, one after another, with or without
commas, or in an array. An element that bears the records array itself is a document of its own: this is how a line that
was cut short costs no more than its last record.

What the envelope says holds for all records of the document, also for those before it. Records wait until the document has
ended; in a document too long for that, its end is looked up ahead.

What is broken is left behind as `mend.py` describes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.collect import Document, Records, leads_to, wanted_of
from flight_etl.core.decode.mend import Mender
from flight_etl.core.decode.parse import parse
from flight_etl.core.decode.scan import (
    CLOSE_ARRAY,
    OPEN_ARRAY,
    OPEN_OBJECT,
    Verdict,
    between,
    extent,
    next_member,
    skip_blank,
)
from flight_etl.core.decode.window import Window
from flight_etl.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

    _Way = Generator[None, None, tuple[int, Verdict, int]]

__all__ = ["BETWEEN_DOCUMENTS", "Walker"]

_MAX_MEMBER_BYTES: Final = 1 << 20  # B of an envelope member
_HEAD_BYTES: Final = 1 << 13  # B of an element within which the array of records begins, if it bears one
_PARSER_DEPTH: Final = 1024  # levels that orjson accepts
_NULL: Final = b"null"

# Brackets too many behind a value that is whole are no harm.
BETWEEN_DOCUMENTS: Final = between(b",]}")
_BETWEEN_ELEMENTS: Final = between(b",:}")
_GAP: Final = between(b",")
# Where an element of an array most likely ends, for a first try: group 1 is behind it, the match ends at the next one.
_ENDS: Final = {
    list: re.compile(rb"\]()[ \t\r\n]*(?:,[ \t\r\n]*(?=\[)|(?=\]))"),
    dict: re.compile(rb"\}()[ \t\r\n]*(?:,[ \t\r\n]*(?=\{)|(?=\]))"),
}


class Walker(Mender):
    """Walks a stream and collects its records; see the module's docstring. `walk` is to be run, `take` to be called between."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings, offset: int = 0) -> None:
        super().__init__(source, layout, settings, offset)
        self._source, self._layout = source, layout
        self._paths = [path for path in layout.records if path]
        self._heads = frozenset(path[0] for path in self._paths)
        self._names = [orjson.dumps(path[-1]) for path in self._paths]
        self._wanted = wanted_of(layout)
        self._addresses = [key for f in layout.fields if f.target == "icao24" and not f.envelope for key in f.keys]
        self._end: re.Pattern[bytes] = _ENDS[self._row]
        self._fast = settings.max_depth >= _PARSER_DEPTH
        self._slow_until = 0  # position before which a first try at elements is in vain
        self._nulls = 0  # null where an array of records may stand

    def _complete(self, document: Document) -> None:
        """Look up what the document says behind the records read so far."""
        if document.complete:  # documents before it are, too
            return
        ahead = Walker(self._source, self._layout, self._settings, document.offset)
        found = Document(document.offset, document.path)
        for _ in ahead._members(document.offset, found, keep=document.offset):
            ahead.found, ahead.dropped, ahead._held = Records(), [], 0
        document.envelope.update(found.envelope)
        document.complete = True

    # -- documents ---------------------------------------------------------------------------------------------------

    def walk(self) -> Iterator[None]:
        """Walk the whole stream; gives way whenever enough records have come together."""
        window = self.window
        at = self._first()
        while (at := self._next(at)) >= 0:
            byte = window.byte(at)
            if byte == OPEN_OBJECT:
                begin = at
                if self._plain and self._fast:
                    at = self._lines(at)
                if at == begin:
                    at = yield from self._object(at)
            elif byte == OPEN_ARRAY:
                at = yield from self._array(at, self._bare)
            else:
                at = self._stray(at)
            if self.is_ready():
                yield

    def _first(self) -> int:
        """Position at which to begin."""
        return self.window.skip_bom()

    def _next(self, at: int) -> int:
        """Position of what comes next behind a document that ends at `at`; -1: nothing."""
        return skip_blank(self.window, at, pattern=BETWEEN_DOCUMENTS)

    def _lines(self, at: int) -> int:
        """Read lines that are a record each, as long as they are."""
        window, limit = self.window, self._settings.max_record_bytes
        last = self.read + self._settings.chunk_rows
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
        return at

    def _is_array_or_null(self, value: dict[str, Any], path: tuple[str, ...]) -> bool:
        """Whether the document has its records, or null in their place, at `path`; beside an address null is only a value."""
        there = leads_to(value, path)
        return isinstance(there, list) or (there is None and not self._has_address(value))

    def _has_address(self, value: object) -> bool:
        return isinstance(value, dict) and any(value.get(key) is not None for key in self._addresses)

    def _object(self, at: int) -> Generator[None, None, int]:
        """Walk an object at the top: an envelope, or a record."""
        begin, before, self._nulls = at, (self.read, self.empty_documents), 0
        document = Document(at, complete=not self._wanted)
        at, verdict = yield from self._members(at, document, keep=begin)
        leads = (self.read, self.empty_documents) != before
        if self._nulls and not leads and not self._is_record(begin, at, verdict):
            self.empty_documents += 1
            leads = True
        if not leads:
            return self._whole(begin, at, verdict)
        if verdict is Verdict.CUT and self.cut_at is None:
            self.cut_at = at
        return at

    def _is_record(self, begin: int, end: int, verdict: Verdict) -> bool:
        """Whether an object is a record with an address of its own, so that a null in it is just a value."""
        if not self._plain or verdict is not Verdict.WHOLE or end - begin > self._settings.max_record_bytes:
            return False
        return self._has_address(parse(self.window.cut(begin, end)).value)

    def _whole(self, begin: int, at: int, verdict: Verdict) -> int:
        """Take an object that leads to no records as a record, or book it as broken."""
        window, limit = self.window, self._settings.max_record_bytes
        if verdict in (Verdict.BROKEN, Verdict.CUT):
            return self._next_line(begin, at, verdict)
        verdict = Verdict.LARGE
        if at - begin <= limit:
            _, verdict = extent(window, begin, keep=begin, limit=limit, max_depth=self._settings.max_depth)
        if not self._plain and verdict is Verdict.WHOLE:
            names = " or ".join("$." + ".".join(path) for path in self._paths)
            self._drop(begin, Reason.NOT_A_RECORD, f"an object without {names}", window.cut(begin, at))
        else:
            self._judge(begin, at, verdict, self._bare)
        return at

    def _members(self, at: int, document: Document, *, keep: int) -> Generator[None, None, tuple[int, Verdict]]:
        """Go through the members of the object at `at`: into the records, along the paths to them, past all others."""
        limit = self._settings.max_record_bytes
        at, verdict = at + 1, Verdict.WHOLE
        while verdict not in (Verdict.BROKEN, Verdict.CUT):
            if at - keep > limit:  # whatever it is, it is no record; bytes need not be kept
                keep = at
            key, at, verdict = next_member(self.window, at, keep=keep, limit=limit)
            if key is None:
                break
            at, verdict, keep = yield from self._member(at, parse(key).value, document, keep=keep)
        document.complete = True
        return at, verdict

    def _member(self, at: int, key: str, document: Document, *, keep: int) -> _Way:
        """Read one member's value, which begins at `at`; also gives the position from which bytes are kept."""
        window, path = self.window, (*document.path, key)
        byte = window.byte(at)
        if byte == OPEN_ARRAY and path in self._paths:
            before = self.read
            at = yield from self._array(at, document)
            self.empty_documents += self.read == before
            return at, Verdict.CUT if self.cut_at is not None else Verdict.WHOLE, at
        if byte == OPEN_OBJECT and self._is_on_the_way(path):
            inner = Document(at, path, complete=not self._wanted)
            at, verdict = yield from self._members(at, inner, keep=keep)
            return at, verdict, keep
        end, verdict = extent(window, at, keep=keep, limit=self._settings.max_record_bytes, max_depth=_PARSER_DEPTH)
        if verdict is Verdict.WHOLE and end - at <= _MAX_MEMBER_BYTES:
            raw = window.cut(at, end)
            self._nulls += raw == _NULL and path in self._paths
            if key in self._wanted:
                document.envelope[key] = parse(raw).value
        return end, verdict, keep

    def _is_on_the_way(self, path: tuple[str, ...]) -> bool:
        return any(one[: len(path)] == path for one in self._paths if len(one) > len(path))

    # -- arrays ------------------------------------------------------------------------------------------------------

    def _array(self, at: int, document: Document) -> Generator[None, None, int]:
        """Walk an array of records, to behind its end."""
        window = self.window
        at += 1
        while True:
            if self._fast and (self._plain or document is not self._bare):
                at = self._elements(at, document)
            if self.is_ready():
                yield
            at = skip_blank(window, at, pattern=_BETWEEN_ELEMENTS)
            if at < 0:
                self.cut_at = window.end
                return window.end
            byte = window.byte(at)
            if byte == CLOSE_ARRAY:
                # A record behind a `]` shows that it was one too many, as only a member can follow.
                behind = self._goes_on(at) if document is not self._bare else -1
                if behind < 0:
                    return at + 1
                at = behind
            elif byte == OPEN_OBJECT and self._bears_records(at):
                if document is not self._bare:  # a line that was cut short, and the next document
                    return at
                at = yield from self._object(at)
            else:
                at, ends = self._element(at, document)
                if ends:
                    return at

    def _elements(self, at: int, document: Document) -> int:
        """Read elements as long as they are in memory, in order, and records."""
        data, start = self.window.data, self.window.start
        if at < self._slow_until or at >= self.window.end:
            return at
        last, limit = self.read + self._settings.chunk_rows, self._settings.max_record_bytes
        search, heads, row, least, opener = self._end.search, self._heads, self._row, self._least, self._opener
        gap = _GAP.search(data, at - start)
        i = gap.start() if gap else len(data)
        while self.read < last and i < len(data) and data[i] == opener:
            match = search(data, i)
            if match is None:
                self._slow_until = self.window.end
                break
            raw = data[i : match.start(1)]
            try:
                value: Any = orjson.loads(raw) if len(raw) <= limit else None
            except orjson.JSONDecodeError:
                value = None
            if type(value) is not row or len(value) < least or (row is dict and not heads.isdisjoint(value)):
                self._slow_until = start + match.start(1)
                break
            self._keep(start + i, raw, value, document)
            i = match.end()
        return start + i

    def _bears_records(self, at: int) -> bool:
        """Whether the object at `at` leads to an array of records itself, as far as its head tells."""
        data = self._head(at, _HEAD_BYTES)
        if not any(name in data for name in self._names):
            return False
        head = Window(iter((data,)))
        head.more(0)
        return self._leads(head, 0, ()) < 0

    def _leads(self, head: Window, at: int, path: tuple[str, ...]) -> int:
        """-1 where the object at `at` leads to records, else the position behind it or the end of what is known of it."""
        verdict = Verdict.WHOLE
        at += 1
        while verdict in (Verdict.WHOLE, Verdict.DEEP):
            key, at, verdict = next_member(head, at, keep=0, limit=_HEAD_BYTES)
            if key is None:
                return at if verdict is Verdict.WHOLE else head.end
            below = (*path, parse(key).value)
            byte = head.byte(at)
            if below in self._paths and (byte == OPEN_ARRAY or (self._row is list and byte == _NULL[0])):
                return -1
            if byte == OPEN_OBJECT and self._is_on_the_way(below):
                at = self._leads(head, at, below)
                if at < 0:
                    return at
            else:
                at, verdict = extent(head, at, keep=0, limit=_HEAD_BYTES, max_depth=_PARSER_DEPTH)
        return head.end
