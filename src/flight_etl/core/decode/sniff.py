"""Which layout is this? Decided by content: the form of the first records and the keys round them."""

from __future__ import annotations

import re
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from flight_etl.core.decode.csv_rows import fields_of
from flight_etl.core.decode.layouts import LAYOUT_NAMES, LAYOUTS
from flight_etl.core.decode.scan import head_before
from flight_etl.core.decode.walk import Walker
from flight_etl.core.decode.window import BOM, Window
from flight_etl.errors import FlightEtlError, InputError, Place, SettingsError
from flight_etl.settings import DecodeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source

__all__ = ["detect"]

_HEADS_BYTES: Final = (1 << 14, 4 << 20)  # B that are looked at, and as many more where these do not tell
_RECORDS: Final = 64  # records that are looked at,
_FEW: Final = 8  # and first, since most sources show by these what they are
_CSV: Final = "opensky-history-csv"

_FOREIGN: Final = (
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"BZh", "compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed with xz: unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
    (b"\xff\xfe", "UTF-16 text: convert it to UTF-8"),
    (b"\xfe\xff", "UTF-16 text: convert it to UTF-8"),
    (b"<", "HTML or XML, perhaps an error page of a server"),
    (b"MSG,", "BaseStation (SBS) text, which is not read"),
    (b"\x1a1", "Beast binary, which is not read"),
    (b"\x1a2", "Beast binary, which is not read"),
    (b"\x1a3", "Beast binary, which is not read"),
)
_CONTAINER: Final = re.compile(rb":[ \t\r\n]*[\[{]")
_BLANKS: Final = b" \t\r\n"
_NAME_BYTES: Final = 256  # B before a colon in which the name stands
_TAR_MAGIC: Final = (257, b"ustar")
_NOTHING: Final = re.compile(rb"\[\s*\]\s*")  # of records: what some collectors write when no aircraft is in sight


