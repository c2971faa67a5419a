"""The statement that makes an Athena table of a data set: its text, since Athena itself is not here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from test_compact import BY_DATE, DAY_S, MIDNIGHT, WHOLE, track, write_pieces
from test_compact_objects import upload

from flight_etl.errors import SettingsError
from flight_etl.runners.ddl import athena_ddl
from flight_etl.schema import ENRICHED, arrow_schema

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command
    from servers import S3


def test_a_partitioned_data_set_has_every_column_and_its_partitions_projected(etl: Command, s3: S3, tmp_path: Path) -> None:
    write_pieces([b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 1.2 * DAY_S, 600, gate="B's"))], tmp_path / "set", BY_DATE)
    write_pieces([b"".join(track("4b1902", MIDNIGHT, MIDNIGHT + 900, 60, weight=3))], tmp_path / "set", BY_DATE, first=1)
    upload(s3, tmp_path / "set")
    done = etl("inspect", "--ddl", "athena", "--table", "adsb", f"{s3.url}/lake/")
    assert done.code == 0, done.err
    columns = dict(re.findall(r"^  `(\w+)` (\w+) COMMENT", done.out, re.MULTILINE))
    assert list(columns) == [*(column.name for column in ENRICHED), "gate", "weight"]
    assert (columns["icao24"], columns["timestamp"], columns["latitude"], columns["on_ground"], columns["weight"]) == (
        *("string", "timestamp", "double", "boolean", "bigint"),
    )
    assert "date" not in columns
    assert "PARTITIONED BY (`date` string)" in done.out
    assert "'projection.date.range' = '2024-03-31,NOW'" in done.out
    assert f"'storage.location.template' = '{s3.url}/lake/date=${{date}}/'" in done.out
    assert f"LOCATION '{s3.url}/lake/'" in done.out
    assert done.out.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS `adsb` (")
    assert done.out.endswith(");\n")


def test_a_data_set_without_partitions_has_none(etl: Command, s3: S3, tmp_path: Path) -> None:
    write_pieces([b"".join(track("4b1901", MIDNIGHT, MIDNIGHT + 900, 60))], tmp_path / "set", WHOLE)
    upload(s3, tmp_path / "set")
    done = etl("inspect", "--ddl", "athena", f"{s3.url}/lake")
    assert done.code == 0
    assert "PARTITIONED" not in done.out
    assert "projection" not in done.out


def test_comments_are_quoted() -> None:
    field = pa.field("a`b", pa.string(), metadata={"description": "it's a \\ mark", "unit": ""})
    statement = athena_ddl("s3://lake/x", "t", [pa.schema([field])], [None])
    assert "  `a``b` string COMMENT 'it\\'s a \\\\ mark'" in statement


@pytest.mark.parametrize(
    ("location", "schemas", "days", "told"),
    [
        ("folder", [arrow_schema(ENRICHED)], [None], "s3://bucket/prefix only"),
        ("s3://a/b", [arrow_schema(ENRICHED)] * 2, [None, "2024-03-31"], "inside and outside of partitions"),
        ("s3://a/b", [pa.schema([("n", pa.int64())]), pa.schema([("n", pa.string())])], [None], "bigint in one file and string"),
    ],
)
def test_what_athena_could_not_read_is_refused(
    location: str, schemas: list[pa.Schema], days: list[str | None], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        athena_ddl(location, "t", schemas, days)
