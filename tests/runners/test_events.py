"""An event gives its objects, whatever it came wrapped in; keys arrive undamaged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.runners.events import ObjectRef, messages

KEY = "in/a b+ü=1%41.json"


def s3(encoded: str, name: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    entity = {"bucket": {"name": "raw"}, "object": {"key": encoded, "size": 5, "eTag": "e", "versionId": "v", "sequencer": "0A"}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": name, "s3": entity, **more}]}


def bridge(key: str = KEY, kind: str = "Object Created") -> dict[str, Any]:
    thing = {"key": key, "size": 5, "etag": "e", "version-id": "v", "sequencer": "0A"}
    return {"version": "0", "detail-type": kind, "source": "aws.s3", "detail": {"bucket": {"name": "raw"}, "object": thing}}


def sqs(*bodies: Any) -> dict[str, Any]:
    records = [
        {
            "eventSource": "aws:sqs",
            "messageId": f"m{i}",
            "receiptHandle": f"r{i}",
            "attributes": {"ApproximateReceiveCount": "3"},
            "body": body if isinstance(body, str) else json.dumps(body),
        }
        for i, body in enumerate(bodies)
    ]
    return {"Records": records}


def notification(body: Any) -> dict[str, Any]:
    return {"Type": "Notification", "MessageId": "n", "Message": json.dumps(body)}


def sns(body: Any) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": notification(body)}]}


# Three real spellings of one key: moto, ministack and AWS, localstack.
SPELLINGS = ["in%2Fa+b%2B%C3%BC%3D1%2541.json", "in/a+b%2B%C3%BC%3D1%2541.json", "in/a%20b%2B%C3%BC%3D1%2541.json"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("wrap", [lambda e: e, sqs, sns, lambda e: sqs(notification(e)), lambda e: sqs(sns(e))])
def test_every_wrapping_of_an_s3_notification_gives_the_same_object(spelling: str, wrap: Any) -> None:
    (message,) = messages(wrap(s3(spelling)))
    assert message.objects == (ObjectRef(bucket="raw", key=KEY, version_id="v", etag="e", sequencer="0A", size_bytes=5),)
    assert message.unreadable == ()


@pytest.mark.parametrize("wrap", [lambda e: e, sqs, sns, lambda e: sqs(notification(e))])
def test_event_bridge_keys_are_taken_as_they_are(wrap: Any) -> None:
    (message,) = messages(wrap(bridge()))
    assert [o.key for o in message.objects] == [KEY]


def test_each_sqs_message_answers_for_itself() -> None:
    found = messages(sqs(s3("a.json"), "garbage {", bridge("b.json"), {"hello": 1}))
    assert [m.message_id for m in found] == ["m0", "m1", "m2", "m3"]
    assert [len(m.objects) for m in found] == [1, 0, 1, 0]
    assert [len(m.unreadable) for m in found] == [0, 1, 0, 1]
    assert found[0].attempts == 3
    assert found[0].receipt_handle == "r0"


def test_several_records_in_one_body_all_count() -> None:
    body = s3("a.json")
    body["Records"] += s3("b.json")["Records"]
    (message,) = messages(sqs(body))
    assert [o.key for o in message.objects] == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}, "s3:TestEvent"),
        (sqs({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}), "s3:TestEvent"),
        (s3("a.json", name="ObjectRemoved:Delete"), "ObjectRemoved:Delete s3://raw/a.json"),
        (s3("folder/"), "folder marker s3://raw/folder/"),
        (bridge(kind="Object Deleted"), "EventBridge Object Deleted"),
    ],
)
def test_what_needs_no_work_is_set_aside_with_its_reason(event: dict[str, Any], why: str) -> None:
    (message,) = messages(event)
    assert message.objects == ()
    assert message.ignored == (why,)
    assert message.unreadable == ()


def test_a_distributed_map_batch_names_its_bucket_once() -> None:
    event = {"BatchInput": {"bucket": "raw"}, "Items": [{"Key": KEY, "Size": 1, "Etag": '"e"'}, {"Key": "b", "Bucket": "other"}]}
    (message,) = messages(event)
    assert [(o.bucket, o.key, o.etag) for o in message.objects] == [("raw", KEY, "e"), ("other", "b", None)]
    (message,) = messages({"Items": [{"Key": "a"}]})
    assert message.unreadable


@pytest.mark.parametrize(
    "event", [None, 3, "x", [], {}, {"Records": [1]}, {"Records": [{"eventSource": "aws:s3"}]}, bridge() | {"detail": 3}]
)
def test_garbage_is_said_to_be_unreadable(event: Any) -> None:
    (message,) = messages(event)
    assert message.unreadable


_WORDS = ["Records", "s3", "bucket", "object", "name", "key", "detail", "detail-type", "Message", "Type", "Items", "Key", "body"]
_MORE = ["eventSource", "EventSource", "Sns", "Event", "attributes", "ApproximateReceiveCount", "messageId", "sequencer"]
_VALUES = ["aws:s3", "aws:sqs", "aws:sns", "Object Created", "Notification", "k", "²", "\ud800", "%ff"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(_VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS + _MORE), inner, max_size=5),
)


@settings(max_examples=400, deadline=None)
@given(_JSON)
def test_no_event_whatever_raises_and_objects_are_always_whole(event: Any) -> None:
    found = messages(event)
    assert found
    for message in found:
        assert all(isinstance(o.key, str) and isinstance(o.bucket, str) and o.key and o.bucket for o in message.objects)
        assert all(isinstance(o.sequencer, str | None) and str(o).encode() for o in message.objects)
        assert all(part.why and part.body for part in message.unreadable)


@given(_JSON)
def test_a_record_that_cannot_be_read_takes_no_other_with_it_and_is_kept_whole(garbage: Any) -> None:
    event = {"Records": [*s3("a.json")["Records"], garbage, *s3("b.json")["Records"]]}
    (message,) = messages(sqs(event))
    assert [o.key for o in message.objects if o.key in ("a.json", "b.json")] == ["a.json", "b.json"]
    for part in message.unreadable:
        assert json.loads(part.body) == {"Records": [garbage]}
        (again,) = messages(part.body)
        assert again.unreadable == (part,)
        assert not again.objects


@pytest.mark.parametrize("attributes", [None, [], {}, {"ApproximateReceiveCount": "²"}, {"ApproximateReceiveCount": None}])
def test_a_receive_count_that_is_none_counts_as_the_first(attributes: Any) -> None:
    event = sqs(s3("a.json"))
    event["Records"][0]["attributes"] = attributes
    (message,) = messages(event)
    assert (message.attempts, len(message.objects)) == (1, 1)


def test_an_unreadable_body_is_kept_to_its_last_character() -> None:
    body = "garbage " * 1_000
    (message,) = messages(sqs(body))
    assert [part.body for part in message.unreadable] == [body]
    assert len(message.unreadable[0].why) < 300
