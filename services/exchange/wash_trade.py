"""Alpaca refuses an order that could trade with another of the same account; the table of its user protection page.

A new order of a class (bracket, OTO, OCO) never meets this refusal, nor do the legs of one cause it. Whether an entry
with legs causes it while it is open is a switch (`open_entry_blocks`).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from services.exchange.orders import Order
from services.exchange.words import Side, Type

ALWAYS: Final = "always"
IF_CROSSED: Final = "if crossed"  # the buy limit is at or above the sell limit

TABLE: Final[dict[tuple[Type, Type], str]] = {
    (Type.MARKET, Type.MARKET): ALWAYS,
    (Type.MARKET, Type.LIMIT): ALWAYS,
    (Type.MARKET, Type.STOP): ALWAYS,
    (Type.MARKET, Type.STOP_LIMIT): ALWAYS,
    (Type.LIMIT, Type.MARKET): ALWAYS,
    (Type.LIMIT, Type.LIMIT): IF_CROSSED,
    (Type.LIMIT, Type.STOP): ALWAYS,
    (Type.LIMIT, Type.STOP_LIMIT): IF_CROSSED,
    (Type.STOP, Type.MARKET): ALWAYS,
    (Type.STOP, Type.LIMIT): ALWAYS,
    (Type.STOP, Type.STOP): ALWAYS,
    (Type.STOP, Type.STOP_LIMIT): ALWAYS,
    (Type.STOP_LIMIT, Type.MARKET): ALWAYS,
    (Type.STOP_LIMIT, Type.LIMIT): IF_CROSSED,
    (Type.STOP_LIMIT, Type.STOP): ALWAYS,
    (Type.STOP_LIMIT, Type.STOP_LIMIT): IF_CROSSED,
}
"""(type of the open order, type of the new one on the other side) -> when the new one is refused."""

REASON: Final = {
    Type.MARKET: "opposite side market/stop order exists",
    Type.STOP: "opposite side market/stop order exists",
    Type.LIMIT: "opposite side limit order exists",
    Type.STOP_LIMIT: "opposite side limit order exists",
}


def conflict(
    side: Side, kind: Type, limit: Decimal | None, open_orders: Iterable[Order], *, open_entry_blocks: bool
) -> Order | None:
    """The open order of the same symbol that a new simple one may not meet, None if there is none."""

    def blocks(order: Order) -> bool:
        return not order.is_complex or (open_entry_blocks and order.is_entry)

    return next(
        (
            order
            for order in open_orders
            if order.side is side.opposite and blocks(order) and _meets(order, kind, side, limit)
        ),
        None,
    )


def _meets(existing: Order, kind: Type, side: Side, limit: Decimal | None) -> bool:
    if TABLE[existing.type, kind] is ALWAYS:
        return True
    assert existing.limit_price is not None
    assert limit is not None
    buy, sell = (limit, existing.limit_price) if side is Side.BUY else (existing.limit_price, limit)
    return buy >= sell
