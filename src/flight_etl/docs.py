"""The pages of `docs/` that are written from the code: `python -m flight_etl.docs` writes them, `--check` compares them."""

from __future__ import annotations

import inspect
import io
import tokenize
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from flight_etl.core.clean import RULES
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.errors import SettingsError
from flight_etl.outcome import Reason
from flight_etl.runners.cli import cli
from flight_etl.runners.options import FLAGS as OPTIONS
from flight_etl.schema import ENRICHED_ONLY, FLIGHTS, NORMAL, SCHEMA_VERSION, Column
from flight_etl.settings import ENVIRONMENT, Settings
from flight_etl.settings_rules import override
from flight_etl.units import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flight_etl.core.decode.layout import Field, Layout

__all__ = ["PAGES", "main"]

_TOP_NOTES: Final = {"units": "what numbers of flat records mean whose names do not say it: m and m/s, or ft, kt and ft/min"}
_MADE: Final = "<!-- Written by `python -m flight_etl.docs`; change the code, not this page. -->\n"


def schema_page() -> str:
    """Every column of the output, from schema.py."""
    return _page(
        "Columns of the output",
        f"Schema version {SCHEMA_VERSION}. One row is one observation of one aircraft. Each column carries its unit, description "
        "and meaning of null in the metadata of its Arrow field, which Parquet files keep.",
        "## Reported (NORMAL)",
        "Written by `run` and `convert`, given by `flight_etl.read`.",
        _columns(NORMAL),
        "## Derived (ENRICHED)",
        "Written by `run`, given by `flight_etl.transform`, beside the reported ones. Columns marked with a feature are absent "
        "where `motion.enabled` (calculated_fields) or `phase.enabled` (flight_phases) is false.",
        _columns(ENRICHED_ONLY),
        "## Undeclared keys of the source",
        "Scalars become columns of their own behind these, by name; nested values are kept as JSON text. Beyond "
        "`decode.max_extra_columns` keys the rest share `extra_json`. A name that is taken gets the prefix `extra_`.",
        "## Flights",
        "Written by `run --flights` and `compact --flights`, given by `flight_etl.flights`: one row for each flight of the data "
        "set, sorted by `flight_id` ([ADR 0020](adr/0020-a-table-of-flights.md)). All columns are always there; those of a "
        "feature that is off are null.",
        _columns(FLIGHTS),
    )


def _columns(columns: Iterable[Column]) -> str:
    rows = [(f"`{c.name}`", _type_of(c), c.unit, c.about, c.null, c.feature or "") for c in columns]
    return _table(("column", "type", "unit", "meaning", "null means", "feature"), rows)


def _type_of(column: Column) -> str:
    return str(column.type).replace("dictionary<values=string, indices=int32, ordered=0>", "string (dictionary)")


def cli_page() -> str:
    """Every command and option, from runners/cli.py."""
    parts = [_help(cli), *_commands(cli, click.Context(cli, info_name="flight-etl", **cli.context_settings), "flight-etl")]
    parts.append("Precedence: option, environment, `flight-etl.toml`, default; see [settings](settings.md).")
    return _page("Command line", *parts)


def _commands(group: click.Group, context: click.Context, path: str) -> Iterator[str]:
    """Sections of a group's commands, and of those below them."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        yield f"## {path} {name}"
        yield f"    {path} {name} {usage}"
        yield _help(command)
        if isinstance(command, click.Group):
            yield from _commands(command, inner, f"{path} {name}")
            continue
        records = [record for p in command.get_params(inner) if (record := p.get_help_record(inner)) is not None]
        yield _table(("argument or option", "meaning"), [(f"`{options}`", about) for options, about in records])


def _help(command: click.Command) -> str:
    """Help text as Markdown: paragraphs, and examples as code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_verbatim(p) if p.startswith("\b") else " ".join(p.split("\n")) for p in paragraphs)


def _verbatim(paragraph: str) -> str:
    """Lines that click does not wrap: examples below a title, or a single line."""
    title, *lines = paragraph.removeprefix("\b").strip().split("\n")
    return "\n".join([title, "", *(f"    {line.strip()}" for line in lines)]) if lines else title


def settings_page() -> str:
    """Every setting, from settings.py."""
    variables = {place: name for name, place in ENVIRONMENT.items()}
    options = {place: option for option, place in OPTIONS.items()}
    sections = [f for f in fields(Settings) if is_dataclass(getattr(Settings(), f.name))]
    top = [f for f in fields(Settings) if f not in sections]

    def row(section: str, name: str, default: Any, note: str) -> tuple[str, ...]:
        place = (section, name)
        names = [f"`{found}`" for found in (variables.get(place), options.get(place)) if found]
        return f"`{name}`", _value(default), _permitted(section, name), note, ", ".join(names)

    heads = ("setting", "default", "permitted", "meaning", "environment, option")
    intro = (
        "In `flight-etl.toml` each heading is a table and each setting a key; on the command line `--set SECTION.KEY=VALUE` sets "
        "any of them, and for some there is an option or an environment variable. Precedence: option, environment, file, "
        "default. In Python they are the dataclasses of `flight_etl.settings`."
    )
    parts = [intro, _table(heads, [row("", f.name, getattr(Settings(), f.name), _TOP_NOTES[f.name]) for f in top])]
    for section in sections:
        value = getattr(Settings(), section.name)
        said = _comments(type(value))
        parts += [f"## {section.name}", inspect.cleandoc(type(value).__doc__ or "")]
        parts.append(
            _table(heads, [row(section.name, f.name, getattr(value, f.name), said.get(f.name, "")) for f in fields(value)])
        )
    return _page("Settings", *parts)


