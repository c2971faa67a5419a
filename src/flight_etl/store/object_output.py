"""A finished output becomes objects. What the file system does in one step takes several here; their order makes up for it.

A run fills a local folder. To publish it below a prefix:

1. Large files are sent as multipart uploads that are not completed: unseen. If one fails, all are aborted and nothing changed.
2. A *journal* is created, only if there is none: it names all files old and new, so that whoever comes after a crash knows what
   is ours. It keeps two runs from publishing at the same time.
3. The old `_report.json` is removed: from here on the set is in flux.
4. The uploads are completed, and small files put, in quick succession.
5. Old files of ours that the new set has not are removed.
6. `_report.json` is put last: **the set is complete when it is there**, and readers who must not see half of one wait for it. The
   journal goes.

If step 4 or 5 fails where nothing was before, the new files are taken away again. Where an old output was being replaced,
there is no way back: the report stays away, and the next run with `--overwrite` puts it right.
"""

from __future__ import annotations

import json
import queue
import secrets
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from flight_etl.errors import NotFound, Place, SettingsError, StoreError
from flight_etl.store.failures import store_errors
from flight_etl.store.folders import files_below
from flight_etl.store.object_failures import Conflict
from flight_etl.store.objects import PART_BYTES
from flight_etl.store.places import ObjectUrl
from flight_etl.store.publish import OURS, REPORT, is_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flight_etl.store.objects import Bucket, ObjectInfo, Pool

__all__ = [
    "JOURNAL",
    "STAGED",
    "ObjectFileStaging",
    "ObjectStaging",
    "Old",
    "Uploads",
    "claim",
    "journal_of",
    "look",
    "publish_object",
    "stage_objects",
]

JOURNAL: Final = ".flight-etl-journal.json"
STAGED: Final = ".flight-etl-staged/"  # see object_staged; not part of an output
HELD_FILES: Final = 64  # uploads that wait to be completed, a thread each; further large files are sent in step 4
FILES_AT_ONCE: Final = 2  # whose parts are in memory
PUTS_AT_ONCE: Final = 8  # small files, together at most PUTS_AT_ONCE * PART_BYTES in memory
MAX_PARTS: Final = 9_000  # of S3's 10,000


@dataclass(slots=True)
class ObjectStaging:
    """A local folder to fill, and what brings it below a prefix. Has what `publish.Staging` has."""

    directory: Path
    _bucket: Bucket
    _prefix: str
    _overwrite: bool
    _old: Old

    def publish(self) -> None:
        """Make everything in `directory` visible. Raises StoreError; see above what is left then."""
        new = [name for name in files_below(self.directory) if name != REPORT]
        files = [(self.directory / name, self._key(name)) for name in new]
        if not self._overwrite and _first(self._bucket, self._prefix):
            raise StoreError("was filled by someone else during the run; nothing was published", place=self._place())
        journal = journal_of(self._old, new)
        try:
            with Uploads(self._bucket, files) as uploads:
                claim(self._bucket, self._key(JOURNAL), self._old, journal)
                if REPORT in self._old.names:
                    self._bucket.delete([self._key(REPORT)])
                uploads.finish()
                self._bucket.delete(self._key(name) for name in self._old.names if name not in {*new, REPORT})
                with store_errors(self.directory, "read"):
                    report = (self.directory / REPORT).read_bytes()
                self._bucket.put(self._key(REPORT), report)
        except BaseException:  # an interruption too; here all uploads have come to their end, one way or the other
            if not self._old.names:
                with suppress(StoreError):
                    # Asked, not remembered: the interruption may have come after the journal and before its answer.
                    if self._bucket.read(self._key(JOURNAL))[0] == journal:
                        self._bucket.delete([*(key for _, key in files), self._key(REPORT), self._key(JOURNAL)])
            raise
        self._bucket.delete([self._key(JOURNAL)])

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _place(self) -> Place:
        return Place(str(self._bucket.url(self._prefix)))


@dataclass(frozen=True, slots=True)
class Old:
    """What of an earlier run is below the prefix: the names that are ours, and the journal of a run that was killed."""

    names: frozenset[str] = frozenset()
    journal: ObjectInfo | None = None


@contextmanager
def stage_objects(target: str, *, overwrite: bool, scratch: str | None, pool: Pool) -> Iterator[ObjectStaging]:
    """Give a local folder, inside `scratch` or the system's own, that `publish` brings below the prefix `target`.

    Raises SettingsError when there are objects and not `overwrite`, or objects that we would have to replace and that are not
    ours (as `publish.stage` does); and as `Bucket` does. One request, and with `overwrite` one for each thousand objects.
    """
    url = ObjectUrl.parse(target)
    bucket, prefix = pool.bucket(url), url.key.strip("/")
    old = look(bucket, prefix, target, overwrite=overwrite)
    with _folder(scratch) as folder:
        yield ObjectStaging(folder, bucket, prefix, overwrite, old)


