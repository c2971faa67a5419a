"""`run` and `convert` from and to object stores do exactly what they do with local files."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from faults import Fault, denied, latency, reset, slow_down

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Command
    from faults import Request
    from servers import S3


@pytest.fixture
def recordings(generated: Callable[..., Path], s3: S3) -> list[Path]:
    """Two recordings, in a folder and in a bucket alike."""
    files = [generated(3000, suffix=".json.gz"), generated(2000, layout="readsb", suffix=".json.gz", seed=8)]
    s3.put(**{f"in/{path.name}": path.read_bytes() for path in files})
    return files


def test_from_bucket_to_bucket_the_bytes_are_those_of_a_local_run(etl: Command, s3: S3, recordings: list[Path]) -> None:
    local = etl("run", *recordings, "--output", "out", "--json")
    remote = etl("run", f"{s3.url}/in/", "--output", f"{s3.url}/out", "--json")
    assert (local.code, remote.code) == (0, 0), remote.err
    assert remote.json["outputs"] == [f"{s3.url}/{path}" for path in local.json["outputs"]]
    assert {one["path"] for one in remote.json["inputs"]} == {f"{s3.url}/in/{path.name}" for path in recordings}
    assert remote.json["written"] == local.json["written"]
    found = s3.objects()
    for name in local.json["outputs"]:
        with open(name, "rb") as file:  # noqa: PTH123
            assert found[name] == file.read()
    assert "out/_report.json" in found
    assert s3.uploads() == []


def test_mixed_places_are_one_data_set(etl: Command, s3: S3, recordings: list[Path], tmp_path: Path) -> None:
    both = etl("run", recordings[0], f"{s3.url}/in/{recordings[1].name}", "-o", f"file://{tmp_path}/mixed", "--json")
    local = etl("run", *recordings, "-o", "out", "--json")
    assert both.code == 0, both.err
    assert (tmp_path / "mixed/part-00000.parquet").read_bytes() == (tmp_path / "out/part-00000.parquet").read_bytes()
    assert both.json["written"] == local.json["written"]


def test_an_output_in_a_bucket_is_replaced_only_when_asked(etl: Command, s3: S3, recordings: list[Path]) -> None:
    arguments = ("run", recordings[1], "-o", f"{s3.url}/out")
    s3.put(**{"out/mine.txt": b"mine"})
    refused = etl(*arguments)
    assert refused.code == 2
    assert "--overwrite" in refused.err
    assert etl(*arguments, "--overwrite").code == 0
    assert s3.objects()["out/mine.txt"] == b"mine"
    assert etl(*arguments, "--overwrite", "--json").json["read"] == 2000


def test_convert_from_bucket_to_bucket(etl: Command, s3: S3, recordings: list[Path], tmp_path: Path) -> None:
    name = recordings[0].name
    done = etl("convert", f"{s3.url}/in/{name}", f"{s3.url}/converted/a.parquet", "--json")
    assert done.code == 0, done.err
    assert done.json["outputs"] == [f"{s3.url}/converted/a.parquet"]
    assert etl("convert", recordings[0], "local.parquet").code == 0
    (tmp_path / "remote.parquet").write_bytes(s3.objects()["converted/a.parquet"])
    assert pq.read_table("remote.parquet").equals(pq.read_table("local.parquet"))


def test_inspect_reads_from_a_bucket(etl: Command, s3: S3, recordings: list[Path]) -> None:
    done = etl("inspect", f"{s3.url}/in/{recordings[1].name}", "--json")
    assert done.code == 0
    assert done.json["layout"] == "readsb"


def test_an_object_that_cannot_be_read_fails_alone(etl: Command, s3: S3, recordings: list[Path]) -> None:
    bad = recordings[0].name
    s3.faults.rule = lambda request: denied if request.method == "GET" and request.path.endswith(bad) else None
    done = etl("run", f"{s3.url}/in/", "-o", "out", "--json")
    assert done.code == 1
    errors = {one["path"].rpartition("/")[2]: one["error"] for one in done.json["inputs"]}
    assert "check the credentials" in errors[bad]
    assert errors[recordings[1].name] is None


@pytest.mark.usefixtures("recordings")
def test_throttled_requests_are_made_again(etl: Command, s3: S3) -> None:
    s3.faults.forget()
    s3.faults.rule = lambda request: slow_down if request.number == 1 and request.operation == "GetObject" else None
    done = etl("run", f"{s3.url}/in/", "-o", f"{s3.url}/out", "--json")
    assert done.code == 0, done.err
    assert done.json["written"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_a_run_that_is_interrupted_while_it_publishes_leaves_nothing(
    s3: S3, generated: Callable[..., Path], start: Callable[..., subprocess.Popen[bytes]], operation: str
) -> None:
    busy = threading.Event()

    def rule(request: Request) -> Fault | None:
        if request.operation != operation:
            return None
        busy.set()
        return latency(1)

    s3.faults.rule = rule
    large = generated(200_000, interval_s=1)  # enough for an upload in parts
    process = start("run", large, "-o", f"{s3.url}/out", "--compression", "none")
    if not busy.wait(60):
        process.kill()
    else:
        process.terminate()
    _, err = process.communicate()
    assert process.returncode == 130, err.decode()
    assert [key for key in s3.objects() if key.startswith("out/")] == []
    assert s3.uploads() == []


def _stuck(s3: S3, number: int, reached: threading.Event) -> Callable[[Request], Fault | None]:
    """Rule by which the change of that number (from 1) neither reaches the server nor is answered."""

    def rule(request: Request) -> Fault | None:
        if request.method in {"GET", "HEAD"}:
            return None
        if sum(one.method not in {"GET", "HEAD"} for one in s3.faults.requests) == number:
            reached.set()
            time.sleep(0.5)
            return reset(0)
        return None

    return rule


@pytest.mark.kill
def test_a_killed_run_never_shows_a_report_beside_half_a_set_and_the_next_one_puts_it_right(
    etl: Command, s3: S3, generated: Callable[..., Path], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    recordings = [generated(3_000, seed=seed, interval_s=20) for seed in (1, 2)]
    arguments = ("--partition-by", "date", "--overwrite")

    def shown() -> dict[str, bytes]:
        return {key: data for key, data in s3.objects().items() if key.startswith("out/") and key.endswith(".parquet")}

    whole = []
    for recording in recordings:
        assert etl("run", recording, "-o", f"{s3.url}/out", *arguments).code == 0
        whole.append(shown())
    chance, interrupted = random.Random(4), 0
    for moment in range(12):
        reached = threading.Event()
        s3.faults.forget()
        s3.faults.rule = _stuck(s3, moment // 2, reached)
        process = start("run", recordings[moment % 2], "-o", f"{s3.url}/out", *arguments)
        if moment >= 2:
            assert reached.wait(60)
        else:
            time.sleep(chance.uniform(0.2, 1.0))
        process.kill()
        process.communicate()
        s3.faults.forget()
        if "out/_report.json" in s3.objects():
            assert shown() in whole
        else:
            interrupted += 1
    assert interrupted
    assert etl("run", recordings[0], "-o", f"{s3.url}/out", *arguments).code == 0
    assert shown() == whole[0]
    assert not any("journal" in key for key in s3.objects())


def test_a_table_of_flights_in_a_bucket_has_the_bytes_of_a_local_one(etl: Command, s3: S3, recordings: list[Path]) -> None:
    etl("run", *recordings, "--output", "out", "--flights", "flights.parquet")
    done = etl("run", f"{s3.url}/in/", "--output", f"{s3.url}/out", "--flights", f"{s3.url}/flights.parquet", "--json")
    assert (done.code, done.json["flight_table"]) == (0, f"{s3.url}/flights.parquet"), done.err
    with open("flights.parquet", "rb") as file:  # noqa: PTH123
        assert s3.objects()["flights.parquet"] == file.read()
    again = etl("run", f"{s3.url}/in/", "--output", f"{s3.url}/out", "--flights", f"{s3.url}/out/f.parquet")
    assert (again.code, "inside of the data set" in again.err) == (2, True)
