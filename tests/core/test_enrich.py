from __future__ import annotations

import pyarrow as pa
import pytest
from flown import AIRPORTS, Pilot, airliner, table_of

from flight_etl.core.enrich import enrich
from flight_etl.schema import ENRICHED, ENRICHED_ONLY, arrow_schema
from flight_etl.settings import MotionSettings, PhaseSettings, Settings


@pytest.mark.parametrize("motion", [True, False])
@pytest.mark.parametrize("phases", [True, False])
@pytest.mark.parametrize("rows", [True, False])
def test_the_columns_are_those_of_the_schema_for_the_features_that_are_on(*, motion: bool, phases: bool, rows: bool) -> None:
    settings = Settings(motion=MotionSettings(enabled=motion), phase=PhaseSettings(enabled=phases))
    flights = [airliner(60.0).rows] if rows else []
    table = enrich(table_of(*flights), settings, AIRPORTS).kept
    want = arrow_schema(ENRICHED, features=settings.features())
    assert set(table.column_names) == set(want.names)
    for field in want:
        assert table.schema.field(field.name).type == field.type, field.name


def test_no_row_is_dropped_or_moved_and_the_input_stays_as_it_was() -> None:
    table = table_of(airliner(30.0).rows).append_column("x:key", pa.array(range(len(airliner(30.0).rows))))
    before = table.slice(0)
    outcome = enrich(table, Settings(), AIRPORTS)
    assert table.equals(before)
    assert outcome.dropped.num_rows == 0
    assert outcome.kept.select(table.column_names).equals(table)


def test_columns_that_are_never_null_are_not() -> None:
    blind = {"altitude_ft": None, "speed_kt": None, "rate_fpm": None, "latitude": None, "longitude": None, "on_ground": None}
    rows = [row | (blind if at % 3 else {}) for at, row in enumerate(airliner(30.0).rows)]
    table = enrich(table_of(rows), Settings(), None).kept
    for column in ENRICHED_ONLY:
        if column.null == "never":
            assert table[column.name].null_count == 0, column.name


def test_tables_in_many_chunks_become_the_same_rows() -> None:
    table = table_of(airliner(30.0).rows, Pilot(height_ft=9_000, kt=300).fly(300).rows)
    pieces = pa.concat_tables([table.slice(at, 37) for at in range(0, len(table), 37)])
    assert enrich(pieces, Settings(), AIRPORTS).kept.to_pylist() == enrich(table, Settings(), AIRPORTS).kept.to_pylist()


def test_counts_say_what_was_doubted() -> None:
    rows = airliner(30.0).rows
    rows[40] = rows[40] | {"latitude": -10.0}
    outcome = enrich(table_of(rows), Settings(), AIRPORTS)
    assert outcome.counts["motion.teleports"] >= 1
    unknown = outcome.kept["flight_phase"].to_pylist().count("unknown")
    assert outcome.counts.get("phase.unknown", 0) == unknown
