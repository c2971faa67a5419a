"""From what the user names to the files to read: files, folders to any depth, globs."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError, InputError, NotFound, Place, SettingsError
from flight_etl.store.failures import store_failure
from flight_etl.store.reading import LocalSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Expansion", "expand"]

OWN_FILES: Final = ("*.parquet", "report.json", "*.report.json", "quarantine.ndjson", "*.quarantine.ndjson", "*.part")
"""What this package writes, and so does not read when it comes upon it in a folder or by a glob."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Expansion:
    """The files to read, in order; what cannot be read, by name with the reason; and what was left out, for the report."""

    sources: tuple[LocalSource, ...]
    failed: tuple[tuple[str, FlightEtlError], ...]
    notes: tuple[str, ...]


def expand(inputs: Sequence[str], *, output: str | None) -> Expansion:
    """Find the files that `inputs` name.

    They come in the order given, those of a folder or glob sorted by path; a file reached twice, by whatever links, is read
    once. Left out of folders and globs are hidden files, files inside `output` and `OWN_FILES`. What is missing, unreadable,
    empty of files, or named explicitly although it lies inside `output` is in `failed`. Raises SettingsError when nothing is
    named, or a place is no local one.
    """
    if not inputs:
        raise SettingsError("input=[] is not permitted: name at least one file, folder or glob")
    search = _Search(None if output is None or _SCHEME.match(output) else Path(os.path.realpath(output)))
    for name in inputs:
        _check(name)
        try:
            search.add(name)
        except FlightEtlError as error:
            search.failed.append((name, error))
    return Expansion(tuple(search.sources), tuple(search.failed), tuple(search.notes))


def _check(name: str) -> None:
    if not name or "\0" in name:
        raise SettingsError(f"input={name!r} is not permitted: name a file, folder or glob")
    if _SCHEME.match(name):
        raise SettingsError(
            f"input={name!r} is not permitted: this command reads local files only; copy the objects to a folder and name that"
        )


@dataclass(slots=True)
class _Search:
    """What was found so far."""

    output: Path | None
    sources: list[LocalSource] = field(default_factory=list)
    failed: list[tuple[str, FlightEtlError]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _seen: dict[tuple[int, int], str] = field(default_factory=dict)  # (device, inode) -> name

    def add(self, name: str) -> None:
        """Add what one argument names; a name that exists is never taken for a pattern."""
        if _is_folder(name):
            self._add_many(name, self._walk(name, set()), "has no file to read in it, at any depth")
        elif os.path.lexists(name) or not glob.has_magic(name):
            if self._in_output(name):
                raise InputError(
                    f"is the output {self.output} or lies inside it; name another --output or leave this input out",
                    place=Place(name),
                )
            self._add_file(name)
        else:
            hits = glob.glob(name, recursive=True)  # noqa: PTH207 - patterns may be absolute, which Path.glob refuses
            files = [file for hit in hits for file in (self._walk(hit, set()) if _is_folder(hit) else [hit])]
            self._add_many(name, files, "matches no file to read; check the pattern, and quote it so that the shell leaves it be")

    def _add_many(self, name: str, found: Iterator[str] | list[str], nothing: str) -> None:
        before = len(self.failed)
        files = sorted(set(found))
        inside = [file for file in files if self._in_output(file)]
        own = [file for file in files if file not in set(inside) and _is_own(file)]
        if inside:
            self.notes.append(f"{name}: left out {_files(inside)} inside the output {self.output}")
        if own:
            self.notes.append(f"{name}: left out {_files(own)} with a name that flight-etl itself writes, such as {own[0]}")
        left_out = {*inside, *own}
        for file in files:
            if file in left_out:
                continue
            try:
                self._add_file(file)
            except FlightEtlError as error:
                self.failed.append((file, error))
        if len(left_out) == len(files) and len(self.failed) == before:
            raise NotFound(nothing, place=Place(name))

    def _add_file(self, name: str) -> None:
        source = LocalSource(name)
        if first := self._seen.get(source.identity):
            self.notes.append(f"{name}: the same file as {first}, read once")
            return
        self._seen[source.identity] = name
        self.sources.append(source)

    def _walk(self, folder: str, above: set[tuple[int, int]]) -> Iterator[str]:
        """Give the files in `folder` that are not hidden, at any depth; `above` are the folders on the way to it."""
        try:
            status = Path(folder).stat()
            paths = list(Path(folder).iterdir())
        except OSError as error:
            self.failed.append((folder, store_failure(error, folder, "read the folder")))
            return
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a symbolic link to a folder that holds it
            return
        for path in paths:
            if path.name.startswith("."):
                continue
            if _is_folder(path):
                yield from self._walk(str(path), {*above, identity})
            else:
                yield str(path)

    def _in_output(self, name: str) -> bool:
        if self.output is None:
            return False
        real = Path(os.path.realpath(name))
        return real == self.output or self.output in real.parents


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where we may not look


def _is_own(path: str) -> bool:
    return any(fnmatch(Path(path).name, pattern) for pattern in OWN_FILES)


def _files(paths: list[str]) -> str:
    return "1 file" if len(paths) == 1 else f"{len(paths)} files"
