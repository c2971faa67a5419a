"""Many small files of a data set become few, and tracks that were cut between them whole.

A *unit* is what is put together: a partition `date=...`, or where files lie in none the whole data set. Its rows are taken
back to what they were before the track stages (core/restore.py) and go through these again, with the rest of every block that
has a row in the unit (margins.py). The result is a function of the rows alone, so a unit that is compact already comes out with
the same bytes, and is not even read again: its files say by their names that they are the whole of it.

Where new rows of a day belong to the blocks of another day that was compact, that day is done again as well.
"""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flight_etl import resources
from flight_etl.core.decode import decoder_name
from flight_etl.core.order import address_codes, timestamps_ms
from flight_etl.core.restore import needed_columns, restore
from flight_etl.errors import InputError, NotFound, Place, SettingsError
from flight_etl.outcome import add_counts
from flight_etl.pipeline import Context
from flight_etl.report import Report
from flight_etl.runners import places, stored
from flight_etl.runners.form import Tally, final_schema, footer, summary_of
from flight_etl.runners.gather import Gather
from flight_etl.runners.margins import DAY_MS, Edges, margins
from flight_etl.runners.records import Ledger, Progress
from flight_etl.runners.table import check_table, with_table
from flight_etl.runners.tracks import track_outcomes
from flight_etl.schema import ENRICHED, NORMAL, PROVENANCE
from flight_etl.settings import Settings
from flight_etl.store.airports import load_airports
from flight_etl.store.dataset import COMPACTION, by_content, is_compact, parquet_errors
from flight_etl.store.failures import store_errors
from flight_etl.store.manifest import MANIFEST, Manifest
from flight_etl.store.parquet import DatasetWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.runners.margins import Keys
    from flight_etl.store.dataset import DataFile, Update
    from flight_etl.store.objects import Pool

__all__ = ["TARGET_MB", "CompactRequest", "compact"]

TARGET_MB: Final = 256  # MB (10^6 B) of Parquet in a file, about
_BATCH_ROWS: Final = 16_384
_LAYOUT: Final = "parquet"
_FOR_TRACKS: Final = [*(column.name for column in NORMAL), *PROVENANCE]  # tracks do not look at undeclared keys


@dataclass(frozen=True, kw_only=True, slots=True)
class CompactRequest:
    """What is to be compacted. `chosen` names the settings (`section.key`) that are to be as given and not as in the files."""

    dataset: str
    partitions: tuple[str, ...] = ()  # as YYYY-MM-DD; none: all
    everything: bool = False  # also what is compact already; so it is where settings are `chosen`
    target_mb: int = TARGET_MB
    chosen: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Work:
    """What is known while units are done."""

    update: Update
    request: CompactRequest
    settings: Settings
    budget: resources.Budget
    airports: AirportTable
    progress: Callable[[Progress], None] | None
    tally: Tally = field(default_factory=Tally)
    aircraft: set[str] = field(default_factory=set)
    ledgers: list[Ledger] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    gone: list[DataFile] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)  # days with rows in the blocks of days that were done
    rows: int = 0
    bytes_in: int = 0


def compact(
    request: CompactRequest,
    settings: Settings | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    budget: resources.Budget | None = None,
    pool: Pool | None = None,
) -> Report:
    """Compact a data set where it is, locally or in an object store; see the module's docstring.

    Of `settings` only the resources and what `request.chosen` names count, the rest is in the files. In the report inputs and
    outputs are the files that were read and written; when there was nothing to do it has none. Raises InputError for files that
    are not ours, SettingsError where they were written with different settings, StoreError when others are writing to the data
    set or have changed it meanwhile; then nothing was published. At most the rows of `settings.resources` are in memory, and
    new files take their place on disk until all are done. Where `settings.table` asks for a table, it is brought up to date in
    the end, also when there was nothing to do.
    """
    settings = settings or Settings()
    check_table(request.dataset, settings)
    resources.use_frugal_allocation()
    pool = pool or places.pool_for(settings, request.dataset)
    report = _compact(request, settings, progress, budget, pool)
    return with_table(report, request.dataset, settings, pool)


