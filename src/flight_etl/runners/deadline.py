"""The caller's time, and how much of it each step must find left: Lambda stops a function without asking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadline", "OutOfTimeError"]

_ALL: Final = 0.8  # of the whole time, with which an object has had its chance


@dataclass(frozen=True, slots=True)
class _Reserve:
    """What is kept back of the caller's time: a share of the whole, within bounds in seconds."""

    share: float
    least_s: float
    most_s: float

    def of(self, whole_s: float) -> float:
        return min(max(self.share * whole_s, self.least_s), self.most_s)


_BEGIN: Final = _Reserve(0.25, 6.0, 20.0)  # to begin an object
_GO_ON: Final = _Reserve(0.10, 3.0, 10.0)  # to go on with one: what it takes to write a dead letter, metrics and the answer


class OutOfTimeError(TimeoutError):
    """The caller's time was not enough. `had_all` says that it would not be the next time either."""

    def __init__(self, message: str, *, had_all: bool = False) -> None:
        super().__init__(message)
        self.had_all = had_all


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """`remaining_s` gives the seconds until the caller's deadline, None where there is none; `whole_s`, what it gave at first."""

    remaining_s: Callable[[], float] | None = None
    whole_s: float = math.inf  # s

    @classmethod
    def begun(cls, remaining_s: Callable[[], float] | None) -> Deadline:
        """Take the time that is left now as the whole."""
        return cls(remaining_s=remaining_s, whole_s=math.inf if remaining_s is None else remaining_s())

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return math.inf if self.remaining_s is None else self.remaining_s()

    @property
    def reserve_s(self) -> float:
        """Seconds that must be left when an object is begun."""
        return _BEGIN.of(self.whole_s)

    def watch(self, source: str) -> Callable[[], None]:
        """Give a check for the object begun now, which raises OutOfTimeError when there is no time to go on with it."""
        begun_s, least_s = self.left_s, _GO_ON.of(self.whole_s)
        if begun_s < self.reserve_s:
            raise OutOfTimeError(f"{source}: no time left to begin it: {begun_s:.1f} s, and {self.reserve_s:.1f} s are kept back")

        def check() -> None:
            left = self.left_s
            if left < least_s:
                raise OutOfTimeError(
                    f"{source}: not done within the {begun_s:.0f} s that were left of the caller's {self.whole_s:.0f} s; "
                    "give the function more time or memory, or cut the input into smaller files",
                    had_all=begun_s >= _ALL * self.whole_s,
                )

        return check
