"""Unknown values are filled inside a flight by the method asked for, and marked; everything else stays as it was."""

from __future__ import annotations

import math
import statistics
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tracks import column, in_flights, row, same_rows

from flight_etl.core.impute import NUMBERS, WORDS, check_methods, impute
from flight_etl.errors import SettingsError
from flight_etl.settings import FillMethod, ImputeSettings

if TYPE_CHECKING:
    from flight_etl.outcome import Outcome

NUMBER_METHODS: tuple[FillMethod, ...] = ("interpolate", "forward_fill", "backward_fill", "mean", "median", "mode", "none")
WORD_METHODS: tuple[FillMethod, ...] = ("forward_fill", "backward_fill", "mode", "none")
NOT_ON_GROUND = ("altitude", "geo_altitude", "vertical_rate")


def filled(table: pa.Table, *methods: tuple[str, FillMethod], max_gap_s: float = 120.0) -> Outcome:
    outcome = impute(table, ImputeSettings(methods=methods, max_gap_s=max_gap_s))
    assert outcome.dropped.num_rows == 0
    return outcome


def values(name: str, method: FillMethod, *sent: Any, step: float = 10.0, **settings: Any) -> list[Any]:
    """A column of one flight, one row every `step` seconds, after filling."""
    table = in_flights(*[row(step * n, **{name: value}) for n, value in enumerate(sent)])
    return column(filled(table, (name, method), **settings).kept, name)


def simple_fill(rows: list[dict[str, Any]], name: str, method: FillMethod, gap: float) -> list[Any]:
    """The same by plain loops over rows with t, flight, fresh, ground, value."""
    result = []
    for here in rows:
        number = name in NUMBERS
        mates = [r for r in rows if r["flight"] == here["flight"] and r["value"] is not None and (r["fresh"] or not number)]
        before = max((r for r in mates if r["t"] <= here["t"]), key=lambda r: r["t"], default=None)
        after = min((r for r in mates if r["t"] >= here["t"]), key=lambda r: r["t"], default=None)
        near_before = before is not None and (not number or here["t"] - before["t"] <= gap)
        near_after = after is not None and (not number or after["t"] - here["t"] <= gap)
        value = None
        if here["value"] is not None or (name in NOT_ON_GROUND and here["ground"]):
            value = here["value"]
        elif method == "forward_fill":
            value = before["value"] if before and near_before else None
        elif method == "backward_fill":
            value = after["value"] if after and near_after else None
        elif method == "interpolate" and before and after and after["t"] - before["t"] <= gap:
            step = after["value"] - before["value"]
            step = (step + 180) % 360 - 180 if name == "heading" else step
            value = before["value"] + step * (here["t"] - before["t"]) / max(after["t"] - before["t"], 1e-3)
        elif method in ("mean", "median", "mode") and (near_before or near_after):
            value = simple_average([r["value"] for r in mates], name, method)
        result.append(value)
    return result


def simple_average(known: list[Any], name: str, method: FillMethod) -> Any:
    if method == "mode":
        return min(known, key=lambda value: (-known.count(value), value))
    if name != "heading":
        return statistics.mean(known) if method == "mean" else statistics.median(known)
    east, north = (math.fsum(f(math.radians(v)) for v in known) for f in (math.sin, math.cos))
    if math.hypot(east, north) < 1e-6:
        return None
    mean = math.degrees(math.atan2(east, north))
    return mean if method == "mean" else mean + statistics.median([(v - mean + 180) % 360 - 180 for v in known])


def random_table(name: str, seed: int) -> pa.Table:
    """Several flights with holes, stale rows and rows on the ground."""
    random = Random(seed)
    rows: list[dict[str, Any]] = []
    for code in ("4b1901", "4b1902", "~4b1901"):
        t = 0.0
        for _ in range(40):
            t += random.choice([1, 7, 30, 90, 200, 2_000])
            value = random.choice(["AFR1", "AFR2", "BAW9"]) if name in WORDS else random.choice([0.0, 1.5, 10.0, 200.25, 359.0])
            given: dict[str, Any] = {name: value} if random.random() < 0.5 else {}
            given |= {"on_ground": random.choice([True, False, None])} if name != "callsign" else {}
            rows.append(row(t, icao24=code, heard=t if random.random() < 0.7 else 0.0, **given))
    return in_flights(*rows)


def agree(name: str, got: Any, wanted: Any) -> bool:
    if got is None or wanted is None or name in WORDS:
        return bool(got == wanted)
    apart = got - wanted
    return bool(abs((apart + 180) % 360 - 180 if name == "heading" else apart) < 1e-9)


