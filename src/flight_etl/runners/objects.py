"""One object in, its Parquet objects out: what the Lambda handler and the worker do for each event.

Output keys depend on bucket, key and partition alone, and their bytes on the input's content and the settings, so doing the
same object twice gives the same objects. Each is written by a conditional request: created when absent, replaced only by a
newer event, so that doubled, late and concurrent events change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from flight_etl.errors import NotFound, SettingsError
from flight_etl.runners.means import MEANS
from flight_etl.runners.scratch import scratch_folder
from flight_etl.store.object_newest import Mark, put_if_newer
from flight_etl.store.object_source import ObjectSource
from flight_etl.store.places import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flight_etl.report import Report
    from flight_etl.runners.events import ObjectRef
    from flight_etl.runners.means import Means
    from flight_etl.settings import Settings
    from flight_etl.store.objects import Bucket, ObjectInfo, Pool

__all__ = ["OUTPUT_PREFIX", "Result", "Status", "check_places", "output_key", "process_object"]

OUTPUT_PREFIX: Final = "processed/"  # where outputs go in the bucket of the input, when no other bucket is named
QUARANTINE_PREFIX: Final = "quarantine/"
_SUFFIX: Final = ".parquet"
_PARTS: Final = "parts"  # name in an output's metadata for the number of files that it has


class Status(StrEnum):
    """What became of an object."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"  # the outputs were there already, from the same version
    SUPERSEDED = "superseded"  # the outputs there are from a newer event
    EMPTY = "empty"  # zero bytes, or no records in a valid envelope
    GONE = "gone"  # deleted before its event came
    REFUSED = "refused"  # an output of ours, or from a bucket that is not to be read


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The account of one object. `report` is None where no record was read."""

    source: str
    status: Status
    outputs: tuple[str, ...] = ()
    report: Report | None = None


def check_places(settings: Settings) -> None:
    """Raise SettingsError where outputs would come back as events: a folder of ours must be told from inputs."""
    service = settings.service
    if service.error_bucket is not None and service.error_bucket == service.input_bucket == service.output_bucket:
        raise SettingsError(
            f"INPUT_BUCKET, OUTPUT_BUCKET and ERROR_BUCKET are all {service.error_bucket!r}: "
            "put at least the dead letters elsewhere"
        )


def _is_ours(ref: ObjectRef, settings: Settings) -> bool:
    """Whether an object is one that we write ourselves, so that reading it would go round in circles."""
    if ref.key.lower().endswith(_SUFFIX):
        return True
    own = (OUTPUT_PREFIX, QUARANTINE_PREFIX, "dead-letters/")
    written = {settings.service.output_bucket or ref.bucket, settings.service.error_bucket or ref.bucket}
    return ref.bucket in written and ref.key.startswith(own)


def output_key(ref: ObjectRef, name: str) -> str:
    """Key of the output for data file `name` (as part-00000.parquet, or below date=YYYY-MM-DD/) of an input object."""
    folder, _, file = name.rpartition("/")
    number = file.removeprefix("part-").removesuffix(_SUFFIX)
    part = "" if number.strip("0") == "" else f".{number}"
    inside = f"{folder}/" if folder else ""
    return f"{OUTPUT_PREFIX}{inside}{ref.bucket}/{ref.key}{part}{_SUFFIX}"


def _quarantine_key(ref: ObjectRef) -> str:
    return f"{QUARANTINE_PREFIX}{ref.bucket}/{ref.key}.ndjson"


def process_object(
    ref: ObjectRef,
    settings: Settings,
    pool: Pool,
    *,
    started: Callable[[str, str], None] = lambda *_: None,
    scratch: str | None = None,
    means: Means = MEANS,
) -> Result:
    """Turn one object into its Parquet objects. Raises InputError for a bad one, and what the stores raise.

    An object that has been overwritten since its event is read in its newest version, unless the event names a version.
    What `means.between` raises ends the work, and leaves nothing half-written.
    """
    target_name = settings.service.output_bucket or ref.bucket
    source_name = str(ref)
    expected = settings.service.input_bucket
    if _is_ours(ref, settings) or (expected is not None and ref.bucket != expected):
        return Result(source=source_name, status=Status.REFUSED)
    started(source_name, f"s3://{target_name}/{output_key(ref, 'part-00000.parquet')}")
    try:
        source = ObjectSource.find(pool.bucket(ObjectUrl("s3", ref.bucket, "")), ref.key, version=ref.version_id)
    except NotFound:
        return Result(source=source_name, status=Status.GONE)
    target = pool.bucket(ObjectUrl("s3", target_name, ""))
    mark = _mark(ref, source.info)
    there = _existing(target, output_key(ref, "part-00000.parquet"))  # with partitions, only writing can tell
    if there is not None and (kept := _kept(ref, mark, Mark.of(there.metadata))) is not None:
        return Result(source=source_name, status=kept, outputs=(str(there.url),))
    with scratch_folder(scratch) as folder:
        if source.size_bytes == 0:
            result = Result(source=source_name, status=Status.EMPTY)
        else:
            result = _produced(ref, source, target, settings, mark, folder, means)
        if there is not None:
            _empty_what_is_over(ref, target, settings, mark, there, result, folder)
    return result


def _empty_what_is_over(
    ref: ObjectRef, target: Bucket, settings: Settings, mark: Mark, there: ObjectInfo, result: Result, folder: Path
) -> None:
    """Leave no row of the older version where the newer one has none: in further parts, in the quarantine, or at all.

    Files without rows take their places, by the same conditional requests: one that is removed could come back by a late event.
    """
    parts = range(len(result.outputs), _parts(there))
    if parts:
        nothing = _without_rows(settings, folder)
        for number in parts:
            put_if_newer(target, output_key(ref, f"part-{number:05d}.parquet"), nothing, mark, metadata={_PARTS: "1"})
    dropped = 0 if result.report is None else sum(result.report.dropped.values())
    if not dropped and _existing(target, _quarantine_key(ref)) is not None:
        put_if_newer(target, _quarantine_key(ref), b"", mark)


def _parts(there: ObjectInfo) -> int:
    """Number of files that the version of an output that is there has, as its first one says."""
    told = there.metadata.get(_PARTS, "")
    return int(told) if told.isdecimal() else 1


def _without_rows(settings: Settings, folder: Path) -> bytes:
    from flight_etl.runners.form import final_schema, footer
    from flight_etl.schema import ENRICHED
    from flight_etl.store.parquet import DatasetWriter

    (folder / "nothing").mkdir()
    output = replace(settings.output, partition_by=None)
    schema, _ = final_schema(ENRICHED, settings.features(), {}, settings)
    (only,) = DatasetWriter(folder / "nothing", schema, output, footer(settings)).close()
    return (folder / "nothing" / only.path).read_bytes()


def _kept(ref: ObjectRef, mark: Mark, made_from: Mark) -> Status | None:
    """Say why an output that is there stays; None when it is to be made anew.

    When an earlier event came late and found this object already, its output is this event's too. Where events name versions,
    the sequencer alone decides: an earlier version may have had the same content.
    """
    if not mark.is_newer(made_from):
        return Status.UNCHANGED if made_from.etag == mark.etag else Status.SUPERSEDED
    return Status.UNCHANGED if ref.version_id is None and mark.is_same_object(made_from) else None


def _produced(
    ref: ObjectRef,
    source: ObjectSource,
    target: Bucket,
    settings: Settings,
    mark: Mark,
    folder: Path,
    means: Means,
) -> Result:
    from flight_etl.runners import local  # here, because most of what Arrow and NumPy take to load is not needed before
    from flight_etl.store.inputs import Expansion

    names: list[str] = []

    def place(name: str) -> str:
        names.append(name)
        return str(target.url(output_key(ref, name)))

    inside = replace(settings, resources=replace(settings.resources, spill_dir=None))  # so that all of it is swept together
    report = local.produce(Expansion((source,), (), ()), folder, inside, place=place, means=means)
    (one,) = report.inputs
    if one.failure is not None:
        raise one.failure
    if not report.read:
        return Result(source=source.name, status=Status.EMPTY, report=report)
    data_files = [name for name in names if name.endswith(_SUFFIX)]
    answers = []
    for name in data_files:
        means.between()
        data = (folder / name).read_bytes()
        answers.append(put_if_newer(target, output_key(ref, name), data, mark, metadata={_PARTS: str(len(data_files))}))
    if (folder / local.QUARANTINE).exists():
        put_if_newer(target, _quarantine_key(ref), (folder / local.QUARANTINE).read_bytes(), mark)
    status = Status.UNCHANGED if set(answers) == {"kept"} else Status.WRITTEN
    outputs = tuple(str(target.url(output_key(ref, name))) for name in data_files)
    return Result(source=source.name, status=status, outputs=outputs, report=report)


def _mark(ref: ObjectRef, info: ObjectInfo) -> Mark:
    """Which version of the input the outputs are made from, and how late its event was."""
    return Mark(
        sequencer=ref.sequencer, modified_ms=info.modified_ms, version=ref.version_id or info.version, etag=info.etag or ref.etag
    )


def _existing(bucket: Bucket, key: str) -> ObjectInfo | None:
    try:
        return bucket.head(key)
    except NotFound:
        return None
