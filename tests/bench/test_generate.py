"""Generated data: exact, repeatable, plausible, bounded, and the same in every layout."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import tracemalloc
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
import zstandard

from flight_etl.bench.fleet import AIRPORTS, EARTH_RADIUS_M, Aircraft, airframe, unit_vector
from flight_etl.bench.flights import Flight, fly
from flight_etl.bench.generate import COMPLEXITIES, generate, records, truth, write
from flight_etl.bench.trips import PHASES, Events
from flight_etl.bench.writers import LAYOUT_NAMES
from flight_etl.core.decode import layouts
from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_KNOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ALL_EVENTS = Events(level_off=0.5, step=0.5, hold=0.5, go_around=0.3)
SNAPSHOTS = {"opensky": "states", "opensky-objects": "states", "readsb": "aircraft", "adsbx-v2": "ac", "adsbx-v1": "ac"}

# What may follow what: DESIGN section 6, one flight from stand to stand.
LEGAL = {
    "ground": {"taxi", "takeoff"},
    "taxi": {"ground", "takeoff"},
    "takeoff": {"climb", "cruise"},
    "climb": {"cruise", "descent", "approach"},
    "cruise": {"climb", "descent", "approach"},
    "descent": {"cruise", "approach"},
    "approach": {"landing", "climb"},
    "landing": {"taxi", "takeoff"},
}


def flights(number: int, *, interval_s: int = 5) -> Iterator[tuple[Aircraft, np.ndarray, Flight]]:
    """Fly some trips with every kind of event, under different pressures."""
    for at in range(number):
        offsets = np.random.default_rng([7, at]).normal(0, 250, len(AIRPORTS))
        plane = airframe(at, seed=5, circuits=True, non_icao=True)
        rng = np.random.default_rng(at)
        yield plane, offsets, fly(plane, rng, back=at % 2 == 1, offsets_ft=offsets, interval_s=interval_s, events=ALL_EVENTS)


def written(layout: str, rows: int, path: Path, **options: Any) -> list[Any]:
    """The documents of a file that was written with one document a line."""
    write(path, rows, layout=layout, **options)
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def number_of_records(layout: str, documents: list[Any]) -> int:
    if layout in SNAPSHOTS:
        return sum(len(document[SNAPSHOTS[layout]]) for document in documents)
    if layout == "trace":
        return sum(len(document["trace"]) for document in documents)
    if layout == "fr24":
        return sum(len(fr24_flight(document)["track"]) for document in documents)
    if layout == "flat-columns":
        (columns,) = documents
        (number,) = {len(column) for column in columns.values()}
        return number
    return len(documents)


def fr24_flight(document: Any) -> Any:
    return document["result"]["response"]["data"]["flight"]


def feet(value: Any) -> int | None:
    """Feet, None for null and for "ground"."""
    return None if value in (None, "", "ground") else round(float(value))


def from_si(metres: Any) -> int | None:
    return None if metres is None else round(metres / METRES_PER_FOOT)


# Each reader gives (address, time in s, latitude, longitude, altitude in ft).
def read_opensky(document: Any) -> Iterator[tuple[Any, ...]]:
    return ((r[0], document["time"], r[6], r[5], from_si(r[7])) for r in document["states"])


def read_opensky_objects(document: Any) -> Iterator[tuple[Any, ...]]:
    for r in document["states"]:
        yield r["icao24"], document["time"], r["latitude"], r["longitude"], from_si(r["baro_altitude"])


def read_readsb(document: Any) -> Iterator[tuple[Any, ...]]:
    milliseconds = "ac" in document
    time = document["now"] // 1000 if milliseconds else document["now"]
    for r in document["ac" if milliseconds else "aircraft"]:
        position = r.get("lastPosition", r)
        yield r["hex"], time, position.get("lat"), position.get("lon"), feet(r.get("alt_baro"))


def read_v1(document: Any) -> Iterator[tuple[Any, ...]]:
    for r in document["ac"]:
        lat, lon = (None if r[key] == "" else float(r[key]) for key in ("lat", "lon"))
        yield r["icao"].lower(), document["ctime"] // 1000, lat, lon, feet(r["alt"])


def read_trace(document: Any) -> Iterator[tuple[Any, ...]]:
    return ((document["icao"], document["timestamp"] + r[0], r[1], r[2], feet(r[3])) for r in document["trace"])


def read_fr24(document: Any) -> Iterator[tuple[Any, ...]]:
    flight = fr24_flight(document)
    address = flight["aircraft"]["identification"]["modes"].lower()
    return ((address, r["timestamp"], r["latitude"], r["longitude"], r["altitude"]["feet"]) for r in flight["track"])


def read_flat(r: Any) -> Iterator[tuple[Any, ...]]:
    yield r["icao24"], r["timestamp"], r["latitude"], r["longitude"], from_si(r["altitude"])


def read_history(r: Any) -> Iterator[tuple[Any, ...]]:
    yield r["icao24"], r["time"], r["lat"], r["lon"], from_si(r["baroaltitude"])


def read_columns(columns: Any) -> Iterator[tuple[Any, ...]]:
    for row in columns["icao24"]:
        yield from read_flat({name: column[row] for name, column in columns.items()})


READERS: dict[str, Callable[[Any], Iterator[tuple[Any, ...]]]] = {
    "opensky": read_opensky,
    "opensky-objects": read_opensky_objects,
    "opensky-history": read_history,
    "readsb": read_readsb,
    "trace": read_trace,
    "adsbx-v2": read_readsb,
    "adsbx-v1": read_v1,
    "fr24": read_fr24,
    "flat": read_flat,
    "flat-columns": read_columns,
}
NO_GROUND_ALTITUDE = ("readsb", "adsbx-v2", "trace", "fr24")  # they say "ground" where the altitude would stand


def test_every_layout_can_be_written() -> None:
    assert sorted(LAYOUT_NAMES) == sorted(layouts.LAYOUT_NAMES) == sorted(READERS)


@pytest.mark.parametrize("layout", [name for name in LAYOUT_NAMES if layouts.LAYOUTS[name].signatures])
def test_layouts_bear_their_signatures(layout: str, tmp_path: Path) -> None:
    """Recognition by content has what it looks for: keys of the first record, or of the object around array rows."""
    place = written(layout, 50, tmp_path / "x")[0]
    if layout in SNAPSHOTS:
        place = place[SNAPSHOTS[layout]][0]
    assert any(set(signature) <= set(place) for signature in layouts.LAYOUTS[layout].signatures)


@pytest.mark.parametrize("rows", [0, 1, 2_345])
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_exactly_as_many_records_as_asked_for(layout: str, rows: int, tmp_path: Path) -> None:
    documents = written(layout, rows, tmp_path / "x.ndjson", complexity="complex")
    assert number_of_records(layout, documents) == rows


@pytest.mark.parametrize("complexity", COMPLEXITIES)
@pytest.mark.parametrize("rows", [1, 999, 70_000])
def test_batches_hold_exactly_the_rows(rows: int, complexity: Any) -> None:
    batches = list(generate(rows, complexity=complexity))
    assert sum(len(batch) for batch in batches) == rows
    assert all(len(getattr(batch, column.name)) == len(batch) for batch in batches for column in fields(batch))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    def made(seed: int) -> bytes:
        file = io.BytesIO()
        assert write(file, 3_000, complexity="complex", seed=seed) == len(file.getvalue())
        return file.getvalue()

    assert made(1) == made(1)
    assert made(1) != made(2)


@pytest.mark.parametrize("complexity", COMPLEXITIES)
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_all_layouts_hold_the_same_observations(layout: str, complexity: Any, tmp_path: Path) -> None:
    documents = written(layout, 4_000, tmp_path / "x", complexity=complexity)
    found = [row for document in documents for row in READERS[layout](document)]
    batch = truth(4_000, complexity=complexity)
    hidden = batch.on_ground & (layout in NO_GROUND_ALTITUDE)
    altitude = np.where(hidden, 0.0 if layout == "fr24" else np.nan, batch.altitude_m / METRES_PER_FOOT)
    expected = zip(
        batch.icao24.tolist(),
        (batch.time_ms // 1000).tolist(),
        known(batch.lat),
        known(batch.lon),
        [None if value is None else round(value) for value in known(altitude)],
        strict=True,
    )
    assert sorted(((address, int(time), *rest) for address, time, *rest in found), key=str) == sorted(expected, key=str)


def known(values: np.ndarray) -> list[Any]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def test_flat_is_an_array_in_json_and_lines_elsewhere(tmp_path: Path) -> None:
    for name, array in (("x.json", True), ("x.ndjson", False), ("x.jsonl", False)):
        write(tmp_path / name, 1_500)
        text = (tmp_path / name).read_bytes()
        rows = orjson.loads(text) if array else [orjson.loads(line) for line in text.splitlines()]
        assert len(rows) == 1_500
    write(tmp_path / "y.json", 3, ndjson=True)
    assert len((tmp_path / "y.json").read_bytes().splitlines()) == 3
    write(tmp_path / "empty.json", 0)
    assert orjson.loads((tmp_path / "empty.json").read_bytes()) == []


def test_gz_and_zst_hold_the_same_bytes(tmp_path: Path) -> None:
    sizes = {write(tmp_path / name, 500) for name in ("x.json", "x.json.gz", "x.json.zst")}
    plain = (tmp_path / "x.json").read_bytes()
    assert sizes == {len(plain)}
    assert gzip.decompress((tmp_path / "x.json.gz").read_bytes()) == plain
    with zstandard.open(tmp_path / "x.json.zst", "rb") as packed:
        assert packed.read() == plain
    first = (tmp_path / "x.json.gz").read_bytes()
    write(tmp_path / "x.json.gz", 500)
    assert (tmp_path / "x.json.gz").read_bytes() == first


def test_history_csv(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", 700, layout="opensky-history", complexity="complex")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 700
    assert {row["onground"] for row in rows} <= {"True", "False"}
    assert "" in {row["baroaltitude"] for row in rows}
    assert "nan" not in {value for row in rows for value in row.values()}


def test_opensky_rows_have_17_columns_or_18(tmp_path: Path) -> None:
    for extended, width in ((False, 17), (True, 18)):
        documents = written("opensky", 500, tmp_path / "x", extended=extended)
        assert {len(row) for document in documents for row in document["states"]} == {width}
        assert [document["time"] for document in documents] == sorted({document["time"] for document in documents})


def test_readsb_leaves_out_what_it_does_not_know_and_says_ground(tmp_path: Path) -> None:
    rows = [row for document in written("readsb", 4_000, tmp_path / "x", complexity="complex") for row in document["aircraft"]]
    assert not any(value is None for row in rows for value in row.values())
    assert "ground" in {row.get("alt_baro") for row in rows}
    assert all(row["alt_baro"] % 25 == 0 for row in rows if isinstance(row.get("alt_baro"), int))
    assert all(row["baro_rate"] % 64 == 0 for row in rows)
    assert all(len(row["flight"]) in (0, 8) for row in rows if "flight" in row)


def test_adsbx_v1_writes_every_value_as_a_string(tmp_path: Path) -> None:
    documents = written("adsbx-v1", 500, tmp_path / "x")
    assert {type(value) for document in documents for row in document["ac"] for value in row.values()} == {str}


def test_traces_are_days_of_one_aircraft_in_order(tmp_path: Path) -> None:
    documents = written("trace", 30_000, tmp_path / "x", complexity="complex")
    assert len({(document["icao"], document["timestamp"]) for document in documents}) == len(documents)
    for document in documents:
        offsets = [row[0] for row in document["trace"]]
        assert offsets == sorted(offsets)
        assert 0 <= offsets[0] <= offsets[-1] < 86_400
        assert {len(row) for row in document["trace"]} == {14}
        assert document["trace"][0][8] is not None


def test_records_are_flat_dicts_with_nested_extras() -> None:
    rows = records(1_200)
    assert len(rows) == 1_200
    assert {type(row["aircraft_info"]) for row in rows} == {dict}
    assert 0 < sum("flight_plan" in row for row in rows) < 1_200
    assert all(value == value for row in rows for value in row.values())  # noqa: PLR0124 - no NaN
    assert "aircraft_info" not in records(10, complexity="simple")[0]


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows=-1"):
        next(generate(-1))
    with pytest.raises(ValueError, match="complexity='hard'"):
        next(generate(1, complexity="hard"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layout='beast'"):
        write(tmp_path / "x", 1, layout="beast")
    with pytest.raises(ValueError, match="layout='trace'"):
        records(1, layout="trace")
    assert not (tmp_path / "x").exists()


def test_few_aircraft_can_share_many_rows() -> None:
    batch = truth(20_000, aircraft=3)
    assert len(set(batch.icao24.tolist())) == 3
    assert min(np.unique(batch.aircraft, return_counts=True)[1]) > 2_000
    for number in range(3):
        own = batch.take(batch.aircraft == number)
        fresh = own.take(~own.is_duplicate)
        assert len(set(fresh.time_ms.tolist())) == len(fresh)


def test_interval_and_start_are_kept() -> None:
    batch = truth(2_000, complexity="simple", start=1_600_000_000, interval_s=10)
    assert batch.time_ms.min() >= 1_600_000_000_000
    assert set((batch.time_ms % 10_000).tolist()) == {0}


@pytest.mark.parametrize("layout", ["flat", "opensky", "trace", "flat-columns"])
def test_memory_does_not_grow_with_the_rows(layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there are several waves; small ones here, because tracing memory is slow."""
    monkeypatch.setattr("flight_etl.bench.generate._WAVE_ROWS", 4_000)

    def peak(rows: int) -> int:
        tracemalloc.start()
        try:
            write(tmp_path / "x", rows, layout=layout)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is imported and cached once
    assert peak(80_000) < 1.25 * peak(20_000)


