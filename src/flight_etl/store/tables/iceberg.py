"""Iceberg: the data files of an output as a table, through pyiceberg.

Files are registered where they are, as `add_files` does it: by a name mapping, since they hold no field ids. All that goes and
comes is one snapshot. `add_files` itself can only add, refuses files with columns that the table does not have, and reads every
footer once more; so the entries are made here with the parts that it is made of, some of which pyiceberg may change (the extra
pins the minor version).

A table is partitioned by the day of `timestamp`, a hidden partition: readers filter by `timestamp` alone.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from flight_etl.errors import Place, SettingsError, StoreError
from flight_etl.store.failures import store_errors
from flight_etl.store.places import is_url, local_path
from flight_etl.store.tables.contents import Kept, columns, difference, is_partitioned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.name_mapping import NameMapping

    from flight_etl.settings import TableSettings
    from flight_etl.store.tables.contents import Columns, TableFile

__all__ = ["keep_iceberg"]

_FORMAT: Final = "iceberg"
_CATALOG: Final = "flight_etl"  # under which pyiceberg knows a catalogue that it was not told the name of
_ATTEMPTS: Final = 5  # when others commit to the same table in between
_PARTITION: Final = "timestamp_day"
_MAPPING: Final = "schema.name-mapping.default"
_RETRIES: Final = "commit.retry.num-retries"
_LEFT_OUT: Final = 1_000_000_000  # beyond all ids of fields, and below those that Iceberg keeps for itself
_OTHER: Final = -1  # stands for the field id of a column that the table does not have
_CREATED_WITH: Final = {"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "20"}


def keep_iceberg(dataset: str, files: Sequence[TableFile], settings: TableSettings) -> Kept:
    """Make the table list `files`, all that a data set has, and no other. Makes the table where there is none.

    One snapshot takes out what is gone and brings in what is new; where nothing is to change, there is no new one. Raises
    SettingsError for files of which only some are partitioned, StoreError when the catalogue or the table's storage fails.
    """
    from pyiceberg.exceptions import CommitFailedException

    partitioned = is_partitioned(files, dataset)
    wanted = columns(files)
    with _failures(dataset), _catalog(dataset, settings) as catalog:
        table = _table(catalog, dataset, wanted, settings)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _keep(table, files, wanted, partitioned=partitioned)
            except CommitFailedException:
                if attempt == _ATTEMPTS:
                    raise
                table.refresh()
    raise AssertionError("not reached")


def _keep(table: Table, files: Sequence[TableFile], wanted: Columns, *, partitioned: bool) -> Kept:
    # In memory only. What is to change was decided by what was listed: pyiceberg would send the same again after somebody else's
    # commit, and add a file twice that both have found.
    table.metadata.properties[_RETRIES] = "0"
    listed = _listed(table)
    with table.transaction() as change:
        _change_columns(change, wanted)
        _change_partitions(change, partitioned=partitioned)
        metadata = change.table_metadata
        entries = {_path(file): _entry(file, metadata) for file in files if file.footer.num_rows}
        found = difference(files, listed, lambda file, old: _says_the_same(entries[_path(file)], old), _path)
        if found:
            with change.update_snapshot().overwrite() as snapshot:
                for path in (*found.removed, *(_path(file) for file in found.added)):
                    if path in listed:
                        snapshot.delete_data_file(listed[path])
                for file in found.added:
                    snapshot.append_data_file(entries[_path(file)])
    current = table.current_snapshot()
    return Kept(
        format=_FORMAT,
        place=table.metadata_location,
        version=str(current.snapshot_id) if current else None,
        added=len(found.added),
        removed=len(found.removed),
        files=len(entries),
        rows=sum(file.footer.num_rows for file in files),
        left_out=wanted.left_out,
    )


def _path(file: TableFile) -> str:
    """Name of a file in the table: its URL, or absolute path."""
    return file.place if is_url(file.place) else os.path.realpath(local_path(file.place))


def _listed(table: Table) -> dict[str, DataFile]:
    """Entries of the current snapshot by the name of their file."""
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    entries = (entry for manifest in manifests for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True))
    return {entry.data_file.file_path: entry.data_file for entry in entries}


def _change_columns(change: Transaction, wanted: Columns) -> None:
    """Add what is new; take out what files do not agree about, and what has another type now."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    has = {field.name: field.type for field in schema_to_pyarrow(change.table_metadata.schema(), include_field_ids=False)}
    comes = {field.name: field.type for field in wanted.schema}
    gone = [name for name in has if name in wanted.left_out or not _is_type(has[name], comes.get(name, has[name]))]
    if gone:
        with change.update_schema() as update:
            for name in gone:
                update.delete_column((name,))
    new = [_documented(field) for field in wanted.schema if field.name in gone or field.name not in has]
    if new:
        with change.update_schema() as update:
            update.union_by_name(pa.schema(new))
    mapping = _mapping(change.table_metadata.schema().name_mapping, wanted.left_out)
    if change.table_metadata.properties.get(_MAPPING) != mapping:
        change.set_properties({_MAPPING: mapping})


def _mapping(own: NameMapping, left_out: Sequence[str]) -> str:
    """Field ids by the names of columns in the files; those of columns that the table does not have are of no field.

    pyiceberg reads no file that has a column without an id.
    """
    from pyiceberg.table.name_mapping import MappedField, NameMapping

    others = [MappedField(**{"field-id": _LEFT_OUT + at, "names": [name]}) for at, name in enumerate(left_out)]
    return str(NameMapping([*own.root, *others]).model_dump_json())


