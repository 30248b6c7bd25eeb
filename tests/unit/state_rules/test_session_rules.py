"""What may be sent at which time of the day (docs/strategy.md sections 7, 8 and 10)."""

from __future__ import annotations

import datetime as dt

import pytest

from services.state.session_rules import (
    before_the_open,
    entries_may_go,
    entries_may_rest,
    may_still_be_sent,
    quiet,
    stops_may_be_replaced,
    trims_may_go,
)
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import OrderKind, OrderType
from tests.unit.state_rules.books import at, market

RULES = Rules()


@pytest.mark.parametrize(
    ("clock", "may_go", "may_rest", "trims", "replace", "last_minute"),
    [
        ("9:29:59", False, False, False, True, False),
        ("9:30:00", True, True, True, True, False),
        ("15:49:59", True, True, True, True, False),
        ("15:50:00", False, True, True, True, False),
        ("15:57:59", False, True, True, True, False),
        ("15:58:00", False, True, False, True, False),
        ("15:58:59", False, True, False, True, False),
        ("15:59:00", False, False, False, False, True),
        ("16:00:00", False, False, False, False, False),
        ("3:59:59", False, False, False, False, False),
        ("4:00:00", False, False, False, True, False),
    ],
)
def test_the_day(clock: str, may_go: bool, may_rest: bool, trims: bool, replace: bool, last_minute: bool) -> None:
    now = market(clock)
    assert [
        entries_may_go(now, RULES),
        entries_may_rest(now, RULES),
        trims_may_go(now),
        stops_may_be_replaced(now, RULES),
        quiet(now, RULES),
    ] == [may_go, may_rest, trims, replace, last_minute]


def test_a_half_day_ends_all_of_it_earlier() -> None:
    one = at("13:00")
    assert not entries_may_go(market("12:50", closes_at=one), RULES)
    assert not trims_may_go(market("12:58", closes_at=one))
    assert quiet(market("12:59", closes_at=one), RULES)


def test_the_morning_is_known_before_state_rolls_to_its_session() -> None:
    weekend = dt.timedelta(days=3)
    assert before_the_open(market(now=at("4:00") + weekend))
    assert before_the_open(market(now=at("9:29:59") + weekend))
    assert not before_the_open(market(now=at("3:59:59") + weekend))
    assert not before_the_open(market(now=at("8:00") + dt.timedelta(days=1)))  # a Saturday


@pytest.mark.parametrize(
    ("kind", "order_type", "last_moment", "too_late"),
    [
        (OrderKind.STOP, OrderType.STOP, "23:59", None),
        (OrderKind.TRIM, OrderType.LIMIT, "15:57:59", "15:58:00"),
        (OrderKind.EXIT, OrderType.LIMIT, "15:58:59", "15:59:00"),
        (OrderKind.EXIT, OrderType.MARKET, "15:59:59", "16:00:00"),
    ],
)
def test_an_order_planned_a_moment_ago_may_be_out_of_its_time_at_the_claim(
    kind: OrderKind, order_type: OrderType, last_moment: str, too_late: str | None
) -> None:
    assert may_still_be_sent(kind, order_type, market(last_moment), RULES)
    if too_late is not None:
        assert not may_still_be_sent(kind, order_type, market(too_late), RULES)
