"""How outputs of different runners are compared: every row, every column with its type, and the account of every record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

OWN = ("outputs", "quarantine", "seconds", "bytes_out", "peak_rss_mb")  # what runs may differ in


def rows(folder: Path) -> pa.Table:
    """All rows of a data set in order; dictionaries as plain text, since their order is no content."""
    tables = [pq.read_table(path, partitioning=None) for path in sorted(folder.rglob("*.parquet"))]
    return plain(pa.concat_tables(tables))


def plain(table: pa.Table) -> pa.Table:
    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    table = table.cast(pa.schema(fields)).replace_schema_metadata(None)
    return table.sort_by([("icao24", "ascending"), ("timestamp", "ascending")]).combine_chunks()


def dropped(folder: Path) -> Counter[str]:
    """Lines of all quarantine files."""
    return Counter(
        line for path in folder.rglob("_quarantine*") for file in files(path) for line in file.read_text().splitlines()
    )


def files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def account(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in OWN}
