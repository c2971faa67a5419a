"""The table of flights beside a data set: one row for each flight, made from the data set as it is.

It is read back from what was published, so it speaks of the whole data set, whichever run or compaction wrote which part, and
is right again after a crash as soon as anything runs. Flights are taken in ranges of their names, which begin with the
address: as many at a time as fit in memory, and the rows of each from all files that have any, since a flight may lie in the
files of two days. How many that are cannot be seen in the table.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flight_etl import resources
from flight_etl._version import __version__
from flight_etl.core.flights import FLIGHT_COLUMNS, MAX_AGE_S, flights_of
from flight_etl.core.order import timestamps_ms
from flight_etl.core.track import one_array
from flight_etl.errors import InputError, Place, SettingsError
from flight_etl.runners import places
from flight_etl.schema import FLIGHTS, SCHEMA_VERSION, arrow_schema
from flight_etl.settings import OutputSettings
from flight_etl.store.dataset import parquet_errors
from flight_etl.store.parquet import DatasetWriter
from flight_etl.store.places import is_url, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flight_etl.settings import Settings
    from flight_etl.store.dataset import Update

__all__ = ["check_place", "write_flights"]

_ROW_BYTES: Final = 400  # B; what a row of FLIGHT_COLUMNS costs at most while it is read, sorted and summed up
_LEAST_ROWS: Final = 100_000
_VERSION: Final = "flight_etl.flights"  # in the footer; tells our tables from files that must not be replaced
_END: Final = "\x7f"  # sorts behind every name of a flight

Range = tuple[str, str]  # names of flights, the second one excluded


def check_place(path: str, output: str) -> None:
    """Raise SettingsError unless the table may lie at `path`: a file .parquet, outside of the data set `output`."""
    if not path.endswith(".parquet"):
        raise SettingsError(f"flights={path!r} is not permitted: name a file that ends with .parquet")
    if is_url(path) != is_url(output):
        inside = False
    elif is_url(path):
        inside = path.startswith(f"{output.rstrip('/')}/")
    else:
        inside = Path(local_path(path)).resolve().is_relative_to(Path(local_path(output)).resolve())
    if inside:
        raise SettingsError(
            f"flights={path!r} is not permitted: it is inside of the data set {output!r}, whose readers would take it for "
            "rows of it; name a place outside"
        )
    if not is_url(path) and Path(local_path(path)).exists() and not _is_ours(Path(local_path(path))):
        raise SettingsError(f"flights={path!r} is not permitted: it exists and is no table of flights; name another")


def _is_ours(path: Path) -> bool:
    try:
        return _VERSION.encode() in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def write_flights(dataset: str, path: str, settings: Settings) -> int:
    """Write the table of all flights of `dataset` to `path`, in one step, and give their number.

    An older table there is replaced. Rows are sorted by `flight_id`; bytes are a function of the data set and the compression.
    Memory is that of `settings.resources`, or of the longest flight where that is more. Raises SettingsError as `check_place`
    does, NotFound where there is no data set, InputError where its files are not those of a run, StoreError.
    """
    check_place(path, dataset)
    pool = places.pool_for(settings, dataset, path)
    replacing = replace(settings, output=OutputSettings(compression=settings.output.compression, overwrite=True))
    rows = max(_LEAST_ROWS, resources.plan(settings.resources).held_bytes // _ROW_BYTES)
    with places.updating(dataset, settings, pool) as data, places.file_staging(path, replacing, pool) as staging:
        footer = {"flight_etl.version": __version__, _VERSION: SCHEMA_VERSION, "flight_etl.max_age_s": f"{MAX_AGE_S:g}"}
        schema = arrow_schema(FLIGHTS)
        writer = DatasetWriter(staging.part, schema, replacing.output, footer, sorted_by=("flight_id",), single_file=True)
        files = _Files(data)
        for span in files.ranges(rows):
            table = files.rows(span)
            if table.num_rows:
                writer.write(flights_of(table))
        (written,) = writer.close()
        staging.publish()
    return written.rows


class _Files:
    """The files of a data set, and which flights are in each of their row groups."""

    def __init__(self, data: Update) -> None:
        self._data = data
        self._groups: list[tuple[int, int, str, str]] = []  # file, row group, first and last address
        self.total = 0
        for number, file in enumerate(data.files):
            with parquet_errors(data.place(file.name)):
                metadata = pq.read_metadata(data.fetch(file))
            names = metadata.schema.to_arrow_schema().names
            missing = [name for name in FLIGHT_COLUMNS[:-4] if name not in names]
            if missing:
                raise InputError(
                    f"has no column {missing[0]}: it is no output of this version's `flight-etl run`",
                    place=Place(data.place(file.name)),
                )
            at = names.index("icao24")
            for group in range(metadata.num_row_groups):
                told = metadata.row_group(group).column(at).statistics
                ends = (told.min, told.max) if told is not None and told.has_min_max else ("", _END)
                self._groups.append((number, group, *ends))
            self.total += metadata.num_rows

    def ranges(self, rows: int) -> Iterator[Range]:
        """Cut the names of all flights into ranges of at most `rows` rows, or one flight."""
        if self.total <= rows:
            if self.total:
                yield "", _END
            return
        begin, held = "", 0
        for name, count in self._counted("icao24", ("", _END), rows):
            if held and held + count > rows:
                yield begin, name
                begin, held = name, 0
            held += count
        yield begin, _END

    def _counted(self, column: str, span: Range, rows: int) -> Iterator[tuple[str, int]]:
        """Give names in order, each with its number of rows; flights in the place of an aircraft that has too many."""
        counts: dict[str, int] = {}
        for table in self._tables([column], span):
            for pair in pc.value_counts(table[column].combine_chunks().cast(pa.string())).to_pylist():
                if span[0] <= pair["values"] < span[1]:
                    counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
        for name, count in sorted(counts.items()):
            if count > rows and column == "icao24":
                yield from self._counted("flight_id", (name, f"{name}{_END}"), rows)
            else:
                yield name, count

    def rows(self, span: Range) -> pa.Table:
        """Give the rows of a range, by flight and time."""
        columns = ["flight_id", *(name for name in FLIGHT_COLUMNS if name != "flight_id")]
        found = []
        for table in self._tables(columns, span):
            if span != ("", _END):
                table = table.filter(_inside(one_array(table["flight_id"]), span))  # noqa: PLW2901
            found.append(table)
        table = pa.concat_tables(found, promote_options="default").unify_dictionaries().combine_chunks()
        return _sorted(table)

    def _tables(self, columns: Sequence[str], span: Range) -> Iterator[pa.Table]:
        """Give the row groups that may have rows of a range, file by file."""
        for number, groups in self._overlapping(span).items():
            file = self._data.files[number]
            with parquet_errors(self._data.place(file.name)), pq.ParquetFile(self._data.fetch(file), memory_map=False) as opened:
                there = [name for name in columns if name in opened.schema_arrow.names]
                for group in groups:
                    yield opened.read_row_group(group, columns=there)

    def _overlapping(self, span: Range) -> Mapping[int, list[int]]:
        found: dict[int, list[int]] = {}
        for number, group, least, most in self._groups:
            if least < span[1] and f"{most}{_END}" > span[0]:
                found.setdefault(number, []).append(group)
        return found


def _inside(names: pa.DictionaryArray, span: Range) -> pa.Array:
    words = np.array([span[0] <= word < span[1] for word in names.dictionary.to_pylist()], np.bool_)
    return pa.array(words[names.indices.to_numpy()])


def _sorted(table: pa.Table) -> pa.Table:
    """Order rows by flight and time; those of one time stay in the order of the files."""
    if not table.num_rows:
        return table
    names = one_array(table["flight_id"])
    words = names.dictionary.to_pylist()
    rank = np.empty(len(words), np.int64)
    rank[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    key, time = rank[names.indices.to_numpy()], timestamps_ms(table["timestamp"])
    if bool(((np.diff(key) > 0) | ((np.diff(key) == 0) & (np.diff(time) >= 0))).all()):
        return table
    return table.take(pa.array(np.lexsort((time, key))))
