"""The phases, which of them may follow which, and how labels are made to keep to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from flight_etl.core.enrich.runs import any_of, next_true, previous_true, runs_of

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Ints

__all__ = [
    "APPROACH",
    "CLIMB",
    "CRUISE",
    "DESCENT",
    "GROUND",
    "LANDING",
    "LEGAL",
    "PHASES",
    "TAKEOFF",
    "TAXI",
    "UNKNOWN",
    "Labels",
    "allowed",
    "without_illegal",
    "without_short",
]

Labels = npt.NDArray[np.int8]

PHASES: Final = ("ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing", "unknown")
GROUND, TAXI, TAKEOFF, CLIMB, CRUISE, DESCENT, APPROACH, LANDING, UNKNOWN = (np.int8(code) for code in range(len(PHASES)))

# What may come after each phase, itself and unknown apart, while no gap lies between. Coming in at 60 s between rows, or in a
# helicopter, an approach ends on the ground without a landing roll. Approach to takeoff is a touch-and-go.
LEGAL: Final = {
    "ground": {"taxi", "takeoff"},
    "taxi": {"ground", "takeoff"},
    "takeoff": {"climb", "cruise", "descent", "approach", "landing", "taxi", "ground"},  # the last three: rejected, or a hop
    "climb": {"cruise", "descent", "approach"},
    "cruise": {"climb", "descent", "approach"},
    "descent": {"climb", "cruise", "approach"},
    "approach": {"climb", "descent", "landing", "takeoff", "taxi", "ground"},
    "landing": {"taxi", "ground", "takeoff"},
    "unknown": set(PHASES),
}
_MAY: Final = np.array([[b in (a, "unknown") or b in LEGAL[a] for b in PHASES] for a in PHASES])

_IN_THE_AIR: Final = np.isin(np.arange(len(PHASES)), [CLIMB, CRUISE, DESCENT, APPROACH])


def allowed(before: Labels, after: Labels) -> Bools:
    """Whether each of `after` may follow `before`."""
    may: Bools = _MAY[before, after]
    return may


def without_short(labels: Labels, key: Ints, piece: Ints, min_s: float, halts: Bools) -> Labels:
    """Join phases in the air, and stops while taxiing, that last less than `min_s` to what is round them.

    They go to the last longer phase in the air before them, else to the next after. Take-offs and landings stay: they are
    short by nature, and other evidence than a threshold made them. So does a spell of taxi: standing is never faster; and a
    stop in which a row `halts`.
    """
    runs = runs_of(piece, labels)
    label, where = labels[runs.first], piece[runs.first]
    brief = runs.seconds(key, piece) < min_s
    short = brief & (_IN_THE_AIR[label] | (label == GROUND))
    before, after = previous_true(~short, where), next_true(~short, where)
    known = (before >= 0) & (after >= 0)
    left = np.where(before >= 0, label[before], UNKNOWN)
    right = np.where(after >= 0, label[after], UNKNOWN)
    flying = short & _IN_THE_AIR[label] & (~known | allowed(left, right))
    stopped = short & ~any_of(halts, runs) & (label == GROUND) & (left == TAXI) & (right == TAXI)
    to_left, to_right = flying & _IN_THE_AIR[left], flying & ~_IN_THE_AIR[left] & _IN_THE_AIR[right]
    label = np.select([to_left, to_right, stopped], [left, right, np.full(len(label), TAXI)], label).astype(np.int8)
    return runs.spread(label)


def without_illegal(labels: Labels, key: Ints, piece: Ints) -> Labels:
    """Make unknown the shorter of two phases of which the second may not follow the first."""
    runs = runs_of(piece, labels)
    label, where = labels[runs.first].copy(), piece[runs.first]
    at = np.flatnonzero(~allowed(label[:-1], label[1:]) & (where[:-1] == where[1:]))
    if not len(at):
        return labels
    seconds = runs.seconds(key, piece)
    label[np.where(seconds[at] < seconds[at + 1], at, at + 1)] = UNKNOWN
    return runs.spread(label)
