"""What the book holds: orders, executions, positions, trade updates. Plain frozen structs."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.exchange.words import TERMINAL, Event, OrderClass, Side, Status, Tif, Type

ZERO: Final = Decimal(0)


class Order(Struct, frozen=True, kw_only=True):
    """One order as it stands. Money in dollars, quantities in shares, times in UTC.

    number: order of creation in this book. qty is None for an order over an amount (`notional`) until it is filled.
    filled_value: sum of quantity x price of its executions; executions: how many there were.
    parent: of a leg; legs: of a parent, also those replaced. live_from: it meets bars that start at or after this
    time, None while it is not in the market. due_at: when what it waits for (acknowledgement, cancel, replacement)
    takes place. resumes: status to return to if a replacement fails. elected: a stop-limit whose stop has traded.
    """

    id: str
    number: int
    client_order_id: str
    symbol: str
    side: Side
    type: Type
    time_in_force: Tif
    order_class: OrderClass = OrderClass.SIMPLE
    qty: Decimal | None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    status: Status
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    executions: int = 0
    parent: str | None = None
    legs: tuple[str, ...] = ()
    created_at: dt.datetime
    submitted_at: dt.datetime
    updated_at: dt.datetime
    filled_at: dt.datetime | None = None
    expired_at: dt.datetime | None = None
    canceled_at: dt.datetime | None = None
    failed_at: dt.datetime | None = None
    replaced_at: dt.datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    expires_at: dt.datetime | None = None
    live_from: dt.datetime | None = None
    due_at: dt.datetime | None = None
    resumes: Status | None = None
    successor: str | None = None
    elected: bool = False

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL

    @property
    def remaining(self) -> Decimal:
        """Shares still to be filled; 0 for an order over an amount, which is filled in one piece."""
        return ZERO if self.qty is None else self.qty - self.filled_qty

    @property
    def filled_avg_price(self) -> Decimal | None:
        return self.filled_value / self.filled_qty if self.filled_qty else None

    @property
    def is_complex(self) -> bool:
        return self.order_class is not OrderClass.SIMPLE

    @property
    def is_entry(self) -> bool:
        """It opens a position, with legs that wait for its fill."""
        return self.parent is None and self.order_class in (OrderClass.OTO, OrderClass.BRACKET)


class Execution(Struct, frozen=True, kw_only=True):
    """One fill. number: order of execution in this book. cum_qty, leaves_qty: of its order, after it."""

    id: str
    number: int
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    position_qty: Decimal
    at: dt.datetime


class Position(Struct, frozen=True, kw_only=True):
    """Shares held, always more than 0. avg_price: dollars, mean of what was paid, unchanged by sales."""

    symbol: str
    qty: Decimal
    avg_price: Decimal

    @property
    def cost(self) -> Decimal:
        return self.qty * self.avg_price


class Update(Struct, frozen=True, kw_only=True):
    """One trade update. seq: 1, 2, 3 ... over the life of the book. order: as it stood right after the event."""

    seq: int
    event: Event
    at: dt.datetime
    order: Order
    execution: Execution | None = None


def name_uuid(*names: object) -> str:
    """A UUID that is a function of `names`: the same book, replayed, gives the same ids."""
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
