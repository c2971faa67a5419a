"""Plausibility: a table of rules. A value that cannot be true becomes null and is counted.

A rule looks at one row alone, so the answer is the same for any chunk of rows in any order. Rules do not judge what is only
unlikely: that takes the track around the row (stale repeats, teleports, spikes), and is the work of later stages. A row
whose time cannot be is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.drops import drop_rows
from flight_etl.outcome import Outcome, Reason
from flight_etl.schema import INPUT, empty_dropped
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flight_etl.settings import CleanSettings

__all__ = ["LOOKS_COUNT", "LOOKS_SHARE", "RULES", "Rule", "clean", "units_warning"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_MAX_LATITUDE: Final = 90.0  # deg
_MAX_LONGITUDE: Final = 180.0  # deg
_CALLSIGN: Final = r"^[A-Za-z0-9][A-Za-z0-9 -]{0,7}$"

# Values that SI cannot explain, for the hint about units; see units_warning.
_LOOKS_RATE: Final = 60.0  # m/s; a slower climb may be steep, a faster one is steeper than vertical only where it beats the speed
_LOOKS_SPEED: Final = 340.0  # m/s, the speed of sound; jets cruise at 400 to 520 kt
_LOOKS_ALTITUDE: Final = 20_000.0  # m; jets cruise at 28,000 to 43,000 ft
_LOOKS_MOVING: Final = 100.0  # m/s; balloons get as high, but not as fast
LOOKS_SHARE: Final = 0.02  # of the samples; broken values in SI sources are fewer than one in a thousand
LOOKS_COUNT: Final = 5  # samples; one broken value in a small file proves nothing


class _Values:
    """Columns of a table as float64 with NaN for null, each converted once; times in ms."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._held: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> Floats:
        if name not in self._held:
            column = self.table[name]
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            self._held[name] = column.cast(pa.float64()).to_numpy()
        return self._held[name]

    def forget(self, names: tuple[str, ...], where: Bools) -> None:
        """Null some values, in the table and here."""
        for name in names:
            self.table = _nulled(self.table, name, where)
            self._held.pop(name, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A condition that a true value never meets, and the columns that become null where it is met.

    A predicate compares with NaN for null, so a null never meets it; it may return None for "nowhere".
    """

    name: str  # counted as nulled.<name>
    columns: tuple[str, ...]
    limit: str  # in words, with its unit or the setting that holds it
    source: str  # why this limit
    breaks: Callable[[_Values, CleanSettings], Bools | None]


def _position_range(values: _Values, _: CleanSettings) -> Bools:
    north, east = np.abs(values["latitude"]), np.abs(values["longitude"])
    outside: Bools = (north > _MAX_LATITUDE) | (east > _MAX_LONGITUDE)
    return outside


def _null_island(values: _Values, _: CleanSettings) -> Bools:
    island: Bools = (values["latitude"] == 0) & (values["longitude"] == 0)
    return island


def _half_position(values: _Values, _: CleanSettings) -> Bools:
    half: Bools = np.isnan(values["latitude"]) != np.isnan(values["longitude"])
    return half


def _outside(name: str) -> Callable[[_Values, CleanSettings], Bools]:
    def breaks(values: _Values, settings: CleanSettings) -> Bools:
        return (values[name] < settings.min_altitude_m) | (values[name] > settings.max_altitude_m)

    return breaks


def _high_on_ground(name: str) -> Callable[[_Values, CleanSettings], Bools]:
    def breaks(values: _Values, settings: CleanSettings) -> Bools:
        high: Bools = (values[name] > settings.max_ground_altitude_m) & (values["on_ground"] == 1)
        return high

    return breaks


def _velocity_range(values: _Values, settings: CleanSettings) -> Bools:
    return (values["velocity"] < 0) | (values["velocity"] > settings.max_velocity_mps)


def _vertical_rate_range(values: _Values, settings: CleanSettings) -> Bools:
    steep: Bools = np.abs(values["vertical_rate"]) > settings.max_vertical_rate_mps
    return steep


def _lag(name: str) -> Callable[[_Values, CleanSettings], Bools]:
    def breaks(values: _Values, settings: CleanSettings) -> Bools:
        lag_s = (values["timestamp"] - values[name]) / MS_PER_SECOND
        return (lag_s > settings.max_position_lag_s) | (lag_s < -settings.max_position_lead_s)

    return breaks


def _callsign_form(values: _Values, _: CleanSettings) -> Bools | None:
    column = values.table["callsign"].unify_dictionaries()
    chunks = [_unlike_callsign(chunk) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else None


def _unlike_callsign(column: pa.Array) -> Bools:
    words = column.dictionary if pa.types.is_dictionary(column.type) else column
    wrong = pc.invert(pc.match_substring_regex(words, _CALLSIGN))
    wrong = wrong.take(column.indices) if pa.types.is_dictionary(column.type) else wrong
    flags: Bools = wrong.fill_null(fill_value=False).to_numpy(zero_copy_only=False)
    return flags


_POSITION: Final = ("latitude", "longitude", "position_time")

RULES: Final = (
    Rule(
        name="position_range",
        columns=_POSITION,
        limit="latitude within 90 deg, longitude within 180 deg",
        source="WGS-84",
        breaks=_position_range,
    ),
    Rule(
        name="null_island",
        columns=_POSITION,
        limit="latitude and longitude not both exactly 0 deg",
        source="what sources write for no position; airborne CPR decoding does not give exact zeros",
        breaks=_null_island,
    ),
    Rule(
        name="half_position",
        columns=_POSITION,
        limit="latitude and longitude both there",
        source="half a position is none",
        breaks=_half_position,
    ),
    Rule(
        name="position_time_range",
        columns=("position_time",),
        limit="max_position_lag_s before timestamp to max_position_lead_s after it",
        source="a global OpenSky snapshot of 2021 has positions up to 10,093 s old; clocks of receivers differ by seconds",
        breaks=_lag("position_time"),
    ),
    Rule(
        name="contact_time_range",
        columns=("contact_time",),
        limit="max_position_lag_s before timestamp to max_position_lead_s after it",
        source="as position_time_range",
        breaks=_lag("contact_time"),
    ),
    Rule(
        name="altitude_range",
        columns=("altitude",),
        limit="min_altitude_m to max_altitude_m",
        source="Dead Sea shore with the highest pressure on record; above 100,000 ft Mode S altitude codes are errors",
        breaks=_outside("altitude"),
    ),
    Rule(
        name="geo_altitude_range",
        columns=("geo_altitude",),
        limit="min_altitude_m to max_altitude_m",
        source="as altitude_range",
        breaks=_outside("geo_altitude"),
    ),
    Rule(
        name="altitude_on_ground",
        columns=("altitude",),
        limit="max_ground_altitude_m while on_ground",
        source="Daocheng Yading, the highest airport, lies at 4,411 m; recordings have ground rows at up to 123,100 ft",
        breaks=_high_on_ground("altitude"),
    ),
    Rule(
        name="geo_altitude_on_ground",
        columns=("geo_altitude",),
        limit="max_ground_altitude_m while on_ground",
        source="as altitude_on_ground",
        breaks=_high_on_ground("geo_altitude"),
    ),
    Rule(
        name="velocity_range",
        columns=("velocity",),
        limit="0 to max_velocity_mps",
        source="SR-71, the fastest aeroplane: 981 m/s",
        breaks=_velocity_range,
    ),
    Rule(
        name="vertical_rate_range",
        columns=("vertical_rate",),
        limit="max_vertical_rate_mps up or down",
        source="fighters climb at up to 30,000 ft/min; ADS-B codes up to 32,608 ft/min and recordings have 118,000",
        breaks=_vertical_rate_range,
    ),
    Rule(
        name="callsign_form",
        columns=("callsign",),
        limit="1 to 8 letters, digits, blanks or hyphens, the first a letter or digit",
        source="ICAO Annex 10 vol. IV: eight characters; hyphens because sources put registrations here",
        breaks=_callsign_form,
    ),
)


def clean(table: pa.Table, settings: CleanSettings) -> Outcome:
    """Null what cannot be true and drop rows whose time cannot be; applying it twice changes nothing more.

    `counts` has `nulled.<rule>` for each rule, in rows, and `looks.*` for `units_warning`, taken before anything is nulled.
    """
    kept, dropped = _timely(table, settings)
    values = _Values(kept)
    counts = _looks(values)
    for rule in RULES:
        broken = rule.breaks(values, settings)
        if broken is None:
            continue
        number = _filled(values.table, rule.columns, broken)
        if number:
            counts[f"nulled.{rule.name}"] = number
            values.forget(rule.columns, broken)
    return Outcome(values.table, dropped, {key: number for key, number in counts.items() if number})


def _filled(table: pa.Table, names: tuple[str, ...], where: Bools) -> int:
    """Count rows of `where` in which any of the columns has a value."""
    if not where.any():
        return 0
    known = np.zeros(len(where), np.bool_)
    for name in names:
        known |= table[name].is_valid().to_numpy()
    return int(np.count_nonzero(where & known))


def _nulled(table: pa.Table, name: str, where: Bools) -> pa.Table:
    column = table[name]
    at = table.schema.get_field_index(name)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
        chunks = [
            pa.DictionaryArray.from_arrays(_with_nulls(chunk.indices, where[start : start + len(chunk)]), chunk.dictionary)
            for chunk, start in zip(column.chunks, starts[:-1], strict=True)
        ]
        return table.set_column(at, table.schema.field(at), pa.chunked_array(chunks, type=column.type))
    return table.set_column(at, table.schema.field(at), _with_nulls(column, where))


def _with_nulls(column: pa.Array | pa.ChunkedArray, where: Bools) -> pa.Array | pa.ChunkedArray:
    return pc.if_else(pa.array(~where), column, pa.scalar(None, column.type))


def _timely(table: pa.Table, settings: CleanSettings) -> tuple[pa.Table, pa.Table]:
    """Split off the rows whose time is outside min_time to max_time."""
    low, high = _instant(settings.min_time), _instant(settings.max_time)
    times = table["timestamp"].cast(pa.int64())
    possible = pc.and_(pc.greater_equal(times, low), pc.less_equal(times, high))
    if pc.all(possible, min_count=0).as_py():
        return table, empty_dropped()
    return table.filter(possible), _dropped(table.filter(pc.invert(possible)), settings)


def _instant(text: str) -> int:
    """ISO 8601 text as ms since 1970; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * MS_PER_SECOND)


