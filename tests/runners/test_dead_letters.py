"""Dead letters in SQS, in a bucket and in a folder, replayed by the processor and by the command line."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from faults import Fault, denied
from flight_etl.bench.generate import write
from flight_etl.errors import StoreError
from flight_etl.resilience import sqs as queues
from flight_etl.resilience.deadletter import BlobDeadLetters, DeadLetter, FolderBlobs
from flight_etl.resilience.replay import ReplayLimits, replay
from flight_etl.resilience.sqs import SqsDeadLetters, client
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from flight_etl.runners.letters import about, objects_of
from flight_etl.runners.worker import FolderWorker, Stop
from flight_etl.settings import Settings
from servers import fresh_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Command
    from faults import Request
    from flight_etl.resilience.deadletter import Blobs
    from flight_etl.resilience.replay import Replay
    from servers import S3, Server

POISON = b'{"time": 1, "states": [["40621d", "X", "UK", 1, 1, 0'
QUEUE_DOWN = Fault("status", 503, "ServiceUnavailable")


@dataclass
class Queue:
    """A queue behind the fault proxy, and a client that goes round the proxy to look at it."""

    url: str
    outside: Any

    def send(self, body: str, **attributes: str) -> None:
        marks = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        self.outside.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=marks)

    def counts(self) -> tuple[int, int]:
        """Messages that are visible and that are hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.outside.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def letters(self, **options: Any) -> SqsDeadLetters:
        return SqsDeadLetters(self.url, sqs=client("us-east-1"), **options)


@pytest.fixture
def s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> S3:
    """A fresh bucket of a server that has queues too."""
    return fresh_bucket(moto_server, monkeypatch)


@pytest.fixture
def queue(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setattr(queues, "_clients", {})
    outside = boto3.client("sqs", region_name="us-east-1", endpoint_url=s3.faults.target)
    url = outside.create_queue(QueueName=f"dlq-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    yield Queue(url, outside)
    outside.delete_queue(QueueUrl=url)
    outside.close()


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "overflow")


@pytest.fixture
def processor(s3: S3, queue: Queue) -> OptimizedETLProcessor:
    environ = {"INPUT_BUCKET": s3.name, "DLQ_QUEUE_URL": queue.url, "MAX_RETRIES": "0", "MAX_WORKERS": "1"}
    return OptimizedETLProcessor(ETLConfig.from_env(environ))


def event(s3: S3, *keys: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": s3.name}, "object": {"key": key}},
            }
            for key in keys
        ]
    }


def recording(tmp_path: Path) -> bytes:
    write(tmp_path / "sample.json", 200, layout="opensky")
    return (tmp_path / "sample.json").read_bytes()


def again(letters: SqsDeadLetters | BlobDeadLetters, work: Callable[[DeadLetter], object], **limits: Any) -> Replay:
    return replay(letters, work, ReplayLimits(**limits), classify=lambda _: "permanent", now_ms=lambda: 99)


def never(_: DeadLetter) -> None:
    raise ValueError("never")


@pytest.mark.parametrize("with_bucket", [True, False])
def test_a_letter_that_failed_too_often_is_parked_in_a_queue_too(queue: Queue, blobs: FolderBlobs, *, with_bucket: bool) -> None:
    letters = queue.letters(overflow=blobs if with_bucket else None)
    letters.send(DeadLetter(bucket="b", key="k", attempts=4))
    assert again(letters, never, max_attempts=5).parked == 1
    (held,) = letters.list()
    assert (held.parked, held.letter.attempts, held.letter.message) == (True, 5, "never")
    tried: list[str] = []
    assert again(letters, lambda letter: tried.append(letter.id)).reprocessed == 0
    assert tried == []
    assert queue.counts() == ((0, 0) if with_bucket else (1, 0))  # and nobody else waits for what was only looked at
    assert again(letters, lambda letter: tried.append(letter.id), parked=True).reprocessed == 1
    assert (tried, list(letters.list())) == ([held.letter.id], [])


