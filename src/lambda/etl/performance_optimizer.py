"""How the processor works: connections, caches, memory, threads."""

from flight_etl.frontdoor.performance import PerformanceConfig, PerformanceOptimizer

__all__ = ["PerformanceConfig", "PerformanceOptimizer"]
