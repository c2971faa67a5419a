"""Benchmarks of the documented classes beside pandas, and their test data; homes: `flight_etl.bench.suite` and `.data`."""

from flight_etl.bench.data import DataGenerator
from flight_etl.bench.suite import BenchmarkConfig, ETLBenchmarkSuite, main

__all__ = ["BenchmarkConfig", "DataGenerator", "ETLBenchmarkSuite"]

if __name__ == "__main__":
    main()
