from __future__ import annotations

import math

import numpy as np
import pytest

from flight_etl.bench.scores import flight_score, phase_score

WORDS = ("a", "b", "c")


def test_a_confusion_matrix_counts_each_pair_and_unknown_is_wrong() -> None:
    truth, said = np.array([0, 0, 1, 1, 1]), np.array([0, 3, 1, 0, 1])
    score = phase_score(truth, said, WORDS, np.ones(5, np.bool_))
    assert score.confusion.tolist() == [[1, 0, 0, 1], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert score.accuracy == pytest.approx(3 / 5)
    assert score.recall()[:2] == pytest.approx([1 / 2, 2 / 3])
    assert score.precision()[:2] == pytest.approx([1 / 2, 1.0])
    assert math.isnan(score.recall()[2])


def test_only_the_rows_asked_for_are_judged() -> None:
    score = phase_score(np.array([0, 1]), np.array([0, 2]), WORDS, np.array([True, False]))
    assert (score.rows, score.accuracy) == (1, 1.0)


def flights(truth: list[int], found: list[int], air: list[bool] | None = None) -> tuple[float, int, int]:
    score = flight_score(np.array(truth), np.array(found), np.array(air or [True] * len(truth)))
    return score.f1, score.splits, score.merges


def test_flights_with_the_same_rows_are_the_same_whatever_their_numbers() -> None:
    assert flights([0] * 50 + [1] * 50, [7] * 50 + [3] * 50) == (1.0, 0, 0)


def test_a_flight_that_is_cut_in_two_is_a_split_and_none_of_its_parts_is_it() -> None:
    f1, splits, merges = flights([0] * 50 + [1] * 50, [0] * 25 + [1] * 25 + [2] * 50)
    assert (splits, merges) == (1, 0)
    assert f1 == pytest.approx(2 * 1 / (2 + 3))


def test_two_flights_that_are_one_are_a_merge() -> None:
    assert flights([0] * 50 + [1] * 50, [0] * 100) == (0.0, 0, 1)


def test_where_a_flight_ends_on_the_ground_does_not_matter() -> None:
    air = [True] * 50 + [False] * 10 + [True] * 50
    assert flights([0] * 55 + [1] * 55, [0] * 52 + [1] * 58, air) == (1.0, 0, 0)