def journal_of(old: Old, new: Iterable[str]) -> bytes:
    """Give the journal of a run whose files are `new`: what is ours from now on."""
    return json.dumps({"run": secrets.token_hex(8), "names": sorted({*new, *old.names, REPORT})}).encode()


def claim(bucket: Bucket, key: str, old: Old, journal: bytes) -> None:
    """Write the journal. Raises StoreError when another run is publishing here."""
    try:
        bucket.put(key, journal, if_absent=old.journal is None, if_match=old.journal)
    except Conflict as error:
        raise StoreError("another run is publishing here; nothing was published", place=Place(str(bucket.url(key)))) from error


def look(bucket: Bucket, prefix: str, target: str, *, overwrite: bool) -> Old:
    """Find the old output, to be replaced. Raises SettingsError where there is one and not `overwrite`, or what is not ours."""
    if overwrite:
        return _look(bucket, prefix, target)
    if _first(bucket, prefix):
        raise SettingsError(
            f"output={target!r} is not permitted: there are objects below it; name another, or replace them with --overwrite"
        )
    return Old()


def _below(bucket: Bucket, prefix: str) -> Iterator[tuple[str, ObjectInfo]]:
    """Give names relative to the prefix; the empty objects that stand for folders in some tools are none."""
    for info in bucket.list(prefix):
        name = info.key.removeprefix(f"{prefix}/" if prefix else "")
        if (info.size_bytes or "." in name) and not name.startswith(STAGED):
            yield name, info


def _first(bucket: Bucket, prefix: str) -> str | None:
    return next((name for name, _ in _below(bucket, prefix)), None)


def _look(bucket: Bucket, prefix: str, target: str) -> Old:
    found = dict(_below(bucket, prefix))
    journal = found.pop(JOURNAL, None)
    claimed: set[str] = set()
    if journal is not None:
        with suppress(ValueError, KeyError, TypeError):
            data, journal = bucket.read(journal.key)
            claimed = set(json.loads(data)["names"])
    ours = REPORT in found and is_report(bucket.read(found[REPORT].key)[0])
    names = {name for name in found if name in claimed or (ours and OURS.fullmatch(name))}
    for name in found.keys() - names:
        if name.endswith(".parquet") or OURS.fullmatch(name):
            raise _not_ours(target, name)
    return Old(frozenset(names), journal)


def _not_ours(target: str, name: str) -> SettingsError:
    return SettingsError(
        f"output={target!r} is not permitted: {name} was not written by flight-etl (no report says so), and would be replaced "
        "or mixed up with the new files; move it away, or name another place"
    )


@contextmanager
def _folder(scratch: str | None) -> Iterator[Path]:
    with store_errors(scratch or tempfile.gettempdir(), "write"):
        folder = tempfile.TemporaryDirectory(prefix=".flight-etl-upload-", dir=scratch)
    with folder as name:
        yield Path(name)


@dataclass(slots=True)
class ObjectFileStaging:
    """Where to write a Parquet file and its companions, and what makes objects of them. Has what `publish.FileStaging` has."""

    part: Path
    quarantine: Path
    report: Path
    _bucket: Bucket
    _key: str
    _overwrite: bool

    def publish(self) -> None:
        """Bring the companions to their places, or those of an earlier run away, then the Parquet file. Raises StoreError."""
        with Uploads(self._bucket, [(self.part, self._key)], if_absent=not self._overwrite) as uploads:
            if not self._overwrite and uploads.held:  # an upload in parts knows no condition
                with suppress(NotFound):
                    self._bucket.head(self._key)
                    raise Conflict("was written by someone else during the run", place=Place(str(self._bucket.url(self._key))))
            for path in (self.quarantine, self.report):
                key = str(Path(self._key).with_name(path.name))
                if path.exists():
                    with store_errors(path, "read"):
                        data = path.read_bytes()
                    self._bucket.put(key, data)
                elif self._overwrite:
                    self._bucket.delete([key])
            uploads.finish()


