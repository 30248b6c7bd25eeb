"""One look at market and account together: what a person, or a report, sees of a cycle. Nothing decides on it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec import Struct

from shared.contracts.vocabulary import GlobalRegime, Phase, StopMode, SymbolRegime


class MarketRegimeContext(Struct, frozen=True, kw_only=True):
    """The market's regime before this session. Figures are None where there are too few bars."""

    state: GlobalRegime
    slope: float | None
    average_range: float | None
    adverse_count: int | None
    bars: int


class CandidateContext(Struct, frozen=True, kw_only=True):
    """A symbol that may be bought. regime: at `price`, its last 10-minute close, else the last daily one; dollars.

    dist_pct, avwap_slope: percent. verdict: the latest one's reason, empty before the first.
    """

    symbol: str
    strategy: str
    regime: SymbolRegime | None
    price: float | None
    pivot: float | None
    dist_pct: float | None
    avwap_slope: float | None
    spent: bool
    verdict: str


class PositionContext(Struct, frozen=True, kw_only=True):
    """A position held. Dollars."""

    symbol: str
    qty: int
    avg_price: Decimal
    stop: Decimal | None
    stop_mode: StopMode
    r1: float | None
    r2: float | None


class MarketContext(Struct, frozen=True, kw_only=True):
    """The market and the account at `at` (UTC), in `session`."""

    at: dt.datetime
    session: dt.date
    phase: Phase
    regime: MarketRegimeContext
    candidates: tuple[CandidateContext, ...]
    positions: tuple[PositionContext, ...]
    equity: Decimal
    cash: Decimal
