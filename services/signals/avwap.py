"""Anchored volume-weighted average price from daily bars (docs/strategy.md section 2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from services.signals.pivots import last_swing_low
from shared.contracts.market import DailyBar
from shared.contracts.money import figure


class Avwap(Struct, frozen=True):
    """value: dollars, None without volume since the anchor. slope: percent, None where the anchor is too young."""

    anchor: dt.date
    value: float | None
    slope: float | None


def avwap(bars: Sequence[DailyBar], wing: int, slope_sessions: int) -> Avwap | None:
    """AVWAP of completed sessions, oldest first; None without a bar."""
    if not bars:
        return None
    start = _anchor(bars, wing)
    earlier_end = len(bars) - slope_sessions
    price_volume = volume = 0.0
    earlier: float | None = None
    for place in range(start, len(bars)):
        bar = bars[place]
        price_volume += (bar.high + bar.low + bar.close) / 3 * bar.volume
        volume += bar.volume
        if place == earlier_end - 1:
            earlier = _average(price_volume, volume)
    value = _average(price_volume, volume)
    slope = figure(100 * (value - earlier) / earlier) if value is not None and earlier is not None else None
    return Avwap(bars[start].session, value, slope)


def dist_pct(price: float, average: float | None) -> float | None:
    """How far `price` lies above AVWAP, in percent of AVWAP; None where that is unknown."""
    return figure(100 * (price - average) / average) if average is not None else None


def _anchor(bars: Sequence[DailyBar], wing: int) -> int:
    """The most recent swing low; else the first session of the last bar's year, as far back as the bars reach."""
    swing = last_swing_low([bar.low for bar in bars], wing)
    if swing is not None:
        return swing
    year = bars[-1].session.year
    return next(place for place, bar in enumerate(bars) if bar.session.year == year)


def _average(price_volume: float, volume: float) -> float | None:
    """None also for an average of nothing but zero prices, by which nothing can be divided."""
    return figure(price_volume / volume) or None if volume > 0 else None
