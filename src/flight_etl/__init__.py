"""Flight-surveillance JSON into clean, enriched, analysis-ready Parquet.

Importing this package imports nothing heavy: the public names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flight_etl._version import __version__

if TYPE_CHECKING:
    from flight_etl.api import flights, read, run, to_traffic, transform
    from flight_etl.outcome import Outcome
    from flight_etl.report import Report
    from flight_etl.settings import Settings

__all__ = ["Outcome", "Report", "Settings", "__version__", "flights", "read", "run", "to_traffic", "transform"]

_HOMES = {
    "Outcome": "flight_etl.outcome",
    "Report": "flight_etl.report",
    "Settings": "flight_etl.settings",
    "flights": "flight_etl.api",
    "read": "flight_etl.api",
    "run": "flight_etl.api",
    "to_traffic": "flight_etl.api",
    "transform": "flight_etl.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
