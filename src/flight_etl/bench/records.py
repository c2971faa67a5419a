"""Figures as JSON, CSV, Markdown and, where matplotlib is installed, as a chart."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from flight_etl.bench.cases import OURS
from flight_etl.bench.compare import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flight_etl.bench.compare import Comparison, Figure

__all__ = ["chart", "markdown", "save"]

_COLUMNS = (
    *("task", "contender", "rows", "threads", "seconds", "fastest_s", "cpu_seconds", "peak_rss_mb", "input_mb", "output_mb"),
)
_HEADS = ("task", "rows", "threads", "who", "seconds", "CPU, s", "records/s", "peak RSS, MB", "output, MB")


def save(found: Comparison, folder: Path, name: str, *, command: str) -> list[Path]:
    """Write NAME.json, .csv, .md and, where there are peers and matplotlib is installed, .png. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ".json": json.dumps(found.to_json() | {"command": command}, indent=2) + "\n",
        ".csv": _csv(found),
        ".md": markdown(found, title=name, command=command),
    }
    paths = []
    for ending, text in texts.items():
        path = folder / f"{name}{ending}"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    picture = folder / f"{name}.png"
    return [*paths, picture] if chart(found, picture) else paths


def _csv(found: Comparison) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(one, name) for name in _COLUMNS] for one in found.figures)
    return text.getvalue()


def markdown(found: Comparison, *, title: str, command: str) -> str:
    """The record that people read: what was measured, on what, all figures, and ours against the best peer."""
    about = found.machine
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    parts = [
        f"# {title}\n",
        f"    {command}\n",
        f"{about['processor']}, {about['cores']} cores, {about['system']}; {versions}; load {about['load'][0]} at the beginning.",
        f"Medians of {found.rounds} rounds in which all take turns, each in a fresh process, after one round for warming up in",
        "which rows and sums of all outputs were compared. Seconds are of the process; of `parse`, CPU of the parse alone.\n",
        _table(_HEADS, [_line(one) for one in found.figures]),
    ]
    ratios = [ratio(found, one) for one in found.figures if one.contender == OURS]
    ratios = [one for one in ratios if one["best_peer"]]
    if ratios:
        heads = ("task", "rows", "threads", "best peer", "times faster", "less CPU", "goal", "size to DuckDB's")
        lines = [
            (
                *(one["task"], f"{one['rows']:,}", str(one["threads"]), one["best_peer"], f"{one['times_faster']:.2f}"),
                *(f"{one['times_less_cpu']:.2f}", f"{one['goal']:.1f}", str(one["size_to_duckdb"] or "-")),
            )
            for one in ratios
        ]
        parts.append(_table(heads, lines))
    return "\n".join(parts)


def _line(one: Figure) -> tuple[str, ...]:
    size = f"{one.output_mb:.1f}" if one.output_mb else "-"
    times = (f"{one.seconds:.2f}", f"{one.cpu_seconds:.2f}", f"{one.rows / one.seconds:,.0f}")
    return (one.task, f"{one.rows:,}", str(one.threads), one.contender, *times, f"{one.peak_rss_mb:.0f}", size)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def chart(found: Comparison, path: Path) -> bool:
    """Draw seconds by task and contender at the most rows and threads; False without peers or without matplotlib."""
    figures = [one for one in found.figures if one.rows == max(other.rows for other in found.figures)]
    names = sorted({one.contender for one in figures}, key=lambda name: (name != OURS, name))
    if len(names) < 2:  # noqa: PLR2004
        return False
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Picture
    except ImportError:
        return False
    tasks = list(dict.fromkeys(one.task for one in figures))
    picture = Picture(figsize=(9, 5), layout="constrained")
    axes = picture.add_subplot()
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        most = {one.task: one.seconds for one in sorted(figures, key=lambda one: one.threads) if one.contender == name}
        places = [tasks.index(task) + (number - (len(names) - 1) / 2) * width for task in most]
        bars = axes.bar(places, list(most.values()), width, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize=7)
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_ylabel("seconds")
    axes.set_title(f"{figures[0].rows:,} records; less is better")
    axes.legend()
    FigureCanvasAgg(picture).print_figure(path, dpi=110)
    return True
