"""What open orders hold back: shares for sells, buying power for buys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal

from msgspec import Struct

from services.exchange.book import Book
from services.exchange.groups import is_second, siblings
from services.exchange.matching import collar
from services.exchange.orders import ZERO, Order
from services.exchange.words import Side, Status, Type
from shared.contracts.exchange_rules import ExchangeRules


class Held(Struct, frozen=True):
    """Shares of one symbol. related: ids of the orders that hold some of them back."""

    existing: Decimal
    held: Decimal
    related: tuple[str, ...]

    @property
    def available(self) -> Decimal:
        return max(self.existing - self.held, ZERO)


def shares(book: Book, symbol: str, rules: ExchangeRules, *, but: Collection[str] = ()) -> Held:
    """Shares of `symbol` and what open sells, except the orders with ids `but`, hold of them.

    A leg that waits for its parent holds nothing, a pair holds its shares once. Of an order that is being replaced, the
    larger of old and new is held until `replaced` (switch `shares_free_at`: the new one from the request on).
    """
    position = book.position(symbol)
    holding = [
        order for order in _standing(book, book.open_orders(symbol)) if order.side is Side.SELL and order.id not in but
    ]
    held = sum((shares_of(book, order, rules) for order in holding), ZERO)
    return Held(position.qty if position else ZERO, held, tuple(order.id for order in holding))


def shares_of(book: Book, order: Order, rules: ExchangeRules) -> Decimal:
    successor = _successor(book, order)
    if successor is None:
        return order.remaining
    return successor.remaining if rules.shares_free_at == "patch" else max(order.remaining, successor.remaining)


def buying_power(book: Book, rules: ExchangeRules, *, but: str = "") -> Decimal:
    """Dollars for new buys: `multiplier` x equity, less what is held in shares and what open buys may cost."""
    return max(rules.multiplier * equity(book) - long_value(book) - reserved(book, but=but), ZERO)


def reserved(book: Book, *, but: str = "") -> Decimal:
    """Dollars that open buys, except the order with id `but`, may cost; the larger one where one is being replaced."""
    total = ZERO
    for order in _standing(book, book.open_orders()):
        if order.side is Side.BUY and order.id != but:
            successor = _successor(book, order)
            total += max(cost_of(book, order), cost_of(book, successor) if successor else ZERO)
    return total


def cost_of(book: Book, order: Order) -> Decimal:
    """Dollars that the rest of a buy may cost at most."""
    if order.notional is not None:
        return order.notional if order.is_open else ZERO
    return order.remaining * (worst_price(book, order.symbol, order.type, order.limit_price, order.stop_price) or ZERO)


def worst_price(book: Book, symbol: str, kind: Type, limit: Decimal | None, stop: Decimal | None) -> Decimal | None:
    """Dollars a share that a buy is valued at: its limit, or the last price or stop with the market's collar above."""
    if limit is not None:
        return limit
    base = stop if kind is Type.STOP else book.last_price(symbol)
    return None if base is None else collar(base)


def long_value(book: Book) -> Decimal:
    """Dollars: all positions at the last prices."""
    return sum(
        (position.qty * (book.last_price(position.symbol) or position.avg_price) for position in book.positions()),
        ZERO,
    )


def equity(book: Book) -> Decimal:
    return book.account.cash + long_value(book)


def _standing(book: Book, orders: Iterable[Order]) -> Iterable[Order]:
    """Orders that hold something back: they are or will be in the market, and no sibling holds the same for them."""
    return (
        order for order in orders if order.live_from is not None and not (is_second(order) and siblings(book, order))
    )


def _successor(book: Book, order: Order) -> Order | None:
    if order.status is not Status.PENDING_REPLACE or order.successor is None:
        return None
    return book.order(order.successor)
