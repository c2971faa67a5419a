"""A run into an output that is there already: what is new or has changed is taken, all else is left.

The manifest (store/manifest.py) is published together with the files it speaks of, in the one step in which these appear: so an
input counts as done exactly when its rows are there, whenever the process may be killed. On disk a lock keeps a second run
out; in an object store both may work, and the one that comes second publishes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flight_etl.core.decode import decoder_name
from flight_etl.errors import InputError, NotFound, SettingsError
from flight_etl.report import InputReport, Report
from flight_etl.resources import peak_rss_mb
from flight_etl.runners import places, stored
from flight_etl.runners.form import footer
from flight_etl.store.dataset import by_content
from flight_etl.store.failures import store_errors
from flight_etl.store.inputs import Expansion, expand
from flight_etl.store.manifest import MANIFEST, Batch, Entry, Manifest, path_of, state_of_source
from flight_etl.store.places import ObjectUrl, is_url, join, local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flight_etl.settings import Settings
    from flight_etl.store.dataset import Update
    from flight_etl.store.manifest import State
    from flight_etl.store.objects import Pool
    from flight_etl.store.reading import Source

    # Puts inputs through all stages: into a folder, names to be known as the last argument says (local.produce).
    Produce = Callable[[Expansion, Path, Callable[[str], str]], Report]

__all__ = ["add", "first_manifest", "has_manifest", "states"]

_QUARANTINE = "_quarantine"


def has_manifest(output: str, pool: Pool | None) -> bool:
    """Whether `output` is one that a run can add to. One request for an object store."""
    if pool is None or not is_url(output):
        return Path(local_path(output), MANIFEST).is_file()
    url = ObjectUrl.parse(join(output, MANIFEST))
    try:
        pool.bucket(url).head(url.key)
    except NotFound:
        return False
    return True


def states(found: Expansion) -> dict[str, State | None]:
    """State of every input by its path, to be taken before it is read: what changes later is read again next time."""
    return {path_of(source.name): state_of_source(source) for source in found.sources}


def first_manifest(report: Report, before: Mapping[str, State | None], names: Mapping[str, str], settings: Settings) -> bytes:
    """Manifest of a run into an empty output; `names` gives the relative name of each output and quarantine."""
    quarantine = (names[report.quarantine],) if report.quarantine else ()
    batch = Batch(inputs=_entries(report, before), files=tuple(names[path] for path in report.outputs), quarantine=quarantine)
    return Manifest(settings=_settings_text(settings), batches=(batch,) if batch.inputs else ()).to_bytes()


def _settings_text(settings: Settings) -> str:
    return footer(settings)[stored.FOOTER.decode()]


def _entries(report: Report, before: Mapping[str, State | None]) -> dict[str, Entry]:
    """Inputs that are done. Those that another try may still read are not, and are remembered only for rows they gave."""
    entries = {}
    for one in report.inputs:
        hopeless = one.failure is None or isinstance(one.failure, InputError)
        if one.skipped or not (hopeless or one.written) or path_of(one.path) not in before:
            continue
        entries[path_of(one.path)] = Entry(
            state=before[path_of(one.path)] if hopeless else None,
            layout=one.layout,
            read=one.read,
            written=one.written,
            dropped=dict(one.dropped),
            error=one.error,
        )
    return entries


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a run has to do: inputs to read, those to leave, and the batches that are read again."""

    take: Expansion
    skip: tuple[InputReport, ...]
    again: tuple[Batch, ...]
    notes: tuple[str, ...]


def add(
    found: Expansion, output: str, settings: Settings, pool: Pool | None, produce: Produce, save: Callable[[Report, Path], None]
) -> Report:
    """Bring `output` up to date with the inputs found; see the module's docstring.

    Inputs of earlier runs that are not among them stay. Raises SettingsError where the settings are others than those of the
    output, or an input that has to be read again is gone; StoreError where somebody else was faster.
    """
    started = time.monotonic()
    with places.updating(output, settings, pool) as update:
        manifest = Manifest.of(update.read(MANIFEST), name=update.place(MANIFEST))
        _check_settings(manifest, settings, output)
        plan = _plan(manifest, found, output, pool)
        if not plan.take.sources:
            failed = tuple(InputReport(path=path, error=str(error), failure=error) for path, error in found.failed)
            notes = (*found.notes, *plan.notes)
            return Report(
                inputs=(*plan.skip, *failed),
                notes=notes,
                seconds=time.monotonic() - started,
                peak_rss_mb=peak_rss_mb(),
                decoder=decoder_name(),
            )
        before = states(plan.take)
        report = produce(plan.take, update.directory, update.place)
        gone = {name for batch in plan.again for name in (*batch.files, *batch.quarantine)}
        report, batch = _named(report, before, update, gone)
        report = replace(report, inputs=(*report.inputs, *plan.skip), notes=(*report.notes, *plan.notes))
        if report.all_failed:
            note = "every input failed, so nothing was published; the output is as it was"
            return replace(report, outputs=(), bytes_out=0, quarantine=None, notes=(*report.notes, note))
        with store_errors(update.directory, "write the manifest"):
            (update.directory / MANIFEST).write_bytes(manifest.replaced(plan.again, batch).to_bytes())
        save(report, update.directory)
        data = [file for file in update.files if file.name in gone and file.name not in batch.files]
        update.publish(data, also=[name for name in gone if not name.endswith(".parquet") and name not in batch.quarantine])
    return report


