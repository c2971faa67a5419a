"""The report that was saved beside an output, read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flight_etl.errors import InputError, NotFound, Place
from flight_etl.runners import places
from flight_etl.store.places import is_url, join, local_path
from flight_etl.store.publish import REPORT, is_report

if TYPE_CHECKING:
    from flight_etl.settings import Settings

__all__ = ["saved_report"]


def saved_report(output: str, settings: Settings) -> dict[str, Any]:
    """Give the report of the run that wrote `output`, a data set or the Parquet file of a conversion, as it was saved.

    Raises NotFound where there is none, InputError where a file of that name is something else, StoreError.
    """
    path = output.removesuffix(".parquet") + ".report.json" if output.endswith(".parquet") else join(output, REPORT)
    try:
        data = _read(path, settings)
    except (NotFound, FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            "no report is saved there; name the output of a run, or a file that convert wrote", place=Place(path)
        ) from error
    if not is_report(data):
        raise InputError("not a report of flight-etl", place=Place(path))
    found: dict[str, Any] = json.loads(data)
    return found


def _read(path: str, settings: Settings) -> bytes:
    pool = places.pool_for(settings, path)
    if pool is None or not is_url(path):
        return Path(local_path(path)).read_bytes()
    bucket, key = pool.open(path)
    return bucket.read(key)[0]
