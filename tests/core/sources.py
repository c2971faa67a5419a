"""Sources in memory, cut into blocks in any way, and what a decoder makes of them as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow as pa

from flight_etl.core import extras
from flight_etl.core.decode import decode, decoder
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.errors import FlightEtlError, InputError
from flight_etl.outcome import add_counts
from flight_etl.settings import DecodeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.core.decode import Source


@dataclass(frozen=True)
class Memory:
    """Bytes as a source, in blocks of `block` bytes, or cut at `cuts`; `failure` is raised behind the last byte."""

    data: bytes
    block: int = 1 << 20  # B
    cuts: Sequence[int] | None = None
    failure: FlightEtlError | None = None
    name: str = "memory"

    def open(self, offset: int = 0) -> Iterator[bytes]:
        edges = range(0, len(self.data) + self.block, self.block) if self.cuts is None else [0, *self.cuts, len(self.data)]
        for begin, end in pairwise(edges):
            yield self.data[max(begin, offset) : max(end, offset)]
        if self.failure is not None:
            raise self.failure


@dataclass
class Decoded:
    """All that came out of a source."""

    kept: pa.Table
    dropped: list[dict[str, Any]]
    error: str | None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Kept rows without what is null."""
        return [{key: value for key, value in row.items() if value is not None} for row in self.kept.to_pylist()]

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.dropped]

    def column(self, name: str) -> list[Any]:
        values: list[Any] = self.kept[name].to_pylist()
        return values


def decoded(source: Source | bytes, layout: str, **settings: Any) -> Decoded:
    """Decode all of a source with the reference decoder; no error but InputError may come."""
    options = DecodeSettings(**settings)
    with patch.object(decoder, "fast_walker", None):
        return _decoded(Memory(source) if isinstance(source, bytes) else source, layout, options)


def _decoded(source: Source, layout: str, options: DecodeSettings) -> Decoded:
    tables, dropped, counts, error = [], [], [], None
    try:
        for outcome in decode(source, LAYOUTS[layout], options):
            assert len(outcome.kept) <= options.chunk_rows
            tables.append(_plain(outcome.kept))
            dropped += outcome.dropped.to_pylist()
            counts.append(outcome.counts)
    except InputError as told:
        error = str(told)
    return Decoded(extras.concat(tables) if tables else pa.table({}), dropped, error, add_counts(counts))


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries as text: they may come or not, chunk by chunk."""
    for at, one in enumerate(table.schema):
        if pa.types.is_dictionary(one.type):
            table = table.set_column(at, one.with_type(pa.string()), table[one.name].cast(pa.string()))
    return table
