"""The scenarios of the benchmark suite, one for a process: the documented classes, and pandas doing the same work.

    python -m flight_etl.frontdoor.scenarios NAME SOURCE.json

Prints the number of rows that came out, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from flight_etl.resources import spare_pandas

__all__: list[str] = []

_FAILURES: Final = 2  # attempts of the scenario error_recovery that fail before one succeeds


def _frame(source: str) -> object:
    import pandas as pd

    frame = pd.read_json(source, dtype={"icao24": "str", "squawk": "str", "callsign": "str"}, convert_dates=False)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s", utc=True).astype("datetime64[ms, UTC]")
    return frame


def _baseline_conversion(source: str) -> int:
    frame = _frame(source)
    frame.to_parquet("baseline.parquet", index=False)  # type: ignore[attr-defined]
    return len(frame)  # type: ignore[arg-type]


def _baseline_transformation(source: str) -> int:
    from flight_etl.bench.peers.in_pandas import enriched

    return len(enriched(_frame(source)))


def _baseline_full(source: str) -> int:
    from flight_etl.bench.peers.in_pandas import enriched

    frame = enriched(_frame(source))
    frame.to_parquet("baseline.parquet", index=False)
    return len(frame)


def _optimized_conversion(source: str) -> int:
    from flight_etl.frontdoor.converter import ConversionConfig, OptimizedJsonToParquetConverter

    return int(
        OptimizedJsonToParquetConverter(ConversionConfig(overwrite=True)).convert_file(source, "converted.parquet").written
    )


def _optimized_transformation(source: str) -> int:
    import flight_etl
    from flight_etl.frontdoor.transformer import FlightDataTransformer

    table, _ = FlightDataTransformer().transform_arrow_table(flight_etl.read(source))
    return int(table.num_rows)


def _full_optimization(source: str) -> int:
    import flight_etl
    from flight_etl.settings import OutputSettings, Settings

    settings = Settings(output=OutputSettings(overwrite=True))
    return int(flight_etl.run([source], "flights", settings).written)


def _error_recovery(source: str) -> int:
    """The whole way, behind a store that fails for a moment, twice."""
    from flight_etl.errors import Unavailable
    from flight_etl.resilience.retry import RetryConfig, resilient

    left = [_FAILURES]

    @resilient(config=RetryConfig(base_delay=0.01))
    def work() -> int:
        if left[0]:
            left[0] -= 1
            raise Unavailable(f"{source}: not there for a moment")
        return _full_optimization(source)

    return work()


_SCENARIOS: Final = {
    "baseline_conversion": _baseline_conversion,
    "baseline_transformation": _baseline_transformation,
    "baseline_full": _baseline_full,
    "optimized_conversion": _optimized_conversion,
    "optimized_transformation": _optimized_transformation,
    "full_optimization": _full_optimization,
    "error_recovery": _error_recovery,
}


if __name__ == "__main__":
    name, path = sys.argv[1:]
    if not name.startswith("baseline"):
        spare_pandas()  # as the command line does, which never makes a frame either
    sys.stdout.write(json.dumps({"rows": _SCENARIOS[name](str(Path(path)))}) + "\n")
