from __future__ import annotations

import pytest

from flight_etl.core.decode.layout import Field, Kind, Layout
from flight_etl.core.decode.layouts import LAYOUT_NAMES, LAYOUTS
from flight_etl.schema import NORMAL
from flight_etl.units import Unit

_TARGETS = {column.name for column in NORMAL} - {"address_type"}
_TIMES = {"timestamp", "position_time", "contact_time"}
_UNITS = {
    "latitude": {Unit.DEGREE},
    "longitude": {Unit.DEGREE},
    "heading": {Unit.DEGREE},
    "altitude": {Unit.METRE, Unit.FOOT, Unit.NATIVE_ALTITUDE},
    "geo_altitude": {Unit.METRE, Unit.FOOT, Unit.NATIVE_ALTITUDE},
    "velocity": {Unit.METRE_PER_SECOND, Unit.KNOT, Unit.KM_PER_HOUR, Unit.NATIVE_SPEED},
    "vertical_rate": {Unit.METRE_PER_SECOND, Unit.FOOT_PER_MINUTE, Unit.NATIVE_RATE},
    "timestamp": {Unit.EPOCH_SECOND, Unit.EPOCH_MILLISECOND, Unit.EPOCH_AUTO, Unit.OFFSET_SECOND},
    "position_time": {Unit.EPOCH_SECOND, Unit.EPOCH_MILLISECOND, Unit.EPOCH_AUTO, Unit.AGE_SECOND},
    "contact_time": {Unit.EPOCH_SECOND, Unit.EPOCH_MILLISECOND, Unit.EPOCH_AUTO, Unit.AGE_SECOND},
}
_EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
_EVERY_FIELD = pytest.mark.parametrize(
    ("layout", "field"),
    [pytest.param(layout, field, id=f"{key}-{field.name}") for key, layout in LAYOUTS.items() for field in layout.fields],
)


def test_the_layouts_are_those_of_the_design() -> None:
    assert set(LAYOUT_NAMES) == {
        *("opensky", "opensky-objects", "opensky-history", "readsb", "trace"),
        *("adsbx-v1", "adsbx-v2", "fr24", "flat", "flat-columns"),
    }


@_EVERY_LAYOUT
def test_each_layout_knows_address_time_and_position(layout: Layout) -> None:
    assert {"icao24", "timestamp", "latitude", "longitude"} <= {field.target for field in layout.fields}


@_EVERY_LAYOUT
def test_raw_column_names_are_unique(layout: Layout) -> None:
    names = [f"{f.name}{end}" for f in layout.fields for end in (("", "_ground") if f.kind is Kind.ALTITUDE else ("",))]
    assert len(names) == len(set(names))


@_EVERY_LAYOUT
def test_no_key_is_read_by_two_fields(layout: Layout) -> None:
    """A key means one thing: fields share one only to walk to different places below it, or beside the records."""
    places = [(key, f.path, f.envelope) for f in layout.fields for key in f.keys]
    places += [(str(f.index), f.path, False) for f in layout.fields if f.index is not None]
    assert len(places) == len(set(places))


@_EVERY_LAYOUT
def test_positions_come_in_pairs(layout: Layout) -> None:
    """The n-th latitude, longitude and position time belong together, so there are as many of each."""
    count = {t: sum(f.target == t for f in layout.fields) for t in ("latitude", "longitude", "position_time")}
    assert count["latitude"] == count["longitude"]
    assert count["position_time"] in (0, count["latitude"])


@_EVERY_LAYOUT
def test_variants_move_fields_that_exist(layout: Layout) -> None:
    names = {field.name for field in layout.fields}
    for variant in layout.variants:
        assert {name for name, _ in variant.index} <= names
        assert variant.width in layout.widths
        assert variant.bool_at < variant.width


@_EVERY_LAYOUT
def test_array_rows_are_described_by_position_and_widths(layout: Layout) -> None:
    assert bool(layout.widths) == (layout.rows == "array")
    assert list(layout.widths) == sorted(layout.widths)
    taken = {field.index for field in layout.fields} | {layout.extra_object}
    assert not taken & {index for index, _ in layout.extra_columns}


@_EVERY_FIELD
def test_a_field_has_one_place(layout: Layout, field: Field) -> None:
    assert bool(field.keys) != (field.index is not None)
    assert (field.index is not None) == (layout.rows == "array" and not field.envelope)
    assert field.index is None or field.index < max(layout.widths)


@_EVERY_FIELD
def test_a_target_exists_and_its_unit_fits(layout: Layout, field: Field) -> None:
    del layout
    if field.target is None:
        return
    assert field.target in _TARGETS
    assert field.unit in _UNITS.get(field.target, {Unit.NONE})


@_EVERY_FIELD
def test_kind_and_unit_agree(layout: Layout, field: Field) -> None:
    del layout
    is_age = field.unit in (Unit.AGE_SECOND, Unit.OFFSET_SECOND)
    assert (field.kind is Kind.TIME) == (field.unit in _UNITS["timestamp"] - {Unit.OFFSET_SECOND})
    assert (field.target in _TIMES) <= (field.kind is Kind.TIME or is_age)
    assert not is_age or field.kind is Kind.NUMBER


def test_native_units_are_for_flat_layouts_only() -> None:
    native = {Unit.NATIVE_ALTITUDE, Unit.NATIVE_SPEED, Unit.NATIVE_RATE}
    users = {layout.name for layout in LAYOUTS.values() if native & {field.unit for field in layout.fields}}
    assert users == {"flat", "flat-columns"}


def test_an_offset_has_one_base_time() -> None:
    for layout in LAYOUTS.values():
        bases = [field for field in layout.fields if field.kind is Kind.TIME and field.target is None]
        assert len(bases) == any(field.unit is Unit.OFFSET_SECOND for field in layout.fields)
