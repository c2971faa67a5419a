"""Delta: the data files of an output as a table, through deltalake (delta-rs).

The log is `_delta_log/` in the data set itself, since Delta knows files by names relative to it. All that goes and comes is one
commit. Checkpoints, which are Parquet files, are not made: whoever reads `**/*.parquet` would take them for data. A table is
partitioned by the column `date`, which is in the names of folders and not in the files.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pyarrow as pa

from flight_etl.errors import Place, SettingsError, StoreError
from flight_etl.store.places import is_url, local_path
from flight_etl.store.tables.contents import DAY, Columns, Kept, columns, difference, is_partitioned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deltalake import DeltaTable
    from deltalake.transaction import AddAction

    from flight_etl.settings import TableSettings
    from flight_etl.store.tables.contents import TableFile

__all__ = ["keep_delta"]

_FORMAT: Final = "delta"
_ATTEMPTS: Final = 5  # when others commit to the same table in between
_FOREVER: Final = str(1 << 30)
_CREATED_WITH: Final = {"delta.checkpointInterval": _FOREVER, "delta.logRetentionDuration": "interval 36500 days"}
_FORBIDDEN: Final = frozenset(" ,;{}()\n\t=")  # in names of columns, without a mapping of columns that few readers know
# Columns by whose least and greatest value a reader leaves files out.
_BOUNDED: Final = ("icao24", "timestamp", "latitude", "longitude", "altitude", "flight_id")


def keep_delta(dataset: str, files: Sequence[TableFile], settings: TableSettings) -> Kept:
    """Make the table list `files`, all that a data set has, and no other. Makes the table where there is none.

    One commit takes out what is gone and brings in what is new; where nothing is to change, there is no new one. New columns are
    added by a commit before it. Raises SettingsError where files have come to disagree about a column that the table has, or
    the table was made with other partitions; StoreError when its storage fails.
    """
    from deltalake.exceptions import CommitFailedError, TableNotFoundError

    place = dataset if is_url(dataset) else local_path(dataset)
    by = [DAY] if is_partitioned(files, dataset) else []
    found = columns(files, lambda name: name == DAY or not _FORBIDDEN.isdisjoint(name))
    wanted = Columns(pa.schema([*found.schema, *(pa.field(name, pa.date32()) for name in by)]), found.left_out)
    with _failures(dataset):
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                table = _table(place, wanted, by, dict(settings.properties))
                return _keep(table, files, wanted, by, place)
            except (CommitFailedError, TableNotFoundError):
                if attempt == _ATTEMPTS:
                    raise
    raise AssertionError("not reached")


def _table(place: str, wanted: Columns, by: list[str], options: dict[str, str]) -> DeltaTable:
    from deltalake import DeltaTable, Schema

    options = {"allow_http": "true", **options} if is_url(place) else options
    if not DeltaTable.is_deltatable(place, options):
        schema = Schema.from_arrow(wanted.schema)
        return DeltaTable.create(
            place, schema, mode="ignore", partition_by=by, configuration=_CREATED_WITH, storage_options=options
        )
    return DeltaTable(place, storage_options=options)


def _keep(table: DeltaTable, files: Sequence[TableFile], wanted: Columns, by: list[str], place: str) -> Kept:
    from deltalake import Schema
    from deltalake.transaction import CommitProperties, RemoveAction

    _check(table, wanted, by, place)
    has = {field.name for field in table.schema().fields}
    fresh = [field for field in wanted.schema if field.name not in has]
    if fresh:
        table.alter.add_columns(Schema.from_arrow(pa.schema(fresh)).fields)
    listed = _listed(table)
    found = difference(files, listed, _says_the_same, lambda file: file.name)
    if found:
        now_ms = time.time_ns() // 1_000_000
        actions: list[Any] = [_add(file, now_ms) for file in found.added]
        for name in found.removed:
            values = {DAY: str(listed[name]["partition.date"])} if by else {}
            actions.append(RemoveAction(name, True, now_ms, size=listed[name]["size_bytes"], partition_values=values))
        table.create_write_transaction(
            actions,
            mode="append",
            schema=Schema.from_arrow(wanted.schema),
            partition_by=by,
            commit_properties=CommitProperties(max_commit_retries=0),  # what to change was decided by what was there
        )
        table.update_incremental()
    return Kept(
        format=_FORMAT,
        place=place,
        version=str(table.version()),
        added=len(found.added),
        removed=len(found.removed),
        files=sum(1 for file in files if file.footer.num_rows),
        rows=sum(file.footer.num_rows for file in files),
        left_out=wanted.left_out,
    )


def _check(table: DeltaTable, wanted: Columns, by: list[str], place: str) -> None:
    """Delta can neither give a column another type nor let go of one, nor change partitions, without a new table."""
    anew = f"remove the folder {place}/_delta_log, and the next run makes the table anew"
    if table.metadata().partition_columns != by:
        raise SettingsError(f"the table at {place} was made with other partitions than its files have now: {anew}")
    has = {field.name: field.type for field in pa.schema(table.schema().to_arrow())}
    comes = {field.name: field.type for field in wanted.schema}
    for name, type_ in has.items():
        if name in wanted.left_out or not _is_type(type_, comes.get(name, type_)):
            raise SettingsError(f"column {name} of the table at {place} has come to have several types: {anew}")


def _is_type(has: pa.DataType, comes: pa.DataType) -> bool:
    words = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return has == comes or (any(is_(has) for is_ in words) and pa.types.is_string(comes))


def _listed(table: DeltaTable) -> dict[str, dict[str, Any]]:
    """Entries of the table by the name of their file."""
    return {unquote(row["path"]): row for row in pa.table(table.get_add_actions(flatten=True)).to_pylist()}


def _add(file: TableFile, now_ms: int) -> AddAction:
    from deltalake.transaction import AddAction

    values = {DAY: file.day} if file.day else {}
    return AddAction(file.name, file.size_bytes, values, now_ms, True, json.dumps(_statistics(file)))


def _statistics(file: TableFile) -> dict[str, Any]:
    """Rows of a file, and of some columns the nulls and the bounds, in the form of Delta's protocol; from the footer."""
    footer = file.footer
    nulls: dict[str, int] = {}
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    for at in range(footer.num_columns):
        name = footer.schema.column(at).path
        if name not in _BOUNDED:
            continue
        told = [footer.row_group(group).column(at).statistics for group in range(footer.num_row_groups)]
        if not all(one is not None and one.has_null_count for one in told):
            continue
        nulls[name] = sum(one.null_count for one in told)
        bounded = [one for one in told if one.has_min_max]
        if bounded and all(one.has_min_max or not one.num_values for one in told):
            least[name], most[name] = _text(min(one.min for one in bounded)), _text(max(one.max for one in bounded))
    return {"numRecords": footer.num_rows, "nullCount": nulls, "minValues": least, "maxValues": most}


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return value


def _says_the_same(file: TableFile, old: Mapping[str, Any]) -> bool:
    """Whether an entry would be no other, if it were made now."""
    told = _statistics(file)
    if (file.size_bytes, told["numRecords"]) != (old["size_bytes"], old["num_records"]):
        return False
    pairs = [(told["nullCount"].get(name), old.get(f"null_count.{name}")) for name in _BOUNDED]
    for kind, word in (("minValues", "min"), ("maxValues", "max")):
        pairs += [(told[kind].get(name), old.get(f"{word}.{name}")) for name in _BOUNDED]
    return all(_is_equal(mine, _text(theirs)) for mine, theirs in pairs)


def _is_equal(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-15, abs_tol=0.0)  # by way of JSON
    return bool(mine == theirs)


@contextmanager
def _failures(dataset: str) -> Iterator[None]:
    """The boundary at which what deltalake says becomes an error of ours."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, ValueError) as error:
        raise StoreError(
            f"the files are published, but the table could not be changed ({type(error).__name__}: {error}); "
            "once the cause is gone, run `flight-etl compact --table delta` again",
            place=Place(dataset),
        ) from error
