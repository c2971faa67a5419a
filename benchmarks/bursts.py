"""Bursts of events against the function's concurrency and a store that throttles: a simulation, not a measurement.

    python benchmarks/bursts.py [--objects 20000] [--within-s 60] [--warm-s 0.085] [--cold-s 0.590] [--seed 1]

Objects arrive in a queue at random moments of `within-s`. Messages are taken in batches by as many instances as there may be,
which do their objects one after another. Each object makes its requests one after another, and each takes a token of the store,
which fills its bucket at a steady rate. A request that finds none is refused and is tried again as `resilience/retry.py` says, by
its own function, until its attempts are used up; then the message comes again after the visibility timeout, and is a dead letter
when it has been taken too often. The first object of an instance pays a cold start.

What is measured, and by which command: service times and the cold start by `benchmarks/lambda_cold.py`, requests by
`benchmarks/cloud.py`. What is Amazon's (how fast a queue's pollers grow, what S3 bears) is as its documentation says.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Final

from flight_etl.errors import ErrorType
from flight_etl.resilience.retry import RetryConfig, wait_s

GROWTH: Final = (
    5,
    300,
)  # instances that a queue's pollers begin with, and that come in each minute (Lambda's guide, SQS scaling)


@dataclass(frozen=True, kw_only=True)
class System:
    """What stands against a burst. Times in s, rates per s."""

    concurrency: int = 45  # of the template
    warm_s: float = 0.085
    cold_s: float = 0.590  # the first object of an instance, all of it
    spread: float = 0.3  # standard deviation of the logarithm of service times
    requests: int = 4  # each object makes
    store_rate: float = math.inf  # requests per s that the store answers
    store_burst: float = 1.0  # s of that rate which the bucket holds
    batch: int = 10  # messages to an invocation
    attempts: int = 4  # at a request: MAX_RETRIES + 1
    receives: int = 5  # of a message, then it is a dead letter
    again_s: float = 5400.0  # visibility timeout, after which an undone message comes again
    memory_gb: float = 2.9375  # 3008 MB


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a burst; waits are from an object's arrival to its end, s."""

    done: int
    dead: int
    until_s: float
    waits: tuple[float, ...]
    most_instances: int
    requests: int
    refused: int
    busy_s: float
    again: int


@dataclass(order=True)
class _Step:
    at: float
    number: int
    instance: int = field(compare=False)


@dataclass
class _Instance:
    batch: deque[int] = field(default_factory=deque)
    request: int = 0  # of the object that it is at
    attempt: int = 1  # at that request
    warm: bool = False
    service_s: float = 0.0


class _Bucket:
    """Tokens of the store."""

    def __init__(self, system: System) -> None:
        self._rate, self._most = system.store_rate, max(1.0, system.store_rate * system.store_burst)
        self._held, self._at = self._most, 0.0

    def take(self, now: float) -> bool:
        if math.isinf(self._rate):
            return True
        self._held = min(self._most, self._held + (now - self._at) * self._rate)
        self._at = now
        if self._held < 1.0:
            return False
        self._held -= 1.0
        return True


