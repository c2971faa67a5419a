"""Layouts whose records stand in documents: snapshots of a moment, days of an aircraft, flights."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import orjson

from flight_etl.bench.batch import NO_TIME, Batch
from flight_etl.units import (
    FEET_PER_METRE,
    FPM_PER_METRE_PER_SECOND,
    KNOTS_PER_METRE_PER_SECOND,
    METRES_PER_SECOND_PER_KMH,
    MS_PER_SECOND,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DOCUMENTS", "decimals", "heard", "padded", "words"]

_CHUNK_ROWS: Final = 4_096  # rows that are Python objects at one time; a larger document is in one piece
_DAY_MS: Final = 86_400_000
_CALLSIGN_LENGTH: Final = 8
_MOVED_AFTER_S: Final = 60.0  # s; readsb keeps an older position in lastPosition
_AIRCRAFT_EVERY: Final = 4  # rows of a trace that share one aircraft object
_MPH_PER_KT: Final = 1.150779
_CATEGORIES: Final = {f"A{number}": number + 1 for number in range(8)}  # OpenSky's numbers
_STALE, _NEW_LEG = 1, 2  # flags of a trace row
_NIC, _RC_M = 8, 186  # navigation integrity category, and the radius that it stands for


class _Document(Protocol):
    def __call__(self, batch: Batch, *, extended: bool) -> Iterator[bytes]: ...


def decimals(values: np.ndarray, places: int = 2) -> list[Any]:
    """Floats with so many decimals; NaN stays."""
    rounded: list[Any] = np.round(values, places).tolist()
    return rounded


def words(column: np.ndarray) -> list[Any]:
    """The values of a column of text."""
    values: list[Any] = column.tolist()
    return values


def padded(callsigns: np.ndarray) -> list[Any]:
    """Callsigns filled up with blanks to eight characters; none and empty stay."""
    return [callsign.ljust(_CALLSIGN_LENGTH) if callsign else callsign for callsign in callsigns.tolist()]


def heard(times_ms: np.ndarray) -> list[Any]:
    """Whole seconds, None for NO_TIME."""
    return [None if time == NO_TIME else time // MS_PER_SECOND for time in times_ms.tolist()]


def _nullable(values: np.ndarray, places: int | None = None) -> list[Any]:
    """Whole numbers, or floats with so many decimals; None for NaN."""
    unknown = np.isnan(values)
    known = np.where(unknown, 0.0, values)
    result: list[Any] = (np.rint(known).astype(np.int64) if places is None else np.round(known, places)).tolist()
    for row in np.flatnonzero(unknown).tolist():
        result[row] = None
    return result


def _feet(metres: np.ndarray) -> list[Any]:
    return _nullable(metres * FEET_PER_METRE)


def _knots(speeds: np.ndarray) -> list[Any]:
    return _nullable(speeds * KNOTS_PER_METRE_PER_SECOND, 1)


def _fpm(rates: np.ndarray) -> list[Any]:
    return _nullable(rates * FPM_PER_METRE_PER_SECOND)


def _documents(batch: Batch, key: np.ndarray) -> Iterator[tuple[Batch, list[tuple[int, int]]]]:
    """Cut rows that are sorted by `key` into chunks of whole documents: the rows, and where each document begins and ends."""
    edges = np.flatnonzero(np.r_[True, np.diff(key) != 0, True]) if len(key) else np.zeros(1, np.int64)
    first = 0
    while first < len(edges) - 1:
        last = max(first + 1, int(np.searchsorted(edges, edges[first] + _CHUNK_ROWS, side="right")) - 1)
        bounds = (edges[first : last + 1] - edges[first]).tolist()
        yield batch.take(slice(edges[first], edges[last])), list(itertools.pairwise(bounds))
        first = last


def _snapshots(batch: Batch) -> Iterator[tuple[Batch, list[tuple[int, int]]]]:
    """Rows of one moment together, in the order of time."""
    ordered = batch.take(np.argsort(batch.time_ms, kind="stable"))
    return _documents(ordered, ordered.time_ms)


def _opensky_columns(batch: Batch, *, extended: bool) -> dict[str, list[Any]]:
    """OpenSky's state vectors, in the order of their rows."""
    columns: dict[str, list[Any]] = {
        "icao24": words(batch.icao24),
        "callsign": padded(batch.callsign),
        "origin_country": words(batch.origin_country),
        "time_position": heard(batch.position_ms),
        "last_contact": heard(batch.contact_ms),
        "longitude": batch.lon.tolist(),
        "latitude": batch.lat.tolist(),
        "baro_altitude": decimals(batch.altitude_m),
        "on_ground": batch.on_ground.tolist(),
        "velocity": decimals(batch.velocity_mps),
        "true_track": decimals(batch.heading_deg),
        "vertical_rate": decimals(batch.vertical_rate_mps),
        "sensors": [None] * len(batch),
        "geo_altitude": decimals(batch.geo_altitude_m),
        "squawk": words(batch.squawk),
        "spi": [False] * len(batch),
        "position_source": [0] * len(batch),
    }
    if extended:
        columns["category"] = [_CATEGORIES[category] for category in words(batch.category)]
    return columns