def _compact(
    request: CompactRequest,
    settings: Settings,
    progress: Callable[[Progress], None] | None,
    budget: resources.Budget | None,
    pool: Pool | None,
) -> Report:
    started = time.monotonic()
    with places.updating(request.dataset, settings, pool) as update:
        days = {file.day for file in update.files}
        unknown = sorted(set(request.partitions) - {day for day in days if day is not None})
        if unknown:
            raise SettingsError(
                f"partition={unknown[0]!r} is not permitted: {request.dataset} has no partition date={unknown[0]}"
            )
        units = _dirty(update.files, request)
        if not units:
            note = "nothing to do: all of it is compact already"
            seconds, peak = time.monotonic() - started, resources.peak_rss_mb()
            return Report(inputs=(), notes=(note,), seconds=seconds, peak_rss_mb=peak, decoder=decoder_name())
        told = {stored.of_footer(update.footer(file), name=update.place(file.name)) for unit in units.values() for file in unit}
        own = stored.agreed(told, settings, request.chosen)
        if own.output.partition_by is None and None not in days:
            own = replace(own, output=replace(own.output, partition_by="date"))
        budget = budget or resources.plan(own.resources)
        work = _Work(update, request, own, budget, load_airports(), progress)
        _do(work, units)
        report = _report(work, started)
        report.check_balance()
        with store_errors(update.directory, "write the report"):
            (update.directory / COMPACTION).write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        _tell_manifest(work)
        update.publish(work.gone)
    return report


def _tell_manifest(work: _Work) -> None:
    """Let the next run into this output know in which files the rows of its inputs are now."""
    update = work.update
    try:
        manifest = Manifest.of(update.read(MANIFEST), name=update.place(MANIFEST))
    except NotFound:  # not the output of a run
        return
    manifest = manifest.compacted([file.name for file in work.gone], work.new)
    if work.request.chosen and not work.request.partitions:
        manifest = replace(manifest, settings=footer(work.settings)[stored.FOOTER.decode()])
    with store_errors(update.directory, "write the manifest"):
        (update.directory / MANIFEST).write_bytes(manifest.to_bytes())


def _units(files: Sequence[DataFile]) -> dict[str | None, list[DataFile]]:
    """Files by day; those of a data set in which any file lies in no partition are one unit, which has none."""
    if any(file.day is None for file in files):
        return {None: list(files)}
    units: dict[str | None, list[DataFile]] = {}
    for file in files:
        units.setdefault(file.day, []).append(file)
    return units


def _dirty(files: Sequence[DataFile], request: CompactRequest) -> dict[str | None, list[DataFile]]:
    units = _units(files)
    if None in units and request.partitions:
        raise SettingsError(f"partition is not permitted: files of {request.dataset} lie in no partition; compact all of it")
    return {
        day: inside
        for day, inside in units.items()
        if (not request.partitions or day in request.partitions)
        and (request.everything or request.chosen or not is_compact(inside))
    }


def _do(work: _Work, units: dict[str | None, list[DataFile]]) -> None:
    """Do all units, and then the days whose tracks have got new rows by that and that nobody would look at again."""
    everything = _units(work.update.files)
    for day in sorted(units, key=str):
        _unit(work, day, everything)
    for other in sorted(work.touched - {day for day in units if day is not None}):
        if is_compact(everything[other]):
            _unit(work, other, everything)


def _unit(work: _Work, day: str | None, everything: dict[str | None, list[DataFile]]) -> None:
    own = everything[day]
    ledger = Ledger([work.update.place(file.name) for file in own])
    with ExitStack() as stack:
        spill = stack.enter_context(_scratch(work))
        gather = Gather(Path(spill), work.budget.held_bytes, work.budget.run_bytes)
        stack.callback(gather.close)
        edges = Edges()
        for number, file in enumerate(own):
            account = ledger.accounts[number]
            account.layout = _LAYOUT
            for table in _rows(work, file, number):
                account.read += table.num_rows
                gather.add(table)
                edges.add(table)
        if day is not None:
            work.touched |= _add_margins(work, day, everything, edges, gather, len(own))
        _write(work, day, own, gather, ledger)
    work.ledgers.append(ledger)
    work.bytes_in += sum(file.size_bytes for file in own)
    following = _day_text(_day_number(day) + 1) if day is not None else None
    work.update.let_go([*own, *everything.get(following, ())])


def _scratch(work: _Work) -> tempfile.TemporaryDirectory[str]:
    parent = work.settings.resources.spill_dir or str(work.update.directory)  # which the next one clears if we are killed
    with store_errors(parent, "make a folder for rows that do not fit in memory"):
        return tempfile.TemporaryDirectory(prefix=".flight-etl-spill-", dir=parent)


def _rows(work: _Work, file: DataFile, number: int) -> Iterator[pa.Table]:
    """NORMAL rows of a file. Raises InputError where it cannot be read, or holds rows of another day than its own."""
    where = work.update.place(file.name)
    for first, table in _batches(work.update.fetch(file), where, None):
        if file.day is not None:
            found = np.floor_divide(timestamps_ms(table["timestamp"]), DAY_MS)
            if len(found) and not (found == _day_number(file.day)).all():
                raise InputError(f"has rows of other days than date={file.day}; its timestamps are not ours", place=Place(where))
        yield restore(table, number=number, first_record=first)


