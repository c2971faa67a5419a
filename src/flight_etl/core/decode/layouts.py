"""One declarative Layout per source format: where the records are, which fields they have, in which types and units."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from flight_etl.units import Unit

__all__ = ["LAYOUTS", "Field", "Kind", "Layout"]


class Kind(StrEnum):
    """How a value is read. Quoted numbers are numbers in every layout; `""` is null in every layout."""

    NUMBER = "number"  # RAW float64
    TEXT = "text"  # RAW string, verbatim; a number or boolean keeps its source token
    BOOL = "bool"  # RAW bool; true/false, 0/1, "0"/"1", "true"/"false" in any case
    ALTITUDE = "altitude"  # RAW float64, and a RAW bool column `<name>_ground` that is true where the value was "ground"
    TIME = "time"  # RAW int64, ms since 1970-01-01 UTC, from the field's unit or ISO 8601 text


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One declared field. Its RAW column is called `name`; normalise turns it into NORMAL column `target`.

    Several fields may share a `target`: the first one that is not null wins, in the order of the layout.
    """

    name: str
    kind: Kind
    keys: tuple[str, ...] = ()  # for object records: accepted keys; the first in this order with a non-null value wins
    index: int | None = None  # for array records: position in the row
    path: tuple[str, ...] = ()  # a nested value: keys to walk below `keys`/`index`, e.g. ("feet",) below "altitude"
    envelope: bool = False  # stands beside the records in their document, and holds for all of them
    carry: bool = False  # sent only when it changes: the last value of the document holds until the next (trace element 8)
    unit: Unit = Unit.NONE
    target: str | None = None  # NORMAL column; None: consumed by normalise itself or kept as an extra column


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A source format."""

    name: str
    about: str
    records: tuple[tuple[str, ...], ...]  # paths to the array of records in a document; () is the document itself
    rows: Literal["object", "array", "columns", "csv"]
    fields: tuple[Field, ...]
    widths: tuple[int, ...] = ()  # array rows: permitted numbers of columns, smallest first
    extras: bool = True  # keep undeclared keys


LAYOUTS: Final[dict[str, Layout]] = {}
