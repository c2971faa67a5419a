"""`flight-etl backfill`: archives of any size, by an engine that spreads the work over many processes or machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from flight_etl.errors import FlightEtlError
from flight_etl.runners.cli_options import options as shared
from flight_etl.runners.options import settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.report import Report
    from flight_etl.settings import Settings

__all__ = ["backfill"]


def _pairs(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if wrong := [key for key, mark, _ in pairs if not (key and mark)]:
        raise click.BadParameter(f"{wrong[0]!r} is no setting of the engine: KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _spark(
    inputs: tuple[str, ...], output: str, settings: Settings, *, master: str | None, conf: dict[str, str], partitions: int | None
) -> Report:
    from flight_etl.runners import spark as engine

    spark = engine.session(master, conf, python=sys.executable)
    try:
        return engine.backfill(spark, inputs, output, settings, partitions=partitions)
    finally:
        spark.stop()


_ENGINES: Final[dict[str, Callable[..., Report]]] = {"spark": _spark}


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("--output", "-o", required=True, metavar="DIR", help="Folder or URL for the data set, in folders date=YYYY-MM-DD.")
@click.option("--engine", type=click.Choice(sorted(_ENGINES)), default="spark", show_default=True, help="What spreads the work.")
@click.option("--master", metavar="URL", help="Of Spark, such as local[2].  [default: as spark-submit says]")
@click.option("--conf", multiple=True, metavar="KEY=VALUE", callback=_pairs, help="Setting of the engine; may be repeated.")
@click.option(
    "--partitions", type=click.IntRange(min=1), metavar="N", help="Files for each date.  [default: 1 for each 500,000 rows]"
)
@shared(
    *("layout", "units", "icao24", "bbox", "from", "to", "compression", "overwrite", "dedupe", "tolerance-s", "phase-method"),
    *("chunk-size", "memory-limit-mb", "spill-dir", "set", "config", "json"),
)
@click.option("--table", type=click.Choice(("iceberg", "delta")), help="Keep a table of the files: docs/tables.md.")
def backfill(inputs: tuple[str, ...], output: str, engine: str, *, as_json: bool, **options: Any) -> None:
    """Go the whole way as `run` does, with the same rows, on a cluster.

    Needs `pip install 'flight-etl[spark]'` and Java 17; docs/spark.md tells how to submit it. --memory-limit-mb bounds each
    process of Python, 1024 unless given.

    \b
    Examples:
      flight-etl backfill --master 'local[2]' recordings/ -o flights
      flight-etl backfill --engine spark s3://raw/2024/ -o s3://flights/2024
    """
    own = {name: options.pop(name) for name in ("master", "conf", "partitions")}
    settings = settings_of(options)
    try:
        report = _ENGINES[engine](inputs, output, settings, **own)
    except FlightEtlError as error:
        if as_json and error.exit_code == 1:
            from flight_etl.report import Report

            click.echo(json.dumps(Report(inputs=()).to_json() | {"error": str(error)}, indent=2))
        raise
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        from flight_etl.runners import show

        show.report(report)
    sys.exit(report.exit_code)
