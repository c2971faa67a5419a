"""Options that several commands share, by name, and how what is typed there is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from flight_etl.runners.options import CONFIG_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., Any]

__all__ = ["COMMON", "LAYOUTS", "options"]

LAYOUTS: Final = (
    *("adsbx-v1", "adsbx-v2", "flat", "flat-columns", "fr24"),
    *("opensky", "opensky-history", "opensky-objects", "readsb", "trace"),
)  # as core/decode/layouts.py has them; a test holds the two together, since importing that takes a while


def options(*names: str) -> Callable[[Command], Command]:
    """Add the options of these names, in this order."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = _OPTIONS[name](command)
        return command

    return decorate


def _epoch_ms(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Read a moment: ISO 8601 (UTC where it names no zone), or seconds since 1970."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        try:
            return round(float(value) * 1000)
        except (ValueError, OverflowError):
            raise click.BadParameter(f"{value!r} is no time: ISO 8601, or seconds since 1970 UTC") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _bbox(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        west, south, east, north = (float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no box: four numbers W,S,E,N in degrees, for example 1.5,48,3.5,49.5") from None
    return west, south, east, north


_OPTIONS: Final[dict[str, Callable[[Command], Command]]] = {
    "layout": click.option("--layout", type=click.Choice(LAYOUTS), help="Layout of the inputs.  [default: by content]"),
    "units": click.option(
        "--units",
        type=click.Choice(("si", "aviation")),
        help="Of flat records: m and m/s, or ft, kt, ft/min.  [default: si]",
    ),
    "compression": click.option(
        "--compression", type=click.Choice(("snappy", "zstd", "lz4", "gzip", "none")), help="Of Parquet.  [default: snappy]"
    ),
    "partition-by": click.option(
        "--partition-by", type=click.Choice(("date",)), help="Write folders date=YYYY-MM-DD by UTC day."
    ),
    "overwrite": click.option("--overwrite", is_flag=True, default=None, help="Write an output anew that is there already."),
    "dedupe": click.option(
        "--dedupe",
        type=click.Choice(("first", "last", "best_quality", "none")),
        help="Which row of an aircraft at one moment is kept.  [default: best_quality]",
    ),
    "tolerance-s": click.option("--tolerance-s", metavar="SECONDS", help="Rows so close are one.  [default: 0]"),
    "phase-method": click.option(
        "--phase-method",
        type=click.Choice(("context", "rules")),
        help="Phases by flight or by point.  [default: context]",
    ),
    "workers": click.option("--workers", metavar="N", help="Threads.  [default: one per core]"),
    "chunk-size": click.option("--chunk-size", metavar="ROWS", help="Rows per batch.  [default: as memory permits]"),
    "memory-limit-mb": click.option(
        "--memory-limit-mb", metavar="MB", help="Bound on the memory of the process.  [default: half of what is free]"
    ),
    "spill-dir": click.option(
        "--spill-dir", type=click.Path(file_okay=False), help="For rows that do not fit.  [default: beside the output]"
    ),
    "icao24": click.option(
        "--icao24", multiple=True, metavar="HEX", help="Keep only these aircraft; may be repeated, or a list a,b."
    ),
    "bbox": click.option("--bbox", metavar="W,S,E,N", callback=_bbox, help="Keep only positions in this box, degrees."),
    "from": click.option("--from", "start_ms", metavar="TIME", callback=_epoch_ms, help="Keep only rows from this moment on."),
    "to": click.option("--to", "end_ms", metavar="TIME", callback=_epoch_ms, help="Keep only rows before this moment."),
    "set": click.option(
        "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other setting, as in flight-etl.toml."
    ),
    "config": click.option(
        "--config", type=click.Path(exists=True, dir_okay=False), help=f"Settings file.  [default: {CONFIG_FILE}, if it is there]"
    ),
    "json": click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, and nothing else."),
}
COMMON: Final = (
    *("layout", "units", "icao24", "bbox", "from", "to", "compression", "overwrite"),
    *("workers", "chunk-size", "memory-limit-mb", "spill-dir", "set", "config", "json"),
)
