"""A table lists the files of a data set, no other, and each once; real libraries read it, and DuckDB what they give it."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from test_compact import BY_DATE, DAY_S, MIDNIGHT, WHOLE, request, split, track, write_pieces
from test_compact_objects import upload

from flight_etl.errors import SettingsError, StoreError
from flight_etl.runners import table as runner
from flight_etl.runners.compact import CompactRequest, compact
from flight_etl.settings import Settings, TableSettings
from flight_etl.settings_rules import override
from servers import fresh_bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Command
    from servers import S3, Server

SqlCatalog = pytest.importorskip("pyiceberg.catalog.sql").SqlCatalog
DeltaTable = pytest.importorskip("deltalake").DeltaTable
duckdb = pytest.importorskip("duckdb")

FORMATS = ("iceberg", "delta")
NAME = ("flight_etl", "observations")


def kept_as(format_: Any, **more: Any) -> Settings:
    return Settings(table=TableSettings(format=format_, **more))


class Reader:
    """A table as those see it who know nothing of us."""

    def __init__(self, format_: str, folder: Path) -> None:
        self.format, self.folder = format_, folder

    def _iceberg(self, use: Callable[[Any], Any]) -> Any:
        with closing(SqlCatalog("flight_etl", uri=f"sqlite:///{self.folder}.iceberg/catalog.db")) as catalog:
            return use(catalog.load_table(NAME))

    def _delta(self) -> Any:
        return DeltaTable(str(self.folder))

    def rows(self) -> pa.Table:
        if self.format == "iceberg":
            found = self._iceberg(lambda table: table.scan().to_arrow())
        else:
            found = self._delta().to_pyarrow_table()
        words = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in found.schema]
        return found.cast(pa.schema(words)).sort_by([("icao24", "ascending"), ("timestamp", "ascending")])

    def day(self, day: str, after: str) -> int:
        """Rows of one day, by the partition or by the time."""
        if self.format == "iceberg":
            until = f"timestamp >= '{day}T00:00:00+00:00' and timestamp < '{after}T00:00:00+00:00'"
            return int(self._iceberg(lambda table: table.scan(row_filter=until).to_arrow().num_rows))
        observations = self._delta().to_pyarrow_dataset()
        ((found,),) = duckdb.sql(f"select count(*) from observations where date = '{day}'").limit(1).fetchall()
        assert observations is not None
        return int(found)

    def planned(self, day: str, after: str) -> int:
        """Files that are opened for one day."""
        if self.format == "iceberg":
            until = f"timestamp >= '{day}T00:00:00+00:00' and timestamp < '{after}T00:00:00+00:00'"
            return len(self._iceberg(lambda table: list(table.scan(row_filter=until).plan_files())))
        return len(self._delta().file_uris(file_pruning_predicate=f"date = '{day}'"))

    def files(self) -> set[str]:
        if self.format == "iceberg":
            paths = self._iceberg(lambda table: table.inspect.files()["file_path"].to_pylist())
        else:
            paths = self._delta().file_uris()
        return {str(Path(path).relative_to(self.folder)) for path in paths}

    def version(self) -> int:
        """Number of snapshots, or of commits."""
        if self.format == "iceberg":
            return int(self._iceberg(lambda table: len(table.snapshots())))
        return int(self._delta().version())

    def columns(self) -> list[str]:
        return list(self.rows().column_names)

    def operations(self) -> list[str]:
        """What the last change was, as its own history tells."""
        if self.format == "iceberg":
            summary = self._iceberg(lambda table: table.current_snapshot().summary)
            return [summary.operation.value, summary["added-data-files"], summary["deleted-data-files"]]
        log = max((self.folder / "_delta_log").glob("*.json")).read_text().splitlines()
        return sorted(next(iter(json.loads(line))) for line in log)


def data_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}


@pytest.fixture(params=FORMATS)
def format_(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three days in pieces, the last of which comes later."""
    pieces = split(track("4b1901", MIDNIGHT, MIDNIGHT + 2 * DAY_S, 300), 3)
    write_pieces(pieces, tmp_path / "set", BY_DATE)
    return tmp_path / "set"


def later(folder: Path, number: int = 9, **values: Any) -> None:
    lines = track("4b1902", MIDNIGHT + DAY_S, MIDNIGHT + 3 * DAY_S, 300, **values)
    write_pieces([b"".join(lines)], folder, BY_DATE, first=number)


