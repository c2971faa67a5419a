"""What a million records and an object cost in each runner, and what follows for a day of 100 million and for ten years.

    python benchmarks/scale.py [--rows 1000000] [--objects 200] [--without-spark] [--save FILE]

Each command is a process of its own. The handler and the queue worker, which live for hours in the cloud, are measured warm in
this process, against an emulator of S3 and SQS that is another. CPU is of our processes alone. Prints Markdown for docs/scale.md;
the second table is the first one put into the formulas of that page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import boto3

from flight_etl.bench.generate import write
from flight_etl.runners.processor import Processor
from flight_etl.runners.queue_worker import QueueTimes, work_queue
from flight_etl.runners.worker import Stop
from flight_etl.settings import ResourceSettings, ServiceSettings, Settings
from servers import CREDENTIALS, moto

if TYPE_CHECKING:
    from collections.abc import Callable

ETL: Final = [sys.executable, "-m", "flight_etl.runners.cli"]
DAY: Final = 100e6  # records
OBJECTS_A_DAY: Final = 8_640  # one snapshot every ten seconds
YEARS: Final = 10
SMALL, LARGE = 100, 10_000  # records of an object; two sizes give a line
FUNCTION_GB: Final = 2.9375  # 3008 MB, of the template


LATENCY_S: Final = 0.02  # s, of a request to a store across a network; assumed, as benchmarks/warm.py does
REQUESTS: Final = 4  # for an object, by benchmarks/cloud.py


@dataclass(frozen=True)
class Cost:
    """Of one way: seconds of CPU for a million records, and on top of them for each object or file."""

    record_s: float
    object_s: float = 0.0


def command(*arguments: object, cwd: Path) -> tuple[dict[str, Any], float]:
    """Report of a command, and its seconds of CPU, the interpreter's start and end in them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*ETL, *map(str, arguments), "--json"], cwd=cwd, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report: dict[str, Any] = json.loads(done.stdout)
    return report, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def recordings(folder: Path, rows: int, pieces: int) -> None:
    """Cut one recording into so many files of equal numbers of lines."""
    folder.mkdir()
    write(folder.with_suffix(".all"), rows, layout="flat", complexity="complex")
    with folder.with_suffix(".all").open("rb") as lines:
        for number in range(pieces):
            share = rows * (number + 1) // pieces - rows * number // pieces
            (folder / f"{number:05d}.ndjson").write_bytes(b"".join(next(lines) for _ in range(share)))
    folder.with_suffix(".all").unlink()


def local_costs(folder: Path, rows: int, pieces: int) -> tuple[Cost, Cost, dict[str, float]]:
    """A run over one file and over many, a compaction of what many runs wrote, and the bytes of a record."""
    recordings(folder / "one", rows, 1)
    recordings(folder / "many", rows, pieces)
    date = ("--partition-by", "date", "--overwrite")
    whole, one_s = command("run", "one", "-o", "out-one", *date, cwd=folder)
    _, many_s = command("run", "many", "-o", "out-many", *date, cwd=folder)
    bytes_ = {"in": whole["bytes_in"] / rows, "out": whole["bytes_out"] / whole["written"]}
    run = Cost(one_s / rows * 1e6, max(0.0, (many_s - one_s) / (pieces - 1)))
    names, sets = sorted((folder / "many").iterdir()), {}
    for files in (1, 10):
        for number in range(files):
            command(
                "run", *names[: len(names) * (number + 1) // files], "-o", f"set-{files}", "--partition-by", "date", cwd=folder
            )
        sets[files] = command("compact", f"set-{files}", "--all", cwd=folder)
    (few, few_s), (more, more_s) = sets[1], sets[10]
    files = len(more["inputs"]) - len(few["inputs"])
    compact = Cost(few_s / few["read"] * 1e6, max(0.0, (more_s - few_s) / max(1, files)))
    return run, compact, bytes_


def event_costs(objects: int) -> tuple[Cost, Cost]:
    """The handler's processor, and the queue worker, warm: objects of two sizes give a line."""
    found: dict[str, dict[int, float]] = {"handler": {}, "queue": {}}
    with moto() as url, tempfile.TemporaryDirectory() as name:
        os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": CREDENTIALS["AWS_REGION"]})
        s3, sqs = boto3.client("s3", endpoint_url=url), boto3.client("sqs", endpoint_url=url)
        s3.create_bucket(Bucket="raw")
        settings = replace(Settings(), resources=ResourceSettings(workers=2, memory_limit_mb=2406))
        for rows in (SMALL, LARGE):
            write(Path(name) / "in", rows, layout="readsb", complexity="complex")
            for number in range(objects + 1):
                s3.put_object(Bucket="raw", Key=f"{rows}-{number}", Body=(Path(name) / "in").read_bytes())
            events = [
                {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "raw"}, "object": {"key": f"{rows}-{number}"}}}]}
                for number in range(objects + 1)
            ]
            for way, by_size in found.items():
                s3.create_bucket(Bucket=f"{way}-{rows}")
                one = Processor(replace(settings, service=ServiceSettings(output_bucket=f"{way}-{rows}")))
                one.deliver(events[-1])  # warm
                by_size[rows] = timed(partial(_WAYS[way], one, events[:-1], sqs), objects)
                assert len(s3.list_objects_v2(Bucket=f"{way}-{rows}").get("Contents", ())) >= objects
    handler, queue_ = (between(found[way]) for way in ("handler", "queue"))
    return handler, queue_


