"""What holds for every table of rows that goes through the track stages, whatever it contains and however it was cut."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracks import column, row, rows_table, same_rows

from flight_etl.core.dedupe import dedupe, mark_stale
from flight_etl.core.impute import NUMBERS, WORDS, impute
from flight_etl.core.order import block_numbers, mark_blocks, sort_rows
from flight_etl.core.segment import segment
from flight_etl.outcome import Outcome, add_counts
from flight_etl.pipeline import TRACK_STAGES, Context, run_stages
from flight_etl.schema import DROPPED_SCHEMA, NORMAL
from flight_etl.settings import DedupeSettings, ImputeSettings, SegmentSettings, Settings, StaleSettings

_STEPS = [0.0, 0.0, 0.25, 1.0, 1.0, 10.0, 60.0, 299.0, 300.0, 700.0, 1_799.0, 1_800.0, 21_600.0]
_VALUES: dict[str, list[Any]] = {
    "icao24": ["4b1901", "4b1902", "~4b1901"],
    "callsign": [None, None, "AFR1", "AFR2"],
    "latitude": [None, 48.0, 48.0, 48.01],
    "longitude": [2.0, 2.0, 2.0, 2.01, None],
    "altitude": [None, 0.0, 1_000.0, 11_000.0],
    "geo_altitude": [None, 900.0],
    "velocity": [None, 0.0, 1.0, 8.0, 60.0, 230.0],
    "heading": [None, 0.0, 90.0, 359.5],
    "vertical_rate": [None, -5.0, 0.0, 12.5],
    "on_ground": [None, True, False],
    "squawk": [None, "1000"],
    "position_source": [None, "adsb", "mlat", "tisb", "other"],
    "category": [None, "A3"],
    "_input": [0, 0, 1],
}
METHODS: tuple[Any, ...] = (
    *(("altitude", "mean"), ("velocity", "interpolate"), ("heading", "interpolate"), ("vertical_rate", "median")),
    *(("geo_altitude", "mode"), ("callsign", "forward_fill"), ("callsign", "backward_fill"), ("category", "mode")),
)
_STRATEGIES = ["first", "last", "best_quality"]
_TOLERANCES = [0.0, 0.3, 5.0, 60.0]


@st.composite
def tracks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of a few aircraft in the order of time; a seed decides the values, since drawing each would take seconds."""
    count, random = draw(st.integers(0, 60)), Random(draw(st.integers(0, 2**32)))
    sticky = draw(st.sampled_from([0.0, 0.7, 0.95]))  # how often a value stays as it was
    rows: list[dict[str, Any]] = []
    last: dict[str, dict[str, Any]] = {}
    t = 0.0
    for number in range(count):
        t += random.choice(_STEPS)
        code = random.choice(_VALUES["icao24"])
        new = {name: random.choice(values) for name, values in _VALUES.items()} | {"icao24": code}
        kept = {name for name in new if code in last and random.random() < sticky}
        new |= {name: last[code][name] for name in kept}
        last[code] = new
        heard = {"heard": t - random.choice([0.0, 1.0, t])} if random.random() < 0.6 else {}
        rows.append(row(t, _record=number, **new, **heard))
    return rows


_settings = st.builds(
    Settings,
    dedupe=st.builds(DedupeSettings, strategy=st.sampled_from(_STRATEGIES), tolerance_s=st.sampled_from(_TOLERANCES)),
    segment=st.builds(SegmentSettings, callsign_change=st.booleans(), max_flight_rows=st.sampled_from([5, 1_000])),
    impute=st.just(ImputeSettings(methods=METHODS)),
)


def _stages(table: pa.Table, chosen: Settings) -> Outcome:
    """Dedupe to imputation; rows are sorted and their blocks numbered."""
    context, stages = Context(settings=chosen), [s for s in TRACK_STAGES if s.name not in ("sort", "enrich")]
    return run_stages(table, stages, context)


def _blocks(rows: list[dict[str, Any]], chosen: Settings) -> pa.Table:
    return mark_blocks(sort_rows(rows_table(*rows)), chosen.segment)


@settings(max_examples=150, deadline=None)
@given(tracks(), _settings)
def test_every_row_is_kept_or_dropped_once(rows: list[dict[str, Any]], chosen: Settings) -> None:
    outcome = _stages(_blocks(rows, chosen), chosen)
    assert outcome.dropped.schema == DROPPED_SCHEMA
    records = column(outcome.kept, "_record") + column(outcome.dropped, "_record")
    assert sorted(records) == list(range(len(rows)))
    assert set(column(outcome.dropped, "reason")) <= {"duplicate", "near_duplicate"}
    moments = [(r["icao24"], r["timestamp"]) for r in outcome.kept.select(["icao24", "timestamp"]).to_pylist()]
    assert len(set(moments)) == len(moments)
    assert moments == sorted(moments)


@settings(max_examples=100, deadline=None)
@given(tracks(), _settings, st.data())
def test_how_blocks_are_cut_into_tables_does_not_matter(
    rows: list[dict[str, Any]], chosen: Settings, data: st.DataObject
) -> None:
    table = _blocks(rows, chosen)
    whole = _stages(table, chosen)
    numbers = block_numbers(table)
    cuts = sorted(data.draw(st.sets(st.sampled_from(np.unique(numbers).tolist()))) if len(rows) else [])
    edges = [0, *np.searchsorted(numbers, cuts).tolist(), len(rows)]
    parts = [_stages(table.slice(a, b - a), chosen) for a, b in pairwise(edges)]
    assert same_rows(pa.concat_tables([part.kept for part in parts]), whole.kept)
    assert same_rows(pa.concat_tables([part.dropped for part in parts]), whole.dropped)
    assert add_counts(part.counts for part in parts) == add_counts([whole.counts])


