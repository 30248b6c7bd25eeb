"""Wilder's average true range from daily bars (docs/strategy.md section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from services.signals.sums import left_sum
from shared.contracts.market import DailyBar
from shared.contracts.money import figure


def atr_pct(bars: Sequence[DailyBar], sessions: int) -> float | None:
    """ATR over `sessions`, in percent of the last close; None with `sessions` bars or fewer.

    The first bar has no close before it, hence no true range: the seed needs one bar more than `sessions`.
    """
    if len(bars) <= sessions or not bars[-1].close > 0:
        return None
    ranges = [_true_range(bar, before.close) for before, bar in pairwise(bars)]
    atr = left_sum(ranges[:sessions]) / sessions
    for true_range in ranges[sessions:]:
        atr = (atr * (sessions - 1) + true_range) / sessions
    return figure(100 * atr / bars[-1].close)


def _true_range(bar: DailyBar, close_before: float) -> float:
    return max(bar.high - bar.low, abs(bar.high - close_before), abs(bar.low - close_before))
