"""RAW -> NORMAL: names, SI units, UTC, identifiers. What a layout declares decides; no value is guessed at.

A record without an address or a time is dropped; everything else that is missing or unreadable is null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from flight_etl.core import words
from flight_etl.core.decode.layout import Field, Kind, Layout
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.core.drops import drop_rows
from flight_etl.outcome import Outcome, Reason
from flight_etl.schema import EXTRA_PREFIX, NORMAL, PROVENANCE, arrow_schema, empty_dropped
from flight_etl.units import (
    DEGREES_PER_TURN,
    METRES_PER_FOOT,
    METRES_PER_SECOND_PER_FPM,
    METRES_PER_SECOND_PER_KMH,
    METRES_PER_SECOND_PER_KNOT,
    MS_PER_SECOND,
    Unit,
)

if TYPE_CHECKING:
    from flight_etl.settings import NormaliseSettings

__all__ = ["normalise"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

_FACTORS: Final = {
    Unit.FOOT: METRES_PER_FOOT,
    Unit.KNOT: METRES_PER_SECOND_PER_KNOT,
    Unit.FOOT_PER_MINUTE: METRES_PER_SECOND_PER_FPM,
    Unit.KM_PER_HOUR: METRES_PER_SECOND_PER_KMH,
}
_AVIATION: Final = {
    Unit.NATIVE_ALTITUDE: METRES_PER_FOOT,
    Unit.NATIVE_SPEED: METRES_PER_SECOND_PER_KNOT,
    Unit.NATIVE_RATE: METRES_PER_SECOND_PER_FPM,
}
_NO_TIME: Final = np.int64(np.iinfo(np.int64).min)  # stands for null where times are plain integers
_MAX_TIME_MS: Final = 1 << 60  # ms; keeps sums of times inside 64 bits
_MAX_SPAN_S: Final = 1e12  # s; an age or offset beyond it is none
_GEOMETRIC_ALTITUDE: Final = 8  # bit of a trace row's flags
_ADSB_TRANSPONDERS: Final = (2, 5)  # trt of Virtual Radar Server: 2 to 5 are ADS-B, 1 is Mode S
_QUOTED: Final = 40  # characters of an unusable address that are repeated in the detail
_EXTRA_JSON: Final = "extra_json"


class _Raw:
    """The RAW columns of one table by field, as NumPy arrays in which NaN and _NO_TIME stand for null."""

    def __init__(self, table: pa.Table, layout: Layout, *, aviation: bool) -> None:
        self.rows = table.num_rows
        self.layout = layout
        self.names = frozenset(table.column_names)
        self._table = table
        self._aviation = aviation
        self.not_finite = 0

    def column(self, name: str) -> pa.Array | None:
        """Give one column in one piece; None where it is absent or all null."""
        if name not in self.names:
            return None
        chunks = self._table[name]
        if chunks.null_count == self.rows:
            return None
        if chunks.num_chunks == 1:
            return chunks.chunk(0)
        joined = chunks.unify_dictionaries().combine_chunks()
        return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined

    def fields(self, target: str) -> list[Field]:
        """Fields of a target, in the order in which they win."""
        return [field for field in self.layout.fields if field.target == target]

    def numbers(self, field: Field) -> Floats | None:
        """Values in SI units, NaN for null; None where all are null."""
        column = self.column(field.name)
        if column is None:
            return None
        values: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        finite = np.isfinite(values)
        bad = self.rows - int(np.count_nonzero(finite)) - column.null_count
        if bad:
            self.not_finite += bad
            values = np.where(finite, values, np.nan)
        factor = _FACTORS.get(field.unit) or (_AVIATION.get(field.unit) if self._aviation else None)
        return values * factor if factor else values

    def named(self, name: str) -> Floats:
        """Values of the field called `name` as they were sent; all NaN where the layout has none."""
        column = self.column(name) if any(field.name == name for field in self.layout.fields) else None
        return self.empty() if column is None else column.cast(pa.float64()).to_numpy(zero_copy_only=False)

    def true(self, name: str) -> Bools:
        """Where the RAW flag `name` is true."""
        column = self.column(name)
        if column is None:
            return np.zeros(self.rows, np.bool_)
        flags: Bools = column.fill_null(fill_value=False).to_numpy(zero_copy_only=False)
        return flags

    def times(self, field: Field) -> Ints | None:
        """Milliseconds since 1970, _NO_TIME for null; None where all are null."""
        column = self.column(field.name)
        if column is None:
            return None
        values = column.cast(pa.int64()).fill_null(int(_NO_TIME)).to_numpy(zero_copy_only=False)
        return np.where(np.abs(values) <= _MAX_TIME_MS, values, _NO_TIME)

    def empty(self) -> Floats:
        """Nulls for a column of numbers."""
        return np.full(self.rows, np.nan)

    def coalesce(self, target: str) -> Floats:
        """First value that is not null among the fields of `target`."""
        result: Floats | None = None
        for field in self.fields(target):
            values = self.numbers(field)
            if values is not None:
                result = values if result is None else np.where(np.isnan(result), values, result)
        return self.empty() if result is None else result

    def words(self, target: str) -> pa.DictionaryArray:
        """First text that is not blank among the fields of `target`, trimmed and dictionary-encoded."""
        found: pa.Array | None = None
        for field in self.fields(target):
            column = self.column(field.name)
            if column is None:
                continue
            text = words.trimmed(words.encode(column))
            found = text if found is None else words.encode(pc.coalesce(found.cast(pa.string()), text.cast(pa.string())))
        return words.encode(pa.nulls(self.rows, pa.string())) if found is None else found


def normalise(raw: pa.Table, settings: NormaliseSettings) -> Outcome:
    """Turn RAW rows into NORMAL ones, with provenance and extra columns behind them.

    A declared RAW column that is not there counts as null. Drops rows without a usable address or without a time;
    `counts` says how many squawks and categories were none and became null.
    """
    layout = LAYOUTS[settings.layout]
    source = _Raw(raw, layout, aviation=settings.units == "aviation")
    columns: dict[str, pa.Array] = {}
    counts: dict[str, int] = {}
    sent = source.words("icao24")
    icao24 = words.addresses(sent)
    columns["icao24"], columns["address_type"] = icao24, _address_type(icao24)
    times = _timestamps(source)
    columns["timestamp"] = _time_array(times)
    _positions(source, times, columns)
    columns["contact_time"] = _time_array(_first_time(source, "contact_time", times))
    ground = _ground_in_altitude(source)
    _motion(source, ground, columns)
    _codes(source, columns, counts)
    if source.not_finite:
        counts["nulled.not_finite"] = source.not_finite
    table = _assemble(raw, layout, columns)
    usable = pc.and_(icao24.is_valid(), columns["timestamp"].is_valid())
    if pc.all(usable, min_count=0).as_py():
        return Outcome(table, empty_dropped(), counts)
    return Outcome(table.filter(usable), _dropped(table.filter(pc.invert(usable)), sent.filter(pc.invert(usable))), counts)


def _address_type(icao24: pa.DictionaryArray) -> pa.DictionaryArray:
    made_up = pc.starts_with(icao24.dictionary, "~")
    return words.recode(icao24, pc.if_else(made_up, "non_icao", "icao"))


def _timestamps(source: _Raw) -> Ints:
    """Give the time of each row: the first of the layout's, or the document's base time plus the row's offset."""
    result = np.full(source.rows, _NO_TIME)
    for field in source.fields("timestamp"):
        values = _offset_times(source, field) if field.unit is Unit.OFFSET_SECOND else source.times(field)
        if values is not None:
            result = np.where(result == _NO_TIME, values, result)
    return result


