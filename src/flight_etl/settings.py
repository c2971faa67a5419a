"""Every setting, once: frozen, keyword-only, with its unit and default. One dataclass per stage, `Settings` for a run.

Precedence (the edge applies it): flag, environment (`from_env`), `flight-etl.toml`, these defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENVIRONMENT",
    "AirportSettings",
    "CleanSettings",
    "Compression",
    "DecodeSettings",
    "DedupeSettings",
    "FillMethod",
    "FilterSettings",
    "ImputeSettings",
    "MotionSettings",
    "NormaliseSettings",
    "OutlierSettings",
    "OutputSettings",
    "PhaseSettings",
    "ResourceSettings",
    "SegmentSettings",
    "ServiceSettings",
    "Settings",
    "SpeedSettings",
    "StaleSettings",
    "TableSettings",
    "from_env",
]

Compression = Literal["snappy", "zstd", "lz4", "gzip", "none"]
FillMethod = Literal["interpolate", "forward_fill", "backward_fill", "mean", "median", "mode", "none"]
Units = Literal["si", "aviation"]

MIN_MEMORY_MB: Final = 384  # MB; the interpreter and its libraries take a third of it


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeSettings:
    """bytes -> RAW."""

    layout: str | None = None  # name of a layout; None: recognised by content
    chunk_rows: int = 10_000  # rows per stage batch
    max_record_bytes: int = 16 * 1024 * 1024  # B; a longer record is dropped as too_large
    max_depth: int = 1024  # levels of nesting inside a record
    max_extra_columns: int = 256  # undeclared keys that get a column each; the rest share extra_json


@dataclass(frozen=True, kw_only=True, slots=True)
class NormaliseSettings:
    """RAW -> NORMAL."""

    layout: str = "flat"
    units: Units = "si"  # what NATIVE_* units of the flat layouts mean


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanSettings:
    """Limits of what can be true. Outside them a value becomes null; sources stand in core/clean.py."""

    min_time: str = "1990-01-01T00:00:00Z"  # a row outside min_time..max_time is dropped as bad_timestamp
    max_time: str = "2100-01-01T00:00:00Z"
    min_altitude_m: float = -1_000.0
    max_altitude_m: float = 30_480.0  # 100,000 ft
    max_ground_altitude_m: float = 5_000.0  # above it an aircraft that says it is on the ground has no altitude
    max_velocity_mps: float = 1_100.0
    max_vertical_rate_mps: float = 152.4  # 30,000 ft/min
    max_position_lag_s: float = 15_000.0  # a position_time older than this before timestamp is nulled
    max_position_lead_s: float = 60.0  # a position_time later than this after timestamp is nulled


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterSettings:
    """Rows to keep; the rest is dropped as `filtered`. Bounds are inclusive at the start, exclusive at the end of time."""

    icao24: tuple[str, ...] = ()  # lower-case; empty: all
    bbox: tuple[float, float, float, float] | None = None  # west, south, east, north, deg; west > east crosses 180
    start_ms: int | None = None  # ms UTC
    end_ms: int | None = None  # ms UTC


@dataclass(frozen=True, kw_only=True, slots=True)
class DedupeSettings:
    """One row per (icao24, timestamp)."""

    enabled: bool = True
    strategy: Literal["first", "last", "best_quality"] = "best_quality"
    tolerance_s: float = 0.0  # rows of one aircraft at most this far apart count as one


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleSettings:
    """When a row only repeats an older position (DESIGN section 6)."""

    min_speed_kt: float = 5.0  # kt; at or below, an unmoved aircraft is standing, not stale


@dataclass(frozen=True, kw_only=True, slots=True)
class OutlierSettings:
    """Positions that cannot be reached, core/outliers.py."""

    enabled: bool = True
    max_speed_mps: float = 1_100.0  # m/s between two positions, of an aircraft whose category is not known
    speed_factor: float = 3.0  # times the reported speed that a leg may be flown at
    least_speed_mps: float = 150.0  # m/s that a leg may always be flown at, however slow the reported speed
    lag_s: float = 1.0  # s by which the time between two positions may be longer than their times say
    slack_m: float = 200.0  # m that any leg may be longer
    stray_m: float = 10_000.0  # m from the rest of the track, at its beginning or end


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentSettings:
    """Where a flight ends and the next begins."""

    gap_s: float = 1_800.0  # s without any row: a new flight, unless it is shown to have flown on
    block_gap_s: float = 21_600.0  # s without any row across which nothing is ever joined: the edge at which track work is split
    ground_stop_s: float = 600.0  # s on the ground at <= 5 kt between two airborne parts: a new flight
    callsign_change: bool = True  # a new callsign while on the ground or after a gap of callsign_gap_s: a new flight
    callsign_gap_s: float = 300.0  # s
    max_flight_rows: int = 50_000  # rows of one block; a longer one is cut, at a gap of gap_s if it can be (14 h at 1 Hz)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImputeSettings:
    """How unknown values are filled inside a flight; never position, never squawk."""

    methods: tuple[tuple[str, FillMethod], ...] = (
        ("altitude", "interpolate"),
        ("velocity", "interpolate"),
        ("vertical_rate", "interpolate"),
        ("callsign", "forward_fill"),
        ("callsign", "backward_fill"),
    )
    max_gap_s: float = 120.0  # s; a hole in a numeric column longer than this stays; text within the flight has no limit


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionSettings:
    """Derived motion."""

    enabled: bool = True
    max_gap_s: float = 300.0  # s between two samples; further apart, rates are null
    max_speed_mps: float = 1_100.0  # m/s implied by two positions; faster is a teleport and adds no distance
    rate_span_s: float = 5.0  # s that two samples should be apart for a rate, so that their quantum does not drown it


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedSettings:
    """Lower edges of the speed categories, kt."""

    taxi_kt: float = 5.0
    low_kt: float = 30.0
    medium_kt: float = 150.0
    high_kt: float = 350.0
    supersonic_kt: float = 720.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseSettings:
    """Flight phases, DESIGN section 6."""

    enabled: bool = True
    method: Literal["context", "rules"] = "context"
    ground_speed_kt: float = 5.0
    taxi_speed_kt: float = 30.0
    low_height_ft: float = 3_000.0
    climb_rate_fpm: float = 500.0
    descent_rate_fpm: float = -300.0
    cruise_altitude_ft: float = 10_000.0
    level_segment_s: float = 120.0
    rate_window_s: float = 30.0  # s, window of the robust vertical rate
    max_gap_s: float = 120.0  # s; across a longer hole nothing is concluded but that a flight in cruise went on
    min_dwell_s: float = 20.0  # s; a phase or a hop that lasts less is noise (take-off and landing rolls are exempt)
    ground_height_ft: float = 100.0  # rules method: at or below this height counts as on the ground when no flag is known


@dataclass(frozen=True, kw_only=True, slots=True)
class AirportSettings:
    """Nearest fields."""

    max_distance_km: float = 10.0  # from an on-ground sample to the field's reference point
    max_elevation_error_ft: float = 1_500.0  # pressure altitude on the ground against field elevation


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSettings:
    """Parquet files."""

    compression: Compression = "snappy"
    partition_by: Literal["date"] | None = None
    row_group_rows: int = 131_072  # of up to 48 columns, in proportion fewer of more; one group is in memory while it is written
    rows_per_file: int = 8_388_608
    byte_stream_split: bool = False  # positions and distances take less; Spark 3.5 and fastparquet cannot read them
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSettings:
    """A table that lists the files of an output, kept by `compact` and `backfill` (docs/tables.md)."""

    format: Literal["iceberg", "delta"] | None = None  # None: no table
    name: str = "flight_etl.observations"  # Iceberg: namespace and name
    catalog: str | None = None  # Iceberg: glue, https://... (REST), sqlite:///..., a name; None: SQLite beside a folder
    properties: tuple[tuple[str, str], ...] = ()  # what catalogue and storage are told, in the words of pyiceberg or deltalake


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceSettings:
    """What the process may use; none of it changes the output."""

    memory_limit_mb: int | None = None  # MB of RSS for the whole process; None: half of what is free
    workers: int | None = None  # threads; None: one per core
    parallel: bool = True  # False: one thread, whatever `workers` says
    spill_dir: str | None = None  # None: beside the output


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    """What a runner in the cloud needs to know beside the work itself."""

    environment: str = "production"  # told in logs and metrics
    aws_region: str = "us-east-1"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    input_bucket: str | None = None  # events of other buckets are refused; None: any bucket
    output_bucket: str | None = None  # None: the bucket of the input
    error_bucket: str | None = None  # where quarantined records go; None: beside the output
    dlq_queue_url: str | None = None
    max_retries: int = 3  # attempts after the first
    caching: bool = True  # keep connections, layouts, airfields and bytes of inputs from one object to the next
    circuit_breaker: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a run needs to know."""

    decode: DecodeSettings = field(default_factory=DecodeSettings)
    units: Units = "si"
    clean: CleanSettings = field(default_factory=CleanSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)
    dedupe: DedupeSettings = field(default_factory=DedupeSettings)
    stale: StaleSettings = field(default_factory=StaleSettings)
    outlier: OutlierSettings = field(default_factory=OutlierSettings)
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    impute: ImputeSettings = field(default_factory=ImputeSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
    speed: SpeedSettings = field(default_factory=SpeedSettings)
    phase: PhaseSettings = field(default_factory=PhaseSettings)
    airports: AirportSettings = field(default_factory=AirportSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    table: TableSettings = field(default_factory=TableSettings)
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)

    def features(self) -> frozenset[str]:
        """Names of the switched-on features, as `schema.Column.feature` uses them."""
        names = {"calculated_fields": self.motion.enabled, "flight_phases": self.phase.enabled}
        return frozenset(name for name, on in names.items() if on)


# Environment name -> section and field of Settings. A name that is not set changes nothing.
ENVIRONMENT: Final = {
    "ENVIRONMENT": ("service", "environment"),
    "AWS_REGION": ("service", "aws_region"),
    "LOG_LEVEL": ("service", "log_level"),
    "INPUT_BUCKET": ("service", "input_bucket"),
    "OUTPUT_BUCKET": ("service", "output_bucket"),
    "ERROR_BUCKET": ("service", "error_bucket"),
    "CHUNK_SIZE": ("decode", "chunk_rows"),
    "MAX_WORKERS": ("resources", "workers"),
    "MEMORY_LIMIT_MB": ("resources", "memory_limit_mb"),
    "COMPRESSION_TYPE": ("output", "compression"),
    "ENABLE_CACHING": ("service", "caching"),
    "ENABLE_PARALLEL_PROCESSING": ("resources", "parallel"),
    "ENABLE_CIRCUIT_BREAKER": ("service", "circuit_breaker"),
    "MAX_RETRIES": ("service", "max_retries"),
    "DLQ_QUEUE_URL": ("service", "dlq_queue_url"),
    "ENABLE_CALCULATED_FIELDS": ("motion", "enabled"),
    "ENABLE_FLIGHT_PHASES": ("phase", "enabled"),
    "ENABLE_DUPLICATE_REMOVAL": ("dedupe", "enabled"),
}


def from_env(environ: Mapping[str, str] | None = None, *, base: Settings | None = None) -> Settings:
    """Apply the environment's settings to `base`. The only place that reads the environment.

    Empty values count as not set. Raises SettingsError that names the variable, its value and what is permitted.
    """
    import os

    from flight_etl.settings_rules import override

    environ = os.environ if environ is None else environ
    settings = Settings() if base is None else base
    for name, (section, key) in ENVIRONMENT.items():
        if environ.get(name, "").strip():
            settings = override(settings, section, key, environ[name].strip(), name=name)
    return settings
