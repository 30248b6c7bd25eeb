"""Breakout and hold: two adjacent ten-minute bars above a level (docs/strategy.md section 4)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from shared.contracts.rules import BreakoutRules
from shared.contracts.vocabulary import Reason
from shared.domain.bars import SpanBar
from shared.domain.calendar import Session

NEW_YORK: Final = ZoneInfo("America/New_York")
ALWAYS: Final = -math.inf
"""`counts_from` of a symbol whose whole session counts."""


class Window(Struct, frozen=True):
    """When a confirmation may come, in minutes after the opening: from `first` to `last`, and before `close`."""

    first: float
    last: float
    close: int

    def holds(self, minute: int) -> bool:
        return self.first <= minute <= self.last and minute < self.close


class Pair(Struct, frozen=True):
    """The two most recent closed bars of the session, None where it has not got them yet.

    before: the close in front of the first, dollars: of the session's previous bar, or for the session's first bar of
    the previous session. None where unknown.
    """

    before: float | None
    first: SpanBar | None
    second: SpanBar | None


class Question(Struct, frozen=True, kw_only=True):
    """at: minutes after the opening. counts_from: bars that closed by then (minutes, may be negative) do not count."""

    pivot: float
    window: Window
    fresh: bool
    at: int
    counts_from: float = ALWAYS


def refusal(pair: Pair, asked: Question) -> Reason | None:
    """Why `pair` is no confirmed breakout and hold at `asked.at`, or None where it is one."""
    first, second = pair.first, pair.second
    if first is None or second is None or not first.close > asked.pivot or first.end <= asked.counts_from:
        return Reason.NO_BREAK
    if second.close < asked.pivot:
        return Reason.NOT_HELD
    if first.end != second.start or second.end != asked.at:
        return Reason.GAP
    if asked.fresh and not is_fresh(pair, asked.pivot):
        return Reason.NOT_FRESH
    if not asked.window.holds(asked.at):
        return Reason.OUTSIDE_WINDOW
    return None


def is_fresh(pair: Pair, pivot: float) -> bool:
    """Whether the close before the break lies at or below the pivot; not where it is unknown."""
    return pair.before is not None and pair.before <= pivot


def pairs(bars: Sequence[SpanBar], previous_close: float | None) -> Iterator[Pair]:
    """What `refusal` is asked about over a session, one pair at each bar's close."""
    before, first = previous_close, None
    for second in bars:
        yield Pair(before, first, second)
        before, first = first.close if first is not None else before, second


def first_confirmed(bars: Sequence[SpanBar], previous_close: float | None, asked: Question) -> Pair | None:
    """The session's first pair that is a breakout and hold; `asked.at` is taken from the bars."""
    for pair in pairs(bars, previous_close):
        if pair.second is not None and refusal(pair, _at(asked, pair.second.end)) is None:
            return pair
    return None


def trading_window(day: Session, rules: BreakoutRules) -> Window:
    """First and last confirmation; on a half day the last is counted back from the close."""
    last = _after_open(day, rules.last)
    if day.early:
        last = min(last, day.minutes - rules.last_before_close / 60)
    return Window(_after_open(day, rules.first), last, day.minutes)


def research_window(day: Session, rules: BreakoutRules) -> Window:
    """The window of the command `breakouts`: the full day's clock, and before the close, on half days too."""
    return Window(_after_open(day, rules.first), _after_open(day, rules.last), day.minutes)


def _after_open(day: Session, clock: dt.time) -> float:
    """Minutes from the opening to a time on New York's clock that day."""
    moment = dt.datetime.combine(day.session, clock, NEW_YORK)
    return (moment - day.opens_at) / dt.timedelta(minutes=1)


def _at(asked: Question, minute: int) -> Question:
    return Question(pivot=asked.pivot, window=asked.window, fresh=asked.fresh, at=minute, counts_from=asked.counts_from)
