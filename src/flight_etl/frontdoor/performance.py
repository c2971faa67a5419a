"""How the processor works, by the documented names; the work is that of `flight_etl.runners.processor`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flight_etl.errors import SettingsError
from flight_etl.runners.tuning import Tuning
from flight_etl.settings_rules import check

if TYPE_CHECKING:
    from flight_etl.settings import Settings

__all__ = ["PerformanceConfig", "PerformanceOptimizer"]

# What an object's work, a dead letter and a health check load when they first need it.
_NEEDED_LATER: Final = ("boto3", "cachetools", "obstore", "obstore.store", "psutil", "stamina", "flight_etl.runners.local")


@dataclass(frozen=True, kw_only=True, slots=True)
class PerformanceConfig:
    """How to work. No field changes an output."""

    enable_connection_pooling: bool = True  # keep connections to buckets from one object to the next
    enable_caching: bool = True  # keep layouts, airfields, bytes of inputs; off, here or by ENABLE_CACHING, connections neither
    cache_size: int = 128  # values in each cache in memory, at least 1
    enable_memory_monitoring: bool = True  # look at the memory of the process between chunks, and count when it is short
    enable_memory_optimization: bool = True  # when it is short, collect garbage, spill rows, and work in smaller chunks
    max_workers: int | None = None  # threads; None: as the settings say (MAX_WORKERS)
    enable_lazy_imports: bool = True  # load libraries when they are needed; False: all of them, and the airfields, at the start

    def __post_init__(self) -> None:
        for name in ("cache_size", "max_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name}={value} is not permitted: at least 1")


class PerformanceOptimizer:
    """Hands a `PerformanceConfig` to `OptimizedETLProcessor(config, optimizer)`.

    A subclass may override `custom_optimization`, which is then run before each object; what it raises is that object's failure.
    """

    def __init__(self, config: PerformanceConfig | None = None) -> None:
        self.config = config or PerformanceConfig()

    def custom_optimization(self) -> None:
        """Do nothing; for subclasses."""

    def settings(self, base: Settings, /) -> Settings:
        """Settings of the processor. Raises SettingsError for a value that is not permitted."""
        settings = replace(
            base,
            service=replace(base.service, caching=base.service.caching and self.config.enable_caching),
            resources=replace(base.resources, workers=self.config.max_workers or base.resources.workers),
        )
        check(settings)
        return settings

    def tuning(self) -> Tuning:
        """How the process works beside its settings."""
        return Tuning(
            pooling=self.config.enable_connection_pooling,
            cache_entries=self.config.cache_size,
            watch_memory=self.config.enable_memory_monitoring,
            relieve_memory=self.config.enable_memory_optimization,
            before_object=self.custom_optimization,
        )

    def prepare(self) -> None:
        """Load what is to be there before the first event: with provisioned instances that time is nobody's wait."""
        if self.config.enable_lazy_imports:
            return
        for name in _NEEDED_LATER:
            importlib.import_module(name)
        from flight_etl.store.airports import load_airports

        load_airports()
