"""What happens inside synthetic days besides drift and noise: scripted breakouts, halts, news. Pure, one day a call.

A path is a day's log prices at the end of each minute; it keeps its last price, so that the next day is untouched.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from services.market_data import synthetic_figures as fig
from services.market_data.synthetic_days import DayPlan, Floats

WING: Final = 3
Pairs = list[tuple[int, int]]


class Breakouts(Struct, frozen=True):
    """How scripted breakouts go. rate: a stock-day gets one with this probability, if its level is in reach.

    start: bounds of the minute in which the drift begins; minutes: of its length. reach: how far the level may lie
    above the opening, in day's sigmas. only: on no other day than this.

    A market in which everything happens at once, for tests, is a matter of figures: rate 1, equal bounds, and
    `opening`, which lets a stock with a breakout open this many sigmas below its level, wherever it closed before.
    """

    rate: float = 0.10
    start: tuple[int, int] = fig.BREAKOUT_START
    minutes: tuple[int, int] = fig.BREAKOUT_MINUTES
    reach: float = fig.BREAKOUT_REACH
    beyond: float = fig.BREAKOUT_BEYOND
    fails: float = fig.BREAKOUT_FAILS
    only: dt.date | None = None
    opening: float | None = None

    def may_happen(self, day: DayPlan) -> bool:
        """Whether the day drew one; whether its level is in reach is another question."""
        return day.script.chance < self.rate and self.only in (None, day.session.session)


class Events(Struct, frozen=True):
    """Which of the market's accidents happen. flat_halts: a halt shows as bars without volume, not as no bars."""

    halts: bool = True
    news: bool = True
    outages: bool = True
    missing: bool = True
    bad_ticks: bool = True
    revisions: bool = True
    flat_halts: bool = False


def swing_high(highs: Sequence[float]) -> float | None:
    """The most recent high above the three before it and the three after it (docs/strategy.md section 2)."""
    for place in range(len(highs) - 1 - WING, WING - 1, -1):
        neighbours = (*highs[place - WING : place], *highs[place + 1 : place + 1 + WING])
        if highs[place] > max(neighbours):
            return highs[place]
    return None


def break_out(path: Floats, day: DayPlan, level: float, script: Breakouts) -> Floats:
    """The path drifts over `level` (dollars) where the day has a breakout scripted and the level is in reach."""
    chances, sigma, length = day.script, day.sigma, day.session.minutes
    target = math.log(level)
    distance = target - day.log_open
    fails = chances.fails < script.fails
    if not script.may_happen(day) or not 0 < distance <= script.reach * sigma:
        return path
    if not fails and day.log_close < target + fig.BREAKOUT_HOLDS * sigma:
        return path
    start = _whole(script.start, chances.start)
    peak = start + _whole(script.minutes, chances.minutes)
    if peak >= length - 1:
        return path  # a half day may be over before
    lift = np.zeros(len(path))
    height = target + script.beyond * sigma - path[peak]
    lift[start : peak + 1] = height * (np.arange(peak - start + 1) / (peak - start))
    lift[peak:length] = height * (np.arange(length - peak)[::-1] / (length - 1 - peak))
    if fails:
        lift[peak:length] += _giving_back(length - peak, sigma, chances.giving_back)
    return path + lift


def _giving_back(rest: int, sigma: float, chance: float) -> Floats:
    """Down by 0.6 sigma within 20 to 80 minutes, and back to nothing at the close."""
    depth, shortest, longest = fig.BREAKOUT_GIVES_BACK
    down = min(_whole((shortest, longest), chance), rest - 2)
    turns = np.array([0.0, max(down, 1), rest - 1])
    fall: Floats = np.interp(np.arange(rest), turns, [0.0, -depth * sigma, 0.0])
    return fall


def stop_for_news(path: Floats, day: DayPlan) -> tuple[Floats, Pairs]:
    """The halt and the jump after it. The day's plan holds the jump already, the path before it does not."""
    if day.news is None:
        return path, []
    length = day.session.minutes
    first = 1 + int(day.news.when * (length - 2))
    if not day.news.minutes:
        return path, [(first, length)]
    again = min(first + day.news.minutes, length - 1)
    path = path.copy()
    path[again:] += day.news.jump
    return path, [(first, again)]


def pause_wild_moves(
    path: Floats, before: Floats, day: DayPlan, variance: Floats, gaps: Floats
) -> tuple[Floats, Pairs]:
    """Limit up, limit down: five minutes without trading after a move beyond the band, then a gap.

    before: log price at the start of each minute. gaps: standard normals, one for each halt that the day may have.
    """
    pairs: Pairs = []
    first, length = 0, day.session.minutes
    for gap in gaps:
        minute = _wild_minute(path, before, first, length)
        if minute is None or minute + 1 + fig.LULD_MINUTES >= length - 1:
            break
        stop, again = minute + 1, minute + 1 + fig.LULD_MINUTES
        path = _with_gap(path, again, length, fig.LULD_GAP * float(gap), variance)
        pairs.append((stop, again))
        first = again + 5
    return path, pairs


def _with_gap(path: Floats, again: int, length: int, gap: float, variance: Floats) -> Floats:
    """The path with a jump at minute `again`, made good by the close in step with the variance of the minutes."""
    after = np.cumsum(variance[again:length])
    lift = np.zeros(len(path))
    lift[again:length] = gap * (1 - after / after[-1])
    return path + lift


def _wild_minute(path: Floats, before: Floats, first: int, length: int) -> int | None:
    price_limit, cheap = fig.LULD_CHEAP
    band = cheap if math.exp(before[0]) < price_limit else fig.LULD_MOVE
    moved = np.abs(path[first + 4 : length] - before[first : length - 4])
    if len(moved) == 0 or float(moved.max()) <= band:
        return None
    opening, closing = fig.LULD_WIDE
    for minute in range(first + 4, length):
        wide = minute < opening or minute >= length - closing
        if moved[minute - first - 4] > band * (2 if wide else 1):
            return minute
    return None


def market_halt(index: Floats, close_before: float, day: DayPlan) -> Pairs:
    """All trading stops for 15 minutes once the index is 7 % below its last close, not in the last half hour."""
    length = day.session.minutes
    fallen = np.nonzero(index[: min(length, fig.MARKET_LAST)] < close_before + math.log(1 - fig.MARKET_FALL))[0]
    if len(fallen) == 0:
        return []
    return [(int(fallen[0]) + 1, min(int(fallen[0]) + 1 + fig.MARKET_MINUTES, length))]


def _whole(bounds: tuple[int, int], place: float) -> int:
    low, high = bounds
    return low + int(place * (high - low + 1))