@settings(max_examples=60, deadline=None)
@given(tracks(), _settings)
def test_chunks_do_not_matter_and_input_is_never_changed(rows: list[dict[str, Any]], chosen: Settings) -> None:
    table = _blocks(rows, chosen)
    chunked = pa.concat_tables([rows_table(), *(table.slice(at, 1) for at in range(len(rows)))], promote_options="default")
    if len(rows):
        copy = chunked.to_pylist()
        assert same_rows(
            _stages(chunked, chosen).kept.select(table.column_names), _stages(table, chosen).kept.select(table.column_names)
        )
        assert chunked.to_pylist() == copy


@settings(max_examples=100, deadline=None)
@given(tracks(), _settings)
def test_removing_duplicates_twice_changes_nothing_more(rows: list[dict[str, Any]], chosen: Settings) -> None:
    table = _blocks(rows, chosen)
    once = dedupe(table, chosen.dedupe).kept
    if chosen.dedupe.tolerance_s == 0.0:
        assert dedupe(once, chosen.dedupe).kept is once


@settings(max_examples=100, deadline=None)
@given(tracks(), _settings, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(rows: list[dict[str, Any]], chosen: Settings, random: Random) -> None:
    expected = _stages(_blocks(rows, chosen), chosen)
    shuffled = random.sample(rows, len(rows))
    got = _stages(_blocks(shuffled, chosen), chosen)
    assert same_rows(got.kept, expected.kept)
    assert same_rows(got.dropped, expected.dropped)


@settings(max_examples=60, deadline=None)
@given(tracks(), st.randoms(use_true_random=False))
def test_the_best_row_does_not_depend_on_its_place_in_the_source(rows: list[dict[str, Any]], random: Random) -> None:
    """Content decides; only of rows equal in content does the place in the source decide, which changes no content."""
    names = [c.name for c in NORMAL]
    renumbered = random.sample(range(len(rows)), len(rows))
    other = [values | {"_record": at, "_input": 0} for values, at in zip(rows, renumbered, strict=True)]
    chosen = Settings()
    one, two = (_stages(_blocks(each, chosen), chosen).kept for each in (rows, other))
    assert same_rows(one.select(names), two.select(names))


@settings(max_examples=150, deadline=None)
@given(tracks(), _settings)
def test_flights_are_consecutive_of_one_aircraft_and_uniquely_named(rows: list[dict[str, Any]], chosen: Settings) -> None:
    table = mark_stale(dedupe(_blocks(rows, chosen), chosen.dedupe).kept, StaleSettings()).kept
    kept = segment(table, chosen.segment).kept
    ids, codes, times = (column(kept, name) for name in ("flight_id", "icao24", "timestamp"))
    changes = [n for n in range(len(ids)) if n == 0 or ids[n] != ids[n - 1]]
    assert None not in ids
    assert all(ids[n].split("-")[0] == codes[n] for n in range(len(ids)))
    if chosen.segment.max_flight_rows == 1_000:  # blocks cut shorter may begin in the same second
        assert len({ids[n] for n in changes}) == len(changes)
        numbers = block_numbers(kept)
        assert all(n == 0 or numbers[n] == numbers[n - 1] or n in changes for n in range(len(ids)))
    longest = 1_800 + 2 * chosen.dedupe.tolerance_s  # blocks are numbered before near duplicates leave them
    assert all(n in changes or times[n] - times[n - 1] < longest for n in range(1, len(ids)))


@settings(max_examples=150, deadline=None)
@given(tracks(), st.sampled_from(["interpolate", "forward_fill", "backward_fill", "mean", "median", "mode"]))
def test_known_values_stay_and_filled_ones_are_marked_and_within_bounds(rows: list[dict[str, Any]], method: Any) -> None:
    table = segment(mark_stale(_blocks(rows, Settings()), StaleSettings()).kept, SegmentSettings()).kept
    methods: list[tuple[str, Any]] = [(name, method) for name in NUMBERS]
    methods += [(name, method) for name in WORDS if method in ("forward_fill", "backward_fill", "mode")]
    outcome = impute(table, ImputeSettings(methods=tuple(methods)))
    names = [name for name, _ in methods]
    marks = [set((mark or "").split(",")) - {""} for mark in column(outcome.kept, "imputed")]
    flights, ground = column(table, "flight_id"), column(table, "on_ground")
    for name in names:
        before, after = column(table, name), column(outcome.kept, name)
        for n, (old, new) in enumerate(zip(before, after, strict=True)):
            assert (name in marks[n]) == (old is None and new is not None)
            assert old is None or new == old
            if name in marks[n]:
                mates = [v for v, f in zip(before, flights, strict=True) if f == flights[n] and v is not None]
                assert name == "heading" or min(mates) <= new <= max(mates)
                assert name != "heading" or 0 <= new < 360
                assert not (ground[n] and name in ("altitude", "geo_altitude", "vertical_rate"))
    assert same_rows(outcome.kept, table.append_column("imputed", outcome.kept["imputed"]), but=names)
    assert set().union(*marks) <= set(names)


@pytest.mark.parametrize("strategy", _STRATEGIES)
@pytest.mark.parametrize("tolerance_s", _TOLERANCES)
def test_tables_without_rows_pass_through(strategy: Any, tolerance_s: float) -> None:
    chosen = Settings(dedupe=DedupeSettings(strategy=strategy, tolerance_s=tolerance_s))
    outcome = _stages(_blocks([], chosen), chosen)
    assert (outcome.kept.num_rows, outcome.dropped.num_rows) == (0, 0)
    assert {"is_stale", "flight_id", "imputed"} <= set(outcome.kept.column_names)
