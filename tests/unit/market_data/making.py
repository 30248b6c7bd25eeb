"""Short ways to say what the feed says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from services.market_data.source import Day, Halt, History, Revision, Row
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.market import Bar, DailyBar
from shared.contracts.views import CandidateChanged
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

DAY = calendar.session(dt.date(2015, 2, 11))  # 14:30 to 21:00 UTC
HALF_DAY = calendar.session(dt.date(2014, 11, 28))  # 14:30 to 18:00 UTC


def at(minute: int, day: Session = DAY) -> dt.datetime:
    """The instant `minute` minutes after the opening."""
    return day.opens_at + minute * MINUTE


def bar(symbol: str = "AAPL", price: float = 100.0, volume: float = 1000.0, **figures: float) -> Bar:
    """A bar at one price, but for what is named."""
    return Bar(
        symbol,
        figures.get("open", price),
        figures.get("high", max(price, *figures.values()) if figures else price),
        figures.get("low", min(price, *figures.values()) if figures else price),
        figures.get("close", price),
        volume,
    )


def row(minute: int, symbol: str = "AAPL", price: float = 100.0, volume: float = 1000.0, **figures: float) -> Row:
    return Row(at(minute), bar(symbol, price, volume, **figures))


def tick(phase: TickPhase, minute: int = 0, day: Session = DAY) -> Tick:
    """The tick at the minute's end; minute 0 is the opening."""
    when = at(minute, day)
    return Tick(id=f"tick-{when:%y%m%dT%H%M}-{phase}", at=when, session=day.session, phase=phase)


def candidate(symbol: str, *, active: bool = True, minute: int = 0) -> CandidateChanged:
    return CandidateChanged(
        id=f"candidate-{symbol}-{minute}-{active}",
        at=at(minute),
        symbol=symbol,
        strategy="boh",
        source="watchlist",
        session=DAY.session,
        active=active,
        since=at(minute),
    )


class Shelf:
    """A source that has what it was given."""

    def __init__(
        self,
        rows: Sequence[Row] = (),
        *,
        symbols: Collection[str] = ("AAPL", "SPY"),
        closes: Mapping[str, float] | None = None,
        revisions: Sequence[Revision] = (),
        halts: Sequence[Halt] = (),
    ) -> None:
        self._rows = rows
        self._symbols = frozenset(symbols)
        self._closes = closes or {}
        self._revisions = tuple(revisions)
        self._halts = tuple(halts)

    def universe(self) -> frozenset[str]:
        return self._symbols

    def day(self, session: Session, symbols: Collection[str] | None) -> Day:
        wanted = [row for row in self._rows if symbols is None or row.bar.symbol in symbols]
        return Day(tuple(wanted), self._revisions, self._halts)

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        previous = calendar.previous(session.session).session
        return {
            symbol: History((DailyBar(previous, close, close, close, close, 390_000.0),), (1000.0, 2000.0), 20)
            for symbol, close in self._closes.items()
            if symbol in symbols
        }
