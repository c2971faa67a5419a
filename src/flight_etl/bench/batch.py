"""Observations in columns, and the faults that real feeds have."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_FPM, METRES_PER_SECOND_PER_KNOT, MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FAULTS", "NO_TIME", "Batch", "Faults", "arrival_order", "concat", "spoil"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]

NO_TIME: Final = -1  # ms; stands for "never heard"

_ALTITUDE_FT: Final = 25.0  # ft; quantum of Mode S altitudes
_RATE_FPM: Final = 64.0  # ft/min; quantum of ADS-B vertical rates
_SPEED_KT: Final = 0.1  # kt; what readsb prints
_DEGREES: Final = 6  # decimals of a position, 0.1 m
_METRES_PER_DEGREE: Final = 111_195.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Observations as parallel arrays. NaN, None and NO_TIME mean that nothing was sent."""

    icao24: Words  # lower-case hex, some with a leading ~
    callsign: Words  # str without padding, "" or blanks, or None
    time_ms: Ints  # whole seconds
    position_ms: Ints  # earlier than time_ms where stale
    contact_ms: Ints
    lat: Floats  # deg
    lon: Floats  # deg
    altitude_m: Floats  # pressure altitude, multiples of 25 ft
    geo_altitude_m: Floats  # above the ellipsoid, multiples of 25 ft
    velocity_mps: Floats  # over ground, multiples of 0.1 kt
    heading_deg: Floats  # track, 0 <= heading < 360, two decimals
    vertical_rate_mps: Floats  # multiples of 64 ft/min
    on_ground: Bools
    squawk: Words  # four octal digits, or None
    category: Words  # emitter category A0 to D7
    origin_country: Words
    registration: Words
    type_code: Words
    model: Words
    operator: Words
    origin: Words  # truth: ICAO code of the field of departure
    destination: Words  # truth: ICAO code of the field of arrival
    aircraft: Ints  # number of the airframe
    flight: Ints  # truth: number of the flight, from 0
    phase: Words  # truth: phase of the moment (DESIGN section 6), also where the row is stale
    height_ft: Floats  # truth: above the field of departure; once the last cruise level is left, of arrival
    is_stale: Bools  # repeats the last fresh row of the aircraft
    is_duplicate: Bools  # copy of the row before

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.time_ms)

    def take(self, rows: Any) -> Batch:
        """Rows by index, mask or slice, in that order."""
        return Batch(*(getattr(self, column.name)[rows] for column in fields(self)))


def concat(batches: Sequence[Batch]) -> Batch:
    """All rows of one batch or more."""
    return Batch(*(np.concatenate([getattr(batch, column.name) for batch in batches]) for column in fields(Batch)))


class Faults(NamedTuple):
    """How often a feed errs; shares of rows, 0 to 1, unless another unit is given."""

    noise: float = 0.0  # multiple of the usual errors of position, geometric altitude, speed and rate
    no_ground_altitude: float = 0.0  # of the rows on the ground
    gap: float = 0.0  # of the rows begin a gap
    gap_rows: int = 1  # longest gap
    stale: float = 0.0
    stale_rows: int = 1  # longest run of stale rows
    duplicate: float = 0.0
    no_callsign: float = 0.0
    spike: float = 0.0  # in each of altitude, speed and rate
    flipped_ground: float = 0.0
    no_position: float = 0.0
    delayed: float = 0.0  # arrive up to a minute after their time
    late: float = 0.0  # arrive up to an hour after their time


FAULTS: Final = {
    "simple": Faults(),
    "medium": Faults(noise=1.0, no_ground_altitude=0.85, gap=0.0005, gap_rows=20, stale=0.10, stale_rows=8, duplicate=0.002),
    "complex": Faults(
        noise=2.0,
        no_ground_altitude=0.90,
        gap=0.002,
        gap_rows=60,
        stale=0.15,
        stale_rows=16,
        duplicate=0.01,
        no_callsign=0.04,
        spike=0.002,
        flipped_ground=0.004,
        no_position=0.02,
        delayed=0.03,
        late=0.002,
    ),
}


def spoil(batch: Batch, faults: Faults, rng: np.random.Generator) -> Batch:
    """Turn the truth, sorted by aircraft and time, into what a feed of such quality gives; still in that order."""
    batch = _measured(batch, faults, rng)
    batch = _with_spikes(_with_holes(batch, faults, rng), faults, rng)
    if faults.gap:
        batch = batch.take(~_runs(batch, faults.gap, faults.gap_rows, rng))
    batch = _with_stale(batch, faults, rng)
    copies = np.flatnonzero(rng.random(len(batch)) < faults.duplicate)
    doubled = batch.take(np.sort(np.concatenate([np.arange(len(batch)), copies])))
    flags = doubled.is_duplicate.copy()
    flags[copies + np.arange(1, len(copies) + 1)] = True
    return replace(doubled, is_duplicate=flags)


