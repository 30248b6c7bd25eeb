"""One symbol's session so far: folded from its one-minute bars at constant cost for each."""

from __future__ import annotations

import datetime as dt

from services.signals.boh import Pair
from services.signals.stops import IntradayLows
from shared.contracts.market import Bar
from shared.contracts.rules import Rules
from shared.domain.bars import BarBuilder, SpanBar


class SymbolDay:
    """What the session's bars of one symbol have said. Minutes are counted after the opening.

    volume: shares since the opening. close: last one-minute close, dollars. bar_end: end of the last one-minute bar.
    """

    __slots__ = ("_before", "_first", "_halts", "_lows", "_second", "_short", "_ten", "bar_end", "close", "volume")

    def __init__(self, rules: Rules, session_minutes: int) -> None:
        self._ten = BarBuilder(rules.breakout.minutes, session_minutes)
        self._short = BarBuilder(rules.stop.intraday_minutes, session_minutes)
        self._lows = IntradayLows(rules.stop)
        self._before: float | None = None
        self._first: SpanBar | None = None
        self._second: SpanBar | None = None
        self._halts: list[tuple[dt.datetime, bool]] = []
        self.volume = 0.0
        self.close: float | None = None
        self.bar_end: int | None = None

    def add(self, minute: int, bar: Bar) -> None:
        """Take the bar that starts `minute` minutes after the opening. Raises ValueError for one out of order."""
        open_, high, low, close, volume = bar.open, bar.high, bar.low, bar.close, bar.volume
        over = self._ten.add(minute, open_, high, low, close, volume)
        if over is not None:
            self._closed(over)
        over = self._short.add(minute, open_, high, low, close, volume)
        if over is not None:
            self._lows.add(over)
        self.volume += volume
        self.close = close
        self.bar_end = minute + 1

    def close_through(self, minute: int) -> None:
        """Close the bars whose spans are over `minute` minutes after the opening."""
        over = self._ten.close_through(minute)
        if over is not None:
            self._closed(over)
        over = self._short.close_through(minute)
        if over is not None:
            self._lows.add(over)

    def pair(self, previous_close: float | None) -> Pair:
        """The two most recent closed ten-minute bars, and the close before them."""
        before = self._before if self._before is not None else previous_close
        return Pair(before, self._first, self._second)

    def closed_at(self, minute: int) -> float | None:
        """Close of the ten-minute bar that closed exactly then, dollars; None where none did."""
        return self._second.close if self._second is not None and self._second.end == minute else None

    def intraday_stop(self, price: float) -> float | None:
        return self._lows.stop(price)

    def short_bars_from(self, minute: float) -> int:
        return self._lows.started_from(minute)

    def halt(self, at: dt.datetime, halted: bool) -> None:
        """Trading stopped or resumed at `at`, UTC."""
        self._halts.append((at, halted))

    def is_halted(self, at: dt.datetime) -> bool:
        """By the last word up to `at`, whatever came in when."""
        spoken = [word for word in self._halts if word[0] <= at]
        return max(spoken, key=lambda word: word[0])[1] if spoken else False

    def _closed(self, bar: SpanBar) -> None:
        if self._first is not None:
            self._before = self._first.close
        self._first, self._second = self._second, bar
