"""Where a held position's stop may rise to: structure, by phase of the session (docs/strategy.md section 8)."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from shared.contracts.money import figure
from shared.contracts.rules import StopRules
from shared.contracts.vocabulary import Phase
from shared.domain.bars import SpanBar

DAILY: Final = "daily_swing_low"
INTRADAY: Final = "intraday_hl"

ORDER: Final[Mapping[Phase, tuple[str, ...]]] = {
    Phase.OPEN_NOISE: (DAILY,),
    Phase.EARLY_TREND: (DAILY, INTRADAY),
    Phase.NORMAL: (INTRADAY, DAILY),
    Phase.CLOSE_PROTECT: (),
    Phase.CLOSED: (),
}
"""Which low is asked first. One that fails its test falls through to the next."""


class StopLevel(Struct, frozen=True):
    """price: dollars, not yet on the grid. basis: the rule that gave it."""

    price: float
    basis: str


class Lows(Struct, frozen=True, kw_only=True):
    """What the bars offer at one minute, dollars; None where there is no such low.

    since_entry: None where the entry's time is unknown. bars_after_entry: closed intraday bars that began after it.
    """

    daily: float | None
    intraday: float | None
    since_entry: dt.timedelta | None
    bars_after_entry: int


class IntradayLows:
    """Strict 1/1 lows of the session's intraday bars, folded at constant cost for each bar."""

    __slots__ = ("_before", "_higher", "_last", "_rules", "_starts", "_swing", "count")

    def __init__(self, rules: StopRules) -> None:
        self._rules = rules
        self._before: float | None = None
        self._last: float | None = None
        self._swing: float | None = None
        self._higher: float | None = None
        self._starts: deque[int] = deque(maxlen=rules.intraday_after_bars or 1)
        self.count = 0

    def add(self, bar: SpanBar) -> None:
        """Take the next closed bar."""
        before, low = self._before, self._last
        if before is not None and low is not None and before > low < bar.low:
            if self._swing is not None and low > self._swing:
                self._higher = low
            self._swing = low
        self._before, self._last = low, bar.low
        self._starts.append(bar.start)
        self.count += 1

    def stop(self, price: float | None) -> float | None:
        """The latest low that is above the one before it, less the buffer; None where that is not below `price`."""
        if self.count < self._rules.intraday_min_bars or self._higher is None:
            return None
        stop = figure(self._higher - self._rules.buffer)
        return stop if price is None or stop < price else None

    def started_from(self, minute: float) -> int:
        """How many of the last `intraday_after_bars` bars began `minute` minutes after the opening or later."""
        return sum(start >= minute for start in self._starts)


def daily_stop(swing_low: float | None, rules: StopRules) -> float | None:
    """The daily swing low less the buffer, dollars."""
    return figure(swing_low - rules.buffer) if swing_low is not None else None


def structural_stop(phase: Phase, entry_price: float, lows: Lows, rules: StopRules) -> StopLevel | None:
    """The first low in the phase's order that passes its tests; dollars. None where none does, or in no phase."""
    for basis in ORDER[phase]:
        price = lows.daily if basis == DAILY else lows.intraday
        if price is None or (basis == INTRADAY and not _is_old_enough(lows, rules)):
            continue
        if price <= figure(entry_price * (1 - rules.min_distance)):
            return StopLevel(price, basis)
    return None


def trailing_stop(high_water: float, pivot: float, r2: float, rules: StopRules) -> float:
    """Once R2 was reached: high water less a fraction of R2 - pivot, dollars."""
    return figure(high_water - rules.trail_fraction * (r2 - pivot))


def _is_old_enough(lows: Lows, rules: StopRules) -> bool:
    return (
        lows.since_entry is not None
        and lows.since_entry.total_seconds() >= rules.intraday_after
        and lows.bars_after_entry >= rules.intraday_after_bars
    )