CASES = [(name, method) for name in NUMBERS for method in NUMBER_METHODS]
CASES += [(name, method) for name in WORDS for method in WORD_METHODS]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "method"), CASES)
def test_every_method_of_every_column_equals_a_plain_loop(name: str, method: FillMethod, seed: int) -> None:
    table = random_table(name, seed)
    sent = column(table, name)
    parts = zip(
        *(column(table, "timestamp"), column(table, "flight_id"), column(table, "is_stale"), column(table, "on_ground"), sent),
        strict=True,
    )
    rows = [dict(t=t, flight=f, fresh=not s, ground=g, value=v) for t, f, s, g, v in parts]  # noqa: C408
    expected = simple_fill(rows, name, method, 120.0)
    outcome = filled(table, (name, method))
    got = column(outcome.kept, name)
    assert all(agree(name, one, other) for one, other in zip(got, expected, strict=True))
    marks = [name if before is None and after is not None else None for before, after in zip(sent, got, strict=True)]
    assert column(outcome.kept, "imputed") == marks
    count = sum(mark is not None for mark in marks)
    assert outcome.counts == ({f"imputed.{name}": count} if count else {})
    assert (count > 0) == (method != "none")


def test_numbers_are_interpolated_in_time() -> None:
    table = in_flights(row(0, altitude=100.0), row(15), row(60, altitude=500.0))
    assert column(filled(table, ("altitude", "interpolate")).kept, "altitude") == [100.0, 200.0, 500.0]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [((350.0, None, 10.0), 0.0), ((10.0, None, 350.0), 0.0), ((90.0, None, 100.0), 95.0), ((0.0, None, 180.0), 90.0)],
)
def test_headings_turn_the_shorter_way(sent: tuple[float | None, ...], expected: float) -> None:
    assert values("heading", "interpolate", *sent)[1] == expected


def test_headings_are_averaged_as_directions() -> None:
    assert values("heading", "mean", 350.0, None, 10.0)[1] == pytest.approx(0.0, abs=1e-9)
    assert values("heading", "mean", 80.0, None, 100.0)[1] == pytest.approx(90.0)
    assert values("heading", "median", 359.0, None, 1.0, 2.0)[1] == pytest.approx(1.0)
    assert values("heading", "mode", 359.0, None, 1.0, 359.0)[1] == 359.0


@pytest.mark.parametrize("method", ["mean", "median"])
def test_opposite_headings_have_no_mean(method: FillMethod) -> None:
    assert values("heading", method, 90.0, None, 270.0) == [90.0, None, 270.0]


def test_a_heading_is_never_a_whole_turn() -> None:
    """The remainder of a tiny negative number by 360 is 360."""
    table = in_flights(row(0, heading=0.0), row(0.001), row(100, heading=360 - 6e-14))
    assert column(filled(table, ("heading", "interpolate")).kept, "heading")[1] < 360.0


@pytest.mark.parametrize("method", ["interpolate", "forward_fill", "backward_fill", "mean", "median", "mode"])
def test_the_longest_gap_is_filled_and_no_longer_one(method: FillMethod) -> None:
    assert None not in values("velocity", method, 1.0, None, 1.0, step=60)[1:2]
    far = 60.5 if method == "interpolate" else 120.5
    assert values("velocity", method, 1.0, None, 1.0, step=far)[1] is None


def test_nothing_is_filled_across_flights() -> None:
    rows = [row(0, velocity=100.0, callsign="AFR1", on_ground=True), row(10, on_ground=True)]
    rows += [row(20, velocity=200.0, callsign="AFR2", on_ground=True)]
    table = in_flights(*rows)
    assert len(set(column(table, "flight_id"))) == 2
    methods = [("velocity", "interpolate"), ("callsign", "backward_fill")]
    kept = impute(table, ImputeSettings(methods=tuple(methods))).kept  # type: ignore[arg-type]
    at = column(kept, "flight_id").index(column(kept, "flight_id")[-1])
    assert column(kept, "callsign")[:at] == column(table, "callsign")[:at]
    assert column(kept, "velocity") == column(table, "velocity")


def test_text_is_filled_however_long_the_hole() -> None:
    assert values("callsign", "forward_fill", "AFR1", None, None, step=1_000) == ["AFR1"] * 3
    assert values("callsign", "backward_fill", None, None, "AFR1", step=1_000) == ["AFR1"] * 3


@pytest.mark.parametrize("name", NUMBERS)
def test_on_the_ground_altitudes_and_rates_stay_unknown(name: str) -> None:
    table = in_flights(*[row(n, on_ground=True, **({name: 9.0} if n != 1 else {})) for n in range(3)])
    assert (column(filled(table, (name, "interpolate")).kept, name)[1] is None) == (name in NOT_ON_GROUND)


