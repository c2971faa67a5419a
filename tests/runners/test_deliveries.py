"""What becomes of the objects of one event: done, dead-lettered or given back, whatever their order and the time left."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cloud import Cloud, cloud_at, notification, s3_record, sqs_event
from faults import Request, fault_proxy, reset
from flight_etl.bench.generate import write
from flight_etl.errors import SettingsError
from flight_etl.resilience import sqs as queues
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from servers import moto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults import FaultProxy

POISON = b'{"time": 1, "states": [["40621d", "X", "UK", 1, 1, 0'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(endpoint: str) -> Iterator[FaultProxy]:
    with fault_proxy(endpoint) as found:
        yield found


@pytest.fixture
def cloud(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    proxy.forget()
    with cloud_at(proxy.url, versions=True) as found:
        yield _configured(found, monkeypatch)


@pytest.fixture
def plain(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The same without versions, which is how most buckets are."""
    proxy.forget()
    with cloud_at(proxy.url) as found:
        yield _configured(found, monkeypatch)


def _configured(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(queues, "_clients", {})  # clients are for one endpoint
    return cloud


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], bytes]:
    """Give a small recording, another one for each seed."""
    folder = tmp_path_factory.mktemp("recordings")

    def recording(seed: int = 1) -> bytes:
        path: Path = folder / f"{seed}.json"
        if not path.exists():
            write(path, 100 + seed, layout="opensky", seed=seed)
        return path.read_bytes()

    return recording


def _processor() -> OptimizedETLProcessor:
    return OptimizedETLProcessor(ETLConfig.from_env(os.environ))


class _Context:
    """A context whose time runs out when `calls` questions for it have been asked."""

    memory_limit_in_mb = 3008
    aws_request_id = "request"

    def __init__(self, seconds: float = 900.0, calls: int = 1 << 60, after: float = 1.0) -> None:
        self._seconds, self._calls, self._after = seconds, calls, after

    def get_remaining_time_in_millis(self) -> int:
        self._calls -= 1
        return round(1000 * (self._seconds if self._calls >= 0 else self._after))


def _statuses(answer: dict[str, Any]) -> list[str]:
    return [one["status"] for one in answer["results"]]


# -- order ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_two_versions_in_one_event_the_newest_is_what_stays(
    cloud: Cloud, small: Callable[[int], bytes], *, newest_first: bool
) -> None:
    old, new = cloud.put("k", small(1)), cloud.put("k", small(2))
    records = [
        s3_record(cloud, "k", sequencer="0055AEF", versionId=new),
        s3_record(cloud, "k", sequencer="0055AE", versionId=old),
    ]
    answer = _processor().process_event({"Records": records if newest_first else records[::-1]}, _Context())
    assert _statuses(answer) == (["written", "superseded"] if newest_first else ["written", "written"])
    cloud.put("alone", small(2))
    _processor().process_event(notification(cloud, "alone"), _Context())
    assert cloud.rows("k") == cloud.rows("alone")


def test_the_same_object_twice_in_one_event_is_done_once(plain: Cloud, proxy: FaultProxy, small: Callable[[int], bytes]) -> None:
    plain.put("k", small(1))
    answer = _processor().process_event(notification(plain, "k", "k"), _Context())
    assert _statuses(answer) == ["written", "unchanged"]
    assert [r.method for r in proxy.requests if r.path == f"/{plain.raw}/k" and r.method == "GET"] == ["GET"]


def test_a_version_that_an_event_names_is_read_though_there_is_a_newer_one(cloud: Cloud, small: Callable[[int], bytes]) -> None:
    old = cloud.put("k", small(1))
    cloud.put("k", small(9))
    _processor().process_event({"Records": [s3_record(cloud, "k", versionId=old)]}, _Context())
    cloud.put("alone", small(1))
    _processor().process_event(notification(cloud, "alone"), _Context())
    assert cloud.rows("k") == cloud.rows("alone")


def test_an_object_overwritten_since_its_event_is_read_once_in_its_newest_form(
    plain: Cloud, proxy: FaultProxy, small: Callable[[int], bytes]
) -> None:
    plain.put("k", small(1))
    plain.put("k", small(2))
    events = [
        {"Records": [s3_record(plain, "k", sequencer=number, eTag=etag)]} for number, etag in (("0A", "before"), ("0B", "now"))
    ]
    processor = _processor()
    answers = [processor.process_event(event, _Context()) for event in events]
    assert [_statuses(answer) for answer in answers] == [["written"], ["unchanged"]]
    assert sum(r.method == "GET" for r in proxy.requests if r.path == f"/{plain.raw}/k") == 1
    first = plain.output("k")
    plain.put("k", small(2))  # written anew, with the same content: somebody wants it done again
    later = processor.process_event({"Records": [s3_record(plain, "k", sequencer="0C")]}, _Context())
    assert plain.output("k") == first
    assert _statuses(later)[0] in ("written", "unchanged")  # the emulator's times are whole seconds


