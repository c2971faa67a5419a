"""A data set in an object store, single files of which are replaced by others: what takes many requests, committed by one.

1. A *journal* in phase `write` is created, if there is none. It names the new files and those that go. From here on nobody else
   publishes, and the marks of a complete set, `_report.json` and `_compaction.json`, are taken away.
2. The new files are written, under names that nothing had before.
3. The journal is replaced, if it is still ours, by one in phase `remove`: **this one request is the step**.
4. Files that go are removed, the marks come back, the journal goes.

Who comes upon a journal that has not been touched for `LEASE_S` finishes the work of a process that was killed: before the step
by removing the new files, after it by removing the old ones. Between 2 and 4 a reader that does not wait for the marks can see
rows twice, and never misses any.
"""

from __future__ import annotations

import io
import json
import secrets
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from flight_etl.errors import NotFound, Place, StoreError
from flight_etl.store.dataset import COMPACTION, DataFile, listed, parquet_errors
from flight_etl.store.failures import store_errors
from flight_etl.store.folders import files_below
from flight_etl.store.object_failures import Conflict
from flight_etl.store.object_output import JOURNAL, Uploads
from flight_etl.store.places import ObjectUrl
from flight_etl.store.publish import REPORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flight_etl.store.objects import Bucket, ObjectInfo, Pool

__all__ = ["LEASE_S", "object_schemas", "updating_objects"]

LEASE_S: Final = 900.0  # s without a sign of life after which a publication counts as abandoned
_TAIL_BYTES: Final = 64 << 10  # B; holds the footer of most files
_STREAM_BYTES: Final = 1 << 18  # B
_MARKS: Final = (REPORT, COMPACTION)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Journal:
    """What a publication is about; names are relative to the prefix. `marks` are put last, with their content."""

    run: str
    phase: str
    new: tuple[str, ...]
    gone: tuple[str, ...]
    marks: Mapping[str, str]  # of the set as it will be
    old_marks: Mapping[str, str]  # of the set as it was

    def to_bytes(self) -> bytes:
        names = sorted({*self.new, *self.gone, *self.marks, *self.old_marks})  # for a run with --overwrite, which clears all
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({**fields, "names": names}).encode()

    @classmethod
    def of(cls, data: bytes) -> _Journal | None:
        """Read a journal; None for that of a whole run (object_output.py), or of nobody."""
        try:
            found: Any = json.loads(data)
            return cls(
                run=found["run"],
                phase=found["phase"],
                new=tuple(found["new"]),
                gone=tuple(found["gone"]),
                marks=found["marks"],
                old_marks=found["old_marks"],
            )
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class _Prefix:
    """A bucket below a prefix."""

    bucket: Bucket
    prefix: str

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    @property
    def place(self) -> Place:
        return Place(str(self.bucket.url(self.prefix)))

    def entries(self) -> dict[str, ObjectInfo]:
        return {info.key.removeprefix(f"{self.prefix}/" if self.prefix else ""): info for info in self.bucket.list(self.prefix)}

    def delete(self, names: Iterable[str]) -> None:
        self.bucket.delete(self.key(name) for name in names)

    def put_marks(self, marks: Mapping[str, str]) -> None:
        for name in sorted(marks, key=lambda name: (name in _MARKS, name)):
            self.bucket.put(self.key(name), marks[name].encode())

    def read_marks(self) -> dict[str, str]:
        found = {}
        for name in _MARKS:
            with suppress(NotFound):
                found[name] = self.bucket.read(self.key(name))[0].decode()
        return found


