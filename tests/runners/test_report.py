"""`flight-etl report` shows what a run said when it was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flight_etl.bench.generate import write
from flight_etl.report import InputReport, Report

if TYPE_CHECKING:
    from conftest import Command
    from servers import S3


def _lines(out: str) -> list[str]:
    """All but the speed, which is reckoned from seconds that are saved to a thousandth."""
    return [line for line in out.splitlines() if not line.startswith("took")]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.json"
    write(path, 500, layout="readsb", complexity="complex")
    return path


def test_people_read_the_same_as_after_the_run_and_machines_too(etl: Command, sample: Path) -> None:
    (sample.parent / "bad.json").write_text('{"now": 1, "aircraft": [{"hex": "40')
    ran = etl("run", sample, "bad.json", "--output", "out")
    assert ran.code == 1
    told = etl("report", "out")
    assert (told.code, _lines(told.out), told.err) == (0, _lines(ran.out), ran.err)
    assert etl("report", "out", "--json").out == Path("out/_report.json").read_text()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_text_is_what_the_library_of_python_gives(count: int) -> None:
    given = [
        InputReport(path=f'a\n"{n}, \udcff', error="x: {y}" if n else None, dropped={"bad_json": n} if n > 1 else {})
        for n in range(count)
    ]
    report = Report(inputs=tuple(given), notes=('"inputs": []', "[]"), counts={"inputs": 0})
    assert report.to_text() == json.dumps(report.to_json(), indent=2)


def test_a_conversion_has_its_report_beside_its_file(etl: Command, sample: Path) -> None:
    ran = etl("convert", sample, "one.parquet")
    assert _lines(etl("report", "one.parquet").out) == _lines(ran.out)


def test_a_bucket_keeps_reports_too(etl: Command, s3: S3, sample: Path) -> None:
    ran = etl("run", sample, "--output", f"{s3.url}/out", "--json")
    assert etl("report", f"{s3.url}/out", "--json").json == ran.json
    missing = etl("report", f"{s3.url}/elsewhere")
    assert (missing.code, "no report is saved there" in missing.err) == (1, True)


def test_where_no_report_is_we_are_told_what_to_name(etl: Command, sample: Path) -> None:
    assert "name the output of a run" in etl("report", sample.parent).err
    Path("_report.json").write_text("{}")
    wrong = etl("report", ".")
    assert (wrong.code, "not a report of flight-etl" in wrong.err) == (1, True)
