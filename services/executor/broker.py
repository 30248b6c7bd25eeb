"""What an executor can ask of a broker, and what may come back. Nothing here knows which broker it is.

A request never raises for a fault of the world. It ends in one of two ways, and what that means for an order is the
table in fate.py:

    Replied    an HTTP reply was read to its end, whatever it says
    Silent     no reply, or not a whole one
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from shared.contracts.orders import OrderTerms


class Fault(StrEnum):
    """Why there is no reply."""

    LATE = "late"  # not asked: the lease was over, or would have been before the rate limit let it through
    UNSENDABLE = "unsendable"  # the client library refuses to build this request
    NOT_CONNECTED = "not_connected"  # connection refused, name not resolved
    CONNECT_TIMEOUT = "connect_timeout"
    UNVERIFIED = "unverified"  # the server's certificate is not trusted: nothing was said to it
    READ_TIMEOUT = "read_timeout"
    CUT = "cut"  # the connection ended before a whole reply, or in any way not listed here


class Replied(Struct, frozen=True, kw_only=True):
    """An HTTP reply.

    body: its JSON, None where it is empty or not JSON; empty: it has no body. code, text: the broker's own code and
    message of a refusal, else the start of what was sent. events_seen: number of the broker's last trade update, where
    it counts them. remaining, reset_s: requests left on the account, and seconds until they are whole again.
    """

    status: int
    body: object = None
    empty: bool = False
    code: int | None = None
    text: str = ""
    events_seen: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


class Silent(Struct, frozen=True, kw_only=True):
    """No reply. text: the fault in the library's words, never a key."""

    fault: Fault
    text: str = ""


Answer = Replied | Silent


class Broker(Protocol):
    """The broker's requests, one HTTP request each; the lists are paged to their end.

    A list that could not be read to its end is the answer that ended it, never a shorter list.
    """

    def submit(self, terms: OrderTerms) -> Answer: ...

    def replace(self, broker_id: str, terms: OrderTerms) -> Answer:
        """A new order with the id, quantity and prices of `terms` in place of the order `broker_id`."""

    def cancel(self, broker_id: str) -> Answer: ...

    def by_client_order_id(self, client_order_id: str) -> Answer:
        """The order with this id of ours; without its legs."""

    def by_id(self, broker_id: str) -> Answer:
        """The order with its legs."""

    def open_orders(self) -> Answer:
        """All open orders, with their legs."""

    def orders_since(self, since: dt.datetime) -> Answer:
        """All orders submitted after `since` (UTC), open and closed, with their legs."""

    def fills_since(self, since: dt.datetime) -> Answer:
        """All executions after `since` (UTC)."""

    def positions(self) -> Answer: ...

    def account(self) -> Answer: ...

    def clock(self) -> Answer: ...

    def asset(self, symbol: str) -> Answer: ...
