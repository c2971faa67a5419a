"""All or nothing: a finished output takes the place of an old one in one step.

A run writes into a hidden folder beside its target and, when all is done and on disk, swaps the two (`renameat2` with
RENAME_EXCHANGE on Linux). Whoever lists the target sees the old set or the new one, and so does whoever comes after a crash.

Where folders cannot be swapped (the target is a mount point or the working directory, its parent may not be written, the file
system or platform lacks the call), the run writes into a hidden folder inside the target. Then a *journal* is the one step:
from the moment it is there, the new set counts, and whoever opens the target next moves the files that a crash left behind.
In this case a reader that lists the target within the milliseconds of moving can see new files beside old ones.

An *update* replaces single files of an output, and all others stay: they are linked into the new folder. Where a folder has no
report of ours, because a worker fills it file by file and may be doing so now, it is not swapped but updated by the journal.

Files that are not ours survive. Ours are those with our names (`OURS`) in a folder whose `_report.json` is a report of ours.
Where such a name, or any `*.parquet`, stands without one, it is not ours to replace and the run refuses.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import Place, SettingsError, StoreError
from flight_etl.store.failures import store_errors
from flight_etl.store.folders import exchange, files_below, locked, remove, sync, sync_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    State = tuple[int | str | None, ...]

__all__ = ["OURS", "REPORT", "TABLE_LOG", "FileStaging", "Staging", "is_report", "publish_file", "stage", "state_of"]

REPORT: Final = "_report.json"
OURS: Final = re.compile(
    r"(date=\d{4,}-\d\d-\d\d/)?part-([0-9a-f]{12}-)?\d{5,}(-of-\d{5,})?\.parquet"
    r"|_(report|compaction|manifest)\.json|_quarantine((-[0-9a-f]{12})?\.ndjson|/[^/]+\.quarantine\.ndjson)"
)
TABLE_LOG: Final = "_delta_log"  # of a Delta table of the data set (store/tables/delta.py); an engine may put Parquet files there
_REPORT_KEYS: Final = {"read", "written", "dropped", "inputs", "outputs", "version"}
_MARK: Final = ".flight-etl-"
_JOURNAL: Final = f"{_MARK}journal.json"
_KEPT: Final = {f"{_MARK}done", f"{_MARK}dead-letters"}  # what a worker has to remember (runners/worker.py)


@dataclass(slots=True)
class Staging:
    """A folder to fill, and what puts it in the place of the target."""

    target: Path
    directory: Path
    overwrite: bool
    replaces: Mapping[str, State] | None = None  # of an update: the files that go, and as what they were read

    def publish(self) -> None:
        """Bring everything in `directory` to disk, then to the target. Raises StoreError, and then nothing has changed."""
        with store_errors(self.target, "publish"):
            sync_tree(self.directory)
            self._check_unchanged()
            filled = bool(_entries(self.target))
            if filled and not self.overwrite:
                raise StoreError(
                    "was filled by someone else during the run; nothing was published", place=Place(str(self.target))
                )
            if self.target.is_dir():
                self.directory.chmod(self.target.stat().st_mode & 0o7777)
            if self.directory.parent == self.target:
                _publish_inside(self.target, self.directory, self._going())
            elif filled:
                self._swap()
            else:
                self.directory.rename(self.target)
            sync(self.target.parent)

    def _swap(self) -> None:
        staying = self._staying()
        for name in staying:
            _carry(self.target / name, self.directory / name)
        sync_tree(self.directory, files=False)
        if exchange(self.directory, self.target):
            return
        for name in staying:
            remove(self.directory / name)
        self.directory = self.directory.rename(self.target / f"{_MARK}{os.getpid()}-{secrets.token_hex(4)}")
        _publish_inside(self.target, self.directory, self._going())

    def _going(self) -> list[str]:
        """Relative names of the files in the target that are to be removed. What comes into an updated set meanwhile is not."""
        new = set(files_below(self.directory))
        if self.replaces is not None:
            return [name for name in self.replaces if name not in new]
        stays = {*_foreign(self.target), *new}
        return [name for name in files_below(self.target, skip=_is_scratch) if name not in stays]

    def _staying(self) -> list[str]:
        """Relative names of the files in the target that survive."""
        if self.replaces is None:
            return _foreign(self.target)
        new = set(files_below(self.directory))
        return [name for name in files_below(self.target, skip=_is_scratch) if name not in self.replaces and name not in new]

    def _check_unchanged(self) -> None:
        for name, state in (self.replaces or {}).items():
            if state_of(self.target / name) != state:
                raise StoreError(
                    f"{name} was changed by someone else during the work; nothing was published, try again",
                    place=Place(str(self.target)),
                )


def state_of(path: Path) -> State:
    """What tells a file from one that took its place or was written to since: inode, size in B, time of change in ns."""
    with store_errors(path, "look at"):
        status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def stage(target: Path, *, overwrite: bool, update: bool = False) -> Iterator[Staging]:
    """Give a hidden folder to write into that `publish` turns into `target`; left without it, nothing remains.

    For an `update`, say in `replaces` which files go; all others stay.

    Cleans up behind runs that were killed, and finishes the publication of one that was killed in the midst of it. Raises
    SettingsError when the target is a file, or not empty without `overwrite`, or holds files that we would have to overwrite
    and that are not ours; StoreError when another run is writing to it; Denied where we may not write.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_dir():
        raise SettingsError(f"output={str(target)!r} is not permitted: it is a file; name a folder")
    made = _make_parents(target)
    # What a worker puts into a folder while it is swapped would be lost.
    shared = not _is_report(target / REPORT) or (target / f"{_MARK}done").exists()
    inside = _must_stage_inside(target) or (update and shared)
    scratch = str(target / _MARK) if inside else _beside(target)
    try:
        with locked(Path(f"{scratch}lock"), target):
            _clean(target)
            if not update:
                _refuse(target, overwrite=overwrite)
            staging = Staging(target, _new_folder(scratch), overwrite or update, {} if update else None)
            try:
                yield staging
            finally:
                # The name stands for our folder, or after the swap for the old output; a journal still needs it.
                if not (target / _JOURNAL).exists():
                    remove(staging.directory)
    finally:
        _remove_empty(made)