@contextmanager
def publish_object(target: str, *, overwrite: bool, scratch: str | None, pool: Pool) -> Iterator[ObjectFileStaging]:
    """Give local places for an object, its `<stem>.quarantine.ndjson` and `<stem>.report.json`, that `publish` makes visible.

    Raises as `stage_objects` does; the target itself always counts as ours.
    """
    url = ObjectUrl.parse(target)
    if not url.key.strip("/") or url.key.endswith("/"):
        raise SettingsError(f"output={target!r} is not permitted: it is a prefix; name an object")
    bucket, name = pool.bucket(url), Path(url.key)
    quarantine, report = f"{name.stem}.quarantine.ndjson", f"{name.stem}.report.json"
    if not overwrite and _exists(bucket, url.key):
        raise SettingsError(f"output={target!r} is not permitted: it exists; name another, or replace it with --overwrite")
    ours = False
    for companion in (report, quarantine):
        key = str(name.with_name(companion))
        with suppress(NotFound):
            ours = ours or is_report(bucket.read(key)[0])
            if not ours:
                raise _not_ours(target, companion)
    with _folder(scratch) as folder:
        yield ObjectFileStaging(folder / name.name, folder / quarantine, folder / report, bucket, url.key, overwrite)


def _exists(bucket: Bucket, key: str) -> bool:
    try:
        bucket.head(key)
    except NotFound:
        return False
    return True


class _Abandoned(Exception):  # noqa: N818 - goes only from our generator through the client back to us
    """The upload is to be aborted."""


@dataclass(slots=True)
class Uploads:
    """Local files on their way to their keys. Inside the block the large ones are there but for their completion."""

    bucket: Bucket
    files: Sequence[tuple[Path, str]]
    if_absent: bool = False
    held: int = 0
    _rest: list[tuple[Path, str]] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(HELD_FILES, thread_name_prefix="upload"))
    _holding: list[Future[None]] = field(default_factory=list)
    _events: queue.SimpleQueue[BaseException | None] = field(default_factory=queue.SimpleQueue)  # one for each upload, twice
    _go: threading.Event = field(default_factory=threading.Event)
    _abandoned: bool = False

    def __enter__(self) -> Self:
        by_size = sorted(self.files, key=lambda file: -file[0].stat().st_size)
        large = [file for file in by_size[:HELD_FILES] if file[0].stat().st_size > PART_BYTES]
        self._rest = [file for file in self.files if file not in set(large)]
        self.held = len(large)
        try:
            for number, file in enumerate(large):
                if number >= FILES_AT_ONCE:
                    self._await()
                self._holding.append(self._pool.submit(self._hold, *file))
            for _ in large[-FILES_AT_ONCE:]:
                self._await()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Abort what was not finished."""
        self._abandoned = True
        self._go.set()
        wait(self._holding)  # not Thread.join: interrupted once, it takes the thread for ended
        self._pool.shutdown()

    def finish(self) -> None:
        """Make all files visible. Raises the first error when all have ended."""
        self._go.set()
        small = [file for file in self._rest if file[0].stat().st_size <= PART_BYTES]
        try:
            with ThreadPoolExecutor(PUTS_AT_ONCE, thread_name_prefix="put") as pool:
                puts = [pool.submit(self._put, *file) for file in small]
            for path, key in self._rest:
                if (path, key) not in small:
                    self.bucket.upload(key, self._parts(path, held=False), part_bytes=_part_bytes(path))
        finally:
            wait(self._holding)
        for put in puts:
            put.result()
        for _ in self._holding:
            self._await()

    def _await(self) -> None:
        """Wait until one more upload has come to its next point; raise the error that ended it."""
        error = self._events.get()
        if error is not None:
            raise error

    def _hold(self, path: Path, key: str) -> None:
        try:
            self.bucket.upload(key, self._parts(path, held=True), part_bytes=_part_bytes(path))
        except _Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._events.put(error)
        else:
            self._events.put(None)

    def _put(self, path: Path, key: str) -> None:
        with store_errors(path, "read"):
            data = path.read_bytes()
        self.bucket.put(key, data, if_absent=self.if_absent)

    def _parts(self, path: Path, *, held: bool) -> Iterator[bytes]:
        size = _part_bytes(path)
        with store_errors(path, "read"), path.open("rb", buffering=0) as file:
            while part := file.read(size):
                if self._abandoned:
                    raise _Abandoned
                yield part
        if held:
            self._events.put(None)
            self._go.wait()
            if self._abandoned:
                raise _Abandoned


def _part_bytes(path: Path) -> int:
    """Size of the parts, such that the last full one ends less than a kilobyte or so before the file: all but that is sent."""
    size = path.stat().st_size
    return size // max(1, min(size // PART_BYTES, MAX_PARTS))