def _is_type(has: pa.DataType, comes: pa.DataType) -> bool:
    return bool(has == comes or (pa.types.is_large_string(has) and pa.types.is_string(comes)))


def _documented(field: pa.Field) -> pa.Field:
    """Field whose description and unit are where pyiceberg looks for them."""
    about = field.metadata or {}
    unit, told = about.get(b"unit", b""), about.get(b"description", b"")
    text = told + (b" [" + unit + b"]" if unit else b"")
    return field.with_metadata({b"doc": text} if text else None)


def _change_partitions(change: Transaction, *, partitioned: bool) -> None:
    from pyiceberg.transforms import DayTransform

    has = any(field.name == _PARTITION for field in change.table_metadata.spec().fields)
    if has == partitioned:
        return
    with change.update_spec() as update:
        if partitioned:
            update.add_field("timestamp", DayTransform(), _PARTITION)
        else:
            update.remove_field(_PARTITION)


def _entry(file: TableFile, metadata: TableMetadata) -> DataFile:
    """What the table is to say about a file, from its footer."""
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat

    schema = metadata.schema()
    plan, ids = compute_statistics_plan(schema, metadata.properties), parquet_path_to_id_mapping(schema)
    told = data_file_statistics_from_parquet_metadata(file.footer, _with_other(plan), _Ids(ids))
    told.column_sizes.pop(_OTHER, None)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=_path(file),
        file_format=FileFormat.PARQUET,
        partition=told.partition(metadata.spec(), schema),
        file_size_in_bytes=file.size_bytes,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **told.to_serialized_dict(),
    )


class _Ids(dict[str, int]):
    """Field ids by the path of a column; one that the table does not have is `_OTHER`."""

    def __missing__(self, _: str) -> int:
        return _OTHER


def _with_other(plan: dict[int, Any]) -> dict[int, Any]:
    from pyiceberg.io.pyarrow import MetricModeTypes, MetricsMode, StatisticsCollector
    from pyiceberg.types import StringType

    none = MetricsMode(MetricModeTypes.NONE)
    return {**plan, _OTHER: StatisticsCollector(field_id=_OTHER, iceberg_type=StringType(), mode=none, column_name="")}


def _says_the_same(new: DataFile, old: DataFile) -> bool:
    """Whether an entry would be no other, if it were made now; columns that came or went since do not count."""
    if (new.file_size_in_bytes, new.record_count, new.split_offsets) != (
        old.file_size_in_bytes,
        old.record_count,
        old.split_offsets,
    ):
        return False
    tables = (
        (getattr(new, name), getattr(old, name)) for name in ("column_sizes", "null_value_counts", "lower_bounds", "upper_bounds")
    )
    return all(mine[key] == theirs[key] for mine, theirs in tables for key in mine.keys() & theirs.keys())


# -- where the table is --------------------------------------------------------------------------------------------------


@contextmanager
def _catalog(dataset: str, settings: TableSettings) -> Iterator[Catalog]:
    """Open the catalogue that `table.catalog` names; by default SQLite in the folder `<dataset>.iceberg` beside a folder."""
    from pyiceberg.catalog import load_catalog

    given, properties = settings.catalog, dict(settings.properties)
    if given is None:
        assert not is_url(dataset), "an object store needs a catalogue of its own; runners/table.py says so"
        folder = _beside(dataset)
        with store_errors(folder, "make"):
            folder.mkdir(parents=True, exist_ok=True)
        given = f"sqlite:///{folder}/catalog.db"
    if given.startswith("sqlite:"):
        catalog = load_catalog(_CATALOG, **{"type": "sql", "uri": given, "warehouse": _warehouse(dataset), **properties})
    elif given.startswith(("http://", "https://")):
        catalog = load_catalog(_CATALOG, **{"type": "rest", "uri": given, **properties})
    elif given == "glue":
        catalog = load_catalog(_CATALOG, **{"type": "glue", **properties})
    else:
        catalog = load_catalog(given, **properties)
    try:
        yield catalog
    finally:
        catalog.close()


def _beside(dataset: str) -> Path:
    path = Path(os.path.realpath(local_path(dataset)))
    return path.with_name(f"{path.name}.iceberg")


def _warehouse(dataset: str) -> str:
    return f"{dataset.rstrip('/')}.iceberg" if is_url(dataset) else _beside(dataset).as_uri()


def _table(catalog: Catalog, dataset: str, wanted: Columns, settings: TableSettings) -> Table:
    """Load the table, or make it: its metadata is beside the data set unless the catalogue has a warehouse of its own."""
    from pyiceberg.exceptions import NoSuchTableError

    namespace, _, name = settings.name.rpartition(".")
    try:
        return catalog.load_table((*namespace.split("."), name))
    except NoSuchTableError:
        catalog.create_namespace_if_not_exists(namespace)
        place = None if "warehouse" in dict(settings.properties) else f"{_warehouse(dataset)}/{name}"
        schema = pa.schema([_documented(field) for field in wanted.schema])
        return catalog.create_table_if_not_exists(
            (*namespace.split("."), name), schema=schema, location=place, properties=_CREATED_WITH
        )


@contextmanager
def _failures(dataset: str) -> Iterator[None]:
    """The boundary at which what pyiceberg says becomes an error of ours."""
    try:
        yield
    except (SettingsError, StoreError):
        raise
    except Exception as error:  # what catalogues and storages raise has no common base
        raise StoreError(
            f"the files are published, but the table could not be changed ({type(error).__name__}: {error}); "
            "once the cause is gone, run `flight-etl compact --table iceberg` again",
            place=Place(dataset),
        ) from error
