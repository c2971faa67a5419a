"""The library, the command line and the Lambda handler make the same rows of the same object."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from same_rows import plain, rows

import flight_etl
from cloud import Cloud, cloud_at, notification
from flight_etl.resilience import sqs as queues
from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor
from servers import moto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Command

SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES") or Path(__file__).parents[2].parent / "shared/data").resolve()
RECORDINGS = [
    *("adsbx/adsbx_v2_462.json", "fr24/34a8254b.json", "opensky/quickstart_snapshots.ndjson", "flights/samu31.json.gz"),
    *("readsb/aircraft_dump1090fa_44.json", "surface/zurich_airport.json.gz", "trace/trace_full_ac671b.json"),
]
GENERATED = [("readsb", ".json.gz"), ("opensky", ".ndjson"), ("flat", ".ndjson.zst"), ("trace", ".json"), ("adsbx-v1", ".json")]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def cloud(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_at(endpoint) as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(queues, "_clients", {})  # clients are for one endpoint
        yield found


def agree(path: Path, etl: Command, cloud: Cloud, folder: Path) -> None:
    """Compare every row and column of the three."""
    processor = OptimizedETLProcessor(ETLConfig.from_env(cloud.environment))
    done = etl("run", path, "-o", folder / "out", "--json")
    assert done.code == 0, done.out
    by_command = rows(folder / "out")
    assert by_command.num_rows == done.json["written"] > 0
    by_library = plain(flight_etl.transform(flight_etl.read(path)).kept)
    assert by_library.select(by_command.column_names).equals(by_command)
    cloud.put(path.name, path.read_bytes())
    answer = processor.process_event(notification(cloud, path.name), SimpleNamespace(memory_limit_in_mb=3008, aws_request_id="r"))
    assert answer["status"] == "completed", answer
    assert plain(pq.read_table(io.BytesIO(cloud.output(path.name)))).equals(by_command)


@pytest.mark.parametrize(("layout", "suffix"), GENERATED)
def test_generated_recordings(
    layout: str, suffix: str, etl: Command, cloud: Cloud, generated: Callable[..., Path], tmp_path: Path
) -> None:
    agree(generated(3_000, layout=layout, suffix=suffix, interval_s=11), etl, cloud, tmp_path)


@pytest.mark.samples
@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no folder {SAMPLES}; name one with FLIGHT_ETL_SAMPLES")
@pytest.mark.parametrize("name", RECORDINGS)
def test_real_recordings(name: str, etl: Command, cloud: Cloud, tmp_path: Path) -> None:
    agree(SAMPLES / name, etl, cloud, tmp_path)
