"""Records as they are found, until they are handed out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flight_etl.core.decode.parse import parse
from flight_etl.core.decode.scan import OPEN_ARRAY, OPEN_OBJECT, Verdict
from flight_etl.core.decode.window import Window
from flight_etl.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.core.decode.layout import Layout
    from flight_etl.core.decode.window import Source
    from flight_etl.settings import DecodeSettings

__all__ = ["HELD_BYTES", "Collector", "Document", "Dropped", "Records", "leads_to", "wanted_of"]

HELD_BYTES: Final = 8 << 20  # B of records that wait for the end of their document; more: look ahead
_SNIPPET: Final = 80  # B of a broken record that are quoted


@dataclass(slots=True, eq=False)
class Document:
    """Members of the object round the records. `complete`: nothing more will be added to them."""

    offset: int = 0
    path: tuple[str, ...] = ()  # to this object from the one at the top
    envelope: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    carried: dict[str, Any] = field(default_factory=dict)  # values that hold until the next, for the decoder of rows


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record that could not be read."""

    record: int
    offset: int
    reason: Reason
    detail: str


@dataclass(slots=True)
class Records:
    """Records in the order of the stream, as parallel lists."""

    numbers: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the records."""
        return len(self.numbers)

    def split(self, count: int) -> Records:
        """Take off and return the first `count` records."""
        first = Records(*(getattr(self, name)[:count] for name in self.__slots__))
        for name in self.__slots__:
            del getattr(self, name)[:count]
        return first


def wanted_of(layout: Layout) -> frozenset[str]:
    """Keys of the members round the records that a layout wants to have."""
    keys = {key for field in layout.fields if field.envelope for key in field.keys}
    return frozenset(keys | {path[0] for _, path in layout.envelope_extras})


def leads_to(value: object, path: tuple[str, ...]) -> object:
    """Value at `path` below `value`; Ellipsis where there is none."""
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return ...
        value = value[key]
    return value


class Collector:
    """What a walk through a source has found and not yet handed out, and its books."""

    def __init__(self, source: Source, layout: Layout, settings: DecodeSettings, offset: int = 0) -> None:
        self.window = Window(source.open(offset), offset)
        self.found = Records()
        self.dropped: list[Dropped] = []
        self.counts: dict[str, int] = {}
        self.read = 0
        self.empty_documents = 0
        self.cut_at: int | None = None  # where the stream ends inside a value
        self._settings = settings
        self._plain = () in layout.records
        self._row: Any = list if layout.rows == "array" else dict
        self._opener = OPEN_ARRAY if self._row is list else OPEN_OBJECT
        self._least = layout.widths[0] if layout.widths else 0
        self._bare = Document(complete=True)  # of records that stand by themselves
        self._held = 0

    def take(self, count: int, *, rest: bool = False) -> Iterator[Records]:
        """Give out records, `count` at a time, as far as their documents are known; with `rest`, all of them."""
        while len(self.found) >= count or (self.found and (rest or self._held > HELD_BYTES)):
            part = min(count, len(self.found))
            if not (rest or self.found.documents[part - 1].complete or self._held > HELD_BYTES):
                return
            self._complete(self.found.documents[part - 1])
            yield self._split(part)

    def _split(self, count: int) -> Records:
        first = self.found.split(count)
        self._held = sum(map(len, self.found.raws))
        return first

    def _complete(self, document: Document) -> None:
        """Have all that the document says, also behind the records read so far."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether `take` should be called now: there is enough, and nothing has to be looked up, or too much to wait."""
        count = self._settings.chunk_rows
        if self._held > HELD_BYTES or len(self.dropped) >= count:
            return True
        return len(self.found) >= count and self.found.documents[count - 1].complete

    def _judge(self, at: int, end: int, verdict: Verdict, document: Document) -> None:
        """Keep or drop the value from `at` to `end`."""
        if verdict is Verdict.LARGE:
            self._drop(at, Reason.TOO_LARGE, f"{end - at:,} bytes, more than {self._settings.max_record_bytes:,}")
            return
        raw = self.window.cut(at, end)
        if verdict is Verdict.DEEP:
            self._drop(at, Reason.TOO_DEEP, f"nested deeper than {self._settings.max_depth:,} levels", raw)
            return
        parsed = parse(raw)
        if parsed.error is not None:
            self._drop(at, Reason.BAD_JSON, parsed.error, raw)
        elif not isinstance(parsed.value, self._row) or (document is self._bare and not self._plain):
            self._drop(at, Reason.NOT_A_RECORD, "a value that is no record", raw)
        elif len(parsed.value) < self._least:
            self._drop(at, Reason.BAD_WIDTH, f"{len(parsed.value)} columns, at least {self._least} expected", raw)
        else:
            self.counts["nan_token"] = self.counts.get("nan_token", 0) + parsed.nan_tokens
            self._keep(at, raw, parsed.value, document)

    def _keep(self, at: int, raw: bytes, value: Any, document: Document) -> None:
        found = self.found
        found.numbers.append(self.read)
        found.offsets.append(at)
        found.raws.append(raw)
        found.values.append(value)
        found.documents.append(document)
        self.read += 1
        self._held += len(raw)

    def _drop(self, at: int, reason: Reason, detail: str, raw: bytes = b"") -> None:
        if raw:
            snippet = raw[:_SNIPPET].decode("utf-8", "replace")
            detail = f"{detail}: {snippet}{'…' if len(raw) > _SNIPPET else ''}"
        self.dropped.append(Dropped(self.read, at, reason, detail))
        self.read += 1
