"""pandas: one frame in memory; sorted once, then whole columns and group operations. Flat records only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from flight_etl.bench.peers.rules import EARTH_KM, FILL_GAP_S, FPM, FT, GAP_S, KT, PHASE, SPEED
from flight_etl.errors import InputError

if TYPE_CHECKING:
    from typing import Any

__all__ = ["convert", "enriched", "read", "run"]


def convert(layout: str, source: str, target: str, threads: int) -> None:
    """Write the rows as they come."""
    read(layout, source, threads).to_parquet(target, compression="snappy", index=False)


def run(layout: str, source: str, target: str, threads: int) -> None:
    """Deduplicate, cut, fill, enrich, sort, write."""
    enriched(read(layout, source, threads)).to_parquet(target, compression="snappy", index=False)


def read(layout: str, source: str, threads: int, *, own_reader: bool = False) -> Any:
    """Frame of flat records, timestamps as such. Raises InputError for other layouts.

    Arrow reads the lines, as pandas offers; its own reader, which is what people get who do not ask, takes more than twice the
    time and six times the memory.
    """
    if layout != "flat":
        raise InputError(f"pandas reads no layout {layout} without a loop over records in Python")
    pa.set_cpu_count(threads)
    if own_reader:
        types = {"icao24": "str", "squawk": "str", "callsign": "str"}
        frame = pd.read_json(source, lines=True, dtype=types, convert_dates=False)
    else:
        frame = pd.read_json(source, lines=True, engine="pyarrow")
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s", utc=True).astype("datetime64[ms, UTC]")
    return frame


def enriched(frame: Any) -> Any:
    """One row per aircraft and moment, with flights, filled values and derived columns, sorted."""
    frame = frame.drop_duplicates(["icao24", "timestamp"]).sort_values(["icao24", "timestamp"], ignore_index=True)
    s = frame["timestamp"].astype("int64") / 1000.0
    begins = (frame["icao24"] != frame["icao24"].shift()) | (s.diff() > GAP_S)
    flight = begins.cumsum()
    for name in ("altitude", "velocity", "vertical_rate"):
        frame[name] = _filled(frame, name, s, flight)
    calls = frame.groupby(flight)["callsign"]
    frame["callsign"] = calls.ffill().groupby(flight).bfill()
    dt = s.diff().mask(begins)
    frame["altitude_ft"], frame["geo_altitude_ft"] = frame["altitude"] * FT, frame["geo_altitude"] * FT
    frame["speed_knots"], frame["vertical_rate_fpm"] = frame["velocity"] * KT, frame["vertical_rate"] * FPM
    frame["distance_km"] = _haversine(frame).mask(begins)
    frame["cumulative_distance_km"] = frame["distance_km"].groupby(flight).cumsum()
    dv = frame["velocity"].diff().mask(begins)
    frame["climb_rate_fpm"] = frame["altitude"].diff() / dt * FPM
    frame["acceleration_kts_min"] = dv / dt * KT * 60
    frame["turn_rate_deg_s"] = ((frame["heading"].diff() + 540) % 360 - 180) / dt
    frame["flight_phase"] = _phase(frame, dv)
    edges = [-np.inf, SPEED.taxi_kt, SPEED.low_kt, SPEED.medium_kt, SPEED.high_kt, SPEED.supersonic_kt, np.inf]
    words = ["stationary", "taxi", "low", "medium", "high", "supersonic"]
    frame["speed_category"] = pd.cut(frame["speed_knots"], edges, labels=words, right=False)
    start = frame["timestamp"].groupby(flight).transform("first").dt.strftime("%Y%m%dT%H%M%SZ")
    return frame.assign(flight_id=frame["icao24"] + "-" + start)


def _filled(frame: Any, name: str, s: Any, flight: Any) -> Any:
    known = frame[name].notna()
    value, time = frame[name].groupby(flight), s.where(known).groupby(flight)
    v0, v1, t0, t1 = value.ffill(), value.bfill(), time.ffill(), time.bfill()
    hole = ~known & (t1 - t0 <= FILL_GAP_S) & ~frame["on_ground"].fillna(value=False).astype(bool)
    return frame[name].where(~hole, v0 + (v1 - v0) * (s - t0) / (t1 - t0))


def _haversine(frame: Any) -> Any:
    north, east = np.radians(frame["latitude"]), np.radians(frame["longitude"])
    a = np.sin(north.diff() / 2) ** 2 + np.cos(north) * np.cos(north.shift()) * np.sin(east.diff() / 2) ** 2
    return 2 * EARTH_KM * np.arcsin(np.sqrt(a))


def _phase(frame: Any, dv: Any) -> Any:
    knots, height, rate = frame["speed_knots"], frame["altitude_ft"], frame["vertical_rate_fpm"]
    ground, low = frame["on_ground"].fillna(value=False).astype(bool), height < PHASE.low_height_ft
    up, down = rate > PHASE.climb_rate_fpm, rate < PHASE.descent_rate_fpm
    cases = {
        "ground": ground & (knots <= PHASE.ground_speed_kt),
        "taxi": ground & (knots <= PHASE.taxi_speed_kt),
        "takeoff": ground & (dv > 0),
        "landing": ground,
        "unknown": height.isna(),
        "takeoff ": low & up,
        "climb": up,
        "approach": low & down,
        "descent": down,
        "cruise": height >= PHASE.cruise_altitude_ft,
    }
    return np.select(list(cases.values()), [word.strip() for word in cases], "unknown")
