"""One machine: files in, a data set or a file out. Connects the pure stages with the store, within the memory budget."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from flight_etl import resources
from flight_etl.core import extras
from flight_etl.core.decode import decoder_name
from flight_etl.outcome import add_counts
from flight_etl.pipeline import Context
from flight_etl.report import InputReport, Report
from flight_etl.runners import incremental, places
from flight_etl.runners.form import Tally, final_schema, footer, summary_of
from flight_etl.runners.gather import Gather
from flight_etl.runners.means import MEANS
from flight_etl.runners.pen import Draft, Pen
from flight_etl.runners.records import Ledger, Progress, record_outcomes
from flight_etl.runners.spool import Spool
from flight_etl.runners.tracks import track_outcomes
from flight_etl.runners.units_told import warnings_of
from flight_etl.schema import ENRICHED, NORMAL, arrow_schema
from flight_etl.settings import Settings
from flight_etl.store.failures import store_errors
from flight_etl.store.inputs import expand
from flight_etl.store.manifest import MANIFEST
from flight_etl.store.parquet import DatasetWriter
from flight_etl.store.places import join, sibling
from flight_etl.store.quarantine import QuarantineWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from flight_etl.outcome import Outcome
    from flight_etl.runners.means import Means
    from flight_etl.store.inputs import Expansion

    OnProgress = Callable[[Progress], None] | None

__all__ = [
    "QUARANTINE",
    "REPORT",
    "Inspection",
    "Progress",
    "convert",
    "inspect",
    "produce",
    "read",
    "run",
    "unpublished",
]

QUARANTINE = "_quarantine.ndjson"
REPORT = "_report.json"


def run(
    inputs: Sequence[str],
    output: str,
    settings: Settings | None = None,
    *,
    flights: str | None = None,
    progress: OnProgress = None,
    budget: resources.Budget | None = None,
) -> Report:
    """Turn all `inputs` into one enriched data set in the folder or below the prefix `output`.

    Where `output` is the work of an earlier run, and is not to be overwritten, only inputs that are new or have changed are
    taken (runners/incremental.py).
    Inputs that fail are told in the report; when all fail without a row, `output` stays as it was. Nothing is visible in
    `output` before all of it is. A table of the flights of the whole data set is then written to `flights`
    (runners/flight_table.py). `budget` replaces the sizes that `settings.resources` asks for. Raises SettingsError or
    StoreError when nothing can be done at all, BalanceError when records are unaccounted for.
    """
    settings = settings or Settings()
    if flights is None:
        return _run(inputs, output, settings, progress, budget)
    from flight_etl.runners import flight_table  # here, since most runs do without it

    flight_table.check_place(flights, output)
    report = _run(inputs, output, settings, progress, budget)
    if report.all_failed:
        return report
    flight_table.write_flights(output, flights, settings)
    return replace(report, flight_table=flights)


def _run(inputs: Sequence[str], output: str, settings: Settings, progress: OnProgress, budget: resources.Budget | None) -> Report:
    pool = places.pool_for(settings, *inputs, output)
    found = expand(inputs, output=output, pool=pool)

    def work(found: Expansion, directory: Path, place: Callable[[str], str]) -> Report:
        return produce(found, directory, settings, place=place, progress=progress, budget=budget)

    if not settings.output.overwrite and incremental.has_manifest(output, pool):
        return incremental.add(found, output, settings, pool, work, lambda report, folder: _save(report, folder / REPORT))
    with places.staging(output, settings, pool) as staging:
        before = incremental.states(found)
        names: dict[str, str] = {}

        def place(name: str) -> str:
            names[join(output, name)] = name
            return join(output, name)

        report = work(found, staging.directory, place)
        if report.all_failed:
            return unpublished(report)
        manifest = incremental.first_manifest(report, before, names, settings)
        with store_errors(staging.directory, "write the manifest"):
            (staging.directory / MANIFEST).write_bytes(manifest)
        _save(report, staging.directory / REPORT)
        staging.publish()
    return report


def produce(
    found: Expansion,
    directory: Path,
    settings: Settings,
    *,
    place: Callable[[str], str],
    progress: OnProgress = None,
    budget: resources.Budget | None = None,
    means: Means = MEANS,
) -> Report:
    """Put inputs through all stages; data files and quarantine go to `directory`, whose files will be known as `place` says.

    Publishes nothing, and writes no report; a runner does both. Raises as `run` does. `means` changes nothing in the output.
    """
    clock = time.monotonic()
    budget = budget or resources.plan(settings.resources)
    resources.suit_allocation(budget.limit_bytes)
    ledger = Ledger([source.name for source in found.sources])
    quarantine = QuarantineWriter(directory / QUARANTINE)

    def told(done: Progress) -> None:
        means.between()
        if progress is not None:
            progress(done)

    def told_of_tracks(done: Progress) -> None:
        means.is_short()  # what can be given back between two ranges is
        told(done)

    with _scratch(settings, directory) as spill:
        gather = Gather(spill, budget.held_bytes, budget.run_bytes)
        try:
            for outcome in record_outcomes(found.sources, settings, ledger, workers=budget.workers, progress=told, means=means):
                _book(outcome, ledger, quarantine)
                gather.add(outcome.kept)
                if means.is_short():
                    gather.spill()
            context = Context(settings=settings, airports=means.airports())
            tally = _write_tracks(gather, quarantine, directory, context, ledger, budget, told_of_tracks)
        finally:
            gather.close()
    quarantine.close()
    tally.outputs = [place(name) for name in tally.outputs]
    dropped = place(QUARANTINE) if (directory / QUARANTINE).exists() else None
    report = _report(found, ledger, tally, settings, clock, dropped)
    report.check_balance()
    return report


def _write_tracks(
    gather: Gather,
    quarantine: QuarantineWriter,
    directory: Path,
    context: Context,
    ledger: Ledger,
    budget: resources.Budget,
    progress: Callable[[Progress], None],
) -> Tally:
    settings = context.settings
    features = settings.features()
    schema, plan = final_schema(ENRICHED, features, gather.kinds, settings)
    writer = DatasetWriter(directory, schema, settings.output, footer(settings))
    rows = budget.range_rows(gather.row_bytes)
    lots = gather.lots(plan, settings.segment, rows=rows)
    tally = Tally()
    done = 0
    with Pen(writer.write) as pen:
        for outcome in track_outcomes(lots, context, workers=budget.workers):
            _book(outcome, ledger, quarantine)
            ledger.write(outcome.kept)
            tally.add(outcome.kept)
            pen.put(outcome.kept.select(schema.names))
            done += outcome.kept.num_rows + outcome.dropped.num_rows
            progress(Progress(done, gather.rows, done, "tracks"))
        pen.wait()
    for written in writer.close(threads=budget.pens):
        tally.outputs.append(str(written.path))
        tally.bytes_out += written.bytes
    return tally


def convert(input: str, output: str, settings: Settings | None = None, *, progress: OnProgress = None) -> Report:  # noqa: A002
    """Decode, normalise and clean `input` into the Parquet file `output`, rows in input order, no track stages.

    Reports and raises as `run` does.
    """
    settings = settings or Settings()
    clock = time.monotonic()
    budget = resources.plan(settings.resources)
    resources.suit_allocation(budget.limit_bytes)
    pool = places.pool_for(settings, input, output)
    found = expand([input], output=output, pool=pool)
    ledger = Ledger([source.name for source in found.sources])
    tally = Tally()
    with places.file_staging(output, settings, pool) as staging:
        quarantine = QuarantineWriter(staging.quarantine)
        with _scratch(settings, staging.part.parent) as spill:
            spool = Spool(spill, budget.held_bytes)
            codes: set[str] = set()
            planned, opened = partial(final_schema, NORMAL, None, settings=settings), partial(_single, staging.part, settings)
            with Draft(spool, planned, opened) as draft:
                for outcome in record_outcomes(found.sources, settings, ledger, workers=budget.workers, progress=progress):
                    _book(outcome, ledger, quarantine)
                    ledger.write(outcome.kept)
                    codes.update(pc.unique(outcome.kept["icao24"]).to_pylist())
                    spool.add(outcome.kept)
                    draft.add(outcome.kept)
                tally.bytes_out = sum(written.bytes for written in draft.close())
            tally.aircraft = len(codes)
            spool.close()
        quarantine.close()
        tally.outputs = [sibling(output, staging.part.name)]
        place = sibling(output, staging.quarantine.name) if staging.quarantine.exists() else None
        report = _report(found, ledger, tally, settings, clock, place)
        report.check_balance()
        if report.all_failed:
            return unpublished(report)
        _save(report, staging.report)
        staging.publish()
    return report


def read(path: str, settings: Settings | None = None) -> pa.Table:
    """Decode, normalise and clean a file or folder into one NORMAL table in memory, rows in input order.

    Dropped records are left out silently here; use `run` or `convert` for an account of them. Raises InputError,
    NotFound or Denied when an input fails.
    """
    settings = settings or Settings()
    found = expand([path], output=None, pool=places.pool_for(settings, path))
    for _, error in found.failed:
        raise error
    ledger = Ledger([source.name for source in found.sources])
    tables = [outcome.kept for outcome in record_outcomes(found.sources, settings, ledger)]
    for account in ledger.accounts:
        if account.failure is not None:
            raise account.failure
    joined = extras.concat(tables) if tables else arrow_schema(NORMAL).empty_table()
    schema, plan = final_schema(NORMAL, None, extras.kinds(joined.schema), settings)
    return extras.conform(joined, plan).select(schema.names).cast(schema)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What `inspect` found in a file."""

    path: str
    layout: str | None
    size_bytes: int
    read: int
    kept: int
    dropped: dict[str, int]
    counts: dict[str, int]
    aircraft: int
    first_time: datetime | None
    last_time: datetime | None
    schema: pa.Schema
    first_rows: pa.Table
    warnings: tuple[str, ...]
    error: str | None


