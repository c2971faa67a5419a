"""The handler's processor where every third request fails, where rights are missing, and where letters wait in numbers."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from cloud import Cloud, cloud_at, notification, sqs_event
from faults import Fault, lost, reset, short, slow_down, storm, too_many
from flight_etl.bench.generate import write
from flight_etl.errors import Denied
from flight_etl.resilience import sqs as queues
from flight_etl.resilience.breaker import CircuitBreakerConfig, State
from flight_etl.runners.processor import Processor
from flight_etl.settings import from_env

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Server

STORM = [
    *(slow_down, too_many, Fault("status", 500, "InternalError"), Fault("status", 502), Fault("status", 504)),
    *(reset(0), reset(700), short(900), lost()),
]
RETRIES = 3
SANDBOXES = 8


@pytest.fixture
def cloud(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Buckets behind the proxy; the tests' own requests go past it."""
    s3_server.faults.forget()
    target = s3_server.faults.target
    with cloud_at(target, queues=s3_server.kind == "moto", credentials=s3_server.credentials) as found:
        for name, value in {**found.environment, **s3_server.environment, "MAX_RETRIES": str(RETRIES)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(queues, "_clients", {})  # clients are for one endpoint
        yield found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("recordings") / "a.json"
    write(path, 40, layout="readsb", seed=1)
    return path.read_bytes()


class _Queue:
    """What SQS does with a batch of one: what is given back comes again, a little older."""

    def __init__(self, cloud: Cloud, keys: list[str]) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
        self._waiting = [(key, 1) for key in keys]
        self.deliveries: Counter[str] = Counter()

    def work(self, processor: Processor) -> None:
        """Take messages until there is none."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                key, attempts = self._waiting.pop(0)
                self.deliveries[key] += 1
            if processor.deliver(sqs_event(notification(self._cloud, key), attempts=attempts)).again:
                with self._lock:
                    self._waiting.append((key, attempts + 1))


@pytest.mark.slow
def test_with_three_of_ten_requests_failing_all_objects_arrive_and_no_storm_of_requests_follows(
    cloud: Cloud, s3_server: Server, recording: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Throttled, broken off, cut short, unanswered: 1 / 0.7 = 1.43 requests for each one needed, and not twice as many."""
    faults = s3_server.faults
    keys = [f"k{number:03d}" for number in range(100)]
    for key in (*keys, "calm"):
        cloud.put(key, recording)
    faults.forget()
    Processor(from_env()).deliver(notification(cloud, "calm"))
    needed = len(faults.requests)
    assert needed == 4  # look at the input and at its output, read, write
    faults.forget()
    faults.rule = storm(0.3, STORM, seed=20)
    queue = _Queue(cloud, keys)
    breaker = CircuitBreakerConfig(failure_threshold=5, recovery_timeout=0.5)
    sandboxes = [Processor(from_env(), breaker=breaker) for _ in range(SANDBOXES)]
    with ThreadPoolExecutor(SANDBOXES) as pool:
        list(pool.map(queue.work, sandboxes))
    asked = Counter((request.method, request.path, request.query) for request in faults.requests)
    made = len(faults.requests)
    faults.forget()
    calm = cloud.output("calm")
    assert cloud.outputs() == ["calm", *keys]
    assert all(cloud.output(key) == calm for key in keys)
    assert cloud.letters() == []
    assert made < 2 * needed * len(keys)
    assert max(asked.values()) <= 2 * (RETRIES + 1) * max(queue.deliveries.values())  # a body may be taken up again, too
    opened = sum(sandbox.breaker.times_opened for sandbox in sandboxes)
    assert caplog.messages.count("Circuit breaker 's3' opened due to failures") == opened
    assert {sandbox.breaker.state for sandbox in sandboxes} <= {State.CLOSED, State.HALF_OPEN}


@pytest.mark.parametrize(
    ("operation", "fault", "advice"),
    [
        ("HeadObject", Fault("status", 403, "AccessDenied"), "check the credentials and the permissions"),
        ("GetObject", Fault("status", 403, "AccessDenied"), "the object and its key"),  # S3 says so of a KMS key, too
        ("GetObject", Fault("status", 403, "InvalidObjectState"), "the object is archived; restore it first"),
        ("PutObject", Fault("status", 403, "AccessDenied"), "check the credentials and the permissions"),
    ],
    ids=["look", "key", "archived", "write"],
)
def test_a_refusal_is_one_request_for_each_object_and_never_opens_the_breaker(
    cloud: Cloud, s3_server: Server, recording: bytes, operation: str, fault: Fault, advice: str
) -> None:
    faults = s3_server.faults
    keys = [f"k{number:02d}" for number in range(12)]
    for key in keys:
        cloud.put(key, recording)
    faults.forget()
    faults.rule = lambda request: fault if request.operation == operation and "dead-letters" not in request.path else None
    processor = Processor(from_env())
    delivery = processor.deliver(sqs_event(*(notification(cloud, key) for key in keys)))
    refused = [request for request in faults.requests if request.operation == operation and "dead-letters" not in request.path]
    faults.forget()
    assert len(refused) == len(keys)
    assert (delivery.again, len(delivery.dead)) == ([], len(keys))
    assert processor.breaker.state is State.CLOSED
    assert processor.breaker.times_opened == 0
    letters = cloud.letters()
    assert {(one["error_class"], one["error_type"], one["attempts"]) for one in letters} == {("Denied", "permanent", 1)}
    assert all(advice in one["message"] for one in letters)


@pytest.mark.ceph
def test_a_wrong_secret_is_told_as_such_and_taken_for_no_outage(
    ceph_server: Server, monkeypatch: pytest.MonkeyPatch, recording: bytes
) -> None:
    """Only a real server looks at signatures."""
    server = ceph_server
    server.faults.forget()
    with cloud_at(server.faults.target, queues=False, credentials=server.credentials) as cloud:
        cloud.put("k", recording)
        for name, value in {**cloud.environment, **server.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}.items():
            monkeypatch.setenv(name, value)
        processor = Processor(from_env())
        with pytest.raises(Denied, match=r"cannot read: the secret key is wrong; check AWS_SECRET_ACCESS_KEY"):
            processor.pool.open(f"s3://{cloud.raw}/k")[0].read("k")
        assert len(server.faults.requests) == 1
        assert processor.breaker.times_opened == 0


@pytest.mark.slow
def test_a_hundred_letters_are_replayed_and_none_is_left(cloud: Cloud, recording: bytes) -> None:
    keys = [f"k{number:03d}" for number in range(100)]
    for key in keys:
        cloud.put(key, b'{"now": 1, "aircraft": [{"hex": "40')
    processor = Processor(from_env())
    assert len(processor.deliver(notification(cloud, *keys)).dead) == 100
    for key in keys:
        cloud.put(key, recording)
    done = processor.process_dead_letters(max_records=1_000)
    assert (done.reprocessed, done.failed, done.left) == (100, 0, False)
    assert cloud.outputs() == keys
    assert cloud.letters() == []
