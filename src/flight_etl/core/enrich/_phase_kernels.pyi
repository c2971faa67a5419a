from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from flight_etl.core.track import Bools, Floats, Ints

Codes: TypeAlias = npt.NDArray[np.int8]
_Value = TypeVar("_Value", bound=np.generic)

def time_keys(flight: Ints, time_ms: Ints, flight_span: int) -> Ints: ...
def heard_altitudes(
    altitude_ft: Floats, key: Ints, flight: Ints, spike_ft: float, spike_ft_per_s: float, excursion_ms: float
) -> Bools: ...
def vertical_rates(
    said_fpm: Floats,
    altitude_ft: Floats,
    heard: Bools,
    key: Ints,
    times_ms: tuple[int, ...],
    quanta: float,
    scale: float,
    limits: tuple[float, float, float],
) -> tuple[Floats, Bools, Floats]: ...
def bridged_altitudes(altitude_ft: Floats, heard: Bools, key: Ints, gap_ms: float, hold_ms: float) -> Floats: ...
def chords(
    reported_kt: Floats,
    latitude: Floats,
    longitude: Floats,
    key: Ints,
    half: int,
    gap: int,
    knots_per_degree: float,
    limits: tuple[float, float],
) -> tuple[Ints, Floats, Floats, Floats, Floats]: ...
def believed_speeds(
    reported_kt: Floats, row: Ints, moved_kt: Floats, key: Ints, flight: Ints, limits: tuple[float, float, float]
) -> Floats: ...
def runs(values: tuple[npt.NDArray[np.generic], ...], within: Ints | None, begins: Bools | None) -> tuple[Ints, Ints]: ...
def spread(values: npt.NDArray[_Value], first: Ints, last: Ints) -> npt.NDArray[_Value]: ...
def first_where(mask: Bools, first: Ints, last: Ints) -> Ints: ...
def last_where(mask: Bools, first: Ints, last: Ints) -> Ints: ...
def ends(values: Floats, first: Ints, last: Ints) -> tuple[Floats, Floats]: ...
def medians(values: Floats, mask: Bools, first: Ints, last: Ints) -> Floats: ...
def previous_true(mask: Bools, flight: Ints) -> Ints: ...
def next_true(mask: Bools, flight: Ints) -> Ints: ...
def moving_means(values: Floats, key: Ints, half: int, quanta: float) -> Floats: ...
def ground_states(
    speed_kt: Floats,
    altitude_ft: Floats,
    elevation_ft: Floats,
    flag: Codes,
    hoverer: Bools,
    flight: Ints,
    piece: Ints,
    limits: tuple[float, ...],
) -> Codes: ...
def directions(rate_fpm: Floats, altitude_ft: Floats, state: Codes, piece: Ints, limits: tuple[float, ...]) -> Codes: ...
def hop_heights(
    altitude_ft: Floats,
    ground_ft: Floats,
    first: Ints,
    last: Ints,
    flies: Bools,
    climb: Ints,
    descent: Ints,
    start_ft: Floats,
    end_ft: Floats,
) -> Floats: ...
def hop_labels(
    up: Bools,
    down: Bools,
    low: Bools,
    taking_off: Bools,
    first: Ints,
    last: Ints,
    flies: Bools,
    climbed: Bools,
    climb: Ints,
    descent: Ints,
    words: tuple[int, ...],
) -> Codes: ...
