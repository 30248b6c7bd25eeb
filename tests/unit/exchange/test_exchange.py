"""The exchange by calls: what is not seen over the wire, such as the order of rows and of partitions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import given, settings

from services.exchange.exchange import Exchange
from services.exchange.refusals import Refusal
from services.exchange.wash_trade import TABLE
from services.exchange.words import Status, Type
from shared.contracts.market import Bar
from tests.unit.exchange.market import MINUTE, OPEN, an_exchange, flat, placed, request

SYMBOLS = ("A", "B", "C", "D")


def a_day(rows: list[list[Bar]], parts: int) -> Exchange:
    """Orders in four symbols, then minutes whose rows come in `parts` calls of one minute."""
    exchange = an_exchange(random_partials=0.5)
    exchange.match(OPEN, [flat(10.0, symbol) for symbol in SYMBOLS], OPEN + MINUTE)
    now = OPEN + MINUTE
    for symbol in SYMBOLS:
        legs = {"order_class": "oto", "time_in_force": "gtc", "stop_loss": "9"}
        placed(exchange, now, symbol=symbol, client_order_id=f"{symbol}-1", **legs)
    for bars in rows:
        for part in range(parts):
            exchange.match(now, bars[part::parts], now + MINUTE)
        now += MINUTE
    return exchange


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.permutations([flat(price, symbol, 300) for symbol, price in zip(SYMBOLS, (10, 9.5, 8.5, 11), strict=True)]),
        max_size=4,
    )
)
def test_the_order_of_rows_changes_nothing(rows: list[list[Bar]]) -> None:
    ordered = [sorted(bars, key=lambda bar: bar.symbol) for bars in rows]
    assert list(a_day(rows, 1).book.orders()) == list(a_day(ordered, 1).book.orders())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4))
def test_the_number_of_partitions_changes_no_order_and_no_position(minutes: int, parts: int) -> None:
    rows = [[flat(price, symbol, 300) for symbol, price in zip(SYMBOLS, (10, 9.5, 8.5, 11), strict=True)]] * minutes
    one, many = a_day(rows, 1), a_day(rows, parts)
    assert list(one.book.orders()) == list(many.book.orders())
    assert one.book.positions() == many.book.positions()


def test_the_wash_trade_table_answers_for_every_pair_of_types() -> None:
    assert set(TABLE) == {(existing, new) for existing in Type for new in Type}


def test_two_books_of_one_salt_have_the_same_ids_and_of_another_salt_other_ones() -> None:
    first, again = (placed(an_exchange(), OPEN, client_order_id="x") for _ in range(2))
    assert first.id == again.id
    other = an_exchange()
    other.book.change_account(salt="pepper")
    assert placed(other, OPEN, client_order_id="x").id != first.id


def test_the_last_close_is_the_price_until_a_symbol_trades() -> None:
    exchange = an_exchange()
    exchange.know_close("AAPL", 100.0)
    refused = exchange.submit(request(type="stop", stop_price="99"), OPEN)
    assert isinstance(refused, Refusal)
    assert refused.message == "stop price must be greater than current price"
    exchange.match(OPEN, [flat(50.0)], OPEN + MINUTE)
    exchange.know_close("AAPL", 100.0)
    assert exchange.book.last_price("AAPL") == Decimal("50.0")


def test_a_symbol_without_any_price_is_bought_unvalued() -> None:
    exchange = an_exchange()
    order = placed(exchange, OPEN, qty=10**6)
    assert order.status is Status.NEW


def test_what_is_due_takes_place_in_the_order_of_its_time() -> None:
    exchange = an_exchange(acknowledge_delay=10, cancel_delay=5)
    first = placed(exchange, OPEN, type="limit", limit_price="9")
    second = placed(exchange, OPEN + timedelta(seconds=3), type="limit", limit_price="9")
    exchange.cancel(second.id, OPEN + timedelta(seconds=4))
    exchange.advance(OPEN + timedelta(minutes=1))
    told = [(update.order.number, update.event.value) for update in exchange.book.take_updates()]
    assert told[-2:] == [(second.number, "canceled"), (first.number, "new")]


def test_a_minute_of_the_whole_market_costs_little_where_nothing_rests() -> None:
    exchange = an_exchange()
    rows = [flat(10.0, f"S{number}") for number in range(11_000)]
    exchange.match(OPEN, rows, OPEN + MINUTE)
    assert exchange.book.price("S10999") is not None
    assert exchange.book.take_updates() == []
