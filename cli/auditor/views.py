"""What the auditor looks at: the broker's side and the ledger as plain rows, without any meaning of the engine's.

Both are read in ways of its own (broker_side.py, ledger_side.py). Times are UTC, quantities shares, prices dollars.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, field

Stamp = dt.datetime
NOTHING = Decimal(0)


class Finding(Struct, frozen=True, order=True):
    """Something is off. invariant: its name in the catalogue of faults, A1 to A13. subject: an id or a symbol."""

    invariant: str
    subject: str
    text: str


class Sent(Struct, frozen=True, kw_only=True):
    """One order as the broker has it. qty None: an order over an amount.

    number: order of creation at the broker. legs, parent, replaces, replaced_by: the broker's ids.
    """

    id: str
    number: int
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    order_class: str
    status: str
    qty: Decimal | None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    filled_qty: Decimal = NOTHING
    parent: str | None = None
    legs: tuple[str, ...] = ()
    replaces: str | None = None
    replaced_by: str | None = None
    created_at: Stamp
    filled_at: Stamp | None = None
    canceled_at: Stamp | None = None
    expired_at: Stamp | None = None
    failed_at: Stamp | None = None
    replaced_at: Stamp | None = None

    @property
    def ended_at(self) -> Stamp | None:
        """When its life was over; None: it is open."""
        ends = (self.filled_at, self.canceled_at, self.expired_at, self.failed_at, self.replaced_at)
        return min((end for end in ends if end is not None), default=None)

    @property
    def is_open(self) -> bool:
        return self.status not in BROKER_ENDED

    @property
    def remaining(self) -> Decimal:
        return NOTHING if self.qty is None else self.qty - self.filled_qty


BROKER_ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})


class Executed(Struct, frozen=True, kw_only=True):
    """One execution. number: order of execution at the broker."""

    id: str
    number: int
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: Stamp


class Held(Struct, frozen=True, kw_only=True):
    symbol: str
    qty: Decimal
    avg_price: Decimal


class BrokerView(Struct, frozen=True, kw_only=True):
    """The broker's whole history, orders and executions oldest first.

    opening_cash: None where it is not known (a broker that is also used otherwise): then cash is not added up.
    begins_at: history before is not in it; None: it is whole.
    """

    orders: tuple[Sent, ...]
    executions: tuple[Executed, ...]
    positions: tuple[Held, ...]
    cash: Decimal
    opening_cash: Decimal | None = None
    begins_at: Stamp | None = None


class OrderRow(Struct, frozen=True, kw_only=True):
    """A row of the ledger's orders."""

    client_order_id: str
    broker_id: str | None
    session: str
    symbol: str
    kind: str
    side: str
    type: str
    time_in_force: str
    order_class: str
    qty: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    leg_stop_price: Decimal | None
    status: str
    resting: int
    filled_qty: int
    filled_value: Decimal
    parent: str
    intent: str
    cause: str
    planned_at: Stamp
    ended_at: Stamp | None
    in_flight: str
    note: str


class FillRow(Struct, frozen=True, kw_only=True):
    execution_id: str
    client_order_id: str
    broker_order_id: str
    symbol: str
    side: str
    qty: int
    price: Decimal
    at: Stamp
    position_id: str


class PositionRow(Struct, frozen=True, kw_only=True):
    position_id: str
    symbol: str
    qty: int
    bought: int
    sold: int
    avg_price: Decimal
    stop: Decimal | None
    entered_at: Stamp
    closed_at: Stamp | None
    cause: str


class EntryIntentRow(Struct, frozen=True, kw_only=True):
    id: str
    symbol: str
    strategy: str
    session: str
    confirmed_at: Stamp
    cause: str
    due: Stamp
    status: str
    reason: str
    judged_at: Stamp | None
    shares: int | None


class ExitIntentRow(Struct, frozen=True, kw_only=True):
    id: str
    symbol: str
    position_id: str
    kind: str
    at: Stamp
    cause: str
    status: str


class VerdictRow(Struct, frozen=True, kw_only=True):
    session: str
    symbol: str
    at: Stamp
    stage: str
    outcome: str
    reason: str
    cause: str


class CandidateRow(Struct, frozen=True, kw_only=True):
    symbol: str
    strategy: str
    session: str
    active: int
    since: Stamp
    expires_at: Stamp | None


class SessionRow(Struct, frozen=True, kw_only=True):
    session: str
    opens_at: Stamp
    closes_at: Stamp
    opening_equity: Decimal | None


class ActionRow(Struct, frozen=True, kw_only=True):
    id: str
    kind: str
    symbol: str
    order_id: str
    target: str
    status: str
    grants: int


class JournalRow(Struct, frozen=True, kw_only=True):
    seq: int
    at: Stamp
    kind: str
    symbol: str
    order_id: str
    cause: str
    text: str


class ForeignRow(Struct, frozen=True, kw_only=True):
    kind: str
    name: str
    symbol: str
    qty: Decimal


class LedgerView(Struct, frozen=True, kw_only=True):
    """The ledger's tables. What changes at every step (orders, fills, positions) may be given alone.

    decided: partition to the end of the last minute whose decisions are in. notes: the single values of `meta`.
    """

    installation: str
    cash: Decimal
    orders: tuple[OrderRow, ...]
    fills: tuple[FillRow, ...]
    positions: tuple[PositionRow, ...]
    entries: tuple[EntryIntentRow, ...] = ()
    exits: tuple[ExitIntentRow, ...] = ()
    verdicts: tuple[VerdictRow, ...] = ()
    candidates: tuple[CandidateRow, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    actions: tuple[ActionRow, ...] = ()
    journal: tuple[JournalRow, ...] = ()
    foreign: tuple[ForeignRow, ...] = ()
    decided: Mapping[int, Stamp] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of those that are rows."""
        return tuple(name for name in self.__struct_fields__ if isinstance(getattr(self, name), tuple))


class Terms(Struct, frozen=True, kw_only=True):
    """What is allowed. Fractions of the session's opening equity; seconds.

    gap_s: how long shares may be without cover. pending_s: how long shares of an entry that is still filling may be.
    span_minutes: length of the bars that confirm. bars: ids of the minutes that were published; None: not known.
    only_we_sell: nobody else sells shares of ours; if somebody does, what was asked for before it was seen is refused.
    only_we_cancel: nobody else cancels orders at this broker, so a foreign order that ended was ended by us.
    """

    max_positions: int = 5
    max_orders: int = 20
    per_symbol: Decimal = Decimal("0.10")
    gross: Decimal = Decimal(1)
    valid_for_s: float = 300.0
    last_before_close_s: float = 600.0
    gap_s: float = 0.0
    pending_s: float = 60.0
    span_minutes: int = 10
    bars: frozenset[str] | None = None
    only_we_cancel: bool = False
    only_we_sell: bool = True
