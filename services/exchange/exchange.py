"""The paper exchange: what a client may ask of it, what a minute of the market does to it, and what time does.

Pure: plain structs in, plain structs out; `now` is handed in, ids and draws are functions of named things. What
happened is read with `book.take_updates()`, what must be kept with `book.take_changes()`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

from services.exchange import acceptance, fills, hours, life, reservations
from services.exchange.book import Account, Book
from services.exchange.orders import Order, Position
from services.exchange.refusals import Refusal, Why, refuse
from services.exchange.requests import OrderRequest, ReplaceRequest, read_terms
from services.exchange.words import Event, Side, Tif, Type
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar
from shared.contracts.money import tick

HUNDRED: Final = Decimal(100)
NINE_DECIMALS: Final = Decimal("0.000000001")
MINUTE: Final = dt.timedelta(minutes=1)
FRESH: Final = dt.timedelta(seconds=90)


def new_book(rules: ExchangeRules, salt: str, now: dt.datetime) -> Book:
    """An account with nothing but cash. salt: what makes its ids and draws differ from those of other books."""
    return Book(Account(cash=rules.cash, opening_cash=rules.cash, created_at=now, salt=salt, last_equity=rules.cash))


class Exchange:
    """One account at the broker and its market.

    at_once: an order that is sent during a session meets the last price, if that is not older than `FRESH`, and not
    only bars that begin later: by the wall clock a bar is known when it is over, and nobody's broker waits so long.
    """

    def __init__(self, book: Book, rules: ExchangeRules, *, at_once: bool = False) -> None:
        self.book = book
        self.rules = rules
        self._at_once = at_once
        self._newest: dict[str, tuple[dt.datetime, Bar]] = {}

    def submit(self, request: OrderRequest, now: dt.datetime) -> Order | Refusal:
        """A new order, or why there is none. The order is as it stands after what happens at once."""
        self.advance(now)
        terms = read_terms(request)
        if isinstance(terms, Refusal):
            return terms
        refusal = acceptance.submit_refusal(terms, self.book, self.rules)
        return refusal or self._sent(life.begin(self.book, self.rules, terms, now), now)

    def replace(self, order_id: str, request: ReplaceRequest, now: dt.datetime) -> Order | Refusal:
        """The order that takes the place of `order_id`, or why there is none."""
        self.advance(now)
        order = self.book.order(order_id)
        if order is None:
            return refuse(Why.ORDER_UNKNOWN, order_id)
        refusal = acceptance.replace_refusal(order, request, self.book, self.rules)
        return refusal or self._sent(life.replace(self.book, self.rules, order, request, now), now)

    def cancel(self, order_id: str, now: dt.datetime) -> Refusal | None:
        """None: the request is accepted, which does not mean that the order is cancelled."""
        self.advance(now)
        order = self.book.order(order_id)
        if order is None:
            return refuse(Why.ORDER_UNKNOWN, order_id)
        if refusal := acceptance.cancel_refusal(order, self.book, self.rules):
            return refusal
        life.cancel(self.book, self.rules, order, now)
        return None

    def reject(self, order_id: str, now: dt.datetime) -> None:
        """The market refuses an order that the broker has taken: a fault to be injected, no client asks for it."""
        order = self.book.order(order_id)
        if order is not None and order.is_open:
            life.reject(self.book, order, now)

    def cancel_all(self, now: dt.datetime) -> list[tuple[str, Refusal | None]]:
        """Each open order's id with what came of its cancel; legs end with their parents."""
        self.advance(now)
        return [
            (order.id, self.cancel(order.id, now))
            for order in sorted(self.book.open_orders(), key=lambda order: order.number)
            if life.standing(self.book, order).is_open
        ]

    def close_position(
        self, symbol: str, now: dt.datetime, *, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> Order | Refusal:
        """Sells the position, or a part of it, at the market. percentage: 0 to 100."""
        position = self.book.position(symbol)
        if position is None:
            return refuse(Why.POSITION_UNKNOWN)
        if percentage is not None:
            qty = (position.qty * percentage / HUNDRED).quantize(NINE_DECIMALS, rounding=ROUND_DOWN)
        request = OrderRequest(
            symbol=symbol,
            qty=position.qty if qty is None else qty,
            side=Side.SELL,
            type=Type.MARKET,
            time_in_force=Tif.DAY,
        )
        return self.submit(request, now)

    def close_all(self, now: dt.datetime, *, cancel_orders: bool) -> list[tuple[Position, Order | Refusal]]:
        """Sells every position; `cancel_orders` ends all open orders first, without the delay of a request."""
        self.advance(now)
        if cancel_orders:
            for order in self.book.open_orders():
                life.cancel_now(self.book, order, now)
        return [(position, self.close_position(position.symbol, now)) for position in self.book.positions()]

    def match(self, minute: dt.datetime, rows: Iterable[Bar], now: dt.datetime) -> None:
        """The market of the minute that started at `minute`: one bar per symbol; fills carry the time `now`.

        Orders meet it that were live when it began. The result does not depend on the order of `rows`. A bar outside
        the regular session moves nothing.
        """
        self.advance(minute)
        if not hours.trades_in(minute):
            return
        book, waiting = self.book, self.book.symbols_with_orders()
        meeting = []
        for bar in rows:
            book.set_price(bar.symbol, bar.close)
            if self._at_once:
                self._newest[bar.symbol] = (minute + MINUTE, bar)
            if bar.symbol in waiting:
                meeting.append(bar)
        for bar in sorted(meeting, key=lambda bar: bar.symbol):
            if bar.symbol not in book.account.halted:
                fills.match_bar(book, self.rules, bar, minute, now)
        fills.end_immediate(book, minute, now)

    def _sent(self, order: Order, now: dt.datetime) -> Order:
        """`order` after it met the last price, where that is to be met."""
        found = self._newest.get(order.symbol)
        if found is None or order.symbol in self.book.account.halted or not hours.trades_in(now):
            return order
        end, bar = found
        if now - end <= FRESH:
            fills.meet_last(self.book, self.rules, order, bar, now)
        return life.standing(self.book, order)

    def advance(self, now: dt.datetime) -> None:
        """Whatever is due at or before `now` takes place; nothing ends by its time (`expire` does that)."""
        life.advance(self.book, self.rules, now)

    def expire(self, now: dt.datetime) -> None:
        """Orders whose time is over end; past a close, the day's last prices and equity become yesterday's."""
        self.advance(now)
        life.expire(self.book, self.rules, now)
        day = hours.trading_day(now)
        if self.book.account.day != day:
            if self.book.account.day is not None:
                self.book.end_day(now, reservations.equity(self.book))
            self.book.change_account(day=day)

    def know_close(self, symbol: str, close: float) -> None:
        """The last close of a symbol that has not traded yet: what a stop is compared with before the first bar."""
        if self.book.price(symbol) is None:
            self.book.know_close(symbol, close)

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Trading in `symbol` stops or goes on; its orders stay where they are."""
        others = tuple(name for name in self.book.account.halted if name != symbol)
        self.book.change_account(halted=(*others, symbol) if halted else others)

    def split(self, symbol: str, ratio: Decimal, now: dt.datetime) -> None:
        """Over night one share becomes `ratio` shares: position, open orders and known prices follow.

        Fractions of a share are paid out at the new price. Order ids stay; each changed order is `restated`.
        """
        assert ratio > 0, ratio
        if (price := self.book.price(symbol)) is not None:
            self.book.set_price(symbol, price.last / float(ratio))
        if (position := self.book.position(symbol)) is not None:
            qty = position.qty * ratio
            whole = qty.to_integral_value(ROUND_FLOOR) if ratio < 1 else qty
            avg_price = position.avg_price / ratio
            self.book.set_position(symbol, whole, avg_price)
            paid = (qty - whole) * (self.book.last_price(symbol) or avg_price)
            self.book.change_account(cash=self.book.account.cash + paid.quantize(Decimal("0.01"), ROUND_HALF_EVEN))
        for order in self.book.open_orders(symbol):
            self._split_order(order, ratio, now)

    def _split_order(self, order: Order, ratio: Decimal, now: dt.datetime) -> None:
        qty = None if order.qty is None else (order.qty * ratio).to_integral_value(ROUND_FLOOR)
        if qty == 0:
            life.cancel_now(self.book, order, now)
            return
        changed = self.book.change(
            order,
            qty=qty,
            filled_qty=order.filled_qty * ratio,
            limit_price=_on_grid(order.limit_price, ratio),
            stop_price=_on_grid(order.stop_price, ratio),
        )
        self.book.happen(changed, Event.RESTATED, now)


def _on_grid(price: Decimal | None, ratio: Decimal) -> Decimal | None:
    if price is None:
        return None
    scaled = price / ratio
    return scaled.quantize(tick(scaled), ROUND_HALF_EVEN)
