"""Dead letters in SQS. boto3 is imported when a queue is first touched.

A queue may hold what others put there: S3 events that SQS moved after too many receives, or what Lambda writes when an
asynchronous invocation fails. They are letters too, of which only the body is known.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import Denied, ErrorType, NotFound, SettingsError, StoreError, Throttled, Unavailable
from flight_etl.resilience.classify import classify_error
from flight_etl.resilience.deadletter import PARKED, PENDING, BlobDeadLetters, DeadLetter, Held

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from flight_etl.resilience.deadletter import Blobs

__all__ = ["SqsDeadLetters", "client", "queue_errors"]

_MAX_BODY: Final = 250_000  # B; SQS takes 1 MiB now, but queues that were set to the older 256 KiB are many
_BATCH: Final = 10  # messages of one receive, the service's own limit
_WAIT_S: Final = 1  # s; a short poll asks only some of the service's hosts, and may find nothing where there is something
_LIST_S: Final = 30  # s for which a message is hidden while the queue is listed
_BODIES: Final = "bodies/"
_POINTER: Final = "flight-etl-body-in-bucket"  # attribute of a message whose letter is a blob
_PARKED: Final = "flight-etl-parked"  # attribute of a message that no replay takes unless it is asked to

logger = logging.getLogger(__name__)

_clients: dict[str | None, Any] = {}
_lock = threading.Lock()


def client(region: str | None = None) -> Any:
    """One SQS client for each region, shared by all threads. Its own retries are off: resilience/retry.py is the one layer."""
    with _lock:
        if region not in _clients:
            try:
                import boto3
                from botocore.config import Config
            except ImportError as error:
                raise SettingsError(f"a queue needs {error.name}: pip install 'flight-etl[aws]'") from error

            config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
            _clients[region] = boto3.client("sqs", region_name=region, config=config)
        return _clients[region]


@contextmanager
def queue_errors(url: str) -> Iterator[None]:
    """Turn what boto3 raises inside the block into StoreError or one of its kinds, which names the queue."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
        missing = code in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
        kinds = {ErrorType.TRANSIENT: Unavailable, ErrorType.THROTTLING: Throttled, ErrorType.PERMANENT: Denied}
        kind = NotFound if missing else kinds.get(classify_error(error), StoreError)
        raise kind(f"queue {url}: {code}: {error}") from error


