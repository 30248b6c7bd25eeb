"""What the page shows of the ledger, as plain structs. Dollars; shares; times UTC."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec import Struct

from shared.contracts.decisions import Figure
from shared.contracts.vocabulary import HaltLevel, OrderKind, Side, StopMode, TrimState


class Held(Struct, frozen=True, kw_only=True):
    """A position. first_stop: where the stop lay at the entry, None for adopted shares. resting: shares for which a
    stop of ours rests at the broker. unprotected_since: some shares have no cover since then."""

    position_id: str
    symbol: str
    qty: int
    bought: int
    avg_price: Decimal
    realized: Decimal
    pivot: float | None
    r1: float | None
    r2: float | None
    stop: Decimal | None
    stop_mode: StopMode
    r1_state: TrimState
    r2_state: TrimState
    entered_at: dt.datetime
    unprotected_since: dt.datetime | None
    first_stop: Decimal | None
    resting: int


class Closed(Struct, frozen=True, kw_only=True):
    """A position that ended in this session."""

    symbol: str
    bought: int
    avg_price: Decimal
    realized: Decimal
    closed_at: dt.datetime


class Working(Struct, frozen=True, kw_only=True):
    """An order that is not over."""

    client_order_id: str
    symbol: str
    kind: OrderKind
    side: Side
    type: str
    qty: int
    filled_qty: int
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    resting: bool
    planned_at: dt.datetime

    @property
    def remaining(self) -> int:
        return self.qty - self.filled_qty


class Watched(Struct, frozen=True, kw_only=True):
    """A candidate with the latest word on it. at, reason: None before the first verdict. pivot: as that verdict saw it,
    else of the scan row. chance_at, chance: the latest word on a confirmation of it, None: there was none today."""

    symbol: str
    strategy: str
    source: str
    active: bool
    spent: bool
    sector: str
    note: str
    at: dt.datetime | None
    reason: str | None
    pivot: float | None
    figures: dict[str, Figure]
    chance_at: dt.datetime | None = None
    chance: str | None = None


class Money(Struct, frozen=True, kw_only=True):
    """The account by the ledger's own mark. stopped: why no entries are sent any more, empty: they are."""

    account_number: str
    cash: Decimal
    equity: Decimal
    opening_equity: Decimal
    peak_equity: Decimal
    blocked: bool
    halt: HaltLevel
    armed: bool
    stopped: str
    entry_orders: int

    @property
    def exposure(self) -> Decimal:
        return self.equity - self.cash


class LedgerView(Struct, frozen=True, kw_only=True):
    """The ledger of one instant. now: trading time by the ledger, None before the first. journal_end: its last row."""

    session: dt.date | None
    opens_at: dt.datetime | None
    closes_at: dt.datetime | None
    now: dt.datetime | None
    installation: str
    money: Money | None
    held: tuple[Held, ...]
    closed: tuple[Closed, ...]
    orders: tuple[Working, ...]
    unresolved: tuple[str, ...]
    candidates: tuple[Watched, ...]
    unprotected_share_seconds: float
    foreign: tuple[str, ...]
    journal_end: int

    @property
    def symbols(self) -> list[str]:
        """Every symbol that has something to be looked at, sorted."""
        return sorted({row.symbol for rows in (self.held, self.closed, self.orders, self.candidates) for row in rows})


class JournalLine(Struct, frozen=True, kw_only=True):
    seq: int
    at: dt.datetime
    kind: str
    symbol: str
    order_id: str
    text: str


class JournalPage(Struct, frozen=True, kw_only=True):
    """Newest first. matches: rows that the search finds in all."""

    lines: tuple[JournalLine, ...]
    matches: int


class Breakout(Struct, frozen=True, kw_only=True):
    """A confirmation: starts of the bar that broke the pivot and the one that held, and what became of it."""

    confirmed_at: dt.datetime
    break_start: dt.datetime
    hold_start: dt.datetime
    break_close: float
    hold_close: float
    pivot: float
    r1: float
    r2: float
    outcome: str


class Traded(Struct, frozen=True, kw_only=True):
    """An execution, with the reason of its order."""

    at: dt.datetime
    side: Side
    kind: OrderKind
    qty: int
    price: Decimal
    reason: str


class StopMove(Struct, frozen=True, kw_only=True):
    """The stop lies at `stop` from `at` on; None: there is none any more."""

    at: dt.datetime
    stop: Decimal | None
    reason: str


class Story(Struct, frozen=True, kw_only=True):
    """One symbol's session, for its chart. now: trading time by the ledger."""

    symbol: str
    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime
    now: dt.datetime
    pivot: float | None
    r1: float | None
    r2: float | None
    breakouts: tuple[Breakout, ...]
    traded: tuple[Traded, ...]
    stops: tuple[StopMove, ...]
