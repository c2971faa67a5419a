"""Dead letters of objects: which queue, what goes in, and doing their work again."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError, NotFound, SettingsError
from flight_etl.resilience.classify import classify_error
from flight_etl.resilience.deadletter import BlobDeadLetters, DeadLetter, DeadLetterConfig, FolderBlobs
from flight_etl.resilience.sqs import SqsDeadLetters, client
from flight_etl.runners.events import ObjectRef
from flight_etl.store.places import ObjectUrl

if TYPE_CHECKING:
    from flight_etl.resilience.deadletter import DeadLetters, Held
    from flight_etl.settings import Settings
    from flight_etl.store.objects import Bucket, Pool

__all__ = ["BucketBlobs", "find", "letter_for", "letters_of", "now_ms", "object_of"]

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


def letters_of(settings: Settings, pool: Pool, config: DeadLetterConfig | None = None) -> DeadLetters:
    """Give the queue of dead letters: SQS where it is named, else the error bucket, else a local folder."""
    config = config or DeadLetterConfig(queue_url=settings.service.dlq_queue_url, error_bucket=settings.service.error_bucket)
    bucket = pool.bucket(ObjectUrl("s3", config.error_bucket, "")) if config.error_bucket else None
    blobs = BucketBlobs(bucket) if bucket is not None else None
    if config.queue_url:
        sqs = client(settings.service.aws_region)
        return SqsDeadLetters(config.queue_url, sqs=sqs, overflow=blobs, visibility_s=config.visibility_s)
    return BlobDeadLetters(blobs if blobs is not None else FolderBlobs(Path(config.folder)))


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


def object_of(letter: DeadLetter) -> ObjectRef:
    """Give the object that a letter is about. Raises SettingsError for a letter that names none."""
    if not letter.bucket or not letter.key:
        raise SettingsError(f"dead letter {letter.id} names no object; look at it with `flight-etl dlq show {letter.id}`")
    return ObjectRef(
        bucket=letter.bucket, key=letter.key, version_id=letter.version_id, etag=letter.etag, sequencer=letter.sequencer
    )


def find(letters: DeadLetters, name: str) -> Held:
    """Give the letter whose id begins with `name`. Raises NotFound unless there is exactly one."""
    found = [held for held in letters.list() if held.letter.id.startswith(name)]
    if len(found) != 1:
        raise NotFound(f"{len(found)} dead letters begin with {name!r}; see `flight-etl dlq list`")
    return found[0]
