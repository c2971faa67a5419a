"""Tables and frames of observations to enriched ones, by the documented names; the work is that of `flight_etl.transform`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flight_etl.api import transform
from flight_etl.schema import ENRICHED_ONLY
from flight_etl.settings import Settings
from flight_etl.settings_rules import check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.outcome import Outcome

__all__ = ["FlightDataTransformer", "FlightPhase", "SpeedCategory", "TransformationConfig", "TransformationStats"]


class FlightPhase(StrEnum):
    """Values of `flight_phase` (DESIGN section 6)."""

    GROUND = "ground"
    TAXI = "taxi"
    TAKEOFF = "takeoff"
    CLIMB = "climb"
    CRUISE = "cruise"
    DESCENT = "descent"
    APPROACH = "approach"
    LANDING = "landing"
    UNKNOWN = "unknown"


class SpeedCategory(StrEnum):
    """Values of `speed_category`; the edges are those of `settings.SpeedSettings`."""

    STATIONARY = "stationary"
    TAXI = "taxi"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    SUPERSONIC = "supersonic"


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformationConfig:
    """What to add. `settings` holds all else, such as thresholds and fill methods; the fields here replace its own.

    `use_vectorized_operations` and `enable_memory_optimization` are accepted and always on: there is no other way of working
    than by whole columns, and text is dictionary-encoded whatever they say.
    """

    enable_altitude_ft: bool = True  # altitude_ft, geo_altitude_ft
    enable_speed_knots: bool = True  # speed_knots
    enable_speed_categories: bool = True  # speed_category
    enable_distance_calculations: bool = True  # distance_km, cumulative_distance_km
    enable_rate_calculations: bool = True  # vertical_rate_fpm, climb_rate_fpm, acceleration_kts_min, turn_rate_deg_s
    enable_flight_phase_detection: bool = True  # flight_phase, phase_confidence, height_ft and both airports
    duplicate_detection_enabled: bool = True  # leave out all but one row of each aircraft and moment
    enable_imputation: bool = True  # fill short holes, as settings.impute says
    use_vectorized_operations: bool = True  # accepted and always on
    enable_memory_optimization: bool = True  # accepted and always on
    settings: Settings | None = None

    def to_settings(self) -> Settings:
        """Settings of the transformation. Raises SettingsError for a value that is not permitted."""
        base = self.settings or Settings()
        settings = replace(
            base,
            motion=replace(base.motion, enabled=bool(self._motion_columns())),
            phase=replace(base.phase, enabled=self.enable_flight_phase_detection),
            dedupe=replace(base.dedupe, enabled=self.duplicate_detection_enabled),
            impute=base.impute if self.enable_imputation else replace(base.impute, methods=()),
        )
        check(settings)
        return settings

    def _motion_columns(self) -> frozenset[str]:
        """Columns of derived motion that are wanted."""
        wanted = {
            ("altitude_ft", "geo_altitude_ft"): self.enable_altitude_ft,
            ("speed_knots",): self.enable_speed_knots,
            ("speed_category",): self.enable_speed_categories,
            ("distance_km", "cumulative_distance_km"): self.enable_distance_calculations,
            ("vertical_rate_fpm", "climb_rate_fpm", "acceleration_kts_min", "turn_rate_deg_s"): self.enable_rate_calculations,
        }
        return frozenset(name for names, on in wanted.items() if on for name in names)

    def unwanted(self) -> frozenset[str]:
        """Derived columns that are computed together with others and are left out of the result."""
        motion = {column.name for column in ENRICHED_ONLY if column.feature == "calculated_fields"}
        return frozenset(motion - self._motion_columns())


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformationStats:
    """The account of one transformation: `rows_in == rows_out + Σ dropped`, unless a hook of a subclass adds or drops rows."""

    rows_in: int
    rows_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> rows
    counts: Mapping[str, int] = field(default_factory=dict)  # rule -> values nulled, filled or marked
    columns_added: tuple[str, ...] = ()
    seconds: float = 0.0  # s, wall clock

    @property
    def duplicates_removed(self) -> int:
        """Rows left out because a better one of the same aircraft and moment was kept."""
        return self.dropped.get("duplicate", 0) + self.dropped.get("near_duplicate", 0)


class FlightDataTransformer:
    """Enriches tables; see `flight_etl.transform` for the columns that are understood.

    A subclass may override `custom_transformation`, which is then run on the enriched rows.
    """

    def __init__(self, config: TransformationConfig | None = None) -> None:
        self.config = config or TransformationConfig()
        self._settings = self.config.to_settings()

    def custom_transformation(self, df: Any) -> Any:
        """Give the pandas frame of enriched rows back as it is to be; this one changes nothing, and is not even called."""
        return df

    def transform_arrow_table(self, table: pa.Table) -> tuple[pa.Table, TransformationStats]:
        """Enriched rows, sorted by (icao24, timestamp), as an Arrow table, and the account of them.

        Raises InputError and SettingsError as `flight_etl.transform` does, TypeError where a hook gives back no frame.
        """
        started = time.monotonic()
        outcome = transform(table, self._settings)
        unwanted = self.config.unwanted()
        result = outcome.kept.select([name for name in outcome.kept.column_names if name not in unwanted])
        if type(self).custom_transformation is not FlightDataTransformer.custom_transformation:
            result = _arrow(self._customised(_frame(result)), result.schema)
        return result, _stats(table, result, outcome, time.monotonic() - started)

    def transform_dataframe(self, df: Any) -> tuple[Any, TransformationStats]:
        """Enriched rows of a pandas frame as a pandas frame, and the account of them; the index is left out.

        Text comes as categories, and a flag with unknown values as objects. Raises as `transform_arrow_table` does.
        """
        result, stats = self.transform_arrow_table(_table(df))
        return _frame(result), stats

    def _customised(self, df: Any) -> Any:
        import pandas as pd

        changed = self.custom_transformation(df)
        if not isinstance(changed, pd.DataFrame):
            name = f"{type(self).__name__}.custom_transformation"
            raise TypeError(
                f"{name} gave back {type(changed).__name__}; it must return the frame, also after changing it in place"
            )
        return changed


def _table(df: Any) -> pa.Table:
    """Arrow table of a frame without its index."""
    return pa.Table.from_arrays([_column(values) for _, values in df.items()], names=[str(name) for name in df.columns])


def _column(values: Any) -> pa.Array:
    """Arrow array of a pandas column; values of several types, such as numbers and "ground", become text."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        known = values.notna()
        return pa.array([str(value) if there else None for value, there in zip(values, known, strict=True)], pa.string())


def _frame(table: pa.Table) -> Any:
    return table.to_pandas()


def _arrow(df: Any, schema: pa.Schema) -> pa.Table:
    """Arrow table of a frame; columns that were there before keep type and metadata where their values still fit."""
    table = _table(df)
    for at, name in enumerate(table.column_names):
        if name in schema.names:
            column = _as(table[name], schema.field(name).type)
            found = schema.field(name) if column.type == schema.field(name).type else pa.field(name, column.type)
            table = table.set_column(at, found, column)
    return table


def _as(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # the hook made something else of it
        return column


def _stats(before: pa.Table, after: pa.Table, outcome: Outcome, seconds: float) -> TransformationStats:
    dropped = outcome.dropped.group_by("reason").aggregate([([], "count_all")]).sort_by("reason").to_pylist()
    return TransformationStats(
        rows_in=before.num_rows,
        rows_out=after.num_rows,
        dropped={group["reason"]: group["count_all"] for group in dropped},
        counts=dict(outcome.counts),
        columns_added=tuple(name for name in after.column_names if name not in before.column_names),
        seconds=seconds,
    )
