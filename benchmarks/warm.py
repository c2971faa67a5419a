"""The processor of events when it is warm: requests and time per object, what its caches find, dead letters replayed.

    python benchmarks/warm.py [latency in ms] [objects]

Runs against an emulator of S3 and SQS on the loopback interface, behind a proxy that counts requests and answers each after the
latency given, as a store across a network would. Prints tables for benchmarks/records/.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import boto3

from faults import fault_proxy, latency
from flight_etl.bench.generate import write
from flight_etl.resilience.deadletter import DeadLetter
from flight_etl.runners.processor import Processor
from flight_etl.runners.tuning import Tuning
from flight_etl.settings import ServiceSettings, Settings
from servers import CREDENTIALS, moto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults import FaultProxy

LETTERS: Final = 100


@dataclass(frozen=True)
class Cloud:
    """Buckets `raw` and `out`, a queue, and the proxy before them."""

    s3: Any
    queue: str
    proxy: FaultProxy
    delay_s: float

    def begin(self, folder: Path, layout: str, rows: int, objects: int) -> int:
        """Fill `raw` with recordings, empty `out`; give the bytes of one."""
        for number in range(objects):
            write(folder / "in", rows, layout=layout, seed=number)
            self.s3.put_object(Bucket="raw", Key=f"{layout}-{number}", Body=(folder / "in").read_bytes())
        self.empty()
        return (folder / "in").stat().st_size

    def empty(self) -> None:
        """Remove all outputs."""
        for one in self.s3.list_objects_v2(Bucket="out").get("Contents", ()):
            self.s3.delete_object(Bucket="out", Key=one["Key"])

    def count_anew(self) -> None:
        """Forget the requests so far."""
        self.proxy.forget()
        self.proxy.rule = lambda _: latency(self.delay_s)


@contextmanager
def cloud(delay_s: float) -> Iterator[Cloud]:
    """Start the servers, and name them in the environment."""
    with moto() as url, fault_proxy(url) as proxy:
        os.environ.update({**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.url, "AWS_DEFAULT_REGION": CREDENTIALS["AWS_REGION"]})
        s3 = boto3.client("s3", endpoint_url=url)
        for name in ("raw", "out"):
            s3.create_bucket(Bucket=name)
        queue = boto3.client("sqs", endpoint_url=url).create_queue(QueueName="dlq")["QueueUrl"]
        yield Cloud(s3, queue, proxy, delay_s)


def event(key: str) -> dict[str, Any]:
    """Notify of an object."""
    return {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "raw"}, "object": {"key": key, "sequencer": "0A"}}}]}


def processor(tuning: Tuning, *, caching: bool, queue: str | None = None) -> Processor:
    """Begin as a cold instance does."""
    service = ServiceSettings(output_bucket="out", caching=caching, dlq_queue_url=queue)
    return Processor(replace(Settings(), service=service), tuning=tuning)


def run(place: Cloud, one: Processor, layout: str, objects: int) -> tuple[float, Counter[str]]:
    """Milliseconds per object, median after the first, and requests per object."""
    place.count_anew()
    took = []
    for number in range(objects):
        began = time.perf_counter()
        delivery = one.deliver(event(f"{layout}-{number}"))
        took.append((time.perf_counter() - began) * 1000)
        if delivery.undone or delivery.dead:
            raise SystemExit(f"{layout}-{number} failed: {delivery}")
    return statistics.median(took[1:]), Counter(place.proxy.calls())


def ways(place: Cloud, folder: Path, objects: int) -> None:
    """With and without pooling and caching, for small objects and for large ones of columns."""
    print("| objects | way | ms | requests | of these GET | hit rates |\n|---|---|---:|---:|---:|---|")
    for layout, rows in (("readsb", 3_000), ("flat-columns", 20_000)):
        size = place.begin(folder, layout, rows, objects)
        what = f"{layout}, {rows:,} rows, {size / 1e6:.1f} MB"

        def row(one: Processor, way: str, *, layout: str = layout, what: str = what) -> None:
            ms, calls = run(place, one, layout, objects)
            each, gets = calls.total() / objects, calls["GetObject"] / objects
            print(f"| {what} | {way} | {ms:.0f} | {each:.1f} | {gets:.1f} | {rates(one)} |")

        usual = processor(Tuning(), caching=True)
        row(usual, "as it is")
        row(usual, "the same events again")
        place.empty()
        row(usual, "again, their outputs lost")
        place.empty()
        row(processor(Tuning(pooling=False), caching=True), "no pooling")
        place.empty()
        row(processor(Tuning(), caching=False), "ENABLE_CACHING=false")


def rates(one: Processor) -> str:
    """Share of hits of each cache."""
    found = one.remembered.to_json() if one.remembered is not None else {}
    told = [f"{name} {counts['hit_rate']:.0%}" for name, counts in found.items() if counts["hit_rate"] is not None]
    return ", ".join(told) or "off"


def letters(place: Cloud) -> None:
    """A hundred dead letters of small objects, replayed."""
    one = processor(Tuning(), caching=True, queue=place.queue)
    for number in range(LETTERS):
        one.letters.send(DeadLetter(bucket="raw", key=f"readsb-{number % 10}", id=f"{number}"))
    place.empty()
    place.count_anew()
    began = time.perf_counter()
    done = one.process_dead_letters(max_records=LETTERS)
    seconds = time.perf_counter() - began
    print(f"\n{done.reprocessed} of {LETTERS} dead letters replayed in {seconds:.1f} s,", end=" ")
    print(f"{len(place.proxy.requests) / LETTERS:.1f} requests each: {json.dumps(place.proxy.calls())}")


def main(delay_ms: float, objects: int) -> None:
    """Measure and print."""
    print(f"{objects} objects each, medians after the first; every request answered {delay_ms:.0f} ms late;")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}.\n")
    with cloud(delay_ms / 1000) as place, tempfile.TemporaryDirectory() as name:
        ways(place, Path(name), objects)
        letters(place)


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((float, int), [*sys.argv[1:], "20", "12"][:2], strict=True)))