class _Simulation:
    def __init__(self, arrivals: list[float], system: System, seed: int) -> None:
        self.system, self.chance = system, random.Random(seed)
        self.arrivals, self.receives = arrivals, [0] * len(arrivals)
        self.coming = [(at, number) for number, at in enumerate(arrivals)]
        heapq.heapify(self.coming)
        self.waiting: deque[int] = deque()
        self.instances: list[_Instance] = []
        self.idle: list[int] = []
        self.steps: list[_Step] = []
        self.store, self.counts = _Bucket(system), Counter[str]()
        self.retries = RetryConfig(max_attempts=system.attempts, random=self.chance.random)
        self.waits: list[float] = []
        self.number, self.now, self.busy_s, self.busy, self.most = 0, 0.0, 0.0, 0, 0

    def run(self) -> Outcome:
        while self.coming or self.steps or self.waiting:
            self._move()
            while self.coming and self.coming[0][0] <= self.now:
                self.waiting.append(heapq.heappop(self.coming)[1])
            while self.steps and self.steps[0].at <= self.now:
                self._step(heapq.heappop(self.steps).instance)
            self._begin()
        return Outcome(
            done=len(self.waits), dead=self.counts["dead"], until_s=self.now, waits=tuple(sorted(self.waits)),
            most_instances=self.most, requests=self.counts["requests"], refused=self.counts["refused"], busy_s=self.busy_s,
            again=self.counts["again"],
        )  # fmt: skip

    def _move(self) -> None:
        """Go to the next moment in which something happens."""
        moments = [self.steps[0].at] if self.steps else []
        moments += [self.coming[0][0]] if self.coming else []
        if self.waiting and self.busy < self.system.concurrency:
            moments.append(self._allowed_from(self.busy + 1))
        then = max(self.now, min(moments))
        self.busy_s += (then - self.now) * self.busy
        self.now = then

    def _allowed_from(self, instances: int) -> float:
        """Moment from which so many instances may be at work."""
        first, each_minute = GROWTH
        return max(0.0, instances - first) * 60.0 / each_minute

    def _begin(self) -> None:
        while self.waiting and self.busy < self.system.concurrency and self._allowed_from(self.busy + 1) <= self.now:
            if not self.idle:
                self.instances.append(_Instance())
                self.idle.append(len(self.instances) - 1)
            at = self.idle.pop()
            instance = self.instances[at]
            instance.batch.extend(self.waiting.popleft() for _ in range(min(self.system.batch, len(self.waiting))))
            self.busy += 1
            self.most = max(self.most, self.busy)
            for message in instance.batch:
                self.receives[message] += 1
            self._object(at)

    def _object(self, at: int) -> None:
        """Begin the next object of an instance's batch, or let it go."""
        instance, system = self.instances[at], self.system
        instance.request, instance.attempt = 0, 1
        if not instance.batch:
            self.busy -= 1
            self.idle.append(at)
            return
        mean = system.warm_s if instance.warm else system.cold_s
        instance.warm = True
        instance.service_s = mean * math.exp(self.chance.gauss(0.0, system.spread) - system.spread**2 / 2)
        self._later(at, instance.service_s / (system.requests + 1))

    def _later(self, at: int, seconds: float) -> None:
        self.number += 1
        heapq.heappush(self.steps, _Step(self.now + seconds, self.number, at))

    def _step(self, at: int) -> None:
        """Make the request that an instance has come to; between its requests it works."""
        instance, system = self.instances[at], self.system
        part_s = instance.service_s / (system.requests + 1)
        if instance.request == system.requests:
            self.waits.append(self.now - self.arrivals[instance.batch.popleft()])
            self._object(at)
            return
        self.counts["requests"] += 1
        if self.store.take(self.now):
            instance.request, instance.attempt = instance.request + 1, 1
            self._later(at, part_s)
            return
        self.counts["refused"] += 1
        pause_s = wait_s(ErrorType.THROTTLING, instance.attempt, self.retries)
        if pause_s is not None:
            instance.attempt += 1
            self._later(at, pause_s)
            return
        message = instance.batch.popleft()
        if self.receives[message] >= system.receives:
            self.counts["dead"] += 1
        else:
            self.counts["again"] += 1
            heapq.heappush(self.coming, (self.now + system.again_s, message))
        self._object(at)


def simulate(objects: int, within_s: float, system: System, *, seed: int) -> Outcome:
    """Let a burst of objects arrive at random within so many seconds; the same seed gives the same outcome."""
    chance = random.Random(seed)
    return _Simulation(sorted(chance.uniform(0.0, within_s) for _ in range(objects)), system, seed).run()


def row(objects: int, system: System, outcome: Outcome) -> str:
    """One line of the table."""
    rate = "any" if math.isinf(system.store_rate) else f"{system.store_rate:,.0f}"
    median, late = statistics.median(outcome.waits), outcome.waits[int(0.99 * (len(outcome.waits) - 1))]
    refused = outcome.refused / outcome.requests
    return (
        f"| {system.concurrency} | {rate} | {outcome.most_instances} | {outcome.until_s:,.0f} | {median:,.1f} | {late:,.1f} "
        f"| {refused:.1%} | {outcome.again:,} | {outcome.dead:,} | {outcome.busy_s * system.memory_gb / objects * 1000:,.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--within-s", type=float, default=60.0)
    parser.add_argument("--warm-s", type=float, default=System.warm_s)
    parser.add_argument("--cold-s", type=float, default=System.cold_s)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    base = System(warm_s=chosen.warm_s, cold_s=chosen.cold_s)
    print(f"{chosen.objects:,} objects within {chosen.within_s:.0f} s; {base.warm_s * 1000:.0f} ms each,")
    print(f"{base.cold_s * 1000:.0f} ms the first of an instance; {base.requests} requests each;", end=" ")
    print(f"batches of {base.batch}; seed {chosen.seed}.\n")
    print(
        "| concurrency | store, requests/s | most at work | all done after, s | median wait, s | 99 %, s | refused | given back "
        "| dead | GB-s for 1,000 |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for concurrency in (5, 45, 200, 1_000):
        for store_rate in (math.inf, 3_500.0, 1_000.0, 100.0):
            system = replace(base, concurrency=concurrency, store_rate=store_rate)
            print(row(chosen.objects, system, simulate(chosen.objects, chosen.within_s, system, seed=chosen.seed)))


if __name__ == "__main__":
    main()
