"""What is ours at the broker, symbol by symbol, worked out from its lists and the ledger alone.

Used where state is dead. The ledger then says what was known when it stopped; what the broker's orders filled since is
added, order by order. So shares that no record of ours explains are never counted in, and never sold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from shared.contracts.orders import BrokerOrder, BrokerPosition
from shared.contracts.vocabulary import OrderKind

OVER: Final = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
_OURS: Final = re.compile(r"(?P<installation>[a-z0-9]{1,6})-(?P<session>\d{6})-[A-Z0-9.\-]+-(?P<kind>[a-z]+)-(\d+)\Z")


class Booked(Struct, frozen=True):
    """An order as the ledger knew it. filled: shares that are in the ledger's position."""

    client_order_id: str
    broker_id: str | None
    symbol: str
    side: str
    filled: int
    open: bool


class Kept(Struct, frozen=True):
    """A position of the ledger. stop: where its stop should rest, dollars."""

    qty: int
    stop: Decimal | None


class Books(Struct, frozen=True, kw_only=True):
    """The ledger at one instant. positions: by symbol."""

    installation: str
    positions: Mapping[str, Kept]
    orders: tuple[Booked, ...]


class Standing(Struct, frozen=True, kw_only=True):
    """One symbol of ours at the broker.

    shares: held by us. held: by the account. orders: ours that are open, legs as orders of their own; a leg whose entry
    is still open is left out, it ends with it. offered: shares that open sells of anybody may sell. stop: where ours
    stood last, dollars. flats: the highest number of today's `-flat-` orders.
    """

    symbol: str
    shares: int
    held: Decimal
    orders: tuple[BrokerOrder, ...]
    offered: Decimal
    stop: Decimal | None
    flats: int

    @property
    def entries(self) -> tuple[BrokerOrder, ...]:
        return tuple(order for order in self.orders if order.side == "buy")

    @property
    def sells(self) -> tuple[BrokerOrder, ...]:
        return tuple(order for order in self.orders if order.side == "sell")

    @property
    def uncovered(self) -> int:
        """Shares of ours that nothing of ours offers, as far as the account has them free."""
        own = self.shares - sum(remaining(order) for order in self.sells)
        return int(max(min(Decimal(own), self.held - self.offered), Decimal(0)))


def standings(
    books: Books, orders: Iterable[BrokerOrder], positions: Iterable[BrokerPosition], session: str
) -> tuple[Standing, ...]:
    """Every symbol in which something of ours stands, by name.

    orders: open ones and those of the last days, nested. session: today as it stands in ids, `260109`.
    """
    seen = list(orders)
    ours = Ours(books, seen)
    held = {position.symbol: position.qty for position in positions}
    symbols = {order.symbol for order in ours.all} | books.positions.keys()
    found = (_standing(symbol, books, ours, seen, held.get(symbol, Decimal(0)), session) for symbol in sorted(symbols))
    return tuple(one for one in found if one.shares > 0 or one.orders)


class Ours:
    """Which of the broker's orders are ours: by prefix, by the ledger's broker id, by parent, or in place of one."""

    def __init__(self, books: Books, orders: Iterable[BrokerOrder]) -> None:
        self._prefix = f"{books.installation}-"
        self._by_broker_id = {order.broker_id: order for order in books.orders if order.broker_id}
        self._by_name = {order.client_order_id: order for order in books.orders}
        self.all = tuple(self._found(orders))

    def booked(self, order: BrokerOrder) -> Booked | None:
        return self._by_broker_id.get(order.broker_id) or self._by_name.get(order.client_order_id)

    def _found(self, orders: Iterable[BrokerOrder]) -> Iterator[BrokerOrder]:
        ids: set[str] = set()
        for order in sorted(orders, key=lambda order: order.replaces is not None):
            if self._named(order) or self.booked(order) is not None or order.replaces in ids:
                for one in (order, *order.legs):
                    ids.add(one.broker_id)
                    yield one

    def _named(self, order: BrokerOrder) -> bool:
        name = _OURS.match(order.client_order_id)
        return name is not None and order.client_order_id.startswith(self._prefix) and name["kind"] in set(OrderKind)


def remaining(order: BrokerOrder) -> int:
    return int((order.qty or Decimal(0)) - order.filled_qty)


def _standing(symbol: str, books: Books, ours: Ours, seen: list[BrokerOrder], held: Decimal, session: str) -> Standing:
    own = [order for order in ours.all if order.symbol == symbol]
    kept = books.positions.get(symbol)
    flat = re.compile(rf"{re.escape(books.installation)}-{session}-{re.escape(symbol)}-{OrderKind.FLAT}-(\d+)\Z")
    numbers = [int(found[1]) for order in own if (found := flat.match(order.client_order_id))]
    return Standing(
        symbol=symbol,
        shares=(kept.qty if kept is not None else 0) + sum(_since(ours, order) for order in own),
        held=held,
        orders=tuple(order for order in own if at_work(order, own)),
        offered=sum((Decimal(remaining(order)) for order in _offering(symbol, seen)), Decimal(0)),
        stop=_last_stop(own, kept),
        flats=max(numbers, default=0),
    )


def _since(ours: Ours, order: BrokerOrder) -> int:
    """Shares that this order bought (or sold, below 0) beyond what the ledger has booked of it."""
    booked = ours.booked(order)
    shares = int(order.filled_qty) - (booked.filled if booked is not None else 0)
    return shares if order.side == "buy" else -shares


def at_work(order: BrokerOrder, among: Iterable[BrokerOrder]) -> bool:
    """Whether `order` is open and stands for itself: not a leg that ends with its entry."""
    if order.status in OVER:
        return False
    parents = [one for one in among if any(leg.broker_id == order.broker_id for leg in one.legs)]
    return all(parent.status == "filled" or order.status != "held" for parent in parents)


def _offering(symbol: str, seen: list[BrokerOrder]) -> Iterator[BrokerOrder]:
    every = [one for order in seen for one in (order, *order.legs) if one.symbol == symbol]
    return (one for one in every if one.side == "sell" and at_work(one, every))


def _last_stop(own: list[BrokerOrder], kept: Kept | None) -> Decimal | None:
    if kept is not None and kept.qty > 0 and kept.stop is not None:
        return kept.stop
    stops = [order for order in own if order.side == "sell" and order.stop_price is not None]
    dated = [order for order in stops if order.submitted_at is not None] or stops
    return max(dated, key=lambda order: (str(order.submitted_at), order.broker_id)).stop_price if dated else None
