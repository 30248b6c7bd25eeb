"""The one bar builder: longer bars of one symbol and session from its one-minute (or five-minute) bars.

Time inside a session is counted in whole minutes after its opening, so that a bar's place is an integer division and
no zone, date or half day can shift it. Spans are anchored at the opening: span k of length n is [k*n, k*n + n), the
last one cut at the close. A span without a single bar has no bar (docs/strategy.md section 4).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from msgspec import Struct

MINUTE: Final = dt.timedelta(minutes=1)


class SpanBar(Struct, frozen=True, gc=False):
    """A bar of several minutes. start, end: minutes after the opening. Prices in dollars, volume in shares."""

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class BarBuilder:
    """Folds bars given in time order into bars of `span` minutes, at constant cost for each.

    session_minutes: length of the session, 390 on a full day; bars that start outside it are not counted.
    """

    __slots__ = ("_close", "_end", "_high", "_low", "_open", "_session_minutes", "_span", "_start", "_volume")

    def __init__(self, span: int, session_minutes: int) -> None:
        if span < 1 or session_minutes < 1:
            raise ValueError(f"a span of {span} and a session of {session_minutes} minutes make no bars")
        self._span = span
        self._session_minutes = session_minutes
        self._start = -1  # of the span in progress; -1: none
        self._end = 0
        self._open = self._high = self._low = self._close = self._volume = 0.0

    def add(self, minute: int, open_: float, high: float, low: float, close: float, volume: float) -> SpanBar | None:
        """Take the bar that starts `minute` minutes after the opening.

        Returns the bar of an earlier span that this one shows to be over, unless `close_through` gave it before.
        Raises ValueError for a bar of a span that is over: in another order the sums would be others.
        """
        if not 0 <= minute < self._session_minutes:
            return None
        if minute < self._end:
            if minute < self._start or self._start < 0:
                raise ValueError(f"the bar of minute {minute} comes after its span ended at minute {self._end}")
            if high > self._high:
                self._high = high
            if low < self._low:
                self._low = low
            self._close = close
            self._volume += volume
            return None
        over = self._take()
        self._start = minute - minute % self._span
        self._end = min(self._start + self._span, self._session_minutes)
        self._open, self._high, self._low, self._close, self._volume = open_, high, low, close, volume
        return over

    def close_through(self, minute: int) -> SpanBar | None:
        """The bar in progress, if its span is over `minute` minutes after the opening; given once."""
        return self._take() if self._end <= minute else None

    def _take(self) -> SpanBar | None:
        if self._start < 0:
            return None
        bar = SpanBar(self._start, self._end, self._open, self._high, self._low, self._close, self._volume)
        self._start = -1
        return bar


def minutes_after(opens_at: dt.datetime, instant: dt.datetime) -> int:
    """Whole minutes from the opening to `instant`, rounded down; negative before it."""
    return (instant - opens_at) // MINUTE


def ends_a_span(minute: int, span: int, session_minutes: int) -> bool:
    """Whether a span of `span` minutes is over exactly `minute` minutes after the opening."""
    return 0 < minute <= session_minutes and (minute % span == 0 or minute == session_minutes)
