"""Where a run reads and writes: folders and object stores behind one face. Object stores are loaded only when one is named."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flight_etl.errors import SettingsError
from flight_etl.store.delivery import keep_only
from flight_etl.store.failures import store_errors
from flight_etl.store.places import is_url, local_path
from flight_etl.store.publish import REPORT, publish_file, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from flight_etl.settings import Settings
    from flight_etl.store.dataset import Update
    from flight_etl.store.object_output import ObjectFileStaging, ObjectStaging
    from flight_etl.store.object_staged import StagedObjects
    from flight_etl.store.objects import Pool
    from flight_etl.store.publish import FileStaging, Staging

__all__ = ["SharedFolder", "file_staging", "pool_for", "shared_staging", "staging", "updating"]

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


@dataclass(slots=True)
class SharedFolder:
    """A folder that all machines see, on its way to be a data set. Has what `object_staged.StagedObjects` has."""

    place: str
    _staging: Staging

    def publish(self, names: Sequence[str], report: bytes) -> None:
        """Make the files delivered under `names`, and no other, visible, with the report."""
        keep_only(self._staging.directory, names)
        path = self._staging.directory / REPORT
        with store_errors(path, "write the report"):
            path.write_bytes(report)
        self._staging.publish()


@contextmanager
def shared_staging(output: str, settings: Settings, pool: Pool | None) -> Iterator[SharedFolder | StagedObjects]:
    """Give a place for the deliveries of many processes that becomes the data set `output`; raises as `staging` does."""
    overwrite = settings.output.overwrite
    if pool is None or not is_url(output):
        with stage(Path(local_path(output)), overwrite=overwrite) as staging:
            yield SharedFolder(str(staging.directory), staging)
        return
    from flight_etl.store.object_staged import stage_staged

    with stage_staged(output, overwrite=overwrite, pool=pool) as staged:
        yield staged


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
