"""The command line: options to settings, reports to people, errors to exit codes. All work is done elsewhere."""

from __future__ import annotations

import atexit
import gc
import io
import json
import logging
import os
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flight_etl._version import __version__
from flight_etl.errors import FlightEtlError
from flight_etl.runners.cli_lazy import Elsewhere, LazyGroup
from flight_etl.runners.cli_options import COMMON, LAYOUTS
from flight_etl.runners.cli_options import options as _shared
from flight_etl.runners.options import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flight_etl.runners.records import Progress
    from flight_etl.settings import Settings

__all__ = ["cli", "main"]

INTERRUPTED: Final = 130
_owns_process = False  # whether the process is ours alone, and not somebody's Python that calls `main`
_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_HERE: Final = "flight_etl.runners"
_ELSEWHERE: Final = {
    "backfill": Elsewhere(
        f"{_HERE}.cli_backfill", "backfill", "Go the whole way as `run` does, with the same rows, on a cluster."
    ),
    "bench": Elsewhere(
        f"{_HERE}.cli_bench",
        "bench",
        "Measure parsing, converting and the whole way: time, memory and output size, each in a process of its own.",
    ),
    "compact": Elsewhere(
        f"{_HERE}.cli_compact",
        "compact",
        "Merge the files of DATASET, a folder or prefix, into few sorted ones, with its flights whole.",
    ),
    "dlq": Elsewhere(f"{_HERE}.cli_dlq", "dlq", "Look at dead letters, do their work again, or remove them."),
    "package-lambda": Elsewhere(
        f"{_HERE}.cli_package",
        "package_lambda",
        "Make the zip of the Lambda function, for any Python and either architecture, within Lambda's limits.",
    ),
}


@click.group(cls=LazyGroup, elsewhere=_ELSEWHERE, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="flight-etl")
def cli() -> None:
    """Turn flight-surveillance JSON into clean, enriched, analysis-ready Parquet.

    Inputs are files, folders (searched to any depth) and globs; the layout is recognised by content, and .gz and .zst too.

    \b
    Exit codes: 0 all done, dropped records included; 1 some inputs failed; 2 usage or settings; 130 interrupted.
    """


@cli.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("--output", "-o", required=True, metavar="DIR", help="Folder for the data set.")
@click.option("--flights", metavar="FILE.parquet", help="Write one row for each flight of the whole data set to this file.")
@_shared(*COMMON[:7], "partition-by", "dedupe", "tolerance-s", "phase-method", *COMMON[7:])
def run(inputs: tuple[str, ...], output: str, *, flights: str | None, as_json: bool, **options: Any) -> None:
    """Go the whole way: decode, clean, cut into flights, enrich, and write one data set.

    All INPUTS are one data set: tracks cross files. Into the output of an earlier run only inputs are taken that are new or
    have changed; its tracks and those of this run meet in `compact`.

    \b
    Examples:
      flight-etl run recordings/ --output flights
      flight-etl run 'states_*.json.gz' -o flights --partition-by date --compression zstd
      flight-etl run traffic.json.gz -o flights --units aviation --bbox 1.5,48,3.5,49.5
      flight-etl run recordings/ -o rows --flights flights.parquet
    """
    settings = _begin(options)
    from flight_etl.runners import local

    with _progress(quiet=as_json) as advance, _failure_as_json(as_json=as_json):
        report = local.run(inputs, output, settings, flights=flights, progress=advance)
    _tell(report, as_json=as_json)
    sys.exit(report.exit_code)


@cli.command()
@click.argument("input", metavar="INPUT")
@click.argument("output", metavar="OUTPUT.parquet")
@_shared(*COMMON)
def convert(input: str, output: str, *, as_json: bool, **options: Any) -> None:  # noqa: A002
    """Decode and clean INPUT into one Parquet file, rows in input order, without any work on tracks.

    \b
    Example:
      flight-etl convert aircraft.json aircraft.parquet
    """
    settings = _begin(options)
    from flight_etl.runners import local

    with _progress(quiet=as_json) as advance, _failure_as_json(as_json=as_json):
        report = local.convert(input, output, settings, progress=advance)
    _tell(report, as_json=as_json)
    sys.exit(report.exit_code)


