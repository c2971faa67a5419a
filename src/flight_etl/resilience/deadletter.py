"""Dead letters: where work waits that cannot be done now, with all that is needed to do it later.

A queue holds letters until they are deleted, which happens only after success. Letters that failed too often are parked,
where no replay takes them unless it is asked to. `BlobDeadLetters` keeps letters as small files wherever `Blobs` are kept:
in a local folder without any server (`FolderBlobs`), or in a bucket. `resilience/sqs.py` keeps them in SQS.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from flight_etl.errors import Denied, NotFound, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "BlobDeadLetters",
    "Blobs",
    "DeadLetter",
    "DeadLetterConfig",
    "DeadLetters",
    "FolderBlobs",
    "Held",
    "Replay",
    "ReplayLimits",
    "replay",
]

PENDING: Final = "pending/"
PARKED: Final = "parked/"
_SUFFIX: Final = ".json"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterConfig:
    """Where dead letters go and how often they are tried again."""

    queue_url: str | None = None  # SQS; None: the error bucket, else the local folder
    error_bucket: str | None = None
    folder: str = ".flight-etl-dead-letters"
    max_attempts: int = 5  # failures in all before a letter is parked
    visibility_s: int = 300  # s for which a letter is hidden from others while it is worked on


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """One piece of work that failed for good, and why. Times are ms since 1970 UTC."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    bucket: str | None = None
    key: str | None = None
    version_id: str | None = None
    etag: str | None = None
    sequencer: str | None = None
    error_type: str = "unknown"
    error_class: str = ""
    message: str = ""
    place: str | None = None
    body: str | None = None  # the message itself, where no object could be made out in it
    attempts: int = 1
    first_failed_ms: int = 0
    last_failed_ms: int = 0

    def failed_again(self, error: BaseException, kind: str, now_ms: int) -> DeadLetter:
        """Return the letter after one more failure."""
        return replace(
            self,
            attempts=self.attempts + 1,
            error_type=kind,
            error_class=type(error).__name__,
            message=str(error),
            last_failed_ms=now_ms,
        )

    def to_json(self) -> str:
        """Return the letter as JSON text, in ASCII: SQS refuses some characters that a message may hold."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> DeadLetter:
        """Read a letter; text that is none becomes a letter about itself, so that nothing is lost."""
        try:
            known = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
            return cls(**known)
        except (ValueError, TypeError, AttributeError):
            shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
            return cls(error_class="unreadable", message="not a dead letter of ours", body=shown)


@dataclass(frozen=True, slots=True)
class Held:
    """A letter and the handle by which its queue knows it."""

    letter: DeadLetter
    handle: str
    parked: bool = False


class DeadLetters(Protocol):
    """A queue of dead letters."""

    def send(self, letter: DeadLetter) -> None:
        """Keep a letter."""

    def receive(self, limit: int) -> list[Held]:
        """Take up to `limit` letters to work on; others do not see them for a while."""

    def delete(self, held: Held) -> None:
        """Forget a letter: its work is done."""

    def put_back(self, held: Held, letter: DeadLetter, *, park: bool) -> None:
        """Keep a letter after another failure, in its new state; parked letters are not received again."""

    def list(self) -> Iterator[Held]:
        """Give all letters, parked ones too, as far as the queue can show them without taking them."""


class Blobs(Protocol):
    """Small files by name. A name that is not there raises NotFound."""

    def put(self, name: str, data: bytes) -> None:
        """Write all or nothing."""

    def get(self, name: str) -> bytes:
        """Read."""

    def list(self, prefix: str) -> list[str]:
        """Names that begin with `prefix`, sorted."""

    def delete(self, name: str) -> None:
        """Remove; a name that is not there is no error."""


class FolderBlobs:
    """Blobs in a local folder, which is made when the first one is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, data: bytes) -> None:
        """Write a file of another name, and rename it."""
        target = self._folder / name
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except PermissionError as error:
            raise Denied(f"{target}: may not be written") from error
        except OSError as error:
            raise StoreError(f"{target}: cannot be written: {error.strerror}") from error

    def get(self, name: str) -> bytes:
        """Read a file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"{self._folder / name}: not there") from error

    def list(self, prefix: str) -> list[str]:
        """Names of the files."""
        found = (path.relative_to(self._folder).as_posix() for path in self._folder.glob("**/*.json"))
        return sorted(name for name in found if name.startswith(prefix) and not Path(name).name.startswith("."))

    def delete(self, name: str) -> None:
        """Remove a file."""
        (self._folder / name).unlink(missing_ok=True)


class BlobDeadLetters:
    """Letters as blobs `pending/<id>.json` and `parked/<id>.json`. One replay at a time is meant to work on them."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def send(self, letter: DeadLetter) -> None:
        """Keep a letter."""
        self._blobs.put(f"{PENDING}{letter.id}{_SUFFIX}", letter.to_json().encode())

    def receive(self, limit: int) -> list[Held]:
        """Give up to `limit` letters, those with the fewest attempts first, so that a poisoned one holds up no other."""
        held = [self._held(name) for name in self._blobs.list(PENDING)]
        return sorted(held, key=lambda one: (one.letter.attempts, one.letter.last_failed_ms, one.letter.id))[:limit]

    def delete(self, held: Held) -> None:
        """Forget a letter."""
        self._blobs.delete(held.handle)

    def put_back(self, held: Held, letter: DeadLetter, *, park: bool) -> None:
        """Write the letter's new state before its old one goes."""
        name = f"{PARKED if park else PENDING}{letter.id}{_SUFFIX}"
        self._blobs.put(name, letter.to_json().encode())
        if name != held.handle:
            self._blobs.delete(held.handle)

    def list(self) -> Iterator[Held]:
        """Give all letters."""
        for prefix in (PENDING, PARKED):
            for name in self._blobs.list(prefix):
                yield self._held(name)

    def _held(self, name: str) -> Held:
        return Held(DeadLetter.from_json(self._blobs.get(name)), name, parked=name.startswith(PARKED))


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What a replay did."""

    reprocessed: int = 0  # done now, and deleted
    failed: int = 0  # failed again, and kept
    parked: int = 0  # failed for the last time
    left: bool = False  # the deadline came before the letters ended
    errors: tuple[str, ...] = ()


_SHOWN_ERRORS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayLimits:
    """How far a replay goes. `remaining_s` gives the seconds until the caller's deadline; None: there is none."""

    max_records: int = 10
    max_attempts: int = 5  # failures in all before a letter is parked
    remaining_s: Callable[[], float] | None = None
    reserve_s: float = 30.0  # s that must be left when a letter is begun
    dry_run: bool = False


