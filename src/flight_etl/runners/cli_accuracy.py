"""`flight-etl bench --accuracy`: its options, and the scoreboard told and recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]

__all__ = ["accuracy_options", "tell_accuracy"]

_LEVELS = ("clean", "standard", "heaviest")  # as bench/truth/faults.py has them; a test holds the two together


def accuracy_options(command: Command) -> Command:
    """Add the options that go with --accuracy, and itself."""
    options = (
        click.option("--accuracy", is_flag=True, help="Judge phases, flights and airports against made-up truth instead."),
        click.option("--seed", default=0, show_default=True, help="Of the truth: the same seed gives the same figures."),
        click.option("--flights", type=click.IntRange(min=1), default=300, show_default=True, help="Of the truth."),
        click.option(
            "--noise", "levels", type=click.Choice(_LEVELS), multiple=True, help="On the truth; may be repeated.  [default: all]"
        ),
        click.option("--record", type=click.Path(dir_okay=False), help="With --accuracy: write the tables here as well."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def tell_accuracy(*, seed: int, flights: int, levels: tuple[str, ...], record: str | None, as_json: bool) -> None:
    """Measure, print tables in Markdown or JSON, and write the record."""
    from flight_etl.bench.scoreboard import as_text
    from flight_etl.runners.accuracy import measure

    report = measure(seed=seed, flights=flights, levels=levels or _LEVELS)
    text = as_text(report)
    if record:
        from flight_etl.bench.machine import heading

        command = f"flight-etl bench --accuracy --seed {seed} --flights {flights}" + "".join(f" --noise {one}" for one in levels)
        try:
            Path(record).write_text(f"{heading('Accuracy of phases, flights and airports', command)}\n{text}\n", encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{record}: {error.strerror or error}") from error
    click.echo(json.dumps(report, indent=2) if as_json else text)
