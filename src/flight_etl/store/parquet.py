"""Parquet files whose names and bytes are a function of the rows, their order and the settings alone.

For that, row groups and files are cut at fixed numbers of rows, whatever tables the rows came in; dictionaries are built anew
for each row group; and the footer holds no clock and no path. At most about one row group is in memory, and with partitions
`DATE_BYTES` of rows that wait for their date's file to be written.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flight_etl.errors import SettingsError
from flight_etl.store.encodings import file_options
from flight_etl.store.failures import store_errors
from flight_etl.store.spill import RunReader, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flight_etl.settings import OutputSettings

__all__ = ["DATE_BYTES", "DatasetWriter", "WrittenFile"]

DATE_BYTES: Final = 24 << 20  # B of rows kept in memory for partitions; beyond, they wait on disk
_MS_PER_DAY: Final = 86_400_000
_SPILL_BATCH_ROWS: Final = 16_384
_PIECE_ROWS: Final = 16_384  # rows; a change is seen in the bytes of files
_USUAL_COLUMNS: Final = 48  # of a row with some extra columns
_MOST_THREADS: Final = 2  # each has a row group in memory
_COLUMN_BYTES: Final = 512  # B; about what a column of a small table costs beside its data


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A finished file; `path` is relative to the folder of the data set, with slashes."""

    path: str
    rows: int
    bytes: int


class DatasetWriter:
    """Writes tables, in order, as the files of one data set into the folder `directory`.

    Files are `part-00000.parquet` and so on, a new one after every `rows_per_file` rows, in folders `date=YYYY-MM-DD` (UTC
    date of `timestamp`) when partitioned; `single_file` makes `directory` the path of the only file instead. With `file_bytes`
    a file also ends with the row group that brings it to so many bytes. `metadata` goes to the footer. `sorted_by` names the
    columns by which the rows are sorted, which readers can then rely on. Without any row there is one file with the schema.
    Raises Denied, NotFound or StoreError (disk full) when writing fails, and SettingsError when a single file is to be
    partitioned.
    """

    def __init__(
        self,
        directory: Path,
        schema: pa.Schema,
        settings: OutputSettings,
        metadata: Mapping[str, str],
        *,
        sorted_by: Sequence[str] = ("icao24", "timestamp"),
        single_file: bool = False,
        file_bytes: int | None = None,
    ) -> None:
        if single_file and settings.partition_by:
            raise SettingsError(
                f"partition_by={settings.partition_by!r} is not permitted: {directory} is one file; leave --partition-by out"
            )
        root = directory.parent if single_file else directory
        form = _Form(root, schema.with_metadata(dict(metadata)), settings, tuple(sorted_by), file_bytes)
        self._writer: _Series | _Dates = (
            _Dates(form) if settings.partition_by else _Series(form, "", name=directory.name if single_file else None)
        )
        self._names = schema.names

    def write(self, table: pa.Table) -> None:
        """Add rows; columns are found by name."""
        self._writer.write(table.select(self._names))

    def close(self, *, threads: int = 1) -> list[WrittenFile]:
        """Finish all files and name them, in order; of different dates two at a time, if there are the threads."""
        if isinstance(self._writer, _Dates):
            return self._writer.close(min(threads, _MOST_THREADS))
        return self._writer.close()

    def discard(self) -> None:
        """Leave off: what is written will be overwritten or removed by who owns the folder."""
        if isinstance(self._writer, _Series):
            self._writer.discard()


