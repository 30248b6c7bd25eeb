"""The market's regime from SPY's daily bars: a gate for entries, never a signal (docs/strategy.md section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from services.signals.sums import left_sum
from shared.contracts.market import DailyBar
from shared.contracts.money import figure
from shared.contracts.rules import GlobalRegimeRules
from shared.contracts.vocabulary import GlobalRegime


class MarketRegime(Struct, frozen=True):
    """slope: of the moving average over one session, dollars (percent of the last close with `unit = percent`).

    average_range: dollars. The three figures are None where there are too few bars to have them.
    """

    state: GlobalRegime
    slope: float | None
    average_range: float | None
    adverse_count: int | None
    bars: int


def market_regime(bars: Sequence[DailyBar], rules: GlobalRegimeRules) -> MarketRegime:
    """Regime from completed sessions, oldest first. Too few of them: DEFENSIVE, since a gate fails closed."""
    if len(bars) < bars_needed(rules):
        return MarketRegime(GlobalRegime.DEFENSIVE, None, None, None, len(bars))
    slope = _slope([bar.close for bar in bars], rules)
    ranges = [figure(bar.high - bar.low) for bar in bars[-rules.range_sessions :]]
    average_range = figure(left_sum(ranges) / len(ranges))
    adverse = sum(_is_adverse(bar, average_range, rules) for bar in bars[-rules.adverse_sessions :])
    return MarketRegime(_state(slope, adverse, rules), slope, average_range, adverse, len(bars))


def bars_needed(rules: GlobalRegimeRules) -> int:
    """11 with the defaults: ten ranges, and one bar more."""
    return max(rules.range_sessions, rules.average, rules.adverse_sessions) + 1


def _slope(closes: Sequence[float], rules: GlobalRegimeRules) -> float:
    n = rules.average
    change = left_sum(closes[-n:]) / n - left_sum(closes[-n - 1 : -1]) / n
    return figure(100 * change / closes[-1] if rules.unit == "percent" else change)


def _is_adverse(bar: DailyBar, average_range: float, rules: GlobalRegimeRules) -> bool:
    """A session that expanded against us: closed below its open over a wide range."""
    return bar.close < bar.open and figure(bar.high - bar.low) >= figure(rules.expansion * average_range)


def _state(slope: float, adverse: int, rules: GlobalRegimeRules) -> GlobalRegime:
    if slope <= rules.off_slope or adverse >= rules.off_adverse:
        return GlobalRegime.OFF
    if slope <= rules.defensive_slope or adverse >= rules.defensive_adverse:
        return GlobalRegime.DEFENSIVE
    return GlobalRegime.NORMAL
