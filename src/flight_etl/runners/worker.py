"""A worker that never ends: files of a folder, one after another, until it is told to stop. `queue_worker` does so with messages.

Killed at any moment and started again, it leaves every input in the output exactly once: a file's mark is written only after
its output is complete; and doing the same input twice gives the same bytes under the same name.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import FlightEtlError, InputError, NotFound
from flight_etl.resilience.classify import classify_error
from flight_etl.resilience.deadletter import BlobDeadLetters, DeadLetter, FolderBlobs
from flight_etl.runners import local
from flight_etl.runners.letters import now_ms
from flight_etl.store.failures import store_errors
from flight_etl.store.inputs import Expansion, expand
from flight_etl.store.publish import publish_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.settings import Settings

__all__ = ["FolderWorker", "Stop", "redo"]

_SETTLE_S: Final = 2.0  # s that a file must be unchanged, since writers take their time
_SCAN_S: Final = 1.0  # s between two looks at the folder
_MARKS: Final = ".flight-etl-done"
_LETTERS: Final = ".flight-etl-dead-letters"


class Stop:
    """Asked between two inputs; set by a signal, by a test, or when a number of inputs has been done."""

    def __init__(self, after: int | None = None) -> None:
        self._event = threading.Event()
        self._left = after

    def set(self) -> None:
        """Stop after the input that is being worked on."""
        self._event.set()

    def count(self, number: int = 1) -> None:
        """Count inputs that were done."""
        if self._left is not None:
            self._left -= number
            if self._left <= 0:
                self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the moment of stopping."""
        self._event.wait(seconds)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str  # relative to the folder
    size: int
    changed_ns: int

    @property
    def mark(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size, "changed_ns": self.changed_ns}


def _id_of(name: str) -> str:
    """Id of the mark and of the dead letter of a file with this name below its folder."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def redo(letter: DeadLetter, output: Path, settings: Settings) -> None:
    """Do the file of a dead letter below `output` again. Raises what it fails with, NotFound for a letter of others."""
    parts = Path(letter.key or "").parts
    # The letter holds the whole path; its id tells which end of that is the name below the folder that was watched.
    for at in range(len(parts)):
        if _id_of("/".join(parts[at:])) == letter.id:
            FolderWorker(Path(*parts[:at]), output, settings).redo("/".join(parts[at:]))
            return
    raise NotFound(f"dead letter {letter.id} is about no file of a watched folder; see `flight-etl dlq show {letter.id}`")


class FolderWorker:
    """Turns each file of a folder into one Parquet file of the same relative name below the output."""

    def __init__(self, folder: Path, output: Path, settings: Settings, *, settle_s: float = _SETTLE_S) -> None:
        # One file in, one file out: no partitions, and no second part.
        whole = replace(settings.output, partition_by=None, rows_per_file=1 << 62)
        self._folder, self._output, self._settle_s = folder, output, settle_s
        self._settings = replace(settings, output=whole)
        self._letters = BlobDeadLetters(FolderBlobs(output / _LETTERS))
        self._seen: dict[str, tuple[int, int, float]] = {}

    def work(self, stop: Stop, *, told: Callable[[str], None] = lambda _: None) -> None:
        """Work until stopped."""
        while not stop:
            for file in self._ready():
                told(self._do(file))
                stop.count()
                if stop:
                    return
            stop.wait(_SCAN_S)

    def _ready(self) -> list[_File]:
        """Files that are not done, and have not changed for a while."""
        ready = []
        for source in expand([str(self._folder)], output=str(self._output)).sources if self._folder.is_dir() else ():
            path = Path(source.name)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            file = _File(path, path.relative_to(self._folder).as_posix(), status.st_size, status.st_mtime_ns)
            size, changed, since = self._seen.get(file.name, (-1, -1, 0.0))
            if (size, changed) != (file.size, file.changed_ns):
                since = time.monotonic()
                self._seen[file.name] = (file.size, file.changed_ns, since)
            if time.monotonic() - since >= self._settle_s and not self._is_done(file):
                ready.append(file)
        return ready

    def redo(self, name: str) -> None:
        """Do the file of this relative name again, as for its dead letter. Raises what it fails with."""
        path = self._folder / name
        with store_errors(str(path), "read"):
            status = path.stat()
        file = _File(path, name, status.st_size, status.st_mtime_ns)
        self._produce(file, self._output / f"{name}.parquet")
        self._set_mark(file)

    def _mark_path(self, file: _File) -> Path:
        return self._output / _MARKS / f"{_id_of(file.name)}.json"

    def _set_mark(self, file: _File) -> None:
        FolderBlobs(self._output).put(f"{_MARKS}/{self._mark_path(file).name}", json.dumps(file.mark).encode())

    def _is_done(self, file: _File) -> bool:
        try:
            return bool(json.loads(self._mark_path(file).read_bytes()) == file.mark)
        except (FileNotFoundError, ValueError):
            return False

    def _do(self, file: _File) -> str:
        """Do one file, and say what became of it. A file that cannot be done is a dead letter, and done."""
        target = self._output / f"{file.name}.parquet"
        try:
            report = self._produce(file, target)
            text = f"{file.name}: {report.written:,} rows"
        except FlightEtlError as error:
            letter = DeadLetter(
                id=self._mark_path(file).stem,  # the same file fails into the same letter
                key=str(file.path),
                error_type=str(classify_error(error)),
                error_class=type(error).__name__,
                message=str(error),
                place=str(error.place) if error.place else None,
                first_failed_ms=now_ms(),
                last_failed_ms=now_ms(),
            )
            self._letters.send(letter)
            text = f"{file.name}: failed: {error}"
        self._set_mark(file)
        return text

    def _produce(self, file: _File, target: Path) -> Any:
        found: Expansion = expand([str(file.path)], output=None)
        for _, error in found.failed:
            raise error
        target.parent.mkdir(parents=True, exist_ok=True)
        with publish_file(target, overwrite=True) as staging:
            folder = staging.part.parent / "flight-etl-work"
            folder.mkdir()
            report = local.produce(found, folder, self._settings, place=lambda name: name)
            (one,) = report.inputs
            if one.error is not None:
                raise InputError(one.error)
            (name,) = report.outputs
            (folder / name).replace(staging.part)
            if (folder / local.QUARANTINE).exists():
                (folder / local.QUARANTINE).replace(staging.quarantine)
            staging.report.write_text(json.dumps(report.to_json()) + "\n", encoding="utf-8")
            staging.publish()
        return report
