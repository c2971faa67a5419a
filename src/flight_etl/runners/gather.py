"""All rows of a run in one order, within a memory budget: sorted runs, in memory or on disk, read back by key ranges.

Rows come in any order, in chunks. `run_bytes` of them at a time are sorted into a *run*; runs beyond `held_bytes` go to
disk. Afterwards `ranges` gives tables of about as many rows as are asked for, in the order of (icao24, timestamp): a range is
read from all runs at once, since every run is indexed by the key of each small batch in it. Rows with equal keys always come in
the same range. How rows were chunked, how large a run is, and what went to disk cannot be seen in what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from flight_etl.core import extras
from flight_etl.core.order import address_codes, sort_rows, timestamps_ms
from flight_etl.schema import NORMAL
from flight_etl.store.spill import RunReader, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Gather"]

_BATCH_ROWS: Final = 2_048  # rows between two index entries of a run
_FAN_IN: Final = (6, 48)  # least and most runs on disk that are read side by side; more are merged first
_BATCH_COPIES: Final = 4  # of a batch of each of these runs are in memory at once
_WORDS: Final = tuple(c.name for c in NORMAL if pa.types.is_dictionary(c.type))

Key = tuple[int, int]  # address code, ms UTC


@dataclass(slots=True, eq=False)
class _Run:
    """A sorted run and the reading position in it."""

    keys: list[Key]  # first key of each batch
    rows: list[int]  # rows of each batch
    table: pa.Table | None = None
    reader: RunReader | None = None
    at: int = 0  # next batch to read
    rest: pa.Table | None = None  # rows read from earlier batches and not yet given out

    def read_below(self, end: Key | None) -> list[pa.Table]:
        """Take all rows with keys below `end` (None: all) from the reading position on."""
        parts = [self.rest] if self.rest is not None else []
        first = self.at
        while self.at < len(self.keys) and (end is None or self.keys[self.at] < end):
            self.at += 1
        parts += self._batches(first, self.at)
        self.rest = None
        if end is None or not parts:
            return parts
        last = parts.pop()  # only the last batch can hold rows at or above `end`, since its successor begins there
        cut = _position(last, end)
        if cut < last.num_rows:
            self.rest = last.slice(cut)
        return [*parts, last.slice(0, cut)] if cut else parts

    def _batches(self, first: int, after: int) -> list[pa.Table]:
        if self.table is not None:
            begin = first * _BATCH_ROWS
            return [self.table.slice(begin, (after - first) * _BATCH_ROWS)] if after > first else []
        assert self.reader is not None
        return [self.reader.read(i) for i in range(first, after)]

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close(remove=True)


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
    _pending: list[pa.Table] = field(default_factory=list)
    _pending_bytes: int = 0
    _held: int = 0
    _runs: list[_Run] = field(default_factory=list)
    _written: int = 0

    def add(self, table: pa.Table) -> None:
        """Take NORMAL rows with provenance, in any order."""
        if not table.num_rows:
            return
        self.kinds = extras.merge(self.kinds, extras.kinds(table.schema))
        self.rows += table.num_rows
        self.nbytes += table.nbytes
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        if self._pending_bytes >= self.run_bytes:
            self._close_run()

    @property
    def row_bytes(self) -> float:
        """B in memory of a row, on average."""
        return self.nbytes / max(self.rows, 1)

    def ranges(self, plan: extras.ExtrasPlan, *, rows: int) -> Iterator[pa.Table]:
        """Give all rows, ordered, in tables of about `rows`, with extra columns as `plan` says. Call once."""
        self._close_run()
        low, high = _FAN_IN
        batch_bytes = _BATCH_COPIES * _BATCH_ROWS * max(self.row_bytes, 1.0)
        fan_in = max(low, min(high, int(self.run_bytes / batch_bytes)))
        while sum(run.reader is not None for run in self._runs) > fan_in:
            self._merge_oldest(rows, fan_in)
        yield from _merge(self._runs, rows, plan)
        self.close()

    def spill(self) -> None:
        """Bring all rows that are in memory to disk: somebody needs the memory. What comes out stays the same."""
        self._close_run()
        for at, run in enumerate(self._runs):
            if run.table is not None:
                self._runs[at] = self._spill(iter([run.table]))
        self._held = 0

    def close(self) -> None:
        """Forget all rows and remove what is on disk."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        self._pending.clear()

    def _close_run(self) -> None:
        if not self._pending:
            return
        table = sort_rows(extras.concat(self._pending).combine_chunks())
        self._pending, self._pending_bytes = [], 0
        if self._held + table.nbytes <= self.held_bytes:
            self._held += table.nbytes
            keys, rows = _index(table)
            self._runs.append(_Run(keys, rows, table=table))
        else:
            self._runs.append(self._spill(iter([table])))

    def _spill(self, tables: Iterator[pa.Table]) -> _Run:
        keys: list[Key] = []
        rows: list[int] = []

        def indexed() -> Iterator[pa.Table]:
            for table in tables:
                more_keys, more_rows = _index(table)
                keys.extend(more_keys)
                rows.extend(more_rows)
                yield table

        path = self.spill_dir / f"run-{self._written:05d}.arrow"
        self._written += 1
        self.spilled_runs += 1
        write_run(path, indexed(), batch_rows=_BATCH_ROWS)
        return _Run(keys, rows, reader=RunReader(path, words=_WORDS))

    def _merge_oldest(self, rows: int, fan_in: int) -> None:
        """Merge as many runs on disk as may be read side by side into one."""
        oldest = [run for run in self._runs if run.reader is not None][:fan_in]
        self._runs = [run for run in self._runs if run not in oldest]
        self._runs.append(self._spill(_merge(oldest, rows)))
        for run in oldest:
            run.close()


def _index(table: pa.Table) -> tuple[list[Key], list[int]]:
    """First key and number of rows of each batch of a sorted table."""
    codes = address_codes(table["icao24"])
    times = timestamps_ms(table["timestamp"])
    at = np.arange(0, table.num_rows, _BATCH_ROWS)
    keys = list(zip(codes[at].tolist(), times[at].tolist(), strict=True))
    return keys, np.diff(np.append(at, table.num_rows)).tolist()


def _position(table: pa.Table, key: Key) -> int:
    """Number of rows of a sorted table whose keys are below `key`."""
    codes = address_codes(table["icao24"])
    low, high = np.searchsorted(codes, key[0], "left"), np.searchsorted(codes, key[0], "right")
    times = timestamps_ms(table["timestamp"].slice(low, high - low))
    return int(low + np.searchsorted(times, key[1], "left"))


def _merge(runs: list[_Run], range_rows: int, plan: extras.ExtrasPlan | None = None) -> Iterator[pa.Table]:
    """Give the rows of all runs in order, about `range_rows` at a time, with extra columns as `plan` says if there is one."""
    entries = sorted((key, rows) for run in runs for key, rows in zip(run.keys, run.rows, strict=True))
    filled = 0
    previous: Key | None = None
    for key, rows in entries:
        if filled >= range_rows and key != previous:
            yield from _take(runs, key, plan)
            filled = 0
        filled += rows
        previous = key
    yield from _take(runs, None, plan)


def _take(runs: list[_Run], end: Key | None, plan: extras.ExtrasPlan | None) -> Iterator[pa.Table]:
    parts = [part for run in runs for part in run.read_below(end)]
    if plan is not None:  # before sorting: ties are ordered by content, which must have its final type for that
        parts = [extras.conform(part, plan) for part in parts]
    if parts:
        yield sort_rows(extras.concat(parts).combine_chunks())
