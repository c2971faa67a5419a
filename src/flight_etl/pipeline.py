"""The table of contents: which stages a record goes through, in which order, with which settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from flight_etl.core import order
from flight_etl.core.clean import clean
from flight_etl.core.dedupe import dedupe, mark_stale
from flight_etl.core.enrich import enrich
from flight_etl.core.impute import impute
from flight_etl.core.normalise import normalise
from flight_etl.core.outliers import put_back, set_aside
from flight_etl.core.segment import segment
from flight_etl.core.select import select
from flight_etl.outcome import Outcome, add_counts
from flight_etl.schema import BLOCK, empty_dropped
from flight_etl.settings import NormaliseSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flight_etl.core.enrich.airports import AirportTable

__all__ = ["RECORD_STAGES", "TRACK_STAGES", "Context", "Stage", "run_stages"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What stages need beside the rows: settings, the layout of the rows' source, and tables."""

    settings: Settings
    layout: str = "flat"
    airports: AirportTable | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage by its name, and how it is called."""

    name: str
    apply: Callable[[pa.Table, Context], Outcome]


def _sort(table: pa.Table, settings: Settings) -> Outcome:
    if BLOCK not in table.column_names:  # as it is where rows were gathered (core/merge.py)
        table = order.mark_blocks(order.sort_rows(table), settings.segment)
    return Outcome(table, empty_dropped())


# Right on any chunk of rows, in any order.
RECORD_STAGES: Final = (
    Stage("normalise", lambda t, c: normalise(t, NormaliseSettings(layout=c.layout, units=c.settings.units))),
    Stage("clean", lambda t, c: clean(t, c.settings.clean)),
    Stage("select", lambda t, c: select(t, c.settings.filter)),
)

# Need whole blocks (core/order.py): all rows of an aircraft between two gaps.
TRACK_STAGES: Final = (
    Stage("sort", lambda t, c: _sort(t, c.settings)),
    Stage("dedupe", lambda t, c: dedupe(t, c.settings.dedupe)),
    Stage("mark_stale", lambda t, c: mark_stale(t, c.settings.stale)),
    Stage("set_aside", lambda t, c: set_aside(t, c.settings.outlier)),
    Stage("segment", lambda t, c: segment(t, c.settings.segment)),
    Stage("impute", lambda t, c: impute(t, c.settings.impute)),
    Stage("enrich", lambda t, c: enrich(t, c.settings, c.airports)),
    Stage("put_back", lambda t, _: put_back(t)),
)


def run_stages(table: pa.Table, stages: Sequence[Stage], context: Context) -> Outcome:
    """Put rows through `stages` in turn; what any of them drops or counts is collected."""
    dropped, counts = [], []
    for stage in stages:
        outcome = stage.apply(table, context)
        table = outcome.kept
        dropped.append(outcome.dropped)
        counts.append(outcome.counts)
    return Outcome(table, pa.concat_tables(dropped), add_counts(counts))
