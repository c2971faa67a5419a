"""The Lambda handler: events in, answers out. Everything that lives between two invocations is made once."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from flight_etl.errors import FlightEtlError, SettingsError, Unavailable
from flight_etl.resilience.deadletter import DeadLetterConfig
from flight_etl.runners.health import health
from flight_etl.runners.processor import Processor
from flight_etl.runners.scratch import sweep
from flight_etl.runners.tuning import TUNING
from flight_etl.settings import Settings, from_env
from flight_etl.settings_rules import check, override
from flight_etl.telemetry import METRICS, NAMESPACE, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flight_etl.runners.processor import Delivery
    from flight_etl.runners.tuning import Tuning

__all__ = ["ETLConfig", "OptimizedETLProcessor", "Optimizer", "lambda_defaults", "lambda_handler"]

_SERVICE: Final = "flight-etl"
_MEMORY_SHARE: Final = 0.8  # of the function's memory; the rest is the runtime's
_MOST_RESULTS: Final = 200  # objects told one by one in an answer, which may have 6 MB
_MOST_TEXT: Final = 500  # characters of one error in an answer


def lambda_defaults() -> Settings:
    """Settings where the environment says nothing (DESIGN section 7)."""
    settings = override(Settings(), "resources", "memory_limit_mb", 3008)
    settings = override(settings, "resources", "workers", 4)
    return override(settings, "resources", "spill_dir", "/tmp")  # noqa: S108 - the only folder that may be written there


@dataclass(frozen=True, kw_only=True)
class ETLConfig:
    """Configuration of the processor: all settings, from the environment unless given. `dead_letters` goes before them."""

    settings: Settings = field(default_factory=lambda: from_env(base=lambda_defaults()))
    dead_letters: DeadLetterConfig = field(default_factory=DeadLetterConfig)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ETLConfig:
        """Read the environment (or what stands for it)."""
        return cls(settings=from_env(environ, base=lambda_defaults()))


class Optimizer(Protocol):
    """What `performance_optimizer.PerformanceOptimizer` has."""

    def settings(self, base: Settings, /) -> Settings:
        """Give the settings with its own in the place of some of them."""

    def tuning(self) -> Tuning:
        """Say how the process is to work."""

    def prepare(self) -> None:
        """Load what is to be there before the first event."""


class OptimizedETLProcessor:
    """Answers events. `process_event` does what `lambda_handler` does, with a configuration, and an optimizer, of its own."""

    def __init__(self, config: ETLConfig | None = None, optimizer: Optimizer | None = None) -> None:
        self.config = config or ETLConfig()
        if optimizer is not None:
            self.config = replace(self.config, settings=optimizer.settings(self.config.settings))
            optimizer.prepare()
        check(self.config.settings)
        self._logger, self._metrics = _observability(self.config.settings)
        self.processor = Processor(
            self.config.settings,
            telemetry=Telemetry(_EmfMeter(self._metrics)),
            dead_letters=self.config.dead_letters,
            tuning=TUNING if optimizer is None else optimizer.tuning(),
        )

    def process_event(self, event: Any, context: Any = None) -> dict[str, Any]:
        """Answer an event. Raises when a direct event could be neither done nor written to the dead-letter queue."""
        remaining_s = _remaining(context)
        self._bound_memory(context)
        request = getattr(context, "aws_request_id", None)
        self._logger.append_keys(function_request_id=request, correlation_id=_correlation(event) or request)
        self._metrics.count_cold_start(context)
        try:
            action = event.get("action") if isinstance(event, dict) else None
            if action is not None:
                return self._act(str(action), event, remaining_s)
            return _answer(self.processor.deliver(event, remaining_s=remaining_s), is_queue=_is_queue(event))
        finally:
            self._metrics.flush()

    def _act(self, action: str, event: dict[str, Any], remaining_s: Callable[[], float] | None) -> dict[str, Any]:
        if action == "health_check":
            return health(self.processor)
        if action == "process_dlq":
            most = event.get("max_records", 10)
            if not isinstance(most, int) or isinstance(most, bool) or most < 1:
                raise SettingsError(f"max_records={most!r} is not permitted: a whole number of at least 1")
            done = self.processor.process_dead_letters(
                max_records=most,
                remaining_s=remaining_s,
                dry_run=event.get("dry_run") is True,
                parked=event.get("parked") is True,
            )
            return {
                "status": "completed" if not (done.failed or done.left) else "partial",
                "records_reprocessed": done.reprocessed,
                "records_failed": done.failed,
                "records_parked": done.parked,
                "deadline_reached": done.left,
                "errors": [error[:_MOST_TEXT] for error in done.errors],
            }
        if action == "compact":
            from flight_etl.runners.compact_event import compact_for

            return compact_for(event, self.processor.settings, self.processor.pool, remaining_s=remaining_s)
        raise SettingsError(f"action={action!r} is not permitted: compact, health_check or process_dlq")

    def _bound_memory(self, context: Any) -> None:
        """The bound is the smaller of the setting and 0.8 of the function's memory."""
        whole = getattr(context, "memory_limit_in_mb", None)
        limit = self.config.settings.resources.memory_limit_mb
        if whole is None or limit is None:
            self.processor.memory_bound_mb = limit
            return
        bound = min(limit, int(int(whole) * _MEMORY_SHARE))
        self.processor.memory_bound_mb = bound
        resources = replace(self.processor.settings.resources, memory_limit_mb=bound)
        self.processor.settings = replace(self.processor.settings, resources=resources)


