"""Everything that completed daily bars say about one symbol, computed once a session (docs/strategy.md section 2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct

from services.signals.atr import atr_pct
from services.signals.avwap import Avwap, avwap
from services.signals.pivots import BadLevels, Targets, checked, last_swing_high, last_swing_low, targets
from shared.contracts.market import DailyBar
from shared.contracts.rules import LevelRules
from shared.contracts.views import ScanLevels
from shared.contracts.vocabulary import PivotSource

STOP_WING = 1


class Pivot(Struct, frozen=True):
    """The level to break, dollars. date: session of its bar, None for a scan row's."""

    price: float
    date: dt.date | None


class DailyLevels(Struct, frozen=True, kw_only=True):
    """What the last `history` completed sessions give; dollars and percent.

    pivot, targets: None where the rules give none; of the scan row where pivots come from there.
    swing_low: the most recent 1/1 one.
    """

    bars: int = 0
    last: DailyBar | None = None
    pivot: Pivot | None = None
    targets: Targets | None = None
    swing_low: float | None = None
    avwap: Avwap | None = None
    atr_pct: float | None = None


def daily_levels(bars: Sequence[DailyBar], rules: LevelRules) -> DailyLevels:
    """Levels from completed sessions, oldest first; with `levels.pivot = scan` without a pivot (see `with_scan`)."""
    seen = bars[-rules.history :]
    if not seen:
        return DailyLevels()
    low = last_swing_low([bar.low for bar in seen], STOP_WING)
    pivot, targets_ = pivot_and_targets(seen, rules)
    return DailyLevels(
        bars=len(seen),
        last=seen[-1],
        pivot=pivot,
        targets=targets_,
        swing_low=seen[low].low if low is not None else None,
        avwap=avwap(seen, rules.swing_wing, rules.slope_sessions),
        atr_pct=atr_pct(seen, rules.atr_sessions),
    )


def pivot_and_targets(seen: Sequence[DailyBar], rules: LevelRules) -> tuple[Pivot | None, Targets | None]:
    """Both out of the bars that `daily_levels` looks at, at least one; None where the rules give none."""
    pivot = _pivot(seen, rules)
    return pivot, _targets(pivot, seen[-1], rules)


def scan_levels(scan: ScanLevels | None) -> tuple[Pivot | None, Targets | None]:
    """Pivot and targets of a candidate's scan row; the targets None where they do not rise above the pivot."""
    if scan is None:
        return None, None
    try:
        return Pivot(scan.pivot, None), checked(scan.pivot, Targets(scan.r1, scan.r2))
    except BadLevels:
        return Pivot(scan.pivot, None), None


def _pivot(bars: Sequence[DailyBar], rules: LevelRules) -> Pivot | None:
    match rules.pivot:
        case PivotSource.SWING_HIGH:
            place = last_swing_high([bar.high for bar in bars], rules.swing_wing)
            return Pivot(bars[place].high, bars[place].session) if place is not None else None
        case PivotSource.PRIOR_DAY_HIGH:
            return Pivot(bars[-1].high, bars[-1].session)
        case PivotSource.SCAN:
            return None


def _targets(pivot: Pivot | None, prior: DailyBar, rules: LevelRules) -> Targets | None:
    if pivot is None:
        return None
    try:
        return targets(pivot.price, prior.high, prior.low, rules.r1_multiple, rules.r2_multiple)
    except BadLevels:
        return None
