"""Names of places: a local path, or `scheme://bucket/key` in an object store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote

from flight_etl.errors import SettingsError

__all__ = ["SCHEMES", "ObjectUrl", "inside", "is_url", "join", "local_path", "sibling"]

SCHEMES: Final = ("s3", "s3a", "gs", "az", "abfs", "abfss", "memory")
"""Schemes of object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure, and this process's memory."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """An object, or a prefix; `key` is the key itself, in which nothing is escaped."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> ObjectUrl:
        """Take a URL apart. Raises SettingsError when it is none of `SCHEMES` or names no bucket."""
        found = _SCHEME.match(text)
        scheme = found[1].lower() if found else ""
        if found is None or scheme not in SCHEMES:
            permitted = ", ".join(f"{one}://" for one in (*SCHEMES, "file"))
            raise SettingsError(f"{text!r} is not permitted: a local path, or a URL that begins with one of {permitted}")
        bucket, _, key = text[found.end() :].partition("/")
        if not bucket:
            raise SettingsError(f"{text!r} is not permitted: it names no bucket; {scheme}://bucket/key")
        return cls("s3" if scheme == "s3a" else scheme, bucket, key)

    def within(self, key: str) -> ObjectUrl:
        """Another key of the same bucket."""
        return ObjectUrl(self.scheme, self.bucket, key)


def is_url(name: str) -> bool:
    """Whether the name stands for something in an object store; a `file://` URL does not, see `local_path`."""
    found = _SCHEME.match(name)
    return found is not None and found[1].lower() != "file"


def local_path(name: str) -> str:
    """Path that a `file:///...` URL stands for; any other name as it is."""
    if not name.lower().startswith("file://"):
        return name
    host, _, path = name[len("file://") :].partition("/")
    if host not in {"", "localhost"}:
        raise SettingsError(f"{name!r} is not permitted: file:///path names files of this machine only")
    return unquote(f"/{path}")


def join(folder: str, name: str) -> str:
    """Name of a file inside a folder or prefix; `name` uses slashes."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(local_path(folder)) / name)


def sibling(file: str, name: str) -> str:
    """Name of another file beside a file."""
    if not is_url(file):
        return str(Path(local_path(file)).with_name(name))
    url = ObjectUrl.parse(file)
    return str(url.within(str(PurePosixPath(url.key).with_name(name))))


def inside(name: str, folder: str) -> bool:
    """Whether a URL or real path is the prefix or folder `folder`, or lies in it."""
    return name.rstrip("/") == folder.rstrip("/") or name.startswith(f"{folder.rstrip('/')}/")
