"""Values are found again until they are too old or too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from flight_etl.caches import Cache, Counts


def filled(*keys: str, entries: int = 2, ttl_s: float = 10.0) -> tuple[Cache[str], list[float]]:
    """A cache with a clock that the test moves, and values that are their keys."""
    now = [0.0]
    cache: Cache[str] = Cache(entries=entries, ttl_s=ttl_s, clock=lambda: now[0])
    for key in keys:
        cache.get(key, lambda key=key: key)  # type: ignore[misc]
    return cache, now


def is_kept(cache: Cache[str], key: str) -> bool:
    return cache.get(key, lambda: "made anew") != "made anew"


def test_a_value_is_made_once_and_found_again() -> None:
    cache, _ = filled("a", "a", "a")
    assert (len(cache), cache.counts) == (1, Counts(hits=2, misses=1))
    assert cache.counts.to_json() == {"hits": 2, "misses": 1, "hit_rate": 0.6667}


def test_none_is_a_value() -> None:
    cache: Cache[str | None] = Cache(entries=1, ttl_s=1.0)
    assert cache.get("a", lambda: None) is None
    assert cache.get("a", lambda: "other") is None


def test_what_was_used_longest_ago_goes_first() -> None:
    cache, _ = filled("a", "b", "a", "c")
    assert is_kept(cache, "a")
    assert not is_kept(cache, "b")


def test_nothing_is_kept_too_long() -> None:
    cache, now = filled("a")
    now[0] = 9.9
    assert is_kept(cache, "a")
    now[0] = 10.1
    assert not is_kept(cache, "a")


def test_before_the_first_question_there_is_no_rate() -> None:
    assert Cache(entries=1, ttl_s=1.0).counts.to_json() == {"hits": 0, "misses": 0, "hit_rate": None}


def test_a_failure_is_raised_and_not_kept() -> None:
    cache, _ = filled()
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: str(1 // 0))
    assert cache.get("a", lambda: "fine") == "fine"


def test_threads_may_ask_at_once_and_each_question_is_counted() -> None:
    cache, _ = filled(entries=8)

    def ask(number: int) -> bool:
        key = str(number % 16)
        return cache.get(key, lambda: key) == key

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(2_000)))
    assert cache.counts.hits + cache.counts.misses == 2_000
    assert len(cache) <= 8
