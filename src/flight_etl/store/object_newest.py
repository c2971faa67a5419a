"""One input object, one output object, and of all events about the input the newest wins, in whatever order they come.

An event may come twice, late, or to two workers at the same moment. The output carries as metadata which version of the input
it was made from; it is created only where there is none, and replaced only if it is still the one that was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote, unquote

from flight_etl.errors import NotFound
from flight_etl.store.object_failures import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flight_etl.store.objects import Bucket

__all__ = ["Mark", "put_if_newer"]

ROUNDS: Final = 20  # times that somebody else may get in between, each time with something newer or older


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Which version of the input an output was made from. What the event did not say is None."""

    sequencer: str | None = None  # hexadecimal, of any length; grows with each write of one key
    modified_ms: int | None = None  # ms since 1970 UTC
    version: str | None = None
    etag: str | None = None

    def metadata(self) -> dict[str, str]:
        """Give the mark in the form in which an object carries it."""
        values = {"sequencer": self.sequencer, "modified-ms": self.modified_ms, "version": self.version, "etag": self.etag}
        return {f"source-{name}": quote(str(value), safe="") for name, value in values.items() if value is not None}

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Mark:
        """Read the mark of an object; an object of someone else's has an empty one."""
        found = {name: unquote(metadata[f"source-{name}"]) for name in ("sequencer", "version", "etag", "modified-ms")
                 if f"source-{name}" in metadata}  # fmt: skip
        modified = found.get("modified-ms", "")
        return cls(
            sequencer=found.get("sequencer"),
            modified_ms=int(modified) if modified.isdecimal() else None,
            version=found.get("version"),
            etag=found.get("etag"),
        )

    def is_same_object(self, other: Mark) -> bool:
        """Whether both were made when the same write of the input was its newest, whatever their events said."""
        known = (self.version, self.etag, self.modified_ms)
        return None not in known[1:] and known == (other.version, other.etag, other.modified_ms)

    def is_newer(self, other: Mark) -> bool:
        """Whether this version of the input came after the other.

        By sequencer, the shorter one filled with zeros at its right end (Amazon S3 user guide, "Event message structure"); else
        by time; else, where nothing tells, whenever they differ: then the event that comes last wins.
        """
        if self.sequencer and other.sequencer:
            width = max(len(self.sequencer), len(other.sequencer))
            return self.sequencer.lower().ljust(width, "0") > other.sequencer.lower().ljust(width, "0")
        if self.modified_ms is not None and other.modified_ms is not None and self.modified_ms != other.modified_ms:
            return self.modified_ms > other.modified_ms
        known = self.version or self.etag
        return not known or (self.version, self.etag) != (other.version, other.etag)


def put_if_newer(
    bucket: Bucket, key: str, data: bytes, mark: Mark, *, metadata: Mapping[str, str] | None = None
) -> Literal["created", "replaced", "kept"]:
    """Write the output of one event, unless the one that is there comes from the same or a newer version of the input.

    Says what happened; "kept" is success. One request where there is no output yet, two when there is one that stays, three
    when it is replaced. Safe beside any number of others that do the same. Raises as `Bucket.put` does, and Conflict when
    others got in between `ROUNDS` times.
    """
    carried = {**(metadata or {}), **mark.metadata()}
    for round_ in range(ROUNDS):
        try:
            bucket.put(key, data, metadata=carried, if_absent=True)
        except Conflict:
            pass
        else:
            return "created"
        try:
            there = bucket.head(key)
            if not mark.is_newer(Mark.of(there.metadata)):
                return "kept"
            bucket.put(key, data, metadata=carried, if_match=there)
        except (Conflict, NotFound):  # replaced, or removed, since we looked
            if round_ == ROUNDS - 1:
                raise
        else:
            return "replaced"
    raise AssertionError("the last round returns or raises")