def inspect(path: str, settings: Settings | None = None, *, rows: int = 10) -> Inspection:
    """Read a whole file without writing anything: layout, schema, counts, time span and the first rows."""
    settings = settings or Settings()
    found = expand([path], output=None, pool=places.pool_for(settings, path))
    for _, error in found.failed:
        raise error
    ledger = Ledger([source.name for source in found.sources])
    kinds: dict[str, int] = {}
    codes: set[str] = set()
    times: list[Any] = []
    first: list[pa.Table] = []
    held = 0
    for outcome in record_outcomes(found.sources, settings, ledger):
        ledger.drop(outcome.dropped)
        ledger.count(outcome.counts)
        if not outcome.kept.num_rows:
            continue
        kinds = extras.merge(kinds, extras.kinds(outcome.kept.schema))
        codes.update(pc.unique(outcome.kept["icao24"]).to_pylist())
        times += pc.min_max(outcome.kept["timestamp"]).as_py().values()
        if held < rows:
            first.append(outcome.kept.slice(0, rows - held))
            held += first[-1].num_rows
    schema, plan = final_schema(NORMAL, None, kinds, settings)
    head = extras.conform(extras.concat(first), plan).select(schema.names).cast(schema) if first else schema.empty_table()
    layouts = sorted({account.layout for account in ledger.accounts if account.layout})
    dropped = add_counts(account.dropped for account in ledger.accounts)
    total = sum(account.read for account in ledger.accounts)
    return Inspection(
        path=path,
        layout=", ".join(layouts) or None,
        size_bytes=sum(source.size_bytes for source in found.sources),
        read=total,
        kept=total - sum(dropped.values()),
        dropped=dropped,
        counts=ledger.counts,
        aircraft=len(codes),
        first_time=min(times, default=None),
        last_time=max(times, default=None),
        schema=schema,
        first_rows=head,
        warnings=warnings_of(ledger.counts, settings, ledger.units(settings)),
        error="; ".join(str(account.failure) for account in ledger.accounts if account.failure) or None,
    )


