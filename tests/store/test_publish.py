"""Whoever looks sees the old output or the new one, whatever happens; and nothing that is not ours is touched."""

# ruff: noqa: PT012 - what is promised is how a with statement ends

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flight_etl.errors import NotFound, SettingsError, StoreError
from flight_etl.report import Report
from flight_etl.store import publish
from flight_etl.store.publish import publish_file, stage, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = {"part-00000.parquet", "_report.json"}


def fill(folder: Path, mark: str, *names: str) -> None:
    """Write a set of files as a run does: its report, and data files that all say `mark`."""
    for name in names or ("part-00000.parquet",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(mark)
    (folder / "_report.json").write_text(json.dumps(Report(inputs=()).to_json() | {"mark": mark}))


def run(target: Path, mark: str, *names: str, overwrite: bool = False) -> None:
    with stage(target, overwrite=overwrite) as staging:
        fill(staging.directory, mark, *names)
        staging.publish()


def files(folder: Path) -> set[str]:
    """All files below a folder, hidden ones included."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def marks(target: Path) -> set[str]:
    return {path.read_text() for path in target.rglob("part-*.parquet") if ".flight-etl" not in str(path)}


def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every existing target one that cannot be swapped, as a mount point is."""
    monkeypatch.setattr(publish, "_must_stage_inside", Path.is_dir)


def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the system call away."""
    monkeypatch.setattr(publish, "exchange", lambda *_: False)


@pytest.fixture(params=["exchange", "no exchange", "inside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the ways in which an output is replaced."""
    {"exchange": lambda _: None, "no exchange": no_exchange, "inside": inside}[request.param](monkeypatch)
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("there", [False, True])
def test_a_new_output_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path, *, there: bool) -> None:
    target = tmp_path / "new/deep/out"
    if there:
        target.mkdir(parents=True)
        target.chmod(0o750)
    with stage(target, overwrite=False) as staging:
        fill(staging.directory, "new", "date=2021-10-07/part-00000.parquet")
        assert staging.directory.stat().st_dev == tmp_path.stat().st_dev
        assert not list(target.glob("[!.]*"))
        staging.publish()
    assert files(tmp_path) == {"new/deep/out/date=2021-10-07/part-00000.parquet", "new/deep/out/_report.json"}
    if there:
        assert target.stat().st_mode & 0o777 == 0o750


@pytest.mark.usefixtures("way")
def test_overwriting_leaves_only_the_new_set_and_what_is_foreign(tmp_path: Path) -> None:
    target = tmp_path / "out"
    run(target, "old", "part-00000.parquet", "part-00001.parquet", "date=2021-10-07/part-00000.parquet", "_quarantine.ndjson")
    (target / "notes").mkdir()
    (target / "notes/a.txt").write_text("mine")
    (target / ".keep").write_text("mine")
    (target / "date=2021-10-07/why.md").write_text("mine")
    (target / "link").symlink_to("nowhere")
    target.chmod(0o750)
    run(target, "new", overwrite=True)
    assert files(tmp_path) == {f"out/{name}" for name in (*OURS, "notes/a.txt", ".keep", "date=2021-10-07/why.md", "link")}
    assert marks(target) == {"new"}
    assert (target / "notes/a.txt").read_text() == "mine"
    assert (target / "link").readlink() == Path("nowhere")
    assert target.stat().st_mode & 0o777 == 0o750
    run(target, "newer", overwrite=True)
    assert marks(target) == {"newer"}
    assert (target / ".keep").read_text() == "mine"


def test_foreign_files_are_copied_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    run(tmp_path / "out", "old")
    (tmp_path / "out/mine.txt").write_text("mine")
    monkeypatch.setattr(os, "link", refuse)
    run(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "out/mine.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_no_output_folder(tmp_path: Path, *, overwrite: bool) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(SettingsError, match="it is a file"), stage(tmp_path / "out", overwrite=overwrite):
        pass


def test_a_folder_that_is_not_empty_needs_overwrite(tmp_path: Path) -> None:
    run(tmp_path / "out", "old")
    with pytest.raises(SettingsError, match=r"not empty.*--overwrite") as caught, stage(tmp_path / "out", overwrite=False):
        pass
    assert caught.value.exit_code == 2
    assert files(tmp_path) == {f"out/{name}" for name in OURS}


@pytest.mark.parametrize("name", ["part-00000.parquet", "sub/x.parquet", "_report.json", "_quarantine.ndjson"])
def test_files_with_our_names_that_are_not_ours_are_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / name).parent.mkdir(parents=True)
    (tmp_path / "out" / name).write_text('{"read": 1}')
    with (
        pytest.raises(SettingsError, match=f"{name} in it was not written"),
        stage(tmp_path / "out", overwrite=True),
    ):
        pass
    assert files(tmp_path) == {f"out/{name}"}


