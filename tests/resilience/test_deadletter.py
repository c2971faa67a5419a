from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flight_etl.errors import NotFound
from flight_etl.resilience.deadletter import BlobDeadLetters, DeadLetter, FolderBlobs
from flight_etl.resilience.replay import Replay, ReplayLimits, replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def letters(tmp_path: Path) -> BlobDeadLetters:
    return BlobDeadLetters(FolderBlobs(tmp_path / "letters"))


def _filled(letters: BlobDeadLetters, count: int) -> None:
    for number in range(count):
        letters.send(DeadLetter(id=f"{number:03d}", bucket="in", key=f"k{number}", last_failed_ms=number))


def _replay(letters: BlobDeadLetters, work: Callable[[DeadLetter], object], limits: ReplayLimits) -> Replay:
    return replay(letters, work, limits, classify=lambda _: "permanent", now_ms=lambda: 99)


def test_a_letter_comes_back_as_it_was_sent(letters: BlobDeadLetters) -> None:
    letter = DeadLetter(bucket="b", key="ä/ö +1.json", etag='"e"', message="no 'ICAO'\n", attempts=2, body='{"x":1}')
    letters.send(letter)
    (held,) = letters.receive(10)
    assert held.letter == letter
    assert DeadLetter.from_json(letter.to_json()) == letter


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "nonsense", '{"Records": []}', '{"id": "x"}', "[" * 100_000),
        '{"id": "../../x", "error_class": ""}',
        '{"id": "x", "error_class": "", "attempts": "many"}',
    ],
)
def test_text_that_is_no_letter_is_kept_as_a_letter_about_itself(text: str) -> None:
    letter = DeadLetter.from_json(text)
    assert (letter.error_class, letter.body) == ("unreadable", text)
    assert letter == DeadLetter.from_json(text.encode())
    assert DeadLetter.from_json(text, id="known").id == "known"
    assert DeadLetter.from_json(letter.to_json()) == letter


def test_bytes_that_are_no_text_are_a_letter_too() -> None:
    assert DeadLetter.from_json(b"\xff\xfe").body == "\ufffd\ufffd"


def test_only_what_succeeded_is_deleted(letters: BlobDeadLetters) -> None:
    _filled(letters, 5)

    def work(letter: DeadLetter) -> None:
        if letter.key in ("k1", "k3"):
            raise ValueError("still broken")

    done = _replay(letters, work, ReplayLimits(max_records=10))
    assert (done.reprocessed, done.failed, done.parked) == (3, 2, 0)
    left = {held.letter.key: held.letter for held in letters.list()}
    assert set(left) == {"k1", "k3"}
    assert left["k1"].attempts == 2
    assert (left["k1"].error_class, left["k1"].message, left["k1"].last_failed_ms) == ("ValueError", "still broken", 99)


def test_a_letter_is_parked_after_its_last_attempt_and_received_no_more(letters: BlobDeadLetters) -> None:
    _filled(letters, 1)

    def work(_: DeadLetter) -> None:
        raise ValueError("never")

    limits = ReplayLimits(max_records=10, max_attempts=3)
    assert _replay(letters, work, limits).parked == 0
    assert _replay(letters, work, limits).parked == 1
    assert letters.receive(10) == []
    (held,) = letters.list()
    assert held.parked
    assert held.letter.attempts == 3
    letters.delete(held)
    assert list(letters.list()) == []


def test_a_parked_letter_is_tried_on_request_and_stays_parked_when_it_fails(letters: BlobDeadLetters) -> None:
    _filled(letters, 2)

    def work(_: DeadLetter) -> None:
        raise ValueError("never")

    _replay(letters, work, ReplayLimits(max_attempts=1))
    assert _replay(letters, lambda _: None, ReplayLimits()) == Replay()
    assert _replay(letters, lambda _: None, ReplayLimits(parked=True, dry_run=True)).reprocessed == 2
    assert _replay(letters, work, ReplayLimits(parked=True, max_records=1, max_attempts=9)).parked == 1
    assert all(held.parked for held in letters.list())
    assert _replay(letters, lambda _: None, ReplayLimits(parked=True)).reprocessed == 2
    assert list(letters.list()) == []


def test_each_letter_is_tried_once_in_a_replay_and_new_ones_first(letters: BlobDeadLetters) -> None:
    _filled(letters, 3)
    seen: list[str | None] = []

    def work(letter: DeadLetter) -> None:
        seen.append(letter.key)
        raise ValueError("no")

    _replay(letters, work, ReplayLimits(max_records=2))
    assert seen == ["k0", "k1"]
    _replay(letters, work, ReplayLimits(max_records=1))
    assert seen[2:] == ["k2"]


def test_no_letter_is_begun_close_to_the_deadline(letters: BlobDeadLetters) -> None:
    _filled(letters, 3)
    left = iter((100.0, 10.0))
    limits = ReplayLimits(max_records=10, remaining_s=lambda: next(left), reserve_s=30.0)
    done = _replay(letters, lambda _: None, limits)
    assert (done.reprocessed, done.left) == (1, True)
    assert len(list(letters.list())) == 2


def test_a_dry_run_moves_nothing(letters: BlobDeadLetters) -> None:
    _filled(letters, 4)

    def work(_: DeadLetter) -> None:
        raise AssertionError("must not run")

    assert _replay(letters, work, ReplayLimits(max_records=3, dry_run=True)).reprocessed == 3
    assert len(list(letters.list())) == 4


def test_an_interrupted_replay_keeps_the_letter(letters: BlobDeadLetters) -> None:
    _filled(letters, 1)

    def work(_: DeadLetter) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _replay(letters, work, ReplayLimits())
    assert len(list(letters.list())) == 1


def test_a_blob_that_is_not_there(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "none")
    assert blobs.list("") == []
    blobs.delete("pending/x.json")
    with pytest.raises(NotFound, match=r"pending/x\.json"):
        blobs.get("pending/x.json")


def test_a_letter_that_could_not_be_tried_ends_the_replay_and_stays_as_it_was(letters: BlobDeadLetters) -> None:
    _filled(letters, 3)

    def work(letter: DeadLetter) -> None:
        if letter.id == "001":
            raise TimeoutError

    limits = ReplayLimits(is_untried=lambda error: isinstance(error, TimeoutError))
    assert _replay(letters, work, limits) == Replay(reprocessed=1, left=True)
    assert [(held.letter.id, held.letter.attempts) for held in letters.list()] == [("001", 1), ("002", 1)]