def test_numbers_of_stale_rows_are_not_built_upon() -> None:
    rows = [
        row(0, heard=0, velocity=100.0),
        row(10, heard=0, velocity=900.0),
        row(20, heard=20),
        row(40, heard=40, velocity=200.0),
    ]
    table = in_flights(*rows)
    assert column(table, "is_stale") == [False, True, False, False]
    assert column(filled(table, ("velocity", "interpolate")).kept, "velocity") == [100.0, 900.0, 150.0, 200.0]
    assert column(filled(table, ("velocity", "mean")).kept, "velocity")[2] == 150.0


def test_text_of_stale_rows_is_as_good_as_any() -> None:
    table = in_flights(row(0, heard=0), row(10, heard=0, callsign="AFR1"))
    assert column(filled(table, ("callsign", "backward_fill")).kept, "callsign") == ["AFR1", "AFR1"]


def test_filled_values_are_not_built_upon() -> None:
    table = in_flights(row(0, velocity=100.0), row(100), row(150), row(200, velocity=300.0))
    outcome = filled(table, ("velocity", "forward_fill"), ("velocity", "interpolate"))
    assert column(outcome.kept, "velocity") == [100.0, 100.0, None, 300.0]
    words = in_flights(row(0), row(1, callsign="B"), row(2), row(3), row(4, callsign="A"), row(5, callsign="A"))
    table = filled(words, ("callsign", "forward_fill"), ("callsign", "mode")).kept
    assert column(table, "callsign") == ["A", "B", "B", "B", "A", "A"]


def test_methods_of_one_column_follow_one_another() -> None:
    table = in_flights(row(0), row(1, callsign="AFR1"), row(2))
    outcome = filled(table, ("callsign", "forward_fill"), ("callsign", "backward_fill"))
    assert column(outcome.kept, "callsign") == ["AFR1"] * 3
    assert outcome.counts == {"imputed.callsign": 2}


def test_filled_columns_are_named_in_schema_order() -> None:
    full: dict[str, Any] = {"callsign": "AFR1", "altitude": 1.0, "velocity": 2.0, "vertical_rate": 3.0, "category": "A3"}
    table = in_flights(row(0, **full), row(1), row(2, **full), row(3, **full | {"velocity": None}), row(4, **full))
    methods: list[tuple[str, FillMethod]] = [(name, "forward_fill") for name in reversed(full)]
    assert column(filled(table, *methods).kept, "imputed") == [
        *(None, "callsign,altitude,velocity,vertical_rate,category"),
        *(None, "velocity", None),
    ]


def test_where_every_row_was_filled_every_row_says_so() -> None:
    table = in_flights(row(0, velocity=1.0), row(1, altitude=2.0), row(2, velocity=1.0))
    kept = filled(table, ("altitude", "backward_fill"), ("altitude", "forward_fill"), ("velocity", "forward_fill")).kept
    assert column(kept, "imputed") == ["altitude", "velocity", "altitude"]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_flight_without_one_value_stays_unknown(name: str, method: FillMethod) -> None:
    table = in_flights(row(0), row(1))
    outcome = filled(table, (name, method))
    assert column(outcome.kept, name) == [None, None]
    assert outcome.counts == {}
    assert outcome.kept.schema.field("imputed").type == pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize(("name", "method"), CASES)
def test_no_rows_stay_none(name: str, method: FillMethod) -> None:
    outcome = filled(in_flights(), (name, method))
    assert outcome.kept.num_rows == 0
    assert "imputed" in outcome.kept.column_names


@pytest.mark.parametrize("name", ["latitude", "longitude", "squawk", "on_ground", "icao24", "timestamp", "spi", "nonsense"])
@pytest.mark.parametrize("method", ["interpolate", "none"])
def test_columns_that_are_never_filled_are_refused(name: str, method: FillMethod) -> None:
    settings = ImputeSettings(methods=((name, method),))
    with pytest.raises(SettingsError, match=f"'{name}' is never filled"):
        check_methods(settings)
    with pytest.raises(SettingsError):
        impute(in_flights(), settings)


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("method", ["interpolate", "mean", "median"])
def test_text_has_no_average(name: str, method: FillMethod) -> None:
    with pytest.raises(SettingsError, match="text takes forward_fill, backward_fill, mode, none"):
        check_methods(ImputeSettings(methods=((name, method),)))


def test_the_default_fills_altitude_speed_rate_and_callsign_but_no_position() -> None:
    full: dict[str, Any] = {
        "altitude": 1.0,
        "velocity": 2.0,
        "vertical_rate": 3.0,
        "callsign": "AFR1",
        "heading": 4.0,
        "squawk": "1000",
    }
    rows = [row(0, latitude=1.0, longitude=1.0, **full), row(1), row(2, latitude=1.1, longitude=1.0, **full)]
    table = in_flights(*rows)
    kept = impute(table, ImputeSettings()).kept
    assert column(kept, "imputed")[1] == "callsign,altitude,velocity,vertical_rate"
    names = ["latitude", "longitude", "heading", "squawk"]
    assert same_rows(kept.select(names), table.select(names))