def test_flights_are_plausible() -> None:
    for plane, offsets, flight in flights(60):
        ends = [plane.base, plane.outstation]
        assert flight.on_ground[0]
        assert flight.on_ground[-1]
        assert flight.speed_kt[[0, -1]].max() < 5
        assert (~flight.on_ground).sum() > 60
        assert flight.speed_kt.max() < 560
        assert np.abs(flight.rate_fpm).max() < 4_000
        assert flight.altitude_ft.max() <= 41_000
        # On the ground the pressure altitude is the elevation plus the offset of the day.
        grounds = {round(AIRPORTS[end].elevation_ft + offsets[end], 3) for end in ends}
        assert set(np.round(flight.altitude_ft[flight.on_ground], 3).tolist()) <= grounds
        for row in (0, -1):
            here = unit_vector(flight.latitude[row], flight.longitude[row])
            away = [np.linalg.norm(here - unit_vector(AIRPORTS[end].latitude, AIRPORTS[end].longitude)) for end in ends]
            assert min(away) * EARTH_RADIUS_M < 2_000


def test_positions_speeds_and_tracks_agree() -> None:
    """Metres between positions are what the speeds say; a turn is no sharper than aircraft turn."""
    for _, _, flight in flights(40):
        where = np.array([unit_vector(*place) for place in zip(flight.latitude, flight.longitude, strict=True)])
        covered = np.linalg.norm(np.diff(where, axis=0), axis=1) * EARTH_RADIUS_M
        mean = (flight.speed_kt[1:] + flight.speed_kt[:-1]) / 2
        assert np.abs(covered / 5 / METRES_PER_SECOND_PER_KNOT - mean).max() < 15
        turn = np.abs((np.diff(flight.track_deg) + 180) % 360 - 180)
        assert turn[~flight.on_ground[1:] & ~flight.on_ground[:-1]].max() / 5 < 5


