"""Writing on a thread of its own, so that rows are encoded while the next ones are made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from flight_etl.core import extras

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

    import pyarrow as pa

    from flight_etl.runners.spool import Spool
    from flight_etl.store.parquet import DatasetWriter, WrittenFile

    # Schema and plan of the extra columns that tables of these kinds have in the output.
    Planned = Callable[[dict[str, int]], tuple[pa.Schema, extras.ExtrasPlan]]

__all__ = ["Draft", "Pen"]

_FRESH_STARTS: Final = 3  # drafts; a source that goes on bringing new keys is written at its end


class Pen:
    """Passes tables to `write`, in order; at most one waits while another is written. For use in a `with` statement."""

    def __init__(self, write: Callable[[pa.Table], None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pen")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)

    def put(self, table: pa.Table) -> None:
        """Hand over a table. Raises what writing an earlier one raised."""
        self.wait()
        self._last = self._pool.submit(self._write, table)

    def wait(self) -> None:
        """Return when all is written. Raises what writing raised."""
        if self._last is not None:
            self._last.result()
            self._last = None


class Draft:
    """Writes the rows of a spool to one file while more of them come, as long as these bring no new columns.

    The columns of the output are known for sure only at the end. Where they turn out to be others, the draft is thrown away
    and begun anew, with what the spool has; so the file never shows how it came to be. For use in a `with` statement.
    """

    def __init__(self, spool: Spool, planned: Planned, open_file: Callable[[pa.Schema], DatasetWriter]) -> None:
        self._spool, self._planned, self._open = spool, planned, open_file
        self._starts = 0
        self._kinds: dict[str, int] | None = None
        self._writer: DatasetWriter | None = None
        self._pen = Pen(self._put)

    def __enter__(self) -> Self:
        self._pen.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pen.__exit__(kind, error, trace)

    def add(self, table: pa.Table) -> None:
        """Take rows that are in the spool already."""
        if not table.num_rows:
            return
        if self._kinds == self._spool.kinds:
            self._pen.put(table)
        elif self._starts < _FRESH_STARTS and not self._spool.spilled:
            self._begin()
        else:
            self._abandon()

    def close(self) -> list[WrittenFile]:
        """Finish the file."""
        if self._writer is None or self._kinds != self._spool.kinds:
            self._begin()
        self._pen.wait()
        assert self._writer is not None
        return self._writer.close()

    def _begin(self) -> None:
        self._abandon()
        self._starts += 1
        self._kinds = dict(self._spool.kinds)
        self._schema, self._plan = self._planned(self._kinds)
        self._writer = self._open(self._schema)
        for table in self._spool.rows():
            self._pen.put(table)

    def _abandon(self) -> None:
        self._pen.wait()
        if self._writer is not None:
            self._writer.discard()
        self._kinds, self._writer = None, None

    def _put(self, table: pa.Table) -> None:
        assert self._writer is not None
        self._writer.write(extras.conform(table, self._plan).select(self._schema.names))
