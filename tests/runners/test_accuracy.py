"""`flight-etl bench --accuracy`: figures come from the pipeline's own output, and are the same for the same seed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flight_etl.bench.truth.days import PHASES
from flight_etl.bench.truth.faults import LEVELS
from flight_etl.core.enrich.phase_words import PHASES as DETECTED
from flight_etl.runners.accuracy import judge
from flight_etl.runners.cli_bench import bench
from flight_etl.settings import PhaseSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command


def test_the_scoreboard_is_one_json_object_the_same_for_the_same_seed(etl: Command) -> None:
    arguments = ("bench", "--accuracy", "--flights", 3, "--seed", 5, "--noise", "clean", "--json")
    first, again = etl(*arguments), etl(*arguments)
    assert first.code == 0
    assert first.out == again.out
    level = first.json["levels"]["clean"]
    assert level["rows"] == sum(sum(row) for row in level["confusion"])
    right = sum(level["confusion"][at][at] for at in range(len(PHASES)))
    assert level["methods"]["context"]["all"] == pytest.approx(right / level["rows"])
    assert {"context", "rules"} <= set(level["methods"])


def test_the_tables_go_to_a_record_with_the_command_that_made_them(etl: Command, tmp_path: Path) -> None:
    done = etl("bench", "--accuracy", "--flights", 1, "--noise", "standard", "--record", "record.md")
    text = (tmp_path / "record.md").read_text()
    assert done.code == 0
    assert "flight-etl bench --accuracy --seed 0 --flights 1 --noise standard" in text
    assert done.out.strip() in text
    assert "| landing |" in done.out


def test_the_levels_that_can_be_named_are_those_there_are() -> None:
    levels = next(option for option in bench.params if option.name == "levels")
    assert list(levels.type.choices) == list(LEVELS)
    assert DETECTED[: len(PHASES)] == PHASES


def test_the_score_is_that_of_the_detector() -> None:
    """With phases judged point by point the score is that of the rules, and lower than with the flight around each point."""
    arguments = {"seed": 5, "flights": 6}
    rules = judge(LEVELS["clean"], settings=Settings(phase=PhaseSettings(method="rules")), **arguments)
    context = judge(LEVELS["clean"], settings=Settings(), **arguments)
    assert np.array_equal(rules.said["context"], context.said["rules"])
    assert np.mean(context.said["context"] == context.truth) > np.mean(rules.said["context"] == rules.truth)
    assert not math.isclose(np.mean(context.sure), 1.0)
