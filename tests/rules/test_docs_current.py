"""The generated pages say what the code says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from source_tree import ROOT

from flight_etl.core.clean import RULES
from flight_etl.core.decode.layouts import LAYOUTS
from flight_etl.docs import PAGES, main
from flight_etl.outcome import Reason
from flight_etl.runners.cli import cli
from flight_etl.schema import ENRICHED
from flight_etl.settings import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_current(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m flight_etl.docs"


def test_check_tells_a_stale_page_and_writing_mends_it(tmp_path: Path) -> None:
    runner = CliRunner()
    folder = ["--directory", str(tmp_path / "docs")]
    assert runner.invoke(main, ["--check", *folder]).exit_code == 1
    assert not (tmp_path / "docs").exists()
    assert runner.invoke(main, folder).exit_code == 0
    assert runner.invoke(main, ["--check", *folder]).exit_code == 0
    page = tmp_path / "docs" / "rules.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    told = runner.invoke(main, ["--check", *folder])
    assert (told.exit_code, "rules.md" in told.output) == (1, True)


def test_everything_is_on_its_page() -> None:
    wanted = {
        "schema.md": [f"| `{column.name}` |" for column in ENRICHED],
        "cli.md": [f"## flight-etl {name}" for name in cli.list_commands(click.Context(cli))],
        "settings.md": [f"`{name}`" for name in ENVIRONMENT],
        "layouts.md": [f"## {name}" for name in LAYOUTS],
        "rules.md": [*(f"`nulled.{rule.name}`" for rule in RULES), *(f"| `{reason}` |" for reason in Reason)],
    }
    for page, words in wanted.items():
        text = PAGES[page]()
        assert not [word for word in words if word not in text]


def test_examples_on_the_page_are_lines_of_their_own() -> None:
    assert "\n    flight-etl run recordings/ --output flights\n" in PAGES["cli.md"]()
    assert "\\b" not in PAGES["cli.md"]()