def test_an_object_overwritten_while_it_is_read_is_read_again(
    plain: Cloud, proxy: FaultProxy, small: Callable[[int], bytes], endpoint: str
) -> None:
    plain.put("k", small(1))

    def overwrite(request: Request) -> None:
        if request.method == "GET" and request.path == f"/{plain.raw}/k" and request.number == 1:
            with cloud_at(endpoint) as other:  # another client, which does not pass the proxy
                other.s3.put_object(Bucket=plain.raw, Key="k", Body=small(2))

    proxy.rule = overwrite
    assert _statuses(_processor().process_event(notification(plain, "k"), _Context())) == ["written"]
    plain.put("alone", small(2))
    _processor().process_event(notification(plain, "alone"), _Context())
    assert plain.rows("k") == plain.rows("alone")
    assert plain.letters() == []


# -- failures ------------------------------------------------------------------------------------------------------------


def test_a_body_that_keeps_breaking_off_is_no_poison(plain: Cloud, proxy: FaultProxy, small: Callable[[int], bytes]) -> None:
    """What the network does is given back to the queue, and is a dead letter of its own kind when the tries are used up."""
    plain.put("k", small(1))
    proxy.rule = lambda request: reset(100) if request.method == "GET" and request.path == f"/{plain.raw}/k" else None
    processor = _processor()
    first = processor.process_event(sqs_event(notification(plain, "k"), attempts=1), _Context())
    assert first == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert plain.letters() == []
    last = processor.process_event(sqs_event(notification(plain, "k"), attempts=2), _Context())
    assert last == {"batchItemFailures": []}
    (letter,) = plain.letters()
    assert (letter["error_type"], letter["error_class"], letter["attempts"]) == ("transient", "Unavailable", 2)


def test_a_bad_object_is_read_once_and_buried_at_its_first_delivery(cloud: Cloud, proxy: FaultProxy) -> None:
    version = cloud.put("k", POISON)
    event = sqs_event({"Records": [s3_record(cloud, "k", versionId=version, eTag="e", sequencer="0B")]})
    assert _processor().process_event(event, _Context()) == {"batchItemFailures": []}
    assert sum(r.method == "GET" for r in proxy.requests if r.path == f"/{cloud.raw}/k") == 1
    (letter,) = cloud.letters()
    assert (letter["bucket"], letter["key"], letter["version_id"]) == (cloud.raw, "k", version)
    assert (letter["etag"], letter["sequencer"], letter["error_type"]) == ("e", "0B", "data_quality")
    assert letter["attempts"] == 1
    assert 0 < letter["first_failed_ms"] == letter["last_failed_ms"]
    assert letter["place"]


def test_a_message_is_given_back_for_its_transient_objects_and_the_others_stay_done(
    plain: Cloud, proxy: FaultProxy, small: Callable[[int], bytes]
) -> None:
    plain.put("good", small(1))
    plain.put("bad", POISON)
    plain.put("later", small(2))
    proxy.rule = lambda request: reset(0) if request.path == f"/{plain.raw}/later" else None
    processor = _processor()
    event = sqs_event(notification(plain, "good", "bad", "later"))
    assert processor.process_event(event, _Context()) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert plain.outputs() == ["good"]
    proxy.rule = lambda _: None
    assert processor.process_event(event, _Context()) == {"batchItemFailures": []}
    assert plain.outputs() == ["good", "later"]
    assert len({letter["id"] for letter in plain.letters()}) == 1  # it came twice, as the same letter


