"""DuckDB: SQL with all types given, window functions, one COPY."""

from __future__ import annotations

from typing import Final

import duckdb

from flight_etl.bench.peers.parsed import told
from flight_etl.bench.peers.rules import EARTH_KM, FILL_GAP_S, FLAT, FPM, FT, GAP_S, KT, PHASE, SPEED, STATE
from flight_etl.units import METRES_PER_FOOT, METRES_PER_SECOND_PER_FPM, METRES_PER_SECOND_PER_KNOT

__all__ = ["convert", "parse", "run"]

_TYPES: Final = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}


def parse(_layout: str, source: str, _target: str, threads: int) -> None:
    """Count the values of every column of flat records, for which each must be read."""
    counts = " + ".join(f'count("{name}")' for name in FLAT)
    connection = _connect(threads)
    with told() as values:
        values.extend(connection.execute(f"SELECT {counts} FROM {_flat_file(source)}").fetchone())  # noqa: S608 - our own names


def convert(layout: str, source: str, target: str, threads: int) -> None:
    """Write the rows as they come."""
    _connect(threads).execute(f"COPY ({_rows(layout, source)}) TO '{target}' (FORMAT parquet)")


def run(layout: str, source: str, target: str, threads: int) -> None:
    """Deduplicate, cut, fill, enrich, sort, write."""
    _connect(threads).execute(f"COPY ({_enriched(_rows(layout, source))}) TO '{target}' (FORMAT parquet)")


def _connect(threads: int) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": threads})


def _flat_file(source: str) -> str:
    types = ", ".join(f"{name}: '{_TYPES[kind]}'" for name, kind in FLAT.items())
    return f"read_json('{source}', format = 'newline_delimited', columns = {{{types}}})"


def _rows(layout: str, source: str) -> str:
    """SELECT of the rows by the names of flat records, timestamps as such, metres and m/s."""
    if layout == "flat":
        return f"SELECT * REPLACE (to_timestamp(timestamp) AS timestamp) FROM {_flat_file(source)}"  # noqa: S608
    if layout == "opensky":
        # Strings for the cells of mixed type: half the time of JSON values.
        columns = ", ".join(f"TRY_CAST(s[{at + 1}] AS {_TYPES[kind]}) AS {name}" for name, (at, kind) in STATE.items())
        file = f"read_json('{source}', format = 'newline_delimited', columns = {{time: 'BIGINT', states: 'VARCHAR[][]'}})"
        return f"SELECT to_timestamp(time) AS timestamp, {columns} FROM (SELECT time, unnest(states) AS s FROM {file})"  # noqa: S608
    file = (
        f"read_json('{source}/*', format = 'newline_delimited', maximum_object_size = 67108864, "
        "columns = {icao: 'VARCHAR', timestamp: 'DOUBLE', trace: 'VARCHAR[][]'})"
    )
    return f"""
        SELECT icao AS icao24, to_timestamp(base + t[1]::DOUBLE) AS timestamp, t[2]::DOUBLE AS latitude,
            t[3]::DOUBLE AS longitude, TRY_CAST(t[4] AS DOUBLE) * {METRES_PER_FOOT} AS altitude, t[4] = 'ground' AS on_ground,
            t[5]::DOUBLE * {METRES_PER_SECOND_PER_KNOT} AS velocity, t[6]::DOUBLE AS heading,
            t[8]::DOUBLE * {METRES_PER_SECOND_PER_FPM} AS vertical_rate, t[11]::DOUBLE * {METRES_PER_FOOT} AS geo_altitude,
            trim(t[9]::JSON->>'flight') AS callsign, t[9]::JSON->>'squawk' AS squawk, t[9]::JSON->>'category' AS category
        FROM (SELECT icao, timestamp AS base, unnest(trace) AS t FROM {file})"""  # noqa: S608


