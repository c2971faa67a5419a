"""Reports for people, on a terminal or in a pipe."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from flight_etl.runners.cli_text import columns, pairs, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flight_etl.report import Report
    from flight_etl.runners.local import Inspection
    from flight_etl.runners.records import Progress as Step

__all__ = ["bar", "inspection", "inspection_json", "report"]

_MB: Final = 1e6
_WIDTH: Final = 110  # columns in a pipe
_VALUES_WIDTH: Final = 52  # characters of first rows, so that names and types keep their room
_MOST_INPUTS: Final = 20  # inputs that are listed; failed ones always are
_PATIENCE_S: Final = 0.5  # s before a bar is drawn
_ELSEWHERE: Final = ("looks.", "phase.", "outlier.", "duplicate.", "stale", "imputed.")  # counts that other lines tell
_STAGES: Final = {"reading": "decode and clean", "tracks": "tracks and write"}
_PHASES: Final = ("ground", "taxi", "takeoff", "climb", "cruise", "descent", "approach", "landing", "unknown")


@contextmanager
def bar() -> Iterator[Callable[[Step], None]]:
    """Show a progress bar on standard error, and give the function that moves it; nothing for work that is done at once.

    The library that draws it takes longer to import than a small input to be read.
    """
    begun = time.monotonic()
    with ExitStack() as stack:
        drawn: list[Callable[[Step], None]] = []

        def advance(step: Step) -> None:
            if not drawn and time.monotonic() - begun > _PATIENCE_S:
                drawn.append(stack.enter_context(_drawn_bar()))
            for one in drawn:
                one(step)

        yield advance


@contextmanager
def _drawn_bar() -> Iterator[Callable[[Step], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description:16}"), BarColumn(), TextColumn("{task.fields[rows]:>14} rows"))
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Progress(*parts, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as shown:
        tasks: dict[str, Any] = {}

        def advance(step: Step) -> None:
            if step.stage not in tasks:
                for task in tasks.values():
                    shown.remove_task(task)
                tasks.clear()
                tasks[step.stage] = shown.add_task(_STAGES.get(step.stage, step.stage), rows="0")
            shown.update(tasks[step.stage], completed=step.bytes_done, total=max(step.bytes_total, 1), rows=f"{step.rows:,}")

        yield advance


def _width() -> int:
    """Columns of the terminal, or in a pipe enough for what is wrapped."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH


def report(done: Report) -> None:
    """Print the account of a run."""
    grid: list[tuple[str, str]] = []
    dropped = done.dropped
    taken = [one for one in done.inputs if not one.skipped]
    grid.append(("read", f"{done.read:,} records of {_plural(len(taken), 'input')} ({_size(done.bytes_in)})"))
    if len(taken) < len(done.inputs):
        grid.append(("skipped", f"{_plural(len(done.inputs) - len(taken), 'input')} that an earlier run has done"))
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in dropped.items()) or "none"
    grid.append(("dropped", reasons))
    grid.append(("written", f"{done.written:,} rows, {_plural(len(done.outputs), 'file')} ({_size(done.bytes_out)})"))
    tracks = [_plural(done.aircraft, "aircraft", "aircraft")] if done.aircraft else []
    tracks += [_plural(done.flights, "flight")] if done.flights else []
    if tracks:
        grid.append(("tracks", ", ".join(tracks)))
    if done.table:
        told = "{format}: {files:,} files, {added:,} added, {removed:,} removed, version {version}".format(**done.table)
        grid.append(("table", told))
    if done.phases:
        whole = max(sum(done.phases.values()), 1)
        shares = (f"{name} {100 * done.phases[name] / whole:.1f} %" for name in _PHASES if name in done.phases)
        grid.append(("phases", ", ".join(shares)))
    notable = {k: v for k, v in done.counts.items() if not k.startswith(_ELSEWHERE)}
    if notable:
        grid.append(("values", ", ".join(f"{number:,} {_rule(rule)}" for rule, number in notable.items())))
    grid += list(_quality(done.quality))
    speed = done.read / done.seconds if done.seconds else 0
    grid.append(("took", f"{done.seconds:.1f} s ({speed:,.0f} records/s), {done.peak_rss_mb:,.0f} MB at most"))
    if done.decoder == "reference":
        grid.append(("decoder", "reference, the slow one: there was no C compiler when flight-etl was installed"))
    tell(pairs(grid, _width()))
    if sum(not one.skipped for one in done.inputs) > 1 or done.failed:
        tell(_inputs(done))
    if done.quality.get("first_jumps"):
        tell(_jumps(done.quality))
    for path in done.outputs[:3]:
        tell(f"-> {path}")
    if len(done.outputs) > 3:  # noqa: PLR2004
        tell(f"   and {len(done.outputs) - 3} more")
    if done.flight_table:
        tell(f"flights: {done.flight_table}")
    if done.quarantine:
        tell(f"dropped records: {done.quarantine}")
    for note in done.notes:
        tell(f"note: {note}", error=True)
    for one in done.failed:
        tell(f"failed: {_named(one.path, one.error)}", error=True, strong=True)


def _named(path: str, error: str | None) -> str:
    """Error with the path in front, unless it names it itself."""
    return error if error is not None and path in error else f"{path}: {error}"


