"""Polars: lazy frames with the schema given; one sort, then expressions over flights."""

from __future__ import annotations

import os
from typing import Any, Final

from flight_etl.bench.peers.parsed import told
from flight_etl.bench.peers.rules import EARTH_KM, FILL_GAP_S, FLAT, FPM, FT, GAP_S, KT, PHASE, SPEED, STATE
from flight_etl.errors import InputError

__all__ = ["convert", "parse", "run"]

_FILLED: Final = ("altitude", "velocity", "vertical_rate")


def parse(_layout: str, source: str, _target: str, threads: int) -> None:
    """Count the values of every column of flat records."""
    pl = _polars(threads)
    with told() as values:
        values.extend(pl.scan_ndjson(source, schema=_schema(pl)).select(pl.all().count()).collect().row(0))


def convert(layout: str, source: str, target: str, threads: int) -> None:
    """Write the rows as they come."""
    pl = _polars(threads)
    _rows(pl, layout, source).sink_parquet(target, compression="snappy")


def run(layout: str, source: str, target: str, threads: int) -> None:
    """Deduplicate, cut, fill, enrich, sort, write."""
    pl = _polars(threads)
    _enriched(pl, _rows(pl, layout, source)).sink_parquet(target, compression="snappy")


def _polars(threads: int) -> Any:
    os.putenv("POLARS_MAX_THREADS", str(threads))  # read once, when it is imported
    import polars as pl

    return pl


