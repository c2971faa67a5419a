"""What real recordings show of phases, flights and airports, as far as it can be known without their pilots."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flight_etl
from flight_etl.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES") or Path(__file__).parents[2].parent / "shared/data").resolve()

pytestmark = [
    pytest.mark.samples,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no folder {SAMPLES}; name one with FLIGHT_ETL_SAMPLES"),
]


@cache
def enriched(path: str) -> pa.Table:
    settings = Settings(units="si" if path.startswith("trace/") else "aviation")
    return flight_etl.transform(flight_etl.read(SAMPLES / path, settings), settings).kept


def sequence(table: pa.Table) -> list[str]:
    return [phase for phase, _ in groupby(table["flight_phase"].to_pylist())]


def test_what_says_that_it_is_on_the_ground_at_zurich_has_a_phase_of_the_ground() -> None:
    """The field is at 1,416 ft; the pressure altitudes there are 1,125 to 1,825 ft, and most speeds are frozen or missing."""
    table = enriched("surface/zurich_airport.json.gz")
    said = Counter(
        phase for phase, ground in zip(table["flight_phase"].to_pylist(), table["on_ground"].to_pylist(), strict=True) if ground
    )
    assert said.total() == 11_657
    assert sum(said[word] for word in ("ground", "taxi", "takeoff", "landing")) / said.total() >= 0.995


def test_five_approaches_are_flown_again_and_the_flight_begins_and_ends_at_schiphol() -> None:
    """It breaks off six approaches near Lelystad: five are flown again there, after the sixth it goes home."""
    table = enriched("flights/belevingsvlucht.json.gz")
    phases = sequence(table)
    assert len(set(table["flight_id"].to_pylist())) == 1
    broken_off = sum(pair == ("approach", "climb") for pair in pairwise(phases))
    flown_again = broken_off - 1
    assert flown_again == 5
    assert (phases.count("takeoff"), phases.count("landing"), phases.count("approach")) == (1, 1, broken_off + 1)
    assert set(table["origin_airport"].to_pylist()) == set(table["destination_airport"].to_pylist()) == {"EHAM"}


def test_the_trace_of_a_day_is_four_flights_with_airports_where_it_touches_the_ground() -> None:
    rows = enriched("trace/trace_full_ac671b.json").select(["flight_id", "origin_airport", "destination_airport"]).to_pylist()
    flights = [tuple(row.values())[1:] for _, (row, *_) in groupby(rows, key=lambda row: row["flight_id"])]
    assert flights == [(None, "KMSP"), ("KMSP", None), (None, "KMSP"), ("KMSP", "KDEN")]


def test_flights_of_that_trace_are_marked_where_they_were_stitched() -> None:
    table = enriched("trace/trace_full_ac671b.json")
    marked = {row["flight_id"]: row["is_stitched"] for row in table.select(["flight_id", "is_stitched"]).to_pylist()}
    assert list(marked.values()) == [True, True, True, False]


def test_a_helicopter_flies_slowly_without_being_on_the_ground() -> None:
    table = enriched("flights/samu31.json.gz")
    high = [row for row in table.select(["flight_phase", "height_ft"]).to_pylist() if (row["height_ft"] or 0) > 600]
    assert high
    assert not {row["flight_phase"] for row in high} & {"ground", "taxi", "landing"}


def test_a_calibration_flight_is_labelled_throughout() -> None:
    table = enriched("flights/ajaccio.json.gz")
    assert table["flight_phase"].to_pylist().count("unknown") / len(table) < 0.02
