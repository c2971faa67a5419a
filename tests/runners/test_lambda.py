"""The Lambda handler against an emulator of S3 and SQS on the loopback interface."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import boto3
import pyarrow.parquet as pq
import pytest

from flight_etl.bench.generate import write
from flight_etl.resilience import sqs as queues
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from servers import CREDENTIALS, moto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "in/a b+ü=1.json.gz"
POISON = b'{"time": 1, "states": [["40621d", "X", "UK", 1, 1, 0'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def cloud(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(queues, "_clients", {})
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    for name in ("raw", "out", "err"):
        s3.create_bucket(Bucket=name)
    queue = sqs.create_queue(QueueName="dlq")["QueueUrl"]
    yield SimpleNamespace(s3=s3, sqs=sqs, queue=queue)
    for name in ("raw", "out", "err"):
        for one in s3.list_objects_v2(Bucket=name).get("Contents", ()):
            s3.delete_object(Bucket=name, Key=one["Key"])
        s3.delete_bucket(Bucket=name)
    sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def processor(cloud: SimpleNamespace) -> OptimizedETLProcessor:
    environ = {
        "OUTPUT_BUCKET": "out",
        "ERROR_BUCKET": "err",
        "DLQ_QUEUE_URL": cloud.queue,
        "MAX_RETRIES": "1",
        "MAX_WORKERS": "1",
    }
    return OptimizedETLProcessor(ETLConfig.from_env(environ))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("sample") / "states.json.gz"
    write(path, 3_000, layout="opensky", complexity="complex")
    return path.read_bytes()


def _notification(*keys: str, sequencer: str = "0A", bucket: str = "raw", name: str = "ObjectCreated:Put") -> dict[str, Any]:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": name,
            "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "sequencer": sequencer}},
        }
        for key in keys
    ]
    return {"Records": records}


def _sqs_event(*events: dict[str, Any]) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:sqs",
                "messageId": f"m{n}",
                "receiptHandle": f"h{n}",
                "body": json.dumps(event),
                "attributes": {},
            }
            for n, event in enumerate(events)
        ]
    }


def _table(cloud: SimpleNamespace, key: str) -> Any:
    return pq.read_table(io.BytesIO(cloud.s3.get_object(Bucket="out", Key=key)["Body"].read()))


def _keys(cloud: SimpleNamespace, bucket: str) -> list[str]:
    return [one["Key"] for one in cloud.s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_an_object_becomes_parquet_metrics_and_log_lines(
    cloud: SimpleNamespace,
    processor: OptimizedETLProcessor,
    sample: bytes,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="flight_etl")
    cloud.s3.put_object(Bucket="raw", Key=KEY, Body=sample)
    answer = processor.process_event(_notification(KEY), SimpleNamespace(memory_limit_in_mb=3008, aws_request_id="r"))
    assert answer["status"] == "completed"
    target = f"processed/raw/{KEY}.parquet"
    assert answer["results"] == [{"source": f"s3://raw/{KEY}", "status": "written", "outputs": [f"s3://out/{target}"]}]
    table = _table(cloud, target)
    assert table.num_rows > 2_900
    assert "flight_phase" in table.column_names
    lines = [record.getMessage() for record in caplog.records]
    assert f"Processing s3://raw/{KEY} -> s3://out/{target}" in lines
    assert any(line.startswith(f"Conversion completed: {table.num_rows} records, compression ratio ") for line in lines)
    assert f"Transformations completed for s3://raw/{KEY}" in lines
    blobs = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    told = {metric["Name"] for blob in blobs for one in blob["_aws"]["CloudWatchMetrics"] for metric in one["Metrics"]}
    assert told >= {
        "ProcessingTime",
        "RecordsProcessed",
        "CompressionRatio",
        "ThroughputRecordsPerSecond",
        "MemoryUsage",
        "ErrorRate",
    }
    assert {one["Namespace"] for blob in blobs for one in blob["_aws"]["CloudWatchMetrics"]} == {"ETL"}


def test_twenty_times_the_same_event_at_once_and_late_give_one_object(
    cloud: SimpleNamespace, sample: bytes, processor: OptimizedETLProcessor
) -> None:
    cloud.s3.put_object(Bucket="raw", Key="k.json.gz", Body=sample)
    config = processor.config

    def deliver(number: int) -> list[str]:
        one = OptimizedETLProcessor(config)  # as another sandbox would
        results = one.processor.deliver(_notification("k.json.gz", sequencer=f"{number % 3:02X}")).results
        return [str(result.status) for result in results]

    with ThreadPoolExecutor(4) as pool:
        statuses = [status for some in pool.map(deliver, range(20)) for status in some]
    assert len(statuses) == 20
    assert set(statuses) <= {"written", "unchanged", "superseded"}
    before = cloud.s3.get_object(Bucket="out", Key="processed/raw/k.json.gz.parquet")
    first = before["Body"].read()
    processor.process_event(_notification("k.json.gz", sequencer="FF"))
    assert cloud.s3.get_object(Bucket="out", Key="processed/raw/k.json.gz.parquet")["Body"].read() == first


def test_an_older_event_does_not_replace_what_a_newer_one_wrote(
    cloud: SimpleNamespace, processor: OptimizedETLProcessor, sample: bytes, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    write(other, 500, layout="opensky", seed=9)
    cloud.s3.put_object(Bucket="raw", Key="k", Body=sample)
    processor.process_event(_notification("k", sequencer="0055AE"))
    newest = _table(cloud, "processed/raw/k.parquet").num_rows
    cloud.s3.put_object(Bucket="raw", Key="k", Body=other.read_bytes())
    answer = processor.process_event(_notification("k", sequencer="0055AD"))
    assert answer["results"][0]["status"] == "superseded"
    assert _table(cloud, "processed/raw/k.parquet").num_rows == newest
    processor.process_event(_notification("k", sequencer="0055AEF"))
    assert _table(cloud, "processed/raw/k.parquet").num_rows < newest


def test_three_of_ten_are_poisoned(cloud: SimpleNamespace, processor: OptimizedETLProcessor, sample: bytes) -> None:
    for number in range(10):
        cloud.s3.put_object(Bucket="raw", Key=f"k{number}", Body=POISON if number in (2, 5, 7) else sample)
    answer = processor.process_event(_sqs_event(*(_notification(f"k{number}") for number in range(10))))
    assert answer == {"batchItemFailures": []}
    assert len([key for key in _keys(cloud, "out") if key.startswith("processed/")]) == 7
    assert processor.processor.statistics == {"done": 7, "dead": 3, "given_back": 0}
    dry = processor.process_event({"action": "process_dlq", "max_records": 10, "dry_run": True})
    assert dry["records_reprocessed"] == 3
    for number in (2, 5, 7):
        cloud.s3.put_object(Bucket="raw", Key=f"k{number}", Body=sample)
    done = processor.process_event({"action": "process_dlq", "max_records": 10})
    assert (done["status"], done["records_reprocessed"], done["records_failed"]) == ("completed", 3, 0)
    assert len([key for key in _keys(cloud, "out") if key.startswith("processed/")]) == 10
    assert processor.process_event({"action": "process_dlq", "max_records": 10})["records_reprocessed"] == 0


def test_what_is_transient_goes_back_to_its_queue(
    cloud: SimpleNamespace, processor: OptimizedETLProcessor, sample: bytes
) -> None:
    cloud.s3.put_object(Bucket="raw", Key="good", Body=sample)
    late = SimpleNamespace(get_remaining_time_in_millis=lambda: 5_000)
    answer = processor.process_event(_sqs_event(_notification("good"), {"nonsense": 1}), late)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert processor.processor.statistics["dead"] == 1  # what cannot be understood is never understood later


def test_a_direct_event_that_can_be_neither_done_nor_kept_is_raised(cloud: SimpleNamespace) -> None:
    del cloud
    environ = {"OUTPUT_BUCKET": "out", "DLQ_QUEUE_URL": "http://127.0.0.1:9/none", "MAX_RETRIES": "0"}
    lost = OptimizedETLProcessor(ETLConfig.from_env(environ))
    with pytest.raises(Exception, match="neither done nor in the dead-letter queue"):
        lost.process_event({"no": "event"})


@pytest.mark.parametrize(
    ("event", "ignored"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}, 1),
        (
            {
                "Records": [
                    {
                        "eventSource": "aws:s3",
                        "eventName": "ObjectRemoved:Delete",
                        "s3": {"bucket": {"name": "raw"}, "object": {"key": "k"}},
                    }
                ]
            },
            1,
        ),
        (_notification("folder/"), 1),
    ],
)
def test_events_that_ask_for_nothing(processor: OptimizedETLProcessor, event: dict[str, Any], ignored: int) -> None:
    answer = processor.process_event(event)
    assert (answer["status"], answer["processed"], answer["ignored"]) == ("completed", 0, ignored)


def test_outputs_are_not_inputs_and_empty_and_missing_objects_are_done(
    cloud: SimpleNamespace, processor: OptimizedETLProcessor
) -> None:
    cloud.s3.put_object(Bucket="raw", Key="empty.json", Body=b"")
    event = _notification("empty.json", "missing.json", "x.parquet")
    assert [one["status"] for one in processor.process_event(event)["results"]] == ["empty", "gone", "refused"]
    ours = _notification("processed/raw/k.json", bucket="out")
    assert processor.process_event(ours)["results"][0]["status"] == "refused"
    assert _keys(cloud, "out") == []


def test_event_bridge_keys_are_taken_as_they_are(cloud: SimpleNamespace, processor: OptimizedETLProcessor, sample: bytes) -> None:
    key = "in/a+b %41.json.gz"
    cloud.s3.put_object(Bucket="raw", Key=key, Body=sample)
    event = {"detail-type": "Object Created", "detail": {"bucket": {"name": "raw"}, "object": {"key": key}}}
    assert processor.process_event(event)["results"][0]["source"] == f"s3://raw/{key}"


def test_health(cloud: SimpleNamespace, processor: OptimizedETLProcessor) -> None:
    del cloud
    answer = processor.process_event({"action": "health_check"})
    assert answer["overall_health"] == "healthy", answer["problems"]
    assert answer["error_recovery_statistics"]["success_rate"] == 1.0
    assert answer["reachability"] == {"input": "not configured", "output": "ok", "errors": "ok", "dead_letter_queue": "ok"}
    environ = {"OUTPUT_BUCKET": "nowhere", "MAX_RETRIES": "0"}
    lost = OptimizedETLProcessor(ETLConfig.from_env(environ)).process_event({"action": "health_check"})
    assert (lost["overall_health"], lost["problems"]) == ("unhealthy", ["output: no such bucket"])


@pytest.mark.parametrize("event", [{"action": "dance"}, {"action": "process_dlq", "max_records": 0}])
def test_a_wrong_action_says_what_is_permitted(processor: OptimizedETLProcessor, event: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="is not permitted"):
        processor.process_event(event)


def test_the_bound_is_the_smaller_of_setting_and_function(processor: OptimizedETLProcessor) -> None:
    processor.process_event({"action": "health_check"}, SimpleNamespace(memory_limit_in_mb="1000"))
    assert processor.processor.memory_bound_mb == 800
    assert processor.processor.settings.resources.memory_limit_mb == 800
    processor.process_event({"action": "health_check"}, SimpleNamespace(memory_limit_in_mb="10240"))
    assert processor.processor.memory_bound_mb == 3008


@pytest.mark.parametrize("caching", [True, False])
def test_connections_are_kept_from_one_object_to_the_next_unless_caching_is_off(cloud: SimpleNamespace, *, caching: bool) -> None:
    cloud.s3.put_object(Bucket="raw", Key="empty.json", Body=b"")
    environ = {"OUTPUT_BUCKET": "out", "ENABLE_CACHING": str(caching)}
    one = OptimizedETLProcessor(ETLConfig.from_env(environ))
    assert one.process_event(_notification("empty.json"))["results"][0]["status"] == "empty"
    assert bool(one.processor.pool._buckets) == caching
