"""`flight-etl compact`: a data set's many small files made few, its tracks whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Final

import click

from flight_etl.errors import FlightEtlError
from flight_etl.runners.options import CONFIG_FILE, FLAGS, settings_of

__all__ = ["compact"]

_DAY: Final = re.compile(r"(?:date=)?(\d{4,}-\d\d-\d\d)")


def _day(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    found = [_DAY.fullmatch(value) for value in values]
    if not all(found):
        raise click.BadParameter("a UTC date, as 2024-03-31 or date=2024-03-31")
    return tuple(one[1] for one in found if one)


@click.command()
@click.argument("dataset")
@click.option("--partition", "partitions", multiple=True, metavar="DATE", callback=_day, help="Only this day; may be repeated.")
@click.option("--target-size", "target_mb", type=click.IntRange(1, 100_000), metavar="MB", help="Size of files.  [default: 256]")
@click.option("--all", "everything", is_flag=True, help="Also what is compact already; --set implies it.")
@click.option("--compression", type=click.Choice(("snappy", "zstd", "lz4", "gzip", "none")), help="[default: as it is]")
@click.option("--partition-by", type=click.Choice(("date",)), help="Write folders date=YYYY-MM-DD.  [default: as it is]")
@click.option("--table", type=click.Choice(("iceberg", "delta")), help="Keep a table of the files: docs/tables.md.")
@click.option("--flights", metavar="FILE.parquet", help="Write one row for each flight of the whole data set to this file.")
@click.option("--workers", metavar="N", help="Threads.  [default: one per core]")
@click.option("--memory-limit-mb", metavar="MB", help="Bound on the memory of the process.  [default: half of what is free]")
@click.option("--spill-dir", type=click.Path(file_okay=False), help="For rows that do not fit.  [default: beside the data set]")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting that is to change.")
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), help=f"Settings file.  [default: {CONFIG_FILE}, if it is there]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else.")
def compact(
    dataset: str,
    partitions: tuple[str, ...],
    *,
    target_mb: int | None,
    flights: str | None,
    everything: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Merge the files of DATASET, a folder or prefix, into few sorted ones, with its flights whole.

    For the output of `run`, of a worker and of the Lambda function. Flights that were cut between files or at midnight become
    one, rows that several files have are kept once. Settings are those that the files were written with; only --set, and
    options above, change them. What is compact already is left alone. Readers see the data set as it was or as it will be; in
    an object store it is complete while _compaction.json is there.

    \b
    Examples:
      flight-etl compact flights
      flight-etl compact s3://lake/processed --partition 2024-03-31 --json
      flight-etl compact flights --table iceberg
    """
    named = {assignment.partition("=")[0] for assignment in options["assignments"]}
    chosen = {name for name in named if not name.startswith("table.")}  # where a table is shapes no rows
    chosen |= {".".join(FLAGS[flag]) for flag, key in _SHAPING.items() if options[key] is not None}
    settings = settings_of(options)
    from flight_etl.runners import compact as runner
    from flight_etl.runners import flight_table, show

    request = runner.CompactRequest(
        dataset=dataset,
        partitions=partitions,
        everything=everything,
        target_mb=target_mb or runner.TARGET_MB,
        chosen=frozenset(chosen),
    )
    try:
        if flights is not None:
            flight_table.check_place(flights, dataset)
        report = runner.compact(request, settings)
        if flights is not None:
            flight_table.write_flights(dataset, flights, settings)
            report = replace(report, flight_table=flights)
    except FlightEtlError as error:
        if as_json and error.exit_code == 1:
            click.echo(json.dumps({"error": str(error)}, indent=2))
        raise
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        show.report(report)


_SHAPING: Final = {"--compression": "compression", "--partition-by": "partition_by"}
