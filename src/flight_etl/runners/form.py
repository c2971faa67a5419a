"""The form of what a run writes, shared by all runners: its columns, its footer, and what is counted on the way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from flight_etl._version import __version__
from flight_etl.core import extras
from flight_etl.core.quality import Quality, merge, quality_of, summary
from flight_etl.outcome import add_counts
from flight_etl.schema import ENRICHED, PROVENANCE, SCHEMA_VERSION, Column, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.settings import Settings

__all__ = ["Tally", "final_schema", "footer", "summary_of"]


@dataclass(slots=True)
class Tally:
    """What the writing half of a run counts."""

    outputs: list[str] = field(default_factory=list)
    bytes_out: int = 0
    aircraft: int = 0
    flights: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    last_aircraft: str | None = None

    def add(self, table: pa.Table) -> None:
        """Count aircraft, flights, phases and the quality of the next rows, which come in order."""
        if not table.num_rows:
            return
        first, last = table["icao24"][0].as_py(), table["icao24"][-1].as_py()
        self.aircraft += len(pc.unique(table["icao24"])) - (first == self.last_aircraft)
        self.last_aircraft = last
        self.flights += len(pc.unique(table["flight_id"]))
        self.quality = merge(self.quality, quality_of(table))
        if "flight_phase" in table.column_names:
            found = {pair["values"]: pair["counts"] for pair in pc.value_counts(table["flight_phase"]).to_pylist()}
            self.phases = add_counts([self.phases, found])


def summary_of(quality: Quality, counts: Mapping[str, int], units: Mapping[str, Any]) -> dict[str, Any]:
    """Give the quality of the rows written in the form of the report, with the duplicates among those that were not.

    `units` names what looks like other units, where anything does.
    """
    told = summary(quality)
    if told:
        told["duplicates"] = {key.partition(".")[2]: number for key, number in counts.items() if key.startswith("duplicate.")}
    if units:
        told["units"] = dict(units)
    return told


def final_schema(
    columns: tuple[Column, ...], features: frozenset[str] | None, kinds: dict[str, int], settings: Settings
) -> tuple[pa.Schema, extras.ExtrasPlan]:
    """Schema of the output, declared columns first, then extra ones by name."""
    declared = arrow_schema(columns, features=features)
    reserved = {c.name for c in ENRICHED} | set(PROVENANCE)
    plan = extras.plan(kinds, max_columns=settings.decode.max_extra_columns, reserved=reserved)
    return pa.schema([*declared, *plan.fields]), plan


def footer(settings: Settings) -> dict[str, str]:
    """Metadata for the Parquet footer: what shaped the content, and nothing of the moment or the machine."""
    chosen = asdict(settings)
    del chosen["resources"], chosen["service"], chosen["table"], chosen["output"]["overwrite"], chosen["decode"]["chunk_rows"]
    return {
        "flight_etl.version": __version__,
        "flight_etl.schema_version": SCHEMA_VERSION,
        "flight_etl.settings": json.dumps(chosen, sort_keys=True),
    }
