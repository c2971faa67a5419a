"""Accuracy against made-up truth: days are flown, degraded, put through the pipeline, and what comes out is judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flight_etl.api import transform
from flight_etl.bench.openap_labels import has_openap, openap_codes
from flight_etl.bench.scoreboard import HIGH_FIELD_FT, MARGIN_S, Judged, joined, summary
from flight_etl.bench.truth.days import PHASES, days
from flight_etl.bench.truth.faults import LEVELS, heard_through
from flight_etl.bench.truth.kinds import KINDS
from flight_etl.settings import PhaseSettings, Settings
from flight_etl.store.airports import load_airports
from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_FPM, METRES_PER_SECOND_PER_KNOT, MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.bench.truth.days import Day, Rows
    from flight_etl.bench.truth.faults import Noise

__all__ = ["feed_table", "judge", "labels_of", "measure"]

_BATCH_ROWS: Final = 60_000  # rows put through the pipeline at once; bounds memory
_ROW: Final = "truth_row"


def measure(
    *, seed: int, flights: int, levels: Sequence[str] = tuple(LEVELS), settings: Settings | None = None
) -> dict[str, Any]:
    """Score `flights` flights at each level of noise; the report is made of plain values, shares are 0 to 1."""
    scored = {name: summary(judge(LEVELS[name], seed=seed, flights=flights, settings=settings or Settings())) for name in levels}
    return {
        "seed": seed,
        "flights": flights,
        "margin_s": MARGIN_S,
        "noise": {name: LEVELS[name].about() for name in levels},
        "levels": scored,
    }


def judge(noise: Noise, *, seed: int, flights: int, settings: Settings) -> Judged:
    """Fly, degrade, label, and put the labels beside the truth."""
    parts: list[Judged] = []
    held: list[tuple[Day, Rows]] = []
    found = 0
    for day in days(load_airports(), flights=flights, seed=seed, pressure_hpa=noise.pressure_hpa):
        rows = heard_through(day, noise, seed)
        if len(rows):
            held.append((day, rows))
        if sum(len(rows) for _, rows in held) >= _BATCH_ROWS:
            parts.append(_judged(held, settings, found))
            found += int(parts[-1].found.max(initial=-1)) + 1
            held = []
    if held:
        parts.append(_judged(held, settings, found))
    return joined(parts)


def _judged(held: Sequence[tuple[Day, Rows]], settings: Settings, found: int) -> Judged:
    """What the pipeline makes of some days; flights found are numbered from `found`."""
    table = pa.concat_tables(
        [feed_table(day, rows).append_column("day", pa.array(np.full(len(rows), n))) for n, (day, rows) in enumerate(held)]
    )
    kept = transform(table, settings).kept
    rules = transform(table, replace(settings, phase=PhaseSettings(method="rules"))).kept
    base = np.cumsum([0, *(len(rows) for _, rows in held)])
    number = kept["day"].to_numpy()
    at = base[number] + kept[_ROW].to_numpy()
    flight = np.concatenate([rows.flight for _, rows in held])[at]
    legs = {int(day.rows.flight[0]) + n: (day, leg) for day, _ in held for n, leg in enumerate(day.legs)}
    names = kept["flight_id"].combine_chunks()
    _, codes = np.unique(names.indices.to_numpy(), return_inverse=True)
    truth = np.concatenate([rows.phase for _, rows in held])[at].astype(np.int64)
    airborne = np.concatenate([rows.airborne for _, rows in held])[at]
    return Judged(
        truth=truth,
        sure=np.concatenate([rows.since_change_s for _, rows in held])[at] > MARGIN_S,
        interval_s=np.array([day.interval_s for day, _ in held])[number],
        kind=np.array([KINDS.index(day.kind) for day, _ in held])[number],
        high=np.array([legs[one][1].highest_ft > HIGH_FIELD_FT for one in flight.tolist()], np.bool_),
        flight=flight,
        found=codes + found,
        airborne=airborne,
        ends=_ends(flight, airborne),
        origin=np.array([legs[one][1].origin for one in flight.tolist()], object),
        destination=np.array([legs[one][1].destination for one in flight.tolist()], object),
        found_origin=np.array(kept["origin_airport"].to_pylist(), object),
        found_destination=np.array(kept["destination_airport"].to_pylist(), object),
        said={"context": labels_of(kept), "rules": labels_of(rules)} | ({"openap": _openap(kept, codes)} if has_openap() else {}),
    )


def _ends(flight: npt.NDArray[np.int64], airborne: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Of each row's leg: bit 1 where its first row is on the ground, bit 2 where its last one is."""
    ends = np.zeros(len(flight), np.int64)
    for one in np.unique(flight):
        rows = np.flatnonzero(flight == one)
        ends[rows] = (not airborne[rows[0]]) + 2 * (not airborne[rows[-1]])
    return ends


def _openap(kept: pa.Table, flight: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """OpenAP's labels of the flights that were found, from the cleaned values."""
    altitude, speed, rate = (kept[name].to_numpy() for name in ("altitude_ft", "speed_knots", "vertical_rate_fpm"))
    seconds = kept["timestamp"].cast(pa.int64()).to_numpy() / MS_PER_SECOND
    return openap_codes(flight, seconds, altitude, speed, rate, PHASES)


def feed_table(day: Day, rows: Rows) -> pa.Table:
    """Rows as a flat table in SI units, with the number of each row beside."""
    callsign = np.array([leg.callsign for leg in day.legs], object)[rows.flight - int(day.rows.flight[0])]
    said = rows.heard_ms > 0
    return pa.table(
        {
            "icao24": pa.array([day.icao24] * len(rows)),
            "timestamp": pa.array(rows.time_ms, pa.timestamp("ms", tz="UTC")),
            "position_time": pa.array(rows.heard_ms, pa.timestamp("ms", tz="UTC"), mask=~said),
            "callsign": pa.array(callsign, pa.string()),
            "latitude": rows.latitude,
            "longitude": rows.longitude,
            "altitude": _known(rows.altitude_ft, METRES_PER_FOOT),
            "velocity": _known(rows.speed_kt, METRES_PER_SECOND_PER_KNOT),
            "vertical_rate": _known(rows.rate_fpm, METRES_PER_SECOND_PER_FPM),
            "heading": rows.heading_deg,
            "on_ground": pa.array(rows.on_ground == 1, mask=rows.on_ground < 0),
            "category": pa.array([day.kind.category] * len(rows)),
            _ROW: np.arange(len(rows)),
        }
    )


def _known(values: npt.NDArray[np.float64], factor: float) -> pa.Array:
    return pa.array(values * factor, mask=np.isnan(values))


def labels_of(table: pa.Table) -> npt.NDArray[np.int64]:
    """Codes of the phases of a table that came out of the pipeline."""
    codes = {word: code for code, word in enumerate(PHASES)}
    column = table["flight_phase"].combine_chunks()
    words = np.array([codes.get(word, len(PHASES)) for word in column.dictionary.to_pylist()], np.int64)
    return words[column.indices.to_numpy()] if len(words) else np.empty(0, np.int64)
