"""Rows of whole flights -> one row for each flight (`schema.FLIGHTS`).

Every column is a sum, a maximum, a first or a last over the flight's own rows, so which flights share a table does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.order import timestamps_ms
from flight_etl.core.track import floats, floats_column, one_array, run_starts, tristate
from flight_etl.schema import FLIGHTS, arrow_schema
from flight_etl.units import FEET_PER_METRE, MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Floats, Ints

__all__ = ["FLIGHT_COLUMNS", "MAX_AGE_S", "flights_of"]

MAX_AGE_S: Final = 60.0  # s; tar1090 drops a position from `aircraft.json` at this age, and sparse traces have a row in each 60 s
_HOLE_S: Final = 120.0  # s; a longer time between two rows is of a phase only where both say so
_PHASES: Final = tuple(column.name.removesuffix("_s") for column in FLIGHTS if column.name.endswith("_s"))
_NUMBERS: Final = frozenset(("altitude", "geo_altitude", "velocity", "heading", "vertical_rate"))
_NEEDED: Final = (
    *("flight_id", "icao24", "timestamp", "position_time", "callsign", "latitude", "longitude", "altitude"),
    *("is_stale", "outlier", "imputed"),
)
_OPTIONAL: Final = ("cumulative_distance_km", "flight_phase", "origin_airport", "destination_airport")
FLIGHT_COLUMNS: Final = (*_NEEDED, *_OPTIONAL)  # of ENRICHED; the last ones may be absent


def flights_of(table: pa.Table) -> pa.Table:
    """Give one row for each flight, in the order in which flights begin; a flight's rows are consecutive and in order of time.

    Needs the columns `FLIGHT_COLUMNS` of enriched rows. Where motion or phases are switched off, what comes of them is null.
    """
    schema = arrow_schema(FLIGHTS)
    if not table.num_rows:
        return schema.empty_table()
    flights = _Flights(table)
    imputed, outliers, stale = flights.share(flights.imputed), flights.share(flights.outlier), flights.share(flights.stale)
    coverage = flights.coverage()
    columns = {
        "flight_id": flights.text("flight_id"),
        "icao24": flights.text("icao24"),
        **flights.callsigns(),
        "first_time": pa.array(flights.time_ms[flights.first]),
        "last_time": pa.array(flights.time_ms[flights.last]),
        "origin_airport": flights.text("origin_airport"),
        "destination_airport": flights.text("destination_airport"),
        "distance_km": floats_column(flights.greatest(flights.floats("cumulative_distance_km"))),
        "max_altitude_ft": floats_column(flights.highest_ft()),
        **{f"{phase}_s": seconds for phase, seconds in flights.phases().items()},
        "rows": pa.array(flights.rows),
        "coverage": pa.array(coverage),
        "stale_share": pa.array(stale),
        "imputed_share": pa.array(imputed),
        "outlier_share": pa.array(outliers),
        "quality": pa.array(np.minimum(coverage, np.minimum(1.0 - imputed, 1.0 - outliers))),
    }
    return pa.Table.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)


class _Flights:
    """Columns of rows, and where each flight begins and ends."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        starts = run_starts(_codes(table, "flight_id"))
        self.first = np.flatnonzero(starts)
        self.last: Ints = np.append(self.first[1:], table.num_rows) - 1
        self.number = np.cumsum(starts) - 1
        self.rows: Ints = self.last - self.first + 1
        self.time_ms = timestamps_ms(table["timestamp"])
        self.stale: Bools = tristate(table["is_stale"]) == 1
        self.outlier: Bools = one_array(table["outlier"]).is_valid().to_numpy(zero_copy_only=False)
        self._filled = _filled(table)
        self.imputed: Bools = np.logical_or.reduce([np.zeros(table.num_rows, np.bool_), *self._filled.values()])

    def floats(self, name: str) -> Floats:
        """Values of a column; NaN where there is none of that name."""
        return floats(self.table[name]) if name in self.table.column_names else np.full(self.table.num_rows, np.nan)

    def text(self, name: str) -> pa.Array:
        """What the first row of each flight says: the same as all others."""
        if name not in self.table.column_names:
            return pa.nulls(len(self.first), pa.string())
        return one_array(self.table[name]).take(pa.array(self.first)).cast(pa.string())

    def share(self, mask: Bools) -> Floats:
        """Share of a flight's rows."""
        share: Floats = np.bincount(self.number, weights=mask, minlength=len(self.first)) / self.rows
        return share

    def greatest(self, values: Floats) -> Floats:
        """Greatest value of each flight; NaN where it has none."""
        most = np.maximum.reduceat(np.where(np.isnan(values), -np.inf, values), self.first)
        return np.where(np.isinf(most), np.nan, most)

    def highest_ft(self) -> Floats:
        """Greatest altitude that was sent for a row's own time, ft."""
        altitude = self.floats("altitude") * FEET_PER_METRE
        own = ~self.stale & ~self._filled.get("altitude", np.zeros(len(altitude), np.bool_))
        return self.greatest(np.where(own, altitude, np.nan))

    def callsigns(self) -> dict[str, pa.Array]:
        """Every callsign of each flight, in the order in which they came, and that of most rows."""
        codes = _codes(self.table, "callsign")
        words = one_array(self.table["callsign"]).dictionary
        known = np.flatnonzero(codes >= 0)
        pair = self.number[known] * (len(words) + 1) + codes[known]
        _, at, times = np.unique(pair, return_index=True, return_counts=True)
        order = np.argsort(at)
        row, times = known[at[order]], times[order]
        flight = self.number[row]
        offsets = np.searchsorted(flight, np.arange(len(self.first) + 1))
        lists = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), words.take(pa.array(codes[row])).cast(pa.string()))
        most = np.full(len(self.first), -1)
        best = np.lexsort((np.arange(len(row)), -times, flight))
        best = best[run_starts(flight[best])] if len(best) else best
        most[flight[best]] = codes[row[best]]
        chosen = words.take(pa.array(most, mask=most < 0)).cast(pa.string())
        return {"callsigns": lists, "callsign": chosen}

    def phases(self) -> dict[str, pa.Array]:
        """Seconds of each phase.

        The time to the next row is of the row's phase. Where that is more than `_HOLE_S` and the next row's phase is another,
        nobody knows: then it is `unknown`.
        """
        if "flight_phase" not in self.table.column_names:
            return {phase: pa.nulls(len(self.first), pa.float64()) for phase in _PHASES}
        column = one_array(self.table["flight_phase"])
        places = {word: at for at, word in enumerate(_PHASES)}
        unknown = places["unknown"]
        phase = np.array([*(places.get(word, unknown) for word in column.dictionary.to_pylist()), unknown])[
            _codes(self.table, "flight_phase")
        ]
        lasts = np.append(np.diff(self.time_ms), 0)
        lasts[self.last] = 0
        following = np.append(phase[1:], unknown)
        phase = np.where((lasts > _HOLE_S * MS_PER_SECOND) & (following != phase), unknown, phase)
        each = np.bincount(self.number * len(_PHASES) + phase, weights=lasts, minlength=len(self.first) * len(_PHASES))
        seconds = each.reshape(-1, len(_PHASES)) / MS_PER_SECOND
        return {name: pa.array(seconds[:, at]) for at, name in enumerate(_PHASES)}

    def coverage(self) -> Floats:
        """Share of each flight's time at which its newest believed position is at most `MAX_AGE_S` old.

        Of a flight without a duration: whether it has a position.
        """
        believed = ~np.isnan(self.floats("latitude")) & ~self.stale & ~self.outlier
        at = np.flatnonzero(believed)
        flight = self.number[at]
        heard = one_array(self.table["position_time"]).cast(pa.int64())
        time = pc.coalesce(heard, pa.array(self.time_ms)).to_numpy(zero_copy_only=False)[at]
        order = np.lexsort((time, flight))  # positions may be heard in another order than they are told in
        flight, time = flight[order], time[order]
        begin, end = self.time_ms[self.first], self.time_ms[self.last]
        until = time + round(MAX_AGE_S * MS_PER_SECOND)
        if len(time):
            same = flight[1:] == flight[:-1]
            until[:-1] = np.where(same, np.minimum(until[:-1], time[1:]), until[:-1])
        covered = np.maximum(np.minimum(until, end[flight]) - np.maximum(time, begin[flight]), 0)
        known = np.bincount(flight, weights=covered, minlength=len(self.first))
        has = np.bincount(flight, minlength=len(self.first)) > 0
        lasts = end - begin
        return np.where(lasts > 0, known / np.maximum(lasts, 1), has)


def _codes(table: pa.Table, name: str) -> Ints:
    column = one_array(table[name])
    codes: Ints = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64)


def _filled(table: pa.Table) -> dict[str, Bools]:
    """Rows in which each number was filled."""
    column = one_array(table["imputed"])
    sets = [(word or "").split(",") for word in column.dictionary.to_pylist()]
    codes = _codes(table, "imputed")
    names = sorted({name for words in sets for name in words} & _NUMBERS)
    return {name: np.array([*(name in words for words in sets), False])[codes] for name in names}