def _remaining(context: Any) -> Callable[[], float] | None:
    """Seconds until the function is stopped; None where the context does not say."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    return None if left is None else lambda: left() / 1000.0


def _correlation(event: Any) -> str | None:
    """Give the id under which EventBridge, or SQS for a single message, knows the event; others have none."""
    if not isinstance(event, dict):
        return None
    if _is_queue(event) and len(event["Records"]) == 1:
        event = {"id": event["Records"][0].get("messageId")}
    found = event.get("id")
    return found if isinstance(found, str) else None


def _is_queue(event: Any) -> bool:
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        return False
    return all(isinstance(one, dict) and one.get("eventSource") == "aws:sqs" for one in records)


def _answer(delivery: Delivery, *, is_queue: bool) -> dict[str, Any]:
    if is_queue:
        return {"batchItemFailures": [{"itemIdentifier": name} for name in delivery.again]}
    if delivery.undone:
        shown = "; ".join(str(error)[:_MOST_TEXT] for error in delivery.undone[:5])
        raise Unavailable(f"{len(delivery.undone)} objects neither done nor in the dead-letter queue: {shown}")
    results = [{"source": r.source, "status": str(r.status), "outputs": list(r.outputs)} for r in delivery.results]
    statuses = Counter(str(result.status) for result in delivery.results)
    return {
        "status": "completed" if not delivery.dead else "partial",
        "processed": len(delivery.results),
        "dead_lettered": len(delivery.dead),
        "ignored": len(delivery.ignored),
        "statuses": dict(sorted(statuses.items())),
        "results": results[:_MOST_RESULTS],
    }


class _Metrics:
    """CloudWatch embedded metric format on standard output, through Powertools."""

    def __init__(self) -> None:
        from aws_lambda_powertools import Metrics

        self._metrics = Metrics(namespace=NAMESPACE, service=_SERVICE)
        self._cold = True
        self._values = 0

    def put(self, name: str, value: float) -> None:
        self._metrics.add_metric(name=name, unit=METRICS[name], value=value)
        self._values += 1
        if self._values >= 90:  # noqa: PLR2004 - a blob holds a hundred values of a metric
            self.flush()

    def count_cold_start(self, context: Any) -> None:
        if self._cold and context is not None:
            self._metrics.add_metric(name="ColdStart", unit="Count", value=1)
            self._values += 1
        self._cold = False

    def flush(self) -> None:
        if self._values:
            self._metrics.flush_metrics()
        self._values = 0


class _EmfMeter:
    def __init__(self, metrics: _Metrics) -> None:
        self._metrics = metrics

    def put(self, name: str, value: float) -> None:
        self._metrics.put(name, value)


def _observability(settings: Settings) -> tuple[Any, _Metrics]:
    """JSON logs for all of our modules and for retries, and metrics."""
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.logging import utils

    logger = Logger(service=_SERVICE, level=settings.service.log_level)
    logger.append_keys(environment=settings.service.environment)
    logging.getLogger("stamina")  # it tells of retries, and makes its logger at the first one
    utils.copy_config_to_registered_loggers(
        source_logger=logger, include={"flight_etl", "stamina"}, log_level=settings.service.log_level
    )
    return logger, _Metrics()


_processor: OptimizedETLProcessor | None = None


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """Answer an event of S3, EventBridge, SNS or SQS, a batch of a Distributed Map, or an action (DESIGN section 8)."""
    global _processor  # noqa: PLW0603 - what a warm start reuses
    if _processor is None:
        _processor = OptimizedETLProcessor()
        sweep(_processor.config.settings.resources.spill_dir)
    return _processor.process_event(event, context)


def main() -> None:
    """Run a sample from end to end on this machine: generated snapshots in, a data set out."""
    import json
    import sys
    import tempfile
    from pathlib import Path

    from flight_etl.bench.generate import write
    from flight_etl.runners import local

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "states.json.gz"
        write(sample, 20_000, layout="opensky", complexity="complex")
        try:
            report = local.run([str(sample)], str(Path(folder) / "out"), from_env())
        except FlightEtlError as error:
            sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")  # noqa: PTH119
    summary = report.to_json() | {"seconds": round(time.monotonic() - began, 3), "inputs": len(report.inputs)}
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