def arrival_order(batch: Batch, faults: Faults, rng: np.random.Generator) -> Batch:
    """Rows in the order in which a feed delivers them: by time, save for those that come late."""
    delay = np.where(rng.random(len(batch)) < faults.delayed, rng.integers(1, 60, len(batch)), 0)
    delay = np.where(rng.random(len(batch)) < faults.late, rng.integers(60, 3_600, len(batch)), delay)
    return batch.take(np.argsort(batch.time_ms + delay * MS_PER_SECOND, kind="stable"))


def _rounded(values: Floats, quantum: float, unit: float) -> Floats:
    """To multiples of `quantum`, in SI by `unit`."""
    return np.asarray(np.rint(values / (quantum * unit)) * quantum * unit)


def _measured(batch: Batch, faults: Faults, rng: np.random.Generator) -> Batch:
    """Errors of the sensors, and the steps in which transponders report."""

    def noise(deviation: float) -> Floats | float:
        return rng.normal(0.0, deviation * faults.noise, len(batch)) if faults.noise else 0.0

    east = _METRES_PER_DEGREE * np.cos(np.radians(batch.lat))
    moving = batch.velocity_mps > 0
    speed = batch.velocity_mps + noise(0.4 * METRES_PER_SECOND_PER_KNOT) * moving
    rate = batch.vertical_rate_mps + noise(40 * METRES_PER_SECOND_PER_FPM) * ~batch.on_ground
    return replace(
        batch,
        lat=np.round(batch.lat + noise(4.0) / _METRES_PER_DEGREE, _DEGREES),
        lon=np.round((batch.lon + noise(4.0) / east + 180.0) % 360.0 - 180.0, _DEGREES),
        altitude_m=_rounded(batch.altitude_m, _ALTITUDE_FT, METRES_PER_FOOT),
        geo_altitude_m=_rounded(batch.geo_altitude_m + noise(5.0), _ALTITUDE_FT, METRES_PER_FOOT),
        velocity_mps=_rounded(np.maximum(speed, 0.0), _SPEED_KT, METRES_PER_SECOND_PER_KNOT),
        heading_deg=np.round(batch.heading_deg + noise(0.3) * moving, 2) % 360.0,
        vertical_rate_mps=_rounded(rate, _RATE_FPM, METRES_PER_SECOND_PER_FPM),
    )


def _with_holes(batch: Batch, faults: Faults, rng: np.random.Generator) -> Batch:
    """Null what feeds leave out."""
    rows = len(batch)
    altitude, callsign = batch.altitude_m.copy(), batch.callsign.copy()
    altitude[batch.on_ground & (rng.random(rows) < faults.no_ground_altitude)] = np.nan
    unnamed = np.flatnonzero(rng.random(rows) < faults.no_callsign)
    callsign[unnamed] = np.array([None, "", " " * 8], object)[rng.integers(0, 3, len(unnamed))]
    lost = _runs(batch, faults.no_position / 4, 8, rng)
    return replace(
        batch,
        altitude_m=altitude,
        callsign=callsign,
        lat=np.where(lost, np.nan, batch.lat),
        lon=np.where(lost, np.nan, batch.lon),
        position_ms=np.where(lost, NO_TIME, batch.position_ms),
        on_ground=batch.on_ground ^ (rng.random(rows) < faults.flipped_ground),
    )


def _with_spikes(batch: Batch, faults: Faults, rng: np.random.Generator) -> Batch:
    """Values that are far off for one row, as from bit errors; on the grid of the quanta."""

    def spiked(values: Floats, size: float, unit: float) -> Floats:
        off = rng.random(len(batch)) < faults.spike
        return np.where(off, values + rng.integers(-40, 41, len(batch)) * (size * unit), values)

    return replace(
        batch,
        altitude_m=spiked(batch.altitude_m, 1_000.0, METRES_PER_FOOT),
        velocity_mps=np.abs(spiked(batch.velocity_mps, 20.0, METRES_PER_SECOND_PER_KNOT)),
        vertical_rate_mps=spiked(batch.vertical_rate_mps, 640.0, METRES_PER_SECOND_PER_FPM),
    )


def _runs(batch: Batch, share: float, longest: int, rng: np.random.Generator) -> Bools:
    """Mark runs of 1 to `longest` rows that begin at a `share` of the rows."""
    rows = len(batch)
    begins = np.flatnonzero(rng.random(rows) < share)
    edges = np.zeros(rows + 1, np.int64)
    np.add.at(edges, begins, 1)
    np.add.at(edges, np.minimum(begins + rng.integers(1, longest + 1, len(begins)), rows), -1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def _with_stale(batch: Batch, faults: Faults, rng: np.random.Generator) -> Batch:
    """Rows that say again what the last fresh row of the aircraft said."""
    if not faults.stale or not len(batch):
        return batch
    stale = _runs(batch, faults.stale * 2 / (faults.stale_rows + 1), faults.stale_rows, rng)
    stale[np.r_[True, np.diff(batch.flight) != 0]] = False
    source = np.maximum.accumulate(np.where(stale, 0, np.arange(len(batch))))
    said = batch.take(source)
    own = ("time_ms", "aircraft", "flight", "phase", "height_ft", "is_duplicate")
    return replace(said, is_stale=stale, **{name: getattr(batch, name) for name in own})