def test_the_table_is_the_data_set_through_merges_and_replays(etl: Command, folder: Path, format_: str) -> None:
    """Every command leaves it listing what is there; one that changes nothing makes no snapshot and no commit."""
    reader = Reader(format_, folder)
    first = etl("compact", "set", "--table", format_, "--json").json
    assert (first["table"]["added"], first["table"]["removed"]) == (2, 0)
    assert reader.files() == data_files(folder)
    assert reader.rows().num_rows == first["written"] == first["table"]["rows"] == 2 * 288
    before = reader.version()
    for flags in ((), ("--all",)):
        again = etl("compact", "set", "--table", format_, "--json", *flags).json
        assert (again["table"]["added"], again["table"]["removed"], reader.version()) == (0, 0, before)
    later(folder)
    merged = etl("compact", "set", "--table", format_, "--json").json
    assert (merged["table"]["added"], merged["table"]["removed"]) == (2, 1), "the first day is left alone"
    assert reader.version() == before + 1, "one transaction takes out and brings in"
    expected = {"iceberg": ["overwrite", "2", "1"], "delta": ["add", "add", "commitInfo", "remove"]}
    assert reader.operations() == expected[format_]
    assert reader.files() == data_files(folder)
    assert reader.rows().num_rows == 4 * 288
    assert reader.day("2024-04-01", "2024-04-02") == 2 * 288
    assert reader.planned("2024-04-01", "2024-04-02") == 1


def test_duckdb_reads_what_the_library_gives_it(folder: Path, format_: str) -> None:
    compact(request(folder), kept_as(format_))
    observations = Reader(format_, folder).rows()
    plain = duckdb.sql(f"select icao24, timestamp::varchar, altitude from '{folder}/date=*/*.parquet' order by 1, 2").fetchall()
    assert observations.num_rows == len(plain)
    assert duckdb.sql("select icao24, timestamp::varchar, altitude from observations order by 1, 2").fetchall() == plain


def test_columns_join_when_files_bring_them_and_are_null_before(folder: Path, format_: str) -> None:
    reader = Reader(format_, folder)
    compact(request(folder), kept_as(format_))
    assert "gate" not in reader.columns()
    later(folder, gate=7, **{"load.kg": 1.5})
    report = compact(request(folder), kept_as(format_))
    assert report.table is not None
    assert report.table["left_out"] == []
    found = reader.rows()
    assert found["gate"].null_count == 2 * 288
    assert set(found["gate"].to_pylist()) == {None, 7}
    assert set(found["load.kg"].to_pylist()) == {None, 1.5}


def test_a_column_of_several_types_is_not_in_a_table(folder: Path, format_: str) -> None:
    """Engines read no such table. Iceberg lets go of one that it has had; Delta cannot, and says what to do."""
    later(folder, gate=7)
    compact(request(folder), kept_as(format_))
    write_pieces(
        [b"".join(track("4b1903", MIDNIGHT + 5 * DAY_S, MIDNIGHT + 6 * DAY_S, 300, gate="B7"))], folder, BY_DATE, first=20
    )
    if format_ == "delta":
        with pytest.raises(SettingsError, match=r"column gate .* several types: remove the folder .*_delta_log"):
            compact(request(folder), kept_as(format_))
        for path in (folder / "_delta_log").iterdir():
            path.unlink()
        (folder / "_delta_log").rmdir()
    report = compact(request(folder), kept_as(format_))
    assert report.table is not None
    assert report.table["left_out"] == ["gate"]
    assert any(note.endswith(": gate") for note in report.notes)
    reader = Reader(format_, folder)
    assert "gate" not in reader.columns()
    assert reader.rows().num_rows == 5 * 288
    assert reader.files() == data_files(folder)


