"""The rate limit: never exceeded, and always room for exits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.budget import Budget


def test_an_idle_process_may_make_a_burst_of_the_whole_limit_then_one_by_one() -> None:
    budget = Budget(per_minute=120, reserve=0.0, now=0.0)
    assert [budget.wait_s(0.0) for _ in range(120)] == [0.0] * 120
    assert budget.wait_s(0.0) == 0.5
    assert budget.wait_s(0.5) == 0.0


def test_a_process_that_is_not_urgent_leaves_the_reserve_alone() -> None:
    budget = Budget(per_minute=100, reserve=0.25, now=0.0)
    assert sum(budget.wait_s(0.0) == 0.0 for _ in range(100)) == 75


def test_what_the_broker_says_is_left_counts_for_all_processes() -> None:
    entries, exits = Budget(200, 0.2, 0.0), Budget(200, 0.0, 0.0)
    for budget in (entries, exits):
        budget.told(0.0, remaining=30, reset_s=20.0)
    assert entries.wait_s(0.0) == 20.0
    assert exits.wait_s(0.0) == 0.0


def test_with_nothing_left_an_exit_still_tries_each_second() -> None:
    exits = Budget(200, 0.0, 0.0)
    exits.told(0.0, remaining=0, reset_s=40.0)
    assert exits.wait_s(0.0) == 1.0
    assert exits.wait_s(1.0) == 0.0


@settings(max_examples=100, deadline=None)
@given(st.integers(10, 400), st.lists(st.floats(0, 2), min_size=1, max_size=300))
def test_no_minute_ever_holds_more_than_the_burst_and_the_refill(per_minute: int, pauses: list[float]) -> None:
    budget, now, made = Budget(per_minute, 0.0, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        while budget.wait_s(now) == 0.0:
            made += 1
    assert made <= min(per_minute, 200) + now * per_minute / 60 + 1e-6
