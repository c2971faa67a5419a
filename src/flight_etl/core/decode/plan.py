"""What the fast decoder is told about a layout: where each key or position of a record goes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from flight_etl.core.decode.layout import Kind
from flight_etl.units import Unit

if TYPE_CHECKING:
    from flight_etl.core.decode.layout import Field, Layout, Variant

__all__ = ["Plan", "plan_of", "plan_of_around"]

# In the order of the enumerations of _fast.pyx.
_KINDS: Final = (Kind.NUMBER, Kind.TEXT, Kind.BOOL, Kind.ALTITUDE, Kind.TIME)
_TIME_UNITS: Final = {Unit.EPOCH_SECOND: 0, Unit.EPOCH_MILLISECOND: 1}
_AUTO: Final = 2


@dataclass(slots=True)
class Place:
    """Where a value goes. Numbers of a column and of a table; the name of an extra column."""

    column: int = -1
    rank: int = 0  # among the keys of the column; the smallest with a value wins
    extra: str | None = None
    sub: int = -1  # table for the members of the object that stands here
    head: bool = False  # the records themselves may stand here


@dataclass(frozen=True, slots=True)
class Column:
    """How the values of a field are read."""

    field: Field
    kind: int
    unit: int
    nests: bool  # nested values are null, where other fields read members of the same key
    keeps_empty: bool = False  # "" is not null yet: it holds until the next value
    strict: bool = False  # text alone: anything else has another token than the source's

    @staticmethod
    def of(field: Field, *, nests: bool) -> Column:
        """Column of a field of the layout."""
        strict = field.kind is Kind.TEXT and bool(field.path)
        return Column(field, _KINDS.index(field.kind), _TIME_UNITS.get(field.unit, _AUTO), nests, field.carry, strict)


@dataclass(slots=True)
class Table:
    """Members of the objects of one place."""

    keys: dict[str, Place] = field(default_factory=dict)
    open: bool = False  # other keys are extra columns
    group: int = -1  # tables of which a record may have but one


@dataclass(frozen=True, slots=True)
class Plan:
    """A layout for the fast decoder. Table 0 is that of the records, where they are objects."""

    columns: tuple[Column, ...]  # without those of the envelope
    tables: tuple[Table, ...] = ()
    groups: int = 0
    places: tuple[Place, ...] = ()  # of the elements of a row
    moved: tuple[Place, ...] = ()  # the same in rows of the variant
    least: int = 0  # columns that a row has
    bool_at: int = -1  # where a bool shows that the row is of the variant
    variant_width: int = 0
    heads: tuple[bytes, ...] = ()  # names under which documents have the array of records
    around: Plan | None = None  # for the members round it

    @property
    def rows_are_arrays(self) -> bool:
        """Whether a record is an array."""
        return bool(self.places)


def plan_of(layout: Layout) -> Plan | None:
    """Give the plan of a layout; None for one that only the reference decoder reads."""
    known = layout.rows in ("object", "array") and layout.extras and all(len(field.path) <= 1 for field in _fields(layout))
    if not known:
        return None
    plan = _plan_of_arrays(layout) if layout.rows == "array" else _plan_of_objects(layout)
    paths = [path for path in layout.records if path]
    if plan is None or any(len(path) > 1 for path in paths):
        return plan
    return replace(plan, heads=tuple(path[0].encode() for path in paths), around=plan_of_around(layout))


def plan_of_around(layout: Layout) -> Plan | None:
    """Plan for the members round the records, as if they were records of their own; None where they are not read so."""
    fields = [field for field in layout.fields if field.envelope]
    members = Table()
    for number, one in enumerate(fields):
        for rank, key in enumerate(one.keys):
            if one.path or key in members.keys:
                return None
            members.keys[key] = Place(number, rank)
    for name, path in layout.envelope_extras:
        if path != (name,):
            return None
        members.keys.setdefault(name, Place()).extra = name
    # What is no text where text belongs has the token of a writer there, and not the source's.
    columns = tuple(replace(Column.of(field, nests=False), strict=field.kind is Kind.TEXT) for field in fields)
    return Plan(columns, (members,))


def _fields(layout: Layout) -> list[Field]:
    return [field for field in layout.fields if not field.envelope]


def _plan_of_objects(layout: Layout) -> Plan | None:
    fields = _fields(layout)
    nested = {key for field in fields if field.path for key in field.keys}
    columns = tuple(Column.of(field, nests=not field.path and not nested.isdisjoint(field.keys)) for field in fields)
    records = Table(open=True)
    tables, groups = [records], dict[tuple[str, ...], int]()
    for number, one in enumerate(fields):
        for rank, key in enumerate(one.keys):
            place = records.keys.setdefault(key, Place())
            if one.keep:
                place.extra = key
            if not one.path:
                if place.column >= 0:
                    return None
                place.column, place.rank = number, rank
                continue
            if place.sub < 0:
                place.sub = len(tables)
                tables.append(Table(group=groups.setdefault(one.keys, len(groups))))
            members = tables[place.sub].keys
            if one.path[0] in members or tables[place.sub].group != groups.get(one.keys):
                return None
            members[one.path[0]] = Place(number)
    for path in layout.records:
        if path:
            records.keys.setdefault(path[0], Place(extra=path[0])).head = True
    return Plan(columns, tuple(tables), len(groups))


def _plan_of_arrays(layout: Layout) -> Plan | None:
    fields = _fields(layout)
    columns = tuple(Column.of(field, nests=False) for field in fields)
    variant = layout.variants[0] if layout.variants else None
    inside = Table(open=True)
    if len(layout.variants) > 1 or (variant and any(field.keep for field in fields)):
        return None
    tables = (inside,) if layout.extra_object is not None else ()
    for number, one in enumerate(fields):
        if one.path:
            if one.index != layout.extra_object or one.path[0] in inside.keys or one.keep:
                return None
            inside.keys[one.path[0]] = Place(number)
    return Plan(
        columns,
        tables,
        places=_places(layout, None),
        moved=_places(layout, variant),
        least=layout.widths[0] if layout.widths else 0,
        bool_at=variant.bool_at if variant else -1,
        variant_width=variant.width if variant else 0,
    )


def _places(layout: Layout, variant: Variant | None) -> tuple[Place, ...]:
    """Where the elements of a row go, in the layout itself or in a variant of it."""
    places = [Place() for _ in range(layout.widths[-1])]
    moved = dict(variant.index) if variant else {}
    for number, one in enumerate(_fields(layout)):
        index = moved.get(one.name, one.index)
        if index is not None and not one.path:
            places[index].column = number
            if one.keep:
                places[index].extra = one.name
    for index, name in variant.extra_columns if variant else layout.extra_columns:
        places[index].extra = name
    if layout.extra_object is not None:
        places[layout.extra_object].sub = 0
    return tuple(places)
