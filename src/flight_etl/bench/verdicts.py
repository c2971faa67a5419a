"""What figures say: ours against the best peer, against the limits, and against what was promised, met or missed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from flight_etl.bench.cases import BEST, BOUNDED, BOUNDED_MB, LIMIT_PARSE, LIMIT_WRITE, OURS, PANDAS, SCALE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.bench.compare import Figure

__all__ = ["Goal", "distance", "goals", "ratio", "summary"]

_SIZE_TO_DUCKDB: Final = 0.65
_JSON_TO_PARQUET: Final = (5, 15)  # times smaller
_PANDAS_TIMES: Final = (10, 50)  # times faster
_PANDAS_MEMORY: Final = (30, 70)  # per cent less


@dataclass(frozen=True, slots=True)
class Goal:
    """Something promised, what was reached, and whether that is enough; CPU is told where seconds decide."""

    what: str
    goal: str
    reached: str
    met: bool
    by_cpu: str = "-"


def summary(figures: Sequence[Figure]) -> dict[str, Any]:
    """All verdicts as plain values."""
    own = [one for one in figures if one.contender == OURS]
    return {
        "ratios": [ratio(figures, one) for one in own],
        "limits": [found for one in own if (found := distance(figures, one))],
        "goals": [asdict(one) for one in goals(figures)],
    }


def _same(figures: Sequence[Figure], own: Figure) -> dict[str, Figure]:
    return {one.contender: one for one in figures if (one.task, one.rows, one.threads) == (own.task, own.rows, own.threads)}


def ratio(figures: Sequence[Figure], own: Figure) -> dict[str, Any]:
    """How one of our figures stands to the best peer at the same task, rows and threads; None without a peer.

    Best by seconds, and for CPU the one that takes least of it, which may be another one.
    """
    peers = {name: one for name, one in _same(figures, own).items() if name in BEST}
    best = min(peers.values(), key=lambda one: one.seconds, default=None)
    duck = peers.get("duckdb")
    return {
        "task": own.task,
        "rows": own.rows,
        "threads": own.threads,
        "best_peer": best.contender if best else None,
        "times_faster": round(best.seconds / own.seconds, 2) if best else None,
        "times_less_cpu": round(min(one.cpu_seconds for one in peers.values()) / own.cpu_seconds, 2) if best else None,
        "goal": own.goal,
        "size_to_duckdb": round(own.output_mb / duck.output_mb, 2) if duck and duck.output_mb else None,
    }


def distance(figures: Sequence[Figure], own: Figure) -> dict[str, Any] | None:
    """CPU of one of our figures against the limits of its task, measured in the same rounds; None where they were not."""
    same = _same(figures, own)
    limits = [same[name].seconds for name in (LIMIT_PARSE, LIMIT_WRITE) if name in same]
    parsed_only = own.task.startswith("parse")
    if len(limits) < (1 if parsed_only else 2):
        return None
    cpu_s = own.seconds if parsed_only else own.cpu_seconds
    return {
        "task": own.task,
        "rows": own.rows,
        "threads": own.threads,
        "parse_s": round(limits[0], 3),
        "write_s": None if parsed_only else round(limits[1], 3),
        "cpu_s": round(cpu_s, 3),
        "times_the_limit": round(cpu_s / sum(limits), 2),
    }


def goals(figures: Sequence[Figure]) -> list[Goal]:
    """Everything promised that these figures can tell of, in the order of the figures."""
    own = [one for one in figures if one.contender == OURS]
    found = [goal for one in own for goal in (*_beside_peers(figures, one), *_compression(one), *_beside_pandas(figures, one))]
    return found + [_within_memory(one) for one in figures if one.contender == BOUNDED]


def _where(own: Figure) -> str:
    return f"{own.task}, {own.rows:,} rows, {own.threads} thread{'s' if own.threads > 1 else ''}"


def _beside_peers(figures: Sequence[Figure], own: Figure) -> Iterator[Goal]:
    seen = ratio(figures, own)
    if own.goal and seen["best_peer"]:
        reached = f"{seen['times_faster']:.2f} x {seen['best_peer']}"
        # What a parse takes is CPU already; that of its process has the start in it.
        by_cpu = "-" if own.task.startswith("parse") else f"{seen['times_less_cpu']:.2f} times"
        yield Goal(f"{_where(own)}: speed", f"≥ {own.goal:g} x the best peer", reached, seen["times_faster"] >= own.goal, by_cpu)
    if seen["size_to_duckdb"]:
        size = seen["size_to_duckdb"]
        yield Goal(f"{_where(own)}: output size", f"≤ {_SIZE_TO_DUCKDB} of DuckDB's", f"{size:.2f}", size <= _SIZE_TO_DUCKDB)


def _compression(own: Figure) -> Iterator[Goal]:
    if own.output_mb and own.json_mb and own.task != SCALE:
        times = own.json_mb / own.output_mb
        low, high = _JSON_TO_PARQUET
        yield Goal(f"{_where(own)}: JSON to Parquet", f"{low} to {high} times smaller", f"{times:.1f} times", times >= low)


def _beside_pandas(figures: Sequence[Figure], own: Figure) -> Iterator[Goal]:
    for name, pandas in _same(figures, own).items():
        if name not in PANDAS:
            continue
        low, high = _PANDAS_TIMES
        times, cpu = pandas.seconds / own.seconds, pandas.cpu_seconds / own.cpu_seconds
        goal = f"{low} to {high} times faster"
        yield Goal(f"{_where(own)}: beside {name}", goal, f"{times:.1f} times", times >= low, f"{cpu:.1f} times")
        least, most = _PANDAS_MEMORY
        saved = 100 * (1 - own.peak_rss_mb / pandas.peak_rss_mb)
        reached = f"{saved:.0f} % less" if saved >= 0 else f"{-saved:.0f} % more"
        yield Goal(f"{_where(own)}: memory beside {name}", f"{least} to {most} % less", reached, saved >= least)


def _within_memory(one: Figure) -> Goal:
    met = one.peak_rss_mb <= BOUNDED_MB
    return Goal(f"{_where(one)}: peak RSS under a limit", f"≤ {BOUNDED_MB} MB", f"{one.peak_rss_mb:.0f} MB", met)