def replay(
    letters: DeadLetters,
    work: Callable[[DeadLetter], Any],
    limits: ReplayLimits,
    *,
    classify: Callable[[BaseException], str],
    now_ms: Callable[[], int],
) -> Replay:
    """Do the work of letters again; a letter is deleted only after its work has been done.

    With `dry_run` nothing is done or moved: `reprocessed` then says how many letters would be tried.
    """
    max_records, remaining_s = limits.max_records, limits.remaining_s
    if limits.dry_run:
        waiting = sum(not held.parked for held in letters.list())
        return Replay(reprocessed=min(waiting, max_records))
    done = failed = parked = 0
    errors: list[str] = []
    seen: set[str] = set()
    while done + failed < max_records:
        batch = [held for held in letters.receive(min(10, max_records - done - failed)) if held.letter.id not in seen]
        if not batch:
            break
        for held in batch:
            if remaining_s is not None and remaining_s() < limits.reserve_s:
                return Replay(reprocessed=done, failed=failed, parked=parked, left=True, errors=tuple(errors))
            seen.add(held.letter.id)
            try:
                work(held.letter)
            except Exception as error:  # noqa: BLE001 - whatever it is, the letter must be kept
                failed += 1
                again = held.letter.failed_again(error, classify(error), now_ms())
                park = again.attempts >= limits.max_attempts
                parked += park
                letters.put_back(held, again, park=park)
                if len(errors) < _SHOWN_ERRORS:
                    errors.append(f"{held.letter.key or held.letter.id}: {error}")
            else:
                letters.delete(held)
                done += 1
    return Replay(reprocessed=done, failed=failed, parked=parked, errors=tuple(errors))
