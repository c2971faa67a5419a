"""A run in many processes: what each task does, and what becomes of the accounts that tasks give. Knows no engine.

1. `survey` decodes the inputs of a split and gives their account, which undeclared columns there are, and the dropped records.
2. From all surveys the driver makes one schema.
3. `split_rows` decodes the same inputs again, into rows of this schema for the engine to move.
4. The engine gives each task all rows of some aircraft, ordered by aircraft and time; `write_tracks` cuts them into whole
   blocks, puts these through the track stages, and delivers Parquet files.

These are the functions of a run on one machine (runners/records.py, runners/blocks.py, pipeline.py). Since blocks are whole, the
rows are those of such a run. Accounts are JSON: small, whatever the number of rows.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl import resources
from flight_etl.core import extras
from flight_etl.outcome import add_counts
from flight_etl.pipeline import Context
from flight_etl.runners import places
from flight_etl.runners.blocks import whole_blocks
from flight_etl.runners.form import Tally, footer
from flight_etl.runners.records import Ledger, record_outcomes
from flight_etl.runners.splits import Split
from flight_etl.runners.tracks import track_outcomes
from flight_etl.schema import INPUT, NORMAL, PROVENANCE
from flight_etl.store.airports import load_airports
from flight_etl.store.delivery import deliver
from flight_etl.store.failures import store_errors
from flight_etl.store.parquet import DatasetWriter
from flight_etl.store.places import is_url
from flight_etl.store.quarantine import QuarantineWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flight_etl.outcome import Outcome
    from flight_etl.settings import Settings
    from flight_etl.store.objects import Pool

__all__ = ["Frame", "Job", "split_rows", "survey", "write_tracks"]

WORKER_MB: Final = 1_024  # MB of RSS that a task may use where the settings name no limit
QUARANTINE_FOLDER: Final = "_quarantine"
_MS_PER_DAY: Final = 86_400_000
_FILES_EACH: Final = 1_000  # most files of a task and a date


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What every task knows. `place` takes finished files: a folder that all machines see, or a URL."""

    settings: Settings
    place: str
    inputs: tuple[str, ...] = ()  # as the user named them

    def pool(self) -> Pool | None:
        """Give clients for the object stores that are read or written, if there are any."""
        return places.pool_for(self.settings, self.place, *self.inputs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The columns of rows on their way through an engine: text instead of dictionaries, integers (ms UTC) instead of times.

    Undeclared columns are called by their place there, since engines differ in which names they can bear.
    """

    plan: extras.ExtrasPlan
    schema: pa.Schema  # of the output
    row_bytes: float = 170.0  # B in memory of a row, on average

    @property
    def moved(self) -> pa.Schema:
        """Schema on the way."""
        declared = [pa.field(column.name, _moved_type(column.type)) for column in NORMAL]
        provenance = [pa.field(name, pa.int32() if name == INPUT else pa.int64()) for name in PROVENANCE]
        return pa.schema([*declared, *provenance, *(pa.field(f"x{at}", f.type) for at, f in enumerate(self.plan.fields))])

    def pack(self, rows: pa.Table) -> pa.Table:
        """Give rows in flight (core/extras.py) this form."""
        rows = extras.conform(rows, self.plan)
        names = [*(column.name for column in NORMAL), *PROVENANCE, *(f.name for f in self.plan.fields)]
        return pa.table([rows[name].cast(f.type) for name, f in zip(names, self.moved, strict=True)], schema=self.moved)

    def unpack(self, rows: pa.Table) -> pa.Table:
        """Give rows back the form that track stages take."""
        moved = self.moved
        fields = [*(column.field() for column in NORMAL), *(moved.field(name) for name in PROVENANCE), *self.plan.fields]
        columns = [_restored(column, f.type) for column, f in zip(rows.columns, fields, strict=True)]
        return pa.table(columns, schema=pa.schema(fields))


def _moved_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(type_):
        return type_.value_type
    return pa.int64() if pa.types.is_timestamp(type_) else type_


def _restored(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    return column.dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else column.cast(type_)


def survey(text: str, number: int, job: Job) -> dict[str, Any]:
    """Account for the inputs of split `number`, and deliver the records that the record stages drop."""
    pool = job.pool()
    split = Split.open(text, pool)
    ledger = Ledger([source.name for source in split.sources])
    kinds: dict[str, int] = {}
    days: dict[str, int] = {}
    nbytes = 0
    with _Scratch(job, pool) as scratch:
        quarantine = QuarantineWriter(scratch.folder / "dropped.ndjson")
        for outcome in record_outcomes(split.sources, job.settings, ledger):
            ledger.drop(outcome.dropped)
            ledger.count(outcome.counts)
            quarantine.write(outcome.dropped, ledger.paths)
            if outcome.kept.num_rows:
                kinds = extras.merge(kinds, extras.kinds(outcome.kept.schema))
                days = add_counts([days, _rows_by_day(outcome.kept)])
                nbytes += outcome.kept.nbytes
        quarantine.close()
        dropped = scratch.deliver_quarantine(quarantine, f"records-{number:05d}")
    accounts = [
        {"number": n, "layout": a.layout, "read": a.read, "dropped": a.dropped, "error": str(a.failure) if a.failure else None}
        for n, a in zip(split.numbers, ledger.accounts, strict=True)
    ]
    accounts += [{"number": n, "layout": None, "read": 0, "dropped": {}, "error": str(error)} for n, error in split.failed]
    signs = [[split.numbers[at], number] for at, number in sorted(ledger.signs.inputs.items())]
    told: dict[str, Any] = {"signs": signs, "odd_aircraft": ledger.signs.aircraft}
    told |= {"accounts": accounts, "counts": ledger.counts, "kinds": kinds, "days": days, "bytes": nbytes}
    return told | {"quarantine": dropped, "peak_rss_mb": resources.peak_rss_mb()}


def _rows_by_day(rows: pa.Table) -> dict[str, int]:
    days, counts = np.unique(rows["timestamp"].cast(pa.int64()).to_numpy() // _MS_PER_DAY, return_counts=True)
    return {str(np.datetime64(int(day), "D")): int(count) for day, count in zip(days, counts, strict=True)}


def split_rows(text: str, job: Job, frame: Frame) -> Iterator[pa.Table]:
    """Give the rows of a split, in the form in which an engine moves them."""
    split = Split.open(text, job.pool())
    numbers = pa.array(split.numbers, pa.int32())
    ledger = Ledger([source.name for source in split.sources])
    for outcome in record_outcomes(split.sources, job.settings, ledger):
        if outcome.kept.num_rows:
            at = outcome.kept.schema.get_field_index(INPUT)
            yield frame.pack(outcome.kept.set_column(at, INPUT, numbers.take(outcome.kept[INPUT].combine_chunks())))


@dataclass(slots=True)
class _Books:
    """What a task writes and drops, by the number of the input."""

    written: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.counts = add_counts([self.counts, outcome.counts])
        for pair in pc.value_counts(outcome.kept[INPUT]).to_pylist():
            self.written[pair["values"]] = self.written.get(pair["values"], 0) + pair["counts"]
        for group in outcome.dropped.group_by([INPUT, "reason"]).aggregate([([], "count_all")]).to_pylist():
            mine = self.dropped.setdefault(group[INPUT], {})
            mine[group["reason"]] = mine.get(group["reason"], 0) + group["count_all"]


def write_tracks(
    tables: Iterable[pa.Table], number: int, job: Job, frame: Frame, names: Sequence[str], *, file_at_least: bool = False
) -> dict[str, Any]:
    """Put all rows of some aircraft through the track stages, deliver them as files of task `number`, and account for them.

    `tables` are rows as `split_rows` gives them, ordered by (icao24, timestamp), cut anywhere; `names` are those of all inputs.
    The names and bytes of the files are a function of the rows and `number`. Without any row there is no file, or with
    `file_at_least` one that has the columns alone.
    """
    pool = job.pool()
    books, tally, files = _Books(), Tally(), []
    with _Scratch(job, pool) as scratch:
        writer = scratch.writer(frame.schema) if file_at_least else None
        quarantine = QuarantineWriter(scratch.folder / "dropped.ndjson")
        for outcome in _track_outcomes(tables, job.settings, frame):
            books.add(outcome)
            tally.add(outcome.kept)
            _quarantine(quarantine, outcome.dropped, names)
            writer = writer or scratch.writer(frame.schema)
            writer.write(outcome.kept.select(frame.schema.names))
        for written in writer.close() if writer else ():
            name = _file_name(written.path, number)
            scratch.deliver(scratch.data / written.path, name)
            files.append((name, written.bytes))
        quarantine.close()
        dropped = scratch.deliver_quarantine(quarantine, f"tracks-{number:05d}")
    return {
        "files": files,
        "quarantine": dropped,
        "written": list(books.written.items()),
        "dropped": list(books.dropped.items()),
        "counts": books.counts,
        "aircraft": tally.aircraft,
        "flights": tally.flights,
        "phases": tally.phases,
        "quality": tally.quality.to_json(),
        "peak_rss_mb": resources.peak_rss_mb(),
    }


def _track_outcomes(tables: Iterable[pa.Table], settings: Settings, frame: Frame) -> Iterator[Outcome]:
    limit = settings.resources.memory_limit_mb or WORKER_MB
    budget = resources.plan(replace(settings.resources, memory_limit_mb=limit, workers=1))
    rows = budget.range_rows(frame.row_bytes)
    context = Context(settings=settings, airports=load_airports())
    return track_outcomes(whole_blocks(_larger(tables, frame, rows), settings.segment, rows=rows), context)


def _larger(tables: Iterable[pa.Table], frame: Frame, rows: int) -> Iterator[pa.Table]:
    """Join small tables, as engines give them, to such of about `rows` rows."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count >= rows:
            yield frame.unpack(pa.concat_tables(held))
            held, count = [], 0
    if held:
        yield frame.unpack(pa.concat_tables(held))


def _quarantine(writer: QuarantineWriter, dropped: pa.Table, names: Sequence[str]) -> None:
    """Write dropped rows, with the names of those inputs alone that are among them: there may be millions."""
    if not dropped.num_rows:
        return
    numbers = dropped[INPUT].combine_chunks().dictionary_encode()
    at = dropped.schema.get_field_index(INPUT)
    few = [names[number] for number in numbers.dictionary.to_pylist()]
    writer.write(dropped.set_column(at, dropped.schema.field(at), numbers.indices), few)


def _file_name(path: str, number: int) -> str:
    """Name of a task's file in the data set, for its name among the files of the task alone."""
    folder, _, file = path.rpartition("/")
    own = int(file.removeprefix("part-").removesuffix(".parquet"))
    assert own < _FILES_EACH, path
    name = f"part-{number:05d}{own:03d}.parquet"
    return f"{folder}/{name}" if folder else name


@dataclass(slots=True)
class _Scratch:
    """A task's own folder for what is not finished."""

    job: Job
    pool: Pool | None
    folder: Path = field(init=False)
    _made: tempfile.TemporaryDirectory[str] = field(init=False)

    def __enter__(self) -> Self:
        resources.use_frugal_allocation()
        beside = None if is_url(self.job.place) else self.job.place  # on the file system to which files go in the end
        parent = self.job.settings.resources.spill_dir or beside
        with store_errors(parent or tempfile.gettempdir(), "make a folder"):
            self._made = tempfile.TemporaryDirectory(prefix=".task-", dir=parent)
        self.folder = Path(self._made.name)
        return self

    def __exit__(self, *_: object) -> None:
        self._made.cleanup()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def writer(self, schema: pa.Schema) -> DatasetWriter:
        self.data.mkdir()
        return DatasetWriter(self.data, schema, self.job.settings.output, footer(self.job.settings))

    def deliver(self, file: Path, name: str) -> None:
        deliver(file, self.job.place, name, self.pool)

    def deliver_quarantine(self, quarantine: QuarantineWriter, name: str) -> str | None:
        if not quarantine.path.exists():
            return None
        place = f"{QUARANTINE_FOLDER}/{name}.quarantine.ndjson"
        self.deliver(quarantine.path, place)
        return place
