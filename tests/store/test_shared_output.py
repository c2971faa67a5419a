"""Files that many tasks deliver become one output, all of them at once, in a folder and in an object store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from faults import denied
from flight_etl.errors import Denied, SettingsError, StoreError
from flight_etl.report import Report
from flight_etl.runners.places import shared_staging
from flight_etl.settings import OutputSettings, Settings
from flight_etl.store.delivery import deliver, keep_only
from flight_etl.store.objects import Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults import Fault, Request
    from servers import S3

REPORT = json.dumps(Report(inputs=()).to_json()).encode()
ONE, OTHER = "date=2024-01-01/part-00000000.parquet", "date=2024-01-02/part-00001000.parquet"
AGAIN = Settings(output=OutputSettings(overwrite=True))


@pytest.fixture(params=["folder", "bucket"])
def output(request: pytest.FixtureRequest, tmp_path: Path, s3: S3) -> tuple[str, Pool, Callable[[], dict[str, bytes]]]:
    """A place for an output, and what gives everything that is visible in it."""
    if request.param == "bucket":
        return f"{s3.url}/out", Pool(), lambda: {key.removeprefix("out/"): data for key, data in s3.objects().items()}

    def files() -> dict[str, bytes]:
        found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        return {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in found}

    return str(tmp_path / "out"), Pool(), files


def bring(place: str, pool: Pool, tmp_path: Path, **files: bytes) -> None:
    for name, data in files.items():
        path = tmp_path / "ready"
        path.write_bytes(data)
        deliver(path, place, {"one": ONE, "other": OTHER}.get(name, name), pool)


Output = tuple[str, Pool, "Callable[[], dict[str, bytes]]"]


def test_what_is_delivered_is_seen_when_it_is_published_and_only_what_was_named(output: Output, tmp_path: Path) -> None:
    name, pool, seen = output
    with shared_staging(name, Settings(), pool) as staging:
        bring(staging.place, pool, tmp_path, one=b"first attempt", other=b"2")
        bring(staging.place, pool, tmp_path, one=b"1", straggler=b"of a task that was given up")
        assert not any(key.endswith(".parquet") for key in seen())
        staging.publish([ONE, OTHER], REPORT)
    assert seen() == {ONE: b"1", OTHER: b"2", "_report.json": REPORT}


def test_without_publication_nothing_is_left(output: Output, tmp_path: Path) -> None:
    name, pool, seen = output
    with shared_staging(name, Settings(), pool) as staging:
        bring(staging.place, pool, tmp_path, one=b"1")
    assert seen() == {}


def test_an_old_output_stays_until_the_new_one_replaces_it(output: Output, tmp_path: Path) -> None:
    name, pool, seen = output
    with shared_staging(name, Settings(), pool) as staging:
        bring(staging.place, pool, tmp_path, one=b"1", other=b"2")
        staging.publish([ONE, OTHER], REPORT)
    before = seen()
    with pytest.raises(SettingsError, match="--overwrite"), shared_staging(name, Settings(), pool):
        pass
    with shared_staging(name, AGAIN, pool) as staging:
        bring(staging.place, pool, tmp_path, one=b"new")
        assert {key: data for key, data in seen().items() if not key.endswith(".part")} == before
        staging.publish([ONE], REPORT)
    assert seen() == {ONE: b"new", "_report.json": REPORT}


def test_a_copy_that_is_refused_leaves_nothing_visible(s3: S3, tmp_path: Path) -> None:
    def refuse(request: Request) -> Fault | None:
        return denied if request.method == "PUT" and unquote(request.path).endswith(OTHER) else None

    pool = Pool()
    with shared_staging(f"{s3.url}/out", Settings(), pool) as staging:
        bring(staging.place, pool, tmp_path, one=b"1", other=b"2")
        s3.faults.rule = refuse
        with pytest.raises(Denied):
            staging.publish([ONE, OTHER], REPORT)
    assert s3.objects() == {}


def test_of_two_that_publish_at_once_the_second_is_told(s3: S3, tmp_path: Path) -> None:
    pool = Pool()
    with shared_staging(f"{s3.url}/out", Settings(), pool) as staging:
        bring(staging.place, pool, tmp_path, one=b"1")
        s3.put(**{"out/.flight-etl-journal.json": b'{"names": []}'})
        with pytest.raises(StoreError, match="another run is publishing"):
            staging.publish([ONE], REPORT)
    assert s3.objects() == {"out/.flight-etl-journal.json": b'{"names": []}'}


def test_only_named_deliveries_are_kept_and_no_empty_folder(tmp_path: Path) -> None:
    for name in ("a/kept", "a/.x.part-1", ".task-1/data/y", "b/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".task-2").mkdir()
    keep_only(tmp_path, {"a/kept"})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["a", "a/kept"]
