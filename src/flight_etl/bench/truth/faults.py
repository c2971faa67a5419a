"""What feeds do to the truth, in three steps: `clean`, `standard`, `heaviest`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.bench.truth.days import Day, Rows

__all__ = ["LEVELS", "Noise", "heard_through"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_METRES_PER_DEGREE: Final = 111_195.0
_UNHEARD_MS: Final = 0  # heard_ms of rows whose feed does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """One step of degradation. Shares are of rows unless another unit is given; 0 leaves a fault out."""

    name: str
    pressure_hpa: float = 0.0  # pressure at each field is off the standard one by up to this
    quantised: bool = False  # altitude to 25 ft, rate to 64 ft/min, speed to 1 kt, heading to a degree
    altitude_ft: float = 0.0  # standard deviations of sensors
    rate_fpm: float = 0.0
    speed_kt: float = 0.0
    position_m: float = 0.0
    gust_fpm: float = 0.0  # of the altitude's own wandering in turbulence
    no_ground_altitude: float = 0.0  # aircraft that send no altitude on the ground
    missing: float = 0.0  # in each of altitude, speed, rate and flag
    no_rate: float = 0.0  # aircraft that never send a rate
    spike: float = 0.0  # in each of altitude and rate
    flipped: float = 0.0  # flags, one row or a few
    stale: float = 0.0  # repeats of an older position with all that came with it
    stale_s: float = 30.0  # longest of such repeats
    untold: float = 0.0  # aircraft whose feed does not tell when positions were heard
    gap_per_h: float = 0.0
    gap_s: float = 60.0  # longest gap
    hole: float = 0.0  # legs with a hole in coverage, 15 to 45 minutes of the cruise
    partial: float = 0.0  # ends of legs of which what is low is not heard
    doubled: float = 0.0  # heard by two receivers
    bad_time: float = 0.0  # off by up to some seconds

    def about(self) -> str:
        """What it contains, in one line."""
        told = [f"{name} {value:g}" for name in self.__slots__ if name != "name" and (value := float(getattr(self, name)))]
        return ", ".join(told) or "exact values, nothing missing"


LEVELS: Final = {
    "clean": Noise(name="clean"),
    "standard": Noise(
        name="standard", pressure_hpa=20, quantised=True, altitude_ft=8, rate_fpm=50, speed_kt=0.7, position_m=8, gust_fpm=60,
        no_ground_altitude=0.8, missing=0.01, no_rate=0.05, spike=0.001, flipped=0.001, stale=0.05, stale_s=15, untold=0.3,
        gap_per_h=1.0, gap_s=60, doubled=0.02,
    ),
    "heaviest": Noise(
        name="heaviest", pressure_hpa=20, quantised=True, altitude_ft=20, rate_fpm=120, speed_kt=2.0, position_m=25, gust_fpm=120,
        no_ground_altitude=0.9, missing=0.05, no_rate=0.15, spike=0.005, flipped=0.006, stale=0.15, stale_s=40, untold=0.5,
        gap_per_h=3.0, gap_s=300, hole=0.15, partial=0.08, doubled=0.08, bad_time=0.002,
    ),
}  # fmt: skip


def heard_through(day: Day, noise: Noise, seed: int) -> Rows:
    """Rows of a day as a feed of that quality gives them, in the order of their times. The same arguments give the same rows."""
    rng = np.random.default_rng([seed, day.number, 7])
    rows = _uncovered(day.rows, noise, rng)
    if not len(rows):
        return rows
    rows = _measured(rows, noise, rng)
    rows = _with_holes(rows, noise, rng)
    rows = _stale(rows, noise, rng)
    rows = _doubled(rows, noise, rng)
    off = rng.random(len(rows)) < noise.bad_time
    rows = rows.changed(time_ms=rows.time_ms + off * rng.integers(-4, 5, len(rows)) * MS_PER_SECOND)
    return rows.take(np.argsort(rows.time_ms, kind="stable"))


def _uncovered(rows: Rows, noise: Noise, rng: np.random.Generator) -> Rows:
    """Take out what nobody hears."""
    keep = np.ones(len(rows), np.bool_)
    seconds = (rows.time_ms - rows.time_ms[0]) / MS_PER_SECOND
    for _ in range(rng.poisson(noise.gap_per_h * seconds[-1] / 3_600)):
        begin = rng.uniform(0, seconds[-1])
        keep &= (seconds < begin) | (seconds > begin + rng.uniform(5, noise.gap_s))
    for flight in np.unique(rows.flight):
        at = np.flatnonzero((rows.flight == flight) & rows.airborne)
        begin, end = seconds[at[0]], seconds[at[-1]]
        if rng.random() < noise.hole and end - begin > 7_200:  # noqa: PLR2004 - holes are for long flights
            start = rng.uniform(begin + 1_800, end - 4_500)
            keep &= (seconds < start) | (seconds > start + rng.uniform(900, 2_700))
        for first in (True, False):
            if rng.random() < noise.partial:
                field_ft = rows.altitude_ft[at[0 if first else -1]]
                high = at[rows.altitude_ft[at] > field_ft + rng.uniform(800, 4_000)]
                if len(high):
                    edge = high[0] if first else high[-1]
                    lost = (rows.flight == flight) & (np.arange(len(rows)) < edge if first else np.arange(len(rows)) > edge)
                    keep &= ~lost
    return rows.take(keep)


def _wandering(rows: Rows, noise: Noise, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Altitude, ft, and its rate, ft/min, that turbulence adds in the air: waves of 20 to 60 s."""
    seconds = (rows.time_ms - rows.time_ms[0]) / MS_PER_SECOND
    altitude, rate = np.zeros(len(rows)), np.zeros(len(rows))
    for _ in range(3):
        omega, shift = 2 * np.pi / rng.uniform(20, 60), rng.uniform(0, 2 * np.pi)
        share = noise.gust_fpm / np.sqrt(1.5)
        rate += share * np.cos(omega * seconds + shift)
        altitude += share / 60 / omega * np.sin(omega * seconds + shift)
    return altitude * rows.airborne, rate * rows.airborne


