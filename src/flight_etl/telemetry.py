"""What a run tells the outside while it works: log lines that people search for, and metrics.

The lines are fixed (DESIGN section 8). Metrics are handed to a `Meter`; the Lambda handler's writes them as CloudWatch
embedded metric format, everybody else's keeps them or drops them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from flight_etl.report import Report

__all__ = ["METRICS", "NAMESPACE", "Meter", "Telemetry"]

NAMESPACE: Final = "ETL"
# Name of a metric and its unit as CloudWatch knows it.
METRICS: Final = {
    "ProcessingTime": "Milliseconds",
    "RecordsProcessed": "Count",
    "CompressionRatio": "None",
    "ErrorRate": "Percent",
    "ThroughputRecordsPerSecond": "Count/Second",
    "MemoryUsage": "Megabytes",
}

logger = logging.getLogger(__name__)


class Meter(Protocol):
    """Takes metrics."""

    def put(self, name: str, value: float) -> None:
        """Take one value of a metric of `METRICS`."""


class Telemetry:
    """Turns what happens into log lines and metrics."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter

    def started(self, source: str, target: str) -> None:
        """An object's work begins."""
        logger.info("Processing %s -> %s", source, target)

    def converted(self, source: str, report: Report) -> None:
        """An object's rows are written."""
        ratio = report.bytes_in / report.bytes_out if report.bytes_out else 0.0
        logger.info("Conversion completed: %d records, compression ratio %.2f", report.written, ratio)
        logger.info("Transformations completed for %s", source)
        self._put("ProcessingTime", report.seconds * 1000)
        self._put("RecordsProcessed", report.read)
        self._put("CompressionRatio", ratio)
        self._put("ThroughputRecordsPerSecond", report.read / report.seconds if report.seconds else 0.0)
        self._put("MemoryUsage", report.peak_rss_mb)

    def failed(self, source: str, error: BaseException) -> None:
        """An object's work has failed for good."""
        text = str(error)
        logger.error("Conversion failed: %s", text if source in text else f"{source}: {text}")

    def finished(self, done: int, failed: int) -> None:
        """All objects of an event have been worked on."""
        if done + failed:
            self._put("ErrorRate", 100.0 * failed / (done + failed))

    def memory_pressure(self, rss_mb: float, limit_mb: float) -> None:
        """Memory came close to its bound; what could be given back was."""
        logger.warning("Memory pressure detected, forced GC", extra={"rss_mb": round(rss_mb), "limit_mb": round(limit_mb)})

    def _put(self, name: str, value: float) -> None:
        if self._meter is not None:
            self._meter.put(name, value)
