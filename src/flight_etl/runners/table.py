"""A table of Iceberg or Delta beside an output, kept after files were published: by `compact` and `backfill`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flight_etl.errors import SettingsError, StoreError
from flight_etl.runners import places
from flight_etl.store.places import is_url
from flight_etl.store.tables.contents import TableFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flight_etl.report import Report
    from flight_etl.settings import Settings, TableSettings
    from flight_etl.store.dataset import DataFile
    from flight_etl.store.objects import Pool
    from flight_etl.store.tables.contents import Kept

__all__ = ["check_table", "keep_table", "with_table"]

_ROUNDS: Final = 5  # that files may change in while the table is changed


def check_table(dataset: str, settings: Settings) -> None:
    """Raise SettingsError where the library of the table is missing, or its catalogue: before any work, not after it."""
    if settings.table.format is not None:
        _library(settings.table.format)
    if settings.table.format == "iceberg" and settings.table.catalog is None and is_url(dataset):
        raise SettingsError(
            f"table.catalog is missing: {dataset} is in an object store, where SQLite cannot be; "
            "name glue, https://..., sqlite:////a/file, or a catalogue of pyiceberg's own configuration"
        )


def with_table(report: Report, dataset: str, settings: Settings, pool: Pool | None = None) -> Report:
    """Give a report with the account of the data set's table, brought up to date, where one is wanted."""
    if settings.table.format is None:
        return report
    kept = keep_table(dataset, settings, pool)
    notes = [f"not in the table, since its type or name is not the same in all files: {name}" for name in kept.left_out]
    return replace(report, table=kept.to_json(), notes=(*report.notes, *notes))


def keep_table(dataset: str, settings: Settings, pool: Pool | None = None) -> Kept:
    """Make the table `settings.table` list all data files of a data set and no other; see store/tables/contents.py.

    On disk nobody publishes there meanwhile; in an object store the files are looked at again afterwards, and where somebody
    did, the table is changed once more. Reads the footers of all files. Raises what the formats do, NotFound where there is no
    data set, and StoreError where files change all the time.
    """
    assert settings.table.format is not None
    keep = _library(settings.table.format)
    pool = pool or places.pool_for(settings, dataset)
    for _ in range(_ROUNDS):
        with places.updating(dataset, settings, pool) as update:
            seen = tuple(update.files)
            files = [
                TableFile(file.name, update.place(file.name), file.size_bytes, file.day, update.metadata(file)) for file in seen
            ]
            kept = keep(dataset, files, settings.table)
        if pool is None or _files_now(dataset, settings, pool) == seen:
            return kept
    raise StoreError(f"{dataset}: its files change all the time; the table lists those of a moment ago. Run it again later")


def _files_now(dataset: str, settings: Settings, pool: Pool) -> tuple[DataFile, ...]:
    with places.updating(dataset, settings, pool) as update:
        return tuple(update.files)


def _library(format_: str) -> Callable[[str, Sequence[TableFile], TableSettings], Kept]:
    try:
        if format_ == "delta":
            import deltalake  # noqa: F401 - whether it is there

            from flight_etl.store.tables.delta import keep_delta

            return keep_delta
        import pyiceberg  # noqa: F401
        import sqlalchemy  # noqa: F401 - the extra has it, pyiceberg alone does not

        from flight_etl.store.tables.iceberg import keep_iceberg
    except ImportError as error:
        raise SettingsError(f"--table {format_} needs {error.name}: pip install 'flight-etl[{format_}]'") from error
    return keep_iceberg
