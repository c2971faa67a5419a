"""Spark on this machine gives the data set of a run, publishes it whole, and loses and doubles nothing when it is done again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from recordings import mixture
from same_rows import account, dropped, rows

from flight_etl.errors import SettingsError, StoreError
from flight_etl.runners import local
from flight_etl.runners import spark as runner
from flight_etl.settings import OutputSettings, ResourceSettings, Settings
from servers import fresh_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers import S3, Server

pytestmark = [
    pytest.mark.spark,
    # Said by Spark 4.3 of pandas 3, of which nothing is used here.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pandas.*:UserWarning:pyspark"),
]
BY_DATE = Settings(output=OutputSettings(partition_by="date"))


@pytest.fixture(scope="session")
def spark(moto_server: Server) -> Iterator[Any]:
    """One session for all tests; its tasks find the emulator of S3 as they would find S3."""
    options = {f"spark.executorEnv.{name}": value for name, value in moto_server.environment.items()}
    begun = runner.session("local[2]", {**options, "spark.ui.showConsoleProgress": "false"}, python=sys.executable)
    begun.sparkContext.setLogLevel("OFF")
    yield begun
    begun.stop()


@pytest.fixture
def s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> S3:
    """A fresh bucket at the server that the tasks know."""
    return fresh_bucket(moto_server, monkeypatch)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, generated: Callable[..., Path]) -> Path:
    return mixture(tmp_path_factory.mktemp("spark") / "recordings", generated)


@pytest.fixture(scope="module")
def expected(recordings: Path) -> Path:
    """The data set that a run makes of the recordings."""
    folder = recordings.parent / "expected"
    local.run([str(recordings)], str(folder), BY_DATE)
    return folder


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "_report.json").read_text())
    return found


def same(folder: Path, expected: Path) -> bool:
    return rows(folder).equals(rows(expected)) and dropped(folder) == dropped(expected)


def test_spark_gives_the_rows_and_accounts_of_a_run(spark: Any, recordings: Path, expected: Path, tmp_path: Path) -> None:
    told = runner.backfill(spark, [str(recordings)], str(tmp_path / "out"), partitions=3)
    assert same(tmp_path / "out", expected)
    assert account(told.to_json()) == account(report(expected)) == account(report(tmp_path / "out"))
    assert sorted(map(str, (tmp_path / "out").rglob("*.parquet"))) == sorted(told.outputs)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_output_that_is_there_is_replaced_only_when_asked(
    spark: Any, generated: Callable[..., Path], tmp_path: Path, listing: Callable[[Path], dict[str, bytes]]
) -> None:
    source, out = str(generated(2_000)), tmp_path / "out"
    runner.backfill(spark, [str(generated(3_000, seed=4))], str(out), partitions=4)
    before = listing(out)
    with pytest.raises(SettingsError, match="--overwrite"):
        runner.backfill(spark, [source], str(out))
    assert listing(out) == before
    runner.backfill(spark, [source], str(out), Settings(output=OutputSettings(overwrite=True)))
    local.run([source], str(tmp_path / "one"), BY_DATE)
    assert same(out, tmp_path / "one")


def test_inputs_without_a_row_give_a_file_with_the_columns_alone(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text('{"time": 1700000000, "states": null}')
    told = runner.backfill(spark, [str(tmp_path / "none.json")], str(tmp_path / "out"))
    local.run([str(tmp_path / "none.json")], str(tmp_path / "one"), BY_DATE)
    assert same(tmp_path / "out", tmp_path / "one")
    assert (told.read, told.exit_code) == (0, 0)


def test_when_all_inputs_fail_nothing_is_published(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text("<html>")
    told = runner.backfill(spark, [str(tmp_path / "page.json"), str(tmp_path / "gone.json")], str(tmp_path / "out"))
    assert (told.exit_code, len(told.failed), told.outputs) == (1, 2, ())
    assert not (tmp_path / "out").exists()


def test_a_job_that_fails_says_why_and_publishes_nothing(spark: Any, generated: Callable[..., Path], tmp_path: Path) -> None:
    settings = Settings(resources=ResourceSettings(spill_dir=str(tmp_path / "gone")))
    with pytest.raises(StoreError, match=f"NotFound: {tmp_path}/gone: cannot make a folder"):
        runner.backfill(spark, [str(generated(2_000))], str(tmp_path / "out"), settings)
    assert list(tmp_path.iterdir()) == []


def test_from_bucket_to_bucket(spark: Any, s3: S3, generated: Callable[..., Path], tmp_path: Path) -> None:
    """Object for object and row for row the output of a run on disk; nothing staged is left, also of a job that was killed."""
    sources = [generated(3_000, suffix=".json.gz"), generated(2_000, layout="readsb", suffix=".json.gz", seed=8)]
    s3.put(**{f"in/{path.name}": path.read_bytes() for path in sources})
    s3.put(**{"out/.flight-etl-staged/0a/date=2023-11-14/part-00000000.parquet.part": b"left by a job that was killed"})
    told = runner.backfill(spark, [f"{s3.url}/in/"], f"{s3.url}/out", partitions=2)
    local.run([str(path) for path in sources], str(tmp_path / "one"), BY_DATE)
    for key, data in s3.objects().items():
        if key.startswith("out/"):
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(data)
    assert rows(tmp_path / "out").equals(rows(tmp_path / "one"))
    names = {f"s3://{s3.name}/{path.relative_to(tmp_path)}" for path in (tmp_path / "out").rglob("*.parquet")}
    assert names == set(told.outputs)
    assert not any(".flight-etl" in key or key.endswith(".part") for key in s3.objects())
    with pytest.raises(SettingsError, match="--overwrite"):
        runner.backfill(spark, [f"{s3.url}/in/"], f"{s3.url}/out")
    replaced = Settings(output=OutputSettings(overwrite=True))
    again = runner.backfill(spark, [f"{s3.url}/in/{sources[0].name}"], f"{s3.url}/out", replaced, partitions=1)
    found = {f"s3://{s3.name}/{key}" for key in s3.objects() if key.endswith(".parquet")}
    assert found == set(again.outputs) < names


def test_a_job_killed_and_done_again_doubles_nothing(recordings: Path, expected: Path, tmp_path: Path) -> None:
    """The command line, killed with SIGKILL while tasks deliver their files; the next one finds nothing of it in its way."""
    arguments = ("backfill", "--engine", "spark", "--master", "local[2]", recordings, "-o", "out", "--partitions", "3", "--json")
    command = [sys.executable, "-m", "flight_etl.runners.cli", *map(str, arguments)]
    pipe = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, env=os.environ)
    while process.poll() is None and not list(tmp_path.glob(".out.flight-etl-*/date=*/*.parquet")):
        time.sleep(0.02)
    assert process.poll() is None, "ended before it delivered anything"
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # some of the recordings are bad
    assert same(tmp_path / "out", expected)
    assert account(json.loads(done.stdout)) == account(report(expected))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
