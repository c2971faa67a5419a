"""Rows on disk for the time of a run: Arrow IPC files of small batches, each of which can be read alone.

Files are read with plain reads, never mapped: mapped pages would count against the memory limit.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pyarrow as pa

from flight_etl.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["RunReader", "write_run"]

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def write_run(path: Path, tables: Iterable[pa.Table], *, batch_rows: int) -> None:
    """Write tables of one schema, each cut into batches of `batch_rows`; the last batch of a table may be shorter.

    Dictionary columns are written as plain values, since a file can hold only one dictionary per column. Raises StoreError
    when the disk is full.
    """
    try:
        _write(path, tables, batch_rows)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreError(
                f"{path.parent}: no space left for rows that do not fit in memory; name another folder with --spill-dir, "
                "or allow more memory with --memory-limit-mb"
            ) from error
        raise StoreError(f"{path}: cannot write spilled rows: {error.strerror or error}") from error


def _write(path: Path, tables: Iterable[pa.Table], batch_rows: int) -> None:
    writer: pa.ipc.RecordBatchFileWriter | None = None
    with pa.OSFile(str(path), "wb") as sink:
        for table in tables:
            plain = _plain(table)
            if writer is None:
                writer = pa.ipc.new_file(sink, plain.schema, options=_OPTIONS)
            for batch in plain.combine_chunks().to_batches(max_chunksize=batch_rows):
                writer.write_batch(batch)
        if writer is not None:
            writer.close()


def _plain(table: pa.Table) -> pa.Table:
    fields = [
        f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f  # keep name and metadata
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


class RunReader:
    """Reads single batches of a file that `write_run` wrote; columns named in `words` come back dictionary-encoded."""

    def __init__(self, path: Path, *, words: Iterable[str] = ()) -> None:
        self._path = path
        self._file = pa.OSFile(str(path), "rb")
        self._reader = pa.ipc.open_file(self._file)
        self._words = [name for name in words if name in self._reader.schema.names]

    @property
    def batches(self) -> int:
        """Number of batches."""
        return int(self._reader.num_record_batches)

    def read(self, number: int) -> pa.Table:
        """Read batch `number` from 0."""
        table = pa.Table.from_batches([self._reader.get_batch(number)])
        for name in self._words:
            at = table.schema.get_field_index(name)
            encoded = table.column(at).dictionary_encode()
            table = table.set_column(at, table.schema.field(at).with_type(encoded.type), encoded)
        return table

    def close(self, *, remove: bool = False) -> None:
        """Close the file and, when asked, delete it."""
        self._file.close()
        if remove:
            self._path.unlink(missing_ok=True)
