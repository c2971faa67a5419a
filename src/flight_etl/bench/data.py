"""Flat records for benchmarks and tests, by the documented names; `generate.py` has all layouts and any size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from flight_etl.bench import generate

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from flight_etl.bench.generate import Complexity

__all__ = ["DataGenerator"]


class DataGenerator:
    """Plausible flights as flat records in memory; nothing needs to be constructed to use it."""

    @staticmethod
    def generate_test_data(n: int, complexity: Complexity = "complex", *, seed: int = 0) -> list[dict[str, Any]]:
        """Exactly `n` records in the order of arrival, None for null; the same seed gives the same records. Raises ValueError.

        `medium` adds level-offs, holds and go-arounds to `simple`; `complex` adds gaps, duplicates, stale and broken values,
        late records and nested undeclared keys.
        """
        return generate.records(n, complexity=complexity, seed=seed)

    @staticmethod
    def save_test_data_as_json(data: Sequence[dict[str, Any]], path: str | os.PathLike[str]) -> int:
        """Write records as one JSON array; gives the bytes written. Raises OSError."""
        return Path(path).write_bytes(orjson.dumps(list(data)))
