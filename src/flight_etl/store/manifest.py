"""What an output was made of, so that the next run takes only what is new or has changed: `_manifest.json`.

Inputs that were read together are a *batch*: their rows are in its files, mixed. So one that changes makes its whole batch be
read again, and its files be replaced.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import InputError, Place
from flight_etl.store.places import is_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from flight_etl.store.reading import Source

__all__ = ["MANIFEST", "Batch", "Entry", "Manifest", "path_of", "state_of_source"]

MANIFEST: Final = "_manifest.json"
_VERSION: Final = 1

State = tuple[int | str | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An input as it was when it was read, and its account. `state` is None where it is to be read again in any case."""

    state: State | None
    layout: str | None = None
    read: int = 0
    written: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Inputs by path, and the names of the data files and quarantines that were made of them together."""

    inputs: Mapping[str, Entry]
    files: tuple[str, ...]
    quarantine: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """All batches of an output, and the settings that they have in common, as JSON text."""

    settings: str
    batches: tuple[Batch, ...] = ()

    @property
    def inputs(self) -> dict[str, Entry]:
        """Every input by its path."""
        return {path: entry for batch in self.batches for path, entry in batch.inputs.items()}

    def to_bytes(self) -> bytes:
        """Write the manifest as a JSON document."""
        return (json.dumps({"version": _VERSION, **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def of(cls, data: bytes, *, name: str) -> Manifest:
        """Read a manifest. Raises InputError where it is none, or of a later version."""
        try:
            found: Any = json.loads(data)
            if found["version"] == _VERSION:
                return cls(settings=found["settings"], batches=tuple(map(_batch, found["batches"])))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("is no manifest of ours; write the output anew with --overwrite", place=Place(name)) from error
        raise InputError(f"is a manifest of version {found['version']}; use that flight-etl, or --overwrite", place=Place(name))

    def replaced(self, old: Collection[Batch], new: Batch) -> Manifest:
        """Manifest with one batch in the place of others; one without inputs is left out."""
        kept = tuple(batch for batch in self.batches if batch not in old)
        return replace(self, batches=(*kept, new) if new.inputs else kept)

    def compacted(self, gone: Iterable[str], new: Sequence[str]) -> Manifest:
        """Manifest after files were put together: the batches whose files are `gone` are one from now on."""
        taken = set(gone)
        merged = [batch for batch in self.batches if taken.intersection(batch.files)]
        if not merged:
            return self
        files = [name for batch in merged for name in batch.files if name not in taken]
        together = Batch(
            inputs={path: entry for batch in merged for path, entry in batch.inputs.items()},
            files=tuple(dict.fromkeys([*files, *new])),
            quarantine=tuple(name for batch in merged for name in batch.quarantine),
        )
        return self.replaced(merged, together)


def _batch(found: Any) -> Batch:
    inputs = {
        path: Entry(**(entry | {"state": None if entry["state"] is None else tuple(entry["state"])}))
        for path, entry in found["inputs"].items()
    }
    return Batch(inputs=inputs, files=tuple(found["files"]), quarantine=tuple(found["quarantine"]))


def path_of(name: str) -> str:
    """Path by which an input is known, whatever it was called: without links, or a URL."""
    return name if is_url(name) else os.path.realpath(name)


def state_of_source(source: Source) -> State | None:
    """What tells an input from its next version: size and time of change (ns) of a file, size and etag of an object.

    None where nothing does. A member of an archive is as old as the archive.
    """
    info = getattr(source, "info", None)
    if info is not None:
        return (info.size_bytes, info.etag.strip('"')) if info.etag else None
    for path in (source.name, source.name.partition("!")[0]):
        try:
            status = os.stat(path)  # noqa: PTH116 - any name
        except OSError:
            continue
        return status.st_size, status.st_mtime_ns
    return None
