"""Where a run reads and writes: folders and object stores behind one face. Object stores are loaded only when one is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flight_etl.errors import SettingsError
from flight_etl.store.places import is_url, local_path
from flight_etl.store.publish import publish_file, stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flight_etl.settings import Settings
    from flight_etl.store.dataset import Update
    from flight_etl.store.object_output import ObjectFileStaging, ObjectStaging
    from flight_etl.store.objects import Pool
    from flight_etl.store.publish import FileStaging, Staging

__all__ = ["file_staging", "pool_for", "staging", "updating"]

T = TypeVar("T")

_FAILURES_IN_A_ROW: Final = 20  # of a service that is down; one that refuses every third request has so many never


def pool_for(settings: Settings, *names: str) -> Pool | None:
    """Give the clients for the object stores among the places named, with the one retry layer; None when there is none.

    All of them share one breaker, so that a service that is down ends the run instead of being asked for each object.
    """
    if not any(is_url(name) for name in names):
        return None
    try:
        from flight_etl.resilience.breaker import CircuitBreaker, CircuitBreakerConfig
        from flight_etl.resilience.retry import RetryConfig, resilient
        from flight_etl.store.object_cache import ObjectCache
        from flight_etl.store.objects import Pool
    except ImportError as error:
        raise SettingsError(f"object stores need {error.name}: pip install 'flight-etl[aws]'") from error

    service = settings.service
    config = CircuitBreakerConfig(failure_threshold=_FAILURES_IN_A_ROW)
    breaker = CircuitBreaker("object store", config) if service.circuit_breaker else None
    retries = RetryConfig(max_attempts=service.max_retries + 1)

    def call(function: Callable[[], T], /) -> T:
        answer: Any = resilient(config=retries, breaker=breaker, use_circuit_breaker=False)(function)()
        found: T = answer
        return found

    return Pool(call, cache=ObjectCache(settings.resources.spill_dir) if service.caching else None)


def staging(output: str, settings: Settings, pool: Pool | None) -> AbstractContextManager[Staging | ObjectStaging]:
    """Give a folder that becomes the data set `output`; as `publish.stage` or `object_output.stage_objects`."""
    overwrite = settings.output.overwrite
    if pool is None or not is_url(output):
        return stage(Path(local_path(output)), overwrite=overwrite)
    from flight_etl.store.object_output import stage_objects

    return stage_objects(output, overwrite=overwrite, scratch=settings.resources.spill_dir, pool=pool)


def file_staging(output: str, settings: Settings, pool: Pool | None) -> AbstractContextManager[FileStaging | ObjectFileStaging]:
    """Give places that become the file `output` and its companions; as `publish_file` or `object_output.publish_object`."""
    overwrite = settings.output.overwrite
    if pool is None or not is_url(output):
        return publish_file(Path(local_path(output)), overwrite=overwrite)
    from flight_etl.store.object_output import publish_object

    return publish_object(output, overwrite=overwrite, scratch=settings.resources.spill_dir, pool=pool)


def updating(dataset: str, settings: Settings, pool: Pool | None) -> AbstractContextManager[Update]:
    """Give a data set that is there for a change; as `dataset.updating_folder` or `object_update.updating_objects`."""
    from flight_etl.store.dataset import updating_folder

    if pool is None or not is_url(dataset):
        return updating_folder(dataset)
    from flight_etl.store.object_update import updating_objects

    return updating_objects(dataset, scratch=settings.resources.spill_dir, pool=pool)
