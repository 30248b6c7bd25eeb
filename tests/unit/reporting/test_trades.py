"""Trades out of executions, worked out by hand; and what must hold of any of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cli.reporting.trades import Trade, slippages, trades
from services.state.records import FillRow, SplitRow
from shared.contracts.vocabulary import OrderKind, Side
from tests.unit.reporting import made
from tests.unit.reporting.made import ENTRY, LEG, at, bought, entry_order, fill, leave, leg, order, position, rows

TRIM = "e7f3-150211-AAPL-trim-1"
EXIT = "e7f3-150211-AAPL-exit-1"


def the_trade(*fills: FillRow) -> Trade:
    orders = [
        entry_order(),
        leg(),
        order(TRIM, OrderKind.TRIM, intent="trim"),
        order(EXIT, OrderKind.EXIT, intent="exit"),
    ]
    exits = [leave("trim", "trim", 51.0, "r1"), leave("exit", "exit", 48.5)]
    [trade] = trades(rows(fills, orders, exits))
    return trade


def test_a_trade_that_is_trimmed_at_one_r_and_stopped_at_its_price_makes_half_an_r() -> None:
    trade = the_trade(
        bought(100, "50.00"), fill(1, TRIM, Side.SELL, 50, "51.00", 60), fill(2, LEG, Side.SELL, 50, "50.00", 90)
    )
    assert (trade.risk, trade.realized, trade.r_multiple) == (Decimal("100.00"), Decimal("50.00"), 0.5)
    assert (trade.bought, trade.sold, trade.held) == (100, 100, 0)
    assert (trade.sold_at, trade.left_by, trade.held_s) == (Decimal("50.5000"), "stop", 3600.0)
    assert [(sale.shares, sale.reason, sale.profit) for sale in trade.sales] == [
        (50, "r1", Decimal("50.000000")),
        (50, "stop", Decimal("0.000000")),
    ]


def test_a_stop_that_fills_at_its_price_loses_one_r_and_a_gap_through_it_more() -> None:
    at_stop = the_trade(bought(), fill(1, LEG, Side.SELL, 100, "49.00", 60))
    gapped = the_trade(bought(), fill(1, LEG, Side.SELL, 100, "48.00", 60))
    assert (at_stop.r_multiple, gapped.r_multiple) == (-1.0, -2.0)


def test_the_risk_is_of_what_was_paid_in_each_execution_not_of_the_limit() -> None:
    trade = the_trade(bought(60, "50.00"), fill(1, ENTRY, Side.BUY, 40, "50.10", 31))
    assert trade.risk == 60 * Decimal("1.00") + 40 * Decimal("1.10")
    assert (trade.held, trade.closed_at, trade.left_by, trade.realized) == (100, None, "", Decimal(0))


def test_what_is_still_held_counts_with_what_was_sold_of_it_alone() -> None:
    trade = the_trade(bought(), fill(1, TRIM, Side.SELL, 50, "51.00", 60))
    assert (trade.held, trade.realized, trade.r_multiple, trade.closed_at) == (50, Decimal(50), 0.5, None)


def test_shares_that_were_taken_over_have_no_first_stop_and_so_no_r() -> None:
    adopted = position("adopted-e7f3-AAPL-1", bought=10, avg_price=Decimal("20.00"))
    sold = fill(1, EXIT, Side.SELL, 10, "21.00", 60, position="adopted-e7f3-AAPL-1")
    [trade] = trades(rows([sold], [], positions=[adopted]))
    assert (trade.realized, trade.risk, trade.r_multiple) == (Decimal("10.00"), None, None)


def test_a_split_changes_shares_and_neither_dollars_nor_risk() -> None:
    split = SplitRow(position_id=ENTRY, at=at(60), symbol="AAPL", new=4, old=1)
    sold = fill(1, LEG, Side.SELL, 400, "12.25", 90)
    [trade] = trades(rows([bought(), sold], [entry_order(), leg()], splits=(split,)))
    assert (trade.bought, trade.sold, trade.risk, trade.realized) == (400, 400, Decimal(100), Decimal("-100.00"))


def test_shares_sold_beyond_what_was_held_are_counted_apart_and_earn_nothing() -> None:
    trade = the_trade(bought(10, "50.00"), fill(1, LEG, Side.SELL, 13, "49.00", 60))
    assert (trade.sold, trade.oversold, trade.realized) == (10, 3, Decimal("-10.00"))


def test_nights_are_the_closes_in_between() -> None:
    sold = replace(fill(1, LEG, Side.SELL, 100, "49.00", 0), at=made.OPEN.replace(day=17))  # the 16th is a holiday
    [trade] = trades(rows([bought(), sold], [entry_order(), leg()], now=made.OPEN.replace(day=18)))
    assert trade.nights == 3


def test_slippage_is_against_the_close_that_was_decided_on_and_a_stops_own_price() -> None:
    trade_rows = rows(
        [bought(100, "50.00"), fill(1, TRIM, Side.SELL, 50, "51.02", 60), fill(2, LEG, Side.SELL, 50, "48.90", 90)],
        [entry_order(), leg(), order(TRIM, OrderKind.TRIM, intent="trim")],
        [leave("trim", "trim", 51.0)],
    )
    entry, trim, stop = slippages(trade_rows, trades(trade_rows))
    assert (entry.reference, entry.dollars, entry.r) == (Decimal("49.95"), Decimal("5.00"), 0.05)
    assert entry.basis_points == pytest.approx(10.01, abs=0.001)  # 0.05 of 49.95
    assert (trim.dollars, trim.r) == (Decimal("-1.00"), -0.01)  # sold for more than was decided on: below zero
    assert (stop.reference, stop.dollars) == (Decimal("49.00"), Decimal("5.00"))


def test_an_order_without_a_price_that_was_decided_on_has_no_slippage() -> None:
    sold = rows([bought(), fill(1, "foreign-1", Side.SELL, 100, "49.00", 60)], [entry_order(intent="")])
    assert slippages(sold, trades(sold)) == ()


PRICES = st.decimals(min_value="1.00", max_value="900.00", places=2)
PARTS = st.lists(st.tuples(st.integers(1, 400), PRICES), min_size=1, max_size=6)


@given(buys=PARTS, sells=PARTS)
def test_sales_add_up_to_the_trade_and_the_trade_to_the_cash_that_came_in(
    buys: list[tuple[int, Decimal]], sells: list[tuple[int, Decimal]]
) -> None:
    fills = [fill(place, ENTRY, Side.BUY, qty, str(price), place) for place, (qty, price) in enumerate(buys)]
    held = sum(qty for qty, _ in buys)
    for place, (qty, price) in enumerate(sells):
        sold = min(qty, held)
        if sold:
            fills.append(fill(100 + place, LEG, Side.SELL, sold, str(price), 100 + place))
            held -= sold
    trade = the_trade(*fills)
    assert sum(sale.shares for sale in trade.sales) == trade.sold == trade.bought - held
    assert sum(sale.profit for sale in trade.sales) == trade.realized
    cash = sum((one.qty * one.price * (1 if one.side is Side.SELL else -1) for one in fills), Decimal(0))
    cost = held * sum((qty * price for qty, price in buys), Decimal(0)) / trade.bought
    assert abs(trade.realized - (cash + cost)) <= Decimal("0.000001")  # exact once nothing is held
    assert held or trade.realized == cash
