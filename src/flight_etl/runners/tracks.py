"""The track half of a run: whole blocks -> enriched rows, in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from flight_etl.pipeline import TRACK_STAGES, Context, run_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from flight_etl.outcome import Outcome

__all__ = ["track_outcomes"]


def track_outcomes(tables: Iterable[pa.Table], context: Context, *, workers: int = 1) -> Iterator[Outcome]:
    """Put tables of whole blocks through the track stages, in order; at most `workers` are under way."""
    if workers == 1:
        for table in tables:
            yield run_stages(table, TRACK_STAGES, context)
        return
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="tracks") as pool:
        under_way: deque[Future[Outcome]] = deque()
        for table in tables:
            under_way.append(pool.submit(run_stages, table, TRACK_STAGES, context))
            if len(under_way) >= workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
