"""The session's market as it comes over the bus: last prices, 10-minute candles, equity over the day."""

from __future__ import annotations

import copy
import datetime as dt
from decimal import Decimal
from typing import Final

from msgspec import Struct

from shared.contracts.market import Bars
from shared.contracts.message import Message
from shared.contracts.views import AccountChanged
from shared.domain import calendar
from shared.domain.bars import BarBuilder, SpanBar, minutes_after
from shared.domain.calendar import Session

SPAN: Final = 10
POINTS_MAX: Final = 2_000


class Price(Struct, frozen=True):
    """Close of a symbol's last one-minute bar, dollars; at: that minute's end, UTC."""

    close: float
    at: dt.datetime


class Point(Struct, frozen=True):
    """The account at one instant. exposure: dollars in shares."""

    at: dt.datetime
    equity: Decimal
    exposure: Decimal


class Tape:
    """Folds one session; a minute of a later one starts it anew, one of an earlier one is passed over."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.prices: dict[str, Price] = {}
        self.points: list[Point] = []
        self.version = 0
        self._done: dict[str, list[SpanBar]] = {}
        self._builders: dict[str, BarBuilder] = {}

    def take(self, message: Message) -> None:
        """Fold one message; those of other kinds say nothing here."""
        match message:
            case Bars():
                self._bars(message)
            case AccountChanged():
                self._account(message)
            case _:
                return
        self.version += 1

    def candles(self, symbol: str) -> list[SpanBar]:
        """10-minute bars of `symbol`, oldest first, the last one perhaps unfinished."""
        builder = self._builders.get(symbol)
        if builder is None or self.session is None:
            return []
        unfinished = copy.copy(builder).close_through(self.session.minutes)  # a copy, since taking ends it
        return [*self._done[symbol], *([unfinished] if unfinished is not None else [])]

    def _bars(self, bars: Bars) -> None:
        session = self.session
        if session is None or not session.is_open(bars.minute):
            session = calendar.session_at(bars.minute)
            if session is None or (self.session is not None and session.session < self.session.session):
                return
            self._begin(session)
        minute = minutes_after(session.opens_at, bars.minute)
        for bar in bars.rows:
            builder = self._builders.get(bar.symbol)
            if builder is None:
                builder = self._builders[bar.symbol] = BarBuilder(SPAN, session.minutes)
                self._done[bar.symbol] = []
            known = self.prices.get(bar.symbol)
            if known is not None and bars.at <= known.at:
                continue  # published again on a new life of the bus
            over = builder.add(minute, bar.open, bar.high, bar.low, bar.close, bar.volume)
            if over is not None:
                self._done[bar.symbol].append(over)
            self.prices[bar.symbol] = Price(bar.close, bars.at)

    def _account(self, account: AccountChanged) -> None:
        if self.session is None or account.session > self.session.session:
            self._begin(calendar.session(account.session))
        assert self.session is not None
        if account.session != self.session.session or (self.points and account.at < self.points[-1].at):
            return
        if self.points and self.points[-1].at == account.at:
            self.points.pop()
        self.points.append(Point(account.at, account.equity, account.equity - account.cash))
        if len(self.points) > POINTS_MAX:
            del self.points[1:-1:2]  # every other one: the curve keeps its shape and its ends

    def _begin(self, session: Session) -> None:
        self.session = session
        self.prices = {}
        self.points = []
        self._done = {}
        self._builders = {}
