"""What a table has to say about the data files of an output, whatever its format: pure functions over their footers.

A table is never more than a list of files that are there, with their columns. So keeping it is one comparison: files that it
does not list are added, those that are gone are taken out, and what is listed as it is stays. Doing that again changes nothing,
and whoever comes after a crash does what was left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from flight_etl.errors import Place, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow.parquet as pq

__all__ = ["DAY", "Columns", "Difference", "Kept", "TableFile", "columns", "difference", "is_partitioned"]

DAY: Final = "date"  # the partition column that a folder date=YYYY-MM-DD stands for
_MICROSECONDS: Final = pa.timestamp("us", tz="UTC")  # the only moment in time that both formats know; files hold ms


@dataclass(frozen=True, slots=True)
class TableFile:
    """A data file: its name relative to the data set, its full name, what its footer says, and the day of its partition."""

    name: str
    place: str
    size_bytes: int
    day: str | None
    footer: pq.FileMetaData


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, and the names of those of its files that it cannot have."""

    schema: pa.Schema
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to change so that a table lists `files` and no other: what comes in, and the names of what goes."""

    added: tuple[TableFile, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The account of a table: where it is, which version it has now, and what was changed; nothing where `version` is old."""

    format: str
    place: str
    version: str | None
    added: int
    removed: int
    files: int
    rows: int
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that a report has."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "left_out": list(self.left_out)}


def columns(files: Iterable[TableFile], refused: Callable[[str], bool] = lambda _: False) -> Columns:
    """Columns of a table of these files, in the order in which they are met; a column that a file lacks is null there.

    Undeclared keys of the source may have one type in one file and another in the next, or names that differ by case alone: no
    engine reads such a column, so it is left out, as is a name that is `refused`. It stays in the files.
    """
    fields: dict[str, pa.Field] = {}
    by_folded: dict[str, str] = {}
    left_out = set()
    for file in files:
        for field in file.footer.schema.to_arrow_schema():
            found = field.with_type(_type(field.type)).with_nullable(True)
            known = fields.setdefault(field.name, found)
            same_letters = by_folded.setdefault(field.name.casefold(), field.name)
            if known.type != found.type or same_letters != field.name or refused(field.name):
                left_out.add(field.name)
    kept = [field for name, field in fields.items() if name not in left_out]
    return Columns(pa.schema(kept), tuple(sorted(left_out)))


def _type(type_: pa.DataType) -> pa.DataType:
    """Type in a table: words are text, however a file encodes them."""
    if pa.types.is_dictionary(type_):
        return type_.value_type
    return _MICROSECONDS if pa.types.is_timestamp(type_) else type_


def difference(
    files: Sequence[TableFile],
    listed: Mapping[str, Any],
    is_same: Callable[[TableFile, Any], bool],
    name: Callable[[TableFile], str],
) -> Difference:
    """Compare files with the entries of a table, by `name`. Files without a row are in no table.

    A file that took the place of another under its name counts as new where the table's entry would say something else of it.
    """
    with_rows = {name(file): file for file in files if file.footer.num_rows}
    added = [file for called, file in with_rows.items() if called not in listed or not is_same(file, listed[called])]
    return Difference(tuple(added), tuple(sorted(listed.keys() - with_rows.keys())))


def is_partitioned(files: Sequence[TableFile], dataset: str) -> bool:
    """Whether all files lie in folders date=. Raises SettingsError where only some do."""
    inside = {file.day is not None for file in files}
    if len(inside) > 1:
        raise SettingsError(
            f"{Place(dataset)} has files inside and outside of partitions date=, which no table can list; "
            "run `flight-etl compact --partition-by date` on it first"
        )
    return inside == {True}