class SqsDeadLetters:
    """Letters as messages of the queue `url`.

    `overflow` takes what the queue cannot: bodies too large for a message, which then names them; parked letters; and letters
    that are to be sent while the queue does not answer. Without it, large bodies are cut, and a parked letter stays in the queue
    and is marked. `call` runs every request, again where that may help.
    """

    def __init__(
        self,
        url: str,
        *,
        sqs: Any,
        overflow: Blobs | None = None,
        visibility_s: int = 300,
        call: Callable[[Callable[[], Any]], Any] = lambda function: function(),
    ) -> None:
        self._url, self._sqs, self._overflow, self._visibility_s, self._call = url, sqs, overflow, visibility_s, call
        self._blobs = BlobDeadLetters(overflow) if overflow is not None else None
        self._taken: dict[str, None] = {}  # receipt handles of messages that others do not see for our sake
        self._lock = threading.Lock()

    # -- writing -----------------------------------------------------------------------------------------------------

    def send(self, letter: DeadLetter) -> None:
        """Send a letter; where the queue does not take it, keep it as a blob, from where it is received too."""
        try:
            self._send(letter)
        except StoreError as error:
            if self._blobs is None:
                raise
            logger.warning("Dead letter for %s goes to the error bucket: %s", letter.key or letter.id, error)
            self._blobs.send(letter)

    def _send(self, letter: DeadLetter, *, parked: bool = False) -> None:
        body, marks = letter.to_json(), [_PARKED] if parked else []
        if _is_large(letter):
            try:
                body = self._put_body(letter)
                marks.append(_POINTER)
            except StoreError:  # no bucket, or it does not answer: the object, which is what counts, stays named
                body = _shortened(letter).to_json()
        attributes = {name: {"DataType": "String", "StringValue": "1"} for name in marks}
        self._ask("send_message", MessageBody=body, MessageAttributes=attributes)

    def _put_body(self, letter: DeadLetter) -> str:
        if self._overflow is None:
            raise NotFound("there is no error bucket")
        name = f"{_BODIES}{letter.id}.json"
        self._overflow.put(name, letter.to_json().encode())
        return name

    def delete(self, held: Held) -> None:
        """Delete a message, and the blob that it pointed to."""
        if self._blobs is not None and _is_blob(held):
            self._blobs.delete(held)
            return
        self._delete_message(held)
        self._delete_body(held.letter)

    def _delete_message(self, held: Held) -> None:
        self._ask("delete_message", ReceiptHandle=held.handle)
        with self._lock:
            self._taken.pop(held.handle, None)

    def _delete_body(self, letter: DeadLetter) -> None:
        if self._overflow is not None and _is_large(letter):
            self._overflow.delete(f"{_BODIES}{letter.id}.json")

    def put_back(self, held: Held, letter: DeadLetter, *, park: bool) -> None:
        """Write the new state, parked or not, before the old one goes."""
        if self._blobs is not None and _is_blob(held):
            self._blobs.put_back(held, letter, park=park)
        elif park and self._overflow is not None:
            self._overflow.put(f"{PARKED}{letter.id}.json", letter.to_json().encode())
            self._delete_message(held)
            self._delete_body(letter)
        elif self._overflow is not None or not _is_large(letter):
            self._send(letter, parked=park)
            self._delete_message(held)
        # else the new state would be cut: better an attempt that is not counted

    # -- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Renew what was received, however long the work takes; at the end let others see at once what is still there."""
        done = threading.Event()
        thread = threading.Thread(target=self._renew, args=(done,), name="visibility", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self._show_again()

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(self._visibility_s / 3):
            with self._lock:
                handles = list(self._taken)
            for handle in handles:
                self._show(handle, self._visibility_s)

    def _show_again(self) -> None:
        with self._lock:
            handles, self._taken = list(self._taken), {}
        for handle in handles:
            self._show(handle, 0)

    def _show(self, handle: str, after_s: int) -> None:
        """Let others see a message after so many seconds."""
        try:
            with queue_errors(self._url):
                self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=handle, VisibilityTimeout=after_s)
        except StoreError as error:  # deleted meanwhile; or, at worst, somebody does it twice, which does no harm
            logger.debug("visibility of a dead letter was not changed: %s", error)

    def receive(self, limit: int, *, skip: Container[str] = (), parked: bool = False) -> list[Held]:
        """Take letters, first from the queue. They come back to it `visibility_s` after the last renewal unless deleted."""
        while messages := self._receive(min(limit, _BATCH), self._visibility_s):
            found = [held for held in messages if held.letter.id not in skip and (parked or not held.parked)]
            if found:
                return found
        return self._blobs.receive(limit, skip=skip, parked=parked) if self._blobs is not None else []

    def _receive(self, limit: int, visibility_s: int) -> list[Held]:
        answer = self._ask(
            "receive_message",
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=_WAIT_S,
            VisibilityTimeout=visibility_s,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        messages = answer.get("Messages", ())
        with self._lock:
            self._taken.update(dict.fromkeys(message["ReceiptHandle"] for message in messages))
        return [self._held(message) for message in messages]

    def _held(self, message: dict[str, Any]) -> Held:
        attributes, body = message.get("MessageAttributes", {}), message["Body"]
        text: str | bytes = body
        if _POINTER in attributes and self._overflow is not None:
            with suppress(NotFound):  # then the letter is about the pointer
                text = self._overflow.get(body)
        letter = DeadLetter.from_json(text, id=message["MessageId"])
        if letter.id == message["MessageId"]:
            sent_ms = int(message.get("Attributes", {}).get("SentTimestamp", 0))
            told = attributes.get("ErrorMessage", {}).get("StringValue")  # Lambda, of asynchronous invocations
            letter = replace(letter, message=told or letter.message, first_failed_ms=sent_ms, last_failed_ms=sent_ms)
        return Held(letter, message["ReceiptHandle"], parked=_PARKED in attributes)

    def _ask(self, operation: str, **arguments: Any) -> Any:
        with queue_errors(self._url):
            return self._call(lambda: getattr(self._sqs, operation)(QueueUrl=self._url, **arguments))

    def list(self) -> Iterator[Held]:
        """Show what the queue gives within a few polls, and let others see it again at once; then what is in the bucket."""
        seen: set[str] = set()
        try:
            while fresh := [held for held in self._receive(_BATCH, _LIST_S) if held.letter.id not in seen]:
                seen.update(held.letter.id for held in fresh)
                yield from fresh
        finally:
            self._show_again()
        if self._blobs is not None:
            yield from self._blobs.list()


def _is_blob(held: Held) -> bool:
    return held.handle.startswith((PENDING, PARKED))


def _is_large(letter: DeadLetter) -> bool:
    return len(letter.to_json().encode()) > _MAX_BODY


def _shortened(letter: DeadLetter) -> DeadLetter:
    """Cut what may be long."""
    return replace(letter, body=(letter.body or "")[: _MAX_BODY // 8], message=letter.message[: _MAX_BODY // 8])
