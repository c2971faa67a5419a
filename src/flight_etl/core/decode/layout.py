"""What a layout is: the vocabulary in which `layouts.py` describes the source formats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from flight_etl.units import Unit

__all__ = ["Field", "Kind", "Layout", "Variant"]


class Kind(StrEnum):
    """How a value is read. Quoted numbers are numbers in every layout; `""` is null in every layout.

    A value that cannot be read as its kind is null, and counted as `unreadable.<field name>`.
    """

    NUMBER = "number"  # RAW float64
    TEXT = "text"  # RAW string, verbatim; a number, a boolean or a nested value keeps its source token
    BOOL = "bool"  # RAW bool; true/false, 0/1, "0"/"1", "true"/"false" in any case
    ALTITUDE = "altitude"  # RAW float64, and a RAW bool column `<name>_ground` that is true where the value was "ground"
    TIME = "time"  # RAW int64, ms since 1970-01-01 UTC, from the field's EPOCH_* unit or ISO 8601 text


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One declared field. Its RAW column is called `name`; normalise turns it into NORMAL column `target`.

    Several fields may share a `target`: the first one that is not null wins, in the order of the layout.
    Ages and offsets (AGE_SECOND, OFFSET_SECOND) are NUMBERs in RAW: normalise does the arithmetic.
    """

    name: str
    kind: Kind
    keys: tuple[str, ...] = ()  # for object records: accepted keys; the first in this order with a non-null value wins
    index: int | None = None  # for array records: position in the row
    path: tuple[str, ...] = ()  # a nested value: keys to walk below `keys`/`index`, e.g. ("feet",) below "altitude"
    envelope: bool = False  # a member (`keys`, then `path`) of the object that holds the records array; holds for all of them
    carry: bool = False  # sent only when it changes: the last value of the document holds until the next (trace element 8)
    keep: bool = False  # the whole value is an extra column as well, as if undeclared: `x:<key>`, in array rows `x:<name>`
    unit: Unit = Unit.NONE
    target: str | None = None  # NORMAL column; None: consumed by normalise itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """Array rows that place some fields elsewhere. It applies, row by row, where `width` and `bool_at` both hold.

    `index` maps names of the layout's fields to their position here (None: not sent); fields that it does not name stay
    where they are. `extra_columns` replaces that of the layout.
    """

    name: str
    width: int  # number of columns of the row, exactly
    bool_at: int  # the value at this position is true or false
    index: tuple[tuple[str, int | None], ...]
    extra_columns: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A source format.

    `records` are paths to the array of records in a document, tried in this order; `()` is the document itself: its elements
    where it is an array, else the one record that it is (NDJSON). Null in the place of the array is a valid empty document.

    `signatures` recognise the format by the keys of the first record (in array layouts: of the object around the rows): all
    keys of one of them are there. A layout is recognised when one of its records paths leads to rows of its kind, and
    one of its signatures, if it has any, holds.

    Extra columns come from the undeclared keys of object records; in array rows from `extra_columns` (position, name), from
    positions beyond the widest width as `column_<position>`, and from the undeclared keys of the object at `extra_object`,
    where a position that is not null wins over a key of the same name. `envelope_extras` (name, path from the object that
    holds the records) are extra columns with the same value for all records of the document.
    """

    name: str
    about: str
    records: tuple[tuple[str, ...], ...]
    rows: Literal["object", "array", "columns", "csv"]
    fields: tuple[Field, ...]
    signatures: tuple[tuple[str, ...], ...] = ()
    widths: tuple[int, ...] = ()  # array rows: known numbers of columns; fewer than the smallest: bad_width; more: extras
    variants: tuple[Variant, ...] = ()
    extras: bool = True  # keep undeclared keys
    extra_columns: tuple[tuple[int, str], ...] = ()
    extra_object: int | None = None
    envelope_extras: tuple[tuple[str, tuple[str, ...]], ...] = ()
    position_at_timestamp: bool = False  # every record is a position report: position_time is timestamp
    zero_is_ground: bool = False  # altitude 0 says "on the ground", every other altitude "airborne"
    number_is_airborne: bool = False  # "ground" stands in the place of the altitude, so that a number says "airborne"
