"""The library traffic reads what we write: the same flights, distances and altitudes, in its units."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flight_etl.api import run, to_traffic
from flight_etl.bench.generate import write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.traffic, pytest.mark.filterwarnings("default")]  # it has many of its own


@pytest.mark.parametrize("complexity", ["simple", "complex"])
def test_flights_are_those_of_the_output(complexity: str, tmp_path: Path) -> None:
    """In the complex ones positions jump, which adds no distance with us; so distances are compared in the simple ones."""
    core = pytest.importorskip("traffic.core")
    pandas = pytest.importorskip("pandas")
    write(tmp_path / "in.ndjson", 20_000, layout="readsb", complexity=complexity, seed=7, interval_s=10)
    run([str(tmp_path / "in.ndjson")], str(tmp_path / "flights"))
    found = core.Traffic(to_traffic(tmp_path / "flights").to_pandas())
    rows = pandas.read_parquet(tmp_path / "flights")
    assert len(found) == json.loads((tmp_path / "flights/_report.json").read_text())["flights"]
    compared = 0
    for flight_id, ours in rows.groupby("flight_id", observed=True):
        theirs = found[flight_id]
        assert len(theirs) == len(ours)
        assert theirs.start == ours["timestamp"].min()
        if ours["altitude"].notna().any():
            assert theirs.altitude_max == pytest.approx(ours["altitude"].max() / 0.3048)
        if complexity == "complex" or len(ours) < 100:
            continue
        km = theirs.cumulative_distance().data["cumdist"].max() * 1.852  # nautical miles, on its sphere
        assert km == pytest.approx(ours["cumulative_distance_km"].max(), rel=0.01)
        compared += 1
    assert compared or complexity == "complex"
