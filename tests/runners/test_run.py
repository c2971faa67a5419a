"""A run from end to end: the rows of the golden files, the books, the folder it leaves, and running again."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flight_etl.schema import ENRICHED, NORMAL, PROVENANCE, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command

GOLDEN = Path(__file__).parents[1] / "golden"
INPUTS = sorted(path for path in GOLDEN.iterdir() if path.suffix in (".json", ".ndjson", ".csv") and "expected" not in path.name)


def rows_as_text(path: Path) -> list[dict[str, str]]:
    """Rows of a Parquet file as CSV shows them: six significant digits, nothing for null."""

    def text(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, float):
            return f"{value:.6g}"
        return value.isoformat() if hasattr(value, "isoformat") else str(value)

    return [{name: text(value) for name, value in row.items()} for row in pq.read_table(path).to_pylist()]


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_golden_inputs_give_the_expected_rows(etl: Command, path: Path) -> None:
    """To write the expected rows anew: delete them, run this test, and read the new file with care."""
    expected = path.with_name(f"{path.name}.expected.csv")
    assert etl("run", path, "-o", "out").code == 0
    found = rows_as_text(Path("out/part-00000.parquet"))
    # Columns without a value say nothing, and the confidence is a matter of tuning.
    kept = [name for name in found[0] if any(row[name] for row in found) and name != "phase_confidence"]
    if not expected.exists():
        text = io.StringIO()
        writer = csv.DictWriter(text, kept, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
        expected.write_text(text.getvalue())
        pytest.fail(f"wrote {expected.name}: check it by hand")
    with expected.open(newline="") as file:
        wanted = list(csv.DictReader(file))
    assert [{name: row[name] for name in kept} for row in found] == wanted


def test_the_output_has_the_declared_columns_with_units_then_extra_ones(etl: Command, generated: Callable[..., Path]) -> None:
    etl("run", generated(2_000, interval_s=20), "-o", "out")
    schema = pq.read_schema("out/part-00000.parquet")
    declared = [column.name for column in ENRICHED]
    assert schema.names[: len(declared)] == declared
    assert schema.names[len(declared) :] == sorted(schema.names[len(declared) :]) != []
    assert not set(schema.names) & set(PROVENANCE)
    for column in ENRICHED:
        found = schema.field(column.name)
        assert found.type == column.type
        assert found.metadata[b"unit"].decode() == column.unit
        assert found.metadata[b"null"].decode() == column.null


def test_the_footer_holds_version_and_settings_and_nothing_of_the_moment(etl: Command, generated: Callable[..., Path]) -> None:
    etl("run", generated(2_000, interval_s=20), "-o", "out", "--compression", "zstd")
    metadata = pq.read_schema("out/part-00000.parquet").metadata
    assert metadata[b"flight_etl.schema_version"].decode() == SCHEMA_VERSION
    settings = json.loads(metadata[b"flight_etl.settings"])
    assert settings["output"]["compression"] == "zstd"
    assert str(Path.cwd()) not in str(metadata)


def test_rows_are_sorted_and_statistics_tell_it(etl: Command, generated: Callable[..., Path]) -> None:
    etl("run", generated(2_000, interval_s=20), "-o", "out", "--set", "output.row_group_rows=1000")
    file = pq.ParquetFile("out/part-00000.parquet")
    keys = [(row["icao24"], row["timestamp"]) for row in file.read(["icao24", "timestamp"]).to_pylist()]
    assert keys == sorted(set(keys))
    assert file.metadata.num_row_groups == 2
    at = file.schema_arrow.get_field_index("icao24")
    one, two = (file.metadata.row_group(number).column(at).statistics for number in range(2))
    assert one.min <= one.max <= two.min <= two.max


def test_tracks_cross_files(etl: Command) -> None:
    def rows(*seconds: int) -> str:
        return json.dumps([{"icao24": "abc001", "timestamp": 1_700_000_000 + s, "lat": 50 + s / 1e3, "lon": 8} for s in seconds])

    Path("a.json").write_text(rows(20, 0))
    Path("b.json").write_text(rows(10, 30))
    assert etl("run", "a.json", "b.json", "-o", "out", "--json").json["flights"] == 1
    distance = pq.read_table("out/part-00000.parquet")["distance_km"].to_pylist()
    assert distance[0] is None
    assert distance[1:] == pytest.approx([1.11] * 3, rel=0.01)


def test_each_input_has_an_account_of_its_own(etl: Command, generated: Callable[..., Path]) -> None:
    one, two = generated(2_000, interval_s=20), generated(1_000, layout="opensky", seed=9)
    report = etl("run", one, two, "-o", "out", "--json").json
    assert [(i["layout"], i["read"]) for i in report["inputs"]] == [("flat", 2_000), ("opensky", 1_000)]
    assert all(i["read"] == i["written"] + sum(i["dropped"].values()) for i in report["inputs"])
    lines = [json.loads(line) for line in Path("out/_quarantine.ndjson").read_bytes().splitlines()]
    assert len(lines) == sum(report["dropped"].values())
    for account in report["inputs"]:
        assert sum(line["file"] == account["path"] for line in lines) == sum(account["dropped"].values())


OWN = {"_report.json", "_manifest.json", "_quarantine.ndjson"}


def test_a_run_with_other_settings_refuses_and_with_overwrite_replaces_what_is_ours_only(
    etl: Command, generated: Callable[..., Path], listing: Callable[[Path], dict[str, bytes]]
) -> None:
    first, second = generated(2_000, interval_s=20), generated(1_000, seed=9)
    etl("run", first, "-o", "out", "--partition-by", "date")
    Path("out/notes.txt").write_text("mine")
    Path("out/mine").mkdir()
    Path("out/mine/deep.csv").write_text("a,b")
    before = listing(Path("out"))
    done = etl("run", second, "-o", "out")
    assert (done.code, done.out) == (2, "")
    assert "--overwrite" in done.err
    assert done.err.count("\n") == 1
    assert listing(Path("out")) == before
    done = etl("run", second, "-o", "out", "--overwrite", "--json")
    assert done.code == 0
    after = listing(Path("out"))
    assert after.keys() == {"notes.txt", "mine/deep.csv", "part-00000.parquet", *OWN}
    assert after["notes.txt"] == b"mine"
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_the_same_input_gives_the_same_bytes_again(
    etl: Command, generated: Callable[..., Path], listing: Callable[[Path], dict[str, bytes]]
) -> None:
    sample = generated(2_000, interval_s=20)
    etl("run", sample, "-o", "one")
    shutil.copy(sample, "another name.json")
    etl("run", "another name.json", "-o", "two")
    one, two = listing(Path("one")), listing(Path("two"))
    assert one["part-00000.parquet"] == two["part-00000.parquet"]


def test_an_output_folder_that_is_a_file_or_holds_foreign_parquet_is_refused(
    etl: Command, generated: Callable[..., Path]
) -> None:
    sample = generated(2_000, interval_s=20)
    Path("file").write_text("x")
    Path("foreign").mkdir()
    Path("foreign/data.parquet").write_bytes(b"not ours")
    for target in ("file", "foreign"):
        done = etl("run", sample, "-o", target, "--overwrite")
        assert (done.code, done.err.count("\n")) == (2, 1)
    assert Path("foreign/data.parquet").read_bytes() == b"not ours"


def test_inputs_are_files_folders_and_patterns(etl: Command, generated: Callable[..., Path]) -> None:
    Path("in/deep/er").mkdir(parents=True)
    for at, folder in enumerate(("in", "in/deep", "in/deep/er")):
        shutil.copy(generated(100, seed=at + 20), f"{folder}/{at}.json")
    Path("in/.hidden.json").write_text("junk")
    for inputs in (["in"], ["in/**/*.json"], ["in/0.json", "in/deep"]):
        report = etl("run", *inputs, "-o", "out", "--overwrite", "--json").json
        assert [Path(one["path"]).name for one in report["inputs"]] == ["0.json", "1.json", "2.json"]
        assert report["read"] == 300


def test_an_output_inside_the_input_folder_is_not_read_again(etl: Command, generated: Callable[..., Path]) -> None:
    shutil.copy(generated(100, seed=20), "in.json")
    for flags in ([], ["--overwrite"]):
        report = etl("run", ".", "-o", "out", "--json", *flags).json
        assert report["read"] == 100


def test_empty_inputs_give_an_empty_data_set_with_its_schema(etl: Command) -> None:
    Path("in.json").write_text('{"time":1700000000,"states":null}')
    report = etl("run", "in.json", "-o", "out", "--json").json
    assert (report["read"], report["written"], report["aircraft"], report["flights"]) == (0, 0, 0, 0)
    table = pq.read_table("out/part-00000.parquet")
    assert table.num_rows == 0
    assert table.column_names == [column.name for column in ENRICHED]


def test_stale_rows_feed_no_derived_motion(etl: Command, generated: Callable[..., Path]) -> None:
    etl("run", generated(4_000, interval_s=10), "-o", "out")
    table = pq.read_table("out/part-00000.parquet")
    stale = table.filter(table["is_stale"])
    assert stale.num_rows > 50
    for name in ("distance_km", "acceleration_kts_min", "turn_rate_deg_s", "climb_rate_fpm"):
        assert pc.all(pc.is_null(stale[name])).as_py(), name


def test_convert_has_normal_columns_only(etl: Command, generated: Callable[..., Path]) -> None:
    etl("convert", generated(2_000, interval_s=20), "out.parquet")
    names = pq.read_schema("out.parquet").names
    assert names[: len(NORMAL)] == [column.name for column in NORMAL]
    assert "flight_id" not in names
