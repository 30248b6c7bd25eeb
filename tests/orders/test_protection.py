"""What a stop must survive: each with the real exchange, and both sides compared afterwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.exchange.exchange import Exchange
from services.exchange.faults import Do, Fault
from services.exchange.orders import Order
from services.exchange.requests import OrderRequest
from services.exchange.words import Side, Tif, Type
from shared.contracts.decisions import StopIntent, TrimIntent
from shared.contracts.ids import partition_of
from shared.contracts.market import Bar, SymbolHalted
from shared.contracts.vocabulary import Reason
from tests.orders.floor import Building, Floor
from tests.orders.test_fault_matrix import ASKED
from tests.unit.state.day import confirmed, mark, of
from tests.unit.state.world import MINUTE, PARTITIONS


@pytest.fixture(scope="module")
def building() -> Iterator[Building]:
    made = Building()
    yield made
    made.close()


def bought(building: Building, tmp_path: Path, **rules: Any) -> Floor:
    """16 AAPL, their stop at 98.40 at work."""
    floor = Floor(building, tmp_path, **rules)
    ASKED["replace a stop"].before(floor)
    return floor


def trim(floor: Floor, price: float = 103.1) -> None:
    at = floor.at + MINUTE
    wanted = TrimIntent(id="trim", symbol="AAPL", level="r1", fraction=0.5, price=price, cause="bars")
    floor.minute({"AAPL": price}, of("AAPL", at, trims=(wanted,), marks=(mark("AAPL", price),)))


def at_work(floor: Floor) -> list[tuple[str, int, Decimal | None]]:
    orders = [order for order in floor.orders() if order.status == "new"]
    return sorted((order.type.value, int(order.qty or 0), price_of(order)) for order in orders)


def price_of(order: Order) -> Decimal | None:
    return order.limit_price or order.stop_price


def well(floor: Floor) -> None:
    assert floor.findings() == ()
    assert floor.note("oversold_shares") == 0
    assert floor.note("unprotected_share_seconds") == 0


@pytest.mark.parametrize("how", ["legs keep their quantity", "the broker says no"])
def test_a_replacement_that_is_refused_leaves_the_stop_until_another_way_is_taken(
    building: Building, tmp_path: Path, how: str
) -> None:
    floor = bought(building, tmp_path, leg_qty_replaceable=how != "legs keep their quantity")
    if how == "the broker says no":
        floor.break_requests(
            Fault(on="PATCH *", do=Do.STATUS, status=403, code=40310000, message="insufficient qty available")
        )
    trim(floor)
    floor.minute({"AAPL": 103.2})
    assert floor.held() == 8
    assert at_work(floor) == [("stop", 8, Decimal("98.4"))]
    well(floor)


def test_a_stop_that_sells_while_a_trim_is_at_work_sells_no_share_twice(building: Building, tmp_path: Path) -> None:
    floor = bought(building, tmp_path)
    trim(floor)
    assert at_work(floor) == [("limit", 8, Decimal("103.09")), ("stop", 8, Decimal("98.4"))]
    floor.minute({"AAPL": 97.0})
    for _ in range(2):
        floor.minute({"AAPL": 97.0})
    assert floor.held() == 0
    assert sum(order.filled_qty for order in floor.orders() if order.side == "sell") == 16
    well(floor)


def test_a_gap_below_the_stop_is_sold_at_what_the_market_gives(building: Building, tmp_path: Path) -> None:
    floor = bought(building, tmp_path)
    floor.minute({"AAPL": 90.0})
    assert floor.held() == 0
    [sold] = [order for order in floor.orders() if order.side == "sell" and order.status == "filled"]
    assert (sold.type, sold.filled_avg_price) == ("stop", Decimal(90))
    well(floor)


def halt(floor: Floor, *, halted: bool) -> None:
    floor.venue.do(lambda exchange, now: exchange.halt("AAPL", halted=halted))
    name = f"halt-{halted}-{floor.at:%H%M}"
    part = partition_of("AAPL", PARTITIONS)
    floor.bus.publish([SymbolHalted(id=name, at=floor.at, partition=part, symbol="AAPL", halted=halted)])


def test_a_halt_with_the_stop_resting_changes_nothing_and_the_stop_sells_when_trading_resumes(
    building: Building, tmp_path: Path
) -> None:
    floor = bought(building, tmp_path)
    halt(floor, halted=True)
    sent = len(floor.orders())
    for _ in range(3):
        floor.minute({})
    assert len(floor.orders()) == sent
    assert at_work(floor) == [("stop", 16, Decimal("98.4"))]
    halt(floor, halted=False)
    floor.minute({"AAPL": 95.0})
    assert floor.held() == 0
    well(floor)


@pytest.mark.parametrize("ratio", [Decimal(4), Decimal("0.5")])
def test_a_split_leaves_every_new_share_under_a_stop_of_the_new_price(
    building: Building, tmp_path: Path, ratio: Decimal
) -> None:
    floor = bought(building, tmp_path)
    floor.venue.do(lambda exchange, now: exchange.split("AAPL", ratio, now))
    floor.reconcile()
    floor.reconcile()
    price = float(Decimal("100.4") / ratio)
    for _ in range(2):
        floor.minute({"AAPL": price})
    [position] = floor.store.list_positions()
    assert position.qty == floor.held() == int(16 * ratio)
    [(kind, shares, stop)] = at_work(floor)
    assert (kind, shares, stop) == ("stop", int(16 * ratio), Decimal("98.4") / ratio)
    assert floor.note("unprotected_share_seconds") == 0


def sell_by_hand(floor: Floor, qty: int) -> None:
    """On the broker's own page: the stop makes way, then the shares are sold in the next minute."""

    def act(exchange: Exchange, now: dt.datetime) -> None:
        [stop] = [order for order in exchange.book.open_orders("AAPL") if order.status == "new"]
        assert exchange.cancel(stop.id, now) is None
        wanted = OrderRequest(symbol="AAPL", qty=Decimal(qty), side=Side.SELL, type=Type.MARKET, time_in_force=Tif.DAY)
        assert isinstance(exchange.submit(wanted, now), Order)
        exchange.match(now, [Bar("AAPL", 100.4, 100.4, 100.4, 100.4, 1e6)], now)

    floor.venue.do(act)


