"""The statement that makes a table of a data set in Athena (Trino with the Glue catalogue), from the footers of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from flight_etl.errors import SettingsError
from flight_etl.runners import places
from flight_etl.store.places import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flight_etl.settings import Settings

__all__ = ["athena_ddl", "ddl_of"]

_PARTITION: Final = "date"
_MOST_COMMENT: Final = 255  # characters that Glue keeps of a column's comment


def ddl_of(location: str, name: str, settings: Settings) -> str:
    """Give the statement for a data set in an object store; reads the footers of all its files. Raises as `athena_ddl`."""
    pool = places.pool_for(settings, location)
    if pool is None:
        raise _not_there(location)
    from flight_etl.store.object_update import object_schemas

    files, schemas = object_schemas(location, pool)
    return athena_ddl(location, name, schemas, [file.day for file in files])


def _not_there(location: str) -> SettingsError:
    return SettingsError(f"{location!r} is not permitted: Athena reads s3://bucket/prefix only")


def athena_ddl(location: str, name: str, schemas: Iterable[pa.Schema], days: Sequence[str | None]) -> str:
    """Give the statement for the data set at the URL `location`; `days` are the partitions of its files, None for none.

    Partitions are projected, from the first day that is there to today, so that nobody has to add them. Columns that only some
    files have are in it, since Athena reads what a file lacks as null. Raises SettingsError where `location` is on no object
    store, or files with and without a partition are mixed, or two files have a column of one name and different types.
    """
    if not is_url(location):
        raise _not_there(location)
    partitioned = sorted(day for day in days if day is not None)
    if partitioned and None in days:
        raise SettingsError(f"{location} has files inside and outside of partitions; run `flight-etl compact` on it first")
    columns = ",\n".join(_column(field) for field in _joined(schemas, location))
    place = f"{location.rstrip('/')}/"
    lines = [f"CREATE EXTERNAL TABLE IF NOT EXISTS `{name}` (", columns, ")"]
    if partitioned:
        lines.append(f"PARTITIONED BY (`{_PARTITION}` string)")
    lines += ["STORED AS PARQUET", f"LOCATION '{_text(place)}'"]
    if partitioned:
        properties = {
            "projection.enabled": "true",
            f"projection.{_PARTITION}.type": "date",
            f"projection.{_PARTITION}.format": "yyyy-MM-dd",
            f"projection.{_PARTITION}.range": f"{partitioned[0]},NOW",
            "storage.location.template": f"{place}{_PARTITION}=${{{_PARTITION}}}/",
        }
        told = ",\n".join(f"  '{key}' = '{_text(value)}'" for key, value in properties.items())
        lines.append(f"TBLPROPERTIES (\n{told}\n)")
    return "\n".join(lines) + ";\n"


def _joined(schemas: Iterable[pa.Schema], location: str) -> list[pa.Field]:
    """Fields of all files, in the order in which they are met."""
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            known = fields.setdefault(field.name, field)
            if _type(known.type) != _type(field.type):
                raise SettingsError(
                    f"column {field.name} of {location} is {_type(known.type)} in one file and {_type(field.type)} in another; "
                    "Athena reads no such table: write undeclared keys of one type, or select other files"
                )
    return list(fields.values())


def _column(field: pa.Field) -> str:
    about = field.metadata or {}
    unit, told = about.get(b"unit", b"").decode(), about.get(b"description", b"").decode()
    comment = _text(f"{told} [{unit}]" if unit else told)[:_MOST_COMMENT].rstrip("\\")
    return f"  `{field.name.replace('`', '``')}` {_type(field.type)} COMMENT '{comment}'"


def _text(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _type(type_: pa.DataType) -> str:
    if pa.types.is_timestamp(type_):
        return "timestamp"
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_float64(type_):
        return "double"
    if pa.types.is_float32(type_):
        return "float"
    return "bigint" if pa.types.is_integer(type_) else "string"
