"""What an event asks for: the objects to work on, whatever they came wrapped in.

Understood are S3 notifications, the same as EventBridge events, either of them inside SQS or SNS or SNS inside SQS (with or
without raw delivery), `s3:TestEvent`, and the item batches of a Step Functions Distributed Map. Keys of S3 notifications are
URL-encoded, those of EventBridge and of Distributed Map are not: decoding them again would damage a literal `+` or `%41`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote_plus

__all__ = ["Message", "ObjectRef", "Unreadable", "messages"]

_MAX_WRAPPINGS: Final = 4  # SQS(SNS(S3)) are three
_CREATED: Final = "ObjectCreated:"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRef:
    """One object to work on, pinned to the version that the event names."""

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    sequencer: str | None = None
    size_bytes: int | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """A part of an event that could not be understood: why, and the part itself as text that `messages` takes again."""

    why: str
    body: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One deliverable of an event: an SQS message, or the whole event when it came directly.

    `message_id` is what a partial batch response names; None for direct events. `ignored` says what was left aside and why
    (test events, removals). One record that is `unreadable` keeps none of the others from being understood.
    """

    message_id: str | None = None
    receipt_handle: str | None = None
    attempts: int = 1
    objects: tuple[ObjectRef, ...] = ()
    ignored: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(slots=True)
class _Found:
    objects: list[ObjectRef] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


class _UnreadableError(Exception):
    """The payload is none of the shapes that are understood."""


def messages(event: Any) -> tuple[Message, ...]:
    """Take an event apart. Never raises: what cannot be understood comes back as unreadable."""
    if isinstance(event, Mapping) and _is_sqs(event):
        return tuple(_sqs_message(record) for record in event["Records"])
    return (_understood(event, Message()),)


def _is_sqs(event: Mapping[str, Any]) -> bool:
    records = event.get("Records")
    return isinstance(records, list) and bool(records) and all(_source(record) == "aws:sqs" for record in records)


def _source(record: Any) -> str | None:
    return (record.get("eventSource") or record.get("EventSource")) if isinstance(record, Mapping) else None


def _sqs_message(record: Mapping[str, Any]) -> Message:
    attempts = str(_inside(record, "attributes").get("ApproximateReceiveCount", "1"))
    message = Message(
        message_id=record.get("messageId"),
        receipt_handle=record.get("receiptHandle"),
        attempts=int(attempts) if attempts.isdecimal() else 1,
    )
    return _understood(record.get("body"), message)


def _inside(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _understood(payload: Any, message: Message) -> Message:
    found = _Found()
    try:
        _unwrap(payload, found, depth=0)
    except _UnreadableError as error:
        found.unreadable.append(Unreadable(why=str(error), body=_body(payload)))
    return replace(message, objects=tuple(found.objects), ignored=tuple(found.ignored), unreadable=tuple(found.unreadable))


def _body(payload: Any) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload, default=repr)


def _unwrap(payload: Any, found: _Found, *, depth: int) -> None:
    if isinstance(payload, str | bytes):
        payload = _parsed(payload)
    if depth > _MAX_WRAPPINGS or not isinstance(payload, Mapping):
        raise _UnreadableError(f"not an event: {_shortened(payload)}")
    if payload.get("Event") == "s3:TestEvent":
        found.ignored.append("s3:TestEvent")
    elif isinstance(payload.get("Records"), list):
        _records(payload["Records"], found, depth=depth)
    elif "detail-type" in payload:
        _event_bridge(payload, found)
    elif payload.get("Type") == "Notification" and "Message" in payload:
        _unwrap(payload["Message"], found, depth=depth + 1)
    elif isinstance(payload.get("Items"), list):
        _distributed_map(payload, found)
    else:
        raise _UnreadableError(f"not an event of a known shape: {_shortened(payload)}")


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UnreadableError(f"not JSON: {_shortened(text)}") from error


