"""The handler's processor behind an object store: requests for each object, what is left of 30 % failures, replayed letters.

    python benchmarks/cloud.py [moto|ceph] [objects]

Starts the server itself, on this machine; `make test-ceph` installs Ceph. Prints tables for benchmarks/records/.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cloud import Cloud, cloud_at, notification, sqs_event
from faults import Fault, lost, reset, short, slow_down, storm, too_many
from flight_etl.bench.generate import write
from flight_etl.runners.processor import Processor
from flight_etl.settings import from_env
from servers import serve

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from servers import Server

STORM: Final = [
    *(slow_down, too_many, Fault("status", 500, "InternalError"), Fault("status", 502), Fault("status", 504)),
    *(reset(0), reset(700), short(900), lost()),
]
SHARE: Final = 0.3  # of the requests that fail
SEEDS: Final = (1, 2, 3)
RECORDS: Final = 40  # of each object: the requests are what is measured


@dataclass(frozen=True)
class Bench:
    """A server, and how many objects of what content it is to be tried with."""

    server: Server
    recording: bytes
    objects: int

    def cloud(self) -> AbstractContextManager[Cloud]:
        """Give fresh buckets, whose own requests go past the proxy."""
        kind, target = self.server.kind, self.server.faults.target
        return cloud_at(target, queues=kind == "moto", credentials=self.server.credentials)

    def filled(self, cloud: Cloud, content: bytes | None = None) -> list[str]:
        """Put the objects, point the environment to them, and give their keys."""
        keys = [f"k{number:04d}" for number in range(self.objects)]
        for key in keys:
            cloud.put(key, self.recording if content is None else content)
        os.environ.update({**cloud.environment, **self.server.environment, "MAX_RETRIES": "3"})
        self.server.faults.forget()
        return keys


def main(kind: str, objects: int) -> None:
    """Measure and print."""
    print(f"{kind}, {objects} objects of {RECORDS} records, one after another; {platform.machine()}, {os.cpu_count()} cores,")
    print(f"Python {platform.python_version()}; load {os.getloadavg()[0]:.1f} at the beginning.")
    with serve(kind) as server, tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.json", RECORDS, layout="readsb", seed=1)
        bench = Bench(server, (Path(folder) / "a.json").read_bytes(), objects)
        requests(bench)
        faults(bench)
        replay(bench)


def requests(bench: Bench) -> None:
    """Requests and connections for each object, and again when its event comes a second time."""
    print(
        "\n| ENABLE_CACHING | delivery | HEAD | GET | PUT | other | connections | ms |\n|---|---|---:|---:|---:|---:|---:|---:|"
    )
    proxy = bench.server.faults
    for caching in ("true", "false"):
        os.environ["ENABLE_CACHING"] = caching
        with bench.cloud() as cloud:
            keys = bench.filled(cloud)
            processor = Processor(from_env())
            for delivery in ("first", "repeated"):
                proxy.forget()
                began = time.monotonic()
                done = [processor.deliver(notification(cloud, key)).results[0].status for key in keys]
                seconds = time.monotonic() - began
                assert set(done) == {"written" if delivery == "first" else "unchanged"}
                calls = {name: count / len(keys) for name, count in proxy.calls().items()}
                known = [calls.pop(f"{method}Object", 0.0) for method in ("Head", "Get", "Put")]
                figures = [*known, sum(calls.values()), proxy.connections / len(keys)]
                shown = " | ".join(f"{figure:.2f}" for figure in figures)
                print(f"| {caching} | {delivery} | {shown} | {1000 * seconds / len(keys):.1f} |")
    del os.environ["ENABLE_CACHING"]


def faults(bench: Bench) -> None:
    """What becomes of objects where a share of all requests fails in nine ways, by direct events and through a queue."""
    print(f"\n{SHARE:.0%} of requests fail.\n")
    print("| way | seed | arrived at once | arrived | dead letters | after a replay | requests/needed | most for one | opened |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for way in ("direct", "queue"):
        for seed in SEEDS:
            with bench.cloud() as cloud:
                keys = bench.filled(cloud)
                bench.server.faults.rule = storm(SHARE, STORM, seed=seed)
                _tell_storm(bench, cloud, keys, way, seed)


def _tell_storm(bench: Bench, cloud: Cloud, keys: list[str], way: str, seed: int) -> None:
    processor, proxy = Processor(from_env()), bench.server.faults
    waiting, at_once = [(key, 1) for key in keys], 0
    while waiting:
        key, attempts = waiting.pop(0)
        event = notification(cloud, key)
        delivery = processor.deliver(sqs_event(event, attempts=attempts) if way == "queue" else event)
        at_once += attempts == 1 and bool(delivery.results)
        if delivery.again or delivery.undone:  # of a direct event: raised, and Lambda brings it again
            waiting.append((key, attempts + 1))
    made, most = len(proxy.requests), max(Counter((one.method, one.path, one.query) for one in proxy.requests).values())
    proxy.forget()
    arrived, dead = set(cloud.outputs()), {letter["key"] for letter in cloud.letters()}
    assert arrived | dead == set(keys)  # some are both: written, and all answers lost
    processor.process_dead_letters(max_records=len(keys))
    mended = len(cloud.outputs())
    print(
        f"| {way} | {seed} | {at_once / len(keys):.1%} | {len(arrived) / len(keys):.1%} | {len(dead)} | {mended / len(keys):.1%} "
        f"| {made / (4 * len(keys)):.2f} | {most} | {processor.breaker.times_opened} |"
    )


def replay(bench: Bench) -> None:
    """Seconds to do the work of dead letters again, after their objects were mended."""
    with bench.cloud() as cloud:
        keys = bench.filled(cloud, b'{"now": 1, "aircraft": [{"hex": "40')
        processor = Processor(from_env())
        assert len(processor.deliver(notification(cloud, *keys)).dead) == len(keys)
        bench.filled(cloud)
        began = time.monotonic()
        done = processor.process_dead_letters(max_records=len(keys))
        seconds = time.monotonic() - began
        assert (done.reprocessed, cloud.letters(), len(cloud.outputs())) == (len(keys), [], len(keys))
        print(f"\n{len(keys)} dead letters replayed in {seconds:.1f} s.")


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    main(arguments.get(1, "ceph"), int(arguments.get(2, "100")))
