"""Buckets of object stores. With `object_failures`, the only place that knows the client library, and imports it when used.

Endpoint, region and credentials come from the environment by their usual names, which the library reads itself:
AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_S3 (http:// or https://), AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; else web identity, the container's or the machine's role. Profiles in ~/.aws are not
read: `eval "$(aws configure export-credentials --format env)"`. Google and Azure: GOOGLE_APPLICATION_CREDENTIALS,
AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY and so on.

Every request is retried in one place. Single requests go through the `Call` that the owner of the `Pool` gives, and the
library does not retry them. The parts of a multipart upload are out of its reach, and an upload of a hundred parts could
never succeed if a lost one lost them all: there the library retries, within narrow bounds, and no `Call` is around it.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from flight_etl.errors import NotFound, Place, SettingsError, StoreError
from flight_etl.store.object_failures import Conflict, Unaddressable, object_errors
from flight_etl.store.places import ObjectUrl, local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flight_etl.store.object_cache import ObjectCache

__all__ = ["PART_BYTES", "Bucket", "Call", "ObjectInfo", "Pool", "Timeouts", "directly"]

T = TypeVar("T")

PART_BYTES: Final = 8 << 20  # B; S3 permits 5 MiB to 5 GiB, and 10,000 parts
PARTS_AT_ONCE: Final = 2  # of one upload; each is in memory
PART_RETRIES: Final = 6
PART_RETRY_TIMEOUT: Final = timedelta(seconds=60)
_LIST_KEYS: Final = 1_000  # keys of one answer
_NOT_METADATA: Final = frozenset(
    {"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cache-Control", "Storage-Class"}
)
_UNADDRESSABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


class Call(Protocol):
    """Runs a function that makes one request, again where that may help; raises its last error."""

    def __call__(self, function: Callable[[], T], /) -> T:
        """Run the function."""


def directly(function: Callable[[], T], /) -> T:
    """Run the function once."""
    return function()


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long to wait for an answer. There is no bound on the whole of a request, since bodies may be large."""

    connect_s: float = 5.0  # s
    idle_s: float = 60.0  # s without a byte of the answer; the time to send a part or a whole `put` is in it


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """An object as a listing, an answer or a write showed it. A listing knows no metadata, and S3's no version."""

    url: ObjectUrl
    size_bytes: int  # B, as stored
    etag: str | None = None
    version: str | None = None
    modified_ms: int | None = None  # ms since 1970 UTC
    metadata: Mapping[str, str] = field(default_factory=dict)  # as given to `put`, keys in lower case

    @property
    def key(self) -> str:
        """The object's key in its bucket."""
        return self.url.key


class Pool:
    """One client for each bucket, for all threads and for as long as the pool lives. `call` runs every single request.

    Inputs are read through `cache`, where there is one.
    """

    def __init__(self, call: Call = directly, *, timeouts: Timeouts | None = None, cache: ObjectCache | None = None) -> None:
        self._call = call
        self._cache = cache
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def bucket(self, url: ObjectUrl) -> Bucket:
        """Give the bucket of an object. Makes no request. Raises SettingsError when it cannot be used as it is configured."""
        with self._lock:
            found = self._buckets.get((url.scheme, url.bucket))
            if found is None:
                found = self._buckets[url.scheme, url.bucket] = self._opened(url)
            return found

    def open(self, text: str) -> tuple[Bucket, str]:
        """Give bucket and key of a URL; a `file:///folder` is a bucket whose objects are the files below it."""
        if not text.lower().startswith("file://"):
            url = ObjectUrl.parse(text)
            return self.bucket(url), url.key
        return self.bucket(ObjectUrl("file", local_path(text).rstrip("/"), "")), ""

    def _opened(self, url: ObjectUrl) -> Bucket:
        try:
            from obstore import exceptions, store
        except ImportError as error:
            raise SettingsError(f"{url} needs the object store client: pip install 'flight-etl[aws]'") from error

        if url.scheme == "memory":
            kept = store.MemoryStore()
            return Bucket(url, kept, kept, self._call, self._cache)
        if url.scheme == "file":
            folder = store.LocalStore(url.bucket or "/", automatic_cleanup=True, mkdir=True)
            return Bucket(url, folder, folder, self._call, self._cache)
        options = {
            "allow_http": True,  # an endpoint is http:// only where the user says so
            "connect_timeout": timedelta(seconds=self._timeouts.connect_s),
            "read_timeout": timedelta(seconds=self._timeouts.idle_s),
            "timeout": timedelta(days=1),
            "user_agent": "flight-etl",
        }
        retries = {"max_retries": PART_RETRIES, "retry_timeout": PART_RETRY_TIMEOUT}
        address = f"{url.scheme}://{url.bucket}"
        try:
            once = store.from_url(address, client_options=options, retry_config={"max_retries": 0})
            parts = store.from_url(address, client_options=options, retry_config=retries)
        except (exceptions.BaseError, ValueError) as error:
            raise SettingsError(f"{address} cannot be opened: {str(error).partition(chr(10))[0]}") from error
        return Bucket(url, once, parts, self._call, self._cache)


