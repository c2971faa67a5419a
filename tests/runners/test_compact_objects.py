"""Compaction of outputs in object stores: the same bytes as on disk, one step that commits, and no way to lose a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from test_compact import BY_DATE, MIDNIGHT, WHOLE, one_run, split, track, write_pieces

from faults import denied, lost
from flight_etl.errors import Denied, StoreError
from flight_etl.runners.compact import CompactRequest, compact
from flight_etl.store.object_update import updating_objects
from flight_etl.store.objects import Pool

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command
    from faults import Fault, Request
    from flight_etl.settings import Settings
    from servers import S3

JOURNAL = "lake/.flight-etl-journal.json"
REPORT = b'{"mark": "of a complete set"}'


def upload(s3: S3, folder: Path, prefix: str = "lake") -> None:
    s3.put(**{f"{prefix}/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in folder.rglob("*") if p.is_file()})


def data(s3: S3, prefix: str = "lake") -> dict[str, list[bytes]]:
    """Bytes of all data objects by their folder."""
    found: dict[str, list[bytes]] = {}
    for key, body in sorted(s3.objects().items()):
        if key.startswith(f"{prefix}/") and key.endswith(".parquet"):
            found.setdefault(key.removeprefix(f"{prefix}/").rpartition("/")[0] or ".", []).append(body)
    return found


@pytest.fixture
def pieces() -> list[bytes]:
    return split(track("4b1901", MIDNIGHT - 9_000, MIDNIGHT + 9_000, 30) + track("4b1902", MIDNIGHT, MIDNIGHT + 900, 10), 4)


@pytest.mark.parametrize("settings", [WHOLE, BY_DATE], ids=["whole", "by date"])
def test_objects_become_what_one_run_gives_on_disk(
    etl: Command, s3: S3, tmp_path: Path, pieces: list[bytes], settings: Settings
) -> None:
    write_pieces(pieces, tmp_path / "set", settings)
    upload(s3, tmp_path / "set")
    done = etl("compact", f"{s3.url}/lake", "--json")
    assert done.code == 0, done.err
    assert data(s3) == one_run(pieces, tmp_path / "one", settings)
    assert all(path.startswith(f"{s3.url}/lake/") for path in done.json["outputs"])
    assert json.loads(s3.objects()["lake/_compaction.json"])["written"] == done.json["written"]
    assert JOURNAL not in s3.objects()
    before = s3.objects()
    assert "nothing to do" in etl("compact", f"{s3.url}/lake").err
    assert s3.objects() == before


def test_the_output_of_a_run_is_compacted_and_keeps_its_report(etl: Command, s3: S3, tmp_path: Path, pieces: list[bytes]) -> None:
    for number, piece in enumerate(pieces):
        (tmp_path / f"{number}.ndjson").write_bytes(piece)
    assert etl("run", *sorted(tmp_path.glob("*.ndjson")), "-o", f"{s3.url}/lake").code == 0
    report = s3.objects()["lake/_report.json"]
    assert etl("compact", f"{s3.url}/lake").code == 0
    assert s3.objects()["lake/_report.json"] == report
    assert etl("run", tmp_path / "0.ndjson", "-o", f"{s3.url}/lake", "--overwrite").code == 0
    names = ("_manifest.json", "_quarantine.ndjson", "_report.json", "part-00000.parquet")
    assert sorted(s3.objects()) == [f"lake/{name}" for name in names]


@pytest.fixture
def lake(s3: S3, tmp_path: Path, pieces: list[bytes]) -> S3:
    write_pieces(pieces, tmp_path / "set", BY_DATE)
    upload(s3, tmp_path / "set")
    s3.put(**{"lake/_report.json": REPORT})
    return s3


def _compact(s3: S3) -> Any:
    return compact(CompactRequest(dataset=f"{s3.url}/lake"), BY_DATE, pool=Pool())


def test_a_failure_before_the_step_takes_everything_back(lake: S3) -> None:
    before = lake.objects()
    lake.faults.rule = lambda request: denied if request.method == "PUT" and "-of-00001" in request.path else None
    with pytest.raises(Denied):
        _compact(lake)
    assert lake.objects() == before


def test_where_the_answer_to_the_step_is_lost_the_set_is_the_old_or_the_new_one(
    lake: S3, tmp_path: Path, pieces: list[bytes]
) -> None:
    """Ceph is asked twice for the step, since it compares etags without quotes: there the lost answer is a refusal."""
    before = data(lake)
    lake.faults.rule = lambda seen: lost() if seen.path.endswith("journal.json") and seen.number == 2 else None
    with pytest.raises(StoreError):
        _compact(lake)
    assert data(lake) in (before, one_run(pieces, tmp_path / "one", BY_DATE))
    assert JOURNAL not in lake.objects()
    assert lake.objects()["lake/_report.json"] == REPORT


def test_a_file_that_was_replaced_meanwhile_is_not_lost(lake: S3) -> None:
    name = next(key for key in lake.objects() if key.endswith(".parquet"))
    newer = lake.objects()[name] + b"PAR1"

    def rule(request: Request) -> Fault | None:
        if request.method == "PUT" and request.path.endswith(".flight-etl-journal.json") and request.number == 1:
            lake.put(**{name: newer})
        return None

    lake.faults.rule = rule
    with pytest.raises(StoreError, match="changed by someone else"):
        _compact(lake)
    assert lake.objects()[name] == newer
    assert JOURNAL not in lake.objects()


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(("PUT", "-of-00001.parquet", 1), id="new files"),
        pytest.param(("POST", "", 1), id="marks away"),
        pytest.param(("PUT", "journal.json", 2), id="the step"),
        pytest.param(("POST", "", 2), id="old files"),
        pytest.param(("PUT", "_compaction.json", 1), id="marks back"),
        pytest.param(("POST", "", 3), id="journal away"),
    ],
)
def test_what_a_killed_compaction_left_is_settled_by_the_next_one(
    lake: S3, tmp_path: Path, pieces: list[bytes], moment: tuple[str, str, int]
) -> None:
    """From that request on the process gets nothing done any more, not even cleaning up."""
    method, ending, number = moment
    dead: list[bool] = []

    def rule(seen: Request) -> Fault | None:
        if seen.method == method and seen.path.endswith(ending) and seen.number == number:
            dead.append(True)
        return denied if dead else None

    lake.faults.rule = rule
    with pytest.raises(StoreError):
        _compact(lake)
    lake.faults.forget()
    assert dead
    assert JOURNAL in lake.objects(), "the process ended in the midst of publishing"
    with pytest.raises(StoreError, match="try again later"):
        _compact(lake)
    with updating_objects(f"{lake.url}/lake", scratch=None, pool=Pool(), lease_s=0.0):
        pass
    assert JOURNAL not in lake.objects()
    assert lake.objects()["lake/_report.json"] == REPORT
    _compact(lake)
    assert data(lake) == one_run(pieces, tmp_path / "one", BY_DATE)


def test_two_at_once_give_one_data_set(lake: S3, tmp_path: Path, pieces: list[bytes]) -> None:
    """The second one reads while the first one publishes, and publishes nothing."""
    pool = Pool()
    with updating_objects(f"{lake.url}/lake", scratch=None, pool=pool) as second:
        _compact(lake)
        (second.directory / "part-0123456789ab-00000-of-00001.parquet").write_bytes(b"rows a second time")
        with pytest.raises(StoreError, match="changed by someone else"):
            second.publish(second.files)
    assert data(lake) == one_run(pieces, tmp_path / "one", BY_DATE)
    assert JOURNAL not in lake.objects()


def test_an_interrupted_run_is_told_from_an_interrupted_compaction(lake: S3) -> None:
    lake.put(**{JOURNAL: b'{"run": "1", "names": ["part-00000.parquet"]}'})
    with pytest.raises(StoreError, match="run it again with --overwrite"):
        _compact(lake)
