"""Files are a function of rows and settings: how rows were cut on their way, and how much memory there was, cannot be seen."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_etl.errors import SettingsError, StoreError
from flight_etl.schema import NORMAL, arrow_schema
from flight_etl.settings import OutputSettings
from flight_etl.store import parquet
from flight_etl.store.parquet import DatasetWriter, WrittenFile

if TYPE_CHECKING:
    from collections.abc import Sequence

EXTRAS = [
    pa.field("nic", pa.int64()),
    pa.field("note.a", pa.string()),
    pa.field("rssi", pa.float64()),
    pa.field("hot", pa.bool_()),
]
SCHEMA = pa.schema([*arrow_schema(NORMAL), *EXTRAS])
METADATA = {"flight_etl.version": "0", "flight_etl.settings": "{}"}
DAY_MS = 86_400_000
START_MS = 1_633_564_800_000  # 2021-10-07


def rows(count: int, seed: int = 1) -> pa.Table:
    """Rows of ten aircraft over three days, sorted, with nulls in every column that may have them."""
    rng = np.random.default_rng(seed)
    columns: list[pa.Array] = []
    for at, field in enumerate(SCHEMA):
        known = np.ones(count, np.bool_) if at < 3 else rng.random(count) < 0.8
        type_ = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        values: Any = rng.integers(0, 30, count)
        if field.name == "icao24":
            values = np.array([f"{0xABC000 + n:06x}" for n in np.sort(rng.integers(0, 10, count))], object)
        elif field.name == "timestamp":
            values = START_MS + np.sort(rng.integers(0, 3 * DAY_MS, count))  # sorted within aircraft by the sort below
        elif pa.types.is_string(type_):
            values = np.array([f"w{v}" for v in values], object)
        elif pa.types.is_boolean(type_):
            values = values < 15
        elif pa.types.is_floating(type_):
            values = values / 4
        array = pa.array(values, type_, mask=~known)
        columns.append(array.dictionary_encode() if pa.types.is_dictionary(field.type) else array)
    table = pa.Table.from_arrays(columns, schema=SCHEMA)
    plain = table.set_column(0, "icao24", table["icao24"].cast(pa.string()))
    return table.take(pc.sort_indices(plain, sort_keys=[("icao24", "ascending"), ("timestamp", "ascending")]))


ROWS = rows(1_000)


def write(root: Path, table: pa.Table = ROWS, cuts: Sequence[int] = (), threads: int = 1, **options: Any) -> list[WrittenFile]:
    """Write a table in pieces; `single_file` and `sorted_by` go to the writer, all else to the settings."""
    own = {name: options.pop(name) for name in ("single_file", "sorted_by") if name in options}
    root.parent.mkdir(parents=True, exist_ok=True)
    if "single_file" not in own:
        root.mkdir()
    chosen = OutputSettings(**({"row_group_rows": 120, "rows_per_file": 300} | options))
    writer = DatasetWriter(root, table.schema, chosen, METADATA, **own)
    edges = [0, *sorted(cuts), table.num_rows]
    for begin, end in pairwise(edges):
        writer.write(table.slice(begin, end - begin))
    return writer.close(threads=threads)


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def read(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read()


def test_rows_and_types_and_words_about_columns_come_back(tmp_path: Path) -> None:
    done = write(tmp_path / "out")
    assert [(file.path, file.rows) for file in done] == [(f"part-{n:05d}.parquet", r) for n, r in enumerate((300, 300, 300, 100))]
    assert all((tmp_path / "out" / file.path).stat().st_size == file.bytes for file in done)
    back = pa.concat_tables([read(tmp_path / "out" / file.path) for file in done])
    assert back.schema.equals(SCHEMA)
    assert back.to_pylist() == ROWS.to_pylist()
    assert back.schema.field("altitude").metadata[b"unit"] == b"m"
    metadata = pq.read_metadata(tmp_path / "out" / done[0].path).metadata
    assert {key: value for key, value in metadata.items() if key != b"ARROW:schema"} == {
        key.encode(): value.encode() for key, value in METADATA.items()
    }


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 1000), max_size=30), partition=st.sampled_from([None, "date"]), spill=st.booleans())
def test_how_rows_were_cut_and_spilled_cannot_be_seen(
    tmp_path_factory: pytest.TempPathFactory, *, cuts: list[int], partition: Any, spill: bool
) -> None:
    root = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_PIECE_ROWS", 50)
        whole = write(root / "whole", partition_by=partition)
        patch.setattr(parquet, "DATE_BYTES", 20_000 if spill else 1 << 30)
        assert write(root / "cut", cuts=cuts, partition_by=partition, threads=2) == whole
    assert content(root / "cut") == content(root / "whole")
    assert len(whole) == 4 or partition


def test_dictionaries_on_the_way_leave_no_trace(tmp_path: Path) -> None:
    words = SCHEMA.field("callsign").type
    values = ["b", None, "a", "b", None]
    forms = {
        "plain": pa.array(values).dictionary_encode(),
        "other order": pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 1, None], pa.int32()), ["a", "b"]),
        "unused and doubled": pa.DictionaryArray.from_arrays(pa.array([1, None, 3, 2, None], pa.int32()), ["z", "b", "b", "a"]),
        "null as a word": pa.DictionaryArray.from_arrays(pa.array([1, 0, 2, 1, 0], pa.int32()), pa.array([None, "b", "a"])),
        "text": pa.array(values),
        "small indices": pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 1, None], pa.int8()), ["a", "b"]),
    }
    for name, form in forms.items():
        writer = DatasetWriter(tmp_path / name, pa.schema([("w", words)]), OutputSettings(), {}, single_file=True)
        writer.write(pa.table({"w": form}))
        writer.close()
    assert len({(tmp_path / name).read_bytes() for name in forms}) == 1
    assert read(tmp_path / "text")["w"].to_pylist() == values
    nothing = DatasetWriter(tmp_path / "nulls", pa.schema([("w", words)]), OutputSettings(), {}, single_file=True)
    nothing.write(pa.table({"w": pa.nulls(3, words)}))
    nothing.close()
    assert read(tmp_path / "nulls")["w"].to_pylist() == [None] * 3


@pytest.mark.parametrize("compression", ["snappy", "zstd", "lz4", "gzip", "none"])
def test_every_compression_is_readable_by_others(tmp_path: Path, compression: Any) -> None:
    write(tmp_path / "out", compression=compression)
    used = pq.read_metadata(tmp_path / "out/part-00000.parquet").row_group(0).column(0).compression
    assert used == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
    query = f"SELECT count(*), sum(altitude), count(DISTINCT icao24) FROM '{tmp_path}/out/*.parquet'"
    count, total, aircraft = duckdb.sql(query).fetchall()[0]
    assert (count, aircraft) == (1000, 10)
    assert total == pytest.approx(pc.sum(ROWS["altitude"]).as_py())


def encodings(path: Path) -> dict[str, set[str]]:
    group = pq.read_metadata(path).row_group(0)
    return {group.column(at).path_in_schema: set(group.column(at).encodings) for at in range(group.num_columns)}


def test_encodings_are_those_that_were_measured(tmp_path: Path) -> None:
    write(tmp_path / "out")
    used = encodings(tmp_path / "out/part-00000.parquet")
    assert "RLE_DICTIONARY" in used["callsign"] & used["altitude"] & used["rssi"] & used["note.a"]
    assert "DELTA_BINARY_PACKED" in used["timestamp"] & used["position_time"] & used["nic"]
    assert all("RLE_DICTIONARY" not in used[name] for name in ("latitude", "longitude", "on_ground", "timestamp"))
    assert not any("BYTE_STREAM_SPLIT" in some for some in used.values())  # Spark 3.5's vectorised reader does not know it


@pytest.mark.parametrize(("compression", "positions"), [("snappy", True), ("zstd", False), ("none", False)])
def test_bytes_of_numbers_are_split_on_request_where_that_is_smaller(
    tmp_path: Path, *, compression: Any, positions: bool
) -> None:
    table = ROWS.append_column("distance_km", ROWS["altitude"])
    write(tmp_path / "out", table, compression=compression, byte_stream_split=True, rows_per_file=1_000)
    path = tmp_path / "out/part-00000.parquet"
    split = {name for name, used in encodings(path).items() if "BYTE_STREAM_SPLIT" in used}
    assert split == ({"latitude", "longitude"} if positions else set()) | ({"distance_km"} if compression != "none" else set())
    assert read(path).to_pylist() == table.to_pylist()
    found = duckdb.sql(f"SELECT sum(latitude), sum(distance_km) FROM '{path}'").fetchall()[0]
    assert found == pytest.approx((pc.sum(table["latitude"]).as_py(), pc.sum(table["distance_km"]).as_py()))


def test_row_groups_can_be_skipped_by_aircraft_and_time(tmp_path: Path) -> None:
    write(tmp_path / "out")
    meta = pq.read_metadata(tmp_path / "out/part-00000.parquet")
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [120, 120, 60]
    names = [meta.row_group(0).column(at).path_in_schema for at in range(meta.num_columns)]
    for number in range(meta.num_row_groups):
        group, part = meta.row_group(number), ROWS.slice(number * 120, 120 if number < 2 else 60)
        address = group.column(names.index("icao24")).statistics
        assert (address.min, address.max) == (part["icao24"][0].as_py(), part["icao24"][-1].as_py())
        assert group.column(names.index("timestamp")).statistics.min == pc.min(part["timestamp"]).as_py()
        assert group.column(0).has_column_index
        told = {name for at, name in enumerate(names) if group.column(at).is_stats_set}
        assert told >= {"icao24", "timestamp", "position_time", "latitude", "longitude", "callsign", "nic", "rssi"}
        assert not told & {"on_ground", "category", "origin_country", "note.a"}  # all values in every group: nothing to skip by
    sorting = pq.SortingColumn.to_ordering(pa.schema(SCHEMA), meta.row_group(0).sorting_columns)[0]
    assert [name for name, _ in sorting] == ["icao24", "timestamp"]


def test_partitions_are_utc_dates_and_sorted_inside(tmp_path: Path) -> None:
    edge = pa.array([START_MS + DAY_MS - 1, START_MS + DAY_MS], SCHEMA.field("timestamp").type)
    table = pa.concat_tables([ROWS, ROWS.slice(998).set_column(2, SCHEMA.field("timestamp"), edge)])
    done = write(tmp_path / "out", table, partition_by="date", rows_per_file=10_000)
    assert [file.path for file in done] == [f"date=2021-10-0{day}/part-00000.parquet" for day in (7, 8, 9)]
    assert sum(file.rows for file in done) == 1002
    back = ds.dataset(tmp_path / "out", partitioning="hive").to_table()
    assert back.num_rows == 1002
    assert back["date"].to_pylist() == [time.strftime("%Y-%m-%d") for time in back["timestamp"].to_pylist()]
    for file in done:
        part = read(tmp_path / "out" / file.path)
        keys = list(zip(part["icao24"].to_pylist(), part["timestamp"].to_pylist(), strict=True))
        assert keys[:-1] == sorted(keys[:-1])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["date=2021-10-07", "date=2021-10-08", "date=2021-10-09"]


@pytest.mark.parametrize("partition", [None, "date"])
def test_no_rows_still_make_a_file_with_the_schema(tmp_path: Path, partition: Any) -> None:
    (only,) = write(tmp_path / "out", SCHEMA.empty_table(), partition_by=partition)
    assert (only.path, only.rows) == ("part-00000.parquet", 0)
    assert read(tmp_path / "out/part-00000.parquet").schema.equals(SCHEMA)


def test_a_single_file_holds_all_rows_in_any_order(tmp_path: Path) -> None:
    shuffled = ROWS.take(pa.array(np.random.default_rng(1).permutation(1000)))
    (only,) = write(tmp_path / "x.part", shuffled, [10, 500], single_file=True, sorted_by=())
    assert (only.path, only.rows) == ("x.part", 1000)
    assert read(tmp_path / "x.part").to_pylist() == shuffled.to_pylist()
    assert pq.read_metadata(tmp_path / "x.part").row_group(0).sorting_columns == ()
    with pytest.raises(SettingsError, match="partition_by"):
        write(tmp_path / "y", single_file=True, partition_by="date")


def test_no_more_than_a_row_group_is_held(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    table = rows(20_000)
    writer = DatasetWriter(tmp_path / "out", SCHEMA, OutputSettings(row_group_rows=1_000), {})
    before = pa.total_allocated_bytes()
    for begin in range(0, 200_000, 700):
        writer.write(table.take(pa.array(np.arange(begin, begin + 700) % 20_000)))
        assert pa.total_allocated_bytes() - before < table.nbytes // 2
    (only,) = writer.close()
    assert only.rows == 200_200


def test_rows_with_many_columns_make_shorter_row_groups(tmp_path: Path) -> None:
    for columns, group in ((48, 100), (96, 50), (1_000, 4)):
        table = pa.table({f"c{n}": np.arange(200) for n in range(columns)})
        write(tmp_path / str(columns), table, row_group_rows=100)
        assert pq.read_metadata(tmp_path / f"{columns}/part-00000.parquet").row_group(0).num_rows == group


def test_a_full_disk_and_a_place_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No space left"):
        write(Path("/dev/full"), rows(50_000), single_file=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        DatasetWriter(tmp_path / "file", SCHEMA, OutputSettings(), {}).close()
