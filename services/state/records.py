"""The ledger's rows that the pure rules do not read: actions, fills, sessions, verdicts, what is foreign."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.contracts.decisions import Figure
from shared.contracts.vocabulary import ActionKind, Queue, Side


class ActionStatus(StrEnum):
    """Where one request to the broker is. The first four are open: one open action at most in a symbol."""

    PLANNED = "planned"  # a wake-up is out, nobody claimed it
    CLAIMED = "claimed"  # an executor has it in hand; it may be sent until its lease is over
    SENT = "sent"  # a cancel or replace that the broker took; its end comes as the order's own
    UNRESOLVED = "unresolved"  # it may or may not have reached the broker
    DONE = "done"
    REFUSED = "refused"  # by the broker: nothing was created or changed
    DENIED = "denied"  # by us, at the claim: no longer wanted
    ABSENT = "absent"  # proven never to have reached the broker


OPEN_ACTIONS: Final = frozenset(
    {ActionStatus.PLANNED, ActionStatus.CLAIMED, ActionStatus.SENT, ActionStatus.UNRESOLVED}
)


class ActionRow(Struct, frozen=True, kw_only=True):
    """A row of `order_actions`.

    order_id: our id of the order that it creates (submit, replace) or ends (cancel); empty for a reconcile.
    target: the order to replace or cancel. grants: how often it was claimed: above 0 it may have reached the broker.
    request: id of the claim that was granted last. misses: look-ups that did not find it.
    """

    id: str
    kind: ActionKind
    queue: Queue
    symbol: str
    order_id: str
    target: str
    status: ActionStatus
    attempt: int
    grants: int
    executor: str
    request: str
    misses: int
    reason: str
    cause: str
    planned_at: dt.datetime
    ended_at: dt.datetime | None

    @property
    def open(self) -> bool:
        return self.status in OPEN_ACTIONS


class FillRow(Struct, frozen=True, kw_only=True):
    """A row of `fills`: one execution, booked once. qty: shares; price: dollars; at: the broker's time, UTC.

    session: of its order, so of a stop that stood over night an earlier one than that of `at`.
    """

    execution_id: str
    client_order_id: str
    broker_order_id: str
    symbol: str
    side: Side
    qty: int
    price: Decimal
    at: dt.datetime
    position_id: str
    session: dt.date


class SplitRow(Struct, frozen=True, kw_only=True):
    """A row of `splits`: `old` shares of a position became `new` ones at `at`."""

    position_id: str
    at: dt.datetime
    symbol: str
    new: int
    old: int


class SessionRow(Struct, frozen=True, kw_only=True):
    """A row of `sessions`. opening_equity: dollars, None until the broker's account was read."""

    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime
    early: bool
    previous: dt.date
    following: dt.date
    following_opens_at: dt.datetime
    opening_equity: Decimal | None


class VerdictRow(Struct, frozen=True, kw_only=True):
    """A row of `verdicts`. stage: `signals` (what the bars say), `arrival` or `due` (what the account allows)."""

    session: dt.date
    symbol: str
    at: dt.datetime
    strategy: str
    stage: str
    outcome: str
    reason: str
    figures: dict[str, Figure]
    cause: str


class ForeignItem(Struct, frozen=True, kw_only=True):
    """A row of `foreign_items`: what stands at the broker and no record of ours explains.

    kind: `shares` (name: the symbol), `order` (name: the broker's id) or `installation` (name: its prefix).
    qty: shares; for `shares` the broker's minus ours, below zero where the broker has fewer; for `order` what it has
    still to trade, below zero where it sells. price: average, or the order's, dollars.
    readings: how many snapshots in a row said the same; one alone may be stale.
    """

    kind: str
    name: str
    symbol: str
    qty: Decimal
    price: Decimal | None
    readings: int
    detail: str

    @property
    def certain(self) -> bool:
        """Two readings agree; an order or an installation is certain at once."""
        return self.kind != "shares" or self.readings >= 2


class JournalRow(Struct, frozen=True, kw_only=True):
    """A row of `journal`."""

    seq: int
    at: dt.datetime
    kind: str
    symbol: str
    order_id: str
    cause: str
    text: str
    figures: dict[str, Figure]