def _must_stage_inside(target: Path) -> bool:
    """Whether the target is there, and cannot be swapped with a folder beside it or should not."""
    if not target.is_dir():
        return False
    with suppress(FileNotFoundError):
        here = Path.cwd()
        if target in (here, *here.parents):  # we, and the shell that started us, would be left standing in the old folder
            return True
    return target.is_mount() or not os.access(target.parent, os.W_OK | os.X_OK)


def _refuse(target: Path, *, overwrite: bool) -> None:
    names = _entries(target)
    if not names:
        return
    if not overwrite:
        raise SettingsError(
            f"output={str(target)!r} is not permitted: the folder is not empty; "
            "name another, or replace its contents with --overwrite"
        )
    _foreign(target)


def _entries(folder: Path) -> list[str]:
    """Names in the folder, without our own scratch; none when there is no folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not _is_scratch(name))  # noqa: PTH208
    except FileNotFoundError:
        return []


def _is_scratch(name: str) -> bool:
    return name.startswith(_MARK) and name not in _KEPT


def _foreign(target: Path) -> list[str]:
    """Relative names of the files in `target` that are not ours, which must survive."""
    ours = _is_report(target / REPORT)
    foreign = []
    for name in files_below(target, skip=_is_scratch):
        if ours and OURS.fullmatch(name):
            continue
        if (name.endswith(".parquet") and not name.startswith(f"{TABLE_LOG}/")) or OURS.fullmatch(name):
            raise SettingsError(
                f"output={str(target)!r} is not permitted: {name} in it was not written by flight-etl (no _report.json says so), "
                "and would be replaced or mixed up with the new files; move it away, or name another folder"
            )
        foreign.append(name)
    return foreign


def is_report(data: bytes) -> bool:
    """Whether these are the bytes of a report of ours."""
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= _REPORT_KEYS


def _is_report(path: Path) -> bool:
    try:
        return is_report(path.read_bytes())
    except OSError:
        return False


def _carry(source: Path, target: Path) -> None:
    """Give a foreign file a second name in the new set, or a copy where file systems know no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
        if not target.is_symlink():
            sync(target)