class Bucket:
    """A bucket. Every method raises NotFound, Denied, Throttled, Unavailable, Conflict, Unaddressable or StoreError."""

    def __init__(self, url: ObjectUrl, once: Any, parts: Any, call: Call, cache: ObjectCache | None = None) -> None:
        self.cache = cache
        self._url = url.within("")
        self._once = once
        self._parts = parts
        self._call = call
        self._takes_bare_etags = False  # learnt from the server's answers, see `put`

    def __repr__(self) -> str:
        return f"Bucket({str(self._url)!r})"

    def url(self, key: str) -> ObjectUrl:
        """Name an object of this bucket."""
        return self._url.within(key)

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Look at an object. One request."""
        answer = self._get(key, {"head": True, "version": version}, "look at")
        return self._info(answer.meta, answer.attributes)

    def read(self, key: str, *, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a small object. One request."""

        def whole() -> tuple[bytes, ObjectInfo]:
            answer = self._start(key, {"version": version}, "read")
            with object_errors(str(self.url(key)), "read"):
                data = bytes(answer.bytes())
            return data, self._info(answer.meta, answer.attributes)

        return self._call(whole)

    def stream(self, key: str, begin: int, end: int | None = None, *, pinned: ObjectInfo, block_bytes: int) -> Iterator[bytes]:
        """Give the bytes from `begin` (before `end`, or to the last) of the version `pinned`, in blocks of about `block_bytes`.

        The request is made at once, its body read as the blocks are asked for: what breaks on the way is raised from there.
        Raises Conflict when the object is no longer the version pinned.
        """
        options: dict[str, Any] = {"range": {"offset": begin} if end is None else (begin, end)}
        if pinned.version is not None:
            options["version"] = pinned.version
        elif pinned.etag is not None:
            options["if_match"] = pinned.etag
        answer = self._get(key, options, "read")
        return self._blocks(answer.stream(block_bytes), str(self.url(key)))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Give the objects below the folder `prefix`, at any depth. One request for a thousand of them.

        An object whose key ends in a slash, the marker of a folder, comes with the slash left out and zero bytes.
        """
        import obstore

        place = str(self.url(prefix))
        folder, last, stream = prefix.rstrip("/") or None, None, None

        def page() -> list[Any]:
            nonlocal stream
            try:
                with object_errors(place, "list"):
                    stream = stream or obstore.list(self._once, folder, offset=last, chunk_size=_LIST_KEYS)
                    return list(next(stream, ()))
            except StoreError:
                stream = None  # goes on behind the last key given
                raise

        while entries := self._call(page):
            last = entries[-1]["path"]
            for entry in entries:
                yield self._info(entry, {})

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        if_match: ObjectInfo | None = None,
    ) -> ObjectInfo:
        """Write a whole object, with ASCII metadata. One request, at most 5 GiB.

        With `if_absent` or `if_match` raises Conflict when the object exists, or is not that one any more.
        """
        attributes = dict(metadata or {})
        attempts = 0

        def write() -> Any:
            nonlocal attempts
            attempts += 1
            bare = self._takes_bare_etags
            try:
                return self._send(key, data, attributes, _mode(if_absent, if_match, bare=bare))
            except Conflict:
                # After an attempt whose answer was lost, what stands in the way may be what it wrote.
                if attempts > 1 and (written := self._identical(key, data, attributes)):
                    return written
                if if_match is None or bare or not self._is_still(key, if_match):
                    raise
            # It is that one all the same: a server that compares an etag with its quotes (Ceph does, to release 16 at least).
            # Without them it is compared as carefully, so nothing is lost by asking once more.
            result = self._send(key, data, attributes, _mode(if_absent, if_match, bare=True))
            self._takes_bare_etags = True
            return result

        result = self._call(write)
        return ObjectInfo(
            url=self.url(key),
            size_bytes=len(data),
            etag=result["e_tag"],
            version=result["version"],
            metadata=attributes,
        )

    def _send(self, key: str, data: bytes, attributes: dict[str, str], mode: Any) -> Any:
        import obstore

        with object_errors(str(self.url(key)), "write"):
            return obstore.put(self._once, self._path(key), data, mode=mode, attributes=attributes or None, use_multipart=False)

    def _is_still(self, key: str, known: ObjectInfo) -> bool:
        """Whether the object is the one that is known, by its etag."""
        answer = self._start(key, {"head": True}, "look at")
        return known.etag is not None and answer.meta["e_tag"] == known.etag

    def _identical(self, key: str, data: bytes, metadata: Mapping[str, str]) -> Any:
        """Give what the store says of the object if it has just these bytes and metadata."""
        answer = self._start(key, {}, "read")
        with object_errors(str(self.url(key)), "read"):
            same = bytes(answer.bytes()) == data
        return answer.meta if same and metadata.items() <= self._info(answer.meta, answer.attributes).metadata.items() else None

    def upload(
        self, key: str, chunks: Iterable[bytes], *, part_bytes: int = PART_BYTES, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Write an object of any size that becomes visible when `chunks` end, and never does when they raise.

        A multipart upload: about `PARTS_AT_ONCE` + 1 parts are in memory, and an error takes all of them away again. A process
        that is killed leaves its parts behind, unseen and paid for: the bucket needs a lifecycle rule against them.
        """
        import obstore

        with object_errors(str(self.url(key)), "write"):
            obstore.put(
                self._parts,
                self._path(key),
                iter(chunks),
                attributes=dict(metadata or {}) or None,
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=PARTS_AT_ONCE,
            )

    def copy(self, source: str, target: str) -> None:
        """Give an object's content a second key of this bucket, in the store. One request, at most 5 GiB on S3."""
        import obstore

        def whole() -> None:
            with object_errors(str(self.url(source)), "copy"):
                obstore.copy(self._once, self._path(source), self._path(target), overwrite=True)

        self._call(whole)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error. On S3 one request for a thousand of them."""
        import obstore

        names = [self._path(key) for key in keys]
        local = self._url.scheme in {"file", "memory"}  # these two mind what is not there, and stop at it
        at_once = 1 if local else _LIST_KEYS
        for begin in range(0, len(names), at_once):
            batch = names[begin : begin + at_once]

            def remove(batch: list[str] = batch) -> None:
                with suppress(*(NotFound,) if local else ()), object_errors(str(self.url(batch[0])), "remove"):
                    obstore.delete(self._once, batch)

            self._call(remove)

    def _get(self, key: str, options: dict[str, Any], doing: str) -> Any:
        return self._call(lambda: self._start(key, options, doing))

    def _start(self, key: str, options: dict[str, Any], doing: str) -> Any:
        import obstore

        with object_errors(str(self.url(key)), doing):
            return obstore.get(self._once, self._path(key), options={k: v for k, v in options.items() if v is not None})

    def _blocks(self, stream: Any, place: str) -> Iterator[bytes]:
        while True:
            with object_errors(place, "read"):
                block = next(stream, b"")
            if not block:
                return
            yield block

    def _path(self, key: str) -> str:
        """Give the key if the library can address what it names; it would silently leave out slashes at both ends."""
        if _UNADDRESSABLE.search(key) or {"", ".", ".."}.intersection(key.split("/")):
            raise Unaddressable(
                "a key with an empty part, a part . or .., or a control character cannot be addressed; copy the object",
                place=Place(str(self.url(key))),
            )
        return key

    def _info(self, meta: Any, attributes: Mapping[str, str]) -> ObjectInfo:
        return ObjectInfo(
            url=self.url(meta["path"]),
            size_bytes=meta["size"],
            etag=meta["e_tag"],
            version=meta["version"],
            modified_ms=round(meta["last_modified"].timestamp() * 1000),
            metadata={name.lower(): value for name, value in attributes.items() if name not in _NOT_METADATA},
        )


def _mode(if_absent: bool, if_match: ObjectInfo | None, *, bare: bool) -> Any:  # noqa: FBT001 - as `put` has it
    """Condition of a write, in the client's form."""
    if if_match is None:
        return "create" if if_absent else "overwrite"
    etag = if_match.etag.strip('"') if bare and if_match.etag is not None else if_match.etag
    return {name: value for name, value in (("e_tag", etag), ("version", if_match.version)) if value is not None}
