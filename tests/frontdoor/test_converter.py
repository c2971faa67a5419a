"""Files to Parquet by the documented names: every field does what it says."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from optimized_converter import ConversionConfig, OptimizedJsonToParquetConverter

import flight_etl
from flight_etl.bench import generate
from flight_etl.errors import InputError, NotFound, SettingsError
from flight_etl.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 2_000


@pytest.fixture
def flights(tmp_path: Path) -> Path:
    path = tmp_path / "flights.ndjson"
    generate.write(str(path), ROWS)
    return path


def convert(src: Path, dst: Path, **fields: Any) -> Any:
    return OptimizedJsonToParquetConverter(ConversionConfig(**fields)).convert_file(src, dst)


def test_a_file_becomes_parquet_with_the_rows_that_read_gives(flights: Path, tmp_path: Path) -> None:
    report = OptimizedJsonToParquetConverter().convert_file(str(flights), str(tmp_path / "out.parquet"))
    with pq.ParquetFile(tmp_path / "out.parquet") as file:
        assert file.read().to_pylist() == flight_etl.read(flights).to_pylist()
    assert (report.read, report.written, report.outputs) == (ROWS, ROWS, (str(tmp_path / "out.parquet"),))
    assert report.bytes_in > report.bytes_out > 0


def test_defaults_are_the_documented_ones() -> None:
    config = ConversionConfig()
    found = (config.chunk_size, config.compression, config.use_dictionary_encoding, config.max_workers)
    assert found == (10_000, "snappy", True, 4)
    assert config.enable_gc_per_chunk


@pytest.mark.parametrize(("compression", "stored"), [("snappy", "SNAPPY"), ("zstd", "ZSTD"), ("none", "UNCOMPRESSED")])
def test_compression_is_that_of_the_file(flights: Path, tmp_path: Path, compression: str, stored: str) -> None:
    convert(flights, tmp_path / "out.parquet", compression=compression)
    with pq.ParquetFile(tmp_path / "out.parquet") as file:
        assert file.metadata.row_group(0).column(0).compression == stored


def test_garbage_is_collected_after_each_chunk_if_wanted(flights: Path, tmp_path: Path) -> None:
    def collections(**fields: Any) -> int:
        seen: list[str] = []

        def note(phase: str, info: dict[str, int]) -> None:
            if phase == "start" and info["generation"] == 2:
                seen.append(phase)

        gc.disable()  # so that only what is asked for is seen
        gc.callbacks.append(note)
        try:
            convert(flights, tmp_path / "out.parquet", overwrite=True, **fields)
        finally:
            gc.callbacks.remove(note)
            gc.enable()
        return len(seen)

    assert collections(enable_gc_per_chunk=False) == 0
    assert collections(chunk_size=ROWS, max_workers=1) == 1
    assert collections(chunk_size=ROWS // 4, max_workers=1) == 4


def test_chunks_and_workers_never_change_the_output(flights: Path, tmp_path: Path) -> None:
    variants: list[dict[str, Any]] = [{}, {"chunk_size": 377}, {"max_workers": 1}, {"use_dictionary_encoding": False}]
    for at, fields in enumerate(variants):
        convert(flights, tmp_path / f"{at}.parquet", **fields)
    assert len({(tmp_path / f"{at}.parquet").read_bytes() for at in range(4)}) == 1


def test_fields_reach_the_settings() -> None:
    settings = ConversionConfig(
        max_workers=3, memory_limit_mb=512, chunk_size=5, settings=Settings(units="aviation")
    ).to_settings()
    assert (settings.resources.workers, settings.resources.memory_limit_mb) == (3, 512)
    assert (settings.decode.chunk_rows, settings.units) == (5, "aviation")


@pytest.mark.parametrize("fields", [{"chunk_size": 0}, {"max_workers": 0}, {"memory_limit_mb": 1}])
def test_what_is_not_permitted_is_refused_at_once(fields: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="not permitted"):
        OptimizedJsonToParquetConverter(ConversionConfig(**fields))


def test_other_settings_come_along(flights: Path, tmp_path: Path) -> None:
    settings = Settings()
    settings = replace(settings, filter=replace(settings.filter, icao24=("000000",)))
    assert convert(flights, tmp_path / "out.parquet", settings=settings).dropped == {"filtered": ROWS}


def test_an_output_that_is_there_is_replaced_only_on_request(flights: Path, tmp_path: Path) -> None:
    convert(flights, tmp_path / "out.parquet")
    with pytest.raises(SettingsError, match="overwrite"):
        convert(flights, tmp_path / "out.parquet")
    convert(flights, tmp_path / "out.parquet", overwrite=True)


def test_a_missing_input_leaves_no_output(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.json"):
        convert(tmp_path / "nothing.json", tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_cut_input_raises_after_its_readable_part_was_written(flights: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_bytes(b"[" + b",".join(flights.read_bytes().splitlines()[:100]))
    with pytest.raises(InputError, match="cut short"):
        convert(tmp_path / "cut.json", tmp_path / "out.parquet")
    with pq.ParquetFile(tmp_path / "out.parquet") as file:
        assert file.metadata.num_rows == 100