def _batches(path: Path | str, where: str, columns: Sequence[str] | None) -> Iterator[tuple[int, pa.Table]]:
    with parquet_errors(where):
        opened = pq.ParquetFile(path, pre_buffer=False, memory_map=False)
    with opened:
        batches = opened.iter_batches(_BATCH_ROWS, columns=columns or needed_columns(opened.schema_arrow.names))
        first = 0
        while True:
            with parquet_errors(where):
                batch = next(batches, None)
            if batch is None:
                return
            yield first, pa.Table.from_batches([batch])
            first += batch.num_rows


def _add_margins(
    work: _Work, day: str, everything: dict[str | None, list[DataFile]], edges: Edges, gather: Gather, number: int
) -> set[str]:
    """Gather the rows of other days that belong to this day's blocks, as inputs from `number` on; name these days."""
    others = {_day_number(other): files for other, files in everything.items() if other not in (None, day)}

    def keys(other: int) -> Iterable[Keys]:
        for file in others[other]:
            for _, table in _batches(work.update.fetch(file), work.update.place(file.name), ("icao24", "timestamp")):
                yield address_codes(table["icao24"]), timestamps_ms(table["timestamp"])

    touched = set()
    for margin in margins(edges, _day_number(day), list(others), keys, gap_s=work.settings.segment.block_gap_s):
        touched.add(_day_text(margin.day))
        for file in others[margin.day]:
            for table in _rows(work, file, number):
                gather.add(margin.select(table.select(_FOR_TRACKS)))
            number += 1
    return touched


def _write(work: _Work, day: str | None, own: list[DataFile], gather: Gather, ledger: Ledger) -> None:
    settings = work.settings
    schema, plan = final_schema(ENRICHED, settings.features(), gather.kinds, settings)
    output = settings.output if day is None else replace(settings.output, partition_by=None)
    folder = work.update.directory / (f"date={day}" if day else "")
    writer = DatasetWriter(folder, schema, output, footer(settings), file_bytes=work.request.target_mb * 1_000_000)
    rows = work.budget.range_rows(gather.row_bytes)
    lots = gather.lots(plan, settings.segment, rows=rows)
    context = Context(settings=settings, airports=work.airports)
    for outcome in track_outcomes(lots, context, workers=work.budget.workers):
        kept, dropped = _of_day(outcome.kept, day), _of_day(outcome.dropped, day)
        ledger.drop(dropped)
        ledger.write(kept)
        ledger.count(outcome.counts)
        _count(work, kept, day)
        writer.write(kept.select(schema.names))
        work.rows += kept.num_rows
        if work.progress is not None:
            work.progress(Progress(work.rows, gather.rows, work.rows, "tracks"))
    prefix = f"date={day}/" if day else ""
    written = writer.close()
    work.tally.bytes_out += sum(one.bytes for one in written)
    new = by_content(work.update.directory, [prefix + one.path for one in written], counted=True)
    work.new += new
    work.gone += [file for file in own if file.name not in set(new)]


def _of_day(table: pa.Table, day: str | None) -> pa.Table:
    if day is None or not table.num_rows:
        return table
    inside = np.floor_divide(timestamps_ms(table["timestamp"]), DAY_MS) == _day_number(day)
    return table if inside.all() else table.filter(pa.array(inside))


def _day_number(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def _day_text(number: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()


def _count(work: _Work, table: pa.Table, day: str | None) -> None:
    """Count rows of one unit: aircraft once in all, and a flight in the day in which it begins."""
    work.tally.add(table)
    words = pc.unique(table["icao24"]).to_pylist()
    work.aircraft.update(words)
    if day is not None:
        flights = pc.unique(table["flight_id"].cast(pa.string()))
        begun = pc.match_substring(flights, f"-{day.replace('-', '')}T")
        work.tally.flights += pc.sum(begun, min_count=0).as_py() - len(flights)


def _report(work: _Work, started: float) -> Report:
    return Report(
        inputs=tuple(one for ledger in work.ledgers for one in ledger.reports()),
        outputs=tuple(work.update.place(name) for name in work.new),
        aircraft=len(work.aircraft),
        flights=work.tally.flights,
        phases=work.tally.phases,
        quality=summary_of(work.tally.quality, add_counts(ledger.counts for ledger in work.ledgers), {}),
        seconds=time.monotonic() - started,
        bytes_in=work.bytes_in,
        bytes_out=work.tally.bytes_out,
        peak_rss_mb=resources.peak_rss_mb(),
        decoder=decoder_name(),
    )