@dataclass(slots=True)
class _ObjectUpdate:
    """A data set below a prefix. Has what `dataset.Update` has."""

    directory: Path
    files: tuple[DataFile, ...]
    _at: _Prefix
    _scratch: Path
    _infos: Mapping[str, ObjectInfo]
    _fetched: dict[str, Path] = field(default_factory=dict)
    _read: dict[str, ObjectInfo] = field(default_factory=dict)

    def metadata(self, file: DataFile) -> pq.FileMetaData:
        with parquet_errors(self.place(file.name)):
            return pq.read_metadata(pa.PythonFile(_Tail(self._at.bucket, self._infos[file.name]), mode="r"))

    def footer(self, file: DataFile) -> Mapping[bytes, bytes] | None:
        return dict(self.metadata(file).metadata or {})

    def fetch(self, file: DataFile) -> Path:
        if file.name not in self._fetched:
            path = self._scratch / f"{secrets.token_hex(8)}.parquet"
            info = self._infos[file.name]
            with store_errors(path, "write"), path.open("wb") as copy:
                for block in self._at.bucket.stream(info.key, 0, None, pinned=info, block_bytes=_STREAM_BYTES):
                    copy.write(block)
            self._fetched[file.name] = path
        return self._fetched[file.name]

    def let_go(self, keep: Iterable[DataFile] = ()) -> None:
        kept = {file.name for file in keep}
        for name in self._fetched.keys() - kept:
            self._fetched.pop(name).unlink(missing_ok=True)

    def place(self, name: str) -> str:
        return str(self._at.bucket.url(self._at.key(name)))

    def read(self, name: str) -> bytes:
        data, self._read[name] = self._at.bucket.read(self._at.key(name))
        return data

    def publish(self, gone: Iterable[DataFile], also: Iterable[str] = ()) -> None:
        at, old = self._at, list(gone)
        names = list(files_below(self.directory))
        marks = {name: (self.directory / name).read_text(encoding="utf-8") for name in names if _is_mark(name)}
        old_marks = at.read_marks()
        there = at.entries()
        new = [name for name in names if name not in marks and name not in there]  # what is there has the same content
        journal = _Journal(
            run=secrets.token_hex(8),
            phase="write",
            new=tuple(new),
            gone=(*(file.name for file in old), *also),
            marks={**{name: text for name, text in old_marks.items() if name not in marks}, **marks},
            old_marks=old_marks,
        )
        info = _claim(at, journal)
        try:
            self._check_unchanged(old)
            at.delete(old_marks)
            with Uploads(at.bucket, [(self.directory / name, at.key(name)) for name in new]) as uploads:
                uploads.finish()
            journal = replace(journal, phase="remove")
            at.bucket.put(at.key(JOURNAL), journal.to_bytes(), if_match=info)
        except Conflict as error:
            raise StoreError("another process took over; nothing was published, try again", place=at.place) from error
        except BaseException:  # an interruption too
            with suppress(StoreError):
                _settle_own(at, journal.run)
            raise
        _settle(at, journal)

    def _check_unchanged(self, old: Iterable[DataFile]) -> None:
        there = self._at.entries()
        seen = {file.name: file.state for file in old} | {name: _state(info) for name, info in self._read.items()}
        for name, state in seen.items():
            if name not in there or _state(there[name]) != state:
                raise StoreError(
                    f"{name} was changed by someone else during the work; nothing was published, try again",
                    place=self._at.place,
                )


def _claim(at: _Prefix, journal: _Journal) -> ObjectInfo:
    try:
        return at.bucket.put(at.key(JOURNAL), journal.to_bytes(), if_absent=True)
    except Conflict as error:
        raise StoreError("another run is publishing here; nothing was published, try again", place=at.place) from error


def _settle(at: _Prefix, journal: _Journal) -> None:
    """Finish what was committed, or take away what was not; each step may be done again after a crash."""
    committed = journal.phase == "remove"
    at.delete(journal.gone if committed else journal.new)
    at.put_marks(journal.marks if committed else journal.old_marks)
    at.delete([JOURNAL])


def _settle_own(at: _Prefix, run: str) -> None:
    """Settle what we were at. The journal is asked which side of the step that is: the answer to our request may be lost."""
    journal = _Journal.of(at.bucket.read(at.key(JOURNAL))[0])
    if journal is not None and journal.run == run:
        _settle(at, journal)


