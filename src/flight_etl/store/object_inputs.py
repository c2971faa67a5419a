"""Which objects a URL names: one object, all below a prefix, or those that match a pattern."""

from __future__ import annotations

import glob
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from flight_etl.errors import NotFound

if TYPE_CHECKING:
    from flight_etl.store.objects import Bucket, ObjectInfo

__all__ = ["named"]


def named(bucket: Bucket, key: str) -> tuple[list[ObjectInfo], bool]:
    """Give the objects that `key` names, sorted, and whether it is the key of an object and not a prefix or pattern.

    A key that exists is never taken for a pattern. In a pattern `*`, `?` and `[...]` stand for what is within one part of a
    key, and `**` for any number of parts; what lies below a match belongs to it, as with folders. Left out are the markers of
    folders and what has a part that begins with a dot. One request, and one for each thousand objects below the part of the
    pattern before its first wildcard; raises as `Bucket` does.
    """
    if key and not key.endswith("/"):
        try:
            return [bucket.head(key)], True
        except NotFound:
            pass  # a prefix, then
    parts = key.rstrip("/").split("/") if key.strip("/") else []
    literal = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    below = [
        info
        for info in bucket.list("/".join(parts[:literal]))
        if _matches(rest := info.key.split("/")[literal:], parts[literal:]) and not any(part.startswith(".") for part in rest)
    ]
    return sorted((info for info in below if not _is_marker(bucket, info)), key=lambda info: info.key), False


def _matches(parts: list[str], pattern: list[str]) -> bool:
    """Whether the pattern matches the parts or the beginning of them."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(parts[at:], pattern[1:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _is_marker(bucket: Bucket, info: ObjectInfo) -> bool:
    """Whether an empty object is a folder's marker `key/`, which a listing shows without its slash, and not one named `key`."""
    if info.size_bytes:
        return False
    try:
        bucket.head(info.key)
    except NotFound:
        return True
    return False