def _as_handler(one: Processor, events: list[dict[str, Any]], _: Any) -> None:
    for event in events:
        one.deliver(event)


def _from_queue(one: Processor, events: list[dict[str, Any]], sqs: Any) -> None:
    queue = sqs.create_queue(QueueName=f"events-{secrets.token_hex(4)}")["QueueUrl"]
    for event in events:
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event))
    work_queue(one, queue, sqs, Stop(after=len(events)), times=QueueTimes(poll_s=1))


_WAYS: Final = {"handler": _as_handler, "queue": _from_queue}


def timed(work: Callable[[], Any], objects: int) -> float:
    """Seconds of this process's CPU for each object."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / objects


def between(found: dict[int, float]) -> Cost:
    """Draw the line through two sizes of objects."""
    record_s = (found[LARGE] - found[SMALL]) / (LARGE - SMALL)
    return Cost(record_s * 1e6, max(0.0, found[SMALL] - record_s * SMALL))


def spark_cost(folder: Path, rows: int) -> Cost:
    """A backfill on local[2] of many files; the session's start is in it, the processes of Java too."""
    import spark  # type: ignore[import-not-found]  # its neighbour

    found = spark._once(spark.CASES["backfill, local[2]"], folder)  # noqa: SLF001 - the same measurement
    return Cost(found["cpu"] / rows * 1e6)


def follows(costs: dict[str, Cost], bytes_: dict[str, float]) -> list[str]:
    """The second table."""
    days = YEARS * 365.25
    lines = ["| what | a day | ten years |", "|---|---:|---:|"]

    def add(what: str, day: float, unit: str) -> None:
        lines.append(f"| {what} | {day:,.2f} {unit} | {day * days:,.0f} {unit} |")

    add("records", DAY / 1e6, "million")
    for way, cost in costs.items():
        if way != "compact":
            pieces = 0 if way.startswith("Spark") else OBJECTS_A_DAY
            add(f"{way}: CPU", (DAY / 1e6 * cost.record_s + pieces * cost.object_s) / 3600, "core-hours")
    handler = costs["Lambda handler"]
    billed_s = DAY / 1e6 * handler.record_s + OBJECTS_A_DAY * (handler.object_s + REQUESTS * LATENCY_S)
    add(f"Lambda handler: {FUNCTION_GB} GB", billed_s * FUNCTION_GB, "GB-s")
    add(f"requests to the store, {REQUESTS} for each object", REQUESTS * OBJECTS_A_DAY / 1e6, "million")
    add("compact: CPU", (DAY / 1e6 * costs["compact"].record_s + OBJECTS_A_DAY * costs["compact"].object_s) / 3600, "core-hours")
    add("read, as plain JSON", DAY * bytes_["in"] / 1e9, "GB")
    add("written, as Parquet", DAY * bytes_["out"] / 1e9, "GB")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--without-spark", action="store_true")
    parser.add_argument("--save", type=Path)
    chosen = parser.parse_args()
    if chosen.objects < 10:  # noqa: PLR2004 - the runs whose output is compacted
        parser.error("--objects: at least 10")
    load = os.getloadavg()[0]
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs["run"], compact, bytes_ = local_costs(folder, chosen.rows, chosen.objects)
        costs["Lambda handler"], costs["queue worker"] = event_costs(chosen.objects)
        if not chosen.without_spark:
            (folder / "many").rename(folder / "recordings")
            costs["Spark local[2]"] = spark_cost(folder, chosen.rows)
        costs["compact"] = compact
    told = [
        f"{chosen.rows:,} flat records in 1 and {chosen.objects} files; as many objects of {SMALL} and {LARGE:,} readsb records;",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} at the beginning.",
        "",
        "| runner | CPU, s for a million | CPU, ms for each object |",
        "|---|---:|---:|",
        *(f"| {way} | {cost.record_s:.2f} | {cost.object_s * 1e3:.1f} |" for way, cost in costs.items()),
        "",
        f"A flat record: {bytes_['in']:.0f} B of JSON, {bytes_['out']:.1f} B of Parquet.",
        "",
        *follows(costs, bytes_),
    ]
    text = "\n".join(told) + "\n"
    sys.stdout.write(text)
    if chosen.save is not None:
        chosen.save.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
