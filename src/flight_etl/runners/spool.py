"""Rows kept in the order of their arrival, within a memory budget, until the types of all extra columns are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from flight_etl.core import extras
from flight_etl.schema import NORMAL
from flight_etl.store.spill import RunReader, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Spool"]

_BATCH_ROWS: Final = 16_384
_WORDS: Final = tuple(c.name for c in NORMAL if pa.types.is_dictionary(c.type))


@dataclass(slots=True)
class Spool:
    """Collects tables; what exceeds `held_bytes` waits on disk."""

    spill_dir: Path
    held_bytes: int
    kinds: dict[str, int] = field(default_factory=dict)
    _readers: list[RunReader] = field(default_factory=list)
    _pending: list[pa.Table] = field(default_factory=list)
    _pending_bytes: int = 0

    def add(self, table: pa.Table) -> None:
        """Take rows."""
        if not table.num_rows:
            return
        self.kinds = extras.merge(self.kinds, extras.kinds(table.schema))
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        if self._pending_bytes > self.held_bytes:
            path = self.spill_dir / f"spool-{len(self._readers):05d}.arrow"
            write_run(path, iter([extras.concat(self._pending).combine_chunks()]), batch_rows=_BATCH_ROWS)
            self._readers.append(RunReader(path, words=_WORDS))
            self._pending, self._pending_bytes = [], 0

    @property
    def spilled(self) -> bool:
        """Whether rows wait on disk."""
        return bool(self._readers)

    def rows(self) -> Iterator[pa.Table]:
        """Give all rows so far in the order of their arrival."""
        for reader in self._readers:
            for batch in range(reader.batches):
                yield reader.read(batch)
        yield from list(self._pending)

    def close(self) -> None:
        """Forget all rows and remove what is on disk."""
        for reader in self._readers:
            reader.close(remove=True)
        self._readers, self._pending = [], []
