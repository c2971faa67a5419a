"""The compiled kernels of motion give the bits that NumPy gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.core import track
from flight_etl.core.enrich import motion
from flight_etl.core.kernels import track_kernels
from flight_etl.core.track import Track, floats_column, run_starts
from flight_etl.settings import MotionSettings

compiled = pytest.mark.skipif(track_kernels() is None, reason="there is no compiler")

values = st.one_of(st.just(float("nan")), st.floats(-720, 720), st.integers(-4, 4).map(lambda turn: turn * 90.0))
samples = st.lists(st.tuples(values, st.booleans(), st.booleans(), st.integers(-4_000, 12_000)), max_size=60)


@compiled
@settings(deadline=None, max_examples=300)
@given(samples, st.sampled_from([0.0, 1.0, 5.0]), st.sampled_from([7.0, 300.0]), st.booleans())
def test_rates_are_those_of_numpy(
    some: list[tuple[float, bool, bool, int]],
    span_s: float,
    gap_s: float,
    angle: bool,  # noqa: FBT001
) -> None:
    flight = np.cumsum([begins for _, _, begins, _ in some], dtype=np.int64)
    starts = run_starts(flight) if some else np.empty(0, np.bool_)
    time_ms = np.cumsum([step for *_, step in some], dtype=np.int64) + 1_700_000_000_000
    fresh = np.array([flag for _, flag, _, _ in some], np.bool_)
    frame = Track(starts, flight, np.flatnonzero(starts), time_ms, time_ms, fresh)
    numbers = np.array([value for value, *_ in some], np.float64)
    wanted = MotionSettings(rate_span_s=span_s, max_gap_s=gap_s)
    expected = motion.rates_of(numbers, frame, wanted, 196.85, angle=angle)
    got = motion.compiled_rates(numbers, frame, wanted, 196.85, angle=angle)
    assert got.tobytes() == expected.tobytes()


@compiled
@given(st.lists(st.one_of(st.just(float("nan")), st.floats()), max_size=70))
def test_columns_of_numbers_are_the_same(numbers: list[float]) -> None:
    fast = floats_column(np.array(numbers, np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(track, "track_kernels", lambda: None)
        slow = floats_column(np.array(numbers, np.float64))
    fast.validate(full=True)
    assert fast.equals(slow)
    assert fast.null_count == slow.null_count


def test_a_number_that_is_none_becomes_null_in_other_units() -> None:
    column = pa.chunked_array([pa.array([1.0, float("nan"), None])])
    assert motion._times(column, 2.0).to_pylist() == [2.0, None, None]
    assert motion._times(column.slice(0, 1).cast(pa.float32()), 2.0).to_pylist() == [2.0]