def _check_settings(manifest: Manifest, settings: Settings, output: str) -> None:
    apart = stored.differences([stored.of_text(manifest.settings), stored.of_text(_settings_text(settings))])
    if apart:
        old = dict(stored.of_text(manifest.settings))
        now = dict(stored.of_text(_settings_text(settings)))
        told = "; ".join(f"{name} was {old.get(name, 'not set')} and is {now.get(name, 'not set')}" for name in apart)
        raise SettingsError(
            f"output={output!r} is not permitted: it was written with other settings ({told}); "
            "give the same ones, name another output, or write all of it anew with --overwrite"
        )


def _plan(manifest: Manifest, found: Expansion, output: str, pool: Pool | None) -> _Plan:
    known = manifest.inputs
    present = {path_of(source.name): source for source in found.sources}
    changed = {path for path, source in present.items() if path in known and not _same(known[path], source)}
    again = tuple(batch for batch in manifest.batches if changed.intersection(batch.inputs))
    needed = {path for batch in again for path in batch.inputs}
    others = _others(needed - present.keys(), changed, output, pool)
    taken = [source for path, source in present.items() if path not in known or path in needed]
    skipped = [_skipped(source.name, known[path]) for path, source in present.items() if path in known and path not in needed]
    left = len(known.keys() - present.keys() - needed)
    notes = [f"{left:,} inputs of earlier runs were not named this time; their rows stay"] if left else []
    if needed - changed:
        more = len(needed - changed)
        notes.append(f"{len(changed):,} inputs have changed; {more:,} are read again since their rows are in the same files")
    return _Plan(replace(found, sources=(*taken, *others)), tuple(skipped), again, tuple(notes))


def _same(entry: Entry, source: Source) -> bool:
    return entry.state is not None and entry.state == state_of_source(source)


def _others(paths: set[str], changed: set[str], output: str, pool: Pool | None) -> tuple[Source, ...]:
    """Inputs that were not named, and have to be read again together with the changed ones."""
    if not paths:
        return ()
    found = expand(sorted(paths), output=output, pool=pool)
    missing = sorted(paths - {path_of(source.name) for source in found.sources})
    if missing:
        raise SettingsError(
            f"{min(changed)} has changed, and {len(missing):,} inputs whose rows are in the same files cannot be read again, "
            f"the first being {missing[0]}; put them back, or write the output anew with --overwrite"
        )
    return found.sources


def _skipped(name: str, entry: Entry) -> InputReport:
    error = None if entry.error is None else f"{entry.error} (told again; it has not changed)"
    return InputReport(path=name, layout=entry.layout, error=error, skipped=True)


def _named(report: Report, before: Mapping[str, State | None], update: Update, gone: set[str]) -> tuple[Report, Batch]:
    """Give the new files names by their content, and the batch and the report that say so."""
    taken = frozenset(file.name for file in update.files) - gone
    relative = {update.place(name): name for name in _relative(update.directory)}
    written = [relative[path] for path in report.outputs] if report.written or not taken else []
    if not report.written and taken:  # an empty file says what columns there are, where there is no other
        for path in report.outputs:
            (update.directory / relative[path]).unlink()
    names = by_content(update.directory, written, counted=False, taken=taken)
    quarantine: tuple[str, ...] = ()
    if report.quarantine is not None:
        kept = by_content(update.directory, [relative[report.quarantine]], counted=False, stem=_QUARANTINE)
        quarantine = tuple(kept)
    batch = Batch(inputs=_entries(report, before), files=tuple(names), quarantine=quarantine)
    outputs = tuple(update.place(name) for name in names)
    return replace(report, outputs=outputs, quarantine=update.place(quarantine[0]) if quarantine else None), batch


def _relative(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