def _quality(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines about the rows written; none for a report that says nothing of them."""
    units = told.get("units")
    if units:
        number = _plural(units["inputs"], "input")
        yield (
            "units?",
            f"{number} and {_plural(units['aircraft'], 'aircraft', 'aircraft')} look like feet and knots, see the note",
        )
    if "rows" not in told:
        return
    age = told["position_age_s"]
    parts = [f"{_percent(told['coverage'])} of rows have a believed position that is new and at most 60 s old"]
    if age["known"]:
        parts.append(f"age {age['p50']:g} s (median), {age['p95']:g} s (95 %)")
    yield "coverage", "; ".join(parts)
    repairs = [f"{_percent(told['stale_share'])} stale", f"{_percent(told['imputed_share'])} filled"]
    yield "rows", ", ".join([*repairs, *(f"{number:,} {name} filled" for name, number in told["imputed"].items())])
    if told["outliers"]:
        found = ", ".join(f"{number:,} {rule.replace('_', ' ')}" for rule, number in told["outliers"].items())
        yield "outliers", f"{found}: positions that cannot have been reached, in {_plural(told['jumps'], 'jump')}"
    for place in told["shared_places"][:3]:
        north, east = place["near"]
        aircraft = ", ".join(place["first_aircraft"])
        yield "jammed?", f"{_plural(place['jumps'], 'jump')} of {aircraft} and perhaps others to near {north:.2f}, {east:.2f}"
    if told["duplicates"]:
        yield "duplicates", ", ".join(f"{number:,} {source}" for source, number in told["duplicates"].items())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _jumps(told: Mapping[str, Any]) -> str:
    """The first jumps to places that cannot have been reached."""
    rows = []
    for jump in told["first_jumps"]:
        places = ["-" if point is None else f"{point[0]:.4f} {point[1]:.4f}" for point in (jump["from"], jump["to"])]
        km, mps = jump["km"], jump["implied_mps"]
        pace = ("-", "-") if km is None else (f"{km:,.1f}", f"{mps / 1_000:,.2f}")
        rows.append((jump["icao24"], jump["time"].partition("+")[0].replace("T", " "), *places, *pace))
    if told["jumps"] > len(told["first_jumps"]):
        rows.append((f"and {told['jumps'] - len(told['first_jumps']):,} more", "", "", "", "", ""))
    return columns(("aircraft", "time (UTC)", "from", "to", "km", "km/s"), rows, numbers=2)


def _inputs(done: Report) -> str:
    taken = tuple(one for one in done.inputs if one.error or not one.skipped)
    shown = taken[:_MOST_INPUTS] + tuple(one for one in taken[_MOST_INPUTS:] if one.error)
    rows = []
    for one in shown:
        name = f"{one.path} (failed)" if one.error else one.path
        rows.append((name, one.layout or "-", f"{one.read:,}", f"{sum(one.dropped.values()):,}", f"{one.written:,}"))
    if len(shown) < len(taken):
        rows.append((f"and {len(taken) - len(shown)} more", "", "", "", ""))
    return columns(("input", "layout", "read", "dropped", "written"), rows, numbers=3)


def _rule(name: str) -> str:
    """A rule's name as it stands after a number."""
    kind, _, rest = name.partition(".")
    if kind == "nulled":
        return f"nulled by {rest}"
    return f"{kind} {rest}".replace("_", " ").strip()


def _plural(number: int, word: str, many: str | None = None) -> str:
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def _size(number: int) -> str:
    return f"{number / _MB:,.1f} MB" if number >= _MB / 10 else f"{number:,} B"


def inspection(found: Inspection) -> None:
    """Print what a file holds."""
    grid: list[tuple[str, str]] = []
    grid.append(("file", f"{found.path} ({_size(found.size_bytes)})"))
    grid.append(("layout", found.layout or "none: it is empty"))
    reasons = "".join(f", {number:,} {reason}" for reason, number in found.dropped.items())
    grid.append(("records", f"{found.read:,} ({found.kept:,} good{reasons})"))
    grid.append(("aircraft", f"{found.aircraft:,}"))
    if found.first_time is not None and found.last_time is not None:
        grid.append(("time", f"{found.first_time:%Y-%m-%d %H:%M:%S} to {found.last_time:%Y-%m-%d %H:%M:%S} UTC"))
    tell(pairs(grid, _width()))
    rows = []
    for field in found.schema:
        values = found.first_rows[field.name].slice(0, 4).to_pylist()
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        first = "  ".join("-" if v is None else _value(v) for v in values)
        short = first if len(first) <= _VALUES_WIDTH else f"{first[: _VALUES_WIDTH - 1]}\N{HORIZONTAL ELLIPSIS}"
        rows.append((field.name, _type(str(field.type)), unit, short))
    tell(columns(("column", "type", "unit", "first rows"), rows))
    for warning in found.warnings:
        tell(f"note: {warning}", error=True)
    if found.error:
        tell(f"failed: {found.error}", error=True, strong=True)


def _type(name: str) -> str:
    return "text" if name.startswith(("dictionary", "string")) else name.partition("[")[0]  # the unit stands beside it


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else f"{value:%H:%M:%S}" if hasattr(value, "hour") else str(value)


def inspection_json(found: Inspection) -> dict[str, Any]:
    """Give what a file holds as JSON values."""
    rows = found.first_rows.to_pylist()
    return {
        "path": found.path,
        "layout": found.layout,
        "size_bytes": found.size_bytes,
        "read": found.read,
        "kept": found.kept,
        "dropped": found.dropped,
        "counts": found.counts,
        "aircraft": found.aircraft,
        "first_time": found.first_time.isoformat() if found.first_time else None,
        "last_time": found.last_time.isoformat() if found.last_time else None,
        "columns": [
            {"name": f.name, "type": str(f.type), "unit": (f.metadata or {}).get(b"unit", b"").decode()} for f in found.schema
        ],
        "first_rows": [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()} for row in rows],
        "notes": list(found.warnings),
        "error": found.error,
    }
