"""The command `bench`: measurements of flight-etl, beside other tools when asked."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flight_etl.runners.cli_accuracy import accuracy_options, tell_accuracy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flight_etl.bench.compare import Comparison

__all__ = ["bench"]

_TASKS: Final = (
    *("parse-flat", "convert-flat", "convert-opensky", "convert-trace"),
    *("run-flat", "run-opensky", "run-trace"),
)  # as bench/cases.py has them; a test holds the two together
_THOUSANDS: Final = {"": 1, "k": 1_000, "M": 1_000_000}


def _counts(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Read `100k,1M` as numbers."""
    found = [re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)", part.strip()) for part in value.split(",")]
    if not all(found):
        raise click.BadParameter(f"{value!r} is no list of numbers such as 100k,1M")
    return tuple(max(1, round(float(one[1]) * _THOUSANDS[one[2]])) for one in found if one)


@click.command()
@click.option("--peers", is_flag=True, help="Also measure DuckDB, Polars, pandas and pyarrow (the extra `bench`).")
@click.option("--rows", default="1M", show_default=True, callback=_counts, metavar="N,...", help="Generated records.")
@click.option("--workers", default="2", show_default=True, callback=_counts, metavar="N,...", help="Threads for everybody.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of which the medians are told.")
@click.option("--task", "tasks", type=click.Choice(_TASKS), multiple=True, help="Only this; may be repeated.")
@click.option(
    "--scaling", type=click.Choice(("also", "only")), help="Measure how time and memory of the whole way grow with the rows."
)
@click.option(
    "--scaling-rows", default="100k,1M,5M,20M", show_default=True, callback=_counts, metavar="N,...", help="With --scaling."
)
@click.option("--save", type=click.Path(file_okay=False), help="Folder for records: JSON, CSV, Markdown, chart.")
@click.option("--name", default="pipeline", show_default=True, help="Of the records.")
@click.option("--work-dir", type=click.Path(file_okay=False), help="Folder for inputs, kept for the next time.")
@accuracy_options
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, and nothing else.")
def bench(*, tasks: tuple[str, ...], save: str | None, name: str, work_dir: str | None, as_json: bool, **options: Any) -> None:
    """Measure parsing, converting and the whole way: time, memory and output size, each in a process of its own.

    Outputs of all tools are compared before any time is told. Exit code 1 when one fails or does other work. With --peers,
    parsing alone and writing alone are measured as limits. What was promised stands at the end, met or missed.

    \b
    Examples:
      flight-etl bench --rows 100k
      flight-etl bench --peers --rows 1M,5M --save benchmarks/records --name 2026-11-24-peers
      flight-etl bench --scaling only --workers 1,2
      flight-etl bench --accuracy --seed 7 --flights 300
    """
    if options["accuracy"]:
        tell_accuracy(as_json=as_json, **{name: options[name] for name in ("seed", "flights", "levels", "record")})
        return
    from flight_etl.bench import records

    command = shlex.join(["flight-etl", *sys.argv[1:]])
    with _folder(work_dir) as folder:
        found = _measured(folder, tasks, keep=work_dir is not None, **options)
    if save is not None:
        for path in records.save(found, Path(save), name, command=command):
            click.echo(str(path), err=True)
    text = json.dumps(found.to_json() | {"command": command}, indent=2) if as_json else ""
    click.echo(text or records.markdown(found, title="Measurements", command=command))


def _measured(folder: Path, tasks: tuple[str, ...], *, keep: bool, scaling: str | None, **options: Any) -> Comparison:
    from flight_etl.bench.cases import TASKS
    from flight_etl.bench.compare import compare
    from flight_etl.bench.scaling import scale

    def told(text: str) -> None:
        click.echo(text, err=True)

    rounds, threads = options["rounds"], options["workers"]
    chosen = [task for task in TASKS if scaling != "only" and (not tasks or task.name.replace(" ", "-") in tasks)]
    found = compare(chosen, folder, rows=options["rows"], threads=threads, rounds=rounds, peers=options["peers"], told=told)
    if scaling is None:
        return found
    curves = scale(folder, rows=options["scaling_rows"], threads=threads, rounds=rounds, keep=keep, told=told)
    return replace(found, figures=(*found.figures, *curves))


@contextmanager
def _folder(kept: str | None) -> Iterator[Path]:
    if kept is not None:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory(prefix="flight-etl-bench-") as name:
        yield Path(name)
