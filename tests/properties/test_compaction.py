"""What makes compaction right: written rows can be taken back to what they were, and it does not matter how they were split."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from test_track_stages import METHODS, tracks
from tracks import rows_table, same_rows

from flight_etl.core.order import sort_rows
from flight_etl.core.restore import needed_columns, restore
from flight_etl.pipeline import TRACK_STAGES, Context, run_stages
from flight_etl.schema import BLOCK, ENRICHED, NORMAL, PROVENANCE
from flight_etl.settings import DedupeSettings, ImputeSettings, Settings

_NORMAL = [column.name for column in NORMAL]
_PLAIN = Settings(impute=ImputeSettings(methods=METHODS))
_EVERY_ROW = Settings(dedupe=DedupeSettings(enabled=False), impute=ImputeSettings(methods=METHODS))


def _written(table: pa.Table, chosen: Settings = _PLAIN) -> pa.Table:
    """Rows as a run writes them."""
    return run_stages(table, TRACK_STAGES, Context(settings=chosen)).kept.drop_columns([*PROVENANCE, BLOCK])


def _again(*written: pa.Table) -> pa.Table:
    """Rows as compaction reads them."""
    read = [table.select(needed_columns(table.column_names)) for table in written]
    return pa.concat_tables([restore(table, number=number, first_record=0) for number, table in enumerate(read)])


@given(tracks())
@settings(max_examples=100, deadline=None)
def test_taking_out_what_was_imputed_gives_back_the_rows_as_they_came(rows: list[dict[str, Any]]) -> None:
    came = rows_table(*rows)
    assert same_rows(_again(_written(came, _EVERY_ROW)).select(_NORMAL), sort_rows(came).select(_NORMAL))


@given(tracks(), st.lists(st.integers(0, 2), min_size=60, max_size=60), st.booleans())
@settings(max_examples=100, deadline=None)
def test_rows_written_in_pieces_become_what_they_would_have_become_together(
    rows: list[dict[str, Any]],
    pieces: list[int],
    twice: bool,  # noqa: FBT001
) -> None:
    came = rows_table(*rows)
    parts = [came.filter(pa.array([pieces[at] == piece for at in range(len(rows))], pa.bool_())) for piece in range(3)]
    written = [_written(part) for part in parts] + [_written(parts[0])] * twice
    expected = _written(came)
    assert same_rows(_written(_again(*written)), expected)
    assert set(expected.column_names) == {column.name for column in ENRICHED}
