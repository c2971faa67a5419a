"""Tables and frames by the documented names: every field does what it says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from benchmark_suite import DataGenerator
from data_transformer import FlightDataTransformer, FlightPhase, SpeedCategory, TransformationConfig

import flight_etl
from flight_etl.core.enrich.phase_words import PHASES
from flight_etl.core.enrich.speed import CATEGORIES
from flight_etl.errors import SettingsError
from flight_etl.schema import ENRICHED, arrow_schema
from flight_etl.settings import PhaseSettings, Settings

ROWS = 2_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(DataGenerator.generate_test_data(ROWS, "complex"))


@pytest.fixture(scope="module")
def table(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def columns_without(table: pa.Table, **fields: Any) -> set[str]:
    """Columns that go when these fields are set."""
    everything, _ = FlightDataTransformer().transform_arrow_table(table)
    result, _ = FlightDataTransformer(TransformationConfig(**fields)).transform_arrow_table(table)
    assert set(result.column_names) <= set(everything.column_names)
    return set(everything.column_names) - set(result.column_names)


def test_a_table_becomes_what_transform_gives(table: pa.Table) -> None:
    result, stats = FlightDataTransformer().transform_arrow_table(table)
    outcome = flight_etl.transform(table)
    assert result.equals(outcome.kept, check_metadata=True)
    assert stats.rows_in == ROWS == stats.rows_out + sum(stats.dropped.values())
    assert stats.rows_out == result.num_rows
    assert stats.dropped == {"duplicate": outcome.dropped.num_rows}
    assert stats.duplicates_removed == outcome.dropped.num_rows > 0
    assert stats.counts == outcome.counts
    assert stats.seconds > 0
    assert {"flight_id", "altitude_ft", "flight_phase"} <= set(stats.columns_added)
    assert "icao24" not in stats.columns_added


def test_a_frame_becomes_the_same_as_its_table(frame: pd.DataFrame, table: pa.Table) -> None:
    result, stats = FlightDataTransformer().transform_dataframe(frame)
    expected, _ = FlightDataTransformer().transform_arrow_table(table)
    assert isinstance(result, pd.DataFrame)
    pd.testing.assert_frame_equal(result, expected.to_pandas())
    assert (stats.rows_in, stats.rows_out) == (ROWS, len(result))


def test_a_frame_may_hold_values_of_several_types_and_any_index() -> None:
    frame = pd.DataFrame(
        {
            "hex": ["abc123", "abc123"],
            "now": pd.to_datetime([1_700_000_000, 1_700_000_010], unit="s"),
            "alt_baro": ["ground", 1000],
            "squawk": [21, None],
        },
        index=["a", "b"],
    )
    result, _ = FlightDataTransformer().transform_dataframe(frame)
    assert result["altitude_ft"].isna().tolist() == [True, False]
    assert result["altitude_ft"][1] == pytest.approx(1000.0)
    assert result["squawk"].tolist()[0] == "0021"
    assert result["on_ground"].tolist() == [True, None]


@pytest.mark.parametrize(
    ("field", "columns"),
    [
        ("enable_altitude_ft", {"altitude_ft", "geo_altitude_ft"}),
        ("enable_speed_knots", {"speed_knots"}),
        ("enable_speed_categories", {"speed_category"}),
        ("enable_distance_calculations", {"distance_km", "cumulative_distance_km"}),
        (
            "enable_rate_calculations",
            {"vertical_rate_fpm", "climb_rate_fpm", "acceleration_kts_min", "turn_rate_deg_s"},
        ),
        (
            "enable_flight_phase_detection",
            {"height_ft", "flight_phase", "phase_confidence", "origin_airport", "destination_airport"},
        ),
        ("use_vectorized_operations", set()),
        ("enable_memory_optimization", set()),
    ],
)
def test_a_switch_takes_away_its_columns_and_no_others(table: pa.Table, field: str, columns: set[str]) -> None:
    assert columns_without(table, **{field: False}) == columns


def test_all_motion_switched_off_leaves_no_derived_motion(table: pa.Table) -> None:
    config = TransformationConfig(
        enable_altitude_ft=False,
        enable_speed_knots=False,
        enable_speed_categories=False,
        enable_distance_calculations=False,
        enable_rate_calculations=False,
    )
    result, _ = FlightDataTransformer(config).transform_arrow_table(table)
    assert not [c.name for c in ENRICHED if c.feature == "calculated_fields" and c.name in result.column_names]
    assert not config.to_settings().motion.enabled


def test_duplicates_stay_where_they_are_not_looked_for(table: pa.Table) -> None:
    _, stats = FlightDataTransformer(TransformationConfig(duplicate_detection_enabled=False)).transform_arrow_table(table)
    assert (stats.rows_out, stats.duplicates_removed) == (ROWS, 0)


def test_holes_stay_where_they_are_not_to_be_filled(table: pa.Table) -> None:
    result, _ = FlightDataTransformer().transform_arrow_table(table)
    bare, _ = FlightDataTransformer(TransformationConfig(enable_imputation=False)).transform_arrow_table(table)
    assert bare["imputed"].null_count == bare.num_rows > result["imputed"].null_count


def test_other_settings_come_along(table: pa.Table) -> None:
    config = TransformationConfig(settings=Settings(phase=PhaseSettings(method="rules")))
    rules, _ = FlightDataTransformer(config).transform_arrow_table(table)
    context, _ = FlightDataTransformer().transform_arrow_table(table)
    assert rules["flight_phase"].to_pylist() != context["flight_phase"].to_pylist()
    wrong = Settings()
    wrong = replace(wrong, segment=replace(wrong.segment, gap_s=1.0))
    with pytest.raises(SettingsError, match="gap_s"):
        FlightDataTransformer(TransformationConfig(settings=wrong))


class WithMach(FlightDataTransformer):
    """Adds a column, drops rows, and changes one of ours."""

    def custom_transformation(self, df: pd.DataFrame) -> pd.DataFrame:
        df = df[df["velocity"].notna()].copy()
        df["mach"] = df["velocity"] / 340.0
        df["origin_country"] = "nowhere"
        return df


def test_a_subclass_has_the_last_word(frame: pd.DataFrame, table: pa.Table) -> None:
    plain, _ = FlightDataTransformer().transform_arrow_table(table)
    result, stats = WithMach().transform_arrow_table(table)
    assert result.num_rows == stats.rows_out == plain.num_rows - plain["velocity"].null_count
    assert "mach" in stats.columns_added
    assert result["mach"].to_pylist()[0] == pytest.approx(result["velocity"].to_pylist()[0] / 340.0)
    assert set(result["origin_country"].to_pylist()) == {"nowhere"}
    assert result.select([c.name for c in ENRICHED]).schema.equals(arrow_schema(ENRICHED), check_metadata=True)
    again, _ = WithMach().transform_dataframe(frame)
    pd.testing.assert_frame_equal(again, result.to_pandas())


def test_a_subclass_that_changes_a_type_gets_its_type(table: pa.Table) -> None:
    class Words(FlightDataTransformer):
        def custom_transformation(self, df: pd.DataFrame) -> pd.DataFrame:
            df["altitude"] = "high"
            return df

    result, _ = Words().transform_arrow_table(table)
    assert result["altitude"].to_pylist()[0] == "high"


def test_a_subclass_that_forgets_to_return_is_told_so(table: pa.Table) -> None:
    class Forgetful(FlightDataTransformer):
        def custom_transformation(self, df: pd.DataFrame) -> None:
            df["mach"] = 0.0

    with pytest.raises(TypeError, match=r"Forgetful\.custom_transformation gave back NoneType"):
        Forgetful().transform_arrow_table(table)


def test_the_words_are_those_of_the_columns(table: pa.Table) -> None:
    assert tuple(FlightPhase) == PHASES
    assert tuple(SpeedCategory) == CATEGORIES
    result, _ = FlightDataTransformer().transform_arrow_table(table)
    assert FlightPhase.CRUISE in result["flight_phase"].to_pylist()


def test_tables_are_transformed_without_pandas() -> None:
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "import pyarrow as pa\n"
        "from flight_etl.frontdoor.transformer import FlightDataTransformer\n"
        "FlightDataTransformer().transform_arrow_table(pa.table({'icao24': ['abc123'], 'timestamp': [1700000000]}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
