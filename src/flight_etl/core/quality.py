"""How good the rows of a run are: counts that add up, whatever parts of the rows they are taken of, in whatever order.

A `Quality` holds integers and least elements alone, so `merge` is associative and commutative, exactly: processes, days and
compactions may each count their own rows. Shares and percentiles are made of the sums at the end (`summary`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.enrich.geodesy import distance_m, reduced_latitude
from flight_etl.core.order import timestamps_ms
from flight_etl.core.track import floats, one_array, previous_true, run_starts, tristate
from flight_etl.outcome import add_counts
from flight_etl.units import MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.core.track import Bools, Floats, Ints

__all__ = ["Quality", "merge", "quality_of", "summary"]

_MAX_AGE_MS: Final = 60_000  # ms; an older position does not cover its row, as in the table of flights
_FIRST: Final = 20  # jumps that are named
_CELLS: Final = 1_024  # places that are remembered; beyond, those of least checksum, so that sums stay exact
_SHARED: Final = 3  # aircraft that have jumped to one place before anybody speaks of it
_CELL_DEG: Final = 0.1  # deg; some 10 km
_FAR_KM: Final = 10.0
_TENTH_MS: Final = 100  # ms
# Upper edges of the classes of position age, tenths of a second: finer than 0.1 s no source is, and beyond minutes nobody asks.
_EDGES: Final = np.array(
    [*range(21), *range(25, 100, 5), *range(100, 600, 10), *range(600, 3_000, 50), *range(3_000, 36_001, 600), 1 << 40]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Sums over rows; plain values, so that it can be written as JSON and read back by its fields."""

    counts: Mapping[str, int] = field(default_factory=dict)
    ages: Mapping[str, int] = field(default_factory=dict)  # upper edge, tenths of a second -> rows
    jumps: tuple[Mapping[str, Any], ...] = ()  # the first ones by address and time
    places: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)  # cell -> jumps, first aircraft

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Quality:
        """Read what `to_json` gave, before or after it was text."""
        places = {cell: (number, tuple(aircraft)) for cell, (number, aircraft) in saved["places"].items()}
        return cls(counts=saved["counts"], ages=saved["ages"], jumps=tuple(saved["jumps"]), places=places)


def merge(one: Quality, other: Quality) -> Quality:
    """Quality of the rows of both."""
    jumps = sorted([*one.jumps, *other.jumps], key=_jump_key)[:_FIRST]
    return Quality(
        counts=add_counts([one.counts, other.counts]),
        ages=add_counts([one.ages, other.ages]),
        jumps=tuple(jumps),
        places=_places([*one.places.items(), *other.places.items()]),
    )


def _jump_key(jump: Mapping[str, Any]) -> tuple[str, str]:
    return jump["icao24"], jump["time"]


def _places(items: list[tuple[str, tuple[int, tuple[str, ...]]]]) -> dict[str, tuple[int, tuple[str, ...]]]:
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for cell, (number, aircraft) in items:
        known, names = found.get(cell, (0, ()))
        found[cell] = known + number, tuple(sorted({*names, *aircraft})[:_SHARED])
    if len(found) > _CELLS:
        found = {cell: found[cell] for cell in sorted(found, key=lambda cell: (crc32(cell.encode()), cell))[:_CELLS]}
    return {cell: found[cell] for cell in sorted(found)}


def quality_of(table: pa.Table) -> Quality:
    """Count enriched rows: whole flights, for the jumps of any other to be told from where."""
    if not table.num_rows:
        return Quality()
    stale = tristate(table["is_stale"]) == 1
    outlier = one_array(table["outlier"])
    has = one_array(table["latitude"]).is_valid().to_numpy(zero_copy_only=False)
    age = _ages_ms(table, has)
    believed = has & ~stale & (age <= _MAX_AGE_MS)
    counts = {"rows": table.num_rows, "positions": int(np.count_nonzero(has)), "stale": int(np.count_nonzero(stale))}
    counts["imputed"] = table.num_rows - table["imputed"].null_count
    for words, number in _counted(one_array(table["imputed"])).items():
        for name in words.split(","):
            counts[f"imputed.{name}"] = counts.get(f"imputed.{name}", 0) + number
    jumps: list[dict[str, Any]] = []
    if outlier.null_count < len(outlier):
        marked = outlier.is_valid().to_numpy(zero_copy_only=False)
        believed &= ~marked
        counts |= {f"outlier.{rule}": number for rule, number in _counted(outlier).items()}
        jumps = _jumps(table, has & ~stale, marked)
    counts["covered"] = int(np.count_nonzero(believed))
    counts["jumps"] = len(jumps)
    far = [one for one in jumps if one["km"] is not None and one["km"] >= _FAR_KM]
    return Quality(
        counts=add_counts([counts]),
        ages=_classes(age[age >= 0]),
        jumps=tuple(sorted(jumps, key=_jump_key)[:_FIRST]),
        places=_places([(_cell(one["to"]), (1, (one["icao24"],))) for one in far]),
    )


def _counted(column: pa.DictionaryArray) -> dict[str, int]:
    if column.null_count == len(column):
        return {}
    codes = column.indices.drop_null().to_numpy()
    numbers = np.bincount(codes, minlength=len(column.dictionary))
    return {word: number for word, number in zip(column.dictionary.to_pylist(), numbers.tolist(), strict=True) if number}