def _permitted(section: str, name: str) -> str:
    """Words of the message that a wrong value brings."""
    try:
        override(Settings(), section, name, object())
    except SettingsError as error:
        return error.message.split(" is not permitted: ", 1)[1]
    raise AssertionError(f"{section}.{name} takes anything")


def _value(default: Any) -> str:
    if default is None or default == ():
        return ""
    if isinstance(default, tuple):
        return "<br>".join(f"`{'='.join(map(str, one))}`" for one in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def layouts_page() -> str:
    """Every input layout, from core/decode/layouts.py."""
    intro = (
        "The layout of an input is recognised by its content; `--layout` overrules that. Files may be plain, gzip or zstd. Of "
        "several keys the first that is not null counts, of several rows for one column likewise. Numbers may be quoted, and an "
        "empty string is null. Keys that are not listed are kept as extra columns."
    )
    parts = [intro]
    told: dict[tuple[Field, ...], str] = {}
    for name, layout in LAYOUTS.items():
        form = "CSV with a header" if layout.rows == "csv" else _places(layout)
        like = told.setdefault(layout.fields, name)
        parts += [f"## {name}", f"{layout.about}.", f"Records: {form}."]
        parts += _keys(layout) if like == name else [f"Keys, units and columns as in [{like}](#{like})."]
    return _page("Input layouts", *parts)


def _places(layout: Layout) -> str:
    return ", ".join(f"`{'.'.join(path)}`" if path else "the document itself" for path in layout.records)


def _keys(layout: Layout) -> list[str]:
    rows = [(_source_of(f), _unit_of(f), f"`{f.target}`" if f.target else "judges the others") for f in layout.fields]
    parts = [_table(("key", "kind and unit", "column"), rows)]
    for variant in layout.variants:
        moved = "; ".join(f"{name} {'not sent' if at is None else f'at {at}'}" for name, at in variant.index)
        parts.append(f"Rows of {variant.width} values with true or false at {variant.bool_at} (`{variant.name}`): {moved}.")
    extra = [f"`{name}` at {at}" for at, name in layout.extra_columns] + [f"`{name}`" for name, _ in layout.envelope_extras]
    if layout.extra_object is not None:
        extra.append(f"other members of the object at {layout.extra_object}")
    if extra:
        parts.append(f"Kept as extra columns: {', '.join(extra)}.")
    return parts


def _source_of(field: Field) -> str:
    where = f"position {field.index}" if field.index is not None else " / ".join(f"`{key}`" for key in field.keys)
    below = f", below it `{'.'.join(field.path)}`" if field.path else ""
    marks = [word for word, on in (("of the document", field.envelope), ("holds until the next", field.carry)) if on]
    return where + below + (f" ({', '.join(marks)})" if marks else "")


def _unit_of(field: Field) -> str:
    return str(field.kind) if field.unit is Unit.NONE else f"{field.kind}, {field.unit}"


def rules_page() -> str:
    """Why values are nulled and records dropped, from core/clean.py and outcome.py."""
    rules = [(f"`nulled.{r.name}`", ", ".join(f"`{c}`" for c in r.columns), r.limit, r.source) for r in RULES]
    notes = _comments(Reason)
    reasons = [(f"`{r.value}`", notes.get(r.name, r.value.replace("_", " "))) for r in Reason]
    return _page(
        "Plausibility rules and reasons",
        "## Values that become null",
        "A value that cannot be true becomes null; its row stays. The count of each rule is in the report under `counts`. The "
        "limits named here are [settings](settings.md#clean).",
        _table(("rule", "columns", "a true value has", "why"), rules),
        "## Records that are dropped",
        "Every record that is read is written, or dropped with one of these reasons and listed in `_quarantine.ndjson`: "
        "`read == written + Σ dropped`.",
        _table(("reason", "meaning"), reasons),
    )


def _page(title: str, *parts: str) -> str:
    return f"{_MADE}\n# {title}\n\n" + "\n\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _comments(owner: type) -> dict[str, str]:
    """Trailing comment of each line of a class body that begins with a name, by that name."""
    notes: dict[str, str] = {}
    first = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(owner)).readline):
        if token.type == tokenize.NAME and not token.line[: token.start[1]].strip():
            first = token.string
        elif token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
            notes.setdefault(first, token.string.lstrip("# "))
    return notes


PAGES: Final[dict[str, Callable[[], str]]] = {
    "schema.md": schema_page,
    "cli.md": cli_page,
    "settings.md": settings_page,
    "layouts.md": layouts_page,
    "rules.md": rules_page,
}


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where a page is not what the code says.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default="docs", show_default=True)
def main(*, check: bool, directory: Path) -> None:
    """Write the pages of docs/ that come from the code."""
    wanted = {directory / name: make() for name, make in PAGES.items()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        click.echo(f"{path}: {'is not what the code says; run python -m flight_etl.docs' if check else 'written'}", err=True)
    if check and stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