def test_letters_that_fail_hold_up_none_behind_them(queue: Queue) -> None:
    letters = queue.letters()
    for number in range(25):
        letters.send(DeadLetter(id=f"{number:02d}", bucket="b", key=f"k{number}"))
    tried: list[str] = []

    def work(letter: DeadLetter) -> None:
        tried.append(letter.id)
        if int(letter.id) % 2:
            never(letter)

    done = again(letters, work, max_records=100)
    assert (done.reprocessed, done.failed, sorted(tried)) == (13, 12, [f"{n:02d}" for n in range(25)])
    assert queue.counts() == (12, 0)


def test_parked_letters_in_a_queue_hold_up_none_behind_them(queue: Queue) -> None:
    letters = queue.letters()
    for number in range(15):
        letters.send(DeadLetter(id=f"old{number}", bucket="b", key="k"))
    assert again(letters, never, max_records=20, max_attempts=1).parked == 15
    letters.send(DeadLetter(id="new", bucket="b", key="k"))
    tried: list[str] = []
    assert again(letters, lambda letter: tried.append(letter.id), max_records=20).reprocessed == 1
    assert tried == ["new"]
    assert queue.counts() == (15, 0)


def test_what_a_deadline_leaves_undone_is_visible_at_once(queue: Queue) -> None:
    letters = queue.letters()
    for number in range(5):
        letters.send(DeadLetter(id=str(number), bucket="b", key="k"))
    left = iter((100.0, 100.0, 10.0))
    done = again(letters, lambda _: None, remaining_s=lambda: next(left), reserve_s=30.0)
    assert (done.reprocessed, done.left) == (2, True)
    assert queue.counts() == (3, 0)


def test_a_slow_letter_stays_hidden_from_others_while_it_is_worked_on(queue: Queue) -> None:
    letters = queue.letters(visibility_s=2)
    letters.send(DeadLetter(bucket="b", key="k"))
    stolen: list[Any] = []

    def slow(_: DeadLetter) -> None:
        # Asks, in long polls, for longer than a message that nobody renews would stay hidden.
        for _ in range(2):
            answer = queue.outside.receive_message(QueueUrl=queue.url, WaitTimeSeconds=2)
            stolen.extend(answer.get("Messages", ()))

    assert again(letters, slow).reprocessed == 1
    assert stolen == []
    assert queue.counts() == (0, 0)


def test_a_letter_goes_to_the_bucket_while_the_queue_is_down_and_is_replayed_from_there(
    s3: S3, queue: Queue, blobs: FolderBlobs
) -> None:
    letters = queue.letters(overflow=blobs)
    s3.faults.rule = lambda _: QUEUE_DOWN
    letters.send(DeadLetter(id="kept", bucket="b", key="k"))
    s3.faults.rule = lambda _: None
    letters.send(DeadLetter(id="queued", bucket="b", key="k"))
    assert [held.letter.id for held in letters.list()] == ["queued", "kept"]
    assert again(letters, never).failed == 2
    assert again(letters, lambda _: None).reprocessed == 2
    assert list(letters.list()) == []


@pytest.mark.parametrize("retries", [0, 2])
def test_a_queue_that_is_down_is_asked_as_often_as_the_setting_says_and_by_one_layer_only(
    s3: S3, queue: Queue, retries: int
) -> None:
    lost = OptimizedETLProcessor(ETLConfig.from_env({"DLQ_QUEUE_URL": queue.url, "MAX_RETRIES": str(retries)})).processor
    s3.faults.forget()
    s3.faults.rule = lambda _: QUEUE_DOWN
    with pytest.raises(StoreError, match="ServiceUnavailable"):
        lost.letters.send(DeadLetter(bucket="b", key="k"))
    assert len(s3.faults.requests) == retries + 1


