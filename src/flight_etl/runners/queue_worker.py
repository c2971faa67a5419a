"""A worker on an SQS queue of events: one message after another, until it is told to stop.

One object at a time has all of MAX_WORKERS and of the memory limit; for more at once, start more workers: SQS shares the
messages out between them, and what two of them do twice comes out once (docs/adr/0010).
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import Place, StoreError
from flight_etl.resilience.classify import classify_error
from flight_etl.resilience.retry import RetryConfig, resilient, retry_after_s, wait_s
from flight_etl.runners.scratch import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flight_etl.runners.processor import Processor
    from flight_etl.runners.worker import Stop

__all__ = ["QueueTimes", "work_queue"]

_MOST_AGAIN_S: Final = 900  # s
_MOST_RECEIVES: Final = 10  # times that a message is taken; one that ends the worker itself would come for ever
_RETRIES: Final = RetryConfig(max_attempts=4)  # of what is said about a message; unsaid, it only comes again
_PATIENCE: Final = RetryConfig(max_attempts=1 << 30, max_delay=30.0)  # with a queue that gives no answer
_MOST_DOUBLED: Final = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueTimes:
    """How long a queue is waited for, and how long its messages are kept from others; all in whole seconds, as SQS takes them."""

    poll_s: int = 20  # s, the longest long poll of SQS
    visibility_s: int = 120  # s for which a message is hidden, renewed while it is worked on
    again_s: int = 20  # s after which one that was given back comes again; twice as long each time

    def until_again_s(self, receives: int) -> int:
        """Seconds for which a message that was taken so many times stays hidden when it is given back."""
        return int(min(self.again_s * 2 ** min(receives - 1, _MOST_DOUBLED), _MOST_AGAIN_S))


def work_queue(processor: Processor, queue_url: str, sqs: Any, stop: Stop, *, times: QueueTimes | None = None) -> None:
    """Receive messages, do their objects, and delete each message whose objects are done or dead-lettered.

    A queue that does not answer is asked again, ever more slowly. While the breaker is open no message is taken, since it could
    only be given back. Raises StoreError when the queue refuses us or does not exist.
    """
    sweep(processor.settings.resources.spill_dir)  # what a worker that was killed left there
    queue = _Queue(queue_url, sqs, times or QueueTimes())
    failures = 0
    while not stop:
        if (closed_s := processor.breaker.wait_s) > 0:
            stop.wait(closed_s)
            continue
        try:
            taken = queue.receive()
        except Exception as error:
            failures += 1
            pause_s = wait_s(classify_error(error), min(failures, _MOST_DOUBLED), _PATIENCE, asked_s=retry_after_s(error))
            if pause_s is None:
                raise StoreError(
                    f"cannot receive messages: {error}; check the URL and the rights", place=Place(queue_url)
                ) from error
            logger.warning("The queue gives no answer; it is asked again in %.1f s: %s", pause_s, error)
            stop.wait(pause_s)
            continue
        failures = 0
        for message in taken:
            if stop:  # told so while it was waited for: somebody else may have it at once
                queue.give_back(message, 0)
                return
            _work(processor, queue, message)
            stop.count()


def _work(processor: Processor, queue: _Queue, message: dict[str, Any]) -> None:
    attributes = message.get("Attributes", {})
    receives = int(attributes.get("ApproximateReceiveCount", 1))
    record = {
        "eventSource": "aws:sqs",
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": attributes,
    }
    with queue.hidden(message):
        if receives > max(_MOST_RECEIVES, processor.settings.service.max_retries + 1):
            delivery = processor.give_up({"Records": [record]}, f"taken {receives - 1} times, and no worker came to its end")
        else:
            delivery = processor.deliver({"Records": [record]})
    if delivery.again:
        queue.give_back(message, queue.times.until_again_s(receives))
    else:
        queue.delete(message)


@dataclass(frozen=True, slots=True)
class _Queue:
    """An SQS queue, asked again where that may help."""

    url: str
    sqs: Any
    times: QueueTimes

    def receive(self) -> list[dict[str, Any]]:
        """Wait for a message; none when there is none for a while. Raises what the client raises."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=self.times.poll_s,
            VisibilityTimeout=self.times.visibility_s,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return list(answer.get("Messages", ()))

    def delete(self, message: dict[str, Any]) -> None:
        """Forget a message that is done."""
        handle = message["ReceiptHandle"]
        self._say("deleted", lambda: self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=handle))

    def give_back(self, message: dict[str, Any], seconds: int) -> None:
        """Let a message come again after so many seconds."""
        self._say("given back", lambda: self._hide(message, seconds))

    @contextmanager
    def hidden(self, message: dict[str, Any]) -> Iterator[None]:
        """Keep a message hidden from others while it is worked on."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self.times.visibility_s / 3):
                self._say("kept hidden", lambda: self._hide(message, self.times.visibility_s))

        thread = threading.Thread(target=renew, name="visibility", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _hide(self, message: dict[str, Any], seconds: int) -> None:
        self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds)

    @staticmethod
    def _say(what: str, request: Callable[[], Any]) -> None:
        """Make a request about a message. Where it fails the message comes again, which changes nothing that was done."""
        try:
            resilient(config=_RETRIES, use_circuit_breaker=False)(request)()
        except Exception as error:  # noqa: BLE001 - whatever it is
            logger.warning("A message could not be %s, and will come again: %s", what, error)