def _records(records: list[Any], found: _Found, *, depth: int) -> None:
    for record in records:
        try:
            _record(record, found, depth=depth)
        except _UnreadableError as error:
            found.unreadable.append(Unreadable(why=str(error), body=_body({"Records": [record]})))


def _record(record: Any, found: _Found, *, depth: int) -> None:
    source = _source(record)
    if source == "aws:sns":
        _unwrap(_inside(record, "Sns").get("Message"), found, depth=depth + 1)
    elif source == "aws:sqs":
        _unwrap(record.get("body"), found, depth=depth + 1)
    elif source == "aws:s3" or (isinstance(record, Mapping) and "s3" in record):
        _s3_record(record, found)
    else:
        raise _UnreadableError(f"not a record of S3, SQS or SNS: {_shortened(record)}")


def _s3_record(record: Mapping[str, Any], found: _Found) -> None:
    name = str(record.get("eventName", _CREATED)).removeprefix("s3:")
    try:
        entity = record["s3"]
        ref = ObjectRef(
            bucket=entity["bucket"]["name"],
            key=unquote_plus(entity["object"]["key"]),
            version_id=_text(entity["object"].get("versionId")),
            etag=_text(entity["object"].get("eTag")),
            sequencer=_text(entity["object"].get("sequencer")),
            size_bytes=entity["object"].get("size"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _UnreadableError(f"S3 record without bucket and key: {_shortened(record)}") from error
    if not name.startswith(_CREATED):
        found.ignored.append(f"{name} {ref}")
    else:
        _keep(ref, found)


def _event_bridge(event: Mapping[str, Any], found: _Found) -> None:
    kind = event["detail-type"]
    if kind != "Object Created":
        found.ignored.append(f"EventBridge {kind}")
        return
    try:
        detail = event["detail"]
        ref = ObjectRef(
            bucket=detail["bucket"]["name"],
            key=detail["object"]["key"],
            version_id=_text(detail["object"].get("version-id")),
            etag=_text(detail["object"].get("etag")),
            sequencer=_text(detail["object"].get("sequencer")),
            size_bytes=detail["object"].get("size"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _UnreadableError(f"EventBridge event without bucket and key: {_shortened(event)}") from error
    _keep(ref, found)


def _distributed_map(event: Mapping[str, Any], found: _Found) -> None:
    common = _inside(event, "BatchInput")
    for item in event["Items"]:
        try:
            _keep(_item(item, common.get("bucket")), found)
        except _UnreadableError as error:
            found.unreadable.append(Unreadable(why=str(error), body=_body({"BatchInput": common, "Items": [item]})))


def _item(item: Any, bucket: Any) -> ObjectRef:
    try:
        return ObjectRef(
            bucket=item.get("Bucket") or bucket or _missing_bucket(item),
            key=item["Key"],
            version_id=_text(item.get("VersionId")),
            etag=(_text(item.get("Etag")) or "").strip('"') or None,
            size_bytes=item.get("Size"),
        )
    except (KeyError, AttributeError) as error:
        raise _UnreadableError(f"item without Key: {_shortened(item)}") from error


def _missing_bucket(item: Any) -> str:
    raise _UnreadableError(f"neither the item nor BatchInput names a bucket: {_shortened(item)}")


def _keep(ref: ObjectRef, found: _Found) -> None:
    if not _is_name(ref.bucket) or not _is_name(ref.key):
        raise _UnreadableError(f"bucket {ref.bucket!r} and key {ref.key!r} must be text of UTF-8 that is not empty")
    if ref.key.endswith("/"):
        found.ignored.append(f"folder marker {ref}")
    else:
        found.objects.append(ref)


def _is_name(value: Any) -> bool:
    """Whether it is text that S3 may have as a name: JSON can also write halves of characters."""
    return isinstance(value, str) and bool(value) and value.encode(errors="replace").decode() == value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _shortened(payload: Any, limit: int = 200) -> str:
    text = payload if isinstance(payload, str) else repr(payload)
    return text if len(text) <= limit else text[: limit - 1] + "…"