def test_a_parquet_file_of_another_beside_ours_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "out", "old")
    (tmp_path / "out/other.parquet").write_text("x")
    with pytest.raises(SettingsError, match=r"other\.parquet"), stage(tmp_path / "out", overwrite=True):
        pass


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_leaving_without_publishing_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    run(tmp_path / "out", "old")
    for target in (tmp_path / "out", tmp_path / "a/b/new"):
        with pytest.raises(error), stage(target, overwrite=True) as staging:
            fill(staging.directory, "new")
            raise error
    assert files(tmp_path) == {f"out/{name}" for name in OURS}
    assert marks(tmp_path / "out") == {"old"}
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("way")
def test_two_runs_into_one_output_do_not_mix(tmp_path: Path) -> None:
    with stage(tmp_path / "out", overwrite=True) as staging:
        with pytest.raises(StoreError, match="another run is writing here"), stage(tmp_path / "out", overwrite=True):
            pass
        with stage(tmp_path / "other", overwrite=False):
            pass
        fill(staging.directory, "new")
        staging.publish()
    assert marks(tmp_path / "out") == {"new"}


def test_what_others_put_there_during_the_run_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="filled by someone else"), stage(tmp_path / "out", overwrite=False) as staging:
        fill(staging.directory, "new")
        fill(tmp_path / "out", "theirs")
        staging.publish()
    assert marks(tmp_path / "out") == {"theirs"}


def test_stale_scratch_is_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / ".out.flight-etl-1-abc").mkdir()
    (tmp_path / ".out.flight-etl-1-abc/x").write_text("x")
    (tmp_path / ".out.flight-etl-lock").write_text("")
    (tmp_path / ".other.flight-etl-1-abc").write_text("of another output")
    run(tmp_path / "out", "new")
    assert files(tmp_path) == {"out/part-00000.parquet", "out/_report.json", ".other.flight-etl-1-abc"}


