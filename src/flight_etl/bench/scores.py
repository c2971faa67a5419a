"""How right labels and flights are, from arrays alone: what was detected never comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FlightScore", "PhaseScore", "flight_score", "phase_score"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SAME_SHARE: Final = 0.98  # of the rows in the air that two flights must have in common, of all that either has


@dataclass(frozen=True, slots=True)
class PhaseScore:
    """A confusion matrix: rows are the truth, columns what was said; the last column is `unknown`."""

    words: tuple[str, ...]
    confusion: Ints

    @property
    def rows(self) -> int:
        """Rows judged."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of rows that are right; NaN of none. Unknown counts as wrong."""
        return float(np.trace(self.confusion)) / self.rows if self.rows else float("nan")

    def recall(self) -> list[float]:
        """Of the rows of each phase, the share that is found."""
        return _shares(np.diagonal(self.confusion), self.confusion.sum(axis=1))

    def precision(self) -> list[float]:
        """Of the rows said to be of each phase, the share that is."""
        return _shares(np.diagonal(self.confusion), self.confusion.sum(axis=0)[: len(self.words)])


def _shares(part: Ints, whole: Ints) -> list[float]:
    return [float(a) / float(b) if b else float("nan") for a, b in zip(part, whole, strict=True)]


def phase_score(truth: npt.NDArray[np.integer], said: npt.NDArray[np.integer], words: Sequence[str], where: Bools) -> PhaseScore:
    """Compare codes, indices of `words`, `len(words)` standing for unknown, on the rows `where`."""
    size = len(words)
    pairs = truth[where].astype(np.int64) * (size + 1) + said[where]
    return PhaseScore(tuple(words), np.bincount(pairs, minlength=size * (size + 1)).reshape(size, size + 1))


@dataclass(frozen=True, slots=True)
class FlightScore:
    """Flights of the truth, those found, and those of both that are the same; `same[i]`: flight found for truth i, or -1."""

    true: int
    found: int
    same: Ints
    splits: int  # flights of the truth in more than one found
    merges: int  # flights found with more than one of the truth

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2.0 * int(np.count_nonzero(self.same >= 0)) / (self.true + self.found) if self.true + self.found else float("nan")


def flight_score(truth: Ints, found: Ints, airborne: Bools) -> FlightScore:
    """Match flights by their rows in the air: the same where at least 98 % of all rows of either belong to both.

    `truth` numbers flights from 0; a flight that is never in the air is none, in the truth and among those found.
    """
    a, (names, b) = truth[airborne], np.unique(found[airborne], return_inverse=True)
    pairs, count = np.unique(np.stack((a, b)), axis=1, return_counts=True)
    rows_a, rows_b = np.bincount(a, minlength=int(truth.max(initial=-1)) + 1), np.bincount(b)
    share = count / (rows_a[pairs[0]] + rows_b[pairs[1]] - count)
    good = share >= _SAME_SHARE
    same = np.full(len(rows_a), -1, np.int64)
    same[pairs[0][good]] = names[pairs[1][good]]
    per_a, per_b = np.bincount(pairs[0], minlength=len(rows_a)), np.bincount(pairs[1], minlength=len(rows_b))
    return FlightScore(
        int(np.count_nonzero(rows_a)), len(rows_b), same, int(np.count_nonzero(per_a > 1)), int(np.count_nonzero(per_b > 1))
    )
