"""`flight-etl dlq`: dead letters listed, shown, done again, removed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flight_etl.runners.options import CONFIG_FILE, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.resilience.deadletter import DeadLetter, Held
    from flight_etl.runners.processor import Processor

__all__ = ["dlq"]

_FOLDER: Final = click.option(
    "--folder", type=click.Path(file_okay=False), metavar="DIR", help="Look into this folder, and nowhere else."
)
_CONFIG: Final = click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), help=f"Settings file.  [default: {CONFIG_FILE}, if it is there]"
)
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")


@click.group()
def dlq() -> None:
    """Look at dead letters, do their work again, or remove them.

    They are in the queue DLQ_QUEUE_URL, else in the bucket ERROR_BUCKET, else in the folder .flight-etl-dead-letters, which
    `worker --watch` makes inside its output. What others moved to the queue, such as S3 events that were received too often,
    counts as well. Letters that failed too often are parked: shown, and replayed only with --parked.

    \b
    Example:
      flight-etl dlq replay --max-records 100
    """


@dlq.command("list")
@_FOLDER
@_CONFIG
@_JSON
def dlq_list(folder: str | None, *, as_json: bool, **options: Any) -> None:
    """List all dead letters, parked ones too.

    \b
    Example:
      flight-etl dlq list --json
    """
    from flight_etl.runners.letters import about

    held = list(_processor(options, folder).letters.list())
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in held], indent=2))
        return
    for one in held:
        letter, state = one.letter, "parked" if one.parked else "waiting"
        click.echo(f"{letter.id[:8]}  {state}  {letter.attempts} x {letter.error_type}  {about(letter)}: {letter.message}")


@dlq.command("show")
@click.argument("letter")
@_FOLDER
@_CONFIG
def dlq_show(letter: str, folder: str | None, **options: Any) -> None:
    """Show everything that is known about the dead letter whose id begins with LETTER.

    \b
    Example:
      flight-etl dlq show 3f2a9c
    """
    from flight_etl.runners.letters import find

    click.echo(json.dumps(_as_json(find(_processor(options, folder).letters, letter)), indent=2))


@dlq.command("replay")
@click.option("--max-records", default=10, show_default=True, type=click.IntRange(min=1), help="Letters to try at most.")
@click.option("--parked", is_flag=True, help="Try parked letters too.")
@click.option("--dry-run", is_flag=True, help="Only say how many would be tried.")
@_FOLDER
@_CONFIG
@_JSON
def dlq_replay(max_records: int, folder: str | None, *, parked: bool, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Do the work of dead letters again; each is deleted only after its work has been done. Exit 1 if some failed again.

    \b
    Examples:
      flight-etl dlq replay --max-records 100
      flight-etl dlq replay --folder flights/.flight-etl-dead-letters --parked
    """
    processor = _processor(options, folder)
    work = _work(processor, folder)
    done = processor.process_dead_letters(max_records=max_records, dry_run=dry_run, parked=parked, work=work)
    if as_json:
        click.echo(json.dumps(asdict(done) | {"dry_run": dry_run}, indent=2))
    else:
        verb = "would be tried" if dry_run else "done"
        click.echo(f"{done.reprocessed} {verb}, {done.failed} failed again, {done.parked} of them parked")
        for error in done.errors:
            click.echo(f"failed: {error}", err=True)
    sys.exit(1 if done.failed else 0)


@dlq.command("purge")
@click.argument("letter", required=False)
@click.option("--all", "everything", is_flag=True, help="Remove every dead letter, parked ones too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_FOLDER
@_CONFIG
@_JSON
def dlq_purge(letter: str | None, folder: str | None, *, everything: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Remove the dead letter whose id begins with LETTER, or all of them: their work will not be done.

    \b
    Examples:
      flight-etl dlq purge 3f2a9c
      flight-etl dlq purge --all --yes
    """
    if (letter is None) != everything:
        raise click.UsageError("either LETTER or --all")
    from flight_etl.runners.letters import about, find

    letters = _processor(options, folder).letters
    chosen = list(letters.list()) if letter is None else [find(letters, letter)]
    if chosen and not yes:
        what = f"{len(chosen)} dead letters" if letter is None else f"the dead letter about {about(chosen[0].letter)}"
        if not sys.stdin.isatty():
            raise click.UsageError(f"this would remove {what}; confirm with --yes")
        click.confirm(f"Remove {what}?", abort=True, err=True)
    for held in chosen:
        letters.delete(held)
    click.echo(json.dumps({"removed": len(chosen)}) if as_json else f"{len(chosen)} removed")


def _processor(options: dict[str, Any], folder: str | None) -> Processor:
    from flight_etl.resilience.deadletter import DeadLetterConfig
    from flight_etl.runners.processor import Processor

    return Processor(settings_of(options), dead_letters=DeadLetterConfig(folder=folder))


def _work(processor: Processor, folder: str | None) -> Callable[[DeadLetter], None]:
    """Do a letter's objects; or its file, for a letter of `worker --watch`, whose folder of letters is inside its output."""
    from flight_etl.resilience.deadletter import FOLDER
    from flight_etl.runners.worker import redo

    output = Path(folder or FOLDER).resolve().parent

    def work(letter: DeadLetter) -> None:
        if letter.key and not letter.bucket:
            redo(letter, output, processor.settings)
        else:
            processor.work_letter(letter)

    return work


def _as_json(held: Held) -> dict[str, Any]:
    return asdict(held.letter) | {"parked": held.parked}