def _offset_times(source: _Raw, field: Field) -> Ints | None:
    offsets = source.numbers(field)
    bases = [f for f in source.layout.fields if f.kind is Kind.TIME and f.target is None]
    base = source.times(bases[0]) if bases else None
    return None if offsets is None or base is None else _shifted(base, offsets)


def _shifted(base: Ints, seconds: Floats) -> Ints:
    """Move `base` by `seconds`, to the nearest millisecond; no time where either is none."""
    known = (base != _NO_TIME) & (np.abs(seconds) <= _MAX_SPAN_S)  # false for NaN
    moved = np.where(known, base, 0) + np.rint(np.where(known, seconds, 0.0) * MS_PER_SECOND).astype(np.int64)
    return np.where(known, moved, _NO_TIME)


def _heard(source: _Raw, field: Field, times: Ints) -> Ints | None:
    """Moment that a TIME gives, or that an age gives before the row's own time."""
    if field.unit is not Unit.AGE_SECOND:
        return source.times(field)
    ages = source.numbers(field)
    return None if ages is None else _shifted(times, -ages)


def _first_time(source: _Raw, target: str, times: Ints) -> Ints:
    result = np.full(source.rows, _NO_TIME)
    for field in source.fields(target):
        values = _heard(source, field, times)
        if values is not None:
            result = np.where(result == _NO_TIME, values, result)
    return result


def _time_array(times: Ints) -> pa.Array:
    return pa.array(times, mask=times == _NO_TIME).cast(pa.timestamp("ms", tz="UTC"))


