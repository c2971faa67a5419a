"""Seeded flight data of any size, in any layout: for people who try the tool, for tests, for benchmarks.

Aircraft fly in waves, one wave after another, so that the rows of a wave can be given in the order of time while memory stays
bounded. The same rows, complexity and seed give the same observations in every layout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypedDict

import numpy as np

from flight_etl.bench import writers
from flight_etl.bench.batch import FAULTS, Batch, arrival_order, concat, spoil
from flight_etl.bench.fleet import AIRPORTS, Aircraft, airframe
from flight_etl.bench.flights import Flight, fly
from flight_etl.bench.trips import PHASES, Events
from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_FPM, METRES_PER_SECOND_PER_KNOT, MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from flight_etl.bench.writers import Destination

__all__ = ["COMPLEXITIES", "Batch", "Complexity", "Options", "generate", "records", "truth", "write"]

Complexity = Literal["simple", "medium", "complex"]
COMPLEXITIES: Final = ("simple", "medium", "complex")

_START: Final = 1_700_000_000  # s since 1970: 2023-11-14 22:13:20 UTC
_WAVE_ROWS: Final = 50_000  # a wave takes no more aircraft once it has as many
_STAGGER_S: Final = 1_800  # s within which the aircraft of a wave begin
_QNH_FT: Final = 250.0  # ft; standard deviation of the offset of pressure altitudes
_EVENTS: Final = {
    "simple": Events(),
    "medium": Events(level_off=0.3, step=0.15, hold=0.05, go_around=0.03),
    "complex": Events(level_off=0.5, step=0.3, hold=0.12, go_around=0.08),
}
_WORDS: Final = np.array(PHASES, object)


class Options(TypedDict, total=False):
    """What `write` and `truth` pass on to `generate`."""

    start: int  # s since 1970
    interval_s: int
    aircraft: int | None


class _Leg(NamedTuple):
    """A flight with what holds for all its rows."""

    flown: Flight
    start: int  # s since 1970
    plane: Aircraft
    number: int  # of the aircraft
    callsign: str
    squawk: str
    back: bool


class _Wave(NamedTuple):
    """What the flights of a wave have in common."""

    seed: int
    start: int  # s since 1970
    interval_s: int
    complexity: Complexity
    offsets_ft: np.ndarray  # QNH by field


def generate(
    rows: int,
    *,
    complexity: Complexity = "medium",
    seed: int = 0,
    start: int = _START,
    interval_s: int = 5,
    aircraft: int | None = None,
) -> Iterator[Batch]:
    """Exactly `rows` observations in batches of whole waves, each in the order of arrival; the last wave is cut off.

    `start` is in s since 1970, `interval_s` in whole seconds between observations of an aircraft. With `aircraft`, that many
    take turns and share the rows; without, each wave brings new ones, as many as it takes. Raises ValueError.
    """
    if rows < 0 or interval_s < 1 or (aircraft is not None and aircraft < 1):
        raise ValueError(f"rows={rows}, interval_s={interval_s}, aircraft={aircraft}: need at least 0, 1 and 1")
    if complexity not in COMPLEXITIES:
        raise ValueError(f"complexity={complexity!r}: must be one of {', '.join(COMPLEXITIES)}")
    share = rows if aircraft is None else -(-rows // aircraft)
    left, turn, flights = rows, 0, 0
    while left:
        rng = np.random.default_rng([seed, 2, turn])
        wave = _Wave(seed, start, interval_s, complexity, rng.normal(0.0, _QNH_FT, len(AIRPORTS)))
        legs, turn = _wave(wave, turn, min(left, _WAVE_ROWS), share, aircraft)
        batch = _observed(legs, share, flights)
        start = int(batch.time_ms.max()) // MS_PER_SECOND + 600
        start += -start % interval_s
        flights += len(legs)
        batch = spoil(batch, FAULTS[complexity], rng).take(slice(left))
        left -= len(batch)
        if len(batch):
            yield arrival_order(batch, FAULTS[complexity], rng)


def truth(rows: int, *, complexity: Complexity = "medium", seed: int = 0, **options: Unpack[Options]) -> Batch:
    """All observations in one batch: the rows that `write` writes, with the truth beside them."""
    batches = list(generate(rows, complexity=complexity, seed=seed, **options))
    return concat(batches) if batches else _observed([], 0, 0)


def records(rows: int, *, layout: str = "flat", complexity: Complexity = "complex", seed: int = 0) -> list[dict[str, Any]]:
    """Flat records as dicts, None for null; for small numbers of rows. Raises ValueError for another layout than flat."""
    if layout != "flat":
        raise ValueError(f"layout={layout!r}: records are flat; use write for other layouts")
    batches = generate(rows, complexity=complexity, seed=seed)
    return [record for batch in batches for record in writers.flat_records(batch, extras=complexity == "complex")]


def write(
    destination: Destination,
    rows: int,
    *,
    layout: str = "flat",
    complexity: Complexity = "medium",
    seed: int = 0,
    ndjson: bool | None = None,
    extended: bool = False,
    **options: Unpack[Options],
) -> int:
    """Write exactly `rows` records to a path or binary file; gives the bytes before compression.

    A path that ends in .gz or .zst is compressed. `layout` is one of LAYOUT_NAMES. Records that stand alone (flat,
    opensky-history) are one array where the path ends in .json, else, or with `ndjson`, one a line; .csv gives the CSV of
    opensky-history. The other layouts have one document a line. `extended` adds OpenSky's category. `options` are those of
    `generate`. Raises ValueError, OSError.
    """
    batches = generate(rows, complexity=complexity, seed=seed, **options)
    form = writers.Form(layout=layout, extras=complexity == "complex", ndjson=ndjson, extended=extended)
    return writers.write_batches(destination, batches, form)


def _wave(wave: _Wave, turn: int, enough: int, share: int, fleet: int | None) -> tuple[list[_Leg], int]:
    """Flights of aircraft after aircraft until there are `enough` rows, and whose turn is next."""
    legs: list[_Leg] = []
    rows = aboard = 0
    while rows < enough and (fleet is None or aboard < fleet):
        visit, number = (0, turn) if fleet is None else divmod(turn, fleet)
        own = _visit(wave, number, visit)
        rows += min(sum(len(leg.flown.seconds) for leg in own), share)
        legs += own
        turn += 1
        aboard += 1
    return legs, turn


def _visit(wave: _Wave, number: int, visit: int) -> list[_Leg]:
    """The flights of one aircraft in a wave."""
    medium, rough = wave.complexity != "simple", wave.complexity == "complex"
    plane = airframe(number, seed=wave.seed, circuits=medium, non_icao=rough)
    rng = np.random.default_rng([wave.seed, 3, number, visit])
    start = wave.start + int(rng.integers(_STAGGER_S // wave.interval_s + 1)) * wave.interval_s
    legs: list[_Leg] = []
    for leg in range(plane.legs):
        back = (visit * plane.legs + leg) % 2 == 1 and not plane.circuits
        flown = fly(
            plane,
            rng,
            back=back,
            offsets_ft=wave.offsets_ft,
            interval_s=wave.interval_s,
            events=_EVENTS[wave.complexity],
        )
        airline = plane.kind.levels[0] >= 100  # noqa: PLR2004 - flies at flight levels, so for an airline
        callsign = f"{plane.operator.airline}{rng.integers(1, 2_000)}" if airline else plane.registration.replace("-", "")
        digits = rng.integers(0, 8, 4) if airline else np.array([7, 0, 0, 0])
        legs.append(_Leg(flown, start, plane, number, callsign, "".join(map(str, digits)), back))
        pause = int(rng.integers(360, 900)) if rng.random() < 0.5 else 0  # noqa: PLR2004 - half of the stops are silent
        start += int(flown.seconds[-1]) + (pause // wave.interval_s + 1) * wave.interval_s
    return legs


def _observed(legs: list[_Leg], share: int, first_flight: int) -> Batch:
    """The true rows of flights, at most `share` for each aircraft, sorted by aircraft and time."""
    rows = np.array([len(leg.flown.seconds) for leg in legs], np.int64)
    leg_of = np.repeat(np.arange(len(legs)), rows)
    number = np.array([leg.number for leg in legs], np.int64)

    def numbers(name: str) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(getattr(leg.flown, name) for leg in legs)])

    def words(of_legs: list[str]) -> np.ndarray:
        return np.array(of_legs, object)[leg_of]

    seconds = numbers("seconds").astype(np.int64) + np.array([leg.start for leg in legs], np.int64)[leg_of]
    time_ms, nothing = seconds * MS_PER_SECOND, np.zeros(len(leg_of), np.bool_)
    ends = [(leg.plane.outstation, leg.plane.base) if leg.back else (leg.plane.base, leg.plane.outstation) for leg in legs]
    batch = Batch(
        icao24=words([leg.plane.icao24 for leg in legs]),
        callsign=words([leg.callsign for leg in legs]),
        time_ms=time_ms,
        position_ms=time_ms,
        contact_ms=time_ms,
        lat=numbers("latitude"),
        lon=numbers("longitude"),
        altitude_m=numbers("altitude_ft") * METRES_PER_FOOT,
        geo_altitude_m=numbers("geo_altitude_m"),
        velocity_mps=numbers("speed_kt") * METRES_PER_SECOND_PER_KNOT,
        heading_deg=numbers("track_deg"),
        vertical_rate_mps=numbers("rate_fpm") * METRES_PER_SECOND_PER_FPM,
        on_ground=numbers("on_ground").astype(np.bool_),
        squawk=words([leg.squawk for leg in legs]),
        category=words([leg.plane.kind.category for leg in legs]),
        origin_country=words([leg.plane.operator.country for leg in legs]),
        registration=words([leg.plane.registration for leg in legs]),
        type_code=words([leg.plane.kind.code for leg in legs]),
        model=words([leg.plane.kind.model for leg in legs]),
        operator=words([leg.plane.operator.name for leg in legs]),
        origin=words([AIRPORTS[start].icao for start, _ in ends]),
        destination=words([AIRPORTS[end].icao for _, end in ends]),
        aircraft=number[leg_of],
        flight=leg_of + first_flight,
        phase=_WORDS[numbers("phase").astype(np.int8)],
        height_ft=numbers("height_ft"),
        is_stale=nothing,
        is_duplicate=nothing,
    )
    return batch.take(_within(number, rows, share))


def _within(number: np.ndarray, rows: np.ndarray, share: int) -> np.ndarray:
    """Mark the first `share` rows of each aircraft, whose legs stand together."""
    if not len(rows):
        return np.zeros(0, np.bool_)
    of_row = np.repeat(number, rows)
    starts = np.flatnonzero(np.r_[True, np.diff(of_row) != 0])
    return np.asarray(np.arange(len(of_row)) - np.repeat(starts, np.diff(np.r_[starts, len(of_row)])) < share)