def test_with_queue_and_bucket_down_the_caller_is_told(s3: S3, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    s3.faults.rule = lambda _: QUEUE_DOWN
    for overflow in (None, FolderBlobs(tmp_path / "file")):
        with pytest.raises(StoreError):
            queue.letters(overflow=overflow).send(DeadLetter(bucket="b", key="k"))


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_event_that_others_moved_to_the_queue_is_done(
    s3: S3, queue: Queue, processor: OptimizedETLProcessor, tmp_path: Path, *, wrapped: bool
) -> None:
    """As SQS redrives it after too many receives, and as a Lambda destination records it."""
    s3.put(**dict.fromkeys(("one.json", "two.json"), recording(tmp_path)))
    moved: Any = event(s3, "one.json", "two.json")
    queue.send(json.dumps({"version": "1.0", "requestPayload": moved} if wrapped else moved))
    assert processor.process_event({"action": "process_dlq"})["records_reprocessed"] == 1
    assert {key for key in s3.objects() if key.endswith(".parquet")} == {
        f"processed/{s3.name}/{name}.json.parquet" for name in ("one", "two")
    }
    assert queue.counts() == (0, 0)


def test_a_moved_event_that_fails_keeps_its_body_and_counts_its_attempts(
    s3: S3, queue: Queue, processor: OptimizedETLProcessor
) -> None:
    s3.put(bad=POISON)
    body = json.dumps(event(s3, "bad"))
    queue.send(body, ErrorMessage="it timed out", ErrorCode="200")
    letters = processor.processor.letters
    (held,) = letters.list()
    assert (held.letter.message, held.letter.body, held.letter.attempts) == ("it timed out", body, 1)
    assert about(held.letter) == f"s3://{s3.name}/bad"
    for attempts in (2, 3):
        answer = processor.process_event({"action": "process_dlq"})
        assert (answer["records_failed"], answer["status"]) == (1, "partial")
        (held,) = letters.list()
        assert (held.letter.body, held.letter.attempts, held.letter.error_class) == (body, attempts, "InputError")


def test_what_nobody_understands_is_neither_lost_nor_in_the_way(
    s3: S3, queue: Queue, processor: OptimizedETLProcessor, tmp_path: Path
) -> None:
    s3.put(good=recording(tmp_path))
    for body in ("nonsense", "{}", '{"Records": [{"who": "knows"}]}'):
        queue.send(body)
    queue.send("bodies/gone.json", **{"flight-etl-body-in-bucket": "1"})
    queue.send(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": s3.name}))  # asks for nothing: done
    processor.processor.letters.send(DeadLetter(bucket=s3.name, key="good"))
    for _ in range(5):
        processor.process_event({"action": "process_dlq", "max_records": 20})
    held = list(processor.processor.letters.list())
    assert all(one.parked for one in held)
    assert {one.letter.body for one in held} == {"nonsense", "{}", '{"Records": [{"who": "knows"}]}', "bodies/gone.json"}
    assert f"processed/{s3.name}/good.parquet" in s3.objects()


def test_a_body_too_large_for_a_message_is_in_the_bucket_until_its_letter_is_done(queue: Queue, blobs: FolderBlobs) -> None:
    letters = queue.letters(overflow=blobs)
    letter = DeadLetter(bucket="b", key="k", body="x" * 1_500_000)
    letters.send(letter)
    assert blobs.list("bodies/") == [f"bodies/{letter.id}.json"]
    assert [held.letter for held in letters.list()] == [letter]
    again(letters, never)
    assert [held.letter.body for held in letters.list()] == [letter.body]
    again(letters, lambda _: None)
    assert (blobs.list(""), queue.counts()) == ([], (0, 0))


def test_a_large_body_that_was_moved_to_the_queue_is_not_cut_where_there_is_no_bucket(queue: Queue) -> None:
    letters = queue.letters()
    queue.send("x" * 260_000)
    assert again(letters, never).failed == 1
    assert [len(held.letter.body or "") for held in letters.list()] == [260_000]


@pytest.mark.parametrize("bucket_too", [False, True])
def test_an_event_fails_into_the_bucket_when_the_queue_is_down_and_is_raised_when_both_are(
    s3: S3, queue: Queue, *, bucket_too: bool
) -> None:
    s3.put(bad=POISON)
    environ = {"ERROR_BUCKET": s3.name, "DLQ_QUEUE_URL": queue.url, "MAX_RETRIES": "0", "OUTPUT_BUCKET": s3.name}
    lost = OptimizedETLProcessor(ETLConfig.from_env(environ))

    def rule(request: Request) -> Fault | None:
        if "dead-letters" in request.path:
            return denied if bucket_too else None
        return None if s3.name in request.path else QUEUE_DOWN

    s3.faults.rule = rule
    if bucket_too:
        with pytest.raises(StoreError, match="neither done nor in the dead-letter queue"):
            lost.process_event(event(s3, "bad"))
    else:
        assert lost.process_event(event(s3, "bad"))["dead_lettered"] == 1
    s3.faults.rule = lambda _: None
    held = list(lost.processor.letters.list())
    assert [one.letter.key for one in held] == ([] if bucket_too else ["bad"])
    if not bucket_too:
        letter = held[0].letter
        assert (letter.bucket, letter.error_class, letter.error_type) == (s3.name, "InputError", "data_quality")
        assert letter.place is not None
        assert letter.first_failed_ms == letter.last_failed_ms > 0


# -- the command line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A folder worker's output with one file done and one dead."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/good.json", 100, layout="readsb")
    (tmp_path / "in/bad.json").write_bytes(POISON)
    FolderWorker(tmp_path / "in", tmp_path / "out", Settings(), settle_s=0.0).work(Stop(after=2))
    return tmp_path / "out"


def test_letters_of_a_watched_folder_are_listed_shown_replayed_and_purged_without_any_server(
    etl: Command, watched: Path, tmp_path: Path
) -> None:
    folder = ("--folder", watched / ".flight-etl-dead-letters")
    (listed,) = json.loads(etl("dlq", "list", "--json", *folder).out)
    assert (listed["key"], listed["parked"], listed["attempts"]) == (str(tmp_path / "in/bad.json"), False, 1)
    assert str(tmp_path / "in/bad.json") in etl("dlq", "list", *folder).out
    assert etl("dlq", "show", listed["id"][:6], *folder).json["id"] == listed["id"]
    dry = etl("dlq", "replay", "--dry-run", "--json", *folder)
    assert (dry.code, dry.json["reprocessed"]) == (0, 1)
    failed = etl("dlq", "replay", "--json", *folder)
    assert (failed.code, failed.json["failed"], failed.json["reprocessed"]) == (1, 1, 0)
    write(tmp_path / "in/bad.json", 50, layout="readsb")
    done = etl("dlq", "replay", "--json", *folder)
    assert (done.code, done.json["reprocessed"]) == (0, 1)
    assert (watched / "bad.json.parquet").exists()
    assert json.loads(etl("dlq", "list", "--json", *folder).out) == []
    FolderWorker(tmp_path / "in", watched, Settings(), settle_s=0.0)
    told: list[str] = []
    write(tmp_path / "in/new.json", 10, layout="readsb")
    FolderWorker(tmp_path / "in", watched, Settings(), settle_s=0.0).work(Stop(after=1), told=told.append)
    assert [line.partition(":")[0] for line in told] == ["new.json"]  # what was replayed is marked as done


def test_purging_asks_first(etl: Command, watched: Path) -> None:
    folder = ("--folder", watched / ".flight-etl-dead-letters")
    refused = etl("dlq", "purge", "--all", *folder)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert len(json.loads(etl("dlq", "list", "--json", *folder).out)) == 1
    purged = etl("dlq", "purge", "--all", "--yes", "--json", *folder)
    assert (purged.code, purged.json) == (0, {"removed": 1})
    assert json.loads(etl("dlq", "list", "--json", *folder).out) == []


def test_a_letter_that_is_not_there_is_an_error_that_says_where_to_look(etl: Command, watched: Path) -> None:
    done = etl("dlq", "show", "nothing", "--folder", watched / ".flight-etl-dead-letters")
    assert (done.code, "flight-etl dlq list" in done.err) == (1, True)


def test_parked_letters_are_replayed_from_the_command_line_on_request(etl: Command, tmp_path: Path) -> None:
    blobs: Blobs = FolderBlobs(tmp_path / "letters")
    blobs.put("parked/x.json", DeadLetter(id="x", key="/nowhere/gone.json", error_class="E").to_json().encode())
    assert json.loads(etl("dlq", "list", "--json", "--folder", "letters").out)[0]["parked"] is True
    assert etl("dlq", "replay", "--json", "--folder", "letters").json["failed"] == 0
    tried = etl("dlq", "replay", "--parked", "--json", "--folder", "letters").json
    assert (tried["failed"], tried["parked"]) == (1, 1)


def test_a_letter_names_its_object_in_the_version_that_failed() -> None:
    letter = DeadLetter(bucket="b", key="k", version_id="v", etag="e", sequencer="01")
    (ref,) = objects_of(letter)
    assert (str(ref), ref.version_id, ref.etag, ref.sequencer) == ("s3://b/k", "v", "e", "01")
