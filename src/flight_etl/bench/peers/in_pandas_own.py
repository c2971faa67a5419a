"""pandas as most people use it, with its own reader of JSON."""

from __future__ import annotations

from flight_etl.bench.peers.in_pandas import read

__all__ = ["convert"]


def convert(layout: str, source: str, target: str, threads: int) -> None:
    """Write the rows as they come."""
    read(layout, source, threads, own_reader=True).to_parquet(target, compression="snappy", index=False)