def test_what_a_crash_left_undone_the_next_run_does(folder: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are published, and the process dies before it has changed the table, or made it."""
    reader = Reader(format_, folder)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (9, 10):
        with monkeypatch.context() as dying:
            dying.setattr("flight_etl.runners.compact.with_table", die)
            with pytest.raises(KeyboardInterrupt):
                compact(request(folder), kept_as(format_))
        report = compact(request(folder), kept_as(format_))
        assert "nothing to do" in report.notes[0]
        assert reader.files() == data_files(folder)
        later(folder, number)
    assert reader.version() == 2


def test_a_file_that_takes_the_place_of_another_is_listed_as_it_is_now(tmp_path: Path, format_: str) -> None:
    """As `backfill --overwrite` and workers write: under the same name. Names with spaces and signs are names."""
    folder, name = tmp_path / "set", "my file 50%é.ndjson.parquet"
    for number, hours in enumerate((1, 2)):
        source = track("4b1901", MIDNIGHT, MIDNIGHT + hours * 3_600, 60)
        write_pieces([b"".join(source)], folder, WHOLE, first=number)
        (written,) = folder.glob("piece-*.parquet")
        written.rename(folder / name)
        kept = runner.keep_table(str(folder), kept_as(format_))
        assert (kept.added, kept.removed, kept.rows) == (1, 0, hours * 60)
        assert Reader(format_, folder).rows().num_rows == hours * 60
        again = runner.keep_table(str(folder), kept_as(format_))
        assert (again.added, again.version) == (0, kept.version)


def test_a_data_set_that_becomes_partitioned(tmp_path: Path, format_: str) -> None:
    folder = tmp_path / "set"
    write_pieces([b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 2 * DAY_S, 300))], folder, WHOLE)
    compact(request(folder), kept_as(format_))
    by_date = override(kept_as(format_), "output", "partition_by", "date")
    change = request(folder, chosen=frozenset({"output.partition_by"}))
    if format_ == "delta":
        with pytest.raises(SettingsError, match="made with other partitions"):
            compact(change, by_date)
        return
    compact(change, by_date)
    reader = Reader(format_, folder)
    assert reader.files() == data_files(folder)
    assert reader.planned("2024-04-01", "2024-04-02") == 1
    assert reader.rows().num_rows == 2 * 288


def test_the_output_stays_one_that_a_run_replaces(etl: Command, tmp_path: Path, format_: str) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 900, 60)))
    (tmp_path / "b.ndjson").write_bytes(b"".join(track("4b1902", MIDNIGHT, MIDNIGHT + 600, 60)))
    assert etl("run", "a.ndjson", "-o", "set", "--partition-by", "date").code == 0
    assert etl("compact", "set", "--table", format_).code == 0
    assert etl("run", "b.ndjson", "-o", "set", "--partition-by", "date", "--overwrite").code == 0
    shown = etl("compact", "set", "--table", format_)
    assert shown.code == 0, shown.err
    assert f"{format_}: 1 file" in shown.out
    reader = Reader(format_, tmp_path / "set")
    assert set(reader.rows()["icao24"].to_pylist()) == {"4b1902"}


def test_somebody_who_commits_in_between_is_waited_for(folder: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that keep the same table: the second sees what the first did, and does the rest."""
    module = sys.modules.get(f"flight_etl.store.tables.{format_}") or __import__(
        f"flight_etl.store.tables.{format_}", fromlist=["x"]
    )
    compact(request(folder), kept_as(format_))
    later(folder)
    compare, done = module.difference, []

    def first_somebody_else(files: Any, listed: Any, *more: Any) -> Any:
        if not done:
            done.append(True)
            getattr(module, f"keep_{format_}")(str(folder), files, TableSettings(format=format_))  # type: ignore[arg-type]
        return compare(files, listed, *more)

    monkeypatch.setattr(module, "difference", first_somebody_else)
    kept = runner.keep_table(str(folder), kept_as(format_))
    assert (kept.added, kept.removed) == (0, 0)
    reader = Reader(format_, folder)
    assert reader.files() == data_files(folder)
    assert reader.version() == 2


def test_without_the_library_the_extra_is_named_before_any_work(
    etl: Command, folder: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"iceberg": "pyiceberg", "delta": "deltalake"}[format_]
    monkeypatch.setitem(sys.modules, package, None)
    before = data_files(folder)
    refused = etl("compact", "set", "--table", format_)
    assert refused.code == 2
    assert f"pip install 'flight-etl[{format_}]'" in refused.err
    assert data_files(folder) == before


def test_what_cannot_be_a_table_is_told(folder: Path, format_: str, tmp_path: Path) -> None:
    write_pieces([b"".join(track("4b1905", MIDNIGHT, MIDNIGHT + 900, 60))], folder, WHOLE, first=30)
    with pytest.raises(SettingsError, match="inside and outside of partitions"):
        runner.keep_table(str(folder), kept_as(format_))
    if format_ == "iceberg":
        write_pieces([b"".join(track("4b1905", MIDNIGHT, MIDNIGHT + 900, 60))], tmp_path / "other", WHOLE, first=31)
        with pytest.raises(StoreError, match="the files are published, but the table could not be changed"):
            runner.keep_table(str(tmp_path / "other"), kept_as(format_, catalog=f"sqlite:///{tmp_path}/no/catalog.db"))
        with pytest.raises(StoreError, match="table could not be changed"):
            runner.keep_table(str(tmp_path / "other"), kept_as(format_, catalog="nobody-knows-it"))


# -- in an object store --------------------------------------------------------------------------------------------------


def storage(s3: S3, format_: str) -> tuple[tuple[str, str], ...]:
    """What the library is told of the server; past our proxy, which is a thread of this process, and they hold the lock of it."""
    names = {
        "iceberg": ("s3.endpoint", "s3.access-key-id", "s3.secret-access-key", "s3.region"),
        "delta": ("endpoint_url", "access_key_id", "secret_access_key", "region"),
    }
    known = [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")]
    return tuple(zip(names[format_], (s3.client.meta.endpoint_url, *known), strict=True))


def test_in_a_bucket(s3: S3, folder: Path, format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite cannot be in a bucket: without a catalogue, that is told before anything is changed in vain."""
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # see docs/tables.md
    upload(s3, folder)
    place = f"{s3.url}/lake"
    properties = storage(s3, format_)
    settings = kept_as(format_, properties=properties)
    if format_ == "iceberg":
        with pytest.raises(SettingsError, match=r"table\.catalog is missing"):
            compact(CompactRequest(dataset=place), settings)
        settings = kept_as(format_, catalog=f"sqlite:///{tmp_path}/catalog.db", properties=properties)
    for number, (added, removed) in enumerate([(2, 0), (0, 0), (2, 1)]):
        if number == 2:
            later(tmp_path / "more")
            upload(s3, tmp_path / "more")
        report = compact(CompactRequest(dataset=place), settings)
        assert report.table is not None
        assert (report.table["added"], report.table["removed"]) == (added, removed)
    if format_ == "iceberg":
        with closing(SqlCatalog("flight_etl", uri=f"sqlite:///{tmp_path}/catalog.db", **dict(properties))) as catalog:
            table = catalog.load_table(NAME)
            paths, rows = table.inspect.files()["file_path"].to_pylist(), table.scan().count()
    else:
        table = DeltaTable(place, storage_options={"allow_http": "true", **dict(properties)})
        paths, rows = table.file_uris(), table.count()
    assert rows == 4 * 288
    assert {path.removeprefix(f"s3://{s3.name}/") for path in paths} == {key for key in s3.objects() if key.endswith(".parquet")}


def test_in_the_catalogue_of_glue(moto_server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = fresh_bucket(moto_server, monkeypatch)
    upload(s3, folder)
    properties = dict(storage(s3, "iceberg"))
    for name in ("endpoint", "access-key-id", "secret-access-key", "region"):
        properties[f"glue.{name}"] = properties[f"s3.{name}"]
    settings = kept_as("iceberg", catalog="glue", name="lake.observations", properties=tuple(properties.items()))
    for added in (2, 0):
        report = compact(CompactRequest(dataset=f"{s3.url}/lake"), settings)
        assert report.table is not None
        assert (report.table["added"], report.table["files"], report.table["rows"]) == (added, 2, 2 * 288)


PAGE = (Path(__file__).parents[2] / "docs/tables.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_blocks_of_the_page_run_and_answer(etl: Command, generated: Callable[..., Path], tmp_path: Path) -> None:
    """Those of both formats about one day, from the table that the page's commands make; they agree with the files."""
    assert etl("run", generated(12_000, interval_s=20), "-o", "flights", "--partition-by", "date").code == 0
    for format_ in FORMATS:
        assert etl("compact", "flights", "--table", format_).code == 0
    text = "select flight_id, max(altitude_ft) as ft from 'flights/date=2023-11-15/*.parquet' group by 1 order by 2 desc, 1"
    expected = duckdb.sql(text).fetchall()
    assert len(BLOCKS) == 2
    for code in BLOCKS:
        made: dict[str, Any] = {}
        exec(compile(code, "docs/tables.md", "exec"), made)
        assert made["highest"] == expected
        if "catalog" in made:
            made["catalog"].close()
    assert (tmp_path / "flights.iceberg/catalog.db").is_file()


def test_settings_are_read_from_the_file_of_the_page(etl: Command, folder: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "flight-etl.toml").write_text(text.replace('"glue"', f'"sqlite:///{tmp_path}/own.db"'))
    done = etl("compact", folder.name, "--json")
    assert done.code == 0, done.err
    with closing(SqlCatalog("flight_etl", uri=f"sqlite:///{tmp_path}/own.db")) as catalog:
        assert catalog.load_table("aviation.observations").scan().count() == 2 * 288
    assert etl("compact", folder.name, "--set", "table.name=nodots").code == 2
