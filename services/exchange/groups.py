"""Orders that belong together: a parent and its legs, and the two of them of which only one may trade.

A pair is the two legs of a bracket, or both orders of an OCO: the fill of one ends the other, so they hold the same
shares once. The stop is its second, the take profit its first.
"""

from __future__ import annotations

from services.exchange.book import Book
from services.exchange.orders import Order
from services.exchange.words import OrderClass, Status, Type


def siblings(book: Book, order: Order) -> list[Order]:
    """The open orders that form a pair with `order`."""
    if order.order_class is OrderClass.OCO:
        parent = order if order.parent is None else book.order(order.parent)
        assert parent is not None
        together = [parent, *book.legs(parent)]
    elif order.order_class is OrderClass.BRACKET and order.parent is not None:
        parent = book.order(order.parent)
        assert parent is not None
        together = [*book.legs(parent)]
    else:
        return []
    return [other for other in together if other.id != order.id and other.is_open]


def is_second(order: Order) -> bool:
    """The stop of a pair."""
    in_pair = order.order_class in (OrderClass.OCO, OrderClass.BRACKET)
    return in_pair and order.parent is not None and order.type is not Type.LIMIT


def waits_for_entry(book: Book, order: Order) -> bool:
    """A leg whose parent has still to buy the shares that it is to sell."""
    parent = None if order.parent is None else book.order(order.parent)
    return parent is not None and parent.is_entry and parent.is_open


def waits_to_replace(book: Book, order: Order) -> bool:
    """It exists, and does not stand before its predecessor is replaced; it ends with that one."""
    old = None if order.replaces is None else book.order(order.replaces)
    return old is not None and old.status is Status.PENDING_REPLACE
