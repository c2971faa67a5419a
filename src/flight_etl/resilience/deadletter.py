"""Dead letters: where work waits that cannot be done now, with all that is needed to do it later.

A queue holds letters until they are deleted, which happens only after success (`resilience/replay.py`). Letters that failed too
often are parked, where no replay takes them unless it is asked to. `BlobDeadLetters` keeps letters as small files wherever
`Blobs` are kept: in a local folder without any server (`FolderBlobs`), or in a bucket. `resilience/sqs.py` keeps them in SQS.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from flight_etl.errors import Denied, NotFound, StoreError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "FOLDER",
    "PARKED",
    "PENDING",
    "BlobDeadLetters",
    "Blobs",
    "DeadLetter",
    "DeadLetterConfig",
    "DeadLetters",
    "FolderBlobs",
    "Held",
]

FOLDER: Final = ".flight-etl-dead-letters"
PENDING: Final = "pending/"
PARKED: Final = "parked/"
_SUFFIX: Final = ".json"
_NAME: Final = re.compile(r"[\w-]{1,80}", re.ASCII)  # an id is part of a file's name
_TYPES: Final[dict[Any, Any]] = {"str": str, "int": int, "str | None": (str, type(None))}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterConfig:
    """Where dead letters go and how often they are tried again."""

    queue_url: str | None = None  # SQS; None: the error bucket, else the local folder
    error_bucket: str | None = None
    folder: str | None = None  # a local one, whatever queue and bucket there are; FOLDER where there are none
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
    def from_json(cls, text: str | bytes, *, id: str | None = None) -> DeadLetter:  # noqa: A002 - the field's name
        """Read a letter; text that is none becomes one about itself, named `id` or by its content, so that nothing is lost."""
        shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
        try:
            found = json.loads(shown)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and "error_class" in found and _NAME.fullmatch(str(found.get("id", ""))):
            known = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
            if all(isinstance(value, _TYPES[cls.__dataclass_fields__[name].type]) for name, value in known.items()):
                return cls(**known)
        name = id if id and _NAME.fullmatch(id) else hashlib.sha256(shown.encode(errors="replace")).hexdigest()[:32]
        return cls(id=name, error_class="unreadable", message="not written by flight-etl", body=shown)


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

    def hold(self) -> AbstractContextManager[None]:
        """Keep what is received from others for as long as the block lasts; what is still there afterwards they see again."""

    def receive(self, limit: int, *, skip: Container[str] = (), parked: bool = False) -> list[Held]:
        """Take up to `limit` letters whose ids are not in `skip`, parked ones only if `parked`; none when none is left."""

    def delete(self, held: Held) -> None:
        """Forget a letter: its work is done."""

    def put_back(self, held: Held, letter: DeadLetter, *, park: bool) -> None:
        """Keep a letter after another failure, in its new state; a parked one is received only by who asks for such."""

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

    def hold(self) -> AbstractContextManager[None]:
        """Do nothing: see the class."""
        return nullcontext()

    def receive(self, limit: int, *, skip: Container[str] = (), parked: bool = False) -> list[Held]:
        """Give up to `limit` letters, those with the fewest attempts first, so that a poisoned one holds up no other."""
        found = [held for held in self.list() if (parked or not held.parked) and held.letter.id not in skip]
        return sorted(found, key=lambda one: (one.letter.attempts, one.letter.last_failed_ms, one.letter.id))[:limit]

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
        """Give all letters, those that wait first."""
        for prefix in (PENDING, PARKED):
            for name in self._blobs.list(prefix):
                with suppress(NotFound):  # deleted since by someone else
                    yield self._held(name)

    def _held(self, name: str) -> Held:
        letter = DeadLetter.from_json(self._blobs.get(name), id=Path(name).stem)
        return Held(letter, name, parked=name.startswith(PARKED))
