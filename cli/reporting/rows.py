"""What a report is made of: rows of the ledger and minutes of the market, all read before anything is worked out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from services.state.model import EntryRow, ExitRow, Order, Position
from services.state.records import FillRow, SessionRow, SplitRow, VerdictRow


class Minute(Struct, frozen=True, array_like=True, gc=False):
    """A one-minute bar. start: UTC. Prices in dollars."""

    start: dt.datetime
    open: float
    high: float
    low: float
    close: float


class Recorded(Struct, frozen=True, kw_only=True):
    """One symbol's session. swing_low: the daily one that its first stop hangs on, None where there is none."""

    minutes: tuple[Minute, ...]
    swing_low: float | None


class Rows(Struct, frozen=True, kw_only=True):
    """Rows of the ledger for the sessions `sessions`, oldest first, at least one.

    positions: those that had shares in these sessions. fills, splits: of these positions, from their first one on, up
    to the last session's end; in the order in which state folds them. unexplained: sales that no position had shares
    for. orders: of the symbols of these positions, those that may have stood in these sessions, and the entries of the
    positions. entries, exits: intents by their id. refused: verdicts that refused a confirmation. closings: session to
    equity at its close, dollars. now: how far the ledger goes, UTC.
    """

    sessions: tuple[SessionRow, ...]
    positions: tuple[Position, ...]
    fills: tuple[FillRow, ...]
    splits: tuple[SplitRow, ...]
    unexplained: tuple[FillRow, ...]
    orders: Mapping[str, Order]
    entries: Mapping[str, EntryRow]
    exits: Mapping[str, ExitRow]
    refused: tuple[VerdictRow, ...]
    closings: Mapping[dt.date, Decimal]
    now: dt.datetime

    @property
    def begins_at(self) -> dt.datetime:
        return self.sessions[0].opens_at

    @property
    def ends_at(self) -> dt.datetime:
        """The last close, or now where that session is not over."""
        return min(self.sessions[-1].closes_at, self.now)


class Market(Struct, frozen=True, kw_only=True):
    """Recorded minutes by session and symbol. source: where they are from. missing: session to why there are none."""

    source: str
    recorded: Mapping[tuple[dt.date, str], Recorded]
    missing: Mapping[dt.date, str]
