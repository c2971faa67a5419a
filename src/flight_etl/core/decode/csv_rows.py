"""Rows of a CSV file as records: the header gives the keys; all declared values are text, and an empty one is null.

Values of undeclared columns are typed by their form (number, true, false, else text), as they would be in JSON.

A row ends with its line, or with a later line where quotes are open; where that gives another number of cells than the
header has, a quote was lost, and only the line itself is the broken row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.collect import Document, Dropped, Records
from flight_etl.core.decode.parse import parse
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
_CELL: Final = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^,]*+))(?:,|$)')
_MAX_QUOTED_BYTES: Final = 1 << 16  # B of a row with line breaks in quotes


def fields_of(line: bytes) -> list[str]:
    """Cells of one row."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if '"' not in text:
        return text.split(",")
    # The comma gives the last cell an end of its own, so that an empty one counts.
    return [cell[1].replace('""', '"') if cell[1] is not None else cell[2] for cell in _CELL.finditer(text + ",", 0)][:-1]


def csv_records(source: Source, layout: Layout, settings: DecodeSettings) -> Iterator[tuple[Records, list[Dropped]]]:
    """Give the records of a CSV source, and those that were dropped, some at a time.

    Raises InputError, after everything readable was given, when the source is corrupt, ends inside a row or has no header.
    """
    rows = _Rows(source, layout, settings)
    yield from rows.read()
    if rows.window.failure is not None:
        raise rows.window.failure
    if rows.cut:
        place = Place(source.name, offset=rows.window.end, record=rows.number - 1)
        raise InputError("cut short: the input ends inside a row; what came before was read", place=place)
    if not rows.header:
        raise InputError(f"no records of layout {layout.name} in it", place=Place(source.name))


class _Rows:
    """The rows of one source, and what is known of them so far."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings) -> None:
        self.window = Window(source.open())
        self.header: list[str] = []
        self.number = 0
        self.cut = False
        self._settings = settings
        self._declared = {key for field in layout.fields for key in field.keys}
        self._document = Document(complete=True)
        self._records, self._dropped = Records(), list[Dropped]()

    def read(self) -> Iterator[tuple[Records, list[Dropped]]]:
        window, limit = self.window, self._settings.max_record_bytes
        at = window.skip_bom()
        while (end := self._line_end(at)) > at:
            if end - at > limit:
                self._drop(at, Reason.TOO_LARGE, f"a row of {end - at:,} bytes, more than {limit:,}")
            else:
                end = self._row(at, end)
            at = end
            if len(self._records) + len(self._dropped) >= self._settings.chunk_rows:
                yield self._records, self._dropped
                self._records, self._dropped = Records(), []
        if self._records or self._dropped:
            yield self._records, self._dropped

    def _line_end(self, at: int) -> int:
        """Position behind the line at `at`, which is the end of the stream where no line ends."""
        window, search = self.window, at
        while True:
            found = window.data.find(b"\n", search - window.start)
            if found >= 0:
                return window.start + found + 1
            search = window.end
            if not window.more(at if search - at <= self._settings.max_record_bytes else search):
                return window.end

    def _row(self, at: int, end: int) -> int:
        """Read the row at `at`, whose line ends at `end`; gives the position behind it."""
        line = self.window.cut(at, end)
        if not line.strip():
            return end
        cells = fields_of(line)
        if line.count(b'"') % 2:
            longer = self._quoted(at, end)
            if longer > end and len(fields_of(self.window.cut(at, longer))) == len(self.header):
                end = longer
                cells = fields_of(self.window.cut(at, end))
        if not self.header:
            self.header = cells
        elif len(cells) == len(self.header):
            self._keep(at, cells)
        else:
            self.cut = len(cells) < len(self.header) and not line.endswith(b"\n")
            reason = Reason.TRUNCATED if self.cut else Reason.BAD_WIDTH
            self._drop(at, reason, f"{len(cells)} columns, the header has {len(self.header)}")
        return end

    def _quoted(self, at: int, end: int) -> int:
        """Position behind the line on which the quotes that are open at `end` close; `end` where they do not, near by."""
        window = self.window
        while window.end - at < _MAX_QUOTED_BYTES and window.more(at):
            pass
        near = window.cut(end, at + _MAX_QUOTED_BYTES)
        line_end = near.find(b"\n", near.find(b'"')) + 1
        return end + line_end if near.count(b'"', 0, line_end) % 2 else end

    def _keep(self, at: int, cells: Sequence[str]) -> None:
        value: dict[str, Any] = {}
        members: list[str] = []
        for key, cell in zip(self.header, cells, strict=True):
            if not cell:
                value[key] = None
            elif key in self._declared:
                value[key] = cell
            else:
                token = cell if _SCALAR.fullmatch(cell) else orjson.dumps(cell).decode()
                members.append(f"{orjson.dumps(key).decode()}:{token}")
        raw = ("{" + ",".join(members) + "}").encode()
        value.update(parse(raw).value)
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
