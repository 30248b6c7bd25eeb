"""What the data routes tell of the market: the bars that have traded so far, never one of the future."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from shared.contracts.market import Bar

MINUTE: Final = dt.timedelta(minutes=1)


class TimedBar(Struct, frozen=True):
    """A bar with its start (UTC). Prices in dollars, volume in shares."""

    start: dt.datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


class History(Protocol):
    """Bars of the past from somewhere: a file, or what this process saw."""

    def minutes(self, symbol: str, start: dt.datetime, end: dt.datetime) -> Sequence[TimedBar]:
        """One-minute bars that start in [start, end], oldest first."""

    def days(self, symbol: str, start: dt.datetime, end: dt.datetime) -> Sequence[TimedBar]:
        """Daily bars whose start, midnight New York, lies in [start, end], oldest first; completed sessions only."""


class NoHistory:
    """There is none: the engine reads its history elsewhere."""

    def minutes(self, symbol: str, start: dt.datetime, end: dt.datetime) -> Sequence[TimedBar]:
        return ()

    def days(self, symbol: str, start: dt.datetime, end: dt.datetime) -> Sequence[TimedBar]:
        return ()


class SymbolDay(Struct):
    """One symbol's session so far. day: its minutes as one bar; before: the session before it, if known."""

    minute: TimedBar
    day: TimedBar
    before: TimedBar | None = None


class Market:
    """The last minute and the day so far of every symbol, and the past before them."""

    def __init__(self, history: History | None = None) -> None:
        self.history: History = history or NoHistory()
        self._days: dict[str, SymbolDay] = {}
        self._session: dt.date | None = None

    def take(self, session: dt.date, midnight: dt.datetime, minute: dt.datetime, rows: Iterable[Bar]) -> None:
        """The bars of `minute` of `session`; midnight: New York's of that day, as UTC."""
        if session != self._session:
            self._session = session
            self._days = {symbol: _night(day) for symbol, day in self._days.items()}
        for bar in rows:
            latest = TimedBar(minute, bar.open, bar.high, bar.low, bar.close, bar.volume)
            known = self._days.get(bar.symbol)
            if known is not None and known.minute.start >= minute:
                continue  # seen before: the bus is read again after a restart
            if known is None or known.day.start != midnight:
                before = known.before if known else None
                day = TimedBar(midnight, bar.open, bar.high, bar.low, bar.close, bar.volume)
                self._days[bar.symbol] = SymbolDay(latest, day, before)
            else:
                known.minute, known.day = latest, _joined(known.day, bar)

    def symbols(self) -> Iterable[str]:
        return self._days.keys()

    def latest(self, symbol: str) -> SymbolDay | None:
        return self._days.get(symbol)


def resampled(bars: Iterable[TimedBar], step: dt.timedelta) -> list[TimedBar]:
    """One-minute bars as bars of `step`, counted from the hour as Alpaca's are; minutes without a bar add nothing."""
    out: list[TimedBar] = []
    for bar in bars:
        start = _floor(bar.start, step)
        if out and out[-1].start == start:
            last = out[-1]
            out[-1] = TimedBar(
                start,
                last.open,
                max(last.high, bar.high),
                min(last.low, bar.low),
                bar.close,
                last.volume + bar.volume,
            )
        else:
            out.append(TimedBar(start, bar.open, bar.high, bar.low, bar.close, bar.volume))
    return out


def _floor(moment: dt.datetime, step: dt.timedelta) -> dt.datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // step * step


def _joined(day: TimedBar, bar: Bar) -> TimedBar:
    return TimedBar(
        day.start,
        day.open,
        max(day.high, bar.high),
        min(day.low, bar.low),
        bar.close,
        day.volume + bar.volume,
    )


def _night(day: SymbolDay) -> SymbolDay:
    """The day is over: it becomes the one before."""
    return SymbolDay(day.minute, day.day, day.day)