@cli.command()
@click.argument("file")
@click.option("--rows", type=click.IntRange(0, 1_000), default=10, show_default=True, help="Rows to show.")
@click.option("--ddl", type=click.Choice(("athena",)), help="Print the statement that makes a table of the data set FILE.")
@click.option("--table", default="flights", show_default=True, metavar="NAME", help="Name of that table.")
@_shared("layout", "units", "set", "config", "json")
def inspect(file: str, rows: int, *, ddl: str | None, table: str, as_json: bool, **options: Any) -> None:
    """Tell layout, columns, counts, time span and first rows of FILE; write nothing.

    \b
    Examples:
      flight-etl inspect trace_full_4d208a.json
      flight-etl inspect --ddl athena s3://lake/flights
    """
    settings = _begin(options)
    if ddl is not None:
        from flight_etl.runners.ddl import ddl_of

        click.echo(ddl_of(file, table, settings), nl=False)
        return
    from flight_etl.runners import local, show

    with _failure_as_json(as_json=as_json):
        found = local.inspect(file, settings, rows=rows)
    with _reader_may_leave():
        if as_json:
            click.echo(json.dumps(show.inspection_json(found), indent=2))
        else:
            show.inspection(found)
    sys.exit(1 if found.error else 0)


@cli.command()
@click.argument("output")
@_shared("config", "json")
def report(output: str, *, as_json: bool, **options: Any) -> None:
    """Show once more the report of the run that wrote OUTPUT, a data set or a file that `convert` wrote.

    \b
    Examples:
      flight-etl report flights
      flight-etl report s3://bucket/flights --json
    """
    settings = settings_of(options)
    from flight_etl.report import Report
    from flight_etl.runners.reports import saved_report

    saved = saved_report(output, settings)
    with _reader_may_leave():
        if as_json:
            click.echo(json.dumps(saved, indent=2))
            return
        from flight_etl.runners import show

        show.report(Report.from_json(saved))


@cli.command()
@click.argument("n", type=click.IntRange(min=0))
@click.option("--layout", type=click.Choice(LAYOUTS), default="flat", show_default=True, help="Layout to write.")
@click.option("--complexity", type=click.Choice(("simple", "medium", "complex")), default="medium", show_default=True)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False), help="File; .gz and .zst compress it.")
def generate(n: int, layout: str, complexity: Any, seed: int, output: str) -> None:
    """Write N records of plausible flights, in any layout and in constant memory.

    \b
    Example:
      flight-etl generate 100000 --layout readsb --complexity complex -o sample.json.gz
    """
    from flight_etl.bench.generate import write

    target = Path(output)
    part = target.with_name(f".part-{target.name}")  # the ending says how to write it
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        size = write(part, n, layout=layout, complexity=complexity, seed=seed)
        part.replace(target)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # gone, or never made
            part.unlink()
    click.echo(f"{n:,} {layout} records, {size:,} bytes: {output}", err=True)


@cli.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in your SHELL.

    \b
    Example:
      flight-etl completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "flight-etl", "_FLIGHT_ETL_COMPLETE").source())


@cli.command()
@click.option("--queue", metavar="URL", help="SQS queue of S3 events; buckets by INPUT_BUCKET, OUTPUT_BUCKET and so on.")
@click.option("--watch", metavar="DIR", type=click.Path(file_okay=False), help="Folder to watch instead, without any server.")
@click.option("--output", "-o", metavar="DIR", type=click.Path(file_okay=False), help="With --watch: where Parquet files go.")
@click.option(
    "--visibility-s",
    type=click.IntRange(5, 43_200),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="With --queue: for how long a message is hidden from others; renewed while it is worked on.",
)
@click.option("--max-inputs", type=click.IntRange(min=1), help="Stop after so many.  [default: never]")
@_shared("layout", "units", "compression", "workers", "memory-limit-mb", "set", "config")
def worker(
    queue: str | None, watch: str | None, output: str | None, max_inputs: int | None, visibility_s: int, **options: Any
) -> None:
    """Work on inputs as they come, until told to stop (SIGTERM, Ctrl-C): what has begun is finished first.

    \b
    Examples:
      flight-etl worker --queue https://sqs.eu-central-1.amazonaws.com/123456789012/flights
      flight-etl worker --watch recordings --output flights
    """
    if (queue is None) == (watch is None) or (watch is None) != (output is None):
        raise click.UsageError("either --queue URL, or --watch DIR and --output DIR")
    settings = _begin(options)
    from flight_etl.runners import worker as workers

    stop = workers.Stop(after=max_inputs)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if queue is not None:
        from flight_etl.resilience.sqs import client
        from flight_etl.runners.processor import Processor
        from flight_etl.runners.queue_worker import QueueTimes, work_queue

        logging.basicConfig(level=settings.service.log_level, format="%(asctime)s %(levelname)s %(message)s")
        processor = Processor(settings, memory_bound_mb=settings.resources.memory_limit_mb)
        times = QueueTimes(visibility_s=visibility_s)
        work_queue(processor, queue, client(settings.service.aws_region), stop, times=times)
        return
    folder = workers.FolderWorker(Path(str(watch)), Path(str(output)), settings)
    folder.work(stop, told=click.echo)


