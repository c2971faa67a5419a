"""What a user names becomes files to read, each once; what cannot be read is said with its reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flight_etl.errors import InputError, NotFound, SettingsError
from flight_etl.store.inputs import Expansion, expand


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files at several depths, some of which are not inputs; the working directory is above it."""
    for name in ("b.json", "a.json.gz", "deep/er/c.ndjson", "deep/d", ".hidden", ".git/e.json", "x.parquet", "deep/y.part"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "data/_report.json").write_text("{}")
    (tmp_path / "data/_quarantine.ndjson").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def names(found: Expansion) -> list[str]:
    return [source.name for source in found.sources]


def reasons(found: Expansion) -> dict[str, type]:
    return {name: type(error) for name, error in found.failed}


IN_FOLDER = ["data/a.json.gz", "data/b.json", "data/deep/d", "data/deep/er/c.ndjson"]


@pytest.mark.usefixtures("data")
def test_a_folder_gives_its_files_at_any_depth_in_order() -> None:
    found = expand(["data"], output=None)
    assert names(found) == IN_FOLDER
    assert not found.failed
    assert found.notes == ("data: left out 4 files with a name that flight-etl itself writes, such as data/_quarantine.ndjson",)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("data/*.json*", ["data/a.json.gz", "data/b.json"]),
        ("data/**/*.ndjson", ["data/deep/er/c.ndjson"]),
        ("data/**", IN_FOLDER),
        ("data/*", IN_FOLDER),
        ("data/?.json", ["data/b.json"]),
    ],
)
def test_globs(pattern: str, expected: list[str]) -> None:
    found = expand([pattern], output=None)
    assert names(found) == expected
    assert not found.failed


def test_a_name_that_exists_is_no_pattern(data: Path) -> None:
    (data / "f[1].json").write_text("")
    assert names(expand(["data/f[1].json"], output=None)) == ["data/f[1].json"]


@pytest.mark.usefixtures("data")
def test_sources_keep_the_order_given() -> None:
    assert names(expand(["data/deep/d", "data/b.json"], output=None)) == ["data/deep/d", "data/b.json"]


def test_a_file_reached_twice_is_read_once(data: Path) -> None:
    (data.parent / "link.json").symlink_to(data / "b.json")
    os.link(data / "b.json", data.parent / "hard.json")
    found = expand(["data/b.json", "link.json", "hard.json", "./data/../data/b.json", "data/b.json"], output=None)
    assert names(found) == ["data/b.json"]
    assert len(found.notes) == 4
    assert found.notes[0] == "link.json: the same file as data/b.json, read once"


def test_links_in_a_circle_end(data: Path) -> None:
    (data / "deep/up").symlink_to(data)
    assert names(expand(["data"], output=None)) == IN_FOLDER


def test_a_broken_link_in_a_folder_fails_alone(data: Path) -> None:
    (data / "gone.json").symlink_to("nowhere")
    found = expand(["data"], output=None)
    assert names(found) == IN_FOLDER
    assert reasons(found) == {"data/gone.json": NotFound}


@pytest.mark.usefixtures("data")
def test_what_is_missing_or_matches_nothing_fails_and_the_rest_goes_on() -> None:
    Path("empty").mkdir()
    found = expand(["none.json", "data/*.csv", "empty", "data/b.json", "none/*"], output=None)
    assert names(found) == ["data/b.json"]
    assert reasons(found) == {"none.json": NotFound, "data/*.csv": NotFound, "empty": NotFound, "none/*": NotFound}
    for name, error in found.failed:
        assert str(error).startswith(f"{name}: ")


@pytest.mark.usefixtures("data")
def test_a_folder_of_outputs_only_has_nothing_to_read() -> None:
    Path("out").mkdir()
    Path("out/part-00000.parquet").write_text("")
    found = expand(["out"], output=None)
    assert reasons(found) == {"out": NotFound}


def test_files_inside_the_output_are_left_out_of_folders_and_refused_by_name(data: Path) -> None:
    found = expand(["data", "data/deep/d", str(data / "deep")], output="data/deep")
    assert names(found) == ["data/a.json.gz", "data/b.json"]
    assert reasons(found) == {"data/deep/d": InputError, str(data / "deep"): NotFound}
    assert any("left out 3 files inside the output" in note for note in found.notes)


@pytest.mark.usefixtures("data")
def test_the_output_file_itself_is_refused() -> None:
    assert reasons(expand(["data/b.json"], output="./data/b.json")) == {"data/b.json": InputError}


@pytest.mark.parametrize("inputs", [[], [""], ["ftp://host/key"], ["a.json", "https://host/c"], ["a\0b"], ["s3://"]])
def test_inputs_that_cannot_be_meant_are_usage_errors(inputs: list[str]) -> None:
    with pytest.raises(SettingsError, match="is not permitted"):
        expand(inputs, output=None)


def test_a_place_of_a_kind_we_do_not_know_is_told_which_kinds_we_do() -> None:
    with pytest.raises(SettingsError, match=r"'ftp://host/key'.*s3://.*file://"):
        expand(["ftp://host/key"], output=None)


def test_a_name_too_long_for_the_system_fails_as_an_input() -> None:
    assert list(reasons(expand(["x" * 5000], output=None))) == ["x" * 5000]
