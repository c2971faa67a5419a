"""Spark: archives of any size on a cluster, by the same functions as a run on one machine. The only module that knows Spark.

The driver lists inputs and packs them into splits; it sees names and accounts, never a row. Record stages run in `mapInArrow`.
For the track stages Spark brings the rows of an aircraft into one partition and sorts them by time, spilling to disk as it must;
a second `mapInArrow` reads them as a stream and cuts whole blocks from it, which `applyInArrow` could not (docs/adr/0016).
Files are written by the tasks, with the writer of a run, and become visible together.

Everything used is in Spark 3.5 as well as in 4: Java 17, and this package on every machine (docs/spark.md).
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from flight_etl.errors import SettingsError, StoreError
from flight_etl.runners import backfill as tasks
from flight_etl.runners import places
from flight_etl.runners.accounts import Accounts
from flight_etl.runners.local import unpublished
from flight_etl.runners.splits import pack
from flight_etl.runners.table import check_table, with_table
from flight_etl.settings import Settings
from flight_etl.settings_rules import check
from flight_etl.store.inputs import expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

    from flight_etl.report import Report

__all__ = ["backfill", "session"]

SPLIT_BYTES: Final = 32 << 20  # B of input as stored, most for one task
LEAST_SPLIT_BYTES: Final = 1 << 20
TASKS_PER_CORE: Final = 4  # so that a slow task does not leave the others waiting for long
ROWS_PER_FILE: Final = 500_000  # of the fullest day; about 25 MB of Parquet
_LOCAL: Final = "local"  # begins the master URL of a session on this machine alone
_ON_THIS_MACHINE: Final = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
}
_EXCEPTION: Final = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*: ")  # begins the last line of a traceback
_JAVA: Final = ("java.", "org.", "py4j.", "scala.")
_SUMMARY: Final = "summary string"
_TYPES: Final = {pa.string(): "string", pa.int64(): "bigint", pa.int32(): "int", pa.float64(): "double", pa.bool_(): "boolean"}


def backfill(
    spark: SparkSession,
    inputs: Sequence[str],
    output: str,
    settings: Settings | None = None,
    *,
    partitions: int | None = None,
) -> Report:
    """Turn all `inputs` into one enriched data set below `output`, in folders date=YYYY-MM-DD.

    The rows are those of `local.run` over the same inputs. `inputs` and `output` are URLs of object stores, or folders that all
    machines see under the same name. Aircraft are dealt out to `partitions` tasks, each of which writes a file for each date; by
    default as many as give files of `ROWS_PER_FILE` rows on the fullest day. That number is all of Spark that can be seen in
    the output, so that a job done again writes the same files. `settings.resources.memory_limit_mb` bounds each Python process.

    Where `settings.table` asks for a table, it is brought up to date in the end. Reports and raises as `local.run` does, and
    StoreError when Spark gives up.
    """
    settings = settings or Settings()
    check(settings)
    check_table(output, settings)
    settings = replace(settings, output=replace(settings.output, partition_by="date"))
    pool = places.pool_for(settings, output, *inputs)
    found = expand(inputs, output=output, pool=pool)
    accounts = Accounts(found, settings)
    with places.shared_staging(output, settings, pool) as staging:
        job = tasks.Job(settings=settings, place=staging.place, inputs=tuple(inputs))
        with _failures(output):
            _produce(spark, accounts, job, partitions)
        report = accounts.report(output, tasks.QUARANTINE_FOLDER)
        if report.all_failed:
            return unpublished(report)
        text = json.dumps(report.to_json(), indent=2) + "\n"
        staging.publish([*accounts.files, *accounts.quarantines], text.encode())
    return with_table(report, output, settings, pool)


def session(master: str | None, options: Mapping[str, str], *, python: str) -> SparkSession:
    """Begin a session, or give the one that there is. Raises StoreError when Spark does not start.

    Without `master` it is the one that spark-submit was told. On this machine (`local[2]`) tasks run under the interpreter
    `python` and nothing listens but on loopback; elsewhere tasks run under what PYSPARK_PYTHON names.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SettingsError(f"Spark needs {error.name}: pip install 'flight-etl[spark]', and Java 17") from error

    builder = SparkSession.builder.appName("flight-etl backfill")
    if master is not None:
        builder = builder.master(master)
        options = (_ON_THIS_MACHINE if master.startswith(_LOCAL) else {}) | dict(options)
    for key, value in options.items():
        builder = builder.config(key, value)
    with _failures(master or "the session; is a --master missing?"):
        spark = builder.getOrCreate()
    if spark.sparkContext.master.startswith(_LOCAL):
        spark.sparkContext.pythonExec = python
    return spark


