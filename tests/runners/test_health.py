"""Health is told with its reasons, and asking changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from faults import Fault, denied, latency
from flight_etl.bench.generate import write
from flight_etl.errors import Unavailable
from flight_etl.resilience import sqs as queues
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from flight_etl.runners.health import health
from flight_etl.runners.processor import Processor
from flight_etl.settings import ResourceSettings, Settings
from servers import fresh_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Command
    from servers import S3, Server

OK = {"input": "ok", "output": "ok", "errors": "ok", "dead_letter_queue": "ok"}


@pytest.fixture
def s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> S3:
    """A fresh bucket of a server that has queues too."""
    return fresh_bucket(moto_server, monkeypatch)


@pytest.fixture
def queue(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.setattr(queues, "_clients", {})
    outside = boto3.client("sqs", region_name="us-east-1", endpoint_url=s3.faults.target)
    url = outside.create_queue(QueueName="health")["QueueUrl"]
    yield SimpleNamespace(url=url, client=outside)
    outside.delete_queue(QueueUrl=url)
    outside.close()


@pytest.fixture
def environ(s3: S3, queue: SimpleNamespace) -> dict[str, str]:
    buckets = dict.fromkeys(("INPUT_BUCKET", "OUTPUT_BUCKET"), s3.name)
    s3.client.create_bucket(Bucket=f"{s3.name}-err")
    return {**buckets, "ERROR_BUCKET": f"{s3.name}-err", "DLQ_QUEUE_URL": queue.url, "MAX_RETRIES": "0"}


def asked(environ: dict[str, str]) -> dict[str, Any]:
    return OptimizedETLProcessor(ETLConfig.from_env(environ)).process_event({"action": "health_check"})


def test_everything_in_order_is_healthy_and_asking_only_reads(s3: S3, queue: SimpleNamespace, environ: dict[str, str]) -> None:
    queue.client.send_message(QueueUrl=queue.url, MessageBody="a letter")
    before = s3.objects()
    s3.faults.forget()
    answer = asked(environ)
    assert (answer["overall_health"], answer["problems"], answer["reachability"]) == ("healthy", [], OK)
    to_buckets = [request for request in s3.faults.requests if s3.name in request.path]
    assert {request.method for request in to_buckets} <= {"GET", "HEAD"}
    assert len(s3.faults.requests) == len(to_buckets) + 1  # and the queue's attributes, which SQS gives to a POST
    assert s3.objects() == before
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=counts)["Attributes"]
    assert [found[name] for name in counts] == ["1", "0"]


def test_the_answer_says_what_works_with_what(environ: dict[str, str]) -> None:
    answer = asked(environ)
    assert answer["error_recovery_statistics"]["circuit_breakers"] == {"s3": "closed", "sqs": "closed"}
    assert answer["error_recovery_statistics"]["success_rate"] == 1.0
    assert answer["decoder"] in ("fast", "reference")
    assert answer["phases"] in ("fast", "reference")
    assert answer["tracks"] in ("fast", "reference")
    assert set(answer["versions"]) >= {"flight_etl", "python", "pyarrow", "numpy"}
    assert set(answer["caches"]) == {"layouts", "airports", "object_heads", "object_disk"}
    assert answer["memory"]["rss_mb"] > 10
    assert answer["memory"]["bound_mb"] == 3008
    assert answer["scratch"]["total_mb"] >= answer["scratch"]["free_mb"] > 0
    json.dumps(answer)


def test_hit_rates_are_those_of_the_objects_done(s3: S3, environ: dict[str, str], tmp_path: Path) -> None:
    one = OptimizedETLProcessor(ETLConfig.from_env(environ))
    assert one.process_event({"action": "health_check"})["caches"]["airports"]["hit_rate"] is None
    for number in range(4):
        write(tmp_path / "in.json", 50, layout="readsb", seed=number)
        s3.put(**{f"k{number}": (tmp_path / "in.json").read_bytes()})
        event = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": s3.name}, "object": {"key": f"k{number}"}}}]}
        assert one.process_event(event)["processed"] == 1
    caches = one.process_event({"action": "health_check"})["caches"]
    assert caches["airports"] == {"hits": 3, "misses": 1, "hit_rate": 0.75}
    assert caches["object_heads"] == {"hits": 4, "misses": 4, "hit_rate": 0.5}
    assert caches["layouts"] == {"hits": 0, "misses": 4, "hit_rate": 0.0}


@pytest.mark.parametrize(
    ("name", "value", "overall", "problem"),
    [
        ("INPUT_BUCKET", "nowhere", "unhealthy", "input: no such bucket"),
        ("OUTPUT_BUCKET", "nowhere", "unhealthy", "output: no such bucket"),
        ("ERROR_BUCKET", "nowhere", "degraded", "errors: no such bucket"),
        ("DLQ_QUEUE_URL", "http://127.0.0.1:9/1/none", "degraded", "dead_letter_queue: queue http://127.0.0.1:9/1/none: "),
    ],
)
def test_a_place_that_does_not_answer_is_named(
    environ: dict[str, str], name: str, value: str, overall: str, problem: str
) -> None:
    answer = asked(environ | {name: value})
    assert answer["overall_health"] == overall
    assert [one.startswith(problem) for one in answer["problems"]] == [True]


@pytest.mark.parametrize(
    ("fault", "problem"), [(denied, "access denied"), (latency(30.0), "cannot read: the store did not answer")]
)
def test_what_is_wrong_is_told_and_is_not_waited_for(s3: S3, environ: dict[str, str], fault: Fault, problem: str) -> None:
    s3.faults.rule = lambda request: fault if s3.name in request.path and "-err" not in request.path else None
    answer = asked(environ)
    assert answer["overall_health"] == "unhealthy"
    for name, told in zip(("input", "output"), answer["problems"], strict=True):
        assert told.startswith(f"{name}: {problem}")


def test_an_open_breaker_degrades(environ: dict[str, str]) -> None:
    one = OptimizedETLProcessor(ETLConfig.from_env(environ))

    def fail() -> None:
        raise Unavailable("down")

    for _ in range(one.processor.breaker.config.failure_threshold):
        with pytest.raises(Unavailable):
            one.processor.breaker.call(fail)
    answer = one.process_event({"action": "health_check"})
    assert answer["overall_health"] == "degraded"
    assert answer["problems"] == ["circuit breaker 's3' is open"]
    assert answer["error_recovery_statistics"]["circuit_breakers"]["s3"] == "open"


def test_memory_close_to_its_bound_degrades_and_missing_scratch_is_unhealthy(tmp_path: Path) -> None:
    answer = health(Processor(Settings(), memory_bound_mb=1.0))
    assert answer["overall_health"] == "degraded"
    assert "of 1 MB in use" in answer["problems"][0]
    gone = replace(Settings(), resources=ResourceSettings(spill_dir=str(tmp_path / "gone")))
    answer = health(Processor(gone))
    assert (answer["overall_health"], len(answer["problems"])) == ("unhealthy", 1)
    assert str(tmp_path / "gone") in answer["problems"][0]


def test_the_command_tells_people_and_machines_and_exits_by_health(etl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    well = etl("health")
    assert (well.code, well.out.startswith("healthy; ")) == (0, True)
    assert etl("health", "--json").json["overall_health"] == "healthy"
    monkeypatch.setenv("OUTPUT_BUCKET", "nowhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    ill = etl("health", "--json")
    assert (ill.code, ill.json["overall_health"]) == (1, "unhealthy")
    told = etl("health")
    assert (told.code, told.err.startswith("problem: output: ")) == (1, True)


@pytest.mark.parametrize("arguments", [["health", "--json"], ["dlq", "list", "--json"]])
def test_a_local_set_up_needs_no_cloud_library(tmp_path: Path, arguments: list[str]) -> None:
    """In a process in which nothing of the extra `aws` can be imported."""
    code = f"""
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {{"aws_lambda_powertools", "boto3", "botocore", "cachetools", "obstore", "stamina"}}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
from flight_etl.runners.cli import main
main({arguments!r})
"""
    environ = {name: value for name, value in os.environ.items() if not name.endswith(("_BUCKET", "_URL"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [] or json.loads(done.stdout)["overall_health"] == "healthy"
    assert list(tmp_path.iterdir()) == []
