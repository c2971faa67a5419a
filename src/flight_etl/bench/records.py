"""Figures as JSON, CSV, Markdown and, where matplotlib is installed, as a chart."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from flight_etl.bench.cases import LIMITS, OURS, SCALE, TASKS
from flight_etl.bench.verdicts import distance, goals, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flight_etl.bench.compare import Comparison, Figure

__all__ = ["chart", "markdown", "save"]

_COLUMNS = (
    *("task", "contender", "rows", "threads", "seconds", "fastest_s", "cpu_seconds", "peak_rss_mb"),
    *("input_mb", "json_mb", "output_mb"),
)
_HEADS = ("task", "rows", "threads", "who", "seconds", "CPU, s", "records/s", "peak RSS, MB", "output, MB")


def save(found: Comparison, folder: Path, name: str, *, command: str) -> list[Path]:
    """Write NAME.json, .csv, .md and, where matplotlib is installed, .png of the peers and -scaling.png. Raises OSError."""
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
    pictures = {folder / f"{name}.png": chart, folder / f"{name}-scaling.png": curves}
    return paths + [path for path, draw in pictures.items() if draw(found, path)]


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
        "which rows and sums of all outputs were compared. Seconds are of the process; of `parse` and of limits, CPU",
        "of that alone. Memory is the sum of the peaks of all processes, MB are 10^6 B.\n",
        _table(_HEADS, [_line(one) for one in found.figures]),
    ]
    parts += _ratios(found.figures) + _distances(found.figures) + _goals(found.figures)
    return "\n".join(parts)


def _ratios(figures: Sequence[Figure]) -> list[str]:
    """Ours against the best peer."""
    found = [ratio(figures, one) for one in figures if one.contender == OURS]
    lines = [
        (
            *(one["task"], f"{one['rows']:,}", str(one["threads"]), one["best_peer"], f"{one['times_faster']:.2f}"),
            *(f"{one['times_less_cpu']:.2f}", f"{one['goal']:.1f}", str(one["size_to_duckdb"] or "-")),
        )
        for one in found
        if one["best_peer"]
    ]
    heads = ("task", "rows", "threads", "best peer", "times faster", "less CPU", "goal", "size to DuckDB's")
    return [_table(heads, lines)] if lines else []


def _distances(figures: Sequence[Figure]) -> list[str]:
    """Ours against the limits: CPU of our process, its start included, by that of parsing alone and of writing alone."""
    found = [one for own in figures if own.contender == OURS and (one := distance(figures, own))]
    lines = [
        (
            *(one["task"], f"{one['rows']:,}", str(one["threads"]), f"{one['parse_s']:.3f}"),
            *("-" if one["write_s"] is None else f"{one['write_s']:.3f}", f"{one['cpu_s']:.3f}", f"{one['times_the_limit']:.1f}"),
        )
        for one in found
    ]
    heads = ("task", "rows", "threads", "simdjson parses, s", "pyarrow writes, s", "flight-etl, CPU s", "times the limit")
    text = "Limits are CPU of simdjson's parse with no value taken out, and of pyarrow writing our rows in our form.\n"
    return [text, _table(heads, lines)] if lines else []


def _goals(figures: Sequence[Figure]) -> list[str]:
    lines = [(one.what, one.goal, one.reached, one.by_cpu, "met" if one.met else "missed") for one in goals(figures)]
    return ["What was promised:\n", _table(("what", "goal", "reached", "by CPU", "verdict"), lines)] if lines else []


def _line(one: Figure) -> tuple[str, ...]:
    size = f"{one.output_mb:.1f}" if one.output_mb else "-"
    times = (f"{one.seconds:.2f}", f"{one.cpu_seconds:.2f}", f"{one.rows / one.seconds:,.0f}")
    return (one.task, f"{one.rows:,}", str(one.threads), one.contender, *times, f"{one.peak_rss_mb:.0f}", size)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def chart(found: Comparison, path: Path) -> bool:
    """Draw seconds by task and contender at the most rows and threads; False without peers or without matplotlib."""
    figures = [one for one in found.figures if one.task in {task.name for task in TASKS} and one.contender not in LIMITS]
    figures = [one for one in figures if one.rows == max(other.rows for other in figures)]
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


def curves(found: Comparison, path: Path) -> bool:
    """Draw seconds and peak memory by rows; False where scaling was not measured, or without matplotlib."""
    figures = [one for one in found.figures if one.task == SCALE]
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Picture
    except ImportError:
        return False
    if not figures:
        return False
    picture = Picture(figsize=(9, 4), layout="constrained")
    seconds, memory = picture.subplots(1, 2)
    for name, threads in dict.fromkeys((one.contender, one.threads) for one in figures):
        points = [one for one in figures if (one.contender, one.threads) == (name, threads)]
        label = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
        seconds.loglog([one.rows for one in points], [one.seconds for one in points], marker="o", label=label)
        memory.semilogx([one.rows for one in points], [one.peak_rss_mb for one in points], marker="o", label=label)
    seconds.set_ylabel("seconds")
    memory.set_ylabel("peak RSS, MB")
    memory.set_ylim(bottom=0)
    for axes in (seconds, memory):
        axes.set_xlabel("flat records")
        axes.legend(fontsize=7)
    FigureCanvasAgg(picture).print_figure(path, dpi=110)
    return True
