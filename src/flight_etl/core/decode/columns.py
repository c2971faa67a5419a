"""One object of columns as records, as pandas writes it: each column a list, or an object {row: value}.

Nothing large is held: a first pass finds where each column begins, then all columns are read side by side, each through a
window of its own. The longest column tells which rows there are. A row that a column leaves out is null there; a column
that lists rows in another order cannot be read so, and is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.collect import Document, Dropped, Records
from flight_etl.core.decode.layout import Kind
from flight_etl.core.decode.parse import parse
from flight_etl.core.decode.scan import COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, Verdict, extent, next_member, skip_blank
from flight_etl.core.decode.window import Window
from flight_etl.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["column_records"]

_MAX_COLUMNS: Final = 512  # each has a window of its own
_STRING: Final = rb'"(?:[^"\\\n]++|\\.)*+"'
_CELL: Final = re.compile(rb"\s*(?:(" + _STRING + rb")\s*:\s*)?(" + _STRING + rb'|[^\s{}\[\]",:]++)\s*([,}\]])')
_NULL: Final = b"null"


def column_records(source: Source, layout: Layout, settings: DecodeSettings) -> Iterator[tuple[Records, list[Dropped]]]:
    """Give the rows of a source of columns as records, some at a time. Raises InputError where it is no such thing."""
    columns = _find_columns(source, settings)
    if not columns:
        raise InputError("no columns in it", place=Place(source.name))
    plain = {key for field in layout.fields for key in field.keys}
    plain -= {key for field in layout.fields if field.kind is Kind.TEXT or field.keep for key in field.keys}
    first, *others = sorted(columns, key=lambda column: -column.rows)
    document = Document(complete=True)
    number = 0
    while True:
        labels, offsets, tokens = first.take(settings.chunk_rows)
        if not labels:
            break
        cells = {first.key: tokens} | {column.key: column.take_rows(labels) for column in others}
        values = {key: _values(some) for key, some in cells.items()}
        kept = [key for key in cells if key not in plain]
        yield (
            Records(
                numbers=list(range(number, number + len(labels))),
                offsets=offsets,
                raws=[_raw(kept, cells, row) for row in range(len(labels))] if kept else [b"{}"] * len(labels),
                values=[dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)],
                documents=[document] * len(labels),
            ),
            [],
        )
        number += len(labels)
    for column in columns:
        column.check_end(first.key)


def _raw(keys: Sequence[str], cells: dict[str, list[bytes]], row: int) -> bytes:
    """Record with the members whose tokens may be wanted."""
    return b"{" + b",".join(b"%b:%b" % (orjson.dumps(key), cells[key][row]) for key in keys) + b"}"


def _values(tokens: Sequence[bytes]) -> list[Any]:
    try:
        parsed: list[Any] = orjson.loads(b"[" + b",".join(tokens) + b"]")
    except orjson.JSONDecodeError:
        return [parse(token).value for token in tokens]
    return parsed if len(parsed) == len(tokens) else [parse(token).value for token in tokens]


def _find_columns(source: Source, settings: DecodeSettings) -> list[_Column]:
    """Find where each column begins, and how long it is. Of equal keys the last one counts, as in a parser."""
    window, limit = Window(source.open()), settings.max_record_bytes
    at = skip_blank(window, window.skip_bom())
    columns: dict[str, _Column] = {}
    if at < 0 or window.byte(at) != OPEN_OBJECT:
        raise _broken(window, source)
    at += 1
    while True:
        name, begin, verdict = next_member(window, at, keep=at, limit=limit)
        if name is None and verdict is Verdict.WHOLE:
            return list(columns.values())
        if name is None:
            raise _broken(window, source)
        key, opener = parse(name).value, window.byte(begin)
        at, verdict = extent(window, begin, keep=begin, limit=0, max_depth=settings.max_depth)
        if key is None or verdict in (Verdict.BROKEN, Verdict.CUT):
            raise _broken(window, source)
        if opener in (OPEN_OBJECT, OPEN_ARRAY):
            columns[key] = _Column(source, key, begin, at - begin, settings)
        if len(columns) > _MAX_COLUMNS:
            raise InputError(f"more than {_MAX_COLUMNS} columns in one object", place=Place(source.name))


def _broken(window: Window, source: Source) -> Exception:
    if window.failure is not None:
        return window.failure
    return InputError(
        "cut short or broken: an object of columns can only be read whole", place=Place(source.name, offset=window.drain())
    )


class _Column:
    """One column, read from its begin on."""

    def __init__(self, source: Source, key: str, begin: int, length: int, settings: DecodeSettings) -> None:
        self.key = key
        self.rows = length  # longer in bytes is a good guess for more rows, and any guess gives the same rows in the end
        self._source, self._begin, self._settings = source, begin, settings
        self._window: Window | None = None
        self._at = begin + 1
        self._ended = False
        self._position = 0
        self._held: tuple[list[bytes], list[int], list[bytes]] = ([], [], [])

    def take(self, count: int) -> tuple[list[bytes], list[int], list[bytes]]:
        """Labels, positions and tokens of the next `count` cells, or fewer at the end."""
        labels, offsets, tokens = self._held
        self._held = ([], [], [])
        while len(labels) < count and not self._ended:
            cell = self._cell()
            if cell is not None:
                label, at, token = cell
                labels.append(label)
                offsets.append(at)
                tokens.append(token)
        return labels, offsets, tokens

    def take_rows(self, labels: list[bytes]) -> list[bytes]:
        """Tokens for these rows, `null` where the column leaves one out."""
        own, offsets, tokens = self.take(len(labels))
        if own == labels:
            return tokens
        result, at = [], 0
        for label in labels:
            if at < len(own) and own[at] == label:
                result.append(tokens[at])
                at += 1
            else:
                result.append(_NULL)
        self._held = (own[at:], offsets[at:], tokens[at:])
        return result

    def check_end(self, other: str) -> None:
        """Raise InputError where cells are left for which there was no row."""
        labels, offsets, _ = self.take(1)
        if labels:
            raise InputError(
                f"column {self.key!r} lists rows that column {other!r} does not have there; write rows in one order in all",
                place=Place(self._source.name, offset=offsets[0]),
            )

    def _cell(self) -> tuple[bytes, int, bytes] | None:
        if self._window is None:
            self._window = Window(self._source.open(self._begin), self._begin)
            self._window.more(self._begin)
        window = self._window
        cell = _CELL.match(window.data, self._at - window.start)
        if cell is None:
            return self._slow_cell(window)
        at = window.start + cell.start(2)
        self._at = window.start + cell.end() - (cell[3] != b",")
        return self._label(cell[1]), at, cell[2]

    def _slow_cell(self, window: Window) -> tuple[bytes, int, bytes] | None:
        """Read a cell that is nested, or not all in memory; None for what lies between cells."""
        limit, depth = self._settings.max_record_bytes, self._settings.max_depth
        label = None
        at = skip_blank(window, self._at)
        if at < 0 or window.byte(at) in b"}]":
            self._ended = True
            return None
        if window.byte(at) == COMMA:
            self._at = at + 1
            return None
        end, _ = extent(window, at, keep=at, limit=limit, max_depth=depth)
        after = skip_blank(window, end, keep=at, limit=limit)
        if after >= 0 and window.byte(after) == COLON:
            label = window.cut(at, end)
            at = max(skip_blank(window, after + 1), 0)
            end, _ = extent(window, at, keep=at, limit=limit, max_depth=depth)
        token = window.cut(at, end) if 0 < end - at <= limit else _NULL
        self._at = max(end, at)
        return self._label(label), at, token

    def _label(self, label: bytes | None) -> bytes:
        self._position += 1
        return b"%d" % (self._position - 1) if label is None else label.strip(b'"')