def _dropped(rows: pa.Table, settings: CleanSettings) -> pa.Table:
    times = rows["timestamp"].cast(pa.int64()).cast(pa.string())
    tail = f" ms since 1970 is outside {settings.min_time} to {settings.max_time}"
    return drop_rows(rows, Reason.BAD_TIMESTAMP, pc.binary_join_element_wise(times, tail, ""))


def _looks(values: _Values) -> dict[str, int]:
    """Count samples that SI cannot explain, each among those that could show it."""
    airborne = ~(values["on_ground"] == 1)
    velocity, rate, altitude = values["velocity"], np.abs(values["vertical_rate"]), values["altitude"]
    moving = airborne & ~np.isnan(velocity)
    steep = moving & (rate > np.maximum(velocity, _LOOKS_RATE))
    high = moving & (velocity > _LOOKS_MOVING) & (altitude > _LOOKS_ALTITUDE)
    fast = high & (velocity > _LOOKS_SPEED)
    odd = steep | high
    named = _named(values.table, odd) if odd.any() else {}
    return named | {
        "looks.rate_samples": int(np.count_nonzero(moving & ~np.isnan(rate))),
        "looks.aviation_rate": int(np.count_nonzero(steep)),
        "looks.speed_samples": int(np.count_nonzero(moving & ~np.isnan(altitude))),
        "looks.aviation_speed": int(np.count_nonzero(fast)),
        "looks.aviation_altitude": int(np.count_nonzero(high)),
    }


