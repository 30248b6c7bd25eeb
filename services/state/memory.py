"""What state remembers of the market: last closes, closed 10-minute bars, halts, daily closes, the session.

Facts of the streams `bars` and `daily`, not of the ledger: after a restart they are read again from the session's
start, and nothing here has an effect of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

from shared.contracts.market import BarRevised, Bars, DailyHistory, SessionOpened, SymbolHalted
from shared.contracts.message import Message
from shared.domain.bars import MINUTE, BarBuilder, ends_a_span, minutes_after

REMEMBERED_DAYS: Final = 130
"""Daily closes kept per symbol: twice the longest window of section 6, so that gaps leave enough."""


class Memory:
    """span: length in minutes of the bars that confirm a breakout."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._minutes = 0
        self._builders: dict[int, dict[str, BarBuilder]] = {}
        self._spans: dict[str, list[tuple[dt.datetime, float]]] = {}
        self._closes: dict[str, float] = {}
        self._traded_at: dict[str, dt.datetime] = {}
        self._daily: dict[str, tuple[tuple[dt.date, float], ...]] = {}
        self._halted: set[str] = set()
        self._taken: dict[int, tuple[dt.datetime, int]] = {}
        self._followed: frozenset[str] = frozenset()
        self.session: SessionOpened | None = None
        self.feed_at: dt.datetime | None = None
        """End of the last minute in which any followed symbol had a bar."""

    def follow(self, symbols: Iterable[str]) -> None:
        """The symbols whose 10-minute bars are built and whose silence counts."""
        self._followed = frozenset(symbols)

    def take(self, message: Message) -> bool:
        """Remember what `message` says; False where it says nothing to remember."""
        match message:
            case Bars():
                self._on_bars(message)
            case SymbolHalted():
                (self._halted.add if message.halted else self._halted.discard)(message.symbol)
            case DailyHistory():
                self._daily[message.symbol] = tuple((bar.session, bar.close) for bar in message.bars[-REMEMBERED_DAYS:])
            case SessionOpened():
                self._on_session(message)
            case BarRevised():
                pass  # rewrites no past decision; the next minute's bar is the next reference
            case _:
                return False
        return True

    def reaches(self, decided: Mapping[int, dt.datetime]) -> bool:
        """Whether the bars of every partition are here up to the end of its last minute in `decided`."""
        if self.session is None:
            return not decided
        opens_at = self.session.opens_at
        return all(
            through <= opens_at or (partition in self._taken and self._taken[partition][0] + MINUTE >= through)
            for partition, through in decided.items()
        )

    def last_close(self, symbol: str) -> float | None:
        """Close of the symbol's last closed one-minute bar, of this session or an earlier one, dollars."""
        return self._closes.get(symbol)

    def last_daily_close(self, symbol: str) -> float | None:
        daily = self._daily.get(symbol)
        return daily[-1][1] if daily else None

    def traded_at(self, symbol: str) -> dt.datetime | None:
        """End of the symbol's last one-minute bar of this session."""
        return self._traded_at.get(symbol)

    def halted(self, symbol: str) -> bool:
        return symbol in self._halted

    def spans_since(self, symbol: str, since: dt.datetime) -> tuple[float, ...]:
        """Closes of the 10-minute bars of this session that closed after `since`, oldest first."""
        return tuple(close for end, close in self._spans.get(symbol, ()) if end > since)

    def daily_closes(self, symbol: str) -> tuple[tuple[dt.date, float], ...]:
        """(session, close) of completed sessions, oldest first; empty where no history came."""
        return self._daily.get(symbol, ())

    def _on_session(self, opened: SessionOpened) -> None:
        if self.session is not None and opened.session <= self.session.session:
            return
        self.session = opened
        self._minutes = (opened.closes_at - opened.opens_at) // MINUTE
        self._taken.clear()
        self._builders.clear()
        self._spans.clear()
        self._traded_at.clear()
        self._halted.clear()
        self.feed_at = None

    def _on_bars(self, bars: Bars) -> None:
        if self.session is None or not self.session.opens_at <= bars.minute < self.session.closes_at:
            return
        if (bars.minute, bars.part) <= self._taken.get(bars.partition, (self.session.opens_at, -1)):
            return  # a write that was repeated
        self._taken[bars.partition] = (bars.minute, bars.part)
        closes = {row.symbol: row.close for row in bars.rows}
        self._closes.update(closes)
        followed = self._followed & closes.keys()
        builders = self._builders.setdefault(bars.partition, {})
        minute = minutes_after(self.session.opens_at, bars.minute)
        for symbol in followed:
            self._traded_at[symbol] = bars.at
            builder = builders.get(symbol)
            if builder is None:
                builder = builders[symbol] = BarBuilder(self._span, self._minutes)
            close = closes[symbol]  # of the longer bars only the close is ever asked for
            over = builder.add(minute, close, close, close, close, 0.0)
            if over is not None:
                self._keep(symbol, over.end, over.close)
        if followed:
            self.feed_at = bars.at if self.feed_at is None else max(self.feed_at, bars.at)
        if bars.part == bars.parts - 1 and ends_a_span(minute + 1, self._span, self._minutes):
            for symbol, builder in builders.items():
                over = builder.close_through(minute + 1)
                if over is not None:
                    self._keep(symbol, over.end, over.close)

    def _keep(self, symbol: str, end: int, close: float) -> None:
        assert self.session is not None
        self._spans.setdefault(symbol, []).append((self.session.opens_at + end * MINUTE, close))
