"""The record half of a run: inputs -> decoded, normalised, cleaned, selected rows, with the account of each input."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.outcome import Outcome, add_counts
from flight_etl.report import InputReport
from flight_etl.runners.flow import Flow
from flight_etl.runners.means import MEANS
from flight_etl.runners.staged import EVERYWHERE, FIRST, NOWHERE, per_input
from flight_etl.runners.units_told import Signs, told_of_units
from flight_etl.schema import INPUT, RECORD, empty_dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from flight_etl.errors import FlightEtlError
    from flight_etl.runners.means import Means
    from flight_etl.runners.staged import Staged
    from flight_etl.settings import Settings
    from flight_etl.store.reading import Source

__all__ = ["Account", "Ledger", "Progress", "record_outcomes"]

_MOST_WAITING: Final = 1 << 18  # dropped rows that wait for those before them


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: bytes of input (as stored) done and in all, rows so far, and the part of the work it is in."""

    bytes_done: int
    bytes_total: int
    rows: int
    stage: str


@dataclass(slots=True)
class Account:
    """The books of one input."""

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
    accounts: list[Account] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    signs: Signs = field(default_factory=Signs)

    def __post_init__(self) -> None:
        self.accounts = [Account(path) for path in self.paths]

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

    def read(self, records: Iterable[tuple[int, int]]) -> None:
        """Book records, broken ones included: numbers of inputs, and how many each has."""
        for at, count in records:
            self.accounts[at].read += count

    def write(self, table: pa.Table) -> None:
        """Book written rows."""
        for at, rows in per_input(table):
            self.accounts[at].written += rows

    def count(self, counts: Mapping[str, int]) -> None:
        """Add what a stage changed."""
        self.counts = add_counts([self.counts, self.signs.take(counts)])

    def units(self, settings: Settings) -> dict[str, Any]:
        """Name inputs and aircraft that look like other units, as `told_of_units` does."""
        return told_of_units(self.signs, [(account.path, account.read) for account in self.accounts], settings)

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
    `means.piece_rows` is asked before each chunk: one that has more rows is cut. Dropped rows come in the order of the input,
    too, whatever dropped them.
    """
    total = sum(source.size_bytes for source in sources)
    dropped = _Ordered()
    last = None
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="records") as pool:
        under_way: deque[Future[Staged]] = deque()
        rows = 0
        for done, count, future in Flow(sources, settings, ledger, pool, workers, means).steps():
            under_way.append(future)
            rows += count
            if progress is not None:
                progress(Progress(done, total, rows, "reading"))
            while under_way and (len(under_way) > workers or under_way[0].done()):
                for last in _booked(under_way.popleft().result(), ledger, dropped):
                    yield last
        while under_way:
            for last in _booked(under_way.popleft().result(), ledger, dropped):
                yield last
    rest = dropped.put(empty_dropped(), EVERYWHERE)
    if last is not None and rest.num_rows:
        yield Outcome(last.kept.slice(0, 0), rest)


def _booked(staged: Staged, ledger: Ledger, dropped: _Ordered) -> Iterator[Outcome]:
    ledger.read(staged.read)
    for number, outcome in enumerate(staged.outcomes, 1):
        last = staged.last if number == len(staged.outcomes) else NOWHERE
        yield replace(outcome, dropped=dropped.put(outcome.dropped, last))


class _Ordered:
    """Puts dropped rows in the order of the input: those that the decoder drops are known before those of the stages."""

    def __init__(self) -> None:
        self._waiting: list[pa.Table] = []

    def put(self, dropped: pa.Table, last: tuple[int, int]) -> pa.Table:
        """Take dropped rows, and give those up to the input and record `last`, behind which alone more may come."""
        if dropped.num_rows:
            self._waiting.append(dropped)
        # A source that is broken nearly everywhere may bring no row for long.
        if sum(one.num_rows for one in self._waiting) > _MOST_WAITING:
            last = EVERYWHERE
        if not self._waiting or last < FIRST:
            return dropped.slice(0, 0)
        rows = pa.concat_tables(self._waiting)
        inputs, records = rows[INPUT].to_numpy(), rows[RECORD].to_numpy()
        order = np.lexsort((records, inputs))
        count = int(np.count_nonzero((inputs < last[0]) | ((inputs == last[0]) & (records <= last[1]))))
        rows = rows.take(pa.array(order))
        self._waiting = [rows.slice(count)] if count < rows.num_rows else []
        return rows.slice(0, count)
