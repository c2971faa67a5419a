"""Dead letters of objects: which queue, what goes in, and doing their work again."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import FlightEtlError, InputError, NotFound
from flight_etl.resilience.classify import classify_error
from flight_etl.resilience.deadletter import FOLDER, BlobDeadLetters, DeadLetter, DeadLetterConfig, FolderBlobs
from flight_etl.resilience.sqs import SqsDeadLetters, client
from flight_etl.runners.events import ObjectRef, messages
from flight_etl.store.places import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.resilience.deadletter import DeadLetters, Held
    from flight_etl.settings import Settings
    from flight_etl.store.objects import Bucket, Pool

__all__ = ["BucketBlobs", "about", "find", "letter_for", "letters_of", "now_ms", "objects_of"]

PREFIX: Final = "dead-letters/"


class BucketBlobs:
    """Small files below a prefix of a bucket."""

    def __init__(self, bucket: Bucket, prefix: str = PREFIX) -> None:
        self._bucket, self._prefix = bucket, prefix

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        self._bucket.put(self._prefix + name, data)

    def get(self, name: str) -> bytes:
        """Read an object."""
        return self._bucket.read(self._prefix + name)[0]

    def list(self, prefix: str) -> list[str]:
        """Names of the objects."""
        found = (info.key.removeprefix(self._prefix) for info in self._bucket.list((self._prefix + prefix).rstrip("/")))
        return sorted(found)

    def delete(self, name: str) -> None:
        """Remove an object."""
        self._bucket.delete([self._prefix + name])


def letters_of(
    settings: Settings,
    pool: Pool,
    config: DeadLetterConfig | None = None,
    *,
    call: Callable[[Callable[[], Any]], Any] = lambda function: function(),
) -> DeadLetters:
    """Give the queue of dead letters: the folder of `config`, else SQS where it is named, else the error bucket, else FOLDER.

    What else `config` leaves open, `settings` say. `call` runs every request to SQS, again where that may help.
    """
    config = config or DeadLetterConfig()
    if config.folder is not None:
        return BlobDeadLetters(FolderBlobs(Path(config.folder)))
    error_bucket = config.error_bucket or settings.service.error_bucket
    blobs = BucketBlobs(pool.bucket(ObjectUrl("s3", error_bucket, ""))) if error_bucket else None
    if url := config.queue_url or settings.service.dlq_queue_url:
        sqs = client(settings.service.aws_region)
        return SqsDeadLetters(url, sqs=sqs, overflow=blobs, visibility_s=config.visibility_s, call=call)
    return BlobDeadLetters(blobs if blobs is not None else FolderBlobs(Path(FOLDER)))


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return round(time.time() * 1000)


def _letter_id(ref: ObjectRef | None, body: str | None) -> str:
    """Give the same object of the same event the same letter, however often it comes."""
    known = (body,) if ref is None else (ref.bucket, ref.key, ref.version_id, ref.etag, ref.sequencer)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


def letter_for(ref: ObjectRef | None, error: BaseException, *, body: str | None = None, attempts: int = 1) -> DeadLetter:
    """Write down what failed and why; `body` is the message itself where no object could be made out in it."""
    moment = now_ms()
    place = error.place if isinstance(error, FlightEtlError) else None
    return DeadLetter(
        id=_letter_id(ref, body),
        bucket=ref.bucket if ref else None,
        key=ref.key if ref else None,
        version_id=ref.version_id if ref else None,
        etag=ref.etag if ref else None,
        sequencer=ref.sequencer if ref else None,
        error_type=str(classify_error(error)),
        error_class=type(error).__name__,
        message=str(error),
        place=str(place) if place else None,
        body=body,
        attempts=attempts,
        first_failed_ms=moment,
        last_failed_ms=moment,
    )


def objects_of(letter: DeadLetter) -> tuple[ObjectRef, ...]:
    """Give the objects that a letter is about: the one that it names, or those of the event that is its body.

    The body may be any event that the handler takes, as SQS moves it after too many receives, alone or inside the record that
    a Lambda destination gets. An event that asks for nothing gives (). Raises InputError where nothing can be made out.
    """
    if letter.bucket and letter.key:
        return (
            ObjectRef(
                bucket=letter.bucket,
                key=letter.key,
                version_id=letter.version_id,
                etag=letter.etag,
                sequencer=letter.sequencer,
            ),
        )
    found = messages(_event_of(letter.body or ""))
    if any(message.unreadable for message in found):
        raise InputError(f"dead letter {letter.id} names no object; look at it with `flight-etl dlq show {letter.id}`")
    return tuple(ref for message in found for ref in message.objects)


def _event_of(body: str) -> Any:
    """Give the event in a body: Lambda's destinations wrap it ("Capturing records of asynchronous invocations")."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return record.get("requestPayload", record) if isinstance(record, dict) else body


def about(letter: DeadLetter) -> str:
    """Name what a letter is about, for people."""
    try:
        return ", ".join(map(str, objects_of(letter))) or "an event that asks for nothing"
    except InputError:
        return letter.key or "a message"


def find(letters: DeadLetters, name: str) -> Held:
    """Give the letter whose id begins with `name`. Raises NotFound unless there is exactly one."""
    found = list({held.letter.id: held for held in letters.list() if held.letter.id.startswith(name)}.values())
    if len(found) != 1:
        raise NotFound(f"{len(found)} dead letters begin with {name!r}; see `flight-etl dlq list`")
    return found[0]