@pytest.mark.parametrize("qty", [5, 16])
def test_shares_sold_by_hand_are_booked_as_they_were_sold_and_the_rest_is_covered_again(
    building: Building, tmp_path: Path, qty: int
) -> None:
    floor = bought(building, tmp_path)
    sell_by_hand(floor, qty)
    for _ in range(2):
        floor.reconcile()
        floor.minute({"AAPL": 100.4})
    assert floor.held() == sum(position.qty for position in floor.store.list_positions()) == 16 - qty
    assert at_work(floor) == ([("stop", 11, Decimal("98.4"))] if qty == 5 else [])
    assert floor.store.account().cash == floor.venue.exchange.book.account.cash
    by_us = [finding for finding in floor.findings() if finding.invariant != "A6"]  # they were bare until it was seen
    assert by_us == []
    assert floor.note("oversold_shares") == 0


def test_a_stop_raised_in_the_minute_in_which_it_sells_is_neither_lost_nor_doubled(
    building: Building, tmp_path: Path
) -> None:
    floor = bought(building, tmp_path)
    at = floor.at + MINUTE
    raised = StopIntent(id="raise", symbol="AAPL", stop=Decimal("99.50"), basis="test", cause="bars")
    floor.minute({"AAPL": 100.5}, of("AAPL", at, stops=(raised,), marks=(mark("AAPL", 100.5),)))
    start = floor.at
    bars = [Bar("AAPL", 100.5, 100.5, 99.0, 99.2, 1e6)]
    floor.venue.do(lambda exchange, now: exchange.match(start, bars, start + MINUTE))
    floor.minute({"AAPL": 99.2})
    assert floor.held() == 0
    assert sum(order.filled_qty for order in floor.orders() if order.side == "sell") == 16
    well(floor)


def test_the_stop_rests_over_the_close_and_no_other_order_does(building: Building, tmp_path: Path) -> None:
    floor = bought(building, tmp_path)
    trim(floor)
    floor.close()
    resting = [(order.type, int(order.qty or 0)) for order in floor.orders() if order.status in ("new", "accepted")]
    assert {kind for kind, _ in resting} == {"stop"}
    assert sum(shares for _, shares in resting) == floor.held() == 16
    assert floor.findings() == ()


@pytest.mark.parametrize("rules", [{"untradable": ("AAPL",)}, {"only_symbols": ("MSFT",)}])
def test_what_the_broker_does_not_trade_is_refused_when_its_intent_arrives_and_never_sent(
    building: Building, tmp_path: Path, rules: dict[str, Any]
) -> None:
    floor = Floor(building, tmp_path, **rules)
    floor.open()
    at = floor.at + MINUTE
    floor.minute({"AAPL": 100.0}, of("AAPL", at, entries=(confirmed("AAPL", at),)))
    rows = floor.store._db.execute("SELECT stage, outcome, reason FROM verdicts WHERE symbol = 'AAPL'")
    assert list(rows) == [("arrival", "refused", Reason.NOT_TRADABLE)]
    assert floor.orders() == []
