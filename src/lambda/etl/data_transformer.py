"""Enriched flights from tables and frames; the home of these names is `flight_etl.frontdoor.transformer`."""

from flight_etl.frontdoor.transformer import (
    FlightDataTransformer,
    FlightPhase,
    SpeedCategory,
    TransformationConfig,
    TransformationStats,
)

__all__ = ["FlightDataTransformer", "FlightPhase", "SpeedCategory", "TransformationConfig", "TransformationStats"]