def _measured(rows: Rows, noise: Noise, rng: np.random.Generator) -> Rows:
    """Errors of sensors and of turbulence, and the steps in which transponders report."""
    size = len(rows)
    altitude, rate = _wandering(rows, noise, rng)
    moving = rows.speed_kt > 0
    altitude += rows.altitude_ft + rng.normal(0, 1, size) * noise.altitude_ft
    rate += rows.rate_fpm + rng.normal(0, 1, size) * noise.rate_fpm * rows.airborne
    speed = np.maximum(rows.speed_kt + rng.normal(0, 1, size) * noise.speed_kt * moving, 0)
    degrees = noise.position_m / _METRES_PER_DEGREE
    latitude = rows.latitude + rng.normal(0, 1, size) * degrees
    longitude = rows.longitude + rng.normal(0, 1, size) * degrees / np.cos(np.radians(rows.latitude))
    heading = rows.heading_deg
    if noise.quantised:
        altitude, rate, speed = np.rint(altitude / 25) * 25, np.rint(rate / 64) * 64, np.rint(speed)
        latitude, longitude, heading = np.round(latitude, 5), np.round(longitude, 5), np.round(heading) % 360
    return rows.changed(
        altitude_ft=altitude, rate_fpm=rate, speed_kt=speed, latitude=latitude, longitude=longitude, heading_deg=heading
    )


def _with_holes(rows: Rows, noise: Noise, rng: np.random.Generator) -> Rows:
    """Leave values out, spike them, flip flags."""
    size = len(rows)

    def some(share: float) -> Bools:
        return np.asarray(rng.random(size) < share)

    altitude = rows.altitude_ft + some(noise.spike) * rng.choice([-1, 1], size) * rng.uniform(700, 20_000, size)
    altitude[some(noise.missing)] = np.nan
    if rng.random() < noise.no_ground_altitude:
        altitude[~rows.airborne] = np.nan
    rate = rows.rate_fpm + some(noise.spike) * rng.choice([-1, 1], size) * rng.uniform(1_500, 25_000, size)
    rate[some(noise.missing) | (rng.random() < noise.no_rate)] = np.nan
    flag = np.where(_runs(size, noise.flipped, 3, rng), 1 - rows.on_ground, rows.on_ground)
    flag[some(noise.missing)] = -1
    speed = np.where(some(noise.missing), np.nan, rows.speed_kt)
    return rows.changed(altitude_ft=altitude, rate_fpm=rate, on_ground=flag.astype(np.int8), speed_kt=speed)


def _runs(size: int, share: float, longest: int, rng: np.random.Generator) -> Bools:
    """Mark about a `share` of rows, in runs of up to `longest`."""
    begins = np.flatnonzero(rng.random(size) < share * 2 / (longest + 1))
    edges = np.zeros(size + 1, np.int64)
    np.add.at(edges, begins, 1)
    np.add.at(edges, np.minimum(begins + rng.integers(1, longest + 1, len(begins)), size), -1)
    return np.asarray(np.cumsum(edges[:-1]) > 0)


def _stale(rows: Rows, noise: Noise, rng: np.random.Generator) -> Rows:
    """Let rows say again what the row before them said; the truth stays that of their own moment."""
    size = len(rows)
    usual = np.median(np.diff(rows.time_ms)) / MS_PER_SECOND if size > 1 else 1.0
    longest = max(int(noise.stale_s / max(usual, 1.0)), 1)
    repeats = _runs(size, noise.stale, longest, rng)
    since = np.diff(rows.time_ms, prepend=rows.time_ms[0]) / MS_PER_SECOND
    repeats &= since <= 2 * max(usual, 1.0)
    repeats[0] = False
    source = np.maximum.accumulate(np.where(repeats, 0, np.arange(size)))
    said = {name: getattr(rows, name)[source] for name in ("latitude", "longitude", "altitude_ft", "speed_kt", "rate_fpm")}
    said |= {name: getattr(rows, name)[source] for name in ("heading_deg", "on_ground", "heard_ms")}
    if rng.random() < noise.untold:
        said["heard_ms"] = np.full(size, _UNHEARD_MS)
    return rows.changed(**said)


def _doubled(rows: Rows, noise: Noise, rng: np.random.Generator) -> Rows:
    """Let a second receiver report some rows, some of them a fraction of a second later."""
    copies = np.flatnonzero(rng.random(len(rows)) < noise.doubled)
    later = rng.integers(0, 4, len(copies)) * 100
    both = np.concatenate((np.arange(len(rows)), copies))
    return rows.take(both).changed(time_ms=np.concatenate((rows.time_ms, rows.time_ms[copies] + later)))
