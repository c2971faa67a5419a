"""The data files of an output that is there: which they are, and how single ones are replaced by others.

`updating` gives a data set as it is, and a folder for new files; `publish` brings these in and takes others away, in one step
on disk (publish.py) and in one committed step in an object store (object_update.py).
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from flight_etl.errors import InputError, NotFound, Place
from flight_etl.store.failures import store_errors
from flight_etl.store.folders import files_below
from flight_etl.store.places import join, local_path
from flight_etl.store.publish import TABLE_LOG, Staging, stage, state_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    State = tuple[int | str | None, ...]

__all__ = ["COMPACTION", "DataFile", "Update", "by_content", "is_compact", "listed", "parquet_errors", "updating_folder"]

COMPACTION: Final = "_compaction.json"  # the account of the last compaction
_DAY: Final = re.compile(r"date=(\d{4,}-\d\d-\d\d)")
_COMPACT: Final = re.compile(r"(?:date=[\d-]+/)?part-([0-9a-f]{12})-(\d{5,})-of-(\d{5,})\.parquet")
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file by its name relative to the data set; `state` tells it from what may take its place."""

    name: str
    size_bytes: int
    state: State

    @property
    def day(self) -> str | None:
        """UTC date of its rows where it lies in a partition, as YYYY-MM-DD."""
        found = _DAY.fullmatch(self.name.partition("/")[0])
        return found[1] if found else None


class Update(Protocol):
    """A data set that is being changed. Nothing of it changes before `publish`."""

    @property
    def directory(self) -> Path:
        """Folder for the new files."""

    @property
    def files(self) -> Sequence[DataFile]:
        """The data files that are there, by name."""

    def metadata(self, file: DataFile) -> pq.FileMetaData:
        """Read the footer of a file. Raises InputError where it is no Parquet file."""

    def footer(self, file: DataFile) -> Mapping[bytes, bytes] | None:
        """Read what we have written into the footer of a file. Raises InputError where it is no Parquet file."""

    def fetch(self, file: DataFile) -> Path:
        """Give a local path under which a file may be read until it is let go."""

    def let_go(self, keep: Iterable[DataFile] = ()) -> None:
        """Free the space of all that was fetched, but for `keep`."""

    def place(self, name: str) -> str:
        """Full name that a file of the data set has."""

    def read(self, name: str) -> bytes:
        """Read a small file of the data set. Raises NotFound."""

    def publish(self, gone: Iterable[DataFile], also: Iterable[str] = ()) -> None:
        """Bring in what is in `directory`, take away `gone` and the other files named in `also`.

        Raises StoreError where one of `gone`, or a small file that was read, has changed since.
        """


def listed(place: str, names: Iterable[tuple[str, int, State]]) -> tuple[DataFile, ...]:
    """Data files among the files of a data set at `place`: Parquet files that are not hidden. Raises InputError, NotFound.

    A folder `date=...` further down than the first is refused: then `place` lies above the data set.
    """
    found = []
    for name, size, state in names:
        parts = name.split("/")
        if not name.endswith(".parquet") or parts[0] == TABLE_LOG or any(part.startswith(".") for part in parts):
            continue
        below = next((at for at, part in enumerate(parts[:-1]) if _DAY.fullmatch(part)), 0)
        if below:
            raise InputError(
                f"{name} is in a partition that is not at the top; name the folder that holds date=..., "
                f"which is {place.rstrip('/')}/{'/'.join(parts[:below])}",
                place=Place(place),
            )
        found.append(DataFile(name, size, state))
    if not found:
        raise NotFound("has no Parquet file in it; name the output of `flight-etl run`, of a worker or of the Lambda function",
                       place=Place(place))  # fmt: skip
    return tuple(sorted(found, key=lambda file: file.name))