def _enriched(rows: str) -> str:
    knots, height, rate = f"velocity * {KT}", f"altitude * {FT}", f"vertical_rate * {FPM}"
    # As few sorts as the work permits: rows of one moment go in the pass that finds where flights begin, distances are measured
    # where holes are looked at, and windows that one sort serves stand together.
    return f"""
        WITH cut AS (
            SELECT *, epoch_ms(timestamp) / 1000.0 AS s,
                coalesce(epoch_ms(timestamp) - lag(epoch_ms(timestamp)) OVER track, 1e15) > {GAP_S * 1000} AS begins
            FROM ({rows}) WINDOW track AS (PARTITION BY icao24 ORDER BY timestamp)
            QUALIFY lag(timestamp) OVER track IS DISTINCT FROM timestamp
        ),
        numbered AS (SELECT *, sum(begins::INT) OVER (PARTITION BY icao24 ORDER BY timestamp) AS flight FROM cut),
        around AS (
            SELECT *, first_value(s) OVER back AS begin_s,
                {", ".join(map(_neighbours, ("altitude", "velocity", "vertical_rate")))},
                coalesce(callsign, last_value(callsign IGNORE NULLS) OVER back, first_value(callsign IGNORE NULLS) OVER ahead)
                    AS called, {_haversine("lag(latitude) OVER back", "lag(longitude) OVER back")} AS distance_km
            FROM numbered
            WINDOW back AS (PARTITION BY icao24, flight ORDER BY s ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                ahead AS (PARTITION BY icao24, flight ORDER BY s ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
        ),
        filled AS (
            SELECT * EXCLUDE (called) REPLACE (
                {", ".join(map(_between, ("altitude", "velocity", "vertical_rate")))}, called AS callsign
            ) FROM around
        ),
        moved AS (
            SELECT *, s - lag(s) OVER f AS dt, altitude - lag(altitude) OVER f AS da, velocity - lag(velocity) OVER f AS dv,
                (heading - lag(heading) OVER f + 540) % 360 - 180 AS dh, sum(distance_km) OVER f AS cumulative_distance_km
            FROM filled
            WINDOW f AS (PARTITION BY icao24, flight ORDER BY s ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        )
        SELECT * EXCLUDE (s, begins, begin_s, flight, dt, da, dv, dh, {_helpers()}),
            icao24 || '-' || strftime(make_timestamp((begin_s * 1000000)::BIGINT), '%Y%m%dT%H%M%SZ') AS flight_id,
            {height} AS altitude_ft, geo_altitude * {FT} AS geo_altitude_ft, {knots} AS speed_knots, {rate} AS vertical_rate_fpm,
            da / dt * {FPM} AS climb_rate_fpm, dv / dt * {KT * 60} AS acceleration_kts_min, dh / dt AS turn_rate_deg_s,
            {_phase(knots, height, rate)} AS flight_phase, {_speed(knots)} AS speed_category
        FROM moved ORDER BY icao24, timestamp"""  # noqa: S608


def _neighbours(name: str) -> str:
    """Last known value and its time before each row, and the first after it."""
    known = f"CASE WHEN {name} IS NOT NULL THEN s END"
    return (
        f"last_value({name} IGNORE NULLS) OVER back AS {name}_0, last_value({known} IGNORE NULLS) OVER back AS {name}_t0, "
        f"first_value({name} IGNORE NULLS) OVER ahead AS {name}_1, first_value({known} IGNORE NULLS) OVER ahead AS {name}_t1"
    )


def _helpers() -> str:
    names = ("altitude", "velocity", "vertical_rate")
    return ", ".join(f"{name}_{end}" for name in names for end in ("0", "t0", "1", "t1"))


def _between(name: str) -> str:
    filled = f"{name}_0 + ({name}_1 - {name}_0) * (s - {name}_t0) / ({name}_t1 - {name}_t0)"
    near = f"{name}_t1 - {name}_t0 <= {FILL_GAP_S}"
    return f"CASE WHEN {name} IS NULL AND {near} AND NOT coalesce(on_ground, false) THEN {filled} ELSE {name} END AS {name}"


def _haversine(latitude: str, longitude: str) -> str:
    return (
        f"2 * {EARTH_KM} * asin(sqrt(pow(sin(radians(latitude - {latitude}) / 2), 2) + cos(radians(latitude)) "
        f"* cos(radians({latitude})) * pow(sin(radians(longitude - {longitude}) / 2), 2)))"
    )


def _phase(knots: str, height: str, rate: str) -> str:
    low, up, down = PHASE.low_height_ft, PHASE.climb_rate_fpm, PHASE.descent_rate_fpm
    return f"""CASE
        WHEN on_ground AND {knots} <= {PHASE.ground_speed_kt} THEN 'ground' WHEN on_ground AND {knots} <= {PHASE.taxi_speed_kt}
        THEN 'taxi' WHEN on_ground AND dv > 0 THEN 'takeoff' WHEN on_ground THEN 'landing' WHEN altitude IS NULL THEN 'unknown'
        WHEN {height} < {low} AND {rate} > {up} THEN 'takeoff' WHEN {rate} > {up} THEN 'climb' WHEN {height} < {low}
        AND {rate} < {down} THEN 'approach' WHEN {rate} < {down} THEN 'descent'
        WHEN {height} >= {PHASE.cruise_altitude_ft} THEN 'cruise' ELSE 'unknown' END"""


def _speed(knots: str) -> str:
    return f"""CASE WHEN {knots} < {SPEED.taxi_kt} THEN 'stationary' WHEN {knots} < {SPEED.low_kt} THEN 'taxi'
        WHEN {knots} < {SPEED.medium_kt} THEN 'low' WHEN {knots} < {SPEED.high_kt} THEN 'medium'
        WHEN {knots} < {SPEED.supersonic_kt} THEN 'high' WHEN {knots} IS NOT NULL THEN 'supersonic' END"""
