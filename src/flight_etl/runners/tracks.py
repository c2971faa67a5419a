"""The track half of a run: whole blocks -> enriched rows, in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from flight_etl.core.merge import Lot
from flight_etl.pipeline import TRACK_STAGES, Context, run_stages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from flight_etl.outcome import Outcome

__all__ = ["track_outcomes"]


def track_outcomes(lots: Iterable[pa.Table | Lot], context: Context, *, workers: int = 1) -> Iterator[Outcome]:
    """Put whole blocks through the track stages, in order.

    At most `workers` tables or lots are worked on at once, and one waits, so that no thread has nothing to do while the rows of
    an earlier one are taken. A lot that waits has no rows yet.
    """
    if workers == 1:
        for lot in lots:
            yield _done(lot, context)
        return
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="tracks") as pool:
        under_way: deque[Future[Outcome]] = deque()
        for lot in lots:
            under_way.append(pool.submit(_done, lot, context))
            if len(under_way) > workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _done(lot: pa.Table | Lot, context: Context) -> Outcome:
    return run_stages(lot.table() if isinstance(lot, Lot) else lot, TRACK_STAGES, context)
