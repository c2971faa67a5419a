"""The command line as DESIGN section 7 fixes it: flags, exit codes, precedence, words for people and for machines."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flight_etl.core.decode.layouts import LAYOUT_NAMES
from flight_etl.runners import cli, cli_options
from flight_etl.runners.options import settings_of
from flight_etl.settings import ENVIRONMENT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Command

COMMANDS = ("run", "convert", "inspect", "generate", "completion")
REPORT_KEYS = {
    *("read", "written", "dropped", "inputs", "outputs", "aircraft", "flights", "seconds"),
    *("bytes_in", "bytes_out", "peak_rss_mb", "decoder", "version"),
}
INPUT_KEYS = {"path", "layout", "read", "written", "dropped", "error"}


@pytest.fixture
def sample(generated: Callable[..., Path]) -> Path:
    """Some flights at intervals that make them long enough for their phases."""
    return generated(1_000, interval_s=30)


def table(folder: Path) -> Any:
    return pq.read_table(sorted(folder.rglob("*.parquet")))


# -- help, completion, words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example_of_it(etl: Command, command: str) -> None:
    for flag in ("--help", "-h"):
        done = etl(command, flag)
        assert done.code == 0
        assert f"  flight-etl {command} " in done.out.split("Example")[1]


def test_the_help_lists_every_command_and_the_exit_codes(etl: Command) -> None:
    done = etl("--help")
    assert done.code == 0
    assert all(re.search(rf"^  {name} ", done.out, re.MULTILINE) for name in COMMANDS)
    assert "130 interrupted" in done.out


def test_the_version_is_told(etl: Command) -> None:
    assert re.fullmatch(r"flight-etl, version \d+\.\d+\.\d+\n", etl("--version").out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(etl: Command, shell: str) -> None:
    done = etl("completion", shell)
    assert done.code == 0
    assert "_FLIGHT_ETL_COMPLETE" in done.out


def test_completion_knows_commands_and_flags(
    etl: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_FLIGHT_ETL_COMPLETE", "bash_complete")
    for words, wanted in (("flight-etl ", "convert"), ("flight-etl run --part", "--partition-by")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        assert wanted in etl().out
    assert not capsys.readouterr().err


def test_the_names_of_layouts_are_those_of_the_decoder() -> None:
    assert sorted(cli_options.LAYOUTS) == sorted(LAYOUT_NAMES)


@pytest.mark.parametrize("name", sorted(cli.cli.elsewhere))
def test_the_list_of_commands_says_of_each_what_its_own_help_says(name: str) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(1_000) == cli.cli.elsewhere[name].about


def test_a_program_keeps_its_exit_code_and_what_it_has_said(tmp_path: Path) -> None:
    """Although it ends without taking Python apart; exit functions of what it imports are called first."""
    script = (
        "import atexit, sys; sys.argv = ['flight-etl', 'run', 'missing', '-o', 'out']\n"
        "from flight_etl.runners import cli, options\n"
        "asked = options.settings_of\n"
        "def late(given): atexit.register(print, 'last words'); return asked(given)\n"
        "cli.settings_of = late; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stdout.endswith("last words\n")
    assert "missing: cannot read" in done.stderr


def test_the_summary_for_people_has_the_counts_and_no_progress_bar_in_a_pipe(etl: Command, sample: Path) -> None:
    done = etl("run", sample, "-o", "out")
    assert done.code == 0
    assert "1,000 records of 1 input" in done.out
    assert "out/part-00000.parquet" in done.out
    assert not done.err
    assert "\x1b" not in done.out
    assert "\r" not in done.out


def test_a_bar_is_shown_on_a_terminal_and_not_with_json(etl: Command, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flight_etl.runners import show

    shown = []
    original = show.bar

    def bar() -> Any:
        shown.append(1)
        return original()

    monkeypatch.setattr(show, "bar", bar)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert etl("run", sample, "-o", "out", "--json").code == 0
    assert not shown
    assert etl("run", sample, "-o", "out2").code == 0
    assert shown


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_json_is_one_object_with_every_documented_key(etl: Command, sample: Path) -> None:
    done = etl("run", sample, "-o", "out", "--json")
    assert (done.code, done.err) == (0, "")
    report = done.json
    assert report.keys() >= REPORT_KEYS
    assert report["read"] == 1_000 == report["written"] + sum(report["dropped"].values())
    assert report["inputs"][0].keys() >= INPUT_KEYS
    assert report["inputs"][0]["path"] == str(sample)
    assert report["outputs"] == ["out/part-00000.parquet"]
    assert report["bytes_in"] == sample.stat().st_size
    assert report["bytes_out"] == Path("out/part-00000.parquet").stat().st_size
    assert report["decoder"] in ("fast", "reference")
    rows = table(Path("out"))
    assert report["written"] == rows.num_rows
    assert report["aircraft"] == len(pc.unique(rows["icao24"]))
    assert report["flights"] == len(pc.unique(rows["flight_id"]))


def test_the_report_beside_the_output_is_the_one_that_was_printed(etl: Command, sample: Path) -> None:
    printed = etl("run", sample, "-o", "out", "--json").json
    assert json.loads(Path("out/_report.json").read_bytes()) == printed


@pytest.mark.parametrize("command", ["run", "convert"])
def test_json_is_all_there_is_on_standard_output_at_exit_1_too(etl: Command, sample: Path, command: str) -> None:
    inputs = [sample, "missing.json"] if command == "run" else ["missing.json"]
    target = ["-o", "out"] if command == "run" else ["out.parquet"]
    done = etl(command, *inputs, *target, "--json")
    assert done.code == 1
    assert done.json.keys() >= REPORT_KEYS
    assert "missing.json" in done.json["inputs"][-1]["error"]


def test_json_is_one_object_even_where_nothing_could_be_written(etl: Command, sample: Path) -> None:
    Path("file").write_text("in the way")
    done = etl("run", sample, "-o", "file/out", "--json")
    assert done.code == 1
    assert done.json.keys() >= REPORT_KEYS
    assert "file/out" in done.json["error"]
    assert done.err.startswith("flight-etl: ")


def test_inspect_tells_layout_columns_counts_and_rows(etl: Command, sample: Path) -> None:
    found = etl("inspect", sample, "--json", "--rows", "3").json
    assert (found["layout"], found["read"], len(found["first_rows"])) == ("flat", 1_000, 3)
    assert {"name": "altitude", "type": "double", "unit": "m"} in found["columns"]
    shown = etl("inspect", sample)
    assert shown.code == 0
    assert all(word in shown.out for word in ("flat", "1,000", "altitude", "m/s", "ms UTC"))


def test_inspect_of_a_missing_file_fails_in_one_line_and_in_json(etl: Command) -> None:
    assert etl("inspect", "missing").err.count("\n") == 1
    done = etl("inspect", "missing", "--json")
    assert done.code == 1
    assert "missing" in done.json["error"]


# -- flags and filters -------------------------------------------------------------------------------------------------


def test_every_layout_that_is_generated_is_recognised_and_can_be_named(etl: Command) -> None:
    for layout in LAYOUT_NAMES:
        assert etl("generate", 60, "--layout", layout, "--complexity", "complex", "-o", f"{layout}.json").code == 0
        for flags in ([], ["--layout", layout]):
            done = etl("run", f"{layout}.json", "-o", "out", "--overwrite", "--json", *flags)
            assert (done.code, done.json["inputs"][0]["layout"], done.json["read"]) == (0, layout, 60)


def test_generate_writes_the_same_bytes_for_the_same_seed(etl: Command) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert etl("generate", 100, "--seed", seed, "-o", f"{name}.json.gz").code == 0
    assert Path("a.json.gz").read_bytes() == Path("b.json.gz").read_bytes() != Path("c.json.gz").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["a.json.gz", "b.json.gz", "c.json.gz"]


def test_generate_where_nothing_can_be_written_fails_in_one_line(etl: Command) -> None:
    Path("file").write_text("in the way")
    done = etl("generate", 10, "-o", "file/x.json")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "file/x.json" in done.err


@pytest.mark.parametrize("compression", ["snappy", "zstd", "lz4", "gzip", "none"])
def test_every_compression_is_written(etl: Command, sample: Path, compression: str) -> None:
    assert etl("run", sample, "-o", "out", "--compression", compression).code == 0
    codec = pq.ParquetFile("out/part-00000.parquet").metadata.row_group(0).column(0).compression
    assert codec.replace("UNCOMPRESSED", "NONE") == compression.upper()


def test_partitions_are_folders_of_utc_days(etl: Command, sample: Path) -> None:
    assert etl("run", sample, "-o", "flat").code == 0
    report = etl("run", sample, "-o", "out", "--partition-by", "date", "--json").json
    folders = {Path(path).parent.name for path in report["outputs"]}
    days = {str(day)[:10] for day in table(Path("flat"))["timestamp"].to_pylist()}
    assert folders == {f"date={day}" for day in days}
    assert len(days) > 1
    for path in report["outputs"]:
        assert {f"date={str(t)[:10]}" for t in pq.ParquetFile(path).read()["timestamp"].to_pylist()} == {Path(path).parent.name}


def test_filters_keep_what_they_name_and_book_the_rest_as_filtered(etl: Command, sample: Path) -> None:
    etl("convert", sample, "all.parquet")
    rows = pq.read_table("all.parquet")
    codes = sorted(set(rows["icao24"].to_pylist()))[:2]
    times = sorted(rows["timestamp"].to_pylist())
    middle: datetime = times[len(times) // 2]
    lon = pc.mean(rows["longitude"]).as_py()

    def kept(*flags: object) -> Any:
        report = etl("convert", sample, "kept.parquet", "--overwrite", "--json", *flags).json
        found = pq.read_table("kept.parquet")
        assert report["read"] == report["written"] + sum(report["dropped"].values())
        assert report["dropped"].get("filtered", 0) == rows.num_rows - found.num_rows > 0
        return found

    one = kept("--icao24", codes[0].upper())
    assert set(one["icao24"].to_pylist()) == {codes[0]}
    for flags in (["--icao24", codes[0], "--icao24", codes[1]], ["--icao24", ",".join(codes)]):
        assert set(kept(*flags)["icao24"].to_pylist()) == set(codes)
    from_iso = kept("--from", middle.isoformat())
    assert min(from_iso["timestamp"].to_pylist()) == middle
    naive_and_zulu = [kept("--from", middle.replace(tzinfo=None)), kept("--from", f"{middle:%Y-%m-%dT%H:%M:%S}Z")]
    assert all(found.equals(from_iso) for found in naive_and_zulu)
    assert kept("--from", int(middle.timestamp())).equals(from_iso)
    before = kept("--to", middle.isoformat())
    assert max(before["timestamp"].to_pylist()) < middle
    assert before.num_rows + from_iso.num_rows == rows.num_rows
    west = kept("--bbox", f"-180,-90,{lon},90")
    assert pc.max(west["longitude"]).as_py() <= lon
    assert west.num_rows == pc.sum(pc.less_equal(rows["longitude"], lon)).as_py()


def test_units_change_what_the_numbers_of_flat_records_mean(etl: Command) -> None:
    record = {"icao24": "abc001", "timestamp": 1_700_000_000, "altitude": 1_000, "velocity": 100, "vertical_rate": 600}
    Path("in.json").write_text(json.dumps([record]))
    si = etl("convert", "in.json", "si.parquet")
    aviation = etl("convert", "in.json", "aviation.parquet", "--units", "aviation")
    assert (si.code, aviation.code) == (0, 0)
    row = pq.read_table("aviation.parquet").to_pylist()[0]
    assert row["altitude"] == pytest.approx(304.8)
    assert row["velocity"] == pytest.approx(51.4444, rel=1e-5)
    assert row["vertical_rate"] == pytest.approx(3.048)
    assert pq.read_table("si.parquet").to_pylist()[0]["altitude"] == 1_000


def test_feet_and_knots_read_as_si_are_noted_with_the_remedy(etl: Command) -> None:
    rows = [
        {"icao24": "abc001", "timestamp": 1_700_000_000 + i, "altitude": 35_000, "velocity": 450, "vertical_rate": 64 * (i % 30)}
        for i in range(600)
    ]
    Path("in.json").write_text(json.dumps(rows))
    done = etl("run", "in.json", "-o", "out")
    assert "--units aviation" in done.err
    assert "--units aviation" not in etl("run", "in.json", "-o", "out2", "--units", "aviation").err


def test_dedupe_strategies_and_tolerance_reach_the_rows(etl: Command) -> None:
    def row(second: float, altitude: float | None) -> dict[str, Any]:
        return {"icao24": "abc001", "timestamp": 1_700_000_000 + second, "altitude": altitude, "velocity": 90.0}

    Path("in.json").write_text(json.dumps([row(0, None), row(0, 500.0), row(0, None), row(1, 510.0)]))
    found = {}
    for strategy in ("first", "last", "best_quality", "none"):
        report = etl("run", "in.json", "-o", strategy, "--dedupe", strategy, "--set", "impute.methods=", "--json").json
        found[strategy] = table(Path(strategy))["altitude"].to_pylist()
        assert report["dropped"] == ({} if strategy == "none" else {"duplicate": 2})
    assert found == {
        "first": [None, 510.0],
        "last": [None, 510.0],
        "best_quality": [500.0, 510.0],
        "none": found["none"],
    }
    assert len(found["none"]) == 4
    near = etl("run", "in.json", "-o", "near", "--tolerance-s", "1.5", "--json").json
    assert near["dropped"] == {"duplicate": 2, "near_duplicate": 1}


def test_the_method_for_phases_is_chosen(etl: Command, sample: Path) -> None:
    for method in ("context", "rules"):
        assert etl("run", sample, "-o", method, "--phase-method", method).code == 0
    assert table(Path("context"))["flight_phase"] != table(Path("rules"))["flight_phase"]


def test_any_setting_can_be_set_by_its_name(etl: Command, sample: Path) -> None:
    assert etl("run", sample, "-o", "out", "--set", "speed.high_kt=200", "--set", "units=si").code == 0
    rows = table(Path("out"))
    fast = rows.filter(pc.and_(pc.greater(rows["speed_knots"], 200), pc.less(rows["speed_knots"], 350)))
    assert set(fast["speed_category"].to_pylist()) == {"high"}


def test_rows_that_do_not_fit_go_to_the_named_folder_and_leave_nothing_there(etl: Command, sample: Path) -> None:
    Path("spill").mkdir()
    assert etl("run", sample, "-o", "out", "--spill-dir", "spill").code == 0
    assert not list(Path("spill").iterdir())
    done = etl("run", sample, "-o", "out2", "--spill-dir", "missing")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "missing" in done.err


# -- precedence and environment ----------------------------------------------------------------------------------------


def codec() -> str:
    return str(pq.ParquetFile("out/part-00000.parquet").metadata.row_group(0).column(0).compression)


def test_flags_win_over_the_environment_over_the_file_over_the_default(
    etl: Command, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["run", sample, "-o", "out", "--overwrite"]
    etl(*run)
    assert codec() == "SNAPPY"
    Path("flight-etl.toml").write_text('[output]\ncompression = "gzip"\n')
    etl(*run)
    assert codec() == "GZIP"
    Path("other.toml").write_text('[output]\ncompression = "none"\n')
    etl(*run, "--config", "other.toml")
    assert codec() == "UNCOMPRESSED"
    monkeypatch.setenv("COMPRESSION_TYPE", "zstd")
    etl(*run)
    assert codec() == "ZSTD"
    etl(*run, "--compression", "lz4")
    assert codec() == "LZ4"
    monkeypatch.setenv("COMPRESSION_TYPE", "")  # as good as not set
    etl(*run)
    assert codec() == "GZIP"


def test_a_strategy_by_flag_wins_over_duplicates_kept_by_the_environment(
    etl: Command, generated: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = generated(1_000, interval_s=30)
    monkeypatch.setenv("ENABLE_DUPLICATE_REMOVAL", "false")
    assert etl("run", sample, "-o", "kept", "--json").json["dropped"] == {}
    assert etl("run", sample, "-o", "out", "--dedupe", "best_quality", "--json").json["dropped"]["duplicate"] > 0


VALUES: dict[str, tuple[str, object]] = {
    "ENVIRONMENT": ("prod", "prod"),
    "AWS_REGION": ("eu-central-1", "eu-central-1"),
    "LOG_LEVEL": ("debug", "DEBUG"),
    "INPUT_BUCKET": ("in", "in"),
    "OUTPUT_BUCKET": ("out", "out"),
    "ERROR_BUCKET": ("bad", "bad"),
    "CHUNK_SIZE": ("5000", 5_000),
    "MAX_WORKERS": ("3", 3),
    "MEMORY_LIMIT_MB": ("1024", 1_024),
    "COMPRESSION_TYPE": ("ZSTD", "zstd"),
    "ENABLE_CACHING": ("false", False),
    "ENABLE_PARALLEL_PROCESSING": ("0", False),
    "ENABLE_CIRCUIT_BREAKER": ("no", False),
    "MAX_RETRIES": ("5", 5),
    "DLQ_QUEUE_URL": ("https://queue.example/dead", "https://queue.example/dead"),
    "ENABLE_CALCULATED_FIELDS": ("off", False),
    "ENABLE_FLIGHT_PHASES": ("False", False),
    "ENABLE_DUPLICATE_REMOVAL": ("FALSE", False),
}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_every_environment_name_sets_its_field(etl: Command, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del etl  # it empties the environment
    section, key = ENVIRONMENT[name]
    text, value = VALUES[name]
    assert getattr(getattr(Settings(), section), key) != value
    monkeypatch.setenv(name, text)
    assert getattr(getattr(settings_of({}), section), key) == value


def test_switches_of_the_environment_show_in_the_output(etl: Command, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_CALCULATED_FIELDS", "false")
    etl("run", sample, "-o", "still")
    assert "speed_knots" not in table(Path("still")).column_names
    assert "flight_phase" in table(Path("still")).column_names
    monkeypatch.delenv("ENABLE_CALCULATED_FIELDS")
    monkeypatch.setenv("ENABLE_FLIGHT_PHASES", "false")
    etl("run", sample, "-o", "plain")
    assert "speed_knots" in table(Path("plain")).column_names
    assert "flight_phase" not in table(Path("plain")).column_names


# -- bad values: one line that names the field, the value and what is permitted -----------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workers", "0"], ("--workers", "0", "1 to 256")),
        (["--workers", "many"], ("--workers", "many", "whole number", "1 to 256")),
        (["--chunk-size", "0"], ("--chunk-size", "0", "1 to 10,000,000")),
        (["--chunk-size", "1.5"], ("--chunk-size", "1.5", "1 to 10,000,000")),
        (["--memory-limit-mb", "100"], ("--memory-limit-mb", "100", "at least 384")),
        (["--tolerance-s", "-1"], ("--tolerance-s", "-1", "0 to 60")),
        (["--tolerance-s", "nan"], ("--tolerance-s", "nan", "0 to 60")),
        (["--compression", "brotli"], ("--compression", "brotli", "'snappy', 'zstd', 'lz4', 'gzip', 'none'")),
        (["--partition-by", "hour"], ("--partition-by", "hour", "date")),
        (["--layout", "sbs"], ("--layout", "sbs", "opensky")),
        (["--units", "metric"], ("--units", "metric", "aviation")),
        (["--dedupe", "best"], ("--dedupe", "best", "best_quality")),
        (["--phase-method", "guess"], ("--phase-method", "guess", "'context', 'rules'")),
        (["--bbox", "1,2,3"], ("--bbox", "1,2,3", "W,S,E,N")),
        (["--bbox", "1,a,3,4"], ("--bbox", "1,a,3,4", "W,S,E,N")),
        (["--bbox", "1,50,3,40"], ("bbox", "50.0", "south below north")),
        (["--bbox", "-200,0,0,10"], ("bbox", "-200", "-180 to 180")),
        (["--bbox", "nan,0,0,10"], ("--bbox", "nan")),
        (["--from", "yesterday"], ("--from", "yesterday", "ISO 8601")),
        (["--to", "inf"], ("--to", "inf", "ISO 8601")),
        (["--to", "1e300"], ("--to", "1 to 9999")),
        (["--from", "2023-01-02", "--to", "2023-01-01"], ("end_ms", "--from before --to")),
        (["--icao24", "notahex"], ("icao24", "notahex", "six hexadecimal digits")),
        (["--set", "nonsense"], ("--set", "nonsense", "SECTION.KEY=VALUE")),
        (["--set", "output.nonsense=1"], ("--set output.nonsense", "row_group_rows")),
        (["--set", "nowhere.key=1"], ("--set nowhere.key", "sections are decode")),
        (["--set", "decode.max_depth=5000"], ("decode.max_depth", "5000", "1 to 1,024 levels")),
        (["--set", "speed.high_kt=90"], ("speed", "high_kt=90.0")),
        (["--set", "motion.enabled=perhaps"], ("motion.enabled", "perhaps", "true or false")),
        (["--set", "impute.methods=squawk=mode"], ("squawk",)),
        (["--config", "missing.toml"], ("--config", "missing.toml")),
    ],
)
def test_a_bad_flag_ends_in_one_line_with_code_2(etl: Command, sample: Path, flags: list[str], words: tuple[str, ...]) -> None:
    done = etl("run", sample, "-o", "out", *flags)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert all(word in done.err for word in words), done.err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("name", "value", "permitted"),
    [
        ("CHUNK_SIZE", "ten", "a whole number, 1 to 10,000,000 rows"),
        ("MAX_WORKERS", "-1", "1 to 256 threads"),
        ("MEMORY_LIMIT_MB", "12", "at least 384 MB"),
        ("MAX_RETRIES", "99", "0 to 20 retries"),
        ("COMPRESSION_TYPE", "rar", "snappy, zstd, lz4, gzip, none"),
        ("ENABLE_CACHING", "2", "true or false"),
        ("LOG_LEVEL", "LOUD", "DEBUG"),
    ],
)
def test_a_bad_environment_value_names_the_variable(
    etl: Command, sample: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, permitted: str
) -> None:
    monkeypatch.setenv(name, value)
    done = etl("run", sample, "-o", "out")
    assert done.code == 2
    assert re.match(rf"flight-etl: {name}='?{value}'? is not permitted: ", done.err)
    assert permitted in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[output]\ncompression = "rar"\n', "flight-etl.toml: output.compression='rar' is not permitted: snappy"),
        ("[outptu]\nx = 1\n", "flight-etl.toml: outptu.x: there is no section 'outptu'"),
        ("unit = 1\n", "flight-etl.toml: unit: there is no setting 'unit'"),
        ("[decode]\nchunk_rows = true\n", "flight-etl.toml: decode.chunk_rows=True is not permitted: a whole number, 1 to"),
        ("no toml", "flight-etl.toml: "),
        ("\xff", "flight-etl.toml: "),
    ],
)
def test_a_bad_file_names_itself_and_the_field(etl: Command, sample: Path, text: str, words: str) -> None:
    Path("flight-etl.toml").write_bytes(text.encode("latin-1"))
    done = etl("run", sample, "-o", "out")
    assert done.code == 2
    assert words in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["run", "-o", "x"], ["run", "in.json"], ["convert", "in.json"], ["inspect"], ["nonsense"], ["run", "--wrong"]]
)
def test_wrong_usage_has_code_2(etl: Command, arguments: list[str]) -> None:
    done = etl(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage:" in done.err or "Missing" in done.err


def test_places_that_are_not_local_are_refused_by_name(etl: Command) -> None:
    done = etl("run", "ftp://host/key", "-o", "out")
    assert done.code == 2
    assert "ftp://host/key" in done.err


# -- signals and pipes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(
    start: Callable[..., subprocess.Popen[bytes]], generated: Callable[..., Path], tmp_path: Path, number: int
) -> None:
    sample = generated(300_000, layout="trace")
    # Where the tests themselves run in the background, an interrupt is ignored from the start, as nohup wants it.
    process = start("run", sample, "-o", "out", before=lambda: signal.signal(number, signal.SIG_DFL))
    deadline = time.monotonic() + 30
    while not any(path.name.startswith(".out") for path in tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)  # inside the run
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == b""
    assert err.strip() == b"flight-etl: interrupted; nothing is half-published"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_reader_that_leaves_early_does_not_spoil_the_run(
    start: Callable[..., subprocess.Popen[bytes]], sample: Path, tmp_path: Path, flags: list[str]
) -> None:
    process = start("run", sample, "-o", "out", *flags)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), err) == (0, b"")
    assert (tmp_path / "out/_report.json").exists()


def test_moments_are_utc(etl: Command) -> None:
    del etl
    assert cli_options._epoch_ms(None, None, "2023-11-14T22:13:20") == 1_700_000_000_000  # type: ignore[arg-type]
    assert cli_options._epoch_ms(None, None, "2023-11-14T23:13:20+01:00") == 1_700_000_000_000  # type: ignore[arg-type]
    assert cli_options._epoch_ms(None, None, "1700000000.25") == 1_700_000_000_250  # type: ignore[arg-type]
    assert datetime.fromtimestamp(1_700_000_000, UTC).isoformat() == "2023-11-14T22:13:20+00:00"