def _types(pl: Any) -> dict[str, Any]:
    return {"text": pl.String, "int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}


def _schema(pl: Any) -> dict[str, Any]:
    return {name: _types(pl)[kind] for name, kind in FLAT.items()}


def _rows(pl: Any, layout: str, source: str) -> Any:
    """Lazy frame with the names of flat records, timestamps as such. Raises InputError for traces, which Polars cannot read."""
    if layout == "flat":
        lazy = pl.scan_ndjson(source, schema=_schema(pl))
    elif layout == "opensky":
        # Cells of mixed type come as strings.
        nested = {"time": pl.Int64, "states": pl.List(pl.List(pl.String))}
        types = _types(pl)
        cells = [pl.col("states").list.get(at, null_on_oob=True).alias(name) for name, (at, _) in STATE.items()]
        casts = [_cast(pl, name, types[kind]) for name, (_, kind) in STATE.items() if kind != "text"]
        lazy = pl.scan_ndjson(source, schema=nested).explode("states").select(pl.col("time").alias("timestamp"), *cells)
        lazy = lazy.with_columns(casts)
    else:
        raise InputError(f"Polars reads no rows of layout {layout}: arrays of numbers, strings and objects have no type there")
    return lazy.with_columns((pl.col("timestamp") * 1000).cast(pl.Datetime("ms", "UTC")))


def _cast(pl: Any, name: str, type_: Any) -> Any:
    return pl.col(name) == "true" if type_ == pl.Boolean else pl.col(name).cast(type_, strict=False)


def _enriched(pl: Any, rows: Any) -> Any:
    s = pl.col("timestamp").dt.timestamp("ms") / 1000
    # Sorted first, rows of one moment stand together, and neighbours tell where flights begin: in 0.6 of the time of `unique`
    # and expressions over flights.
    new_aircraft = pl.col("icao24") != pl.col("icao24").shift(1)
    later = pl.col("timestamp") != pl.col("timestamp").shift(1)
    rows = rows.sort("icao24", "timestamp").filter((new_aircraft | later).fill_null(value=True)).with_columns(s=s)
    begins = (new_aircraft | (pl.col("s").diff() > GAP_S)).fill_null(value=True)
    rows = rows.with_columns(flight=begins.cast(pl.UInt32).cum_sum())
    before = [_filled(pl, name) for name in _FILLED]
    (before_it, has_before), (behind_it, has_behind) = _around(pl, "callsign", pl.col("callsign"))
    called = pl.coalesce("callsign", pl.when(has_before).then(before_it), pl.when(has_behind).then(behind_it)).alias("callsign")
    rows = rows.with_columns(*before, called, begins=pl.col("flight") != pl.col("flight").shift(1, fill_value=0))
    rows = rows.with_columns(
        dt=_change(pl, "s"), da=_change(pl, "altitude"), dv=_change(pl, "velocity"), dh=_change(pl, "heading"),
        distance_km=pl.when(~pl.col("begins")).then(_haversine(pl)),
    )  # fmt: skip
    knots, height, rate = pl.col("velocity") * KT, pl.col("altitude") * FT, pl.col("vertical_rate") * FPM
    start = pl.col("timestamp").first().over("flight").dt.strftime("%Y%m%dT%H%M%SZ")
    return rows.with_columns(
        flight_id=pl.col("icao24") + "-" + start,
        altitude_ft=height,
        geo_altitude_ft=pl.col("geo_altitude") * FT,
        speed_knots=knots,
        vertical_rate_fpm=rate,
        cumulative_distance_km=pl.col("distance_km").cum_sum().over("flight"),
        climb_rate_fpm=pl.col("da") / pl.col("dt") * FPM,
        acceleration_kts_min=pl.col("dv") / pl.col("dt") * KT * 60,
        turn_rate_deg_s=((pl.col("dh") + 540) % 360 - 180) / pl.col("dt"),
        flight_phase=_phase(pl, knots, height, rate),
        speed_category=_speed(knots),
    ).drop("s", "begins", "flight", "dt", "da", "dv", "dh")


def _around(pl: Any, name: str, value: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Of a column: `value` at the last row where it is known, and at the next, each with whether that is of the same flight."""
    known = pl.col(name).is_not_null()
    value, flight = pl.when(known).then(value), pl.when(known).then(pl.col("flight"))
    same = flight.forward_fill() == pl.col("flight"), flight.backward_fill() == pl.col("flight")
    return (value.forward_fill(), same[0]), (value.backward_fill(), same[1])


def _filled(pl: Any, name: str) -> Any:
    """Interpolated in time, across short holes, never on the ground."""
    value = pl.col(name)
    (v0, within), (v1, within_too) = _around(pl, name, value)
    (t0, _), (t1, _) = _around(pl, name, pl.col("s"))
    short = within & within_too & (t1 - t0 <= FILL_GAP_S) & ~pl.col("on_ground").fill_null(value=False)
    between = v0 + (v1 - v0) * (pl.col("s") - t0) / (t1 - t0)
    return pl.when(value.is_null() & short).then(between).otherwise(value).alias(name)


def _change(pl: Any, name: str) -> Any:
    return pl.when(~pl.col("begins")).then(pl.col(name).diff())


def _haversine(pl: Any) -> Any:
    north, east = pl.col("latitude").radians(), pl.col("longitude").radians()
    a = (north.diff() / 2).sin().pow(2) + north.cos() * north.shift(1).cos() * (east.diff() / 2).sin().pow(2)
    return 2 * EARTH_KM * a.sqrt().arcsin()


def _phase(pl: Any, knots: Any, height: Any, rate: Any) -> Any:
    ground, low = pl.col("on_ground"), height < PHASE.low_height_ft
    up, down = rate > PHASE.climb_rate_fpm, rate < PHASE.descent_rate_fpm
    lit = pl.lit
    return (
        pl.when(ground & (knots <= PHASE.ground_speed_kt)).then(lit("ground"))
        .when(ground & (knots <= PHASE.taxi_speed_kt)).then(lit("taxi"))
        .when(ground & (pl.col("dv") > 0)).then(lit("takeoff"))
        .when(ground).then(lit("landing"))
        .when(height.is_null()).then(lit("unknown"))
        .when(low & up).then(lit("takeoff"))
        .when(up).then(lit("climb"))
        .when(low & down).then(lit("approach"))
        .when(down).then(lit("descent"))
        .when(height >= PHASE.cruise_altitude_ft).then(lit("cruise"))
        .otherwise(lit("unknown"))
    )  # fmt: skip


def _speed(knots: Any) -> Any:
    edges = [SPEED.taxi_kt, SPEED.low_kt, SPEED.medium_kt, SPEED.high_kt, SPEED.supersonic_kt]
    words = ["stationary", "taxi", "low", "medium", "high", "supersonic"]
    return knots.cut(edges, labels=words, left_closed=True)
