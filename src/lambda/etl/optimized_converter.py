"""JSON files to Parquet; the home of these names is `flight_etl.frontdoor.converter`."""

from flight_etl.frontdoor.converter import ConversionConfig, OptimizedJsonToParquetConverter

__all__ = ["ConversionConfig", "OptimizedJsonToParquetConverter"]
