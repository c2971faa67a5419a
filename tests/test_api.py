"""The package as a library: what `read`, `transform`, `run` and `to_traffic` promise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import flight_etl
from flight_etl.bench import generate
from flight_etl.errors import InputError, NotFound, SettingsError
from flight_etl.outcome import Reason
from flight_etl.schema import ENRICHED, NORMAL, PROVENANCE, arrow_schema
from flight_etl.settings import DecodeSettings, FilterSettings, PhaseSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 3_000
START = 1_700_000_000  # s
WORDS = pa.dictionary(pa.int32(), pa.string())


def recording(folder: Path, layout: str = "flat", *, rows: int = ROWS) -> Path:
    path = folder / f"{layout}.json"
    generate.write(str(path), rows, layout=layout, complexity="complex")
    return path


def dataset(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.ParquetFile(path).read() for path in sorted(folder.rglob("*.parquet"))])


def small(**columns: Any) -> pa.Table:
    """Two rows of one aircraft, with these columns beside or in place of address and time."""
    times = pa.array([START * 1000, START * 1000 + 10_000], pa.timestamp("ms", tz="UTC"))
    return pa.table({"icao24": ["abc123", "abc123"], "timestamp": times} | columns)


def kept(table: pa.Table, settings: Settings | None = None) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = flight_etl.transform(table, settings).kept.to_pydict()
    return columns


def test_read_gives_normal_columns_then_extra_ones(tmp_path: Path) -> None:
    table = flight_etl.read(recording(tmp_path))
    names = [column.name for column in NORMAL]
    assert table.num_rows == ROWS
    assert table.column_names[: len(names)] == names
    assert table.column_names[len(names) :] == ["aircraft_info", "flight_plan"]
    assert table.schema.field("altitude").metadata[b"unit"] == b"m"


def test_read_raises_what_is_wrong_with_an_input(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        flight_etl.read(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_bytes(b"no flights")
    with pytest.raises(InputError):
        flight_etl.read(tmp_path / "broken.json")


def test_settings_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    wrong = Settings(decode=DecodeSettings(chunk_rows=0))
    calls = (
        lambda: flight_etl.read(tmp_path, wrong),
        lambda: flight_etl.transform(small(), wrong),
        lambda: flight_etl.run(tmp_path, tmp_path / "out", wrong),
    )
    for call in calls:
        with pytest.raises(SettingsError, match="chunk_rows"):
            call()


@pytest.mark.parametrize("layout", ["flat", "opensky", "readsb", "trace"])
def test_transform_of_read_is_what_run_writes(tmp_path: Path, layout: str) -> None:
    path = recording(tmp_path, layout)
    outcome = flight_etl.transform(flight_etl.read(path))
    report = flight_etl.run(path, tmp_path / "out")
    written = dataset(tmp_path / "out")
    assert outcome.kept.schema.equals(written.schema.remove_metadata(), check_metadata=False)
    for name in written.column_names:
        assert outcome.kept.schema.field(name).metadata == written.schema.field(name).metadata, name
        ours, theirs = outcome.kept[name], written[name]
        if pa.types.is_dictionary(ours.type):
            ours, theirs = ours.cast(pa.string()), theirs.cast(pa.string())
        assert ours.equals(theirs), name
    assert outcome.dropped.num_rows == report.read - report.written


def test_run_takes_one_input_or_many(tmp_path: Path) -> None:
    first, second = recording(tmp_path, "flat", rows=300), recording(tmp_path, "opensky", rows=200)
    assert flight_etl.run(first, tmp_path / "one").read == 300
    assert flight_etl.run([str(first), second], tmp_path / "two").read == 500


def test_transform_gives_the_enriched_columns_in_order_and_nothing_internal(tmp_path: Path) -> None:
    table = flight_etl.transform(flight_etl.read(recording(tmp_path))).kept
    names = [column.name for column in ENRICHED]
    assert table.column_names == [*names, "aircraft_info", "flight_plan"]
    assert table.select(names).schema.equals(arrow_schema(ENRICHED), check_metadata=True)
    keys = table.select(["icao24", "timestamp"]).cast(pa.schema([("icao24", pa.string()), ("timestamp", pa.int64())]))
    assert keys.equals(keys.sort_by([("icao24", "ascending"), ("timestamp", "ascending")]))


def test_transform_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    table = flight_etl.read(recording(tmp_path))
    backwards = table.take(pa.array(range(table.num_rows))[::-1])
    assert flight_etl.transform(backwards).kept.to_pylist() == flight_etl.transform(table).kept.to_pylist()


def test_transform_leaves_its_input_as_it_was(tmp_path: Path) -> None:
    table = flight_etl.read(recording(tmp_path, rows=200))
    before = table.to_pylist()
    flight_etl.transform(table)
    assert table.to_pylist() == before


def test_transform_of_an_enriched_table_derives_anew(tmp_path: Path) -> None:
    once = flight_etl.transform(flight_etl.read(recording(tmp_path)), Settings(phase=PhaseSettings(method="rules"))).kept
    again = flight_etl.transform(once)
    assert again.kept.column_names == once.column_names
    assert again.dropped.num_rows == 0
    assert again.kept["altitude_ft"].equals(once["altitude_ft"])


def test_missing_columns_are_null_and_switched_off_features_absent() -> None:
    columns = kept(small())
    assert columns["latitude"] == [None, None]
    assert columns["callsign"] == [None, None]
    assert columns["address_type"] == ["icao", "icao"]
    off = Settings(phase=PhaseSettings(enabled=False))
    assert "flight_phase" not in kept(small(), off)


def test_text_may_be_plain_or_encoded() -> None:
    plain = pa.array(["KLM1", "KLM1"])
    encoded = plain.dictionary_encode().cast(WORDS)
    wide = plain.cast(pa.large_string())
    assert kept(small(callsign=plain)) == kept(small(callsign=encoded)) == kept(small(callsign=wide))


@pytest.mark.parametrize(
    "times",
    [
        pa.array([START, START + 10], pa.timestamp("s")),
        pa.array([START, START + 10], pa.timestamp("s", tz="Europe/Amsterdam")),
        pa.array([START * 10**9, (START + 10) * 10**9], pa.timestamp("ns", tz="UTC")),
        pa.array([START * 10**6 + 7, (START + 10) * 10**6 + 7], pa.timestamp("us")),
        pa.array([START, START + 10]),
        pa.array([START * 1000.0, START * 1000.0 + 10_000]),
        pa.array(["2023-11-14T22:13:20Z", "2023-11-14 23:13:30+01:00"]),
    ],
    ids=["naive", "zoned", "ns", "us", "epoch", "epoch-ms", "iso"],
)
def test_times_may_have_any_unit_and_zone(times: pa.Array) -> None:
    table = flight_etl.transform(small(timestamp=times, position_time=times)).kept
    for name in ("timestamp", "position_time"):
        assert table[name].type == pa.timestamp("ms", tz="UTC")
        assert table[name].cast(pa.int64()).to_pylist() == [START * 1000, START * 1000 + 10_000]


def test_numbers_may_have_any_type_and_nan_is_null() -> None:
    columns = kept(small(altitude=pa.array([1000, 2000], pa.int32()), velocity=pa.array([float("nan"), 100.0], pa.float32())))
    assert columns["altitude"] == [1000.0, 2000.0]
    assert columns["velocity"] == [None, 100.0]


def test_flat_names_are_understood_with_their_units() -> None:
    columns = kept(small(baro_altitude=[1000.0, 1000.0], gs=[100.0, 100.0], lat=[50.0, 50.1], lon=[4.0, 4.0]))
    assert columns["altitude"] == [1000.0, 1000.0]
    assert columns["speed_knots"] == pytest.approx([100.0, 100.0])
    assert columns["latitude"] == [50.0, 50.1]
    assert "gs" not in columns


def test_an_alias_does_not_speak_where_the_normal_column_is_there() -> None:
    columns = kept(small(vertical_rate=[1.0, 1.0], geom_rate=[640.0, 640.0], altitude=[None, 10.0], alt_ft=[5000.0, 5000.0]))
    assert columns["vertical_rate"] == [1.0, 1.0]
    assert columns["geom_rate"] == [640.0, 640.0]
    assert columns["altitude"] == [None, 10.0]
    assert columns["alt_ft"] == [5000.0, 5000.0]


def test_an_altitude_column_may_say_ground() -> None:
    columns = kept(small(alt_baro=["ground", "1000"]))
    assert columns["altitude"] == [None, pytest.approx(304.8)]
    assert columns["on_ground"] == [True, None]


def test_unreadable_values_are_null_and_counted() -> None:
    outcome = flight_etl.transform(small(velocity=["fast", "7"]))
    assert outcome.kept["velocity"].to_pylist() == [None, 7.0]
    assert outcome.counts["unreadable.velocity"] == 1


def test_units_setting_does_not_touch_a_table() -> None:
    assert kept(small(altitude=[1000.0, 1000.0]), Settings(units="aviation"))["altitude"] == [1000.0, 1000.0]


def test_extra_columns_come_out_as_they_went_in() -> None:
    nested = pa.array([[2], [1]], pa.list_(pa.int64()))
    field = pa.field("tags", nested.type, metadata={"mine": "yes"})
    table = small(note=pa.array(["b", "a"]), price=pa.array([2, 1])).append_column(field, nested)
    outcome = flight_etl.transform(table.take(pa.array([1, 0])))
    assert outcome.kept.column_names[-3:] == ["note", "price", "tags"]
    assert outcome.kept.select(["note", "price", "tags"]).to_pydict() == {
        "note": ["b", "a"],
        "price": [2, 1],
        "tags": [[2], [1]],
    }
    assert outcome.kept.schema.field("tags").equals(field, check_metadata=True)


def test_extra_columns_in_flight_get_their_final_names() -> None:
    kinds = {b"kinds": b"1"}
    fields = [pa.field("x:Velocity", pa.int64(), metadata=kinds), pa.field("x:wind", pa.int64(), metadata=kinds)]
    table = small()
    for field in fields:
        table = table.append_column(field, pa.array([3, 4]))
    columns = kept(table)
    assert columns["extra_Velocity"] == [3, 4]
    assert columns["wind"] == [3, 4]


def test_rows_are_numbered_unless_they_bring_their_provenance() -> None:
    rows = pa.concat_tables([small(), small()])
    assert flight_etl.transform(rows).dropped["_record"].to_pylist() == [2, 3]
    numbers = pa.array([7, 8, 5, 6], pa.int64())
    rows = rows.append_column("_record", numbers).append_column("_input", pa.array([1] * 4, pa.int32()))
    outcome = flight_etl.transform(rows)
    assert outcome.dropped["_record"].to_pylist() == [7, 8]
    assert outcome.dropped["_input"].to_pylist() == [1, 1]
    assert not set(PROVENANCE) & set(outcome.kept.column_names)


def test_rows_without_address_or_time_are_dropped_with_a_reason() -> None:
    rows = small(icao24=["hello", None])
    outcome = flight_etl.transform(rows)
    assert outcome.dropped["reason"].to_pylist() == [Reason.BAD_ICAO24, Reason.MISSING_ICAO24]
    assert outcome.kept.num_rows == 0
    assert flight_etl.transform(rows.select(["timestamp"])).dropped["reason"].to_pylist() == [Reason.MISSING_ICAO24] * 2


def test_filters_apply_to_tables_too() -> None:
    outcome = flight_etl.transform(small(), Settings(filter=FilterSettings(end_ms=START * 1000 + 1)))
    assert outcome.kept.num_rows == 1
    assert outcome.dropped["reason"].to_pylist() == [Reason.FILTERED]


def test_a_table_without_rows_gives_one_without_rows() -> None:
    outcome = flight_etl.transform(small(note=["a", "b"]).slice(0, 0))
    assert outcome.kept.num_rows == outcome.dropped.num_rows == 0
    assert outcome.kept.column_names == [*(column.name for column in ENRICHED), "note"]


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="callsign"):
        flight_etl.transform(small(callsign=["a", "b"]).append_column("callsign", pa.array(["c", "d"])))


TRAFFIC = {
    "timestamp": "ms UTC",
    "icao24": "",
    "callsign": "",
    "latitude": "deg",
    "longitude": "deg",
    "altitude": "ft",
    "geoaltitude": "ft",
    "groundspeed": "kt",
    "track": "deg",
    "vertical_rate": "ft/min",
    "onground": "",
    "squawk": "",
    "flight_id": "",
}


def test_to_traffic_converts_to_its_names_and_units() -> None:
    table = flight_etl.transform(
        small(altitude=[304.8, 609.6], velocity=[463 / 9, None], vertical_rate=[5.08, 5.08], squawk=["0021", None])
    ).kept
    found = flight_etl.to_traffic(table)
    assert {field.name: field.metadata[b"unit"].decode() for field in found.schema} == TRAFFIC
    row = found.to_pylist()[0]
    assert (row["altitude"], row["groundspeed"], row["vertical_rate"]) == pytest.approx((1000.0, 100.0, 1000.0))
    assert (row["icao24"], row["squawk"], row["onground"]) == ("abc123", "0021", None)
    assert found["groundspeed"].to_pylist()[1] == table["speed_knots"].to_pylist()[1]
    assert row["flight_id"] == "abc123-20231114T221320Z"


@pytest.mark.parametrize("partition", [None, "date"])
def test_to_traffic_reads_a_data_set(tmp_path: Path, partition: Any) -> None:
    settings = Settings()
    settings = replace(settings, output=replace(settings.output, partition_by=partition))
    flight_etl.run(recording(tmp_path), tmp_path / "out", settings)
    found = flight_etl.to_traffic(tmp_path / "out")
    written = dataset(tmp_path / "out")
    assert found.num_rows == written.num_rows
    assert pc.all(pc.equal(found["altitude"], written["altitude_ft"])).as_py()
    one = next((tmp_path / "out").rglob("*.parquet"))
    assert flight_etl.to_traffic(str(one)).column_names == list(TRAFFIC)


def test_to_traffic_takes_normal_tables_and_says_what_it_cannot_use(tmp_path: Path) -> None:
    assert flight_etl.to_traffic(flight_etl.read(recording(tmp_path)))["flight_id"].null_count == ROWS
    with pytest.raises(InputError, match="icao24"):
        flight_etl.to_traffic(pa.table({"a": [1]}))
    with pytest.raises(NotFound):
        flight_etl.to_traffic(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no Parquet file"):
        flight_etl.to_traffic(tmp_path / "empty")
    with pytest.raises(InputError, match="not a Parquet file"):
        flight_etl.to_traffic(tmp_path / "flat.json")


def test_the_package_names_its_functions() -> None:
    assert {"read", "run", "to_traffic", "transform"} <= set(dir(flight_etl))
    with pytest.raises(AttributeError, match="flie"):
        _ = flight_etl.flie
    assert json.dumps(flight_etl.Report(inputs=()).to_json())