def _number_array(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


def _positions(source: _Raw, times: Ints, columns: dict[str, pa.Array]) -> None:
    """Latitude, longitude and position_time, all three from the same report: its n-th fields belong together."""
    latitude, longitude = source.empty(), source.empty()
    heard = np.full(source.rows, _NO_TIME)
    pairs = list(zip(source.fields("latitude"), source.fields("longitude"), strict=True))
    ages = source.fields("position_time")
    for number, (north, east) in enumerate(pairs):
        own_latitude, own_longitude = source.numbers(north), source.numbers(east)
        own_heard = _heard(source, ages[number], times) if number < len(ages) else None
        if own_latitude is None and own_longitude is None and (number or own_heard is None):
            continue
        own_latitude = source.empty() if own_latitude is None else own_latitude
        own_longitude = source.empty() if own_longitude is None else own_longitude
        own_heard = np.full(source.rows, _NO_TIME) if own_heard is None else own_heard
        if number == 0:
            latitude, longitude, heard = _without_invalid(source, own_latitude, own_longitude, own_heard)
            continue
        here = np.isnan(latitude) & np.isnan(longitude) & ~(np.isnan(own_latitude) & np.isnan(own_longitude))
        latitude, longitude = np.where(here, own_latitude, latitude), np.where(here, own_longitude, longitude)
        heard = np.where(here, own_heard, heard)
    columns["latitude"], columns["longitude"] = _number_array(latitude), _number_array(longitude)
    columns["position_time"] = columns["timestamp"] if source.layout.position_at_timestamp else _time_array(heard)


def _without_invalid(source: _Raw, latitude: Floats, longitude: Floats, heard: Ints) -> tuple[Floats, Floats, Ints]:
    """Apply very old dump1090's validposition: where it is 0, the position is none."""
    valid = source.column("validposition")
    if valid is None:
        return latitude, longitude, heard
    invalid = pc.invert(valid).fill_null(fill_value=False).to_numpy(zero_copy_only=False)
    return np.where(invalid, np.nan, latitude), np.where(invalid, np.nan, longitude), np.where(invalid, _NO_TIME, heard)


def _ground_in_altitude(source: _Raw) -> Bools:
    """Where the altitude was sent as the word "ground"."""
    ground = np.zeros(source.rows, np.bool_)
    for field in source.fields("altitude"):
        if field.kind is Kind.ALTITUDE:
            ground |= source.true(f"{field.name}_ground")
    return ground


def _motion(source: _Raw, ground: Bools, columns: dict[str, pa.Array]) -> None:
    """Altitudes, velocity, heading, rate and the ground flag, which depend on one another in some formats."""
    altitude, geo_altitude = source.coalesce("altitude"), source.coalesce("geo_altitude")
    if source.layout.zero_is_ground:
        ground = altitude == 0
    on_ground = _on_ground(source, ground, altitude)
    known_ground = on_ground.fill_null(fill_value=False).to_numpy(zero_copy_only=False)
    geometric = _altitude_is_geometric(source)
    if geometric.any():
        geo_altitude = np.where(geometric & np.isnan(geo_altitude), altitude, geo_altitude)
    altitude = np.where(geometric | ground, np.nan, altitude)
    columns["altitude"], columns["geo_altitude"] = _number_array(altitude), _number_array(geo_altitude)
    columns["velocity"] = _number_array(source.coalesce("velocity"))
    columns["heading"] = _number_array(_heading(source, known_ground))
    columns["vertical_rate"] = _number_array(source.coalesce("vertical_rate"))
    columns["on_ground"] = on_ground


def _on_ground(source: _Raw, ground: Bools, altitude: Floats) -> pa.Array:
    """Give the flag that was sent, else what the altitude shows."""
    airborne = np.zeros(source.rows, np.bool_)
    if source.layout.number_is_airborne or source.layout.zero_is_ground:
        airborne = ~ground & ~np.isnan(altitude)
    result = pa.array(ground, mask=~(ground | airborne))
    for field in reversed(source.fields("on_ground")):
        column = source.column(field.name)
        if column is not None:
            result = pc.coalesce(column, result)
    return result


def _altitude_is_geometric(source: _Raw) -> Bools:
    """Where the altitude column holds a geometric altitude: bit 8 of a trace row's flags, altt of ADSBexchange v1."""
    flags = source.named("flags")
    bits = np.where((flags >= 0) & (flags < 256), flags, 0).astype(np.int64)  # noqa: PLR2004 - a byte of flags
    geometric: Bools = ((bits & _GEOMETRIC_ALTITUDE) != 0) | source.true("altt")
    return geometric


def _heading(source: _Raw, on_ground: Bools) -> Floats:
    """Track in [0, 360); on the ground the heading of the nose, where that is all there is, is the track."""
    heading = source.coalesce("heading")
    heading = np.where(source.true("trkh") & ~on_ground, np.nan, heading)
    valid = source.column("validtrack")
    if valid is not None:
        heading = np.where(pc.invert(valid).fill_null(fill_value=False).to_numpy(zero_copy_only=False), np.nan, heading)
    nose = source.named("true_heading")
    heading = np.where(on_ground & np.isnan(heading) & np.isfinite(nose), nose, heading)
    turned = np.mod(heading, DEGREES_PER_TURN)
    return np.where(turned >= DEGREES_PER_TURN, 0.0, turned)  # mod of a tiny negative angle rounds to 360


def _codes(source: _Raw, columns: dict[str, pa.Array], counts: dict[str, int]) -> None:
    columns["callsign"] = words.callsigns(source.words("callsign"))
    columns["origin_country"] = source.words("origin_country")
    for target, rule in (("squawk", words.squawks), ("category", words.categories)):
        sent = source.words(target)
        columns[target] = rule(sent)
        lost = columns[target].null_count - sent.null_count
        if lost:
            counts[f"nulled.{target}_code"] = lost
    spi = [column for column in (source.column(field.name) for field in source.fields("spi")) if column is not None]
    columns["spi"] = pc.coalesce(*spi) if spi else pa.nulls(source.rows, pa.bool_())
    columns["position_source"] = _position_source(source, columns)


def _position_source(source: _Raw, columns: dict[str, pa.Array]) -> pa.DictionaryArray:
    """Where the position comes from: the field's own word, else readsb's type, overruled by its mlat and tisb lists."""
    if source.fields("position_source"):
        return words.renamed(source.words("position_source"), words.source)
    types = [c for c in (source.column(name) for name in ("type", "aircraft_type")) if c is not None]
    typed = words.encode(pc.coalesce(*(c.cast(pa.string()) for c in types)) if types else pa.nulls(source.rows, pa.string()))
    codes = _source_codes(words.renamed(typed, words.source_of_type))
    mlat = source.column("mlat")
    position = columns["latitude"].is_valid().to_numpy(zero_copy_only=False)
    if mlat is not None:
        # dump1090-fa leaves `type` out where it is adsb_icao, and always sends the list.
        plain = position & mlat.is_valid().to_numpy(zero_copy_only=False) & (codes < 0)
        transponder = source.named("trt")
        if source.layout.name == "adsbx-v1":
            low, high = _ADSB_TRANSPONDERS
            plain &= (transponder >= low) & (transponder <= high)
        codes = np.where(plain, words.SOURCES.index("adsb"), codes)
    for word in ("tisb", "mlat"):
        codes = np.where(position & _lists_latitude(source.column(word), source.rows), words.SOURCES.index(word), codes)
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(words.SOURCES))


