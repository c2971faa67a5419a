"""An output in an object store that many machines fill: objects under a hidden prefix that are copied to their names at the end.

`object_output` sends files of one machine. Here they are in the store already, below `.flight-etl-staged/` with names that end in
`.part`, before anything of an old output is touched. Publication has the steps of `object_output`, and the same meaning: the
set is complete when `_report.json` is there. A job that is killed leaves staged objects, which the next one removes.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flight_etl.errors import StoreError
from flight_etl.store.delivery import PART
from flight_etl.store.object_output import JOURNAL, STAGED, claim, journal_of, look
from flight_etl.store.places import ObjectUrl
from flight_etl.store.publish import REPORT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flight_etl.store.object_output import Old
    from flight_etl.store.objects import Bucket, Pool

__all__ = ["StagedObjects", "stage_staged"]

_COPIES_AT_ONCE: Final = 16


@dataclass(slots=True)
class StagedObjects:
    """Where tasks deliver, and what makes a data set of it."""

    place: str  # URL of the hidden prefix
    _bucket: Bucket
    _prefix: str
    _staged: str
    _old: Old

    def publish(self, names: Sequence[str], report: bytes) -> None:
        """Copy the objects delivered under `names` to the output, remove what the old output had more, put the report last.

        Raises StoreError. Then nothing has changed or, where an old output was being replaced, the report is away.
        """
        journal = journal_of(self._old, names)
        try:
            claim(self._bucket, self._key(JOURNAL), self._old, journal)
            if REPORT in self._old.names:
                self._bucket.delete([self._key(REPORT)])
            with ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="copy") as pool:
                list(pool.map(self._copy, names))  # which raises the first error
            self._bucket.delete(self._key(name) for name in self._old.names if name not in {*names, REPORT})
            self._bucket.put(self._key(REPORT), report)
        except BaseException:
            if not self._old.names:
                with suppress(StoreError):
                    if self._bucket.read(self._key(JOURNAL))[0] == journal:  # the failure may have been somebody else's claim
                        self._bucket.delete([*map(self._key, names), self._key(REPORT), self._key(JOURNAL)])
            raise
        self._bucket.delete([self._key(JOURNAL)])

    def _copy(self, name: str) -> None:
        self._bucket.copy(f"{self._staged}/{name}{PART}", self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


@contextmanager
def stage_staged(target: str, *, overwrite: bool, pool: Pool) -> Iterator[StagedObjects]:
    """Give a hidden prefix below `target` for deliveries; left without `publish`, nothing remains of them.

    Removes what killed jobs have left there: of two jobs that write to one output at the same time the earlier one fails, and
    publishes nothing. Raises as `object_output.stage_objects` does.
    """
    url = ObjectUrl.parse(target)
    bucket, prefix = pool.bucket(url), url.key.strip("/")
    old = look(bucket, prefix, target, overwrite=overwrite)
    hidden = f"{prefix}/{STAGED}" if prefix else STAGED
    _remove(bucket, hidden)
    staged = f"{hidden}{secrets.token_hex(4)}"
    try:
        yield StagedObjects(str(url.within(staged)), bucket, prefix, staged, old)
    finally:
        _remove(bucket, staged)


def _remove(bucket: Bucket, prefix: str) -> None:
    bucket.delete([info.key for info in bucket.list(prefix)])
