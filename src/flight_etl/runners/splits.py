"""Inputs packed into splits of about equal bytes, as text that another process can open: lists of keys, never of rows."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import FlightEtlError
from flight_etl.store.archives import Archive, ArchiveMember
from flight_etl.store.places import ObjectUrl
from flight_etl.store.reading import LocalSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flight_etl.store.objects import Pool
    from flight_etl.store.reading import Source

__all__ = ["OPENING_BYTES", "Split", "pack"]

OPENING_BYTES: Final = 64 << 10  # B that reading could have read in the time that opening takes, about; counts for each input


@dataclass(slots=True)
class Split:
    """The inputs of one task: their numbers in the run, their sources, and those that could not be opened again."""

    numbers: list[int] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    failed: list[tuple[int, FlightEtlError]] = field(default_factory=list)

    @classmethod
    def open(cls, text: str, pool: Pool | None) -> Split:
        """Open what `pack` has written; objects are the versions that they were then."""
        held = json.loads(text)
        split = cls()
        archives: dict[int, Archive | FlightEtlError] = {}
        for number, told in held["inputs"]:
            try:
                split.sources.append(_source(told, held["archives"], archives, pool))
                split.numbers.append(number)
            except FlightEtlError as error:
                split.failed.append((number, error))
        return split


def pack(sources: Sequence[Source], *, split_bytes: int) -> list[str]:
    """Cut `sources`, in their order, into splits of about `split_bytes` as stored, `OPENING_BYTES` added for each input.

    Neighbours stay together, so that an archive is read in long stretches. An input is never cut: a larger one is a split of
    its own. All splits are about equally large, as far as inputs permit it.
    """
    weights = [source.size_bytes + OPENING_BYTES for source in sources]
    count = max(1, -(-sum(weights) // split_bytes))
    share = sum(weights) / count
    splits: list[list[int]] = [[]]
    held = 0.0
    for number, weight in enumerate(weights):
        if splits[-1] and held + weight / 2 > share * len(splits):
            splits.append([])
        splits[-1].append(number)
        held += weight
    return [_text(sources, split) for split in splits if split]


def _text(sources: Sequence[Source], numbers: Sequence[int]) -> str:
    archives: dict[int, int] = {}  # identity of an archive -> its place in the list
    held: list[dict[str, Any]] = []
    inputs: list[tuple[int, dict[str, Any]]] = []
    for number in numbers:
        source = sources[number]
        if isinstance(source, ArchiveMember):
            archive = source.archive
            if id(archive) not in archives:
                archives[id(archive)] = len(held)
                held.append({"name": archive.name, "volumes": [_told(volume) for volume in archive.volumes]})
            at = [archives[id(archive)], source.path, source.begin, source.declared_bytes]
            inputs.append((number, {"member": at}))
        else:
            inputs.append((number, _told(source)))
    return json.dumps({"archives": held, "inputs": inputs})


def _told(source: Source) -> dict[str, Any]:
    if isinstance(source, LocalSource):
        return {"name": source.name, "path": os.path.abspath(source.path)}  # noqa: PTH100 - keeps what Path would normalise
    from flight_etl.store.object_source import ObjectSource

    assert isinstance(source, ObjectSource), source
    info = source.info
    pinned = {"etag": info.etag, "version": info.version, "modified_ms": info.modified_ms, "size_bytes": info.size_bytes}
    return {"url": str(info.url), **pinned}


def _source(
    told: dict[str, Any], held: list[dict[str, Any]], archives: dict[int, Archive | FlightEtlError], pool: Pool | None
) -> Source:
    if "member" not in told:
        return _plain(told, pool)
    at, path, begin, size_bytes = told["member"]
    if at not in archives:
        try:
            archives[at] = Archive(held[at]["name"], tuple(_plain(volume, pool) for volume in held[at]["volumes"]))
        except FlightEtlError as error:
            archives[at] = error
    archive = archives[at]
    if isinstance(archive, FlightEtlError):
        raise archive
    return ArchiveMember(archive, path, begin, size_bytes)


def _plain(told: dict[str, Any], pool: Pool | None) -> Source:
    if "path" in told:
        source = LocalSource(told["path"])
        source.name = told["name"]  # as the user wrote it
        return source
    from flight_etl.store.object_source import ObjectSource
    from flight_etl.store.objects import ObjectInfo

    assert pool is not None
    url = ObjectUrl.parse(told["url"])
    pinned = {key: told[key] for key in ("etag", "version", "modified_ms", "size_bytes")}
    return ObjectSource(pool.bucket(url), ObjectInfo(url=url, **pinned))
