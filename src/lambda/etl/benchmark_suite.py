"""Test data for benchmarks; the home of this name is `flight_etl.bench.data`."""

from flight_etl.bench.data import DataGenerator

__all__ = ["DataGenerator"]
