"""The record half of a run: inputs -> decoded, normalised, cleaned, selected rows, with the account of each input."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.decode import decode
from flight_etl.errors import FlightEtlError
from flight_etl.outcome import Outcome, add_counts
from flight_etl.pipeline import RECORD_STAGES, Context, run_stages
from flight_etl.report import InputReport
from flight_etl.runners.means import MEANS
from flight_etl.schema import INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flight_etl.runners.means import Means
    from flight_etl.settings import Settings
    from flight_etl.store.reading import Source

__all__ = ["Ledger", "Progress", "record_outcomes"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: bytes of input (as stored) done and in all, rows so far, and the part of the work it is in."""

    bytes_done: int
    bytes_total: int
    rows: int
    stage: str


@dataclass(slots=True)
class _Account:
    path: str
    layout: str | None = None
    read: int = 0
    written: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    failure: FlightEtlError | None = None


@dataclass(slots=True)
class Ledger:
    """The books of a run: per input what was read, written and dropped; and what the stages changed."""

    paths: list[str]
    accounts: list[_Account] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = [_Account(path) for path in self.paths]

    def drop(self, dropped: pa.Table) -> None:
        """Book dropped rows, which carry the number of their input."""
        if not dropped.num_rows:
            return
        # Not Table.group_by: it imports pyarrow.dataset, which takes longer than all the rest of a small run's imports.
        words = pc.dictionary_encode(dropped["reason"]).combine_chunks()
        reasons = words.dictionary.to_pylist()
        per_pair = np.bincount(dropped[INPUT].to_numpy() * len(reasons) + words.indices.to_numpy())
        for pair in np.flatnonzero(per_pair).tolist():
            number, word = divmod(pair, len(reasons))
            account = self.accounts[number].dropped
            account[reasons[word]] = account.get(reasons[word], 0) + int(per_pair[pair])

    def write(self, table: pa.Table) -> None:
        """Book written rows."""
        per_input = np.bincount(table[INPUT].to_numpy(), minlength=len(self.accounts))
        for at in np.flatnonzero(per_input):
            self.accounts[at].written += int(per_input[at])

    def count(self, counts: Mapping[str, int]) -> None:
        """Add what a stage changed."""
        self.counts = add_counts([self.counts, counts])

    def reports(self) -> tuple[InputReport, ...]:
        """Give the account of each input, in the order of the inputs."""
        return tuple(
            InputReport(
                path=a.path,
                layout=a.layout,
                read=a.read,
                written=a.written,
                dropped=dict(sorted(a.dropped.items())),
                error=None if a.failure is None else str(a.failure),
                failure=a.failure,
            )
            for a in self.accounts
        )


def record_outcomes(
    sources: Sequence[Source],
    settings: Settings,
    ledger: Ledger,
    *,
    workers: int = 1,
    progress: Callable[[Progress], None] | None = None,
    means: Means = MEANS,
) -> Iterator[Outcome]:
    """Decode all sources and put their rows through the record stages, in the order of the input.

    An input that fails is booked with its error, and the next one goes on. At most `workers + 1` chunks are under way.
    `means.piece_rows` is asked before each chunk: one that has more rows is cut.
    """
    total = sum(source.size_bytes for source in sources)
    done = rows = 0
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="records") as pool:
        under_way: deque[Future[Outcome]] = deque()
        for number, source in enumerate(sources):
            account = ledger.accounts[number]
            for raw, layout in _pieces(_decoded(source, settings, account, means), means):
                context = Context(settings=settings, layout=layout)
                under_way.append(pool.submit(_record_stages, raw, number, context))
                rows += raw.kept.num_rows
                if progress is not None:
                    progress(Progress(done + source.consumed_bytes, total, rows, "reading"))
                if len(under_way) > workers:
                    yield under_way.popleft().result()
            done += source.size_bytes
        while under_way:
            yield under_way.popleft().result()


def _pieces(chunks: Iterator[tuple[Outcome, str]], means: Means) -> Iterator[tuple[Outcome, str]]:
    """Cut chunks; what was dropped, and what is counted, go with the first piece."""
    for raw, layout in chunks:
        rows = means.piece_rows()
        if raw.kept.num_rows <= rows:
            yield raw, layout
            continue
        yield replace(raw, kept=raw.kept.slice(0, rows)), layout
        for begin in range(rows, raw.kept.num_rows, rows):
            yield Outcome(raw.kept.slice(begin, rows), raw.dropped.slice(0, 0)), layout


def _decoded(source: Source, settings: Settings, account: _Account, means: Means) -> Iterator[tuple[Outcome, str]]:
    try:
        layout = means.detect(source, settings.decode)
        if layout is None:
            return
        account.layout = layout.name
        for outcome in decode(source, layout, settings.decode):
            account.read += outcome.kept.num_rows + outcome.dropped.num_rows
            yield outcome, layout.name
    except FlightEtlError as error:
        account.failure = error


def _record_stages(raw: Outcome, number: int, context: Context) -> Outcome:
    table = raw.kept.append_column(INPUT, pa.array(np.full(raw.kept.num_rows, number, np.int32)))
    at = raw.dropped.schema.get_field_index(INPUT)
    own = raw.dropped.set_column(at, raw.dropped.schema.field(at), pa.array(np.full(raw.dropped.num_rows, number, np.int32)))
    outcome = run_stages(table, RECORD_STAGES, context)
    return Outcome(outcome.kept, pa.concat_tables([own, outcome.dropped]), add_counts([raw.counts, outcome.counts]))
