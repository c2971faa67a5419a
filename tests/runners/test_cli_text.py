"""Text for people stands in columns, and keeps to the width where it can."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_etl.runners import show
from flight_etl.runners.cli_text import columns, pairs
from flight_etl.runners.records import Progress

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


def test_what_is_said_of_a_name_is_wrapped_beside_it() -> None:
    told = click.unstyle(pairs([("read", "1,000 records"), ("phases", "ground 9.6 %, taxi 9.6 %")], 28))
    assert told == "read    1,000 records\nphases  ground 9.6 %, taxi\n        9.6 %"


def test_numbers_stand_right_and_lines_end_where_words_do() -> None:
    told = click.unstyle(columns(("input", "read", "written"), [("a.json", "1,000", "7"), ("b", "2", "1")], numbers=2))
    assert told == "input    read  written\na.json  1,000        7\nb           2        1"


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=20).map(" ".join)), min_size=1, max_size=5), st.integers(40, 120))
def test_no_word_is_lost_and_no_line_is_too_long(rows: list[tuple[str, str]], width: int) -> None:
    told = click.unstyle(pairs(rows, width))
    assert told.split() == [word for name, text in rows for word in (name, *text.split())]
    assert max(map(len, told.split("\n"))) <= width


@pytest.mark.parametrize("patience_s", [-1.0, 60.0])
def test_a_bar_is_drawn_for_work_that_takes_a_while_only(
    patience_s: float, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "_PATIENCE_S", patience_s)
    with show.bar() as advance:
        advance(Progress(stage="reading", rows=1_000, bytes_done=5, bytes_total=10))
        advance(Progress(stage="tracks", rows=2_000, bytes_done=10, bytes_total=10))
    shown = capfd.readouterr()
    assert not shown.out
    assert bool(shown.err) == (patience_s < 0)  # in a pipe rich draws an empty line
