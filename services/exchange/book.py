"""The book: every order, execution and position there ever was, cash, prices, and what changed since it was last kept.

The one place that writes them. It knows no rule of trading; exchange.py does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from services.exchange.orders import ZERO, Execution, Order, Position, Update
from services.exchange.words import ORDER_LIFE, Event, Side, Status


class Account(Struct, frozen=True, kw_only=True):
    """Amounts in dollars. last_equity: at the last close. updates: number of the last trade update.

    day: the trading day whose close has not come yet. halted: symbols in which nothing trades.
    """

    cash: Decimal
    opening_cash: Decimal
    created_at: dt.datetime
    salt: str
    last_equity: Decimal
    updates: int = 0
    day: dt.date | None = None
    halted: tuple[str, ...] = ()
    no_shorting: bool = True
    suspended: bool = False
    blocked: bool = False


class Price(Struct, frozen=True):
    """Last traded price of a symbol in this session or before, and the last of the session before; dollars."""

    last: float
    before: float | None = None


Day = tuple[dt.datetime, Decimal]
"""A session's close and the equity at it, dollars."""


class Changes(Struct):
    """What was written since the last `take_changes`: keys of rows, to be kept in one transaction."""

    orders: set[str] = msgspec.field(default_factory=set)
    positions: set[str] = msgspec.field(default_factory=set)
    prices: set[str] = msgspec.field(default_factory=set)
    executions: list[Execution] = msgspec.field(default_factory=list)
    days: list[Day] = msgspec.field(default_factory=list)
    account: bool = False

    def __bool__(self) -> bool:
        return bool(self.account or self.orders or self.positions or self.prices or self.executions or self.days)


