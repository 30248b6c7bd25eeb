"""What signals decided on one minute of one partition."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec import Struct

from shared.contracts.message import Message
from shared.contracts.vocabulary import Reason, StopMode

Figure = float | str | None


class Verdict(Struct, frozen=True, kw_only=True):
    """Why one candidate was or was not confirmed at a closed 10-minute bar.

    reason: `confirmed`, or the first refusal in the order of docs/strategy.md section 5.
    spends: the confirmation is used up, this symbol will not be bought this session.
    figures: what the rule saw, by name; dollars, percent or ISO times as the name says.
    """

    symbol: str
    strategy: str
    reason: Reason
    spends: bool
    figures: dict[str, Figure]

    @property
    def outcome(self) -> str:
        return "confirmed" if self.reason is Reason.CONFIRMED else "refused"


class EntryIntent(Struct, frozen=True, kw_only=True):
    """A confirmed breakout-and-hold: buy `symbol`, if the account allows it when it falls due.

    pivot, r1, r2, confirm_close, first_stop, swing_low: dollars. atr_pct, dist_pct: percent, None if unknown.
    swing_low: the daily swing low from which state recomputes the first stop at the limit price; scan_stop: the
    stop of the scan row instead, with `levels.pivot = scan`. break_start, hold_start: starts of the two bars, UTC.
    cause: id of the `Bars` message that closed the hold bar.
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
    break_start: dt.datetime
    hold_start: dt.datetime
    cause: str


class TrimIntent(Struct, frozen=True, kw_only=True):
    """Sell floor(`fraction` x shares held when it is worked) at a limit near `price` (last close, dollars)."""

    id: str
    symbol: str
    level: str  # "r1" or "r2"
    fraction: float
    price: float
    cause: str


class StopIntent(Struct, frozen=True, kw_only=True):
    """Raise the stop to `stop` dollars (already on the grid). basis: the rule that gave it."""

    id: str
    symbol: str
    stop: Decimal
    basis: str
    cause: str


class ExitIntent(Struct, frozen=True, kw_only=True):
    """Sell all. price: last close, dollars. market: at once, without a limit."""

    id: str
    symbol: str
    reason: str
    price: float
    market: bool
    cause: str


class Mark(Struct, frozen=True, kw_only=True):
    """What must outlive the night about a position: taken over into the ledger as it stands.

    high_water: highest one-minute close since the entry, dollars. invalidations: 10-minute closes below the pivot in
    a row. r1_marked, r2_marked: the level was reached with one share left, so it is done without a sale.
    """

    symbol: str
    position_id: str
    high_water: float
    invalidations: int
    stop_mode: StopMode
    last_close: float
    r1_marked: bool = False
    r2_marked: bool = False


class Decided(Message, frozen=True, kw_only=True):
    """Everything decided on the minute that ended at `minute` (UTC) for one partition; state takes it once.

    fence: the lease's fencing number; the highest wins, then the first.
    """

    partition: int
    minute: dt.datetime
    session: dt.date
    fence: int
    verdicts: tuple[Verdict, ...] = ()
    entries: tuple[EntryIntent, ...] = ()
    exits: tuple[ExitIntent, ...] = ()
    trims: tuple[TrimIntent, ...] = ()
    stops: tuple[StopIntent, ...] = ()
    marks: tuple[Mark, ...] = ()
