"""The package as a library: `read`, `transform`, `run`, `to_traffic`.

import flight_etl
table = flight_etl.read("states.json.gz")       # decoded, normalised, cleaned
flights = flight_etl.transform(table).kept      # sorted, without duplicates, cut into flights, enriched
report = flight_etl.run("recordings", "flights")    # the same, of any size, from files to a data set
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from flight_etl.core.adopt import LAYOUT, adopt, release
from flight_etl.core.flights import flights_of
from flight_etl.outcome import Outcome, add_counts
from flight_etl.pipeline import RECORD_STAGES, TRACK_STAGES, Context, run_stages
from flight_etl.runners import local
from flight_etl.schema import ENRICHED, arrow_schema
from flight_etl.settings import Settings
from flight_etl.settings_rules import check
from flight_etl.store.airports import load_airports
from flight_etl.traffic import to_traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from flight_etl.report import Report

__all__ = ["flights", "read", "run", "to_traffic", "transform"]


def read(path: str | os.PathLike[str], settings: Settings | None = None) -> pa.Table:
    """Decode, normalise and clean a file, folder or glob into one NORMAL table in memory, rows in input order.

    Dropped records are left out silently here; `run` gives an account of them. Raises InputError, NotFound or Denied when an
    input fails, SettingsError.
    """
    settings = _checked(settings)
    return local.read(os.fspath(path), settings)


def transform(table: pa.Table, settings: Settings | None = None) -> Outcome:
    """Put a table through every stage behind decoding; `kept` is sorted by (icao24, timestamp), columns as in `ENRICHED`.

    `table` is NORMAL, as `read` gives it, or has the columns of flat records (docs/layouts.md); `icao24` and `timestamp` are
    needed, other columns that are missing are null. Text may be plain or dictionary-encoded, times of any unit and zone
    (without one: UTC), numbers are SI unless a column's name says otherwise, whatever `settings.units` says. NaN is null.
    Undeclared columns come out as they went in, behind the declared ones. Memory is about 1.1 kB a row beside the table.

    `dropped` numbers rows by `_record` where the table has it, else from 0, with `_offset` 0. Raises InputError where two
    columns have one name, SettingsError.
    """
    settings = _checked(settings)
    adopted = adopt(table, max_extra_columns=settings.decode.max_extra_columns)
    context = Context(settings=replace(settings, units="si"), layout=LAYOUT, airports=load_airports())
    outcome = run_stages(adopted.raw, (*RECORD_STAGES, *TRACK_STAGES), context)
    kept = release(outcome.kept, adopted, arrow_schema(ENRICHED, features=settings.features()))
    return Outcome(kept, outcome.dropped, add_counts([adopted.counts, outcome.counts]))


def run(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    flights: str | os.PathLike[str] | None = None,
) -> Report:
    """Turn files, folders and globs into one enriched data set in the folder `output`, within the memory setting.

    Inputs that fail are told in the report, and nothing is visible in `output` before all of it is. With `flights`, a file
    .parquet outside of `output`, one row for each flight of the whole data set goes there. Raises SettingsError or
    StoreError when nothing can be done at all, BalanceError when records are unaccounted for.
    """
    names = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
    table = None if flights is None else os.fspath(flights)
    return local.run([os.fspath(name) for name in names], os.fspath(output), _checked(settings), flights=table)


def flights(table: pa.Table) -> pa.Table:
    """Give one row for each flight of enriched rows, as `transform` gives them; columns as in `schema.FLIGHTS`."""
    return flights_of(table)


def _checked(settings: Settings | None) -> Settings:
    settings = settings or Settings()
    check(settings)
    return settings
