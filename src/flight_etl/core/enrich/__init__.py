"""Derived columns: motion, phases of flight, airfields, words for speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flight_etl.core.enrich.motion import add_motion
from flight_etl.core.enrich.phase import add_phases
from flight_etl.core.enrich.speed import add_speed_category
from flight_etl.outcome import Outcome, add_counts
from flight_etl.schema import empty_dropped

if TYPE_CHECKING:
    import pyarrow as pa

    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.settings import Settings

__all__ = ["enrich"]


def enrich(table: pa.Table, settings: Settings, airports: AirportTable | None) -> Outcome:
    """Add the columns of `schema.ENRICHED_ONLY` that the settings' features ask for; no row is dropped.

    Expects whole flights: rows sorted by (icao24, timestamp) with flight_id and is_stale. What a flight's rows become never
    depends on other flights in the table.
    """
    motion = add_motion(table, settings.motion)
    phases = add_phases(motion.kept, settings, airports)
    kept = add_speed_category(phases.kept, settings.speed).kept if settings.motion.enabled else phases.kept
    return Outcome(kept, empty_dropped(), add_counts([motion.counts, phases.counts]))
