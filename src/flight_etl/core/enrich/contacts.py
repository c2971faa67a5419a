"""Where a flight touches the ground, at which airfield, and which pressure altitude the ground has there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from flight_etl.core.enrich import surface
from flight_etl.core.enrich.airports import elevation_of, nearest_fields
from flight_etl.core.enrich.runs import first_where, last_where, median_where, next_true, previous_true, runs_of
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    import numpy.typing as npt

    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.runs import Runs
    from flight_etl.core.track import Floats, Ints
    from flight_etl.settings import AirportSettings

__all__ = ["NEAR_FACTOR", "Contacts", "contacts_of", "edge_levels", "fields_at"]

NEAR_FACTOR: Final = 2.0  # in the air a field counts as near up to twice as far off: 20 km is a glide path of 3,000 ft
_TOUCH_S: Final = 5.0  # s; an altitude so close to a ground contact is within some 50 ft of the ground's
_DRAW_S: Final = 60.0  # s over which an altitude may be drawn out to the ground
_UNSURE_FT: Final = 300.0  # ft by which it may be off then, as much as the day's pressure is off in the table of fields
_CLIMB_OUT_FT: Final = 250.0  # ft above a field by pressure altitude; seconds after take-off, whatever the day's pressure
_CLIMB_OUT_KM: Final = 5.0  # km from its reference point: a runway, and a minute of flight
_CLIMB_OUT_FPM: Final = 500.0  # ft/min
_NEAR_HEIGHT_FT: Final = 10_000.0  # ft; higher above a field, an end of a track says nothing about it


@dataclass(frozen=True, slots=True)
class Contacts:
    """Stretches of a flight on the ground, and for each flight where it starts and ends; fields are indices, or -1."""

    mask: npt.NDArray[np.bool_]  # rows on the ground
    level_ft: (
        Floats  # of each such row: pressure altitude of the ground; NaN if unknown, or absurd beside the row's; elsewhere too
    )
    field: Ints  # of each such row; -1 elsewhere
    origin: Ints  # of each flight of the evidence
    destination: Ints
    climb_out: Ints  # first rows of flights that are first seen when they have just left the ground


def contacts_of(evidence: Evidence, state: npt.NDArray[np.int8], airports: AirportTable, settings: AirportSettings) -> Contacts:
    """Find the ground contacts of all flights.

    The level is the median of the aircraft's own altitudes there, or the one with which it touched down or lifted off, as
    these hold the day's pressure and its altimeter's error; else the field's elevation. A flight has an origin if it is on
    the ground before it is first in the air, or first seen climbing out of it; a destination if it ends on the ground.
    """
    mask = state == surface.GROUND
    runs = runs_of(mask, within=evidence.flights)
    grounded = mask[runs.first]
    measured = mask & evidence.heard & (evidence.altitude_ft <= surface.HIGHEST_FIELD_FT)
    own = median_where(measured, evidence.altitude_ft, runs)
    own = np.where(np.isnan(own), _touched(evidence, state, runs), own)
    located = mask & evidence.placed
    came = previous_true(state == surface.AIR, evidence.flight)[runs.first] >= 0
    at = np.where(came, first_where(located, runs), last_where(located, runs))  # by the runway, not by the stand
    field = np.full(len(runs), -1)
    some = np.flatnonzero(grounded & (at >= 0))
    field[some] = nearest_fields(
        airports,
        evidence.latitude[at[some]],
        evidence.longitude[at[some]],
        max_distance_km=settings.max_distance_km,
        altitude_ft=own[some],
        max_elevation_error_ft=settings.max_elevation_error_ft,
    ).index
    level = np.where(grounded, np.where(np.isnan(own), elevation_of(airports, field), own), np.nan)
    level = runs.spread(level)
    wrong = np.abs(evidence.altitude_ft - level) > settings.max_elevation_error_ft
    field = runs.spread(field)
    origin, destination = _ends(evidence, state, field)
    out, out_field = _climbing_out(evidence, state, airports)
    for_flight = np.full(len(evidence.flights), -1)
    for_flight[evidence.flights.number[out]] = out_field
    origin = np.where(origin < 0, for_flight, origin)
    return Contacts(mask, np.where(wrong, np.nan, level), field, origin, destination, out)


def _touched(evidence: Evidence, state: npt.NDArray[np.int8], runs: Runs) -> Floats:
    """Pressure altitude at touchdown or lift-off: that heard in the air nearest in time, drawn out at its rate.

    The lower of both where each is heard within seconds; NaN where there is none near, or rows are so far apart that the
    table of fields knows better.
    """
    aloft = evidence.heard & (state == surface.AIR)
    size = len(state)
    landed, landed_s = _drawn_out(
        evidence, previous_true(aloft, evidence.flight)[runs.first], np.maximum(runs.first - 1, 0), runs.first
    )
    lifted, lifted_s = _drawn_out(
        evidence, next_true(aloft, evidence.flight)[runs.last], np.minimum(runs.last + 1, size - 1), runs.last
    )
    both = (landed_s <= _TOUCH_S) & (lifted_s <= _TOUCH_S)
    nearer = np.where(landed_s <= lifted_s, landed, lifted)
    level: Floats = np.where(both, np.fmin(landed, lifted), nearer)
    return level


def _drawn_out(evidence: Evidence, row: Ints, air: Ints, ground: Ints) -> tuple[Floats, Floats]:
    """Altitude, ft, of `row` half way between the row in the air and that on the ground if it goes on as it does.

    And how far off in time that is, s. NaN and infinite where that is too far, or it could be anywhere.
    """
    middle = (evidence.key[air] + evidence.key[ground]) / 2.0
    seconds = np.where(row >= 0, (middle - evidence.key[row]) / MS_PER_SECOND, np.inf)
    rate = np.nan_to_num(evidence.rate_fpm[row]) / 60.0
    apart = np.abs(evidence.key[air] - evidence.key[ground]) / MS_PER_SECOND
    near = (np.abs(seconds) <= _DRAW_S) & (np.abs(rate) * apart / 2.0 <= _UNSURE_FT)
    seconds = np.where(near, seconds, np.inf)
    return np.where(near, evidence.altitude_ft[row] + rate * np.where(near, seconds, 0.0), np.nan), np.abs(seconds)


def _ends(evidence: Evidence, state: npt.NDArray[np.int8], field: Ints) -> tuple[Ints, Ints]:
    """Fields on which each flight starts and ends."""
    flights = evidence.flights
    known = state != surface.UNKNOWN
    found = []
    for row in (first_where(known, flights), last_where(known, flights)):
        touches = (row >= 0) & (state[row] == surface.GROUND) if len(row) else np.empty(0, np.bool_)
        found.append(np.where(touches, field[row], -1))
    return found[0], found[1]


def _climbing_out(evidence: Evidence, state: npt.NDArray[np.int8], airports: AirportTable) -> tuple[Ints, Ints]:
    """First rows of flights that are climbing, low above a field and close to it, and that field.

    They have just taken off, even if nobody heard it. The other end of a flight tells less: who is last seen on short final
    may still go round.
    """
    flights = evidence.flights
    first = first_where((state != surface.UNKNOWN) & ~np.isnan(evidence.altitude_ft), flights)
    first = first[first >= 0]
    first = first[(state[first] == surface.AIR) & (evidence.rate_fpm[first] > _CLIMB_OUT_FPM)]
    field, elevation = fields_at(evidence, first, airports, reach_km=_CLIMB_OUT_KM)
    low = (field >= 0) & (np.abs(evidence.altitude_ft[first] - elevation) <= _CLIMB_OUT_FT)
    return first[low], field[low]


def fields_at(evidence: Evidence, rows: Ints, airports: AirportTable, *, reach_km: float) -> tuple[Ints, Floats]:
    """Field nearest to each of `rows`, by the last position known in its flight, and the field's elevation, ft."""
    located = evidence.last_placed[rows]
    latitude = np.where(located >= 0, evidence.latitude[located], np.nan)
    longitude = np.where(located >= 0, evidence.longitude[located], np.nan)
    index = nearest_fields(airports, latitude, longitude, max_distance_km=reach_km).index
    return index, elevation_of(airports, index)


def edge_levels(evidence: Evidence, airports: AirportTable, settings: AirportSettings) -> tuple[Floats, Floats]:
    """Elevation of the field near which each flight is first seen, and of that near which it is last seen, in the air.

    NaN where no field is near or the aircraft is high above it.
    """
    flights = evidence.flights
    known = ~np.isnan(evidence.altitude_ft) & evidence.placed
    levels = []
    for row in (first_where(known, flights), last_where(known, flights)):
        some = np.flatnonzero(row >= 0)
        _, elevation = fields_at(evidence, row[some], airports, reach_km=settings.max_distance_km * NEAR_FACTOR)
        elevation[evidence.altitude_ft[row[some]] - elevation > _NEAR_HEIGHT_FT] = np.nan
        level = np.full(len(flights), np.nan)
        level[some] = elevation
        levels.append(level)
    return levels[0], levels[1]