def test_of_ten_messages_exactly_those_with_passing_trouble_come_again(
    plain: Cloud, proxy: FaultProxy, small: Callable[[int], bytes]
) -> None:
    keys = [f"k{number}" for number in range(10)]
    troubled = {f"/{plain.raw}/k{number}" for number in (2, 5, 7)}
    for key in keys:
        plain.put(key, small(1))
    proxy.rule = lambda request: reset(0) if request.path in troubled else None
    answer = _processor().process_event(sqs_event(*(notification(plain, key) for key in keys)), _Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": name} for name in ("m2", "m5", "m7")]}
    assert plain.outputs() == [key for key in keys if f"/{plain.raw}/{key}" not in troubled]
    assert plain.letters() == []


def test_what_we_write_ourselves_is_refused_and_counted(plain: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where inputs and outputs share a bucket, so that no output comes back as an input."""
    monkeypatch.setenv("OUTPUT_BUCKET", plain.raw)
    keys = ("processed/raw/k.json", "quarantine/raw/k.ndjson", "k.parquet")
    answer = _processor().process_event(notification(plain, *keys), _Context())
    assert answer["statuses"] == {"refused": 3}
    monkeypatch.setenv("INPUT_BUCKET", plain.raw)
    monkeypatch.setenv("ERROR_BUCKET", plain.raw)
    with pytest.raises(SettingsError, match="put at least the dead letters elsewhere"):
        _processor()


def test_unreadable_records_are_buried_whole_and_the_others_done(plain: Cloud, small: Callable[[int], bytes]) -> None:
    plain.put("good", small(1))
    strange = {"eventSource": "aws:s3", "note": "x" * 5_000}
    event = {"Records": [strange, s3_record(plain, "good")]}
    answer = _processor().process_event(event, _Context())
    assert (answer["status"], answer["processed"], answer["dead_lettered"]) == ("partial", 1, 1)
    (letter,) = plain.letters()
    assert strange["note"] in letter["body"]
    assert letter["bucket"] is None


# -- time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_without_time_no_object_is_begun(plain: Cloud, small: Callable[[int], bytes], seconds: float) -> None:
    plain.put("k", small(1))
    processor = _processor()
    answer = processor.process_event(sqs_event(notification(plain, "k"), notification(plain, "k")), _Context(seconds))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m1"}]}
    with pytest.raises(Exception, match="no time left to begin it"):
        processor.process_event(notification(plain, "k"), _Context(seconds))
    assert plain.outputs() == []
    assert plain.letters() == []


@contextmanager
def _settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Iterator[OptimizedETLProcessor]:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    yield _processor()


def _calls_of(plain: Cloud, processor: OptimizedETLProcessor, key: str) -> int:
    """Questions for the time that doing one object asks."""
    context = _Context()
    processor.process_event(notification(plain, key), context)
    return (1 << 60) - context._calls


def test_an_object_that_takes_longer_than_there_is_time_is_given_up_in_time(
    plain: Cloud, small: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever in its work the time runs out: nothing half-written, a queue gets it back, and a direct event a dead letter."""
    plain.put("k", small(50))
    plain.put("measured", small(50))
    with _settings(monkeypatch, CHUNK_SIZE="10") as processor:
        whole = _calls_of(plain, processor, "measured")
        assert whole > 15
        for calls in (5, whole // 2, whole - 1):
            answer = processor.process_event(sqs_event(notification(plain, "k")), _Context(calls=calls))
            assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}, calls
            assert plain.outputs() == ["measured"]
        direct = processor.process_event(notification(plain, "k"), _Context(calls=whole // 2))
        assert direct["dead_lettered"] == 1
        (letter,) = plain.letters()
        assert (letter["key"], letter["error_class"], letter["error_type"]) == ("k", "OutOfTimeError", "transient")
        assert "cut the input into smaller files" in letter["message"]
        done = processor.process_event({"action": "process_dlq"}, _Context())
        assert (done["status"], done["records_reprocessed"]) == ("completed", 1)
    assert plain.outputs() == ["k", "measured"]


class _Shrinking(_Context):
    """Time that is there when it is first asked for, less of it a little later, and then none."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0

    def get_remaining_time_in_millis(self) -> int:
        self._asked += 1
        return 900_000 if self._asked == 1 else 100_000 if self._asked <= 6 else 1_000


def test_a_letter_whose_work_the_deadline_cuts_short_has_not_failed(
    plain: Cloud, small: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.put("k", POISON)
    with _settings(monkeypatch, CHUNK_SIZE="10") as processor:
        processor.process_event(notification(plain, "k"), _Context())
        plain.put("k", small(50))
        cut = processor.process_event({"action": "process_dlq"}, _Shrinking())
        assert (cut["status"], cut["records_failed"], cut["deadline_reached"]) == ("partial", 0, True)
        assert [letter["attempts"] for letter in plain.letters()] == [1]
        assert plain.outputs() == []
        done = processor.process_event({"action": "process_dlq"}, _Context())
        assert (done["status"], done["records_reprocessed"]) == ("completed", 1)


def test_an_object_crowded_out_by_others_is_tried_again_with_the_whole_time(plain: Cloud, small: Callable[[int], bytes]) -> None:
    """A direct event is raised then: Lambda delivers it anew, what was done is passed over, and the rest comes first."""
    for key in ("measured", "a", "b", "c"):
        plain.put(key, small(1))
    processor = _processor()
    one = _calls_of(plain, processor, "measured")
    with pytest.raises(Exception, match="1 objects neither done"):
        processor.process_event(notification(plain, "a", "b", "c"), _Context(calls=2 * one - 1, after=5.0))
    assert plain.outputs() == ["a", "b", "measured"]
    assert plain.letters() == []
    answer = processor.process_event(notification(plain, "a", "b", "c"), _Context())
    assert _statuses(answer) == ["unchanged", "unchanged", "written"]