def test_the_working_directory_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    run(Path(), "new")
    assert {path.name for path in Path().iterdir()} == OURS
    run(Path(), "newer", overwrite=True)
    assert marks(Path.cwd()) == {"newer"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    run(tmp_path / "real", "old")
    (tmp_path / "out").symlink_to("real")
    run(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "out").is_symlink()
    assert marks(tmp_path / "real") == {"new"}


STOPS = ("before the journal", "after the journal", "after the first file", "before the end")


@pytest.mark.parametrize("stop", STOPS)
def test_a_publication_that_was_stopped_is_finished_or_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    target = tmp_path / "out"
    run(target, "old", "part-00000.parquet", "part-00001.parquet")
    (target / "mine.txt").write_text("mine")

    class Stopped(BaseException):
        """Stands for the end of the process."""

    def stopping(original: Callable[..., object], on: Callable[..., bool]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            if on(*args):
                raise Stopped
            return original(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        inside(patch)
        if stop == "before the journal":
            patch.setattr(Path, "replace", stopping(Path.replace, lambda _, to: to.name.endswith("journal.json")))
        elif stop == "after the journal":
            patch.setattr(publish, "_roll_forward", stopping(publish._roll_forward, lambda *_: True))
        elif stop == "after the first file":
            patch.setattr(Path, "replace", stopping(Path.replace, lambda _, to: to.name == "_report.json"))
        else:
            patch.setattr(Path, "unlink", stopping(Path.unlink, lambda path, **_: path.name == "part-00001.parquet"))
        patch.setattr(publish, "remove", lambda _: None)
        run(target, "new", overwrite=True)
    with pytest.raises(SettingsError, match="not empty"), stage(target, overwrite=False):
        pass
    assert marks(target) == ({"old"} if stop == "before the journal" else {"new"})
    assert files(tmp_path) == {f"out/{name}" for name in (*OURS, "mine.txt")} | (
        {"out/part-00001.parquet"} if stop == "before the journal" else set()
    )


def convert(target: Path, mark: str, *, overwrite: bool = False, faulty: bool = True) -> None:
    with publish_file(target, overwrite=overwrite) as staging:
        staging.part.write_text(mark)
        if faulty:
            staging.quarantine.write_text(mark)
        staging.report.write_text(json.dumps(Report(inputs=()).to_json()))
        assert mark not in {path.read_text() for path in target.parent.glob("*.*") if path.is_file()}
        staging.publish()


def test_a_file_and_its_companions_appear_and_are_replaced_together(tmp_path: Path) -> None:
    target = tmp_path / "a/x.parquet"
    convert(target, "old")
    assert files(tmp_path / "a") == {"x.parquet", "x.report.json", "x.quarantine.ndjson"}
    with pytest.raises(SettingsError, match=r"it exists.*--overwrite"):
        convert(target, "new")
    convert(target, "new", overwrite=True, faulty=False)
    assert files(tmp_path / "a") == {"x.parquet", "x.report.json"}
    assert target.read_text() == "new"


@pytest.mark.parametrize("name", ["x.report.json", "x.quarantine.ndjson"])
def test_companions_that_are_not_ours_are_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[]")
    with pytest.raises(SettingsError, match=f"{name} would be replaced"):
        convert(tmp_path / "x.parquet", "new", overwrite=True)
    assert files(tmp_path) == {name}


def test_a_folder_is_no_output_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it is a folder"):
        convert(tmp_path, "x")


def test_an_interrupted_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), publish_file(tmp_path / "new/x.parquet", overwrite=False) as staging:
        staging.part.write_text("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotFound), publish_file(tmp_path / "x.parquet", overwrite=False) as staging:
        staging.publish()
    assert not list(tmp_path.iterdir())


KILLED = """
import sys, os, json
sys.path.insert(0, sys.argv[3])
import test_publish as t
from flight_etl.store import publish
from pathlib import Path
if sys.argv[2] == "no exchange":
    publish.exchange = lambda *_: False
elif sys.argv[2] == "inside":
    publish._must_stage_inside = Path.is_dir
print("ready", flush=True)
at = 0
while True:
    at += 1
    t.run(Path(sys.argv[1]), str(at), *(f"part-{n:05d}.parquet" for n in range(1 + at % 5)), overwrite=True)
"""


@pytest.mark.kill
@pytest.mark.parametrize("how", ["exchange", "no exchange", "inside"])
def test_a_killed_publication_leaves_the_old_set_or_the_new(tmp_path: Path, how: str) -> None:
    target = tmp_path / "out"
    run(target, "0")
    (target / "mine.txt").write_text("mine")
    clock = random.Random(1)
    for _ in range(25):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(target), how, str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(clock.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
        if how != "exchange":  # rolled forward by whoever comes next
            with pytest.raises(SettingsError, match="not empty"), stage(target, overwrite=False):
                pass
        (mark,) = marks(target)
        assert json.loads((target / "_report.json").read_text())["mark"] == mark
        assert len(list(target.glob("part-*.parquet"))) == 1 + int(mark) % 5
        assert (target / "mine.txt").read_text() == "mine"
    run(target, "last", overwrite=True)
    assert files(tmp_path) == {f"out/{name}" for name in (*OURS, "mine.txt")}


def update(target: Path, mark: str, name: str, *gone: str) -> None:
    with stage(target, overwrite=True, update=True) as staging:
        states = {one: state_of(target / one) for one in gone}
        (staging.directory / name).write_text(mark)
        staging.replaces = states
        staging.publish()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("reported", [True, False])
def test_an_update_takes_away_what_it_names_and_nothing_else(tmp_path: Path, *, reported: bool) -> None:
    target = tmp_path / "out"
    run(target, "old", "part-00000.parquet", "part-00001.parquet", "date=2024-01-01/part-00000.parquet")
    (target / "date=2024-01-01/mine.txt").write_text("mine")
    (target / ".flight-etl-done").mkdir()
    (target / ".flight-etl-done/1.json").write_text("a worker's")
    if not reported:
        (target / "_report.json").unlink()
    before = files(target)
    update(target, "new", "part-0123456789ab-00000.parquet", "part-00000.parquet", "date=2024-01-01/part-00000.parquet")
    gone = {"part-00000.parquet", "date=2024-01-01/part-00000.parquet"}
    assert files(target) == before - gone | {"part-0123456789ab-00000.parquet"}
    assert marks(target) == {"old", "new"}
    assert files(tmp_path) == {f"out/{name}" for name in files(target)}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("change", ["append", "replace", "remove"])
def test_an_update_publishes_nothing_where_a_file_that_goes_has_changed_since(tmp_path: Path, change: str) -> None:
    target = tmp_path / "out"
    run(target, "old")
    part = target / "part-00000.parquet"
    with pytest.raises(StoreError), stage(target, overwrite=True, update=True) as staging:
        (staging.directory / "part-00001.parquet").write_text("new")
        staging.replaces = {part.name: state_of(part)}
        if change == "replace":
            (tmp_path / "other").write_text("old")
            (tmp_path / "other").replace(part)
        elif change == "append":
            part.write_text("old and more")
        else:
            part.unlink()
        staging.publish()
    assert files(target) == OURS - ({part.name} if change == "remove" else set())
