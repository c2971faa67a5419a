"""Rows of a CSV file as records: the header gives the keys; all declared values are text, and an empty one is null.

Values of undeclared columns are typed by their form (number, true, false, else text), as they would be in JSON.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.collect import Document, Dropped, Records
from flight_etl.core.decode.window import Window
from flight_etl.errors import InputError, Place
from flight_etl.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["csv_records", "fields_of"]

_SCALAR: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false", re.ASCII)
_BOM: Final = b"\xef\xbb\xbf"


def fields_of(line: bytes) -> list[str]:
    """Cells of one line."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if '"' not in text:
        return text.split(",")
    return next(csv.reader([text]), [])


def csv_records(source: Source, layout: Layout, settings: DecodeSettings) -> Iterator[tuple[Records, list[Dropped]]]:
    """Give the records of a CSV source, and those that were dropped, some at a time.

    Raises InputError, after everything readable was given, when the source is corrupt or ends inside a row.
    """
    rows = _Rows(source, layout, settings)
    yield from rows.read()
    if rows.window.failure is not None:
        raise rows.window.failure
    if rows.cut:
        place = Place(source.name, offset=rows.window.end, record=rows.number - 1)
        raise InputError("cut short: the input ends inside a row; what came before was read", place=place)


class _Rows:
    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings) -> None:
        self.window = Window(source.open())
        self.number = 0
        self.cut = False
        self._settings = settings
        self._declared = {key for field in layout.fields for key in field.keys}
        self._document = Document(0, complete=True)
        self._records, self._dropped = Records(), list[Dropped]()

    def read(self) -> Iterator[tuple[Records, list[Dropped]]]:
        header: list[str] | None = None
        for at, line, whole in self._lines():
            if header is None:
                header = fields_of(line.removeprefix(_BOM))
                continue
            self._row(header, at, line, whole=whole)
            if len(self._records) + len(self._dropped) >= self._settings.chunk_rows:
                yield self._records, self._dropped
                self._records, self._dropped = Records(), []
        if self._records or self._dropped:
            yield self._records, self._dropped

    def _lines(self) -> Iterator[tuple[int, bytes, bool]]:
        """Position and bytes of each line that is not blank; quotes may hold line breaks. False for a line without an end."""
        window, limit = self.window, self._settings.max_record_bytes
        at = 0
        while at < window.end or window.more(at):
            end = self._line_end(at, limit)
            line = window.data[max(at - window.start, 0) : (end if end >= 0 else window.end) - window.start]
            if at < window.start:
                self._drop(at, Reason.TOO_LARGE, f"a row of more than {limit:,} bytes")
            elif line.strip():
                yield at, line, end >= 0
            if end < 0:
                return
            at = end

    def _line_end(self, at: int, limit: int) -> int:
        """Position behind the line at `at`; -1 at the end of the stream."""
        window = self.window
        search = at
        while True:
            found = window.data.find(b"\n", search - window.start)
            if found >= 0:
                end = window.start + found + 1
                if at < window.start or window.data.count(b'"', at - window.start, found) % 2 == 0:
                    return end
                search = end
                continue
            search = window.end
            if not window.more(at if window.end - at <= limit else window.end):
                return -1

    def _row(self, header: Sequence[str], at: int, line: bytes, *, whole: bool) -> None:
        cells = fields_of(line)
        if len(cells) != len(header):
            self.cut = not whole and len(cells) < len(header)
            reason = Reason.TRUNCATED if self.cut else Reason.BAD_WIDTH
            self._drop(at, reason, f"{len(cells)} columns, the header has {len(header)}")
            return
        value: dict[str, Any] = {}
        members: list[str] = []
        for key, cell in zip(header, cells, strict=True):
            if not cell:
                value[key] = None
            elif key in self._declared:
                value[key] = cell
            else:
                token = cell if _SCALAR.fullmatch(cell) else orjson.dumps(cell).decode()
                members.append(f"{orjson.dumps(key).decode()}:{token}")
        raw = ("{" + ",".join(members) + "}").encode()
        value.update(orjson.loads(raw))
        records = self._records
        records.numbers.append(self.number)
        records.offsets.append(at)
        records.raws.append(raw)
        records.values.append(value)
        records.documents.append(self._document)
        self.number += 1

    def _drop(self, at: int, reason: Reason, detail: str) -> None:
        self._dropped.append(Dropped(self.number, at, reason, detail))
        self.number += 1