def _named(table: pa.Table, odd: Bools) -> dict[str, int]:
    """Count odd rows by the number of their input (`looks.input.`) and by address (`looks.aircraft.`)."""
    rows = table.select([name for name in (INPUT, "icao24") if name in table.column_names]).filter(pa.array(odd))
    counts: dict[str, int] = {}
    for name, kind in ((INPUT, "input"), ("icao24", "aircraft")):
        if name in rows.column_names:
            pairs = pc.value_counts(rows[name].combine_chunks()).to_pylist()
            counts |= {f"looks.{kind}.{pair['values']}": pair["counts"] for pair in pairs}
    return counts


def units_warning(counts: Mapping[str, int]) -> str | None:
    """Say so when values that were read as SI look like feet, knots and ft/min; `counts` are those of `clean`, summed.

    Three signs, none of which SI data shows more often than by rare errors: a vertical rate above the speed over ground (in
    m/s that is steeper than vertical; in ft/min against knots every climb shows it), supersonic speeds above 20 km, and, where
    altitudes alone are in feet, aeroplanes above 20 km.
    """
    for sign, samples, what in (
        ("looks.aviation_rate", "looks.rate_samples", "vertical rates above the speed over ground"),
        ("looks.aviation_speed", "looks.speed_samples", "supersonic speeds above 20 km"),
    ):
        seen, among = counts.get(sign, 0), counts.get(samples, 0)
        if seen >= LOOKS_COUNT and seen >= LOOKS_SHARE * among:
            return (
                f"values read as metres and m/s look like feet and knots ({what} in {seen:,} of {among:,} samples): "
                "if the source is in feet, knots and ft/min, run again with --units aviation"
            )
    seen, among = counts.get("looks.aviation_altitude", 0), counts.get("looks.speed_samples", 0)
    if seen >= LOOKS_COUNT and seen >= LOOKS_SHARE * among:
        return (
            "altitudes read as metres look like feet, while speeds look like m/s (above 20 km at more than 100 m/s in "
            f"{seen:,} of {among:,} samples): if the source mixes units, mend its altitudes before they are read; with "
            "--units aviation its speeds would be taken for knots"
        )
    return None