def test_phases_follow_one_another_legally_and_mean_what_design_says() -> None:
    seen = set()
    for _, _, flight in flights(60, interval_s=1):
        words = [PHASES[code] for code in flight.phase[np.r_[True, np.diff(flight.phase) != 0]].tolist()]
        assert words[0] == words[-1] == "ground"
        for before, after in itertools.pairwise(words):
            assert after in LEGAL[before], (before, after)
        seen |= set(words)
        phase = np.array(PHASES)[flight.phase]
        slow = flight.speed_kt <= 5
        assert np.array_equal(phase == "ground", flight.on_ground & slow)
        assert np.array_equal(phase == "taxi", flight.on_ground & ~slow & (flight.speed_kt <= 30))
        assert flight.height_ft[phase == "takeoff"].max() <= 3_000
        assert flight.height_ft[phase == "approach"].max() <= 3_000
        assert (flight.height_ft[phase == "descent"] >= 2_999).all()
        assert (flight.speed_kt[phase == "landing"] > 30).all()
        assert np.abs(np.median(flight.rate_fpm[phase == "cruise"])) < 1
    assert seen == set(PHASES)


def test_complexity_brings_faults() -> None:
    simple, rough = truth(30_000, complexity="simple"), truth(30_000, complexity="complex")
    assert not simple.is_stale.any()
    assert not simple.is_duplicate.any()
    assert np.isfinite(simple.altitude_m).all()
    assert (np.diff(simple.time_ms) >= 0).all()
    assert 0.08 < rough.is_stale.mean() < 0.25
    assert 0.004 < rough.is_duplicate.mean() < 0.02
    assert np.isnan(rough.lat).any()
    assert (np.diff(rough.time_ms) < 0).any()
    assert (rough.position_ms[rough.is_stale] < rough.time_ms[rough.is_stale]).all()
    assert {None, "", " " * 8} <= set(rough.callsign.tolist())
    for rows, non_icao in ((simple, False), (rough, True)):
        planes = [airframe(number, seed=0, circuits=True, non_icao=non_icao) for number in range(200)]
        assert any(plane.icao24.startswith("~") for plane in planes) == non_icao
        assert len({plane.icao24 for plane in planes}) == len(planes)
        assert not any(address.startswith("~") for address in set(rows.icao24.tolist())) or non_icao


def test_medium_has_about_ten_percent_stale_rows_and_unknown_altitudes_on_the_ground() -> None:
    batch = truth(40_000)
    assert 0.07 < batch.is_stale.mean() < 0.13
    assert 0.7 < np.isnan(batch.altitude_m[batch.on_ground]).mean() < 0.95
    assert np.isfinite(batch.altitude_m[~batch.on_ground]).all()