@dataclass(frozen=True, slots=True)
class _Form:
    """What all files of a data set have in common."""

    root: Path
    schema: pa.Schema
    settings: OutputSettings
    sorted_by: tuple[str, ...]
    file_bytes: int | None

    @property
    def group_rows(self) -> int:
        """Rows of a row group, of which at least one is in memory: fewer where extra columns make rows wide."""
        most = self.settings.row_group_rows
        return max(1, min(most, most * _USUAL_COLUMNS // len(self.schema)))

    def open(self, sink: pa.NativeFile) -> pq.ParquetWriter:
        sorting = [pq.SortingColumn(self.schema.get_field_index(name)) for name in self.sorted_by if name in self.schema.names]
        return pq.ParquetWriter(
            sink,
            self.schema,
            sorting_columns=sorting or None,
            store_schema=True,  # brings dictionary types and field metadata back
            write_page_index=True,
            **file_options(self.schema, self.settings),
        )


@dataclass(slots=True)
class _Series:
    """Consecutive files of one folder. `name`: all rows go to one file of that name."""

    form: _Form
    folder: str
    name: str | None = None
    done: list[WrittenFile] = field(default_factory=list)
    _pending: list[pa.Table] = field(default_factory=list)
    _pending_rows: int = 0
    _file: _File | None = None

    def write(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        self._pending.append(_conformed(table, self.form.schema))
        self._pending_rows += table.num_rows
        if self._pending_rows < self._next_cut():
            return
        waiting, at = pa.concat_tables(self._pending), 0
        self._pending = []
        while waiting.num_rows - at >= (rows := self._next_cut()):
            self._write_group(waiting.slice(at, rows))
            at += rows
        self._pending_rows = waiting.num_rows - at
        if self._pending_rows:
            # A slice keeps all of its table in memory, so a small one is copied; that of a large one costs more than it frees.
            rest = waiting.slice(at)
            self._pending = [_copied(rest) if 2 * self._pending_rows < table.num_rows else rest]

    def close(self) -> list[WrittenFile]:
        if self._pending_rows:
            self._write_group(pa.concat_tables(self._pending))
            self._pending, self._pending_rows = [], 0
        if not self.done and self._file is None:
            self._file = self._new_file()
        self._finish_file()
        return self.done

    def discard(self) -> None:
        self._pending, self._pending_rows = [], 0
        self._finish_file()

    def _next_cut(self) -> int:
        """Rows of the next row group."""
        if self.name is not None:
            return self.form.group_rows
        written = self._file.rows if self._file else 0
        return min(self.form.group_rows, self.form.settings.rows_per_file - written)

    def _write_group(self, rows: pa.Table) -> None:
        if self._file is None:
            self._file = self._new_file()
        self._file.write(_canonical(rows))
        full = self.form.file_bytes is not None and self._file.bytes >= self.form.file_bytes
        if self.name is None and (full or self._file.rows == self.form.settings.rows_per_file):
            self._finish_file()

    def _new_file(self) -> _File:
        name = self.name or f"part-{len(self.done):05d}.parquet"
        return _File(self.form, f"{self.folder}/{name}" if self.folder else name)

    def _finish_file(self) -> None:
        if self._file is not None:
            self.done.append(self._file.close())
            self._file = None


class _File:
    """One Parquet file being written; each `write` is a row group."""

    def __init__(self, form: _Form, path: str) -> None:
        self.rows = 0
        self._path = path
        self._place = form.root / path
        with store_errors(self._place, "write"):
            self._place.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(self._place), "wb")
            self._writer = form.open(self._sink)

    def write(self, group: pa.Table) -> None:
        with store_errors(self._place, "write"):
            self._writer.write_table(group, row_group_size=group.num_rows)
        self.rows += group.num_rows

    @property
    def bytes(self) -> int:
        """Bytes of the row groups so far."""
        return int(self._sink.tell())

    def close(self) -> WrittenFile:
        with store_errors(self._place, "write"):
            self._writer.close()
            self._sink.close()
            return WrittenFile(self._path, self.rows, self._place.stat().st_size)


class _Dates:
    """Rows by UTC date, which interleave since rows are sorted by aircraft: they wait, in memory and on disk, for the end."""

    def __init__(self, form: _Form) -> None:
        self._form = form
        self._held: dict[int, list[pa.Table]] = {}  # days since 1970 -> rows
        self._held_bytes = 0
        self._spilled: list[tuple[Path, dict[int, range]]] = []  # with the batches of each day
        self._words = [f.name for f in form.schema if pa.types.is_dictionary(f.type)]
        self._folder: Path | None = None

    def write(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        table = _conformed(table, self._form.schema)
        days = pc.cast(table["timestamp"], pa.int64()).to_numpy() // _MS_PER_DAY
        order = np.argsort(days, kind="stable")
        found, starts = np.unique(days[order], return_index=True)
        rows = table.take(pa.array(order))
        for day, begin, end in zip(found.tolist(), starts, [*starts[1:], len(days)], strict=True):
            piece = rows.slice(begin, end - begin)
            self._held.setdefault(day, []).append(piece)
            self._held_bytes += piece.nbytes + _COLUMN_BYTES * piece.num_columns
        if self._held_bytes > DATE_BYTES:
            self._spill()

    def close(self, threads: int) -> list[WrittenFile]:
        try:
            days = sorted(set(self._held).union(*(batches for _, batches in self._spilled)))
            with ThreadPoolExecutor(threads, thread_name_prefix="dates") as pool:
                done = [file for files in pool.map(self._write_day, days) for file in files]
            return done or _Series(self._form, "").close()
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _write_day(self, day: int) -> list[WrittenFile]:
        series = _Series(self._form, f"date={np.datetime64(day, 'D')}")
        for table in self._rows(day):
            series.write(table)
        return series.close()

    def _rows(self, day: int) -> Iterator[pa.Table]:
        for path, batches in self._spilled:
            if day in batches:
                reader = RunReader(path, words=self._words)  # not kept open: there may be more files than can be open at a time
                try:
                    yield from map(reader.read, batches[day])
                finally:
                    reader.close()
        yield from self._held.pop(day, [])

    def _spill(self) -> None:
        """Write all that is held to one file, a few batches for each day."""
        if self._folder is None:
            with store_errors(self._form.root, "write"):
                self._folder = Path(tempfile.mkdtemp(prefix=".dates-", dir=self._form.root))
        path = self._folder / f"dates-{len(self._spilled):05d}.arrow"
        batches: dict[int, range] = {}
        after = 0
        for day, pieces in self._held.items():
            first, after = after, after + -(-sum(piece.num_rows for piece in pieces) // _SPILL_BATCH_ROWS)
            batches[day] = range(first, after)
        write_run(path, (_joined(pieces) for pieces in self._held.values()), batch_rows=_SPILL_BATCH_ROWS)
        self._spilled.append((path, batches))
        self._held, self._held_bytes = {}, 0


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give the rows the types and the metadata of the schema."""
    columns = [
        column if column.type == wanted.type else _cast(column, wanted.type)
        for column, wanted in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(type_.value_type).dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else column.cast(type_)


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One chunk for each column, with one dictionary."""
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _copied(rows: pa.Table) -> pa.Table:
    """Rows that do not keep the table alive from which they are a slice."""
    return rows.take(pa.array(np.arange(rows.num_rows)))


def _canonical(rows: pa.Table) -> pa.Table:
    """The same rows in chunks, and with dictionaries, that the values alone decide.

    Numbers are in chunks of `_PIECE_ROWS`, most of which are views of the chunks they came in; words are in one chunk.
    """
    rows = rows.unify_dictionaries()
    columns = [
        _canonical_words(_one_chunk(column)) if pa.types.is_dictionary(column.type) else _in_pieces(column)
        for column in rows.columns
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _in_pieces(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([_one_chunk(column.slice(at, _PIECE_ROWS)) for at in range(0, len(column), _PIECE_ROWS)], column.type)


def _canonical_words(words: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same values over a dictionary of just these values, in the order of their first appearance."""
    if words.dictionary.null_count or len(words.dictionary.unique()) < len(words.dictionary):
        return words.cast(words.type.value_type).dictionary_encode().cast(words.type)
    used = words.indices.unique().drop_null()
    order = used.to_numpy()
    if np.array_equal(order, np.arange(len(words.dictionary))):
        return words
    place = np.zeros(len(words.dictionary), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    indices = pc.take(pa.array(place), words.indices)
    return pa.DictionaryArray.from_arrays(indices, words.dictionary.take(used))