def _source_codes(encoded: pa.DictionaryArray) -> Codes:
    codes = pc.index_in(encoded.dictionary, pa.array(words.SOURCES)).take(encoded.indices)
    result: Codes = codes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int8)
    return result


def _lists_latitude(column: pa.Array | None, rows: int) -> Bools:
    """Where a list of field names contains "lat", or the flag that v1 has in its place is set."""
    if column is None:
        return np.zeros(rows, np.bool_)
    encoded = words.encode(column)
    sent = pc.or_(pc.match_substring(encoded.dictionary, '"lat"'), pc.is_in(encoded.dictionary, pa.array(["1", "true"])))
    flags: Bools = sent.take(encoded.indices).fill_null(fill_value=False).to_numpy(zero_copy_only=False)
    return flags


def _assemble(raw: pa.Table, layout: Layout, columns: dict[str, pa.Array]) -> pa.Table:
    """Put NORMAL columns in order, then provenance, then extra columns as they came."""
    schema = arrow_schema(NORMAL)
    passed = [name for name in PROVENANCE if name in raw.column_names]
    declared = {field.name for field in layout.fields}
    passed += [n for n in raw.column_names if n.startswith(EXTRA_PREFIX) or (n == _EXTRA_JSON and n not in declared)]
    arrays = [columns[field.name] for field in schema] + [raw[name] for name in passed]
    return pa.Table.from_arrays(arrays, schema=pa.schema([*schema, *(raw.schema.field(name) for name in passed)]))


def _dropped(rows: pa.Table, sent: pa.DictionaryArray) -> pa.Table:
    """Account for rows without address or time; an address that is none is quoted."""
    word = sent.cast(pa.string())
    no_word, no_address = word.is_null(), rows["icao24"].combine_chunks().is_null()
    reason = pc.if_else(no_word, Reason.MISSING_ICAO24, pc.if_else(no_address, Reason.BAD_ICAO24, Reason.MISSING_TIMESTAMP))
    quoted = pc.binary_join_element_wise("not a 24-bit hexadecimal address: ", pc.utf8_slice_codeunits(word, 0, _QUOTED), "")
    callsign = rows["callsign"].cast(pa.string())
    nameless = pc.coalesce(pc.binary_join_element_wise("no address; callsign ", callsign, ""), pa.scalar("no address"))
    detail = pc.if_else(no_word, nameless, pc.if_else(no_address, quoted, "no time that could be read"))
    return drop_rows(rows, reason, detail)
