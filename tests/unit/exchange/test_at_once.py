"""By the wall clock an order meets the last price when it comes, as at a broker; in a replay only later bars."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from services.exchange.exchange import Exchange, new_book
from services.exchange.requests import ReplaceRequest
from services.exchange.words import Status
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar
from tests.unit.exchange.market import MINUTE, OPEN, an_exchange, flat, placed

NOW = OPEN + MINUTE + timedelta(seconds=3)


@pytest.fixture
def exchange() -> Exchange:
    """AAPL closed its first minute at 100, of a bar that had been at 90 and 110; 500 shares traded."""
    rules = ExchangeRules.model_validate({"random_partials": 0.0})
    made = Exchange(new_book(rules, "salt", OPEN), rules, at_once=True)
    made.match(OPEN, [Bar("AAPL", 95.0, 110.0, 90.0, 100.0, 500.0)], OPEN + MINUTE)
    return made


def test_a_marketable_order_fills_at_the_last_price(exchange: Exchange) -> None:
    order = placed(exchange, NOW, type="limit", limit_price="101")
    assert (order.status, order.filled_qty, order.filled_value) == (Status.FILLED, Decimal(10), Decimal(1000))
    assert order.filled_at == NOW
    sold = placed(exchange, NOW, side="sell")
    assert (sold.status, sold.filled_value) == (Status.FILLED, Decimal(1000))


@pytest.mark.parametrize("limit", ["100", "99", "91"])
def test_where_the_price_was_before_counts_as_little_as_a_touch(exchange: Exchange, limit: str) -> None:
    assert placed(exchange, NOW, type="limit", limit_price=limit).status is Status.NEW


def test_no_more_is_had_than_a_share_of_what_traded(exchange: Exchange) -> None:
    order = placed(exchange, NOW, qty="60", type="limit", limit_price="100.5")
    assert (order.status, order.filled_qty) == (Status.PARTIALLY_FILLED, Decimal(50))


def test_an_entry_brings_its_stop_to_the_market_at_once(exchange: Exchange) -> None:
    order = placed(exchange, NOW, type="limit", limit_price="101", order_class="oto", stop_loss="97")
    [leg] = [exchange.book.order(leg) for leg in order.legs]
    assert leg is not None
    assert (order.status, leg.status, leg.qty) == (Status.FILLED, Status.NEW, Decimal(10))


def test_a_changed_limit_that_becomes_marketable_fills(exchange: Exchange) -> None:
    resting = placed(exchange, NOW, type="limit", limit_price="99")
    changed = exchange.replace(resting.id, ReplaceRequest(limit_price=Decimal("100.5")), NOW)
    assert getattr(changed, "status", None) is Status.FILLED


def test_an_old_price_a_halt_and_a_closed_market_wait_for_the_next_bar(exchange: Exchange) -> None:
    late = OPEN + 3 * MINUTE
    assert placed(exchange, late).status is Status.NEW
    exchange.match(OPEN + 3 * MINUTE, [flat(100.0)], OPEN + 4 * MINUTE)
    exchange.halt("AAPL", halted=True)
    assert placed(exchange, OPEN + 4 * MINUTE).status is Status.NEW
    assert placed(exchange, OPEN + timedelta(hours=12), time_in_force="gtc").status is not Status.FILLED


def test_what_is_resting_meets_bars_as_ever(exchange: Exchange) -> None:
    resting = placed(exchange, NOW, type="limit", limit_price="99")
    placed(exchange, NOW)
    exchange.match(OPEN + 2 * MINUTE, [flat(98.5)], OPEN + 3 * MINUTE)
    found = exchange.book.order(resting.id)
    assert found is not None
    assert found.status is Status.FILLED


def test_in_a_replay_nothing_fills_before_the_next_bar() -> None:
    replayed = an_exchange()
    replayed.match(OPEN, [flat(100.0)], OPEN + MINUTE)
    assert placed(replayed, OPEN + MINUTE).status is Status.NEW
