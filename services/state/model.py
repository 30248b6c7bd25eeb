"""The ledger's rows as plain structs: what the pure rules of state read, and what the store keeps."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from shared.contracts.vocabulary import (
    HaltLevel,
    OrderClass,
    OrderKind,
    OrderType,
    Side,
    Status,
    StopMode,
    TimeInForce,
    TrimState,
)


class IntentStatus(StrEnum):
    """An intent changes status, it is never deleted."""

    PENDING = "pending"  # waits for its due time (entries) or its turn (trims, exits)
    WORKING = "working"  # orders of it are planned or at the broker
    DONE = "done"
    REFUSED = "refused"  # by admission, with the reason
    EXPIRED = "expired"  # ended without a fill


class Candidate(Struct, frozen=True, kw_only=True):
    """A row of `candidates`. One per (symbol, strategy); scan levels in dollars."""

    symbol: str
    strategy: str
    source: str
    session: dt.date
    active: bool
    since: dt.datetime
    expires_at: dt.datetime | None
    pivot: float | None
    stop: float | None
    r1: float | None
    r2: float | None
    sector: str
    spent: bool
    released_at: dt.datetime | None
    note: str


class EntryRow(Struct, frozen=True, kw_only=True):
    """A row of `entry_intents`: a confirmation, when it falls due, and what became of it.

    due: UTC. reference, limit, stop: dollars, filled in when it was judged. shares: what was ordered.
    """

    id: str
    symbol: str
    strategy: str
    session: dt.date
    confirmed_at: dt.datetime
    confirm_close: float
    pivot: float
    r1: float
    r2: float
    first_stop: float
    swing_low: float | None
    scan_stop: float | None
    atr_pct: float | None
    dist_pct: float | None
    sector: str
    cause: str
    due: dt.datetime
    status: IntentStatus
    reason: str = ""
    judged_at: dt.datetime | None = None
    reference: float | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    shares: int | None = None


class ExitRow(Struct, frozen=True, kw_only=True):
    """A row of `exit_intents`: a trim, a raised stop or a full exit, and what became of it.

    kind: trim, stop or exit. level: r1 or r2 for trims. price: last close at the decision, dollars. sold: shares.
    tries: limit orders of an exit that ended unfilled. market: no limit order (any more).
    """

    id: str
    symbol: str
    position_id: str
    kind: str
    at: dt.datetime
    reason: str
    cause: str
    status: IntentStatus
    level: str = ""
    fraction: float = 0.0
    price: float = 0.0
    stop: Decimal | None = None
    market: bool = False
    shares: int | None = None
    sold: int = 0
    tries: int = 0
    ended_at: dt.datetime | None = None


class Position(Struct, frozen=True, kw_only=True):
    """A row of `positions`: shares of one entry (or adopted ones), folded from fills and marks.

    position_id: the entry's client order id, or `adopted-...`. qty: shares held now. bought, sold: shares, ever.
    avg_price: of all bought shares, dollars. stop: where it should rest. pivot, r1, r2: the entry's own, for life.
    realized: dollars. unprotected_since: shares without a resting stop or working sale since then.
    """

    position_id: str
    symbol: str
    session: dt.date
    strategy: str
    qty: int
    bought: int
    sold: int
    avg_price: Decimal
    realized: Decimal
    pivot: float | None
    r1: float | None
    r2: float | None
    stop: Decimal | None
    stop_mode: StopMode
    high_water: float
    invalidations: int
    r1_state: TrimState
    r2_state: TrimState
    entered_at: dt.datetime
    last_entry_fill_at: dt.datetime
    last_exit_fill_at: dt.datetime | None
    decided_through: dt.datetime | None
    unprotected_since: dt.datetime | None
    closed_at: dt.datetime | None
    sector: str = ""
    cause: str = ""


class Order(Struct, frozen=True, kw_only=True):
    """A row of `order_ledger`: one order of ours, a stop leg of an entry included.

    parent: the entry of a leg; the replaced order of a replacement. intent: the intent it works for. cause: the
    message that led to it. broker_status: the broker's word; resting: whether by that word it protects or may fill.
    filled_value: sum of quantity x price, dollars. times: virtual (`at`), UTC. accepted_at: first seen at the broker.
    in_flight: an action on it (submit, replace, cancel) is planned, claimed or unresolved.
    """

    client_order_id: str
    broker_id: str | None
    session: dt.date
    symbol: str
    kind: OrderKind
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    order_class: OrderClass
    qty: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    leg_stop_price: Decimal | None
    status: Status
    broker_status: str
    resting: bool
    filled_qty: int
    filled_value: Decimal
    parent: str
    intent: str
    cause: str
    planned_at: dt.datetime
    accepted_at: dt.datetime | None
    first_fill_at: dt.datetime | None
    ended_at: dt.datetime | None
    expires_at: dt.datetime | None
    in_flight: str
    note: str = ""

    @property
    def remaining(self) -> int:
        return self.qty - self.filled_qty


class CancelRefused(Struct, frozen=True, kw_only=True):
    """The broker refused to cancel `order` (our id) at `at`: it may just have ended."""

    order: str
    at: dt.datetime


class SymbolBook(Struct, frozen=True, kw_only=True):
    """Everything of one symbol that planning sees.

    orders: not terminal, by client order id. exits: intents that are pending or working. last_close: dollars, of the
    last closed minute of this session or an earlier one.
    ended: the terminal orders of this position and of its entry, in the order in which they ended: planning reads from
    them what was tried and refused. An order that the broker refused is `rejected`, with the broker's words in `note`.
    cancels_refused: of orders that are still open here.
    turned_up: our ids of open orders that had been given up for absent.
    missing: shares of the position that the broker does not hold, or holds for a foreign order: it would refuse to sell
    them.
    rescaled: a split was booked and the broker's orders were read since: the stop may be lowered to fit.
    """

    symbol: str
    position: Position | None
    orders: tuple[Order, ...]
    exits: tuple[ExitRow, ...]
    halted: bool
    last_close: float | None
    missing: int = 0
    ended: tuple[Order, ...] = ()
    cancels_refused: tuple[CancelRefused, ...] = ()
    turned_up: tuple[str, ...] = ()
    rescaled: bool = False


class Market(Struct, frozen=True, kw_only=True):
    """The session as planning and admission see it. Times UTC; `now` is the time of the tick that plans."""

    now: dt.datetime
    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime
    following_opens_at: dt.datetime
    halt: HaltLevel
    conducted: bool = False

    @property
    def open(self) -> bool:
        return self.opens_at <= self.now < self.closes_at


class Account(Struct, frozen=True, kw_only=True):
    """The `account` row and today's counters. Dollars. opening_equity: at the session's opening, 0 until read."""

    session: dt.date | None
    account_number: str
    cash: Decimal
    opening_equity: Decimal
    equity: Decimal
    peak_equity: Decimal
    buying_power: Decimal
    blocked: bool
    halt: HaltLevel
    armed: bool
    stopped: str
    entry_orders: int


class PlannedOrder(Struct, frozen=True, kw_only=True):
    """An order the plan wants; the store gives it its number, so its id. replaces: our id of the order it replaces."""

    kind: OrderKind
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    qty: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    leg_stop_price: Decimal | None
    intent: str
    cause: str
    replaces: str
    why: str
    alert: bool = False


class PlannedCancel(Struct, frozen=True, kw_only=True):
    """Cancel `target`, our id of an open order. alert: a person should know, for the reason in `why`."""

    target: str
    cause: str
    why: str
    alert: bool = False


class PlannedEnd(Struct, frozen=True, kw_only=True):
    """An exit or trim intent is over: nothing more to do for it at the broker."""

    intent: str
    status: IntentStatus
    why: str


Planned = PlannedOrder | PlannedCancel | PlannedEnd
