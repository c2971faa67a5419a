"""Phases of flight, height above the field, and the fields of departure and arrival (DESIGN section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from flight_etl.core.enrich import surface
from flight_etl.core.enrich.airports import NO_AIRPORTS
from flight_etl.core.enrich.contacts import contacts_of
from flight_etl.core.enrich.evidence import evidence_of
from flight_etl.core.enrich.hops import hops_of, trend_of
from flight_etl.core.enrich.phase_context import air_labels, ground_labels, heights
from flight_etl.core.enrich.phase_rules import point_heights, point_labels
from flight_etl.core.enrich.phase_words import (
    CRUISE,
    GROUND,
    PHASES,
    TAXI,
    UNKNOWN,
    without_illegal,
    without_short,
)
from flight_etl.core.enrich.runs import next_true, previous_true, runs_of
from flight_etl.core.enrich.tops import tops_of
from flight_etl.core.track import Track, floats, floats_column, put, track_of, tristate, words_column
from flight_etl.outcome import Outcome
from flight_etl.schema import empty_dropped
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    import pyarrow as pa

    from flight_etl.core.enrich.airports import AirportTable
    from flight_etl.core.enrich.contacts import Contacts
    from flight_etl.core.enrich.evidence import Evidence
    from flight_etl.core.enrich.phase_words import Labels
    from flight_etl.core.track import Bools, Floats, Ints
    from flight_etl.settings import Settings

__all__ = ["add_phases"]

Confidence = npt.NDArray[np.float32]
Flags = npt.NDArray[np.int8]

# Shares by which each lack of evidence lowers the confidence, from 1.
_NO_FLAG: Final = 0.9  # whether it is on the ground was concluded from speed and altitude
_FLAG_OVERRULED: Final = 0.6
_RATES_DIFFER: Final = 0.85  # reported rate and altitudes disagree, or one is missing
_ALTITUDE_FILLED: Final = 0.8  # the row has no altitude of its own, or a spike
_NO_FIELD: Final = 0.9  # in the air, and no field near to measure the height from (cruise needs none)
_POINT_ALONE: Final = 0.6  # nothing but the row itself was looked at
_SPEED_DOUBTED: Final = 0.8  # the reported speed is missing, or frozen
_SPEED_FROZEN: Final = 0.5  # it reports a speed at which nothing taxies
_STALE: Final = 0.8  # the row was labelled after its neighbours


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was found for each row of the evidence."""

    label: Labels
    confidence: Confidence
    height_ft: Floats


def add_phases(table: pa.Table, settings: Settings, airports: AirportTable | None) -> Outcome:
    """Add height_ft, flight_phase, phase_confidence, origin_airport, destination_airport; nothing if not enabled.

    Rows are sorted and their flights consecutive. Without `airports` heights are above the level at which the aircraft itself
    stood on the ground, and no airport is named. `counts["phase.unknown"]` counts rows without evidence.
    """
    if not settings.phase.enabled:
        return Outcome(table, empty_dropped())
    known_airports = airports or NO_AIRPORTS
    track = track_of(table)
    evidence = evidence_of(table, track, settings.phase)
    state = surface.surface_states(evidence, known_airports, settings.phase, settings.airports)
    contacts = contacts_of(evidence, state, known_airports, settings.airports)
    judged = _judge(evidence, state, contacts, known_airports, settings)
    label, confidence = _spread(judged, evidence, track, tristate(table["on_ground"]), settings)
    label, confidence = _within_speed(table, label, confidence, settings)
    height = _spread_height(judged, evidence, len(track))
    table = put(table, "height_ft", floats_column(height))
    table = put(table, "flight_phase", words_column(label, PHASES))
    table = put(table, "phase_confidence", floats_column(confidence))
    table = put(table, "origin_airport", _airport_column(contacts.origin, evidence, track, known_airports))
    table = put(table, "destination_airport", _airport_column(contacts.destination, evidence, track, known_airports))
    return Outcome(table, empty_dropped(), {"phase.unknown": int(np.count_nonzero(label == UNKNOWN))})


