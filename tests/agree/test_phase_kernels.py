"""The compiled kernels of the phases give the same bits as NumPy, on tracks that look like flights and on such as do not."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.airports import AirportTable
from flight_etl.core.enrich import kernels
from flight_etl.core.enrich.evidence import evidence_of
from flight_etl.core.enrich.phase import add_phases
from flight_etl.core.track import track_of
from flight_etl.settings import AirportSettings, PhaseSettings, Settings

pytestmark = pytest.mark.skipif(kernels.phase_kernels() is None, reason="the extension is not built")

FIELDS = AirportTable(
    ("AAAA", "BBBB", "CCCC"),
    np.array([48.0, 48.3, 48.05]),
    np.array([2.0, 2.4, 179.99]),
    np.array([300.0, 5_200.0, 0.0]),
    np.array([True, True, False]),
)
_STEPS_S = (0.0, 0.0, 0.25, 1.0, 5.0, 15.0, 60.0, 121.0, 400.0)
_HOLES = ("altitude", "vertical_rate", "velocity", "on_ground", "position_time", "is_stale", "category")
_MANY = 40


def _profile(rng: np.random.Generator, size: int, step_s: float) -> np.ndarray:
    """Altitudes, m, of climbs, levels, descents and stays on the ground, one after the other."""
    slopes = rng.choice([0.0, 0.0, 0.0, 0.5, 2.0, 5.0, 12.0, -1.0, -4.0, -8.0, -15.0, -20.0], size // 8 + 1)
    rate = np.repeat(slopes, 8)[:size] * step_s
    steps = rng.choice([0.0, 0.0, 0.0, 90.0, 100.0], size)
    height = np.empty(size)
    at = float(rng.choice([0.0, 90.0, 1_000.0, 3_500.0, 11_000.0]))
    for row in range(size):
        at = min(max(at + rate[row], 90.0), 12_000.0)
        height[row] = at
    return np.rint((height + np.where(rng.random(size) < 0.02, rng.choice([-1.0, 1.0], size) * 20.0 * steps, 0.0)) / 7.62) * 7.62


def track_table(seed: int, size: int, holes: float) -> pa.Table:
    """Make rows of a few flights: their columns hold together in half of the tables, and are chance in the others."""
    rng = np.random.default_rng(seed)
    step_s = float(rng.choice([1.0, 5.0, 15.0, 60.0]))
    usual = np.full(size, step_s)
    steps = np.where(rng.random(size) < 0.05, rng.choice(_STEPS_S, size), usual)
    stamp = 1_700_000_000_000 + np.cumsum(np.rint(steps * 1000)).astype(np.int64)
    flight = np.cumsum(rng.random(size) < rng.choice([0.0, 0.01, 0.2]))
    altitude = _profile(rng, size, step_s)
    rate = np.gradient(altitude) / step_s if size > 1 else np.zeros(size)
    velocity = np.clip(altitude / 40.0 + rng.choice([0.0, 5.0, 60.0]), 0.0, 250.0)
    grounded = altitude <= 91.0
    velocity = np.where(grounded, rng.choice([0.0, 1.0, 8.0, 40.0, 70.0], size // 6 + 1).repeat(6)[:size], velocity)
    east = 2.0 + np.cumsum(velocity * steps) / 74_500.0 * rng.choice([0.0, 0.2, 1.0])
    if rng.random() < 0.5:
        for values in (altitude, rate, velocity):
            rng.shuffle(values)
    if rng.random() < 0.1:
        east += 177.9
    flips = rng.random(size) < rng.choice([0.0, 0.02, 0.5])
    values: dict[str, Any] = {
        "timestamp": pa.array(stamp, pa.timestamp("ms", "UTC")),
        "position_time": pa.array(stamp - rng.choice([0, 0, 250, 40_000], size), pa.timestamp("ms", "UTC")),
        "is_stale": pa.array(rng.random(size) < rng.choice([0.0, 0.1, 0.6])),
        "altitude": pa.array(altitude),
        "vertical_rate": pa.array(rate * rng.choice([1.0, 1.0, 40.0])),
        "velocity": pa.array(velocity),
        "latitude": pa.array(48.0 + rng.choice([0.0, 1e-4]) * np.arange(size)),
        "longitude": pa.array((east + 180.0) % 360.0 - 180.0),
        "on_ground": pa.array(grounded ^ flips),
        "category": pa.array(np.where(rng.random(size) < 0.05, "A7", "A3")).dictionary_encode(),
    }
    blank = rng.random(size) < holes
    for name, column in values.items():
        if name != "timestamp":
            share = holes if name in _HOLES else 0.0
            share = 1.0 if rng.random() < holes / 4 else share
            missing = blank if name in ("latitude", "longitude") else rng.random(size) < share
            values[name] = pa.compute.if_else(pa.array(missing), pa.scalar(None, column.type), column)
    names = pa.array([f"f{number}" for number in range(int(flight[-1]) + 1 if size else 0)], pa.string())
    codes = pa.array(flight.astype(np.int32))
    return pa.table({"flight_id": pa.DictionaryArray.from_arrays(codes, names)} | values)


_phases = st.builds(
    PhaseSettings,
    method=st.sampled_from(["context", "context", "context", "rules"]),
    rate_window_s=st.sampled_from([30.0, 5.0, 91.5]),
    max_gap_s=st.sampled_from([120.0, 20.0, 1_000.0]),
    min_dwell_s=st.sampled_from([20.0, 0.0, 90.0]),
    cruise_altitude_ft=st.sampled_from([10_000.0, 4_000.0]),
)
_settings = st.builds(
    Settings, phase=_phases, airports=st.sampled_from([AirportSettings(), AirportSettings(max_distance_km=3.0)])
)


def bits(values: np.ndarray) -> bytes:
    """All that there is to see of an array; one NaN is as good as another."""
    return np.where(np.isnan(values), np.nan, values).tobytes() if values.dtype.kind == "f" else values.tobytes()


def _same(one: pa.Table, other: pa.Table) -> None:
    assert one.schema == other.schema
    for name in one.column_names:
        left, right = one[name].combine_chunks(), other[name].combine_chunks()
        assert left.is_valid().equals(right.is_valid()), name
        if pa.types.is_floating(left.type):
            assert bits(left.to_numpy(zero_copy_only=False)) == bits(right.to_numpy(zero_copy_only=False)), name
        else:
            assert left.to_pylist() == right.to_pylist(), name


def without_kernels(function: Any, *given: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_phase_kernels", None)
        return function(*given)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(0, 700),
    holes=st.sampled_from([0.0, 0.05, 0.5]),
    chosen=_settings,
    fields=st.booleans(),
)
def test_phases_are_the_same_bits(seed: int, size: int, holes: float, chosen: Settings, *, fields: bool) -> None:
    table, airports = track_table(seed, size, holes), FIELDS if fields else None
    fast = add_phases(table, chosen, airports)
    plain = without_kernels(add_phases, table, chosen, airports)
    assert fast.counts == plain.counts
    _same(fast.kept, plain.kept)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(0, 400), holes=st.sampled_from([0.0, 0.1, 0.6]), chosen=_phases)
def test_all_of_the_evidence_is_the_same_bits(seed: int, size: int, holes: float, chosen: PhaseSettings) -> None:
    table = track_table(seed, size, holes)
    track = track_of(table)
    fast, plain = evidence_of(table, track, chosen), without_kernels(evidence_of, table, track, chosen)
    for field in fields(fast):
        if field.name != "flights":
            one, other = getattr(fast, field.name), getattr(plain, field.name)
            assert one.dtype == other.dtype, field.name
            assert bits(one) == bits(other), field.name
    assert fast.flights.first.tolist() == plain.flights.first.tolist()
    assert fast.flights.last.tolist() == plain.flights.last.tolist()


def test_the_tracks_have_every_phase() -> None:
    """Else the tests above would say less than they seem to."""
    found: set[str] = set()
    for seed in range(_MANY):
        found |= set(add_phases(track_table(seed, 700, 0.05), Settings(), FIELDS).kept["flight_phase"].to_pylist())
    assert {"ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing"} <= found
