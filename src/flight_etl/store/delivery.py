"""Finished files on their way from many machines to one place: a folder that all of them see, or an object store."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flight_etl.store.failures import store_errors
from flight_etl.store.folders import files_below, remove, sync
from flight_etl.store.places import ObjectUrl, is_url, join

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flight_etl.store.objects import Pool

__all__ = ["PART", "deliver", "keep_only"]

PART = ".part"  # ends the name of an object that is not published yet
_UPLOAD_BYTES = 8 << 20  # B, of a part


def deliver(file: Path, place: str, name: str, pool: Pool | None) -> None:
    """Bring a finished file to `place` under `name`; what is there already under it is replaced, in one step.

    In an object store the name ends in `PART`. Doing it twice, or at the same time from two machines, is no harm where the
    bytes are a function of the name. Raises StoreError.
    """
    if is_url(place):
        assert pool is not None
        url = ObjectUrl.parse(join(place, name + PART))
        pool.bucket(url).upload(url.key, _blocks(file))
        return
    target = Path(place) / name
    with store_errors(target, "write"):
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}{PART}-{os.getpid()}")
        shutil.move(file, beside)  # a copy, from another file system
        sync(beside)
        beside.replace(target)


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove what tasks that were killed or came second have left in a folder of deliveries."""
    for name in list(files_below(folder)):
        if name not in names:
            remove(folder / name)
    for parent, _, _ in os.walk(folder, topdown=False):
        if Path(parent) != folder:
            with suppress(OSError):  # not empty
                Path(parent).rmdir()


def _blocks(file: Path) -> Iterator[bytes]:
    with store_errors(file, "read"), file.open("rb", buffering=0) as stream:
        while block := stream.read(_UPLOAD_BYTES):
            yield block