@cli.command()
@_shared("config", "json")
def health(*, as_json: bool, **options: Any) -> None:
    """Tell whether buckets, queue, memory and decoder are in order; exit 1 when unhealthy.

    \b
    Example:
      flight-etl health --json
    """
    settings = _begin(options, "health")
    from flight_etl.runners.health import health as look
    from flight_etl.runners.processor import Processor

    answer = look(Processor(settings, memory_bound_mb=settings.resources.memory_limit_mb))
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        places = ", ".join(f"{name} {state}" for name, state in answer["reachability"].items())
        space = f"{answer['scratch'].get('free_mb', 'no')} MB of scratch disk"
        click.echo(f"{answer['overall_health']}; decoder {answer['decoder']}; {space}; {places}")
        for problem in answer["problems"]:
            click.echo(f"problem: {problem}", err=True)
    sys.exit(1 if answer["overall_health"] == "unhealthy" else 0)


def _begin(options: dict[str, Any], module: str = "local") -> Settings:
    """Settings of a command that is about to work, by a module beside this one."""
    if _owns_process:
        _load(module)
    return settings_of(options)


def _load(module: str) -> None:
    """Import what the work needs, without looking for garbage meanwhile: all of it stays."""
    gc.disable()
    from flight_etl.resources import spare_pandas

    spare_pandas()
    import_module(f"{_HERE}.{module}")
    gc.freeze()
    gc.enable()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal; nothing in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from flight_etl.runners import show

    with show.bar() as advance:
        yield advance


@contextmanager
def _failure_as_json(*, as_json: bool) -> Iterator[None]:
    """With --json, give an object also where no report came to be, for example because the disk is full."""
    try:
        yield
    except FlightEtlError as error:
        if as_json and error.exit_code == 1:
            from flight_etl.report import Report

            click.echo(json.dumps(Report(inputs=()).to_json() | {"error": str(error)}, indent=2))
        raise


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Who closes the pipe early, as `head` does, has seen enough: the work is done, and its exit code stands."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(report: Any, *, as_json: bool) -> None:
    with _reader_may_leave():
        if as_json:
            click.echo(report.to_text())
            return
        from flight_etl.runners import show

        show.report(report)


def _interrupt(number: int, _: Any) -> None:
    raise KeyboardInterrupt(number)


@dataclass(slots=True)
class _Ending:
    """Ends the process without taking Python and its libraries apart, on which a short command spends a tenth of its time."""

    code: Any = None  # None: it failed in a way that Python is to tell

    def leave(self) -> None:
        if not isinstance(self.code, int):
            return
        try:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # Python tells that, too
            return
        os._exit(self.code)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    global _owns_process  # noqa: PLW0603 - said once, before anything else
    _owns_process = arguments is None
    ending = _Ending()
    if _owns_process:
        atexit.register(ending.leave)  # first, and so done last
    signal.signal(signal.SIGTERM, _interrupt)  # so that what is half done is taken away again
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold what the terminal cannot show
    try:
        code = cli.main(args=arguments, prog_name="flight-etl", standalone_mode=False)
    except SystemExit as done:
        code = done.code
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.BadParameter as error:
        click.echo(f"flight-etl: {error.format_message()}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except FlightEtlError as error:
        click.echo(f"flight-etl: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("flight-etl: interrupted; nothing is half-published", err=True)
        code = INTERRUPTED
    ending.code = code or 0
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