def _opensky(batch: Batch, *, extended: bool) -> Iterator[bytes]:
    for chunk, bounds in _snapshots(batch):
        rows = list(zip(*_opensky_columns(chunk, extended=extended).values(), strict=True))
        times = (chunk.time_ms // MS_PER_SECOND).tolist()
        for first, last in bounds:
            yield orjson.dumps({"time": times[first], "states": rows[first:last]})


def _opensky_objects(batch: Batch, *, extended: bool) -> Iterator[bytes]:
    for chunk, bounds in _snapshots(batch):
        columns = _opensky_columns(chunk, extended=extended)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        times = (chunk.time_ms // MS_PER_SECOND).tolist()
        for first, last in bounds:
            yield orjson.dumps({"time": times[first], "states": rows[first:last]})


def _ground_or_feet(batch: Batch) -> list[Any]:
    altitudes = _feet(batch.altitude_m)
    for row in np.flatnonzero(batch.on_ground).tolist():
        altitudes[row] = "ground"
    return altitudes


def _types(icao24: np.ndarray) -> list[str]:
    return ["adsb_other" if address[0] == "~" else "adsb_icao" for address in words(icao24)]


def _readsb_objects(batch: Batch) -> list[dict[str, Any]]:
    """Aircraft objects; what is not known has no key."""
    lost = batch.position_ms == NO_TIME
    seen_pos = np.where(lost, np.nan, (batch.time_ms - batch.position_ms) / MS_PER_SECOND)
    columns: dict[str, list[Any]] = {
        "hex": words(batch.icao24),
        "type": _types(batch.icao24),
        "flight": padded(batch.callsign),
        "r": words(batch.registration),
        "t": words(batch.type_code),
        "alt_baro": _ground_or_feet(batch),
        "alt_geom": _feet(batch.geo_altitude_m),
        "gs": _knots(batch.velocity_mps),
        "track": _nullable(batch.heading_deg, 2),
        "baro_rate": _fpm(batch.vertical_rate_mps),
        "squawk": words(batch.squawk),
        "emergency": ["none"] * len(batch),
        "category": words(batch.category),
        "lat": _nullable(batch.lat, 6),
        "lon": _nullable(batch.lon, 6),
        "nic": [_NIC] * len(batch),
        "rc": [_RC_M] * len(batch),
        "seen_pos": _nullable(seen_pos, 3),
        "version": [2] * len(batch),
        "alert": [0] * len(batch),
        "spi": [0] * len(batch),
        "mlat": [[]] * len(batch),
        "tisb": [[]] * len(batch),
        "messages": (batch.aircraft % 97 * 1_000 + batch.time_ms // MS_PER_SECOND % 86_400).tolist(),
        "seen": decimals((batch.time_ms - batch.contact_ms) / MS_PER_SECOND, 1),
        "rssi": decimals(-3.0 - batch.aircraft % 300 / 10.0, 1),
    }
    rows = [
        {key: value for key, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]
    for number in np.flatnonzero(seen_pos > _MOVED_AFTER_S).tolist():
        rows[number]["lastPosition"] = {key: rows[number].pop(key) for key in ("lat", "lon", "nic", "rc", "seen_pos")}
    return rows


def _readsb(batch: Batch, *, extended: bool) -> Iterator[bytes]:  # noqa: ARG001 - one signature for all
    for chunk, bounds in _snapshots(batch):
        rows, times = _readsb_objects(chunk), chunk.time_ms.tolist()
        for first, last in bounds:
            now = times[first] / MS_PER_SECOND
            yield orjson.dumps({"now": now, "messages": int(now) % 86_400 * 1_000, "aircraft": rows[first:last]})


def _adsbx_v2(batch: Batch, *, extended: bool) -> Iterator[bytes]:  # noqa: ARG001
    for chunk, bounds in _snapshots(batch):
        rows, times = _readsb_objects(chunk), chunk.time_ms.tolist()
        for first, last in bounds:
            now = times[first]
            body = {"ac": rows[first:last], "msg": "No error", "now": now, "total": last - first, "ctime": now, "ptime": 0}
            yield orjson.dumps(body)


def _text(values: list[Any]) -> list[str]:
    """Every value a string, "" for none."""
    return ["" if value is None else str(value) for value in values]


def _adsbx_v1(batch: Batch, *, extended: bool) -> Iterator[bytes]:  # noqa: ARG001
    for chunk, bounds in _snapshots(batch):
        columns: dict[str, list[str]] = {
            "postime": _text([None if time == NO_TIME else time for time in chunk.position_ms.tolist()]),
            "icao": [address.upper() for address in words(chunk.icao24)],
            "reg": words(chunk.registration),
            "type": words(chunk.type_code),
            "wtc": ["3" if category == "A5" else "2" for category in words(chunk.category)],
            "spd": _text(_knots(chunk.velocity_mps)),
            "altt": ["0"] * len(chunk),
            "alt": _text(_feet(chunk.altitude_m)),
            "galt": [""] * len(chunk),
            "talt": [""] * len(chunk),
            "lat": _text(_nullable(chunk.lat, 6)),
            "lon": _text(_nullable(chunk.lon, 6)),
            "vsit": ["0"] * len(chunk),
            "vsi": _text(_fpm(chunk.vertical_rate_mps)),
            "trkh": ["0"] * len(chunk),
            "ttrk": [""] * len(chunk),
            "trak": _text(_nullable(chunk.heading_deg, 2)),
            "sqk": _text(words(chunk.squawk)),
            "call": [callsign.strip() if callsign else "" for callsign in words(chunk.callsign)],
            "gnd": ["1" if ground else "0" for ground in chunk.on_ground.tolist()],
            "trt": ["5"] * len(chunk),
            "pos": ["0" if time == NO_TIME else "1" for time in chunk.position_ms.tolist()],
            **{key: ["0"] * len(chunk) for key in ("mlat", "tisb", "sat")},
            "opicao": [""] * len(chunk),
            "cou": words(chunk.origin_country),
            **{key: ["0"] * len(chunk) for key in ("mil", "interested")},
            "dst": [""] * len(chunk),
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        times = chunk.time_ms.tolist()
        for first, last in bounds:
            body = {"ac": rows[first:last], "total": last - first, "ctime": times[first], "distmax": "", "ptime": 0}
            yield orjson.dumps(body)


def _trace(batch: Batch, *, extended: bool) -> Iterator[bytes]:  # noqa: ARG001
    """One document for each aircraft and UTC day."""
    ordered = batch.take(np.lexsort((batch.time_ms, batch.aircraft)))
    day = ordered.time_ms // _DAY_MS
    for chunk, bounds in _documents(ordered, ordered.aircraft * (1 << 32) + day):
        rows = _trace_rows(chunk)
        for first, last in bounds:
            _add_aircraft(rows, chunk, first, last)
            header = {
                "icao": chunk.icao24[first],
                "r": chunk.registration[first],
                "t": chunk.type_code[first],
                "dbFlags": 0,
                "desc": chunk.model[first].upper(),
                "ownOp": chunk.operator[first].upper(),
                "year": "2015",
                "timestamp": int(chunk.time_ms[first]) // _DAY_MS * _DAY_MS / MS_PER_SECOND,
            }
            yield orjson.dumps({**header, "trace": rows[first:last]})


def _trace_rows(batch: Batch) -> list[list[Any]]:
    """Rows of 14 items, without their aircraft objects."""
    flags = np.where(batch.is_stale, _STALE, 0)
    flags[1:] |= np.where(np.diff(batch.flight) != 0, _NEW_LEG, 0)
    none = [None] * len(batch)
    columns = (
        decimals(batch.time_ms % _DAY_MS / MS_PER_SECOND),
        batch.lat.tolist(),
        batch.lon.tolist(),
        _ground_or_feet(batch),
        _knots(batch.velocity_mps),
        batch.heading_deg.tolist(),
        flags.tolist(),
        _fpm(batch.vertical_rate_mps),
        none,
        _types(batch.icao24),
        _feet(batch.geo_altitude_m),
        none,
        none,
        none,
    )
    return [list(row) for row in zip(*columns, strict=True)]


def _add_aircraft(rows: list[list[Any]], batch: Batch, first: int, last: int) -> None:
    """Put the aircraft object into every fourth row of a document, and where the callsign changes."""
    at = 8
    before = object()
    for number in range(first, last):
        callsign = batch.callsign[number]
        known = bool(callsign and callsign.strip())
        if (number - first) % _AIRCRAFT_EVERY and not (known and callsign != before):
            continue
        aircraft = {"type": rows[number][9], "squawk": batch.squawk[number], "category": batch.category[number]}
        if known:
            aircraft["flight"] = callsign.ljust(_CALLSIGN_LENGTH)
            before = callsign
        rows[number][at] = aircraft


def _fr24(batch: Batch, *, extended: bool) -> Iterator[bytes]:  # noqa: ARG001
    """One playback document for each flight."""
    ordered = batch.take(np.lexsort((batch.time_ms, batch.flight)))
    for chunk, bounds in _documents(ordered, ordered.flight):
        track = _fr24_track(chunk)
        for first, last in bounds:
            named = next((word.strip() for word in words(chunk.callsign[first:last]) if word and word.strip()), "")
            flight = {
                "identification": {
                    "id": f"{int(chunk.flight[first]):08x}",
                    "number": {"default": named or None},
                    "callsign": named,
                },
                "aircraft": {
                    "model": {"code": chunk.type_code[first], "text": chunk.model[first]},
                    "identification": {
                        "modes": chunk.icao24[first].upper(),
                        "registration": chunk.registration[first],
                    },
                },
                "airline": {"name": chunk.operator[first]},
                "airport": {
                    "origin": {"code": {"icao": chunk.origin[first]}},
                    "destination": {"code": {"icao": chunk.destination[first]}},
                },
                "track": track[first:last],
            }
            response = {"timestamp": track[last - 1]["timestamp"], "altitudeFiltered": False, "data": {"flight": flight}}
            yield orjson.dumps({"result": {"request": {}, "response": response}})


def _fr24_track(batch: Batch) -> list[dict[str, Any]]:
    """Points in both unit systems; altitude 0 says that the aircraft is on the ground."""
    metres = np.where(batch.on_ground, 0.0, batch.altitude_m)
    speed, rate = batch.velocity_mps, batch.vertical_rate_mps
    columns = (
        batch.lat.tolist(),
        batch.lon.tolist(),
        _feet(metres),
        _nullable(metres),
        _nullable(speed * KNOTS_PER_METRE_PER_SECOND),
        _nullable(speed / METRES_PER_SECOND_PER_KMH, 1),
        _nullable(speed * KNOTS_PER_METRE_PER_SECOND * _MPH_PER_KT, 1),
        _fpm(rate),
        _nullable(rate),
        (np.rint(batch.heading_deg).astype(np.int64) % 360).tolist(),
        ["0" if squawk is None else squawk for squawk in words(batch.squawk)],
        (batch.time_ms // MS_PER_SECOND).tolist(),
    )
    return [
        {
            "latitude": lat,
            "longitude": lon,
            "altitude": {"feet": feet, "meters": meters},
            "speed": {"kmh": kmh, "kts": kts, "mph": mph},
            "verticalSpeed": {"fpm": fpm, "ms": ms},
            "heading": heading,
            "squawk": squawk,
            "timestamp": time,
            "ems": None,
        }
        for lat, lon, feet, meters, kts, kmh, mph, fpm, ms, heading, squawk, time in zip(*columns, strict=True)
    ]


DOCUMENTS: Final[dict[str, _Document]] = {
    "opensky": _opensky,
    "opensky-objects": _opensky_objects,
    "readsb": _readsb,
    "trace": _trace,
    "adsbx-v2": _adsbx_v2,
    "adsbx-v1": _adsbx_v1,
    "fr24": _fr24,
}
