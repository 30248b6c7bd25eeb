"""The table of steps between the broker's statuses, walked whole."""

from __future__ import annotations

import pytest

from services.exchange.words import IN_THE_MARKET, ORDER_LIFE, REPLACEABLE, TERMINAL, Event, Status

BEGINNINGS = {Status.PENDING_NEW, Status.ACCEPTED, Status.HELD}
RANK = {
    Status.PENDING_NEW: 0,
    Status.ACCEPTED: 0,
    Status.HELD: 0,
    Status.NEW: 1,
    Status.PARTIALLY_FILLED: 2,
    Status.PENDING_REPLACE: 3,
    Status.PENDING_CANCEL: 3,
}
"""A later rank is never followed by an earlier one, except that a replacement may fail."""


def test_every_status_is_reached() -> None:
    reached = set(BEGINNINGS)
    while new := {after for (before, _), after in ORDER_LIFE.items() if before in reached} - reached:
        reached |= new
    assert reached == set(Status)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_leads_out_of_an_end(status: Status) -> None:
    assert {after for (before, _), after in ORDER_LIFE.items() if before is status} <= {status}


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
def test_every_open_status_can_end(status: Status) -> None:
    assert {after for (before, _), after in ORDER_LIFE.items() if before is status} & TERMINAL


@pytest.mark.parametrize("step", sorted(ORDER_LIFE))
def test_no_step_leads_back(step: tuple[Status, Event]) -> None:
    before, event = step
    after = ORDER_LIFE[step]
    if after not in TERMINAL and event is not Event.REPLACE_REJECTED:
        assert RANK[before] <= RANK[after]


def test_only_what_is_in_the_market_is_filled() -> None:
    filled = {before for before, event in ORDER_LIFE if event in (Event.FILL, Event.PARTIAL_FILL)}
    assert filled == IN_THE_MARKET


def test_only_what_may_be_replaced_becomes_pending_replace() -> None:
    assert {before for before, event in ORDER_LIFE if event is Event.PENDING_REPLACE} == REPLACEABLE
