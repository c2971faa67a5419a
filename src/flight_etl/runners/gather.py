"""All rows of a run in one order, within a memory budget: sorted runs, in memory or on disk, read back by key ranges.

Rows come in any order, in chunks. Each chunk is put into order by itself, on a thread of its own, and is a *run*; where there
would be too many of them, and where rows go to disk, as many as have `run_bytes` are merged into one. Runs beyond `held_bytes`
go to disk. Afterwards rows are read from all runs at once, one range of keys after the other: every run is indexed by the
key of each small batch in it. Rows with equal keys always come in the same range. How rows were chunked, how large a run is,
and what went to disk cannot be seen in what comes out.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa

from flight_etl.core import extras
from flight_etl.core.merge import Lot, Part, Piece, keys_of, part_of
from flight_etl.core.order import block_starts
from flight_etl.schema import NORMAL
from flight_etl.store.spill import RunReader, write_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from flight_etl.core.merge import Keys
    from flight_etl.core.order import Ints
    from flight_etl.settings import SegmentSettings

__all__ = ["Gather"]

_BATCH_ROWS: Final = 2_048  # rows between two index entries of a run on disk
_LEAST_STEP: Final = 16  # rows between two index entries of a run in memory
_STEPS: Final = 8  # index entries of all runs in memory, at least, per range
_MOST_RUNS: Final = 1_024  # runs in memory that are read side by side
_FAN_IN: Final = (6, 48)  # least and most runs on disk that are read side by side; more are merged first
_BATCH_COPIES: Final = 4  # of a batch of each of these runs are in memory at once
_KEY_BYTES: Final = 4  # B of a row beside its table: the code of its address
_MERGED_ROWS: Final = 65_536  # rows that are merged at once on their way to disk
_WORDS: Final = tuple(c.name for c in NORMAL if pa.types.is_dictionary(c.type))


class Key(NamedTuple):
    """What rows are ordered by: the address code, and the time, ms UTC."""

    code: int
    time: int


@dataclass(slots=True, eq=False)
class _Held:
    """A sorted run in memory, and the reading position in it."""

    part: Part
    at: int = 0

    def entries(self, step: int) -> tuple[Ints, Ints, Ints]:
        """Code and time of the first of every `step` rows, and how many they are."""
        at = np.arange(0, len(self.part.codes), step)
        return self.part.codes[at].astype(np.int64), self.part.times[at], np.diff(np.append(at, len(self.part.codes)))

    def read_below(self, end: Key | None) -> list[Piece]:
        """Take all rows with keys below `end` (None: all) from the reading position on."""
        size = len(self.part.codes)
        begin, self.at = self.at, size if end is None else self.part.position(*end, self.at, size)
        return [Piece(self.part, begin, self.at)] if self.at > begin else []

    def close(self) -> None:
        """Nothing is left behind."""


@dataclass(slots=True, eq=False)
class _OnDisk:
    """A sorted run on disk, and the reading position in it."""

    codes: Ints  # of the first row of each batch
    times: Ints
    rows: Ints  # of each batch
    reader: RunReader
    at: int = 0  # next batch to read
    rest: Piece | None = None  # rows read from earlier batches and not yet given out

    def entries(self, _step: int) -> tuple[Ints, Ints, Ints]:
        """Code and time of the first row of every batch, and how many it has."""
        return self.codes, self.times, self.rows

    def read_below(self, end: Key | None) -> list[Piece]:
        """Take all rows with keys below `end` (None: all) from the reading position on."""
        pieces = [self.rest] if self.rest is not None else []
        self.rest = None
        while self.at < len(self.codes) and (end is None or Key(int(self.codes[self.at]), int(self.times[self.at])) < end):
            part = part_of(self.reader.read(self.at))
            pieces.append(Piece(part, 0, len(part.codes)))
            self.at += 1
        if end is None or not pieces:
            return pieces
        part, begin, after = pieces.pop()  # only the last batch can hold rows at or above `end`: its successor begins there
        cut = part.position(*end, begin, after)
        if cut < after:
            self.rest = Piece(part, cut, after)
        return [*pieces, Piece(part, begin, cut)] if cut > begin else pieces

    def close(self) -> None:
        """Remove the file."""
        self.reader.close(remove=True)


_Run = _Held | _OnDisk


@dataclass(slots=True)
class Gather:
    """Collects the rows of a run; see the module's docstring."""

    spill_dir: Path
    held_bytes: int
    run_bytes: int
    kinds: dict[str, int] = field(default_factory=dict)  # extra columns seen, see core/extras.py
    rows: int = 0
    nbytes: int = 0  # B of all rows together, had they stayed in memory
    spilled_runs: int = 0
    _sorter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="sort"))
    _pending: list[Future[Part]] = field(default_factory=list)
    _pending_bytes: int = 0
    _held: int = 0
    _runs: list[_Run] = field(default_factory=list)
    _written: int = 0

    def add(self, table: pa.Table) -> None:
        """Take NORMAL rows with provenance, in any order."""
        if not table.num_rows:
            return
        self.kinds = extras.merge(self.kinds, extras.kinds(table.schema))
        size = table.nbytes + _KEY_BYTES * table.num_rows
        self.rows += table.num_rows
        self.nbytes += size
        self._pending.append(self._sorter.submit(part_of, table))
        self._pending_bytes += size
        if self._pending_bytes >= self.run_bytes:
            self._close_run()

    @property
    def row_bytes(self) -> float:
        """B in memory of a row, on average."""
        return self.nbytes / max(self.rows, 1)

    def lots(self, plan: extras.ExtrasPlan, segment: SegmentSettings, *, rows: int) -> Iterator[Lot]:
        """Give all rows, ordered and cut into whole blocks: at most `rows` at a time, unless one block is longer.

        Blocks are numbered, and extra columns are as `plan` says. Call once.
        """
        pool: list[Piece] = []
        for pieces in self._ranges(rows):
            pool += pieces
            keys = keys_of(pool)
            starts = np.flatnonzero(block_starts(keys.codes.astype(np.int64), keys.times, segment))
            yield from (lot for lot in _cut(pool, keys, starts, rows, plan))
            pool = _from(pool, keys, int(starts[-1]))  # whether it goes on is not known
        if pool:
            yield _lot(pool, keys_of(pool), segment, plan)
        self.close()

    def ranges(self, plan: extras.ExtrasPlan, *, rows: int) -> Iterator[pa.Table]:
        """Give all rows, ordered, in tables of about `rows`, with extra columns as `plan` says. Call once."""
        yield from (_whole(pieces, plan).table() for pieces in self._ranges(rows))
        self.close()

    def spill(self) -> None:
        """Bring all rows that are in memory to disk: somebody needs the memory. What comes out stays the same."""
        held = [run.part for run in self._runs if isinstance(run, _Held)] + self._sorted()
        self._runs = [run for run in self._runs if isinstance(run, _OnDisk)]
        self._held = 0
        if held:
            self._spill(held)

    def close(self) -> None:
        """Forget all rows and remove what is on disk."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        self._pending.clear()
        self._sorter.shutdown(cancel_futures=True)

    def _ranges(self, rows: int) -> Iterator[list[Piece]]:
        """Give all rows as pieces that hold about `rows` rows together, all of them below those of the next."""
        self._close_run()
        low, high = _FAN_IN
        batch_bytes = _BATCH_COPIES * _BATCH_ROWS * max(self.row_bytes, 1.0)
        fan_in = max(low, min(high, int(self.run_bytes / batch_bytes)))
        while sum(isinstance(run, _OnDisk) for run in self._runs) > fan_in:
            self._merge_oldest(fan_in)
        yield from _merge(self._runs, rows)

    def _close_run(self) -> None:
        size = self._pending_bytes
        parts = self._sorted()
        if not parts:
            return
        if self._held + size > self.held_bytes:
            self._spill(parts)
            return
        self._held += size
        if len(self._runs) + len(parts) > _MOST_RUNS:
            parts = [part_of(_whole([Piece(part, 0, len(part.codes)) for part in parts]).table())]
        self._runs += [_Held(part) for part in parts]

    def _sorted(self) -> list[Part]:
        """Chunks that were taken and are in no run yet."""
        parts = [one.result() for one in self._pending]
        self._pending, self._pending_bytes = [], 0
        return parts

    def _spill(self, parts: list[Part]) -> None:
        """Merge runs into one on disk."""
        self._runs.append(self._written_run(_merge([_Held(part) for part in parts], _MERGED_ROWS)))

    def _written_run(self, ranges: Iterable[list[Piece]]) -> _OnDisk:
        entries: list[tuple[Ints, Ints, Ints]] = []

        def indexed() -> Iterator[pa.Table]:
            for pieces in ranges:
                lot = _whole(pieces)
                at = np.arange(0, len(lot.keys), _BATCH_ROWS)
                sizes = np.diff(np.append(at, len(lot.keys)))
                entries.append((lot.keys.codes[at].astype(np.int64), lot.keys.times[at], sizes))
                yield lot.table()

        path = self.spill_dir / f"run-{self._written:05d}.arrow"
        self._written += 1
        self.spilled_runs += 1
        write_run(path, indexed(), batch_rows=_BATCH_ROWS)
        codes, times, sizes = (np.concatenate(column) for column in zip(*entries, strict=True))
        return _OnDisk(codes, times, sizes, RunReader(path, words=_WORDS))

    def _merge_oldest(self, fan_in: int) -> None:
        """Merge as many runs on disk as may be read side by side into one."""
        oldest = [run for run in self._runs if isinstance(run, _OnDisk)][:fan_in]
        self._runs = [run for run in self._runs if run not in oldest]
        self._runs.append(self._written_run(_merge(oldest, _MERGED_ROWS)))
        for run in oldest:
            run.close()


def _merge(runs: Iterable[_Run], range_rows: int) -> Iterator[list[Piece]]:
    """Give the rows of all runs, in ranges of about `range_rows`."""
    runs = list(runs)
    step = max(_LEAST_STEP, min(_BATCH_ROWS, range_rows // (_STEPS * max(len(runs), 1))))
    for end in _ends(runs, range_rows, step):
        pieces = [piece for run in runs for piece in run.read_below(end)]
        if pieces:
            yield pieces


def _ends(runs: list[_Run], range_rows: int, step: int) -> Iterator[Key | None]:
    """Keys below which ranges end; None for the last."""
    if not runs:
        return
    codes, times, rows = (np.concatenate(column) for column in zip(*(run.entries(step) for run in runs), strict=True))
    order = np.lexsort((times, codes))
    codes, times, rows = codes[order], times[order], rows[order]
    before = np.cumsum(rows) - rows
    at, end = 0, 0
    while True:
        end = max(int(np.searchsorted(before, before[at] + range_rows)), at + 1)
        while 0 < end < len(codes) and codes[end] == codes[end - 1] and times[end] == times[end - 1]:
            end += 1
        if end >= len(codes):
            break
        yield Key(int(codes[end]), int(times[end]))
        at = end
    yield None


def _whole(pieces: list[Piece], plan: extras.ExtrasPlan | None = None) -> Lot:
    """All rows of pieces."""
    keys = keys_of(pieces)
    return Lot(pieces, keys, 0, len(keys), plan)


def _lot(pieces: list[Piece], keys: Keys, segment: SegmentSettings, plan: extras.ExtrasPlan) -> Lot:
    starts = np.flatnonzero(block_starts(keys.codes.astype(np.int64), keys.times, segment))
    return Lot(pieces, keys, 0, len(keys), plan, starts)


def _cut(pieces: list[Piece], keys: Keys, starts: Ints, rows: int, plan: extras.ExtrasPlan) -> Iterator[Lot]:
    """Cut everything before the last start into lots of whole blocks."""
    at, end = 0, int(starts[-1])
    while at < end:
        cut = int(starts[int(np.searchsorted(starts, at + rows, "right")) - 1])
        if cut <= at:  # one block longer than `rows`
            cut = int(starts[int(np.searchsorted(starts, at, "right"))])
        cut = min(cut, end)
        low, high = np.searchsorted(starts, (at, cut))
        yield Lot(pieces, keys, at, cut, plan, starts[low:high] - at)
        at = cut


def _from(pieces: list[Piece], keys: Keys, first: int) -> list[Piece]:
    """Rows of pieces from row `first` of their order on, which begins a block."""
    code, time = int(keys.codes[first]), int(keys.times[first])
    cuts = [(part, part.position(code, time, begin, end), end) for part, begin, end in pieces]
    return [Piece(part, cut, end) for part, cut, end in cuts if cut < end]