class _Head:
    """The first bytes of a source as a source of its own."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self._data = data

    def open(self, offset: int = 0) -> Iterator[bytes]:
        return iter((self._data[offset:],))


def detect(source: Source, settings: DecodeSettings) -> Layout | None:
    """Layout of a source; None for one that is empty, white space or `[]`. `settings.layout` overrules the content.

    Raises InputError for content that is no known layout, SettingsError for a layout that is not one.
    """
    with closing(Window(source.open())) as window:
        return _detected(source, window, settings)


def _detected(source: Source, window: Window, settings: DecodeSettings) -> Layout | None:
    text = b""
    for size in _HEADS_BYTES:
        data = _head(window, size)
        text = data.removeprefix(BOM).lstrip()
        if not text:
            continue
        is_json = text.startswith((b"{", b"["))
        if settings.layout is not None:
            return _named(settings.layout, is_json=is_json)
        if not is_json:
            if _is_csv(text):
                return LAYOUTS[_CSV]
            raise InputError(_what(text, data), place=Place(source.name))
        layout = _by_records(_Head(source.name, data))
        if layout is not None:
            return layout
    if not text or (_NOTHING.fullmatch(text) and len(data) < size):
        return None
    raise InputError(
        f"JSON, but none of the layouts {', '.join(LAYOUT_NAMES)}; name one with --layout if it is one of them",
        place=Place(source.name),
    )


def _head(window: Window, size: int) -> bytes:
    """First bytes of the source. An error counts only when nothing could be read."""
    while len(window.data) < size and window.more(0):
        pass
    if window.failure is not None and not window.data:
        raise window.failure
    return window.data[:size]


def _named(name: str, *, is_json: bool) -> Layout:
    if name not in LAYOUT_NAMES:
        raise SettingsError(f"layout={name!r} is not permitted: one of {', '.join(LAYOUT_NAMES)}")
    if name == LAYOUTS[_CSV].name and not is_json:
        return LAYOUTS[_CSV]
    return LAYOUTS[name]


def _is_csv(text: bytes) -> bool:
    header = set(fields_of(text.split(b"\n", 1)[0]))
    return any(header.issuperset(signature) for signature in LAYOUTS[_CSV].signatures)


def _what(text: bytes, data: bytes) -> str:
    at, magic = _TAR_MAGIC
    if data[at : at + len(magic)] == magic:
        return "not JSON: a tar archive: a run reads it when it is not compressed and its name ends in .tar; else unpack it"
    found = next((what for start, what in _FOREIGN if text.startswith(start)), None)
    if found:
        return f"not JSON: {found}"
    return f"neither JSON nor CSV of a known layout; it begins with {text[:24]!r}"


def _by_records(head: _Head) -> Layout | None:
    """First layout whose records are there, else the first whose array of records is there but empty."""
    data = next(head.open())
    columns = next(layout for layout in LAYOUTS.values() if layout.rows == "columns")
    if _are_columns(data, columns):
        return columns
    empty: Layout | None = None
    for layout in LAYOUTS.values():
        if layout.rows in ("csv", "columns") or not _may_lead_to_records(data, layout):
            continue
        if _shows_first(data, layout):
            return layout
        walker: Walker = _Glance(head, layout, DecodeSettings(chunk_rows=_FEW))
        if _shows(walker, layout):
            return layout
        walker = Walker(head, layout, DecodeSettings(chunk_rows=_RECORDS))
        if _shows(walker, layout):
            return layout
        if walker.empty_documents and not walker.found and empty is None:
            empty = layout
    return empty


def _shows_first(data: bytes, layout: Layout) -> bool:
    """Whether the first record, in the plainest of forms, shows the layout: then a walker would find it, too, and take longer."""
    heads = tuple(path[0] for path in layout.records if len(path) == 1)
    found = _first_array(heads).match(data)
    if found is None:
        return False
    end = data.find(b"]" if layout.rows == "array" else b"}", found.end()) + 1
    try:
        envelope = orjson.loads(b"{" + found[1] + b'"":0}')
        value = orjson.loads(data[found.end() : end])
    except orjson.JSONDecodeError:
        return False
    if layout.rows == "array":
        return isinstance(value, list) and len(value) >= layout.widths[0] and _fits(layout, value, envelope)
    return isinstance(value, dict) and value.keys().isdisjoint(heads) and _fits(layout, value, envelope)


@cache
def _first_array(heads: tuple[str, ...]) -> re.Pattern[bytes]:
    """Pattern of the first document up to its first record, with the array of records under one of `heads`."""
    head = head_before(tuple(orjson.dumps(name) for name in heads)).pattern
    return re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+" + head + rb"\[[ \t\r\n]*+")


class _Glance(Walker):
    """Gives way after the first records, whatever stands behind them in their document."""

    def is_ready(self) -> bool:
        return len(self.found) >= _FEW or super().is_ready()


def _shows(walker: Walker, layout: Layout) -> bool:
    """Whether a record of the layout is among those that the walker finds first."""
    try:
        next(walker.walk(), None)
    except FlightEtlError:
        return False
    return any(_fits(layout, value, document.envelope) for value, document in _found(walker))


def _found(walker: Walker) -> Iterator[tuple[Any, Any]]:
    return zip(walker.found.values, walker.found.documents, strict=True)


def _fits(layout: Layout, value: Any, envelope: dict[str, Any]) -> bool:
    """Whether a record, or in array layouts what is round it, has the keys of one of the layout's signatures."""
    if not layout.signatures:
        return True
    keys = envelope if layout.rows == "array" else value
    return any(all(_is_scalar(keys.get(key, ...)) for key in signature) for signature in layout.signatures)


def _is_scalar(value: Any) -> bool:
    return value is not ... and not isinstance(value, (dict, list))


def _may_lead_to_records(data: bytes, layout: Layout) -> bool:
    """Whether all keys of one of the layout's paths to its records occur at all: cheap, and true for most only of one layout."""
    return any(all(b'"%b"' % key.encode() in data for key in path) for path in layout.records)


def _are_columns(data: bytes, layout: Layout) -> bool:
    """Whether an object has a column under one of the signatures' keys: a container in the place of a value."""
    if not data.removeprefix(BOM).lstrip().startswith(b"{"):
        return False
    names = tuple(b'"%b"' % key.encode() for signature in layout.signatures for key in signature)
    colons = (found.start() for found in _CONTAINER.finditer(data))
    return any(data[max(at - _NAME_BYTES, 0) : at].rstrip(_BLANKS).endswith(names) for at in colons)
