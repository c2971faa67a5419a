"""Files to Parquet, one at a time, by the documented names; the work is that of `flight-etl convert`."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flight_etl import resources
from flight_etl.errors import InputError
from flight_etl.runners import local
from flight_etl.settings import Settings
from flight_etl.settings_rules import check
from flight_etl.store.inputs import expand

if TYPE_CHECKING:
    from flight_etl.report import Report
    from flight_etl.runners.records import Progress
    from flight_etl.settings import Compression

__all__ = ["ConversionConfig", "OptimizedJsonToParquetConverter"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionConfig:
    """How to convert. `settings` holds all else, such as layout, units and limits; the fields here replace its own.

    `use_dictionary_encoding` is accepted and always on: each column has the encoding that was measured to be best for it,
    which for text and for numbers in coarse steps is a dictionary (store/encodings.py).
    """

    chunk_size: int = 10_000  # rows per batch; never changes the output
    compression: Compression = "snappy"
    use_dictionary_encoding: bool = True  # accepted and always on
    max_workers: int = 4  # threads
    memory_limit_mb: int | None = None  # MB of RSS for the whole process; None: half of what is free
    enable_gc_per_chunk: bool = True  # collect garbage, and give memory back to the system, after each batch
    overwrite: bool = False  # replace a file that is there already
    settings: Settings | None = None

    def to_settings(self) -> Settings:
        """Settings of the run. Raises SettingsError for a value that is not permitted."""
        base = self.settings or Settings()
        settings = replace(
            base,
            decode=replace(base.decode, chunk_rows=self.chunk_size),
            output=replace(base.output, compression=self.compression, overwrite=self.overwrite),
            resources=replace(base.resources, workers=self.max_workers, memory_limit_mb=self.memory_limit_mb),
        )
        check(settings)
        return settings


class OptimizedJsonToParquetConverter:
    """Converts JSON files, plain or compressed, of any layout that DESIGN section 4 lists."""

    def __init__(self, config: ConversionConfig | None = None) -> None:
        self.config = config or ConversionConfig()
        self._settings = self.config.to_settings()

    def convert_file(self, src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> Report:
        """Decode, normalise and clean `src` into the Parquet file `dst`, rows in input order; gives the account of it.

        Raises NotFound or Denied for an input that cannot be read, and then `dst` is untouched; InputError for one that is
        corrupt or cut short, after everything readable in it was written; StoreError when writing fails; SettingsError.
        """
        source, target = os.fspath(src), os.fspath(dst)
        for _, error in expand([source], output=target).failed:
            raise error
        report = local.convert(source, target, self._settings, progress=self._after_chunk)
        for failed in report.failed:
            raise InputError(str(failed.error))  # which names the place
        return report

    def _after_chunk(self, _: Progress) -> None:
        if self.config.enable_gc_per_chunk:
            gc.collect()
            resources.give_back_memory()
