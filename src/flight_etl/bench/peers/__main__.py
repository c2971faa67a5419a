"""One peer, one piece of work, one process."""

from __future__ import annotations

import importlib
import sys
from typing import Final

__all__: list[str] = []

_MODULES: Final = {
    "duckdb": "in_duckdb",
    "polars": "in_polars",
    "pandas": "in_pandas",
    "pandas-own": "in_pandas_own",
    "pyarrow": "in_pyarrow",
    "limits": "limits",
}


def _main(tool: str, work: str, layout: str, source: str, target: str, threads: str) -> None:
    module = importlib.import_module(f"flight_etl.bench.peers.{_MODULES[tool]}")
    getattr(module, work)(layout, source, target, int(threads))


if __name__ == "__main__":
    _main(*sys.argv[1:])
