"""From what the user names to what is read: files, folders to any depth, globs, tar archives; the same in object stores."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError, InputError, NotFound, Place, SettingsError
from flight_etl.store.archives import unpacked
from flight_etl.store.failures import store_failure
from flight_etl.store.places import ObjectUrl, inside, is_url, local_path
from flight_etl.store.reading import LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flight_etl.store.objects import Pool
    from flight_etl.store.reading import Source

__all__ = ["Expansion", "expand"]

OWN_FILES: Final = (
    *("*.parquet", "_report.json", "*.report.json", "_compaction.json", "_manifest.json"),
    *("_quarantine.ndjson", "_quarantine-*.ndjson", "*.quarantine.ndjson", "*.part"),
)
"""What this package writes, and so does not read when it comes upon it in a folder or by a glob."""

_OWN_NAME: Final = re.compile("|".join(map(translate, OWN_FILES)))


@dataclass(frozen=True, slots=True)
class Expansion:
    """The files to read, in order; what cannot be read, by name with the reason; and what was left out, for the report."""

    sources: tuple[Source, ...]
    failed: tuple[tuple[str, FlightEtlError], ...]
    notes: tuple[str, ...]


def expand(inputs: Sequence[str], *, output: str | None, pool: Pool | None = None) -> Expansion:
    """Find the files and, through `pool`, the objects that `inputs` name.

    They come in the order given, those of a folder or glob sorted by path, the members of a tar archive in its place; a file
    reached twice, by whatever links, is read once. Left out of folders, globs and archives are hidden files, files inside
    `output` and `OWN_FILES`. What is missing, unreadable, damaged, empty of files, or named explicitly although it lies inside
    `output` is in `failed`. Raises SettingsError when nothing is named, or a place is neither local nor in an object store.
    """
    if not inputs:
        raise SettingsError("input=[] is not permitted: name at least one file, folder or glob")
    search = _Search(output if output is None or is_url(output) else os.path.realpath(local_path(output)), pool)
    for name in inputs:
        _check(name)
        try:
            if is_url(name):
                search.add_objects(ObjectUrl.parse(name))
            else:
                search.add(local_path(name))
        except SettingsError:
            raise
        except FlightEtlError as error:
            search.failed.append((name, error))
    found = unpacked(search.sources, left_out=_is_own)
    return Expansion(tuple(found.sources), (*search.failed, *found.failed), (*search.notes, *found.notes))


def _check(name: str) -> None:
    if not name or "\0" in name:
        raise SettingsError(f"input={name!r} is not permitted: name a file, folder or glob")


@dataclass(slots=True)
class _Search:
    """What was found so far."""

    output: str | None  # real path, or URL
    pool: Pool | None
    sources: list[Source] = field(default_factory=list)
    failed: list[tuple[str, FlightEtlError]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _folders: dict[str, str] = field(default_factory=dict)  # name -> real path
    _seen: dict[object, str] = field(default_factory=dict)  # identity of a source -> its name

    def add(self, name: str) -> None:
        """Add what one argument names; a name that exists is never taken for a pattern."""
        if _is_folder(name):
            self._add_many(name, self._walk(name, set()), "has no file to read in it, at any depth")
        elif os.path.lexists(name) or not glob.has_magic(name):
            self._add_one(name, LocalSource)
        else:
            hits = glob.glob(name, recursive=True)  # noqa: PTH207 - patterns may be absolute, which Path.glob refuses
            files = [file for hit in hits for file in (self._walk(hit, set()) if _is_folder(hit) else [hit])]
            self._add_many(name, files, "matches no file to read; check the pattern, and quote it so that the shell leaves it be")

    def add_objects(self, url: ObjectUrl) -> None:
        """Add what one URL names."""
        from flight_etl.store.object_inputs import named
        from flight_etl.store.object_source import ObjectSource
        from flight_etl.store.objects import Pool

        self.pool = self.pool or Pool()
        bucket = self.pool.bucket(url)
        objects, exact = named(bucket, url.key)
        infos = {str(info.url): info for info in objects}

        def source(name: str) -> Source:
            return ObjectSource(bucket, infos[name])

        if exact:
            self._add_one(str(url), source)
        else:
            self._add_many(str(url), infos, "names no object to read, neither itself nor as a prefix or pattern", source)

    def _add_one(self, name: str, source: Callable[[str], Source]) -> None:
        if self._in_output(name):
            raise InputError(
                f"is the output {self.output} or lies inside it; name another --output or leave this input out",
                place=Place(name),
            )
        self._add_file(name, source)

    def _add_many(self, name: str, found: Iterable[str], nothing: str, source: Callable[[str], Source] = LocalSource) -> None:
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
                self._add_file(file, source)
            except FlightEtlError as error:
                self.failed.append((file, error))
        if len(left_out) == len(files) and len(self.failed) == before:
            raise NotFound(nothing, place=Place(name))

    def _add_file(self, name: str, make: Callable[[str], Source]) -> None:
        source = make(name)
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
        if self.output is None or is_url(self.output) != is_url(name):
            return False
        return inside(name if is_url(name) else self._real(name), self.output)

    def _real(self, file: str) -> str:
        """Give what `realpath` does; each folder is looked at once, though it may have many files."""
        folder, _, name = file.rpartition("/")
        if not folder or name in ("", ".", "..") or os.path.islink(file):  # noqa: PTH114 - as below
            return os.path.realpath(file)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return f"{self._folders[folder].rstrip('/')}/{name}"


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where we may not look


def _is_own(path: str) -> bool:
    return _OWN_NAME.fullmatch(path.rpartition("/")[2]) is not None


def _files(paths: list[str]) -> str:
    return "1 file" if len(paths) == 1 else f"{len(paths)} files"
