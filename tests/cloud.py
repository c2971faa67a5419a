"""What tests of event-driven runners share: buckets and a queue at a server, and events as AWS writes them."""

from __future__ import annotations

import io
import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import boto3
import pyarrow.parquet as pq

from servers import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cloud", "cloud_at", "event_bridge", "notification", "s3_record", "sns_event", "sns_message", "sqs_event"]


@dataclass(frozen=True)
class Cloud:
    """Three buckets and a queue of their own at a server, and the ecosystem's client to look at them from outside.

    Where the server has no queues, dead letters are in the error bucket.
    """

    endpoint: str
    s3: Any
    sqs: Any
    raw: str
    out: str
    err: str
    queue: str | None
    credentials: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """What the function is configured with."""
        return {
            **self.credentials,
            "AWS_DEFAULT_REGION": self.credentials["AWS_REGION"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "OUTPUT_BUCKET": self.out,
            "ERROR_BUCKET": self.err,
            "DLQ_QUEUE_URL": self.queue or "",
            "MAX_RETRIES": "1",
            "MAX_WORKERS": "1",
        }

    def put(self, key: str, data: bytes) -> str:
        """Put an input, and say its version, if the bucket keeps them."""
        return str(self.s3.put_object(Bucket=self.raw, Key=key, Body=data).get("VersionId"))

    def output(self, key: str) -> bytes:
        """Bytes of the output of an input."""
        return bytes(self.s3.get_object(Bucket=self.out, Key=f"processed/{self.raw}/{key}.parquet")["Body"].read())

    def rows(self, key: str) -> int:
        """Rows of the output of an input."""
        return int(pq.read_table(io.BytesIO(self.output(key))).num_rows)

    def outputs(self) -> list[str]:
        """Inputs that have an output."""
        before, after = f"processed/{self.raw}/", ".parquet"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.out, Prefix=before)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return sorted(key.removeprefix(before).removesuffix(after) for key in keys)

    def letters(self) -> list[dict[str, Any]]:
        """All dead letters, which stay where they are."""
        if self.queue is None:
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.err, Prefix="dead-letters/pending/")
            keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
            return [json.loads(self.s3.get_object(Bucket=self.err, Key=key)["Body"].read()) for key in keys]
        found: dict[str, dict[str, Any]] = {}
        while True:
            answer = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=5)
            more = {one["MessageId"]: one for one in answer.get("Messages", ()) if one["MessageId"] not in found}
            found.update(more)
            if not more:
                break
        for one in found.values():
            self.sqs.change_message_visibility(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=0)
        return [json.loads(one["Body"]) for one in found.values()]


@contextmanager
def cloud_at(
    endpoint: str, *, versions: bool = False, queues: bool = True, credentials: dict[str, str] | None = None
) -> Iterator[Cloud]:
    """Make buckets (the first with versions, if asked for) and, if the server has them, a queue."""
    credentials = credentials or CREDENTIALS
    more = {"endpoint_url": endpoint, "region_name": credentials["AWS_REGION"]}
    keys = {name.lower(): value for name, value in credentials.items() if name != "AWS_REGION"}
    s3, sqs = boto3.client("s3", **more, **keys), boto3.client("sqs", **more, **keys)
    raw, out, err = (f"{name}-{uuid.uuid4().hex[:12]}" for name in ("raw", "out", "err"))
    for name in (raw, out, err):
        s3.create_bucket(Bucket=name)
    if versions:
        s3.put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Enabled"})
    queue = sqs.create_queue(QueueName=f"dlq-{uuid.uuid4().hex[:12]}")["QueueUrl"] if queues else None
    try:
        yield Cloud(endpoint, s3, sqs, raw, out, err, queue, credentials)
    finally:
        s3.close()
        sqs.close()


def s3_record(cloud: Cloud, key: str, *, sequencer: str = "0A", name: str = "ObjectCreated:Put", **more: str) -> dict[str, Any]:
    """Give a record of an S3 notification; `more` goes to its object (versionId, eTag)."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": cloud.raw, "arn": f"arn:aws:s3:::{cloud.raw}"},
            "object": {"key": quote_plus(key, safe="/"), "sequencer": sequencer, **more},
        },
    }


def notification(cloud: Cloud, *keys: str) -> dict[str, Any]:
    """Give an S3 notification about objects."""
    return {"Records": [s3_record(cloud, key) for key in keys]}


def event_bridge(cloud: Cloud, key: str, *, identity: str = "17793124-05d4-b198-2fde-7ededc63b103") -> dict[str, Any]:
    """Give an EventBridge event about an object."""
    return {
        "version": "0",
        "id": identity,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"version": "0", "bucket": {"name": cloud.raw}, "object": {"key": key, "sequencer": "0A"}},
    }


def sns_message(event: Any) -> dict[str, Any]:
    """Wrap an event as SNS writes it into a queue."""
    return {"Type": "Notification", "MessageId": "n", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": json.dumps(event)}


def sns_event(event: Any) -> dict[str, Any]:
    """Wrap an event as SNS hands it to a function."""
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns_message(event)}]}


def sqs_event(*bodies: Any, attempts: int = 1) -> dict[str, Any]:
    """Wrap events as SQS hands them to a function, as messages m0, m1, …; text goes as it is."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"h{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": str(attempts), "SentTimestamp": "1795533982318"},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:flights",
            }
            for number, body in enumerate(bodies)
        ]
    }
