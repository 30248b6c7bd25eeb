"""What state tells the others about its ledger."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec import Struct

from shared.contracts.message import Message
from shared.contracts.vocabulary import HaltLevel, StopMode, TrimState


class ScanLevels(Struct, frozen=True, kw_only=True):
    """Levels of a scan row, dollars; used with `levels.pivot = scan`, else shown only."""

    pivot: float
    stop: float
    r1: float
    r2: float


class CandidateChanged(Message, frozen=True, kw_only=True):
    """A symbol that may be bought this session, or no longer may (`active` false).

    since: it counts from here (UTC); earlier bars feed it but confirm nothing. spent: its confirmation is used up.
    released_at: its last confirmation was refused for a reason that spends nothing, at this time (UTC).
    """

    symbol: str
    strategy: str
    source: str
    session: dt.date
    active: bool
    since: dt.datetime
    expires_at: dt.datetime | None = None
    scan: ScanLevels | None = None
    sector: str = ""
    spent: bool = False
    released_at: dt.datetime | None = None
    note: str = ""


class PositionChanged(Message, frozen=True, kw_only=True):
    """A position as the ledger has it. qty 0: closed.

    avg_price, stop: dollars. pivot, r1, r2: the entry's own levels, dollars; None for adopted shares. stop: where it
    should rest; stop_resting: a stop of ours rests at the broker for it. high_water, invalidations, stop_mode, r1,
    r2_state: as of `decided_through` (UTC, end of the last minute whose decisions are in); signals folds later bars
    on top. entered_at: first fill, UTC.
    """

    symbol: str
    position_id: str
    session: dt.date
    strategy: str
    qty: int
    avg_price: Decimal
    pivot: float | None
    r1: float | None
    r2: float | None
    stop: Decimal | None
    stop_resting: bool
    stop_mode: StopMode
    high_water: float
    invalidations: int
    r1_state: TrimState
    r2_state: TrimState
    entered_at: dt.datetime
    decided_through: dt.datetime | None


class PartitionDecided(Message, frozen=True, kw_only=True):
    """State has taken the decisions of `partition` up to the minute ending at `through` (UTC)."""

    partition: int
    through: dt.datetime


class AccountChanged(Message, frozen=True, kw_only=True):
    """The account by the ledger's own mark, in dollars. opening_equity: at the session's opening, 0 until read."""

    session: dt.date
    cash: Decimal
    equity: Decimal
    opening_equity: Decimal
    peak_equity: Decimal
    halt: HaltLevel
    armed: bool
    open_positions: int
    entry_orders: int
    unprotected_share_seconds: float = 0.0


View = CandidateChanged | PositionChanged | AccountChanged
