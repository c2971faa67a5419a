"""The handler under the genuine runtime client, in a process of its own: from the checkout, and from the unpacked package."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud import Cloud, cloud_at, event_bridge, notification, s3_record, sns_event, sns_message, sqs_event
from faults import Fault, fault_proxy, latency
from flight_etl.bench.generate import write
from lambda_runtime import HANDLER, StartFailedError, runtime_folder, started
from servers import moto

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from faults import FaultProxy
    from lambda_runtime import Invocation, LambdaRuntime

    class Start(Protocol):
        """Starts a process with settings beyond those of the cloud."""

        def __call__(
            self, cloud: Cloud, /, *, memory_mb: int = ..., probe: bool = ..., cwd: Path | None = ..., **environment: str
        ) -> AbstractContextManager[LambdaRuntime]:
            """Give the running process."""


SRC = Path(__file__).parents[2] / "src"
POISON = b'{"time": 1, "states": [["40621d", "X", "UK", 1, 1, 0'
ANSWER_BYTES = 6 * 1024 * 1024  # the most that a synchronous invocation may answer (Lambda quotas)
SIX = {"ProcessingTime", "RecordsProcessed", "CompressionRatio", "ErrorRate", "ThroughputRecordsPerSecond", "MemoryUsage"}
HEAVY = {
    *("boto3", "botocore.session", "pyarrow.dataset", "matplotlib", "pandas", "pyspark", "duckdb", "polars", "rich", "click"),
    *("flight_etl.bench", "http.server"),
}

# Stands behind everything else on the search path: the handler, and a look at the process that it runs in.
PROBE = """
import sys
import main_etl_processor

