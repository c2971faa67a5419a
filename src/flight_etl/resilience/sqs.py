"""Dead letters in SQS. boto3 is imported when a queue is first touched."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from flight_etl.resilience.deadletter import BlobDeadLetters, DeadLetter, Held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.resilience.deadletter import Blobs

__all__ = ["SqsDeadLetters", "client"]

_MAX_BODY: Final = 250_000  # B; SQS takes 1 MiB now, but queues that were set to the older 256 KiB are many
_BATCH: Final = 10  # messages of one receive, the service's own limit
_POINTER: Final = "flight-etl-body-in-bucket"  # attribute of a message whose letter is a blob

_clients: dict[str | None, Any] = {}
_lock = threading.Lock()


def client(region: str | None = None) -> Any:
    """One SQS client for each region, shared by all threads. Its own retries are off: resilience/retry.py is the one layer."""
    with _lock:
        if region not in _clients:
            import boto3
            from botocore.config import Config

            config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
            _clients[region] = boto3.client("sqs", region_name=region, config=config)
        return _clients[region]


class SqsDeadLetters:
    """Letters as messages of the queue `url`; a letter too large for one goes to `overflow`, and the message names it."""

    def __init__(self, url: str, *, sqs: Any, overflow: Blobs | None = None, visibility_s: int = 300) -> None:
        self._url, self._sqs, self._overflow, self._visibility_s = url, sqs, overflow, visibility_s
        self._parked = BlobDeadLetters(overflow) if overflow is not None else None

    def send(self, letter: DeadLetter) -> None:
        """Send a letter, or a pointer to it where it is too large."""
        body = letter.to_json()
        attributes: dict[str, Any] = {}
        if len(body.encode()) > _MAX_BODY:
            if self._overflow is None:
                body = self._shortened(letter).to_json()
            else:
                name = f"bodies/{letter.id}.json"
                self._overflow.put(name, body.encode())
                body, attributes = name, {_POINTER: {"DataType": "String", "StringValue": "1"}}
        self._sqs.send_message(QueueUrl=self._url, MessageBody=body, MessageAttributes=attributes)

    @staticmethod
    def _shortened(letter: DeadLetter) -> DeadLetter:
        """Cut what may be long; the object, which is what counts, stays named."""
        from dataclasses import replace

        return replace(letter, body=(letter.body or "")[: _MAX_BODY // 8], message=letter.message[: _MAX_BODY // 8])

    def receive(self, limit: int) -> list[Held]:
        """Take letters; they come back to the queue after `visibility_s` unless deleted."""
        return self._receive(limit, self._visibility_s)

    def _receive(self, limit: int, visibility_s: int) -> list[Held]:
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(limit, _BATCH),
            WaitTimeSeconds=1,
            VisibilityTimeout=visibility_s,
            MessageAttributeNames=[_POINTER],
        )
        return [self._held(message) for message in answer.get("Messages", ())]

    def _held(self, message: dict[str, Any]) -> Held:
        body = message["Body"]
        if _POINTER in message.get("MessageAttributes", {}) and self._overflow is not None:
            return Held(DeadLetter.from_json(self._overflow.get(body)), message["ReceiptHandle"])
        return Held(DeadLetter.from_json(body), message["ReceiptHandle"])

    def delete(self, held: Held) -> None:
        """Delete a message, and the blob that it pointed to."""
        if held.parked and self._parked is not None:
            self._parked.delete(held)
            return
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=held.handle)
        if self._overflow is not None:
            self._overflow.delete(f"bodies/{held.letter.id}.json")

    def put_back(self, held: Held, letter: DeadLetter, *, park: bool) -> None:
        """Send the new state, or park it among the blobs, before the old message goes."""
        if park and self._overflow is not None:
            self._overflow.put(f"parked/{letter.id}.json", letter.to_json().encode())
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=held.handle)
            return
        self.send(letter)
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=held.handle)

    def list(self) -> Iterator[Held]:
        """Show what the queue gives within a few polls, and let others see it again at once."""
        seen: dict[str, Held] = {}
        try:
            while True:
                fresh = {held.letter.id: held for held in self._receive(_BATCH, 30) if held.letter.id not in seen}
                seen.update(fresh)
                yield from fresh.values()
                if not fresh:
                    break
        finally:
            for held in seen.values():
                self._sqs.change_message_visibility(QueueUrl=self._url, ReceiptHandle=held.handle, VisibilityTimeout=0)
        if self._parked is not None:
            yield from (held for held in self._parked.list() if held.parked)
