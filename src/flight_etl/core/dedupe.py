"""One row per aircraft and moment, and the rows that only repeat an older position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core.drops import drop_rows
from flight_etl.core.order import block_numbers, timestamps_ms
from flight_etl.core.track import floats, one_array, put, tristate
from flight_etl.core.words import SOURCES
from flight_etl.outcome import Outcome, Reason
from flight_etl.schema import INPUT, NORMAL, PROVENANCE, RECORD, empty_dropped
from flight_etl.units import KNOTS_PER_METRE_PER_SECOND, MS_PER_SECOND

if TYPE_CHECKING:
    from flight_etl.core.track import Bools, Ints
    from flight_etl.settings import DedupeSettings, StaleSettings

__all__ = ["dedupe", "mark_stale"]

# Best first. ADS-B is the aircraft's own word; ADS-R repeats it; MLAT measures; TIS-B is a radar's, seconds old.
_QUALITY: Final = ("adsb", "adsr", "mlat", "tisb")
_LEAST: Final = np.iinfo(np.int64).min


def dedupe(table: pa.Table, settings: DedupeSettings) -> Outcome:
    """Keep one row of each (icao24, timestamp), or of each stretch of `tolerance_s`; rows are sorted (core/order.py).

    A stretch begins with the first row that is in none before it, and holds the rows at most `tolerance_s` later. `first`
    and `last` go by input order, then record number; `best_quality` by source, then by how many columns are known, then by
    freshness, then by content, which is the order of the rows.
    """
    if not settings.enabled or table.num_rows < 2:  # noqa: PLR2004
        return Outcome(table, empty_dropped())
    times = timestamps_ms(table["timestamp"])
    group = np.cumsum(_group_starts(table, times, settings)) - 1
    if group[-1] == table.num_rows - 1:
        return Outcome(table, empty_dropped())
    chosen = _choose(table, group, settings)
    dropped = np.ones(table.num_rows, np.bool_)
    dropped[chosen] = False
    out = np.flatnonzero(dropped)
    winner = chosen[group[out]]
    reason = pc.if_else(pa.array(times[out] == times[winner]), str(Reason.DUPLICATE), str(Reason.NEAR_DUPLICATE))
    detail = pc.binary_join_element_wise("record ", _places(table, winner, out), " is kept", "")
    told = table.select([name for name in (*PROVENANCE, "icao24", "timestamp") if name in table.column_names])
    counts = _by_source(table, out)
    return Outcome(table.filter(pa.array(~dropped)), drop_rows(told.take(pa.array(out)), reason, detail), counts)


def _by_source(table: pa.Table, out: Ints) -> dict[str, int]:
    """Count the rows `out` by where their positions come from."""
    words = one_array(table["position_source"])
    codes = words.indices.fill_null(len(words.dictionary)).to_numpy(zero_copy_only=False)[out]
    numbers = np.bincount(codes, minlength=len(words.dictionary) + 1).tolist()
    return {f"duplicate.{word}": n for word, n in zip([*words.dictionary.to_pylist(), "unknown"], numbers, strict=True) if n}


def _places(table: pa.Table, winner: Ints, out: Ints) -> pa.Array:
    """Record number of each winner, and the number of its input where that is another than the loser's."""
    record = pa.array(one_array(table[RECORD]).to_numpy()[winner]).cast(pa.string())
    if INPUT not in table.column_names:
        return record
    number = one_array(table[INPUT]).to_numpy()
    other = pc.binary_join_element_wise(record, " of input ", pa.array(number[winner]).cast(pa.string()), "")
    return pc.if_else(pa.array(number[winner] == number[out]), record, other)


def _group_starts(table: pa.Table, times: Ints, settings: DedupeSettings) -> Bools:
    """Rows at which a stretch of rows begins of which one is kept."""
    blocks = block_numbers(table)
    starts = np.ones(len(times), np.bool_)
    starts[1:] = (blocks[1:] != blocks[:-1]) | (times[1:] != times[:-1])
    tolerance = round(settings.tolerance_s * MS_PER_SECOND)
    if tolerance <= 0:
        return starts
    first = np.flatnonzero(np.diff(blocks, prepend=-1))
    begin = times[first][blocks - blocks[0]]
    span = int((times - begin).max()) + tolerance + 1
    key = (blocks - blocks[0]) * span + (times - begin)
    starts[1:] = np.diff(key) > tolerance
    # So far a start is a row that is far from the one before. Where such a chain of near rows is longer than a stretch, it
    # holds more starts: mostly few rows.
    chain = np.flatnonzero(starts)
    length = np.diff(np.append(chain, len(key)))
    rows = np.flatnonzero(np.repeat(key[chain + length - 1] - key[chain] > tolerance, length))
    following = np.searchsorted(key[rows], key[rows] + tolerance, "right")
    starts[rows] = _reached(np.flatnonzero(starts[rows]), np.append(following, len(rows)))
    return starts