def handler(event, context):
    if event == "modules":
        return {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    return main_etl_processor.lambda_handler(event, context)
"""


@dataclass(frozen=True)
class Code:
    """Where modules come from: the folders searched, and whether the standard library is all there is besides."""

    path: tuple[Path, ...]
    isolated: bool


@pytest.fixture(scope="module", params=["checkout", pytest.param("package", marks=pytest.mark.slow)])
def code(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Code:
    probe = tmp_path_factory.mktemp("probe")
    (probe / "probe.py").write_text(PROBE)
    if request.param == "checkout":
        return Code((SRC / "lambda" / "etl", SRC, probe), isolated=False)
    root: Path = request.getfixturevalue("lambda_root")
    return Code((root, runtime_folder(tmp_path_factory.mktemp("runtime")), probe), isolated=True)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(endpoint: str) -> Iterator[FaultProxy]:
    with fault_proxy(endpoint) as found:
        yield found


@pytest.fixture(scope="module")
def cloud(endpoint: str, code: Code) -> Iterator[Cloud]:
    del code  # one for each, since the tests begin with nothing done
    with cloud_at(endpoint) as found:
        yield found


@pytest.fixture(scope="module")
def start(code: Code) -> Start:
    @contextmanager
    def process(
        cloud: Cloud, /, *, memory_mb: int = 3008, probe: bool = False, cwd: Path | None = None, **environment: str
    ) -> Iterator[LambdaRuntime]:
        handler = "probe.handler" if probe else HANDLER
        settings = cloud.environment | environment
        with started(code.path, settings, handler=handler, memory_mb=memory_mb, isolated=code.isolated, cwd=cwd) as running:
            yield running

    return process


@pytest.fixture(scope="module")
def runtime(start: Start, cloud: Cloud) -> Iterator[LambdaRuntime]:
    """One process for all tests that leave it as it was."""
    with start(cloud) as running:
        yield running


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sample") / "states.json.gz"
    write(path, 3_000, layout="opensky", complexity="complex")
    return path.read_bytes()


def _metric(found: Invocation, name: str) -> list[float]:
    """All values of a metric of an invocation."""
    return [value for one in found.metrics for value in one.get(name, [])]


def _check_emf(documents: Sequence[dict[str, Any]]) -> None:
    """CloudWatch embedded metric format specification: what a document must have, and at most."""
    for one in documents:
        (directive,) = one["_aws"]["CloudWatchMetrics"]
        assert isinstance(one["_aws"]["Timestamp"], int)
        assert directive["Namespace"] == "ETL"
        assert directive["Dimensions"] == [["service"]]  # nothing that has as many values as there are objects
        assert one["service"] == "flight-etl"
        assert 1 <= len(directive["Metrics"]) <= 100
        for metric in directive["Metrics"]:
            assert metric["Unit"] in {"Milliseconds", "Count", "None", "Percent", "Count/Second", "Megabytes"}
            values = one[metric["Name"]]
            assert 1 <= len(values) <= 100
            assert all(isinstance(value, int | float) for value in values)


# -- one object ----------------------------------------------------------------------------------------------------------


def test_an_event_becomes_parquet_metrics_and_log_lines(start: Start, cloud: Cloud, sample: bytes) -> None:
    key = "in/a b+ü=1.json.gz"
    cloud.put(key, sample)
    with start(cloud) as fresh:
        cold = fresh.invoke(notification(cloud, key))
        warm = fresh.invoke(notification(cloud, key))
    source, target = f"s3://{cloud.raw}/{key}", f"s3://{cloud.out}/processed/{cloud.raw}/{key}.parquet"
    assert cold.answer["results"] == [{"source": source, "status": "written", "outputs": [target]}]
    assert warm.answer["results"][0]["status"] == "unchanged"
    rows = cloud.rows(key)
    assert rows > 2_900
    told = cold.messages("INFO")
    assert told[0] == f"Processing {source} -> {target}"
    assert told[1].startswith(f"Conversion completed: {rows} records, compression ratio ")
    assert told[2] == f"Transformations completed for {source}"
    assert len(cold.logs) + len(cold.metrics) == len(cold.lines)  # every line is one JSON document, and comes once
    assert {one["function_request_id"] for one in cold.logs} == {cold.request_id}
    assert {one["correlation_id"] for one in warm.logs} == {warm.request_id}
    _check_emf(cold.metrics + warm.metrics)
    assert {name for one in cold.metrics for name in one} >= SIX
    assert _metric(cold, "RecordsProcessed") == [3_000]
    assert (_metric(cold, "ColdStart"), _metric(warm, "ColdStart")) == ([1.0], [])


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda cloud, key: sqs_event(notification(cloud, key)), id="SQS"),
        pytest.param(lambda cloud, key: sns_event(notification(cloud, key)), id="SNS"),
        pytest.param(lambda cloud, key: sqs_event(sns_message(notification(cloud, key))), id="SQS-SNS"),
        pytest.param(event_bridge, id="EventBridge"),
        pytest.param(lambda cloud, key: sqs_event(event_bridge(cloud, key)), id="SQS-EventBridge"),
        pytest.param(lambda cloud, key: sns_event(event_bridge(cloud, key)), id="SNS-EventBridge"),
        pytest.param(lambda cloud, key: {"BatchInput": {"bucket": cloud.raw}, "Items": [{"Key": key}]}, id="DistributedMap"),
    ],
)
def test_every_wrapping_leads_to_the_output(
    runtime: LambdaRuntime, cloud: Cloud, sample: bytes, wrap: Any, request: pytest.FixtureRequest
) -> None:
    key = f"{request.node.callspec.id}/a+b %41.json.gz"
    cloud.put(key, sample)
    event = wrap(cloud, key)
    found = runtime.invoke(event)
    if event.get("Records", [{}])[0].get("eventSource") == "aws:sqs":
        assert found.answer == {"batchItemFailures": []}
    else:
        assert (found.answer["status"], found.answer["processed"]) == ("completed", 1)
    assert cloud.rows(key) > 2_900
    assert found.metrics


def test_logs_carry_the_id_by_which_the_sender_knows_the_event(runtime: LambdaRuntime, cloud: Cloud) -> None:
    bridge = runtime.invoke(event_bridge(cloud, "none", identity="from-event-bridge"))
    queue = runtime.invoke(sqs_event(notification(cloud, "none")))
    assert {one["correlation_id"] for one in bridge.logs} == {"from-event-bridge"}
    assert {one["correlation_id"] for one in queue.logs} == {"m0"}


def test_events_that_ask_for_nothing_are_acknowledged(runtime: LambdaRuntime, cloud: Cloud) -> None:
    events = [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": cloud.raw},
        {"Records": [s3_record(cloud, "k", name="ObjectRemoved:Delete")]},
        notification(cloud, "folder/"),
    ]
    for event in events:
        found = runtime.invoke(event)
        assert (found.answer["status"], found.answer["ignored"], found.answer["processed"]) == ("completed", 1, 0)
        assert found.metrics == []  # no error, nor anything else
    assert runtime.invoke(sqs_event(*events)).answer == {"batchItemFailures": []}


# -- failures ------------------------------------------------------------------------------------------------------------


def test_after_an_error_the_same_process_serves_the_next_event(runtime: LambdaRuntime, cloud: Cloud) -> None:
    failed = runtime.invoke({"action": "dance"})
    assert failed.error is not None
    assert failed.error["errorType"] == "SettingsError"
    assert "health_check or process_dlq" in failed.error["errorMessage"]
    assert failed.error["stackTrace"]
    assert runtime.invoke(notification(cloud, "none")).answer["results"][0]["status"] == "gone"


def test_a_wrong_setting_is_told_by_name_at_each_event(start: Start, cloud: Cloud) -> None:
    with start(cloud, CHUNK_SIZE="many") as wrong:
        for _ in range(2):
            found = wrong.invoke(notification(cloud, "none"))
            assert found.error is not None
            assert found.error["errorType"] == "SettingsError"
            assert "CHUNK_SIZE='many' is not permitted: a whole number, 1 to " in found.error["errorMessage"]


def test_what_is_missing_from_the_package_is_an_error_at_the_start(cloud: Cloud, tmp_path: Path) -> None:
    path = (SRC / "lambda" / "etl", runtime_folder(tmp_path))
    with pytest.raises(StartFailedError) as ended, started(path, cloud.environment, isolated=True):
        pass
    assert ended.value.code == 1
    assert ended.value.answer is not None
    assert ended.value.answer["errorType"] == "Runtime.ImportModuleError"
    assert "flight_etl" in ended.value.answer["errorMessage"]


def test_three_of_ten_are_poisoned_and_replay_empties_the_queue(start: Start, endpoint: str, sample: bytes) -> None:
    with cloud_at(endpoint) as cloud, start(cloud) as running:
        keys = [f"k{number}" for number in range(10)]
        for number, key in enumerate(keys):
            cloud.put(key, POISON if number in (2, 5, 7) else sample)
        found = running.invoke(sqs_event(*(notification(cloud, key) for key in keys)))
        assert found.answer == {"batchItemFailures": []}
        assert cloud.outputs() == [keys[number] for number in (0, 1, 3, 4, 6, 8, 9)]
        told = found.messages("ERROR")
        assert [line.startswith("Conversion failed: ") for line in told] == [True] * 3
        assert [f"s3://{cloud.raw}/k{number}" in line for number, line in zip((2, 5, 7), told, strict=True)] == [True] * 3
        assert _metric(found, "ErrorRate") == [30.0]
        assert {letter["key"] for letter in cloud.letters()} == {"k2", "k5", "k7"}
        dry = running.invoke({"action": "process_dlq", "max_records": 10, "dry_run": True}).answer
        assert dry["records_reprocessed"] == 3
        for number in (2, 5, 7):
            cloud.put(keys[number], sample)
        done = running.invoke({"action": "process_dlq", "max_records": 10}).answer
        assert (done["status"], done["records_reprocessed"], done["records_failed"]) == ("completed", 3, 0)
        assert cloud.outputs() == keys
        assert cloud.letters() == []
        health = running.invoke({"action": "health_check"}).answer
        assert health["overall_health"] == "healthy", health["problems"]
        assert health["error_recovery_statistics"]["dead"] == 3


def test_all_bad_are_all_named_and_nothing_is_raised(start: Start, cloud: Cloud) -> None:
    """Where letters cannot be written either, the queue must have its messages again."""
    with start(cloud, DLQ_QUEUE_URL="http://127.0.0.1:9/none", ERROR_BUCKET="", MAX_RETRIES="0") as lost:
        found = lost.invoke(sqs_event(*["garbage"] * 3))
        assert found.answer == {"batchItemFailures": [{"itemIdentifier": f"m{number}"} for number in range(3)]}
        direct = lost.invoke({"no": "event"})
        assert direct.error is not None
        assert "neither done nor in the dead-letter queue" in direct.error["errorMessage"]


def test_a_failing_store_opens_the_breaker_and_says_so_in_the_documented_words(
    start: Start, cloud: Cloud, proxy: FaultProxy, sample: bytes
) -> None:
    cloud.put("unreachable", sample)
    proxy.forget()
    proxy.rule = lambda request: Fault("status", 500, "InternalError") if cloud.raw in request.path else None
    with start(cloud, AWS_ENDPOINT_URL=proxy.url, MAX_RETRIES="4") as running:
        found = running.invoke(sqs_event(*[notification(cloud, "unreachable")] * 3), timeout_s=25.0)
        assert len(found.answer["batchItemFailures"]) == 3
        assert "Circuit breaker 's3' opened due to failures" in found.messages("ERROR")
        assert len(found.logs) + len(found.metrics) == len(found.lines)
        assert len([request for request in proxy.requests if cloud.raw in request.path]) == 10  # then it is left alone
        health = running.invoke({"action": "health_check"}).answer
        assert health["error_recovery_statistics"]["circuit_breakers"]["s3"] == "open"
        assert health["overall_health"] != "healthy"


def test_memory_pressure_is_told_in_the_documented_words(start: Start, cloud: Cloud, sample: bytes) -> None:
    """In a function of 128 MB there is no room beside the libraries; the work is done all the same."""
    cloud.put("tight", sample)
    with start(cloud, memory_mb=128, LOG_LEVEL="WARNING") as tight:
        found = [tight.invoke(notification(cloud, key)) for key in ("tight", "none")]
    assert found[0].answer["results"][0]["status"] == "written"
    assert {line for one in found for line in one.messages("WARNING")} == {"Memory pressure detected, forced GC"}
    assert not [line for one in found for line in one.messages("INFO")]


# -- time ----------------------------------------------------------------------------------------------------------------


def test_with_too_little_time_nothing_is_begun_and_everything_is_given_back(
    runtime: LambdaRuntime, cloud: Cloud, sample: bytes
) -> None:
    keys = [f"late/{number}" for number in range(3)]
    for key in keys:
        cloud.put(key, sample)
    found = runtime.invoke(sqs_event(*(notification(cloud, key) for key in keys)), timeout_s=5.0)
    assert found.answer == {"batchItemFailures": [{"itemIdentifier": f"m{number}"} for number in range(3)]}
    assert not [line for line in found.messages("INFO") if line.startswith("Processing ")]
    assert _metric(found, "ErrorRate") == [100.0]
    direct = runtime.invoke(notification(cloud, *keys), timeout_s=5.0)
    assert direct.error is not None
    assert "3 objects neither done nor in the dead-letter queue" in direct.error["errorMessage"]
    assert not set(keys) & set(cloud.outputs())
    assert runtime.invoke(notification(cloud, *keys)).answer["processed"] == 3


@pytest.mark.slow
def test_an_object_that_takes_too_long_is_given_back_before_the_process_is_stopped(
    start: Start, cloud: Cloud, proxy: FaultProxy, sample: bytes
) -> None:
    cloud.put("slow", sample)
    proxy.forget()
    proxy.rule = lambda request: latency(10.0) if request.method == "GET" and request.path.endswith("/slow") else None
    with start(cloud, AWS_ENDPOINT_URL=proxy.url) as running:
        found = running.invoke(sqs_event(notification(cloud, "slow")), timeout_s=12.0)
        assert found.answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
        assert any("not done within the" in line for line in found.messages("ERROR"))
        assert "slow" not in cloud.outputs()
        proxy.rule = lambda _: None
        assert running.invoke(sqs_event(notification(cloud, "slow"))).answer == {"batchItemFailures": []}
    assert cloud.rows("slow") > 2_900


@pytest.mark.slow
def test_a_process_stopped_at_its_deadline_leaves_nothing_half_done(
    start: Start, cloud: Cloud, proxy: FaultProxy, sample: bytes
) -> None:
    """A request that hangs cannot be given up in time; the event comes again, to another process."""
    cloud.put("hangs", sample)
    proxy.forget()
    proxy.rule = lambda request: latency(60.0) if request.method == "GET" and request.path.endswith("/hangs") else None
    with start(cloud, AWS_ENDPOINT_URL=proxy.url) as running:
        assert running.invoke(notification(cloud, "hangs"), timeout_s=12.0).timed_out
    assert "hangs" not in cloud.outputs()
    with start(cloud) as another:
        assert another.invoke(notification(cloud, "hangs")).answer["results"][0]["status"] == "written"


def test_what_a_stopped_process_left_on_disk_is_swept_by_the_next(start: Start, cloud: Cloud) -> None:
    left = Path(f"/tmp/flight-etl-{uuid.uuid4().hex}")  # the one folder that may be written in Lambda
    left.mkdir()
    (left / "file").write_text("x")
    left.with_name(f"{left.name}.lock").touch()
    with start(cloud) as another:
        assert another.invoke(notification(cloud, "none")).answer["processed"] == 1
    assert not left.exists()


# -- size ----------------------------------------------------------------------------------------------------------------


def test_ten_thousand_records_are_answered_within_the_limit(runtime: LambdaRuntime, cloud: Cloud) -> None:
    found = runtime.invoke(notification(cloud, *(f"{'long' * 100}/{number}.parquet" for number in range(10_000))))
    assert found.answer["processed"] == 10_000
    assert found.answer["statuses"] == {"refused": 10_000}
    assert len(found.payload) < ANSWER_BYTES
    _check_emf(found.metrics)


def test_ten_thousand_records_in_error_are_answered_within_the_limit(start: Start, cloud: Cloud, tmp_path: Path) -> None:
    """No letter can be written, as in the folder of a function: each is named to its queue, or the event raised."""
    (tmp_path / ".flight-etl-dead-letters").write_text("no folder can be made here")
    with start(cloud, cwd=tmp_path, DLQ_QUEUE_URL="", ERROR_BUCKET="") as lost:
        queue = lost.invoke(sqs_event(*["garbage " * 10] * 10_000))
        assert len(queue.answer["batchItemFailures"]) == 10_000
        assert len(queue.payload) < ANSWER_BYTES
        direct = lost.invoke({"Records": ["garbage " * 1_000] * 10_000})
        assert direct.error is not None
        assert direct.error["errorMessage"].startswith("10000 objects neither done nor in the dead-letter queue: ")
        assert len(json.dumps(direct.error)) < 10_000
        _check_emf(queue.metrics + direct.metrics)


@pytest.mark.slow
def test_a_large_input_stays_within_the_memory_of_the_function(start: Start, cloud: Cloud, tmp_path: Path) -> None:
    """RSS of the whole process, as the kernel counted it, against 0.8 of what a small function has, in MiB as Lambda counts."""
    path = tmp_path / "large.ndjson.gz"
    write(path, 600_000, layout="flat", complexity="complex")
    cloud.put("large", path.read_bytes())
    with start(cloud, memory_mb=512, MAX_WORKERS="2") as small:
        found = small.invoke(notification(cloud, "large"), timeout_s=600)
        assert found.answer["results"][0]["status"] == "written"
        assert _metric(found, "RecordsProcessed") == [600_000]
        assert found.peak_rss_mb * 1e6 < 0.8 * 512 * 2**20


@pytest.mark.slow
def test_two_hundred_warm_invocations_do_not_grow(start: Start, cloud: Cloud, sample: bytes) -> None:
    """After fifty, all that is made once has been made. A leak of one small object's rows (about 1 MB) would be 150 MB."""
    with start(cloud) as running:
        rss = []
        for number in range(200):
            key = f"warm/{number}"
            cloud.put(key, sample)
            found = running.invoke(notification(cloud, key) if number % 20 else notification(cloud, key, "none", key))
            assert found.answer["results"][0]["status"] == "written"
            rss.append(found.rss_mb)
    settled = rss[50:]
    middle = (len(settled) - 1) / 2
    spread = sum((at - middle) ** 2 for at in range(len(settled)))
    slope_mb = sum((at - middle) * value for at, value in enumerate(settled)) / spread  # MB per invocation, least squares
    assert slope_mb * 150 < 15, f"{slope_mb * 150:.1f} MB in 150 invocations: {rss[::10]}"


# -- what is loaded ------------------------------------------------------------------------------------------------------


def test_nothing_heavy_is_loaded_by_an_invocation(start: Start, code: Code, cloud: Cloud, sample: bytes) -> None:
    cloud.put("modules", sample)
    with start(cloud, probe=True) as running:
        assert running.invoke(notification(cloud, "none")).answer["results"][0]["status"] == "gone"
        assert not {"pyarrow", "numpy"} & set(running.invoke("modules").answer)  # which are most of a cold start
        assert running.invoke(notification(cloud, "modules")).answer["results"][0]["status"] == "written"
        modules: dict[str, str | None] = running.invoke("modules").answer
    loaded = HEAVY & set(modules)
    assert loaded <= (set() if code.isolated else {"pandas", "pyarrow.dataset"})  # pandas and pyarrow import each other
    if code.isolated:
        for name in ("flight_etl", "pyarrow", "numpy", "obstore", "orjson", "aws_lambda_powertools", "stamina"):
            assert Path(modules[name] or "").is_relative_to(code.path[0]), name
