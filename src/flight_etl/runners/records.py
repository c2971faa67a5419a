"""The record half of a run: inputs -> decoded, normalised, cleaned, selected rows, with the account of each input."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core import extras
from flight_etl.core.decode import Decoder
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

    _Piece = tuple[Outcome, str]  # what a decoder gave, by which layout

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

    def read(self, raw: Outcome) -> None:
        """Book what a decoder has given, broken records included."""
        for at, rows in self._per_input(raw.kept) + self._per_input(raw.dropped):
            self.accounts[at].read += rows

    def write(self, table: pa.Table) -> None:
        """Book written rows."""
        for at, rows in self._per_input(table):
            self.accounts[at].written += rows

    def _per_input(self, table: pa.Table) -> list[tuple[int, int]]:
        """Number of each input that has rows in a table, and how many."""
        if not table.num_rows:
            return []
        rows = np.bincount(table[INPUT].to_numpy(), minlength=len(self.accounts))
        return [(at, int(rows[at])) for at in np.flatnonzero(rows).tolist()]

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
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="records") as pool:
        under_way: deque[Future[Outcome]] = deque()
        rows = 0
        pieces = _cut(_decoded(sources, settings, ledger, means), means)
        for done, piece in _batched(pieces, lambda: min(settings.decode.chunk_rows, means.piece_rows())):
            under_way.append(pool.submit(_record_stages, piece, settings))
            for raw, _ in piece:
                ledger.read(raw)
                rows += raw.kept.num_rows
            if progress is not None:
                progress(Progress(done, total, rows, "reading"))
            if len(under_way) > workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _cut(pieces: Iterator[tuple[int, _Piece]], means: Means) -> Iterator[tuple[int, _Piece]]:
    """Cut pieces; what was dropped, and what is counted, go with the first part."""
    for done, (raw, layout) in pieces:
        rows = means.piece_rows()
        if raw.kept.num_rows <= rows:
            yield done, (raw, layout)
            continue
        yield done, (replace(raw, kept=raw.kept.slice(0, rows)), layout)
        for begin in range(rows, raw.kept.num_rows, rows):
            yield done, (Outcome(raw.kept.slice(begin, rows), raw.dropped.slice(0, 0)), layout)


def _decoded(sources: Sequence[Source], settings: Settings, ledger: Ledger, means: Means) -> Iterator[tuple[int, _Piece]]:
    """Give what all sources are decoded to, and the stored bytes that were used up by then."""
    decoder = Decoder(settings.decode)
    done = 0
    for number, source in enumerate(sources):
        account = ledger.accounts[number]
        try:
            layout = means.detect(source, settings.decode)
            if layout is not None:
                account.layout = layout.name
                for piece in decoder.decode(source, layout, number):
                    yield done + source.consumed_bytes, piece
        except FlightEtlError as error:
            account.failure = error
        done += source.size_bytes
    for piece in decoder.flush():
        yield done, piece


def _batched(pieces: Iterator[tuple[int, _Piece]], most: Callable[[], int]) -> Iterator[tuple[int, list[_Piece]]]:
    """Put pieces of one layout together, up to `most` rows, since many small files would cost more than their records."""
    held: list[_Piece] = []
    count = done = 0
    for after, piece in pieces:
        size, rows = piece[0].kept.num_rows, most()
        if held and (count + size > rows or piece[1] != held[0][1]):
            yield done, held
            held, count = [], 0
        held.append(piece)
        count += size
        done = after
        if count >= rows:
            yield done, held
            held, count = [], 0
    if held:
        yield done, held


def _record_stages(pieces: Sequence[_Piece], settings: Settings) -> Outcome:
    raws, layout = [raw for raw, _ in pieces], pieces[0][1]
    table = raws[0].kept if len(raws) == 1 else extras.concat([raw.kept for raw in raws])
    outcome = run_stages(table, RECORD_STAGES, Context(settings=settings, layout=layout))
    dropped = [raw.dropped for raw in raws if raw.dropped.num_rows]
    counts = [raw.counts for raw in raws]
    return Outcome(outcome.kept, pa.concat_tables([*dropped, outcome.dropped]), add_counts([*counts, outcome.counts]))
