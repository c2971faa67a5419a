"""`{"action": "compact"}`: a compaction that an event asks for, within the caller's time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import SettingsError, Unavailable
from flight_etl.runners.compact import TARGET_MB, CompactRequest, compact
from flight_etl.runners.objects import OUTPUT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flight_etl.runners.records import Progress
    from flight_etl.settings import Settings
    from flight_etl.store.objects import Pool

__all__ = ["compact_for"]

_RESERVE_S: Final = 30.0  # s of the caller's time that must be left, to publish
_FIELDS: Final = ("action", "dataset", "bucket", "prefix", "partition", "target_mb")
_MOST_OUTPUTS: Final = 200  # told by name in an answer


def compact_for(
    event: Mapping[str, Any], settings: Settings, pool: Pool, *, remaining_s: Callable[[], float] | None = None
) -> dict[str, Any]:
    """Compact what the event names, and say what was done.

    `dataset` is a URL; or else `bucket` (OUTPUT_BUCKET) and `prefix` (processed/). `partition` is a day, a list of them, or
    left out for all. Raises SettingsError for an event that asks for something else, Unavailable when the caller's time is
    nearly over (nothing has changed then), and as `compact`.
    """
    request = _request(event, settings)

    def watch(_: Progress) -> None:
        if remaining_s is not None and remaining_s() < _RESERVE_S:
            raise Unavailable(
                f"{request.dataset}: no time left to compact it, nothing was changed; give the function more time or memory, "
                "or name one partition"
            )

    report = compact(request, settings, pool=pool, progress=watch)
    return {
        "status": "completed",
        "dataset": request.dataset,
        "partitions": list(request.partitions),
        "inputs": len(report.inputs),
        "read": report.read,
        "written": report.written,
        "dropped": report.dropped,
        "flights": report.flights,
        "outputs": list(report.outputs[:_MOST_OUTPUTS]),
        "notes": list(report.notes),
    }


def _request(event: Mapping[str, Any], settings: Settings) -> CompactRequest:
    unknown = sorted(set(event) - set(_FIELDS))
    if unknown:
        raise SettingsError(f"{unknown[0]}={event[unknown[0]]!r} is not permitted: compact takes {', '.join(_FIELDS[1:])}")
    dataset, bucket = event.get("dataset"), event.get("bucket", settings.service.output_bucket)
    if dataset is None and bucket is None:
        raise SettingsError("dataset is missing: s3://bucket/prefix, or a bucket, or OUTPUT_BUCKET in the environment")
    if dataset is None:
        dataset = f"s3://{bucket}/{event.get('prefix', OUTPUT_PREFIX)}"
    partition = event.get("partition", [])
    days = [partition] if isinstance(partition, str) else partition
    target_mb = event.get("target_mb", TARGET_MB)
    if not isinstance(dataset, str) or not isinstance(days, list) or not all(isinstance(day, str) for day in days):
        raise SettingsError("dataset is text, and partition a date as 2024-03-31 or a list of dates")
    if not isinstance(target_mb, int) or isinstance(target_mb, bool) or target_mb < 1:
        raise SettingsError(f"target_mb={target_mb!r} is not permitted: a whole number of at least 1")
    return CompactRequest(dataset=dataset, partitions=tuple(day.removeprefix("date=") for day in days), target_mb=target_mb)
