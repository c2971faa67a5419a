"""Every block of docs/recipes.md runs on a data set as the page describes it, and answers with something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Command

PAGE = (Path(__file__).parents[1] / "docs/recipes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (.+?)\n(?:.*?)```(sql|python)\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def flights(etl: Command, generated: Callable[..., Path], tmp_path: Path) -> Path:
    """Write the data set `flights` in the working directory as the page says."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    lines = generated(12_000, interval_s=20).read_bytes().splitlines(keepends=True)
    for number in range(2):
        (recordings / f"{number}.ndjson").write_bytes(b"".join(lines[number::2]))
        assert etl("run", "recordings", "--output", "flights", "--partition-by", "date").code == 0
    assert etl("compact", "flights").code == 0
    return tmp_path / "flights"


def test_all_blocks_of_the_page_are_found() -> None:
    assert len(BLOCKS) == PAGE.count("```") // 2 == 7


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(("code",), [(code,) for _, kind, code in BLOCKS if kind == "sql"])  # noqa: PT006
def test_a_query_answers(code: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(code).to_arrow_table()
    assert found.num_rows
    assert not [name for name in found.column_names if found[name].null_count == found.num_rows], "a column of nothing"


@pytest.mark.usefixtures("flights")
def test_tools_agree_about_the_longest_flights() -> None:
    duckdb, _, _ = (pytest.importorskip(name) for name in ("duckdb", "polars", "pandas"))
    made: dict[str, dict[str, Any]] = {}
    for title, kind, code in BLOCKS:
        if kind == "python":
            made[title] = {}
            exec(compile(code, title, "exec"), made[title])
    (longest,) = [code for title, _, code in BLOCKS if title.startswith("Longest")]
    found = duckdb.sql(longest).to_arrow_table().select(["flight_id", "km"]).to_pylist()
    expected = {row["flight_id"]: row["km"] for row in found if row["km"] is not None}
    assert expected
    polars = made["The same in Polars"]
    assert dict(zip(polars["longest"]["flight_id"].to_list(), polars["longest"]["km"].to_list(), strict=True)).items() >= (
        expected.items()
    )
    assert polars["departures"]["len"].sum() > 0
    pandas = made["The same in pandas"]
    assert len(pandas["longest"]) > 0
    assert pandas["phases"].sum() == pytest.approx(1.0)
    assert {"timestamp", "icao24", "groundspeed"} <= set(made["For the library `traffic`"]["frame"].columns)