class Book:
    """Orders by id, by client order id, and the open ones by symbol; positions; executions in order."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._orders: dict[str, Order] = {}
        self._by_client_id: dict[str, str] = {}
        self._open: dict[str, dict[str, Order]] = {}
        self._positions: dict[str, Position] = {}
        self._prices: dict[str, Price] = {}
        self._executions: list[Execution] = []
        self._days: list[Day] = []
        self._updates: list[Update] = []
        self._changes = Changes(account=True)

    @classmethod
    def restored(
        cls,
        account: Account,
        orders: Iterable[Order],
        positions: Iterable[Position],
        prices: Iterable[tuple[str, Price]],
        executions: Iterable[Execution],
        days: Iterable[Day],
    ) -> Book:
        """The book as it was kept; nothing in it counts as changed."""
        book = cls(account)
        for order in orders:
            book._index(order)
        book._positions = {position.symbol: position for position in positions}
        book._prices = dict(prices)
        book._executions = sorted(executions, key=lambda execution: execution.number)
        book._days = sorted(days)
        book._changes = Changes()
        return book

    # reading

    @property
    def account(self) -> Account:
        return self._account

    def order(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def by_client_id(self, client_order_id: str) -> Order | None:
        order_id = self._by_client_id.get(client_order_id)
        return None if order_id is None else self._orders[order_id]

    def orders(self) -> Iterable[Order]:
        """All of them, oldest first."""
        return self._orders.values()

    def count(self) -> int:
        return len(self._orders)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        if symbol is not None:
            return list(self._open.get(symbol, {}).values())
        return [order for orders in self._open.values() for order in orders.values()]

    def symbols_with_orders(self) -> Iterable[str]:
        return self._open.keys()

    def legs(self, order: Order) -> Iterator[Order]:
        return (self._orders[leg] for leg in order.legs)

    def position(self, symbol: str) -> Position | None:
        return self._positions.get(symbol)

    def positions(self) -> list[Position]:
        return sorted(self._positions.values(), key=lambda position: position.symbol)

    def executions(self) -> list[Execution]:
        return self._executions

    def days(self) -> list[Day]:
        return self._days

    def price(self, symbol: str) -> Price | None:
        return self._prices.get(symbol)

    def last_price(self, symbol: str) -> Decimal | None:
        """Dollars; None for a symbol that has not traded as far as this book knows."""
        price = self._prices.get(symbol)
        return None if price is None else Decimal(repr(price.last))

    # writing

    def add(self, order: Order) -> Order:
        assert order.id not in self._orders, order.id
        assert order.client_order_id not in self._by_client_id, order.client_order_id
        self._index(order)
        self._changes.orders.add(order.id)
        return order

    def change(self, order: Order, **fields: Any) -> Order:
        """`order` with new values in fields other than its status."""
        assert "status" not in fields, "the status changes by an event"
        return self._write(msgspec.structs.replace(order, **fields))

    def happen(
        self,
        order: Order,
        event: Event,
        at: dt.datetime,
        *,
        status: Status | None = None,
        execution: Execution | None = None,
        silent: bool = False,
        **fields: Any,
    ) -> Order:
        """`event` happens to `order` at `at`: its next status, by the table, and a trade update unless `silent`.

        status: instead of the table's, where it depends on the order's past (a replacement that failed).
        """
        step = ORDER_LIFE.get((order.status, event))
        assert step is not None, f"{order.client_order_id}: {event} cannot happen to an order that is {order.status}"
        changed = self._write(msgspec.structs.replace(order, status=status or step, updated_at=at, **fields))
        if not silent:
            self._announce(event, at, changed, execution)
        return changed

    def announce_only(self, order: Order, event: Event, at: dt.datetime) -> None:
        """A trade update about something that changes nothing in `order`."""
        self._announce(event, at, order, None)

    def record(self, execution: Execution) -> None:
        """Shares and money change hands."""
        amount = execution.qty * execution.price
        is_buy = execution.side is Side.BUY
        self.change_account(cash=self._account.cash - amount if is_buy else self._account.cash + amount)
        held = self._positions.get(execution.symbol)
        if is_buy:
            cost = (held.cost if held else ZERO) + amount
            self.set_position(execution.symbol, execution.position_qty, cost / execution.position_qty)
        else:
            assert held is not None, f"{execution.symbol}: a sale without shares"
            self.set_position(execution.symbol, execution.position_qty, held.avg_price)
        self._executions.append(execution)
        self._changes.executions.append(execution)

    def set_position(self, symbol: str, qty: Decimal, avg_price: Decimal) -> None:
        assert qty >= 0, f"{symbol}: short {qty}"
        if qty:
            self._positions[symbol] = Position(symbol=symbol, qty=qty, avg_price=avg_price)
        else:
            self._positions.pop(symbol, None)
        self._changes.positions.add(symbol)

    def change_account(self, **fields: Any) -> None:
        self._account = msgspec.structs.replace(self._account, **fields)
        self._changes.account = True

    def set_price(self, symbol: str, price: float) -> None:
        known = self._prices.get(symbol)
        if known is None or known.last != price:
            self._prices[symbol] = Price(price, None if known is None else known.before)
            self._changes.prices.add(symbol)

    def know_close(self, symbol: str, close: float) -> None:
        self._prices[symbol] = Price(close, close)
        self._changes.prices.add(symbol)

    def end_day(self, closed_at: dt.datetime, equity: Decimal) -> None:
        """The last prices and the equity become those of the session before."""
        day = (closed_at, equity)
        self._days.append(day)
        self._changes.days.append(day)
        self.change_account(last_equity=equity)
        for symbol, price in self._prices.items():
            if price.before != price.last:
                self._prices[symbol] = Price(price.last, price.last)
                self._changes.prices.add(symbol)

    def take_updates(self) -> list[Update]:
        updates, self._updates = self._updates, []
        return updates

    def take_changes(self) -> Changes:
        changes, self._changes = self._changes, Changes()
        return changes

    def _announce(self, event: Event, at: dt.datetime, order: Order, execution: Execution | None) -> None:
        self.change_account(updates=self._account.updates + 1)
        self._updates.append(Update(seq=self._account.updates, event=event, at=at, order=order, execution=execution))

    def _write(self, order: Order) -> Order:
        assert order.filled_qty <= (order.qty if order.qty is not None else order.filled_qty), order.client_order_id
        self._index(order)
        self._changes.orders.add(order.id)
        return order

    def _index(self, order: Order) -> None:
        self._orders[order.id] = order
        self._by_client_id[order.client_order_id] = order.id
        if order.is_open:
            self._open.setdefault(order.symbol, {})[order.id] = order
        elif of_symbol := self._open.get(order.symbol):
            of_symbol.pop(order.id, None)
            if not of_symbol:
                del self._open[order.symbol]