def _single(path: Path, settings: Settings, schema: pa.Schema) -> DatasetWriter:
    return DatasetWriter(path, schema, settings.output, footer(settings), sorted_by=(), single_file=True)


def _book(outcome: Outcome, ledger: Ledger, quarantine: QuarantineWriter) -> None:
    ledger.drop(outcome.dropped)
    ledger.count(outcome.counts)
    quarantine.write(outcome.dropped, ledger.paths)


@contextmanager
def _scratch(settings: Settings, beside: Path) -> Iterator[Path]:
    """A folder for spilled rows that is gone afterwards."""
    parent = settings.resources.spill_dir or str(beside)
    with store_errors(parent, "make a folder for rows that do not fit in memory"):
        folder = tempfile.TemporaryDirectory(prefix=".flight-etl-spill-", dir=parent)
    with folder as name:
        yield Path(name)


def _save(report: Report, path: Path) -> None:
    with store_errors(path, "write the report"):
        path.write_text(report.to_text() + "\n", encoding="utf-8")


def unpublished(report: Report) -> Report:
    """Say that nothing came of a run in which every input failed: no reason to replace an earlier output."""
    note = "every input failed, so nothing was published; an earlier output is as it was"
    return replace(report, outputs=(), bytes_out=0, quarantine=None, notes=(*report.notes, note))


def _report(found: Expansion, ledger: Ledger, tally: Tally, settings: Settings, started: float, quarantine: str | None) -> Report:
    failed = tuple(InputReport(path=path, error=str(error)) for path, error in found.failed)
    return Report(
        inputs=ledger.reports() + failed,
        outputs=tuple(tally.outputs),
        aircraft=tally.aircraft,
        flights=tally.flights,
        counts=ledger.counts,
        phases=tally.phases,
        quality=summary_of(tally.quality, ledger.counts, ledger.units(settings)),
        notes=(*found.notes, *warnings_of(ledger.counts, settings, ledger.units(settings))),
        quarantine=quarantine,
        seconds=time.monotonic() - started,
        bytes_in=sum(source.size_bytes for source in found.sources),
        bytes_out=tally.bytes_out,
        peak_rss_mb=resources.peak_rss_mb(),
        decoder=decoder_name(),
    )
