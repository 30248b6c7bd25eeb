"""Alpaca's words for an order, and the one table of steps between its statuses.

The paper exchange speaks them on the wire, so they are the broker's spelling, not the engine's (shared/domain keeps
that one). What is imitated, and where it is documented, case by case: docs/conformance.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Type(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class Tif(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    SIMPLE = ""
    OTO = "oto"
    OCO = "oco"
    BRACKET = "bracket"


class Status(StrEnum):
    PENDING_NEW = "pending_new"  # received, not yet acknowledged by the market
    ACCEPTED = "accepted"  # received outside trading hours, waits for the next trading day
    NEW = "new"
    HELD = "held"  # a leg that waits for its parent, or the second leg of a pair
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


class Event(StrEnum):
    """Names of trade updates."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    NEW = "new"
    PARTIAL_FILL = "partial_fill"
    FILL = "fill"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    PENDING_REPLACE = "pending_replace"
    REPLACED = "replaced"
    REPLACE_REJECTED = "order_replace_rejected"
    EXPIRED = "expired"
    REJECTED = "rejected"
    RESTATED = "restated"


TERMINAL: Final = frozenset({Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REJECTED, Status.REPLACED})

IN_THE_MARKET: Final = frozenset(
    {Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.PENDING_REPLACE, Status.HELD}
)
"""May be filled, where the order also has a time from which it is live: a held leg gets one with its parent's fill."""

REPLACEABLE: Final = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.HELD})

ORDER_LIFE: Final[Mapping[tuple[Status, Event], Status]] = {
    (Status.PENDING_NEW, Event.PENDING_NEW): Status.PENDING_NEW,
    (Status.PENDING_NEW, Event.NEW): Status.NEW,
    (Status.PENDING_NEW, Event.REJECTED): Status.REJECTED,
    (Status.PENDING_NEW, Event.PENDING_CANCEL): Status.PENDING_CANCEL,
    (Status.PENDING_NEW, Event.CANCELED): Status.CANCELED,
    (Status.PENDING_NEW, Event.EXPIRED): Status.EXPIRED,
    (Status.PENDING_NEW, Event.RESTATED): Status.PENDING_NEW,
    (Status.ACCEPTED, Event.ACCEPTED): Status.ACCEPTED,
    (Status.ACCEPTED, Event.NEW): Status.NEW,  # 04:00 New York of the trading day it was queued for
    (Status.ACCEPTED, Event.REJECTED): Status.REJECTED,
    (Status.ACCEPTED, Event.PENDING_CANCEL): Status.PENDING_CANCEL,
    (Status.ACCEPTED, Event.CANCELED): Status.CANCELED,
    (Status.ACCEPTED, Event.EXPIRED): Status.EXPIRED,
    (Status.ACCEPTED, Event.RESTATED): Status.ACCEPTED,
    (Status.NEW, Event.PARTIAL_FILL): Status.PARTIALLY_FILLED,
    (Status.NEW, Event.FILL): Status.FILLED,
    (Status.NEW, Event.PENDING_CANCEL): Status.PENDING_CANCEL,
    (Status.NEW, Event.CANCELED): Status.CANCELED,
    (Status.NEW, Event.PENDING_REPLACE): Status.PENDING_REPLACE,
    (Status.NEW, Event.REPLACED): Status.REPLACED,
    (Status.NEW, Event.EXPIRED): Status.EXPIRED,
    (Status.NEW, Event.REJECTED): Status.REJECTED,
    (Status.NEW, Event.RESTATED): Status.NEW,
    (Status.HELD, Event.NEW): Status.NEW,  # the parent is filled
    (Status.HELD, Event.PARTIAL_FILL): Status.PARTIALLY_FILLED,  # the stop of a pair is held, and yet works
    (Status.HELD, Event.FILL): Status.FILLED,
    (Status.HELD, Event.PENDING_CANCEL): Status.PENDING_CANCEL,
    (Status.HELD, Event.CANCELED): Status.CANCELED,
    (Status.HELD, Event.PENDING_REPLACE): Status.PENDING_REPLACE,
    (Status.HELD, Event.REPLACED): Status.REPLACED,
    (Status.HELD, Event.EXPIRED): Status.EXPIRED,
    (Status.HELD, Event.REJECTED): Status.REJECTED,
    (Status.HELD, Event.RESTATED): Status.HELD,
    (Status.PARTIALLY_FILLED, Event.PARTIAL_FILL): Status.PARTIALLY_FILLED,
    (Status.PARTIALLY_FILLED, Event.FILL): Status.FILLED,
    (Status.PARTIALLY_FILLED, Event.PENDING_CANCEL): Status.PENDING_CANCEL,
    (Status.PARTIALLY_FILLED, Event.CANCELED): Status.CANCELED,
    (Status.PARTIALLY_FILLED, Event.PENDING_REPLACE): Status.PENDING_REPLACE,
    (Status.PARTIALLY_FILLED, Event.REPLACED): Status.REPLACED,
    (Status.PARTIALLY_FILLED, Event.EXPIRED): Status.EXPIRED,
    (Status.PARTIALLY_FILLED, Event.RESTATED): Status.PARTIALLY_FILLED,
    (Status.PENDING_CANCEL, Event.PARTIAL_FILL): Status.PENDING_CANCEL,  # the fill crossed the cancel
    (Status.PENDING_CANCEL, Event.FILL): Status.FILLED,
    (Status.PENDING_CANCEL, Event.CANCELED): Status.CANCELED,
    (Status.PENDING_CANCEL, Event.EXPIRED): Status.EXPIRED,
    (Status.PENDING_CANCEL, Event.RESTATED): Status.PENDING_CANCEL,
    (Status.PENDING_REPLACE, Event.PARTIAL_FILL): Status.PENDING_REPLACE,
    (Status.PENDING_REPLACE, Event.FILL): Status.FILLED,
    (Status.PENDING_REPLACE, Event.REPLACED): Status.REPLACED,
    (Status.PENDING_REPLACE, Event.REPLACE_REJECTED): Status.NEW,  # or partially filled, or held, as it was
    (Status.PENDING_REPLACE, Event.CANCELED): Status.CANCELED,
    (Status.PENDING_REPLACE, Event.EXPIRED): Status.EXPIRED,
    (Status.PENDING_REPLACE, Event.RESTATED): Status.PENDING_REPLACE,
    (Status.FILLED, Event.REPLACE_REJECTED): Status.FILLED,  # it filled before the replacement took place
}
"""(status, event) -> status. A pair that is not here cannot happen; book.py refuses to write it."""