def object_schemas(target: str, pool: Pool) -> tuple[tuple[DataFile, ...], Iterator[pa.Schema]]:
    """Data files of the data set below a prefix, and the schema of each as it is asked for, in one or two requests.

    Raises NotFound where there is no data set; InputError from the iterator for what is no Parquet.
    """
    url = ObjectUrl.parse(target)
    at = _Prefix(pool.bucket(url), url.key.strip("/"))
    infos = at.entries()
    files = listed(target, ((name, info.size_bytes, _state(info)) for name, info in infos.items()))

    def schemas() -> Iterator[pa.Schema]:
        for file in files:
            with parquet_errors(str(infos[file.name].url)):
                yield pq.read_schema(pa.PythonFile(_Tail(at.bucket, infos[file.name]), mode="r"))

    return files, schemas()


@contextmanager
def updating_objects(target: str, *, scratch: str | None, pool: Pool, lease_s: float = LEASE_S) -> Iterator[_ObjectUpdate]:
    """Give the data set below a prefix for a change; fetched and new files are in `scratch` or the system's own folder.

    First settles what a process left that was killed while it published. Raises NotFound where there is no data set, StoreError
    where somebody is publishing there, or a run was killed while it did.
    """
    url = ObjectUrl.parse(target)
    at = _Prefix(pool.bucket(url), url.key.strip("/"))
    infos = at.entries()
    if JOURNAL in infos:
        _recover(at, infos[JOURNAL], lease_s)
        infos = at.entries()
    files = listed(target, ((name, info.size_bytes, _state(info)) for name, info in infos.items()))
    with store_errors(scratch or tempfile.gettempdir(), "write"):
        folder = tempfile.TemporaryDirectory(prefix=".flight-etl-upload-", dir=scratch)
    with folder as name:
        directory, fetched = Path(name, "new"), Path(name, "fetched")
        directory.mkdir()
        fetched.mkdir()
        yield _ObjectUpdate(directory, files, at, fetched, infos)


def _recover(at: _Prefix, seen: ObjectInfo, lease_s: float) -> None:
    data, info = at.bucket.read(at.key(JOURNAL))
    journal = _Journal.of(data)
    if journal is None:
        raise StoreError("a run is publishing here, or was killed while it did: run it again with --overwrite", place=at.place)
    touched_ms = info.modified_ms or seen.modified_ms or 0
    if time.time() * 1000 - touched_ms < lease_s * 1000:
        raise StoreError(
            f"somebody is publishing here, or was killed at it less than {lease_s / 60:.0f} minutes ago; try again later",
            place=at.place,
        )
    journal = replace(journal, run=secrets.token_hex(8))
    try:
        at.bucket.put(at.key(JOURNAL), journal.to_bytes(), if_match=info)
    except Conflict as error:
        raise StoreError("somebody else is settling an interrupted publication; try again", place=at.place) from error
    _settle(at, journal)


def _is_mark(name: str) -> bool:
    return "/" not in name and name.startswith("_") and name.endswith(".json")


def _state(info: ObjectInfo) -> tuple[int | str | None, ...]:
    return info.size_bytes, (info.etag or "").strip('"')


class _Tail(io.RawIOBase):
    """An object as a file whose end is read: one request, or two for a long footer."""

    def __init__(self, bucket: Bucket, info: ObjectInfo) -> None:
        super().__init__()
        self._bucket, self._info = bucket, info
        self._at = 0
        self._begin, self._data = info.size_bytes, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._info.size_bytes}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._info.size_bytes - self._at
        count = left if size is None or size < 0 else min(size, left)
        if self._at < self._begin:
            begin = max(0, min(self._at, self._info.size_bytes - _TAIL_BYTES))
            blocks = self._bucket.stream(self._info.key, begin, None, pinned=self._info, block_bytes=_STREAM_BYTES)
            self._begin, self._data = begin, b"".join(blocks)
        data = self._data[self._at - self._begin : self._at - self._begin + count]
        self._at += len(data)
        return data