def _publish_inside(target: Path, staged: Path, old: list[str]) -> None:
    """Write the journal, the one step, and do what it says."""
    part = target / f"{_JOURNAL}.part"
    part.write_text(json.dumps({"staged": staged.name, "remove": old}), encoding="utf-8")
    sync(part)
    sync(target)
    part.replace(target / _JOURNAL)
    sync(target)
    _roll_forward(target)


def _roll_forward(target: Path) -> None:
    """Do what is left of what the journal says; each step may be done again after a crash."""
    journal = json.loads((target / _JOURNAL).read_bytes())
    staged = target / journal["staged"]
    for name in files_below(staged):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (staged / name).replace(target / name)
    for name in journal["remove"]:
        (target / name).unlink(missing_ok=True)
        _remove_empty([(target / name).parent] if "/" in name else [])
    sync_tree(target, shared=True)
    remove(staged)
    (target / _JOURNAL).unlink()
    sync(target)


def _clean(target: Path) -> None:
    """Finish or remove what killed runs left. We hold the lock, so nothing of it is in use."""
    with store_errors(target, "clean up"):
        if (target / _JOURNAL).exists():
            _roll_forward(target)
        for folder, prefix in ((target.parent, Path(_beside(target)).name), (target, _MARK)):
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                for path in folder.iterdir():
                    if path.name.startswith(prefix) and path.name != f"{prefix}lock" and path.name not in _KEPT:
                        remove(path)


def _beside(target: Path) -> str:
    """Begin the path of scratch beside the target."""
    return str(target.with_name(f".{target.name}{_MARK}"))


def _new_folder(scratch: str) -> Path:
    folder = Path(f"{scratch}{os.getpid()}-{secrets.token_hex(4)}")
    with store_errors(folder.parent, "write"):
        folder.mkdir()  # not mkdtemp, whose folders nobody else may read
    return folder


def _make_parents(target: Path) -> list[Path]:
    """Make the folders above `target`, and name those that were not there, innermost first."""
    missing = [folder for folder in target.parents if not folder.exists()]
    with store_errors(target, "make the folder for"):
        target.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty: in use
            folder.rmdir()


@dataclass(slots=True)
class FileStaging:
    """Where to write a Parquet file and its companions, and what brings them to their places."""

    target: Path
    part: Path
    quarantine: Path
    report: Path

    def publish(self) -> None:
        """Bring the files to disk, then to their places, the Parquet file last. Raises StoreError."""
        with store_errors(self.target, "publish"):
            sync_tree(self.part.parent)
            for staged in (self.quarantine, self.report):
                place = self.target.with_name(staged.name)
                if staged.exists():
                    staged.replace(place)
                else:
                    place.unlink(missing_ok=True)  # of an earlier run: it would speak of records that this one did not drop
            self.part.replace(self.target)
            sync(self.target.parent)


@contextmanager
def publish_file(target: Path, *, overwrite: bool) -> Iterator[FileStaging]:
    """Give hidden places for a file, its `<stem>.quarantine.ndjson` and `<stem>.report.json`, that `publish` makes visible.

    Left without `publish`, nothing remains. Raises as `stage` does; files that would be replaced count as ours when
    `<stem>.report.json` is a report of ours, the target itself always.
    """
    target = Path(os.path.realpath(target))
    if target.is_dir():
        raise SettingsError(f"output={str(target)!r} is not permitted: it is a folder; name a file")
    made = _make_parents(target)
    try:
        with locked(Path(f"{_beside(target)}lock"), target):
            _clean(target)
            _refuse_file(target, overwrite=overwrite)
            folder = _new_folder(_beside(target))
            try:
                yield FileStaging(target, folder / target.name, *(folder / path.name for path in _companions(target)))
            finally:
                remove(folder)
    finally:
        _remove_empty(made)


def _companions(target: Path) -> tuple[Path, Path]:
    return target.with_name(f"{target.stem}.quarantine.ndjson"), target.with_name(f"{target.stem}.report.json")


def _refuse_file(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise SettingsError(f"output={str(target)!r} is not permitted: it exists; name another, or replace it with --overwrite")
    quarantine, report = _companions(target)
    for path in (report, quarantine):
        if path.exists() and not _is_report(report):
            raise SettingsError(
                f"output={str(target)!r} is not permitted: {path} would be replaced and was not written by flight-etl; "
                "move it away, or name another output"
            )