def _produce(spark: SparkSession, accounts: Accounts, job: tasks.Job, partitions: int | None) -> None:
    """Do all the work. Both halves read the splits, since only the first can tell what columns rows have."""
    sources = accounts.found.sources
    texts = pack(sources, split_bytes=_split_bytes(sum(source.size_bytes for source in sources), spark))
    if not sources:
        return
    splits = spark.createDataFrame(spark.sparkContext.parallelize(list(enumerate(texts)), len(texts)), "split int, inputs string")
    for told in _told(splits.mapInArrow(partial(_survey, job), _SUMMARY)):
        accounts.surveyed(told)
    frame = accounts.frame()
    if not accounts.rows:
        accounts.written(tasks.write_tracks((), 0, job, frame, (), file_at_least=True))
        return
    count = partitions or max(1, -(-max(accounts.days.values()) // ROWS_PER_FILE))
    rows = splits.mapInArrow(partial(_rows, job, frame), _ddl(frame.moved))
    ordered = rows.repartition(count, "icao24").sortWithinPartitions("icao24", "timestamp")
    names = spark.sparkContext.broadcast([source.name for source in sources])
    for told in _told(ordered.mapInArrow(partial(_tracks, job, frame, names), _SUMMARY)):
        accounts.written(told)
    names.unpersist()


def _split_bytes(total: int, spark: SparkSession) -> int:
    share = total // (TASKS_PER_CORE * max(1, int(spark.sparkContext.defaultParallelism)))
    return max(LEAST_SPLIT_BYTES, min(share, SPLIT_BYTES))


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f"`{field.name}` {_TYPES[field.type]}" for field in schema)


def _told(summaries: DataFrame) -> Iterator[dict[str, Any]]:
    """Run a job, and give the account of each of its tasks."""
    for row in summaries.collect():
        yield json.loads(row[0])


@contextmanager
def _failures(place: str) -> Iterator[None]:
    """The boundary at which what Spark says becomes an error of ours."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        raise StoreError(f"{place}: Spark gave up, nothing was published: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Give the line that names the cause: what the last exception of Python said, else the first line of Java's."""
    text = str(error)
    python = [line for line in text.splitlines() if _EXCEPTION.match(line) and not line.startswith(_JAVA)]
    return (python[-1:] or text.strip().splitlines() or [repr(error)])[0].removeprefix("flight_etl.errors.")


# -- what runs in Spark's Python processes -------------------------------------------------------------------------------


def _survey(job: tasks.Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for number, text in _splits(batches):
        yield _summary(tasks.survey(text, number, job))


def _rows(job: tasks.Job, frame: tasks.Frame, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _, text in _splits(batches):
        for table in tasks.split_rows(text, job, frame):
            yield from table.combine_chunks().to_batches()


def _tracks(
    job: tasks.Job, frame: tasks.Frame, names: Broadcast[list[str]], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    tables = (pa.Table.from_batches([batch]) for batch in batches if batch.num_rows)
    yield _summary(tasks.write_tracks(tables, context.partitionId(), job, frame, names.value))


def _splits(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, str]]:
    for batch in batches:
        yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)


def _summary(told: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([json.dumps(told)])], ["summary"])
