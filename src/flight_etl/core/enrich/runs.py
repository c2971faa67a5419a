"""Runs: longest stretches of rows that share a state. Rows in, one value per run out, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from flight_etl.core import track
from flight_etl.core.enrich.kernels import phase_kernels
from flight_etl.core.track import run_starts
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.track import Bools, Floats, Ints

__all__ = ["Runs", "any_of", "ends_of", "first_where", "last_where", "median_where", "next_true", "previous_true", "runs_of"]

Value = TypeVar("Value", bound=np.generic)

_NOWHERE: Final = -1


@dataclass(frozen=True)
class Runs:
    """Runs first .. last of rows (inclusive), which have all rows between them."""

    first: Ints
    last: Ints

    @cached_property
    def number(self) -> Ints:
        """Each row's run; many who ask for runs have no need of it."""
        return np.repeat(np.arange(len(self.first)), self.last - self.first + 1)

    def spread(self, values: npt.NDArray[Value]) -> npt.NDArray[Value]:
        """Give every row the value of its run."""
        fast = phase_kernels()
        if fast is not None:
            return fast.spread(values, self.first, self.last)  # type: ignore[no-any-return]
        return values[self.number]

    def __len__(self) -> int:
        """Count the runs."""
        return len(self.first)

    def seconds(self, key: Ints, whole: Ints) -> Floats:
        """How long each run lasts, s, with half the way to its neighbours in the same `whole`."""
        size = len(whole)
        before, after = np.maximum(self.first - 1, 0), np.minimum(self.last + 1, size - 1)
        lead = np.where(whole[before] == whole[self.first], key[self.first] - key[before], 0)
        trail = np.where(whole[after] == whole[self.last], key[after] - key[self.last], 0)
        length: Floats = (key[self.last] - key[self.first] + (lead + trail) / 2.0) / MS_PER_SECOND
        return length


def runs_of(*values: npt.NDArray[np.generic], within: Runs | None = None, begins: Bools | None = None) -> Runs:
    """Cut rows wherever one of `values` changes, where a run of `within` begins, and where `begins` holds."""
    fast = phase_kernels()
    if fast is not None:
        return Runs(*fast.runs(values, None if within is None else within.first, begins))
    starts = run_starts(*values) if values else np.zeros(0 if begins is None else len(begins), np.bool_)
    if begins is not None:
        starts |= begins
    if within is not None:
        starts[within.first] = True
    starts[:1] = True
    first = np.flatnonzero(starts)
    return Runs(first, np.append(first[1:], len(starts))[: len(first)] - 1)


def any_of(mask: Bools, runs: Runs) -> Bools:
    """Whether `mask` holds anywhere in each run."""
    if phase_kernels() is not None:
        return first_where(mask, runs) >= 0
    return np.bincount(runs.number[mask], minlength=len(runs)) > 0


def first_where(mask: Bools, runs: Runs) -> Ints:
    """First row of each run at which `mask` holds; -1 where it holds nowhere."""
    fast = phase_kernels()
    if fast is not None:
        return np.asarray(fast.first_where(mask, runs.first, runs.last))
    found = np.full(len(runs), _NOWHERE, np.int64)
    at = np.flatnonzero(mask)[::-1]
    found[runs.number[at]] = at
    return found


def last_where(mask: Bools, runs: Runs) -> Ints:
    """Last row of each run at which `mask` holds; -1 where it holds nowhere."""
    fast = phase_kernels()
    if fast is not None:
        return np.asarray(fast.last_where(mask, runs.first, runs.last))
    found = np.full(len(runs), _NOWHERE, np.int64)
    at = np.flatnonzero(mask)
    found[runs.number[at]] = at
    return found


def ends_of(values: Floats, runs: Runs) -> tuple[Floats, Floats]:
    """First and last known value of each run; NaN where none is known."""
    fast = phase_kernels()
    if fast is not None:
        begin, end = fast.ends(values, runs.first, runs.last)
        return begin, end
    known = ~np.isnan(values)
    first, last = first_where(known, runs), last_where(known, runs)
    if not len(values):
        return np.empty(0), np.empty(0)
    return np.where(first < 0, np.nan, values[first]), np.where(last < 0, np.nan, values[last])


def median_where(mask: Bools, values: Floats, runs: Runs) -> Floats:
    """Lower median of each run's known values at which `mask` holds; NaN where there is none."""
    fast = phase_kernels()
    if fast is not None:
        return np.asarray(fast.medians(values, mask, runs.first, runs.last))
    known = np.flatnonzero(mask & ~np.isnan(values))
    number = runs.number[known]
    order = known[np.lexsort((values[known], number))]
    count = np.bincount(number, minlength=len(runs))
    begin = np.cumsum(count) - count
    median = np.full(len(runs), np.nan)
    some = count > 0
    median[some] = values[order[begin[some] + (count[some] - 1) // 2]]
    return median


def previous_true(mask: Bools, whole: Ints) -> Ints:
    """Row of the last true at or before each row in the same `whole`; -1 where there is none."""
    fast = phase_kernels()
    return track.previous_true(mask, whole) if fast is None else np.asarray(fast.previous_true(mask, whole))


def next_true(mask: Bools, whole: Ints) -> Ints:
    """Row of the first true at or after each row in the same `whole`; -1 where there is none."""
    fast = phase_kernels()
    return track.next_true(mask, whole) if fast is None else np.asarray(fast.next_true(mask, whole))
