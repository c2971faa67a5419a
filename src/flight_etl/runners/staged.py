"""Decoded rows on their way through the record stages, in chunks, each with the books of what was read for it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core import extras
from flight_etl.outcome import Outcome, add_counts
from flight_etl.pipeline import RECORD_STAGES, Context, run_stages
from flight_etl.schema import INPUT, RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flight_etl.settings import Settings

    Piece = tuple[Outcome, str]  # what a decoder gave, by which layout

__all__ = ["EVERYWHERE", "FIRST", "NOWHERE", "Staged", "Step", "batched", "cut", "per_input", "ready", "stage", "stage_all"]

# Inputs and records, before and behind all there are.
NOWHERE: Final = (-1, -1)
FIRST: Final = (0, 0)
EVERYWHERE: Final = (1 << 62, 0)


class Step(NamedTuple):
    """A chunk under way: the stored bytes that were used up by then, its rows, and what comes of it."""

    done: int
    rows: int
    staged: Future[Staged]


@dataclass(frozen=True, slots=True)
class Staged:
    """What comes of chunks behind the record stages.

    `read`: numbers of inputs, and how many records of each there were, broken ones included. `last`: the input and the
    record up to which everything dropped is known.
    """

    outcomes: list[Outcome]
    read: list[tuple[int, int]]
    last: tuple[int, int]

    def moved(self, by: int) -> Staged:
        """Add `by` to the numbers of the records of one input."""
        if not by:
            return self
        outcomes = [replace(one, kept=_moved(one.kept, by), dropped=_moved(one.dropped, by)) for one in self.outcomes]
        return Staged(outcomes, self.read, (self.last[0], self.last[1] + by))


def _moved(table: pa.Table, by: int) -> pa.Table:
    at = table.schema.get_field_index(RECORD)
    return table.set_column(at, table.schema.field(at), pc.add(table[RECORD], pa.scalar(by, pa.int64())))


def ready(staged: Staged) -> Future[Staged]:
    """Give what is done already as if it had been waited for."""
    done: Future[Staged] = Future()
    done.set_result(staged)
    return done


def cut(pieces: Iterable[Piece], most: Callable[[], int]) -> Iterator[Piece]:
    """Cut pieces of more than `most` rows; what was dropped, and what is counted, go with the first part."""
    for raw, layout in pieces:
        rows = most()
        if raw.kept.num_rows <= rows:
            yield raw, layout
            continue
        yield replace(raw, kept=raw.kept.slice(0, rows)), layout
        for begin in range(rows, raw.kept.num_rows, rows):
            yield Outcome(raw.kept.slice(begin, rows), raw.dropped.slice(0, 0)), layout


def batched(pieces: Iterable[Piece], most: Callable[[], int]) -> Iterator[list[Piece]]:
    """Put pieces of one layout together, up to `most` rows, since many small files would cost more than their records."""
    held: list[Piece] = []
    count = 0
    for piece in pieces:
        size, rows = piece[0].kept.num_rows, most()
        if held and (count + size > rows or piece[1] != held[0][1]):
            yield held
            held, count = [], 0
        held.append(piece)
        count += size
        if count >= rows:
            yield held
            held, count = [], 0
    if held:
        yield held


def stage(pieces: Sequence[Piece], settings: Settings) -> Staged:
    """Put pieces of one layout, as one chunk, through the record stages."""
    raws, layout = [raw for raw, _ in pieces], pieces[0][1]
    table = raws[0].kept if len(raws) == 1 else extras.concat([raw.kept for raw in raws])
    outcome = run_stages(table, RECORD_STAGES, Context(settings=settings, layout=layout))
    dropped = [raw.dropped for raw in raws if raw.dropped.num_rows]
    counts = add_counts([*(raw.counts for raw in raws), outcome.counts])
    read: dict[int, int] = {}
    for one in [table, *dropped]:
        for number, rows in per_input(one):
            read[number] = read.get(number, 0) + rows
    last = (table[INPUT][-1].as_py(), table[RECORD][-1].as_py()) if table.num_rows else NOWHERE
    return Staged([Outcome(outcome.kept, pa.concat_tables([*dropped, outcome.dropped]), counts)], sorted(read.items()), last)


def stage_all(pieces: Iterable[Piece], settings: Settings, most: int) -> Staged:
    """Put pieces through the record stages in chunks of at most `most` rows, one after another."""
    done = [stage(held, settings) for held in batched(cut(pieces, lambda: most), lambda: most)]
    read = [one for each in done for one in each.read]
    return Staged([one for each in done for one in each.outcomes], read, max((each.last for each in done), default=NOWHERE))


def per_input(table: pa.Table) -> list[tuple[int, int]]:
    """Number of each input that has rows in a table, and how many."""
    if not table.num_rows:
        return []
    rows = np.bincount(table[INPUT].to_numpy())
    return [(number, int(rows[number])) for number in np.flatnonzero(rows).tolist()]
