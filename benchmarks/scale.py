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


@dataclass(frozen=True)
class Cost:
    """Of one way: seconds of CPU and of the clock for a million records, and on top of it for each object."""

    cpu_s: float
    wall_s: float
    object_cpu_s: float = 0.0
    object_wall_s: float = 0.0
    peak_mb: float = 0.0


def command(*arguments: object, cwd: Path) -> tuple[dict[str, Any], float, float]:
    """Report of a command, seconds of CPU and of the clock, the interpreter's start and end in them."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*ETL, *map(str, arguments), "--json"], cwd=cwd, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report: dict[str, Any] = json.loads(done.stdout)
    return report, cpu, time.monotonic() - began


def recordings(folder: Path, rows: int, pieces: int) -> None:
    """Cut one recording into so many files of equal numbers of lines."""
    folder.mkdir()
    write(folder.with_suffix(".all"), rows, layout="flat", complexity="complex")
    with folder.with_suffix(".all").open("rb") as lines:
        for number in range(pieces):
            share = rows * (number + 1) // pieces - rows * number // pieces
            (folder / f"{number:05d}.ndjson").write_bytes(b"".join(next(lines) for _ in range(share)))
    folder.with_suffix(".all").unlink()


def line(rows: int, pieces: int, whole: tuple[float, float], cut: tuple[float, float], peak_mb: float) -> Cost:
    """Cost from the same records in one object and in many."""
    cpu, wall = ((many - one) / (pieces - 1) for one, many in zip(whole, cut, strict=True))
    return Cost(whole[0] / rows * 1e6, whole[1] / rows * 1e6, max(0.0, cpu), max(0.0, wall), peak_mb)


def local_costs(folder: Path, rows: int, pieces: int) -> tuple[Cost, Cost, dict[str, float]]:
    """A run over one file and over many, a compaction of what many runs wrote, and the bytes of a record."""
    recordings(folder / "one", rows, 1)
    recordings(folder / "many", rows, pieces)
    date = ("--partition-by", "date", "--overwrite")
    whole, *times = command("run", "one", "-o", "out-one", *date, cwd=folder)
    _, *cut = command("run", "many", "-o", "out-many", *date, cwd=folder)
    bytes_ = {"in": whole["bytes_in"] / rows, "out": whole["bytes_out"] / whole["written"]}
    run = line(rows, pieces, (times[0], times[1]), (cut[0], cut[1]), whole["peak_rss_mb"])
    names, sets = sorted((folder / "many").iterdir()), {}
    for files in (1, 10):
        for number in range(files):
            command(
                "run", *names[: len(names) * (number + 1) // files], "-o", f"set-{files}", "--partition-by", "date", cwd=folder
            )
        sets[files] = command("compact", f"set-{files}", "--all", cwd=folder)
    report, cpu, wall = sets[1]
    files_read = len(sets[10][0]["inputs"]) - len(report["inputs"])
    more_cpu, more_wall = (max(0.0, (many - one) / max(1, files_read)) for one, many in ((cpu, sets[10][1]), (wall, sets[10][2])))
    compact = Cost(cpu / report["read"] * 1e6, wall / report["read"] * 1e6, more_cpu, more_wall, sets[10][0]["peak_rss_mb"])
    return run, compact, bytes_


def event_costs(objects: int) -> tuple[Cost, Cost]:
    """The handler's processor, and the queue worker, warm: objects of two sizes give a line."""
    found: dict[str, dict[int, tuple[float, float]]] = {"handler": {}, "queue": {}}
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


def timed(work: Callable[[], Any], objects: int) -> tuple[float, float]:
    """Seconds of this process's CPU and of the clock for each object."""
    cpu, began = time.process_time(), time.monotonic()
    work()
    return (time.process_time() - cpu) / objects, (time.monotonic() - began) / objects


def between(found: dict[int, tuple[float, float]]) -> Cost:
    """Draw the line through two sizes of objects."""
    (small_cpu, small_wall), (large_cpu, large_wall) = found[SMALL], found[LARGE]
    cpu, wall = (large_cpu - small_cpu) / (LARGE - SMALL), (large_wall - small_wall) / (LARGE - SMALL)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return Cost(cpu * 1e6, wall * 1e6, max(0.0, small_cpu - cpu * SMALL), max(0.0, small_wall - wall * SMALL), peak_mb)


def spark_cost(folder: Path, rows: int) -> Cost:
    """A backfill on local[2] of many files; the session's start is in it, the processes of Java too."""
    import spark  # type: ignore[import-not-found]  # its neighbour

    found = spark._once(spark.CASES["backfill, local[2]"], folder)  # noqa: SLF001 - the same measurement
    return Cost(found["cpu"] / rows * 1e6, found["wall"] / rows * 1e6, peak_mb=found["all"])


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
            add(f"{way}: CPU", (DAY / 1e6 * cost.cpu_s + pieces * cost.object_cpu_s) / 3600, "core-hours")
    wall_s = DAY / 1e6 * costs["Lambda handler"].wall_s + OBJECTS_A_DAY * costs["Lambda handler"].object_wall_s
    add(f"Lambda handler: {FUNCTION_GB} GB for its wall time", wall_s * FUNCTION_GB, "GB-s")
    add("requests to the store, 4 for each object", 4 * OBJECTS_A_DAY / 1e6, "million")
    add("compact: CPU", (DAY / 1e6 * costs["compact"].cpu_s + OBJECTS_A_DAY * costs["compact"].object_cpu_s) / 3600, "core-hours")
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
        "| runner | CPU, s a million | wall, s a million | CPU, ms an object | wall, ms an object | peak, MB |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {way} | {cost.cpu_s:.2f} | {cost.wall_s:.2f} | {cost.object_cpu_s * 1e3:.1f} | {cost.object_wall_s * 1e3:.1f} "
            f"| {cost.peak_mb:.0f} |"
            for way, cost in costs.items()
        ),
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
