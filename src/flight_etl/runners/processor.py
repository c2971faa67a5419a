"""Events worked on, whoever delivers them: every object done, put into the dead-letter queue, or given back."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import ErrorType, InputError, Place, Unavailable
from flight_etl.resilience.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen
from flight_etl.resilience.classify import ErrorClassifier
from flight_etl.resilience.deadletter import DeadLetterConfig
from flight_etl.resilience.replay import ReplayLimits, replay
from flight_etl.resilience.retry import RetryConfig, resilient
from flight_etl.runners.deadline import Deadline, OutOfTimeError
from flight_etl.runners.events import messages
from flight_etl.runners.letters import letter_for, letters_of, now_ms, objects_of
from flight_etl.runners.memory import MemoryWatch
from flight_etl.runners.objects import Result, check_places, process_object
from flight_etl.runners.remembered import FORGETFUL, Remembered
from flight_etl.runners.tuning import TUNING
from flight_etl.settings_rules import override
from flight_etl.store.object_failures import Conflict
from flight_etl.store.objects import Pool, Timeouts
from flight_etl.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.resilience.deadletter import DeadLetter, DeadLetters
    from flight_etl.resilience.replay import Replay
    from flight_etl.runners.events import Message, ObjectRef
    from flight_etl.runners.tuning import Tuning
    from flight_etl.settings import Settings

__all__ = ["Delivery", "Processor"]

_FAILURES_IN_A_ROW: Final = 10  # of a store that is down; one that refuses every third request has so many never
_MOST_WAITS: Final = 2  # for an open breaker, in one event
_LEAST_WAIT_S: Final = 0.1  # s, while the probe is under way
_GIVEN_BACK: Final = frozenset({ErrorType.TRANSIENT, ErrorType.THROTTLING, ErrorType.RESOURCE, ErrorType.UNKNOWN})

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivery:
    """What became of one event: results by object, letters written, and the messages that must come again."""

    results: list[Result] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)  # message ids, in order
    undone: list[BaseException] = field(default_factory=list)  # of direct events: neither done nor in the queue
    waits: int = 0  # for an open breaker


def _is_untried(error: BaseException) -> bool:
    """Whether an object had no chance: others had taken the time, or the breaker is open."""
    return isinstance(error, CircuitOpen) or (isinstance(error, OutOfTimeError) and not error.had_all)


class Processor:
    """Keeps what outlives an event: clients, breakers, statistics. One for each process; not for several threads at once."""

    def __init__(
        self,
        settings: Settings,
        *,
        telemetry: Telemetry | None = None,
        classifier: ErrorClassifier | None = None,
        memory_bound_mb: float | None = None,
        breaker: CircuitBreakerConfig | None = None,
        dead_letters: DeadLetterConfig | None = None,
        tuning: Tuning = TUNING,
    ) -> None:
        check_places(settings)
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self.classifier = classifier or ErrorClassifier()
        self.tuning = tuning
        self.memory = MemoryWatch(settings.decode.chunk_rows, told=self.telemetry.memory_pressure, relieves=tuning.relieve_memory)
        self.memory_bound_mb = memory_bound_mb
        chosen = breaker or CircuitBreakerConfig(failure_threshold=_FAILURES_IN_A_ROW)
        self.breaker = CircuitBreaker("s3", chosen, classifier=self.classifier)
        self.queue_breaker = CircuitBreaker("sqs", chosen, classifier=self.classifier)
        scratch = settings.resources.spill_dir
        self.remembered = Remembered(tuning.cache_entries, scratch=scratch) if settings.service.caching else None
        self.pool = self._new_pool()
        self.probes = Pool(timeouts=Timeouts(connect_s=0.5, idle_s=0.5))  # for the health check: asked once, and no breaker
        self.statistics = {"done": 0, "dead": 0, "given_back": 0}
        self._deadline = Deadline()
        self._replayed = Delivery()  # counts the waits of one replay
        self._dead_letters = dead_letters or DeadLetterConfig()
        self._letters: DeadLetters | None = None

    @property
    def memory_bound_mb(self) -> float | None:
        """MB of RSS that the process may have."""
        return self.memory.bound_mb

    @memory_bound_mb.setter
    def memory_bound_mb(self, bound_mb: float | None) -> None:
        """Watch memory against this bound from now on, if it is to be watched at all."""
        self.memory.bound_mb = bound_mb if self.tuning.watch_memory else None

    # -- one request, one object -------------------------------------------------------------------------------------

    def _new_pool(self) -> Pool:
        return Pool(self._call, cache=self.remembered.objects if self.remembered is not None else None)

    def _call(self, function: Callable[[], Any], /) -> Any:
        """Make one request to a store, again where that may help: the one retry layer."""
        return self._tried(function, self.breaker)

    def _ask_queue(self, function: Callable[[], Any], /) -> Any:
        """Make one request to the queue of dead letters, likewise."""
        return self._tried(function, self.queue_breaker)

    def _tried(self, function: Callable[[], Any], guard: CircuitBreaker) -> Any:
        service = self.settings.service
        config = RetryConfig(max_attempts=service.max_retries + 1, remaining_s=self._deadline.remaining_s)
        breaker = guard if service.circuit_breaker else None
        guarded = resilient(config=config, breaker=breaker, use_circuit_breaker=False, classifier=self.classifier)
        return guarded(function)()

    @property
    def letters(self) -> DeadLetters:
        """The dead-letter queue, opened when it is first needed."""
        if self._letters is None:
            self._letters = letters_of(self.settings, self.pool, self._dead_letters, call=self._ask_queue)
        return self._letters

    def process(self, ref: ObjectRef) -> Result:
        """Do one object; after a failure for want of memory once more, with smaller chunks. Raises what it fails with.

        OutOfTimeError when the caller's time is too short to begin it, or to go on with it.
        """
        between = self._deadline.watch(str(ref))
        self.tuning.before_object()
        self.memory.look()
        try:
            result = self._process(ref, between)
        except MemoryError:
            self.memory.relieve()
            result = self._process(ref, between)
        except Conflict:  # overwritten while it was read: what is there now is read from its beginning
            result = self._process(ref, between)
        if result.report is not None:
            self.telemetry.converted(result.source, result.report)
        return result

    def _patiently(self, ref: ObjectRef, delivery: Delivery) -> Result:
        """Do one object; where the breaker refuses it, wait until it lets a probe through, within the caller's time."""
        while True:
            try:
                return self.process(ref)
            except CircuitOpen as refused:
                wait_s = max(refused.retry_after_s, _LEAST_WAIT_S)
                if delivery.waits >= _MOST_WAITS or wait_s + self._deadline.reserve_s > self._deadline.left_s:
                    raise
                delivery.waits += 1
                time.sleep(wait_s)

    def _process(self, ref: ObjectRef, between: Callable[[], None]) -> Result:
        settings = override(self.settings, "decode", "chunk_rows", self.memory.chunk_rows)
        pooling = self.settings.service.caching and self.tuning.pooling
        means = self.remembered.means if self.remembered is not None else FORGETFUL
        return process_object(
            ref,
            settings,
            self.pool if pooling else self._new_pool(),
            started=self.telemetry.started,
            scratch=settings.resources.spill_dir,
            means=replace(means, between=between, is_short=self.memory.look, piece_rows=lambda: self.memory.chunk_rows),
        )

    # -- one event ---------------------------------------------------------------------------------------------------

    def deliver(self, event: Any, *, remaining_s: Callable[[], float] | None = None) -> Delivery:
        """Work on all objects of an event, within the caller's deadline."""
        self._deadline = Deadline.begun(remaining_s)
        delivery = Delivery()
        for message in messages(event):
            self._message(message, delivery)
        self.telemetry.finished(len(delivery.results), len(delivery.dead) + len(delivery.again) + len(delivery.undone))
        return delivery

    def give_up(self, event: Any, why: str) -> Delivery:
        """Write dead letters for all objects of an event, without another try."""
        delivery = Delivery()
        for message in messages(event):
            failures: list[BaseException] = []
            for ref in message.objects:
                error = Unavailable(why, place=Place(str(ref)))
                self._bury(letter_for(ref, error, attempts=message.attempts), error, delivery, failures)
            for part in message.unreadable:
                error = Unavailable(why)
                self._bury(letter_for(None, error, body=part.body, attempts=message.attempts), error, delivery, failures)
            self._account(message, failures, delivery)
        return delivery

    def _message(self, message: Message, delivery: Delivery) -> None:
        delivery.ignored += message.ignored
        failures: list[BaseException] = []
        for part in message.unreadable:
            error = InputError(part.why)
            self.telemetry.failed("event", error)
            self._bury(letter_for(None, error, body=part.body, attempts=message.attempts), error, delivery, failures)
        for ref in message.objects:
            try:
                result = self._patiently(ref, delivery)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other objects go on
                self.telemetry.failed(str(ref), error)
                self._failed(ref, error, message, delivery, failures)
            else:
                self.statistics["done"] += 1
                delivery.results.append(result)
        self._account(message, failures, delivery)

    def _account(self, message: Message, failures: list[BaseException], delivery: Delivery) -> None:
        """Note what of a message is neither done nor buried."""
        if failures and message.message_id is not None:
            self.statistics["given_back"] += 1
            delivery.again.append(message.message_id)
        else:
            delivery.undone += failures

    def _failed(
        self, ref: ObjectRef, error: Exception, message: Message, delivery: Delivery, failures: list[BaseException]
    ) -> None:
        """Bury what will never succeed; what may succeed goes back to its queue, if it has one and tries are left.

        What was given too little time goes back wherever it came from: it is the others in the event that took it. So does what
        an open breaker refused, however often: it has not been tried, and a store that is down would bury all there is.
        """
        kind = self.classifier.classify_error(error)
        tries = message.attempts <= self.settings.service.max_retries
        if _is_untried(error) or (message.message_id is not None and kind in _GIVEN_BACK and tries):
            failures.append(error)
        else:
            self._bury(letter_for(ref, error, attempts=message.attempts), error, delivery, failures)

    def _bury(self, letter: DeadLetter, error: BaseException, delivery: Delivery, failures: list[BaseException]) -> None:
        """Write a dead letter; where that fails too, the failure stays with the message."""
        try:
            self.letters.send(letter)
        except Exception as again:  # noqa: BLE001 - both ways are closed: the caller must know
            told = letter.key or letter.id
            logger.error("Dead letter for %s could not be written: %s", told, again)  # noqa: TRY400 - told in one line
            failures.append(error)
        else:
            self.statistics["dead"] += 1
            delivery.dead.append(letter.id)

    # -- dead letters ------------------------------------------------------------------------------------------------

    def process_dead_letters(
        self,
        *,
        max_records: int,
        remaining_s: Callable[[], float] | None = None,
        dry_run: bool = False,
        parked: bool = False,
        work: Callable[[DeadLetter], Any] | None = None,
    ) -> Replay:
        """Do the work of dead letters again, parked ones too if asked to. `work` replaces what is done for each."""
        self._deadline = deadline = Deadline.begun(remaining_s)
        self._replayed = Delivery()
        limits = ReplayLimits(
            max_records=max_records,
            max_attempts=self._dead_letters.max_attempts,
            remaining_s=remaining_s,
            reserve_s=deadline.reserve_s,
            dry_run=dry_run,
            parked=parked,
            is_untried=_is_untried,
        )

        def classify(error: BaseException) -> str:
            return str(self.classifier.classify_error(error))

        return replay(self.letters, work or self.work_letter, limits, classify=classify, now_ms=now_ms)

    def work_letter(self, letter: DeadLetter) -> None:
        """Do all objects that a dead letter is about. Raises what the first of them fails with."""
        for ref in objects_of(letter):
            self._patiently(ref, self._replayed)