def _reached(first: Ints, following: Ints) -> Bools:
    """Rows that are reached from `first` by going from row to `following[row]`, in steps that double in length."""
    reached = np.zeros(len(following), np.bool_)
    reached[first] = True
    jump, steps = following, 1
    while steps < len(following):
        reached[jump[np.flatnonzero(reached)]] = True
        jump, steps = jump[jump], steps * 2
    return reached[:-1]


def _choose(table: pa.Table, group: Ints, settings: DedupeSettings) -> Ints:
    """Row of each group that is kept."""
    first = np.flatnonzero(np.diff(group, prepend=-1))
    tied = np.diff(np.append(first, len(group))) > 1
    rows = np.flatnonzero(tied[group])
    few = table.take(pa.array(rows))
    keys = _by_arrival(few) if settings.strategy in ("first", "last") else _by_quality(few)
    if settings.strategy == "last":
        keys = tuple(-key for key in keys)
    order = np.lexsort((np.arange(len(rows)), *reversed(keys), group[rows]))
    leads = order[np.flatnonzero(np.diff(group[rows][order], prepend=-1))]
    chosen = first.copy()
    chosen[group[rows[leads]]] = rows[leads]
    return chosen


def _by_arrival(rows: pa.Table) -> tuple[Ints, ...]:
    record = one_array(rows[RECORD]).to_numpy()
    return (one_array(rows[INPUT]).to_numpy().astype(np.int64), record) if INPUT in rows.column_names else (record,)


def _by_quality(rows: pa.Table) -> tuple[Ints, ...]:
    """Sort keys, the smallest of which is best."""
    source = one_array(rows["position_source"])
    ranks = {word: _QUALITY.index(word) if word in _QUALITY else len(_QUALITY) for word in SOURCES}
    known = [ranks.get(word, len(_QUALITY)) for word in source.dictionary.to_pylist()]
    codes = source.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    rank = np.array([*known, len(_QUALITY) + 1], np.int64)[codes]
    missing = np.zeros(rows.num_rows, np.int64)
    for column in NORMAL:
        missing += one_array(rows[column.name]).is_null().to_numpy(zero_copy_only=False)
    heard = one_array(rows["position_time"]).cast(pa.int64()).fill_null(int(_LEAST) + 1).to_numpy(zero_copy_only=False)
    return rank, missing, -heard


def mark_stale(table: pa.Table, settings: StaleSettings) -> Outcome:
    """Add `is_stale`: the row repeats the position of the row before.

    It does where `position_time` is that of the row before. Where either is not known, it does where the position is the
    same, unless the speed is at most `min_speed_kt`: nothing that moves stays where it is, and what sends no speed either
    says nothing new (docs/adr/0005). An aircraft that stands on the ground, and says so, is not stale.
    """
    size = table.num_rows
    stale = np.zeros(size, np.bool_)
    if size > 1:
        blocks = block_numbers(table)
        same = blocks[1:] == blocks[:-1]
        heard = one_array(table["position_time"])
        known = heard.is_valid().to_numpy(zero_copy_only=False)
        time = heard.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        both = known[1:] & known[:-1]
        speed = floats(table["velocity"])
        latitude, longitude = floats(table["latitude"]), floats(table["longitude"])
        equal = (latitude[1:] == latitude[:-1]) & (longitude[1:] == longitude[:-1])
        slow = speed * KNOTS_PER_METRE_PER_SECOND <= settings.min_speed_kt
        stands = (tristate(table["on_ground"]) == 1) & slow
        repeats = np.where(both, time[1:] == time[:-1], equal & ~slow[1:])
        stale[1:] = same & repeats & ~stands[1:]
    return Outcome(put(table, "is_stale", pa.array(stale)), empty_dropped(), {"stale": int(np.count_nonzero(stale))})
