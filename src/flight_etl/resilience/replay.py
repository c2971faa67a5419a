"""Doing the work of dead letters again: each is deleted only after its work has been done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.resilience.deadletter import DeadLetter, DeadLetters, Held

__all__ = ["Replay", "ReplayLimits", "replay"]

_SHOWN_ERRORS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What a replay did."""

    reprocessed: int = 0  # done now, and deleted
    failed: int = 0  # failed again, and kept
    parked: int = 0  # failed for the last time
    left: bool = False  # the deadline came before the letters ended, or the store was down
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayLimits:
    """How far a replay goes. `remaining_s` gives the seconds until the caller's deadline; None: there is none."""

    max_records: int = 10
    max_attempts: int = 5  # failures in all before a letter is parked
    remaining_s: Callable[[], float] | None = None
    reserve_s: float = 30.0  # s that must be left when a letter is begun
    dry_run: bool = False
    parked: bool = False  # try parked letters too
    is_untried: Callable[[BaseException], bool] = lambda _: False  # whether an error says that the work was not really tried

    @property
    def is_late(self) -> bool:
        """Whether no further letter may be begun."""
        return self.remaining_s is not None and self.remaining_s() < self.reserve_s


@dataclass(slots=True)
class _Account:
    reprocessed: int = 0
    failed: int = 0
    parked: int = 0
    errors: list[str] | None = None

    def closed(self, *, left: bool) -> Replay:
        shown = tuple((self.errors or [])[:_SHOWN_ERRORS])
        return Replay(reprocessed=self.reprocessed, failed=self.failed, parked=self.parked, left=left, errors=shown)


def replay(
    letters: DeadLetters,
    work: Callable[[DeadLetter], Any],
    limits: ReplayLimits,
    *,
    classify: Callable[[BaseException], str],
    now_ms: Callable[[], int],
) -> Replay:
    """Do the work of letters again, each once at most, those that were tried least first where the queue can tell.

    A letter whose work could not really be tried, for want of time, say, stays as it was, and so do all that follow.
    With `dry_run` nothing is done or moved: `reprocessed` then says how many letters would be tried.
    """
    if limits.dry_run:
        waiting = sum(limits.parked or not held.parked for held in letters.list())
        return Replay(reprocessed=min(waiting, limits.max_records))
    account = _Account(errors=[])
    seen: set[str] = set()
    with letters.hold():
        while (left := limits.max_records - len(seen)) > 0:
            batch = letters.receive(left, skip=seen, parked=limits.parked)
            if not batch:
                break
            for held in batch:
                if held.letter.id in seen:  # twice in the queue, since the answer to sending it was lost
                    continue
                if limits.is_late:
                    return account.closed(left=True)
                seen.add(held.letter.id)
                if not _try(letters, held, work, limits, account, classify, now_ms):
                    return account.closed(left=True)
    return account.closed(left=False)


def _try(
    letters: DeadLetters,
    held: Held,
    work: Callable[[DeadLetter], Any],
    limits: ReplayLimits,
    account: _Account,
    classify: Callable[[BaseException], str],
    now_ms: Callable[[], int],
) -> bool:
    """Do the work of one letter; False where it was not really tried."""
    try:
        work(held.letter)
    except Exception as error:  # noqa: BLE001 - whatever it is, the letter must be kept
        if limits.is_untried(error):
            return False
        again = held.letter.failed_again(error, classify(error), now_ms())
        park = held.parked or again.attempts >= limits.max_attempts
        letters.put_back(held, again, park=park)
        account.failed += 1
        account.parked += park
        if account.errors is not None:
            account.errors.append(f"{held.letter.key or held.letter.id}: {error}")
    else:
        letters.delete(held)
        account.reprocessed += 1
    return True
