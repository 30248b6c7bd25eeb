"""Whatever clients and market do: never short, never more reserved than held, books that add up, nothing backwards.

The books are added up here from the executions alone, by other code than the exchange's.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.exchange import reservations
from services.exchange.exchange import Exchange
from services.exchange.orders import Order, Update
from services.exchange.refusals import Refusal
from services.exchange.requests import ReplaceRequest
from services.exchange.store import BookFile
from services.exchange.words import TERMINAL, OrderClass, Side, Status
from shared.contracts.market import Bar
from tests.unit.exchange.market import MINUTE, OPEN, an_exchange, flat, placed, request

SYMBOLS = ("AAPL", "MSFT")
prices = st.integers(min_value=90, max_value=110).map(float)
quantities = st.integers(min_value=1, max_value=60)
delays = st.sampled_from((0, 30, 90))


class Trading(RuleBasedStateMachine):
    """One account; time goes on by a minute with each bar, sometimes over night."""

    exchange: Exchange
    now: datetime

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = BookFile(Path(self.folder.name) / "book.sqlite")
        self.before: dict[str, Order] = {}
        self.updates: list[Update] = []

    @initialize(
        acknowledge=delays,
        cancel=delays,
        replace=delays,
        partials=st.sampled_from((0.0, 0.5)),
        free=st.sampled_from(("patch", "replaced")),
        partial_replace=st.sampled_from(("remaining", "total")),
    )
    def begin(
        self, acknowledge: int, cancel: int, replace: int, partials: float, free: str, partial_replace: str
    ) -> None:
        self.exchange = an_exchange(
            acknowledge_delay=acknowledge,
            cancel_delay=cancel,
            replace_delay=replace,
            random_partials=partials,
            shares_free_at=free,
            replace_of_partial=partial_replace,
        )
        self.now = OPEN
        self.exchange.expire(self.now)
        self.minute("AAPL", 100.0, 0.0, 1e6)

    @rule(symbol=st.sampled_from(SYMBOLS), price=prices, swing=st.floats(0, 10), volume=st.floats(0, 2000))
    def minute(self, symbol: str, price: float, swing: float, volume: float) -> None:
        bar = Bar(symbol, price, price + round(swing, 2), price - round(swing, 2), price, volume)
        self.exchange.match(self.now, [bar], self.now + MINUTE)
        self.now += MINUTE

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        side=st.sampled_from(("buy", "sell")),
        kind=st.sampled_from(("market", "limit", "stop")),
        tif=st.sampled_from(("day", "gtc", "ioc", "fok")),
        qty=quantities,
        price=prices,
    )
    def submit(self, symbol: str, side: str, kind: str, tif: str, qty: int, price: float) -> None:
        fields: dict[str, Any] = {"symbol": symbol, "side": side, "type": kind, "time_in_force": tif, "qty": qty}
        if kind == "limit":
            fields["limit_price"] = price
        if kind == "stop":
            fields["stop_price"] = price
        self.exchange.submit(request(**fields), self.now)

    @rule(order_class=st.sampled_from(("oto", "bracket")), qty=quantities, stop=st.integers(80, 99))
    def enter_with_legs(self, order_class: str, qty: int, stop: int) -> None:
        legs = {"stop_loss": str(stop)} | ({"take_profit": "112"} if order_class == "bracket" else {})
        fields = {"order_class": order_class, "time_in_force": "gtc", "qty": qty, **legs}
        self.exchange.submit(request(**fields), self.now)

    @rule(qty=quantities)
    def leave_with_a_pair(self, qty: int) -> None:
        fields = {"order_class": "oco", "side": "sell", "type": "limit", "time_in_force": "gtc", "qty": qty}
        self.exchange.submit(request(**fields, take_profit="113", stop_loss="85"), self.now)

    @rule(place=st.integers(0, 20))
    def cancel(self, place: int) -> None:
        if orders := list(self.exchange.book.orders()):
            self.exchange.cancel(orders[place % len(orders)].id, self.now)

    @rule(place=st.integers(0, 20), qty=quantities, price=prices)
    def replace(self, place: int, qty: int, price: float) -> None:
        if orders := self.exchange.book.open_orders():
            order = orders[place % len(orders)]
            limit = Decimal(str(price)) if order.limit_price is not None else None
            stop = Decimal(str(price)) if order.stop_price is not None else None
            wanted = ReplaceRequest(qty=Decimal(qty), limit_price=limit, stop_price=stop)
            self.exchange.replace(order.id, wanted, self.now)

    @rule(seconds=st.integers(0, 59))
    def wait(self, seconds: int) -> None:
        self.exchange.advance(self.now + timedelta(seconds=seconds))

    @rule()
    def sleep(self) -> None:
        """To the close, and over night to the next opening."""
        self.exchange.expire(self.now.replace(hour=21, minute=0))
        self.now = (self.now + timedelta(days=5 if self.now.weekday() == 4 else 1)).replace(hour=14, minute=30)
        while self.now.weekday() >= 5:
            self.now += timedelta(days=1)
        self.exchange.expire(self.now)

    @rule(cancel=st.booleans())
    def close_all(self, cancel: bool) -> None:
        for _, result in self.exchange.close_all(self.now, cancel_orders=cancel):
            assert cancel is False or not isinstance(result, Refusal) or result.code != 40310000

    @rule()
    def be_killed_and_begin_again(self) -> None:
        """What was kept is what was there."""
        self._keep()
        found = self.file.load()
        assert found is not None
        old = self.exchange.book
        assert list(found.orders()) == list(old.orders())
        assert found.positions() == old.positions()
        assert found.executions() == old.executions()
        assert found.account == old.account
        assert [found.price(symbol) for symbol in SYMBOLS] == [old.price(symbol) for symbol in SYMBOLS]
        assert {order.id for order in found.open_orders()} == {order.id for order in old.open_orders()}
        self.exchange = Exchange(found, self.exchange.rules)

    @invariant()
    def the_books_add_up(self) -> None:
        if not hasattr(self, "exchange"):
            return
        book = self.exchange.book
        cash = Decimal(100_000)
        shares: defaultdict[str, Decimal] = defaultdict(Decimal)
        per_order: defaultdict[str, Decimal] = defaultdict(Decimal)
        for execution in book.executions():
            sign = 1 if execution.side is Side.BUY else -1
            cash -= sign * execution.qty * execution.price
            shares[execution.symbol] += sign * execution.qty
            per_order[execution.order_id] += execution.qty
            assert shares[execution.symbol] >= 0
        assert book.account.cash == cash
        assert {position.symbol: position.qty for position in book.positions()} == {
            symbol: qty for symbol, qty in shares.items() if qty
        }
        assert {order.id: order.filled_qty for order in book.orders() if order.filled_qty} == dict(per_order)

    @invariant()
    def no_more_is_promised_than_held(self) -> None:
        if not hasattr(self, "exchange"):
            return
        for symbol in SYMBOLS:
            held = reservations.shares(self.exchange.book, symbol, self.exchange.rules)
            if self.exchange.rules.shares_free_at == "replaced":
                assert held.held <= held.existing, symbol

    @invariant()
    def nothing_goes_backwards(self) -> None:
        if not hasattr(self, "exchange"):
            return
        for order in self.exchange.book.orders():
            old = self.before.get(order.id)
            if old is not None:
                assert order.filled_qty >= old.filled_qty
                assert old.status not in TERMINAL or order.status is old.status
            self.before[order.id] = order

    @invariant()
    def updates_are_numbered_without_a_gap(self) -> None:
        if not hasattr(self, "exchange"):
            return
        self.updates += self.exchange.book.take_updates()
        assert [update.seq for update in self.updates] == list(range(1, len(self.updates) + 1))

    @invariant()
    def groups_end_together(self) -> None:
        if not hasattr(self, "exchange"):
            return
        book = self.exchange.book
        for order in book.orders():
            if order.status is Status.HELD and order.parent is not None and order.replaces is None:
                parent = book.order(order.parent)
                assert parent is not None
                is_entry_done = parent.status is Status.FILLED and parent.order_class is OrderClass.BRACKET
                assert parent.is_open or is_entry_done, f"{order.client_order_id} waits for nobody"

    def _keep(self) -> None:
        self.file.keep(self.exchange.book.take_changes(), self.exchange, {})

    def teardown(self) -> None:
        self.file.close()
        self.folder.cleanup()


TestTrading = Trading.TestCase
TestTrading.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize("free", ["patch", "replaced"])
def test_the_held_stop_of_a_filled_bracket_cannot_outgrow_the_position(free: str) -> None:
    """Found by the property above: replaced by a larger one, it sold more than there was once its sibling ended."""
    exchange = an_exchange(shares_free_at=free)
    exchange.match(OPEN, [flat(100.0)], OPEN + MINUTE)
    legs = {"take_profit": "112", "stop_loss": "80"}
    entry = placed(exchange, OPEN + MINUTE, order_class="bracket", time_in_force="gtc", qty="1", **legs)
    exchange.match(OPEN + MINUTE, [flat(100.0)], OPEN + 2 * MINUTE)
    stop = next(leg for leg in exchange.book.legs(entry) if leg.status is Status.HELD)
    refused = exchange.replace(stop.id, ReplaceRequest(qty=Decimal(2), stop_price=Decimal(91)), OPEN + 2 * MINUTE)
    assert isinstance(refused, Refusal)
    assert refused.code == 40310000


@pytest.mark.parametrize("legs", [{"stop_loss": "80"}, {"take_profit": "112", "stop_loss": "80"}])
def test_a_leg_whose_replacement_is_under_way_when_its_entry_fills_protects_all_the_same(legs: dict[str, str]) -> None:
    exchange = an_exchange(replace_delay=90)
    exchange.match(OPEN, [flat(100.0)], OPEN + MINUTE)
    order_class = "bracket" if "take_profit" in legs else "oto"
    entry = placed(exchange, OPEN + MINUTE, order_class=order_class, time_in_force="gtc", qty="3", **legs)
    stop = next(leg for leg in exchange.book.legs(entry) if leg.stop_price is not None)
    exchange.replace(stop.id, ReplaceRequest(qty=Decimal(7), stop_price=Decimal(91)), OPEN + MINUTE)
    exchange.match(OPEN + MINUTE, [flat(100.0)], OPEN + 2 * MINUTE)
    for minute in range(2, 5):
        exchange.match(OPEN + minute * MINUTE, [flat(100.0)], OPEN + (minute + 1) * MINUTE)
    exchange.match(OPEN + 5 * MINUTE, [flat(85.0)], OPEN + 6 * MINUTE)
    assert exchange.book.position("AAPL") is None
    sold = [execution for execution in exchange.book.executions() if execution.side is Side.SELL]
    assert [execution.qty for execution in sold] == [3]