def _ages_ms(table: pa.Table, has: Bools) -> Ints:
    """Age of each row's position, ms; -1 where there is none, or nobody tells when it was heard."""
    heard = one_array(table["position_time"])
    if heard.null_count == len(heard):
        return np.full(table.num_rows, -1)
    known = heard.is_valid().to_numpy(zero_copy_only=False) & has
    time = heard.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return np.where(known, np.maximum(timestamps_ms(table["timestamp"]) - time, 0), -1)


def _classes(age_ms: Ints) -> dict[str, int]:
    tenths = -(-age_ms // _TENTH_MS)
    if not len(tenths):
        return {}
    values, numbers = _each(tenths)
    classes = np.bincount(np.searchsorted(_EDGES, values), weights=numbers, minlength=len(_EDGES)).astype(np.int64)
    return {str(_EDGES[at]): int(classes[at]) for at in np.flatnonzero(classes)}


def _each(values: Ints) -> tuple[Ints, Ints]:
    """Values that there are, and how often; most are small."""
    small = np.bincount(np.minimum(values, 1_000_000))
    at = np.flatnonzero(small)
    return at, small[at]


def _jumps(table: pa.Table, fresh: Bools, marked: Bools) -> list[dict[str, Any]]:
    """Outliers that are no mere repeats, each with the believed position of its flight before it, or else behind it."""
    flight: Ints = np.cumsum(run_starts(one_array(table["flight_id"]).indices.to_numpy()), dtype=np.int64)
    row = np.flatnonzero(marked & fresh)
    known = fresh & ~marked
    before = previous_true(known, flight)
    behind = len(known) - 1 - previous_true(known[::-1], flight[::-1])[::-1]
    behind = np.where(behind < len(known), behind, -1)
    source = np.where(before >= 0, before, behind)[row]
    latitude, longitude = floats(table["latitude"]), floats(table["longitude"])
    metres = distance_m(reduced_latitude(latitude[source]), longitude[source], reduced_latitude(latitude[row]), longitude[row])
    time = _position_times(table)
    seconds = np.maximum(np.abs(time[row] - time[source]) / MS_PER_SECOND, 1.0)
    words = table.select(["icao24", "timestamp", "outlier"]).take(pa.array(row)).to_pylist()
    return [
        {
            "icao24": words[at]["icao24"],
            "time": words[at]["timestamp"].isoformat(),
            "rule": words[at]["outlier"],
            "from": _point(latitude, longitude, int(source[at])),
            "to": _point(latitude, longitude, int(row[at])),
            "km": round(float(metres[at]) / 1_000.0, 3) if source[at] >= 0 else None,
            "implied_mps": round(float(metres[at] / seconds[at]), 1) if source[at] >= 0 else None,
        }
        for at in range(len(row))
    ]


def _position_times(table: pa.Table) -> Ints:
    heard = one_array(table["position_time"]).cast(pa.int64())
    times: Ints = pc.coalesce(heard, pa.array(timestamps_ms(table["timestamp"]))).to_numpy(zero_copy_only=False)
    return times


def _point(latitude: Floats, longitude: Floats, at: int) -> list[float] | None:
    return [round(float(latitude[at]), 6), round(float(longitude[at]), 6)] if at >= 0 else None


def _cell(point: list[float]) -> str:
    north, east = (round(float(np.floor(value / _CELL_DEG))) for value in point)
    return f"{north},{east}"


def summary(quality: Quality) -> dict[str, Any]:
    """Give the form of the report: shares of rows, percentiles of position age (upper edges of their classes), and names.

    `coverage` is the share of rows with a believed position that is not stale, and not older than 60 s where its age is told.
    """
    counts = quality.counts
    rows = counts.get("rows", 0)
    if not rows:
        return {}
    named = {kind: _below(counts, f"{kind}.") for kind in ("outlier", "imputed")}
    return {
        "rows": rows,
        "positions": counts.get("positions", 0),
        "coverage": _share(counts, "covered"),
        "position_age_s": {
            "known": sum(quality.ages.values()),
            "p50": _percentile(quality, 0.5),
            "p95": _percentile(quality, 0.95),
        },
        "stale": counts.get("stale", 0),
        "stale_share": _share(counts, "stale"),
        "imputed": named["imputed"],
        "imputed_share": _share(counts, "imputed"),
        "outliers": named["outlier"],
        "jumps": counts.get("jumps", 0),
        "first_jumps": [dict(jump) for jump in quality.jumps],
        "shared_places": _shared_places(quality),
    }


def _below(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in counts.items() if name.startswith(prefix)}


def _share(counts: Mapping[str, int], name: str) -> float:
    return round(counts.get(name, 0) / counts["rows"], 6)


def _percentile(quality: Quality, share: float) -> float | None:
    """Least upper edge, s, at or below which the share of the known ages lies; None where none is known."""
    total = sum(quality.ages.values())
    below = 0
    for edge in sorted(quality.ages, key=int):
        below += quality.ages[edge]
        if below >= share * total:
            return int(edge) / 10
    return None


def _shared_places(quality: Quality) -> list[dict[str, Any]]:
    """Places to which several aircraft have jumped, as they do where satellite navigation is jammed or spoofed."""
    found: list[dict[str, Any]] = []
    for cell, (number, aircraft) in quality.places.items():
        if len(aircraft) >= _SHARED:
            north, east = map(int, cell.split(","))
            middle = [round((north + 0.5) * _CELL_DEG, 2), round((east + 0.5) * _CELL_DEG, 2)]
            found.append({"near": middle, "jumps": number, "first_aircraft": list(aircraft)})
    return sorted(found, key=lambda one: (-one["jumps"], one["near"]))[:_FIRST]
