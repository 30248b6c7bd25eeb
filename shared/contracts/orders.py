"""Between state, executors and the broker: actions, claims, reports, and the broker's own words as structs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec import Struct

from shared.contracts.message import Message
from shared.contracts.vocabulary import ActionKind, OrderClass, OrderType, Outcome, Queue, Side, TimeInForce


class OrderTerms(Struct, frozen=True, kw_only=True):
    """An order as we want it. qty: whole shares. Prices: dollars on the grid.

    leg_stop_price: stop of the OTO's stop-loss leg, only with order_class `oto`.
    """

    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    qty: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    leg_stop_price: Decimal | None = None


class Action(Struct, frozen=True, kw_only=True):
    """One thing to ask of the broker, once.

    id: the order's client order id for submit and replace (the new order's), else an id of its own.
    terms: the order to create (submit), or to create in place of the target (replace).
    target, target_broker_id: the order to replace or cancel, by our id and the broker's.
    symbols: of a reconciliation, those of which the broker is to say whether it trades them.
    orders: of a reconciliation, the broker's ids of orders to be read one by one, since no list showed them.
    """

    id: str
    kind: ActionKind
    queue: Queue
    terms: OrderTerms | None = None
    target: str = ""
    target_broker_id: str = ""
    symbols: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()


class ClaimRequest(Message, frozen=True, kw_only=True):
    """An executor asks whether it may perform `action` now. Repeated with the same id it gets the same answer."""

    action: str
    attempt: int
    executor: str


class ClaimReply(Struct, frozen=True, kw_only=True):
    """State's answer. lease_s: seconds from the receipt of this answer within which the request must have been sent.

    look_up_first: an earlier attempt may have reached the broker. at: state's time of granting (UTC); a report about
    this claim carries it where the broker gives no time of its own.
    """

    request: str
    granted: bool
    reason: str = ""
    action: Action | None = None
    attempt: int = 0
    lease_s: float = 0.0
    look_up_first: bool = False
    at: dt.datetime | None = None


class BrokerOrder(Struct, frozen=True, kw_only=True):
    """An order in the broker's words. status, order_class, type: as sent. qty in shares, prices in dollars."""

    broker_id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    order_class: str
    time_in_force: str
    status: str
    qty: Decimal | None
    filled_qty: Decimal
    filled_avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    submitted_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    expires_at: dt.datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    legs: tuple[BrokerOrder, ...] = ()


class BrokerFill(Struct, frozen=True, kw_only=True):
    """One execution. execution_id: unique at the broker; the key by which it is booked once."""

    execution_id: str
    broker_order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: dt.datetime


class BrokerPosition(Struct, frozen=True, kw_only=True):
    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    qty_available: Decimal | None = None
    current_price: Decimal | None = None


class BrokerAccount(Struct, frozen=True, kw_only=True):
    """Amounts in dollars."""

    account_number: str
    status: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    multiplier: Decimal = Decimal(1)
    blocked: bool = False


class OrderReport(Message, frozen=True, kw_only=True):
    """What came of one attempt at one action.

    order: the broker's order, where there is one (for a replace: the new order). http_status, code, text: the
    broker's refusal or the fault. events_seen: the highest trade-update number the broker says it has sent, where
    it numbers them (the paper exchange does).
    """

    action: str
    attempt: int
    executor: str
    outcome: Outcome
    order: BrokerOrder | None = None
    http_status: int | None = None
    code: int | None = None
    text: str = ""
    events_seen: int | None = None


class BrokerEvent(Message, frozen=True, kw_only=True):
    """One trade update. event: the broker's word. qty, price: of this execution, shares and dollars.

    seq: the broker's own number of the update, where it numbers them.
    """

    event: str
    order: BrokerOrder
    execution_id: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    seq: int | None = None


class BrokerAsset(Struct, frozen=True, kw_only=True):
    """Whether the broker trades `symbol`; one that it does not know it does not trade."""

    symbol: str
    tradable: bool


class BrokerSnapshot(Message, frozen=True, kw_only=True):
    """What the broker holds, read element by element.

    request: the reconcile action this answers. orders: open ones nested, those of the last days, and those asked for.
    positions: in stocks. others: in options, crypto and the like, each with the price of one as its current price.
    unread: stocks that the broker holds and whose position could not be read.
    dropped: elements that could not be read, with the reason. A failed list is None, which is never "none".
    events_seen: highest trade-update number sent before the first of these reads, where the broker numbers them.
    is_open: whether the broker says that the market is open; None: it did not say.
    assets: of the symbols that were asked for those that could be read.
    """

    request: str
    orders: tuple[BrokerOrder, ...] | None
    positions: tuple[BrokerPosition, ...] | None
    account: BrokerAccount | None
    fills: tuple[BrokerFill, ...] | None
    dropped: tuple[str, ...] = ()
    events_seen: int | None = None
    is_open: bool | None = None
    assets: tuple[BrokerAsset, ...] = ()
    others: tuple[BrokerPosition, ...] = ()
    unread: tuple[str, ...] = ()


class ListenerConnected(Message, frozen=True, kw_only=True):
    """A listener (re)connected to the broker's trade updates: what it missed must be reconciled. fence: its lease."""

    listener: str
    fence: int
