"""Text in columns, for people; emphasis that a terminal shows and a pipe does not get (click leaves it out there)."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["columns", "pairs", "tell"]

_GAP: Final = "  "
_LEAST: Final = 20  # characters that text gets however narrow the terminal is


def pairs(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Names and what is said of each, wrapped between words so that no line is longer than `width`."""
    indent = max(len(name) for name, _ in rows) + len(_GAP)
    lines = []
    for name, text in rows:
        parts = textwrap.wrap(text, max(width - indent, _LEAST), break_long_words=False, break_on_hyphens=False) or [""]
        lines.append(click.style(name, bold=True) + " " * (indent - len(name)) + parts[0])
        lines += [" " * indent + part for part in parts[1:]]
    return "\n".join(line.rstrip() for line in lines)


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0) -> str:
    """Rows under their heads, each column as wide as its widest cell; the last `numbers` columns stand right."""
    widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
    first = len(heads) - numbers
    lines = [
        _GAP.join(
            cell.ljust(size) if at < first else cell.rjust(size) for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]
    return "\n".join([click.style(lines[0].rstrip(), dim=True), *(line.rstrip() for line in lines[1:])])


def tell(text: str, *, error: bool = False, strong: bool = False) -> None:
    """Print a line to standard output, or to standard error."""
    click.secho(text, err=error, bold=strong or None)