def is_compact(files: Sequence[DataFile]) -> bool:
    """Whether the files of a partition are all of what one compaction wrote there, and nothing else."""
    marks = [_COMPACT.fullmatch(file.name) for file in files]
    if not all(marks):
        return False
    told = [(mark[1], int(mark[2]), int(mark[3])) for mark in marks if mark]
    return len({(content, of) for content, _, of in told}) == 1 and sorted(at for _, at, _ in told) == list(range(told[0][2]))


def by_content(
    directory: Path, names: Sequence[str], *, counted: bool, stem: str = "part", taken: Collection[str] = ()
) -> list[str]:
    """Rename files, given in order, by what is in them; `counted` says how many there are in each folder.

    All files of a folder carry the first 12 digits of the SHA-256 of them all, so that equal rows have equal names and files that
    differ never do. Where such a name is `taken`, by the same rows once more, the next digest of digests serves.
    """
    renamed = []
    for folder in dict.fromkeys(name.rpartition("/")[0] for name in names):
        inside = [name for name in names if name.rpartition("/")[0] == folder]
        content = _digest(directory / name for name in inside)
        while taken and not set(taken).isdisjoint(new := _named(folder, stem, content, inside, counted=counted)):
            content = hashlib.sha256(content.encode()).hexdigest()[:12]
        new = _named(folder, stem, content, inside, counted=counted)
        for old, name in zip(inside, new, strict=True):
            with store_errors(directory / name, "rename"):
                (directory / old).rename(directory / name)
        renamed += new
    return renamed


def _named(folder: str, stem: str, content: str, files: Sequence[str], *, counted: bool) -> list[str]:
    prefix = f"{folder}/{stem}-{content}".removeprefix("/")
    if not files[0].endswith(".parquet"):
        return [f"{prefix}{Path(files[0]).suffix}"]
    last = f"-of-{len(files):05d}" if counted else ""
    return [f"{prefix}-{at:05d}{last}.parquet" for at in range(len(files))]


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with store_errors(path, "read"), path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()[:12]


@contextmanager
def parquet_errors(where: str) -> Iterator[None]:
    """Turn what the Parquet reader raises inside the block into InputError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read as Parquet: {error}", place=Place(where)) from error


@dataclass(frozen=True, slots=True)
class _FolderUpdate:
    root: str  # as the user calls it
    staging: Staging
    files: tuple[DataFile, ...]

    @property
    def directory(self) -> Path:
        return self.staging.directory

    def metadata(self, file: DataFile) -> pq.FileMetaData:
        with parquet_errors(self.place(file.name)):
            return pq.read_metadata(self.fetch(file))

    def footer(self, file: DataFile) -> Mapping[bytes, bytes] | None:
        return dict(self.metadata(file).metadata or {})

    def fetch(self, file: DataFile) -> Path:
        return self.staging.target / file.name

    def let_go(self, keep: Iterable[DataFile] = ()) -> None:
        """Nothing was fetched: the files are read where they are."""

    def place(self, name: str) -> str:
        return join(self.root, name)

    def read(self, name: str) -> bytes:
        path = self.staging.target / name
        with store_errors(path, "read"):
            return path.read_bytes()  # nobody else changes it while the folder is locked

    def publish(self, gone: Iterable[DataFile], also: Iterable[str] = ()) -> None:
        there = [name for name in also if (self.staging.target / name).exists()]
        self.staging.replaces = {file.name: file.state for file in gone} | {
            name: state_of(self.staging.target / name) for name in there
        }
        self.staging.publish()


@contextmanager
def updating_folder(place: str) -> Iterator[Update]:
    """Give the data set in a folder for a change, alone. Raises NotFound where there is none, and as `publish.stage` does."""
    target = Path(os.path.realpath(local_path(place)))
    if not target.is_dir():
        raise NotFound("is no folder; name the folder of a data set", place=Place(place))
    with stage(target, overwrite=True, update=True) as staging:
        names = files_below(target, skip=lambda name: name.startswith("."))
        yield _FolderUpdate(place, staging, listed(place, ((name, *_seen(target / name)) for name in names)))


def _seen(path: Path) -> tuple[int, State]:
    return path.stat().st_size, state_of(path)
