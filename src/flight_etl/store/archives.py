"""Tar archives as folders of inputs: each member is a source of its own, read where it stands, nothing is unpacked.

Daily releases of `trace_full_*.json` come as such archives, also split into `.tar.aa`, `.tar.ab` and so on; parts named together
are one archive. Only headers are read to find the members.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flight_etl.errors import FlightEtlError, InputError, NotFound, Place
from flight_etl.store.failures import store_errors
from flight_etl.store.reading import Source
from flight_etl.store.volumes import open_volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flight_etl.store.reading import StoredFile
    from flight_etl.store.tar import Damage

__all__ = ["Archive", "ArchiveMember", "Unpacked", "unpacked"]

SEPARATOR: Final = "!"  # between the name of an archive and the path of a member
LEFT_OUT_FOLDERS: Final = frozenset({"acas", "heatmap"})
"""Folders of a daily release that hold no positions as JSON: collision advisories, and pictures of where there was traffic."""

_WHOLE: Final = re.compile(r".*\.tar", re.IGNORECASE | re.DOTALL)
_PART: Final = re.compile(r"(.*\.tar)\.a([a-z])", re.IGNORECASE | re.DOTALL)  # as `split` names up to 26 parts


@dataclass(frozen=True, eq=False, slots=True)
class Archive:
    """A tar archive: its name, and the files or objects that together are its bytes."""

    name: str
    volumes: tuple[Source, ...]

    @property
    def size_bytes(self) -> int:
        """B of all volumes together."""
        return sum(volume.size_bytes for volume in self.volumes)

    def file(self) -> StoredFile:
        """Give its bytes from the beginning. Raises as the volumes' stores do."""
        return open_volumes(self.volumes)


class ArchiveMember(Source):
    """A file in an archive. Where the archive ends inside it, what is there can be read, and then raises InputError."""

    def __init__(self, archive: Archive, path: str, begin: int, size_bytes: int) -> None:
        present = max(0, min(size_bytes, archive.size_bytes - begin))
        super().__init__(f"{archive.name}{SEPARATOR}{path}", present)
        self.archive = archive
        self.path = path
        self.begin = begin
        self.declared_bytes = size_bytes  # B, as the header says
        self.identity = (archive.volumes[0].identity, begin)
        self.is_near = all(volume.is_near for volume in archive.volumes)

    def _file(self) -> StoredFile:
        return _Slice(self)


@dataclass(slots=True)
class Unpacked:
    """The sources to read, with the members of archives in place of these; what failed, and what was left out, for the report."""

    sources: list[Source] = field(default_factory=list)
    failed: list[tuple[str, FlightEtlError]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def unpacked(sources: Iterable[Source], *, left_out: Callable[[str], bool]) -> Unpacked:
    """Put the members of each archive, by name `*.tar` and by content, in its place, in the order of the archive.

    Left out are folders, links, hidden files, `LEFT_OUT_FOLDERS` and the paths for which `left_out` holds. A damaged archive
    is one failed input, and so is a part without those before it; all members that are found are there nevertheless.
    """
    result = Unpacked()
    sources = list(sources)
    parts: dict[str, list[Source]] = {}
    for source in sources:
        if match := _PART.fullmatch(source.name):
            parts.setdefault(match[1], []).append(source)
    for source in sources:
        if match := _PART.fullmatch(source.name):
            if match[1] in parts:  # at the place of the part that was named first
                _add_parts(result, match[1], parts.pop(match[1]), left_out)
        elif _WHOLE.fullmatch(source.name) and _is_archive(archive := Archive(source.name, (source,))):
            _add(result, archive, left_out)
        else:
            result.sources.append(source)
    return result


def _is_archive(archive: Archive) -> bool:
    """Whether the content is that of an archive; what cannot be read is told when it is read as an input."""
    from flight_etl.store.tar import is_tar

    try:
        with closing(archive.file()) as file:
            return is_tar(file)
    except (FlightEtlError, OSError):
        return False


def _add_parts(result: Unpacked, name: str, parts: list[Source], left_out: Callable[[str], bool]) -> None:
    """Add an archive of as many parts as follow one another; the parts behind a missing one fail."""
    parts = sorted(parts, key=lambda part: part.name.lower())
    letters = [part.name[-1].lower() for part in parts]
    whole = next((at for at, letter in enumerate(letters) if ord(letter) - ord("a") != at), len(parts))
    if whole:
        _add(result, Archive(name, tuple(parts[:whole])), left_out)
    missing = f"{name}.a{chr(ord('a') + whole)}"
    for part in parts[whole:]:
        error = InputError(f"is a part of a split archive; name {missing} too, which comes before it", place=Place(part.name))
        result.failed.append((part.name, error))


def _add(result: Unpacked, archive: Archive, left_out: Callable[[str], bool]) -> None:
    from flight_etl.store.tar import Damage, members

    found, passed_over, before = 0, [], len(result.failed)
    try:
        with closing(archive.file()) as file, store_errors(archive.name, "read"):
            for entry in members(file, archive.size_bytes):
                if isinstance(entry, Damage):
                    result.failed.append((archive.name, _damaged(archive, entry)))
                    continue
                path = entry.path.removeprefix("./").lstrip("/")
                if _is_no_recording(path) or left_out(path):
                    passed_over.append(path)
                    continue
                found += 1
                result.sources.append(ArchiveMember(archive, path, entry.begin, entry.size_bytes))
    except FlightEtlError as error:
        result.failed.append((archive.name, error))
    if not found and len(result.failed) == before:
        result.failed.append((archive.name, NotFound("has no file to read in it", place=Place(archive.name))))
    if passed_over:
        what = "1 file" if len(passed_over) == 1 else f"{len(passed_over)} files"
        result.notes.append(f"{archive.name}: left out {what} that are no recordings, such as {passed_over[0]}")


def _damaged(archive: Archive, damage: Damage) -> InputError:
    hint = "all members found before and behind are read; fetch the archive again for the rest"
    return InputError(f"{damage.what}; {hint}", place=Place(archive.name, offset=damage.offset))


def _is_no_recording(path: str) -> bool:
    *folders, name = path.split("/")
    return name.startswith(".") or any(one in LEFT_OUT_FOLDERS or one.startswith(".") for one in folders)


class _Slice:
    """The bytes of one member."""

    def __init__(self, member: ArchiveMember) -> None:
        self._member = member
        self._file = member.archive.file()
        self._position = 0
        self._file.seek(member.begin)

    def read(self, count: int, /) -> bytes:
        data = self._file.read(min(count, self._member.size_bytes - self._position))
        self._position += len(data)
        if not data and count and self._position < self._member.declared_bytes:
            raise InputError(
                f"cut short: the archive ends {self._member.declared_bytes - self._position} bytes before the end of this file; "
                "what came before was read",
                place=Place(self._member.name),
            )
        return data

    def seek(self, position: int, /) -> int:
        self._position = min(position, self._member.size_bytes)
        self._file.seek(self._member.begin + self._position)
        return self._position

    def close(self) -> None:
        self._file.close()
