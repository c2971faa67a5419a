"""Contenders are compared on equal work only, and records say what was measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flight_etl.bench import compare, records, scaling, verdicts
from flight_etl.bench.cases import BOUNDED, LIMIT_PARSE, LIMIT_WRITE, LIMITS, OURS, SCALE, TASKS, prepare
from flight_etl.bench.measure import CaseFailedError
from flight_etl.runners import cli_bench

if TYPE_CHECKING:
    from pathlib import Path

    from flight_etl.bench.cases import Task

ROWS = 2_000


def named(name: str) -> Task:
    return next(task for task in TASKS if task.name == name)


def test_the_command_knows_the_tasks() -> None:
    assert sorted(cli_bench._TASKS) == sorted(task.name.replace(" ", "-") for task in TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_all_contenders_do_the_same_work(task: Task, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    pytest.importorskip("cysimdjson")
    found = compare.compare([task], tmp_path, rows=[ROWS], threads=[1], rounds=1, peers=True)
    limits = LIMITS[:1] if task.work == "parse" else LIMITS
    assert [one.contender for one in found.figures] == [OURS, *task.peers, *limits]
    assert verdicts.distance(found.figures, found.figures[0])
    assert all(one.seconds > 0 and one.peak_rss_mb > 10 for one in found.figures)


def test_a_contender_with_other_rows_is_refused() -> None:
    ours = {"rows": 10.0, "distance_km": 100.0}
    compare._check_equal(TASKS[0], "duckdb", {"rows": 10.0, "distance_km": 101.0}, OURS, ours)
    with pytest.raises(CaseFailedError, match="duckdb has rows 9"):
        compare._check_equal(TASKS[0], "duckdb", {"rows": 9.0, "distance_km": 100.0}, OURS, ours)


def test_a_limit_with_other_rows_is_none() -> None:
    compare._check_limit(TASKS[1], LIMIT_PARSE, 10.0, 10.0)
    with pytest.raises(CaseFailedError, match="9 rows of 10"):
        compare._check_limit(TASKS[1], LIMIT_PARSE, 9.0, 10.0)


def test_a_folder_of_traces_holds_all_rows(tmp_path: Path) -> None:
    name = prepare(tmp_path, "trace", ROWS)
    assert len(list((tmp_path / name).glob("*.json.gz"))) >= 4
    assert prepare(tmp_path, "trace", ROWS) == name


FIGURE = compare.Figure(
    task="convert flat", contender=OURS, rows=ROWS, threads=2, seconds=1.0, fastest_s=0.9, cpu_seconds=1.5,
    peak_rss_mb=100.0, input_mb=1.0, json_mb=4.0, output_mb=0.5, goal=2.0,
)  # fmt: skip


def test_goals_are_met_or_missed_by_the_figures() -> None:
    duck = replace(FIGURE, contender="duckdb", seconds=3.0, cpu_seconds=1.2, output_mb=1.0)
    pandas = replace(FIGURE, contender="pandas", seconds=9.0, cpu_seconds=18.0, peak_rss_mb=200.0)
    bounded = replace(FIGURE, task=SCALE, contender=BOUNDED, peak_rss_mb=513.0)
    found = [
        (one.what.partition(": ")[2], one.reached, one.by_cpu, one.met) for one in verdicts.goals([FIGURE, duck, pandas, bounded])
    ]
    assert found == [
        ("speed", "3.00 x duckdb", "0.80 times", True),
        ("output size", "0.50", "-", True),
        ("JSON to Parquet", "8.0 times", "-", True),
        ("beside pandas", "9.0 times", "12.0 times", False),
        ("memory beside pandas", "50 % less", "-", True),
        ("peak RSS under a limit", "513 MB", "-", False),
    ]


def test_the_distance_to_the_limits_is_that_of_cpu_to_both() -> None:
    limits = [replace(FIGURE, contender=LIMIT_PARSE, seconds=0.2), replace(FIGURE, contender=LIMIT_WRITE, seconds=0.3)]
    found = verdicts.distance([FIGURE, *limits], FIGURE)
    assert found is not None
    assert found["times_the_limit"] == 3.0
    assert verdicts.distance([FIGURE, limits[0]], FIGURE) is None


def test_scaling_is_measured_by_rows_and_threads_and_once_within_a_limit(tmp_path: Path) -> None:
    given = {"rows": [50, 100], "threads": [1], "rounds": 1, "keep": False}
    found = list(scaling.scale(tmp_path, **given, told=lambda _: None))
    assert [(one.contender, one.rows) for one in found] == [(OURS, 50), (BOUNDED, 50), (OURS, 100), (BOUNDED, 100)]
    assert all(one.output_mb > 0 and one.peak_rss_mb > 10 for one in found)
    assert not list(tmp_path.iterdir())
    assert records.curves(compare.Comparison(machine={}, rounds=1, figures=tuple(found)), tmp_path / "curves.png")


def test_records_hold_every_figure(tmp_path: Path) -> None:
    figure = FIGURE
    peer = replace(figure, contender="duckdb", seconds=3.0, output_mb=1.0, goal=0.0)
    found = compare.Comparison(machine=compare.machine(), rounds=1, figures=(figure, peer))
    paths = records.save(found, tmp_path, "test", command="flight-etl bench")
    told = json.loads((tmp_path / "test.json").read_text())
    assert told["ratios"] == [
        {"task": "convert flat", "rows": ROWS, "threads": 2, "best_peer": "duckdb", "times_faster": 3.0, "times_less_cpu": 1.0}
        | {"goal": 2.0, "size_to_duckdb": 0.5}
    ]
    assert [line["contender"] for line in csv.DictReader((tmp_path / "test.csv").read_text().splitlines())] == [OURS, "duckdb"]
    assert "| convert flat | 2,000 | 2 | duckdb | 3.00 |" in (tmp_path / "test.md").read_text()
    assert all(path.stat().st_size for path in paths)


def test_the_command_prints_figures_as_json_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from flight_etl.runners.cli import main

    with pytest.raises(SystemExit) as done:
        main(["bench", "--rows", "1k", "--rounds", "1", "--task", "convert-flat", "--work-dir", str(tmp_path), "--json"])
    assert done.value.code == 0
    (figure,) = json.loads(capfd.readouterr().out)["figures"]
    assert (figure["task"], figure["rows"]) == ("convert flat", 1_000)