def _judge(
    evidence: Evidence, state: npt.NDArray[np.int8], contacts: Contacts, airports: AirportTable, settings: Settings
) -> _Judged:
    """Label the rows of the evidence; those that have no others near them by the rules."""
    phase = settings.phase
    piece = evidence.piece
    alone = np.ones(len(evidence), np.bool_)
    label = np.full(len(evidence), UNKNOWN)
    height = np.full(len(evidence), np.nan)
    if phase.method == "context":
        pieces = runs_of(begins=evidence.after_gap)
        alone = np.zeros(len(evidence), np.bool_)
        alone[pieces.first[pieces.first == pieces.last]] = True
        trend = trend_of(evidence, state, piece, phase)
        hops = hops_of(evidence, state, piece, trend, contacts, airports, settings)
        tops = tops_of(evidence, hops, trend, phase)
        height = heights(evidence, hops, tops, contacts.level_ft)
        label = ground_labels(evidence, state, piece, phase)
        label = np.where(contacts.mask, label, air_labels(evidence, hops, tops, trend, height, phase))
        halts = evidence.speed_kt <= phase.ground_speed_kt / 2.0
        label = without_short(label, evidence.key, piece, phase.min_dwell_s, halts)
    single = np.flatnonzero(alone)
    reach_km = settings.airports.max_distance_km
    height[single] = point_heights(evidence, single, airports, phase, reach_km)
    label[single] = point_labels(evidence, single, height[single], phase, settings.airports)
    if phase.method == "context":
        label = without_illegal(label, evidence.key, piece)
    return _Judged(label, _confidence(evidence, state, label, height, alone), height)


def _confidence(evidence: Evidence, state: npt.NDArray[np.int8], label: Labels, height: Floats, alone: Bools) -> Confidence:
    """How sure each label is: 1, less a share for each piece of evidence that is missing or says otherwise."""
    grounded = label <= TAXI
    flag = evidence.flag
    doubts = (
        (flag < 0, _NO_FLAG),
        ((flag >= 0) & (flag != state), _FLAG_OVERRULED),
        (~grounded & ~evidence.agreed, _RATES_DIFFER),
        (~grounded & ~evidence.heard, _ALTITUDE_FILLED),
        (~grounded & (label != CRUISE) & np.isnan(height), _NO_FIELD),
        (grounded & (evidence.speed_kt != evidence.reported_kt), _SPEED_DOUBTED),
        (alone, _POINT_ALONE),
    )
    confidence = np.ones(len(label), np.float32)
    for doubt, share in doubts:
        confidence[doubt] *= np.float32(share)
    confidence[label == UNKNOWN] = 0.0
    return confidence


def _spread(judged: _Judged, evidence: Evidence, track: Track, flag: Flags, settings: Settings) -> tuple[Labels, Confidence]:
    """Give stale rows the phase of the nearest fresh row before them, else after, that no gap parts them from.

    An aircraft that was heard on the ground, slow, stays there for as long as it says so.
    """
    size = len(track)
    label, confidence = np.full(size, UNKNOWN), np.zeros(size, np.float32)
    label[evidence.row], confidence[evidence.row] = judged.label, judged.confidence
    stale = np.flatnonzero(~track.fresh)
    gap = round(settings.phase.max_gap_s * MS_PER_SECOND)
    for source in (next_true(track.fresh, track.flight), previous_true(track.fresh, track.flight)):
        near = source[stale]
        stays = (flag[stale] == 1) & (label[near] <= TAXI)
        at = stale[(near >= 0) & (stays | (np.abs(track.stamp_ms[near] - track.stamp_ms[stale]) <= gap))]
        label[at] = label[source[at]]
        confidence[at] = confidence[source[at]] * np.float32(_STALE)
    return label, confidence


def _within_speed(table: pa.Table, label: Labels, confidence: Confidence, settings: Settings) -> tuple[Labels, Confidence]:
    """Let no row stand that reports to roll faster than aircraft taxi.

    Such rows repeat a frozen speed. That they are on the ground and slow is told by other rows and by positions: they taxi,
    for all that is known. A row by itself knows no better than its speed.
    """
    phase = settings.phase
    knots = floats(table["velocity"]) * KNOTS_PER_METRE_PER_SECOND
    rolls = (label <= TAXI) & (knots > phase.taxi_speed_kt)
    if phase.method == "context":
        return np.where(rolls, TAXI, label), np.where(rolls, confidence * np.float32(_SPEED_FROZEN), confidence)
    label = np.where((label == GROUND) & (knots > phase.ground_speed_kt), TAXI, label)
    return np.where(rolls, UNKNOWN, label), np.where(rolls, np.float32(0.0), confidence)


def _spread_height(judged: _Judged, evidence: Evidence, size: int) -> Floats:
    """Heights of rows that have an altitude of their own."""
    height = np.full(size, np.nan)
    heard = np.flatnonzero(evidence.heard)
    height[evidence.row[heard]] = judged.height_ft[heard]
    return height


def _airport_column(field: Ints, evidence: Evidence, track: Track, airports: AirportTable) -> pa.Array:
    """Codes of a field per flight of the evidence, on all rows of it, as words: only those that occur, in order."""
    of_flight = np.full(len(track.first), -1)
    of_flight[evidence.flight[evidence.flights.first]] = field
    found, code = np.unique(of_flight, return_inverse=True)
    some = int(np.count_nonzero(found < 0))
    words = [airports.icao[at] for at in found[some:].tolist()]
    return words_column((code - some).astype(np.int32).take(track.flight), words)
