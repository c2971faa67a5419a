"""The queue worker against an emulator: every message is done, dead-lettered or comes again, whatever fails on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from cloud import Cloud, cloud_at, notification
from faults import Fault, fault_proxy, latency, reset, slow_down
from flight_etl.bench.generate import write
from flight_etl.errors import StoreError
from flight_etl.resilience import sqs as queues
from flight_etl.resilience.breaker import CircuitBreakerConfig, State
from flight_etl.runners.processor import Processor
from flight_etl.runners.queue_worker import QueueTimes, work_queue
from flight_etl.runners.worker import Stop
from flight_etl.settings import from_env
from servers import moto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults import FaultProxy

POISON = b'{"time": 1, "states": [["40621d", "X", "UK", 1, 1, 0'
QUICK = QueueTimes(poll_s=1, visibility_s=30, again_s=1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(endpoint: str) -> Iterator[FaultProxy]:
    """Stands before the buckets."""
    with fault_proxy(endpoint) as found:
        yield found


@pytest.fixture
def cloud(endpoint: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    proxy.forget()
    with cloud_at(endpoint) as found:
        for name, value in {**found.environment, "AWS_ENDPOINT_URL_S3": proxy.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(queues, "_clients", {})  # clients are for one endpoint
        yield found


@pytest.fixture
def events(cloud: Cloud) -> str:
    return str(cloud.sqs.create_queue(QueueName=f"events-{cloud.raw}")["QueueUrl"])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], bytes]:
    """Give a small recording, another one for each seed."""
    folder: Path = tmp_path_factory.mktemp("recordings")

    def made(seed: int, rows: int = 150) -> bytes:
        path = folder / f"{seed}-{rows}.json"
        if not path.exists():
            write(path, rows, layout="readsb", seed=seed)
        return path.read_bytes()

    return made


def _send(cloud: Cloud, events: str, *keys: str) -> None:
    for key in keys:
        cloud.sqs.send_message(QueueUrl=events, MessageBody=json.dumps(notification(cloud, key)))


def _waiting(cloud: Cloud, queue: str) -> int:
    """Messages in a queue, hidden ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(map(int, cloud.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))


def _client(proxy: FaultProxy) -> Any:
    """Give a client that tries nothing twice by itself, as ours does not."""
    return boto3.client("sqs", endpoint_url=proxy.url, config=Config(retries={"total_max_attempts": 1}))


def _comes(condition: Callable[[], object], within_s: float = 180.0) -> bool:
    """Wait until something is the case."""
    until = time.monotonic() + within_s
    while not (found := bool(condition())) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _work(events: str, inputs: int, *, processor: Processor | None = None, sqs: Any = None) -> Processor:
    chosen = processor or Processor(from_env())
    work_queue(chosen, events, sqs or queues.client(), Stop(after=inputs), times=QUICK)
    return chosen


def test_good_messages_are_done_bad_ones_dead_lettered_and_all_deleted(
    cloud: Cloud, events: str, recording: Callable[[int], bytes]
) -> None:
    for number in range(6):
        cloud.put(f"k{number}.json", POISON if number % 3 == 1 else recording(number))
    _send(cloud, events, *(f"k{number}.json" for number in range(6)))
    cloud.sqs.send_message(QueueUrl=events, MessageBody="no event")
    _work(events, 7)
    assert cloud.outputs() == ["k0.json", "k2.json", "k3.json", "k5.json"]
    assert sorted(str(letter["key"]) for letter in cloud.letters()) == ["None", "k1.json", "k4.json"]
    assert _waiting(cloud, events) == 0


def test_a_queue_that_does_not_answer_is_asked_again(
    endpoint: str, cloud: Cloud, events: str, recording: Callable[[int], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    cloud.put("k.json", recording(1))
    _send(cloud, events, "k.json")
    with fault_proxy(endpoint) as before_queue:
        faults = [reset(0), reset(0), slow_down, reset(0)]
        before_queue.rule = lambda request: faults[request.number - 1] if request.number <= len(faults) else None
        _work(events, 1, sqs=_client(before_queue))
    assert cloud.outputs() == ["k.json"]
    assert _waiting(cloud, events) == 0
    assert sum("The queue gives no answer" in line for line in caplog.messages) == len(faults)


def test_a_queue_that_asks_for_a_while_is_not_asked_before_it_is_over(
    endpoint: str, cloud: Cloud, events: str, recording: Callable[[int], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    cloud.put("k.json", recording(1))
    _send(cloud, events, "k.json")
    busy = Fault("status", 503, "RequestThrottled", retry_after_s=3)  # beyond the second of a first wait without it
    with fault_proxy(endpoint) as before_queue:
        before_queue.rule = lambda request: busy if request.number == 1 else None
        _work(events, 1, sqs=_client(before_queue))
    assert any("it is asked again in 3.0 s" in line for line in caplog.messages)
    assert cloud.outputs() == ["k.json"]


def test_a_queue_that_is_not_there_ends_the_worker_and_is_named(cloud: Cloud) -> None:
    with pytest.raises(StoreError, match=rf"^{cloud.queue}-none: cannot receive messages: .*check the URL"):
        _work(f"{cloud.queue}-none", 1)


def test_a_message_that_no_worker_survives_is_dead_lettered_without_another_try(
    cloud: Cloud, proxy: FaultProxy, events: str, recording: Callable[[int], bytes]
) -> None:
    cloud.put("k.json", recording(1))
    _send(cloud, events, "k.json")
    for _ in range(10):
        assert cloud.sqs.receive_message(QueueUrl=events, VisibilityTimeout=0)["Messages"]
    proxy.forget()
    _work(events, 1)
    (letter,) = cloud.letters()
    assert (letter["key"], letter["attempts"]) == ("k.json", 11)
    assert "taken 10 times" in letter["message"]
    assert proxy.requests == []
    assert _waiting(cloud, events) == 0


def test_a_message_that_came_too_late_to_be_begun_is_given_back_at_once(
    cloud: Cloud, events: str, recording: Callable[[int], bytes]
) -> None:
    stop = Stop()
    cloud.put("k.json", recording(1))

    class StoppedMeanwhile:
        """The client, and a signal that comes while it waits."""

        def __getattr__(self, name: str) -> Any:
            stop.set()
            return getattr(cloud.sqs, name)

    _send(cloud, events, "k.json")
    work_queue(Processor(from_env()), events, StoppedMeanwhile(), stop, times=QUICK)
    assert cloud.outputs() == []
    assert len(cloud.sqs.receive_message(QueueUrl=events)["Messages"]) == 1


def test_a_store_that_is_down_buries_nothing(
    cloud: Cloud, proxy: FaultProxy, events: str, recording: Callable[[int], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """However many messages wait, and however long it lasts: the breaker is waited for, and what it refused comes again."""
    keys = [f"k{number}.json" for number in range(8)]
    for number, key in enumerate(keys):
        cloud.put(key, recording(number))
    _send(cloud, events, *keys)
    proxy.forget()
    proxy.rule = lambda _: reset(0) if len(proxy.requests) <= 16 else None
    breaker = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=0.2)
    processor = Processor(from_env(), breaker=breaker)
    stop = Stop()
    worker = threading.Thread(target=work_queue, args=(processor, events, queues.client(), stop), kwargs={"times": QUICK})
    worker.start()
    emptied = _comes(lambda: not _waiting(cloud, events))
    stop.set()
    worker.join()
    assert emptied
    assert cloud.outputs() == keys
    assert cloud.letters() == []
    assert processor.breaker.times_opened >= 10
    assert processor.breaker.state is State.CLOSED
    assert "Circuit breaker 's3' opened due to failures" in caplog.messages


# -- as a process ------------------------------------------------------------------------------------------------------


def _start(events: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "flight_etl.runners.cli", "worker", "--queue", events, "--visibility-s", "5"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))


@pytest.mark.slow
def test_told_to_end_it_finishes_what_it_has_begun_and_keeps_it_hidden_until_then(
    cloud: Cloud, proxy: FaultProxy, events: str, recording: Callable[[int], bytes]
) -> None:
    cloud.put("a.json", recording(1))
    cloud.put("b.json", recording(2))
    writing = threading.Event()

    def rule(request: Any) -> Any:
        if request.method != "PUT":
            return None
        writing.set()
        return latency(9)  # s, beyond the five for which a message is hidden

    proxy.rule = rule
    _send(cloud, events, "a.json")
    process = _start(events)
    try:
        assert writing.wait(60)
        process.send_signal(signal.SIGTERM)
        time.sleep(7)
        assert "Messages" not in cloud.sqs.receive_message(QueueUrl=events)
        _send(cloud, events, "b.json")
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, told.decode()
    assert cloud.outputs() == ["a.json"]
    assert _waiting(cloud, events) == 1  # the one that came after the signal
    assert "Conversion completed: " in told.decode()


LIVES = 50


@pytest.mark.kill
def test_killed_at_fifty_random_moments_every_input_is_there_exactly_once(
    cloud: Cloud, proxy: FaultProxy, events: str, recording: Callable[..., bytes]
) -> None:
    """Whole, the same bytes as undisturbed, nothing left in the queue, no letter, no upload; events come twice, too."""
    contents = [recording(seed, 1_200) for seed in range(6)]
    for number, content in enumerate(contents):
        cloud.put(f"undisturbed/{number}", content)
    Processor(from_env()).deliver(notification(cloud, *(f"undisturbed/{number}" for number in range(len(contents)))))
    wanted = {f"k{number}": cloud.output(f"undisturbed/{number % len(contents)}") for number in range(4 * LIVES)}
    for number, key in enumerate(wanted):
        cloud.put(key, contents[number % len(contents)])
    chance, coming = random.Random(7), iter(wanted)
    for life in range(LIVES):
        new = [next(coming) for _ in range(4)]
        _send(cloud, events, *new, chance.choice(new))
        proxy.forget()
        process = _start(events)
        if life % 2:  # some time after it has begun to work, however slowly it starts; otherwise at any time
            assert _comes(lambda: proxy.requests)
        time.sleep(chance.uniform(0.0, 0.8 if life % 2 else 1.6))
        process.kill()
        process.communicate()
    last = _start(events)
    assert _comes(lambda: not _waiting(cloud, events))
    last.send_signal(signal.SIGTERM)
    last.communicate(timeout=60)
    assert {key: cloud.output(key) for key in cloud.outputs() if key in wanted} == wanted
    assert len(cloud.outputs()) == len(wanted) + len(contents)
    assert cloud.letters() == []
    for bucket in (cloud.raw, cloud.out, cloud.err):
        assert "Uploads" not in cloud.s3.list_multipart_uploads(Bucket=bucket)
