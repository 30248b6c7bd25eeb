"""The verdict on one candidate at one closed ten-minute bar (docs/strategy.md section 5).

It is the first reason that refuses, in the section's order. Each rule adds the figures it saw; what a later rule
would have seen is not there, because it was not asked.
"""

from __future__ import annotations

import datetime as dt

from msgspec import Struct

from services.signals.avwap import dist_pct
from services.signals.boh import Pair, Question, Window, is_fresh, refusal
from services.signals.levels import DailyLevels, Pivot, scan_levels
from services.signals.pivots import Targets
from services.signals.regime_global import MarketRegime
from services.signals.regime_symbol import symbol_regime
from services.signals.rvol import relative_volume
from shared.contracts.decisions import Figure
from shared.contracts.market import VolumeProfile
from shared.contracts.rules import Rules
from shared.contracts.views import ScanLevels
from shared.contracts.vocabulary import (
    KEEPS_THE_SESSION,
    NOT_A_CONFIRMATION,
    GlobalRegime,
    PivotSource,
    Reason,
    SymbolRegime,
)
from shared.domain.bars import MINUTE
from shared.domain.calendar import Session
from shared.domain.levels import first_stop, risk_is_too_wide, risk_pct, scan_first_stop

Figures = dict[str, Figure]


class Case(Struct, frozen=True, kw_only=True):
    """All that the rules may ask about one candidate. Minutes are counted after the opening.

    last_bar_end: end of its last one-minute bar, None before the first. volume: shares since the opening.
    counts_from: bars that closed by then do not count. used: its session's confirmation is used up.
    market: None where the history of the market's symbol is missing or does not reach the previous session.
    """

    day: Session
    previous: dt.date
    window: Window
    at: int
    last_bar_end: int | None
    halted: bool
    levels: DailyLevels
    scan: ScanLevels | None
    pair: Pair
    counts_from: float
    used: bool
    market: MarketRegime | None
    held: bool
    volume: float
    profile: VolumeProfile | None


class Confirmed(Struct, frozen=True):
    """What an entry takes along from its confirmation; dollars and percent."""

    close: float
    pivot: float
    r1: float
    r2: float
    first_stop: float
    swing_low: float | None
    scan_stop: float | None
    atr_pct: float | None
    dist_pct: float | None
    break_start: dt.datetime
    hold_start: dt.datetime


class Judgement(Struct, frozen=True):
    """confirmed: only with the reason of that name."""

    reason: Reason
    figures: Figures
    confirmed: Confirmed | None = None

    @property
    def spends(self) -> bool:
        return self.reason not in NOT_A_CONFIRMATION and self.reason not in KEEPS_THE_SESSION


def judge(case: Case, rules: Rules) -> Judgement:
    """The first reason that refuses, or the confirmation."""
    figures: Figures = {}
    reason = _feed(case, rules, figures)
    if reason is not None:
        return Judgement(reason, figures)
    pivot, targets = _levels(case, rules)
    reason = _daily(case, pivot, targets, figures)
    if reason is not None or pivot is None or targets is None:
        return Judgement(reason or Reason.BAD_LEVELS, figures)
    reason = _breakout(case, pivot, rules, figures)
    if reason is not None:
        return Judgement(reason, figures)
    return _confirmation(case, pivot, targets, rules, figures)


def _feed(case: Case, rules: Rules, figures: Figures) -> Reason | None:
    """Data that may be relied on: a bar in the last `limits.stale_data_after` seconds, and no halt."""
    if case.last_bar_end is not None:
        figures["last_bar_end"] = _time(case, case.last_bar_end)
    if case.last_bar_end is None or (case.at - case.last_bar_end) * 60 >= rules.limits.stale_data_after:
        return Reason.STALE_DATA
    return Reason.HALTED if case.halted else None


def _levels(case: Case, rules: Rules) -> tuple[Pivot | None, Targets | None]:
    if rules.levels.pivot is PivotSource.SCAN:
        return scan_levels(case.scan)
    return case.levels.pivot, case.levels.targets


def _daily(case: Case, pivot: Pivot | None, targets: Targets | None, figures: Figures) -> Reason | None:
    """A pivot, targets above it, and daily bars up to the previous session."""
    figures["daily_bars"] = case.levels.bars
    if pivot is None:
        return Reason.NO_PIVOT
    figures["pivot"] = pivot.price
    figures["pivot_date"] = pivot.date.isoformat() if pivot.date is not None else None
    if targets is None:
        return Reason.BAD_LEVELS
    figures["r1"], figures["r2"] = targets.r1, targets.r2
    last = case.levels.last
    figures["last_session"] = last.session.isoformat() if last is not None else None
    return Reason.STALE_LEVELS if last is None or last.session != case.previous else None


def _breakout(case: Case, pivot: Pivot, rules: Rules, figures: Figures) -> Reason | None:
    pair = case.pair
    if pair.first is not None:
        figures["break_start"] = _time(case, pair.first.start)
        figures["break_close"] = pair.first.close
    if pair.second is not None:
        figures["hold_start"] = _time(case, pair.second.start)
        figures["hold_close"] = pair.second.close
    asked = Question(
        pivot=pivot.price,
        window=case.window,
        fresh=rules.breakout.fresh,
        at=case.at,
        counts_from=case.counts_from,
    )
    reason = refusal(pair, asked)
    if reason not in (Reason.NO_BREAK, Reason.NOT_HELD, Reason.GAP):
        figures["prev_close"] = pair.before
        figures["fresh"] = "yes" if is_fresh(pair, pivot.price) else "no"
    return reason


def _confirmation(case: Case, pivot: Pivot, targets: Targets, rules: Rules, figures: Figures) -> Judgement:
    """A breakout that held: may it be bought?"""
    first, second = case.pair.first, case.pair.second
    assert first is not None
    assert second is not None
    if case.used:
        return Judgement(Reason.ALREADY_CONFIRMED, figures)
    close = second.close
    reason = _market(case, figures) or _symbol(case, close, rules, figures)
    if reason is not None:
        return Judgement(reason, figures)
    stop = _first_stop(case, close, rules)
    figures["swing_low"], figures["first_stop"] = case.levels.swing_low, stop
    if stop is None:
        return Judgement(Reason.NO_STOP, figures)
    reason = _price(case, close, stop, targets, rules, figures)
    if reason is not None:
        return Judgement(reason, figures)
    figures["atr_pct"] = case.levels.atr_pct
    scanned = rules.levels.pivot is PivotSource.SCAN
    confirmed = Confirmed(
        close=close,
        pivot=pivot.price,
        r1=targets.r1,
        r2=targets.r2,
        first_stop=stop,
        swing_low=None if scanned else case.levels.swing_low,
        scan_stop=stop if scanned else None,
        atr_pct=case.levels.atr_pct,
        dist_pct=_distance(case, close),
        break_start=case.day.opens_at + first.start * MINUTE,
        hold_start=case.day.opens_at + second.start * MINUTE,
    )
    return Judgement(Reason.CONFIRMED, figures, confirmed)


def _market(case: Case, figures: Figures) -> Reason | None:
    market = case.market
    state = market.state if market is not None else GlobalRegime.DEFENSIVE
    figures["regime_global"] = state.value
    figures["global_slope"] = market.slope if market is not None else None
    figures["global_adverse"] = market.adverse_count if market is not None else None
    return None if state is GlobalRegime.NORMAL else Reason.REGIME_GLOBAL


def _symbol(case: Case, close: float, rules: Rules, figures: Figures) -> Reason | None:
    distance = _distance(case, close)
    average = case.levels.avwap
    slope = average.slope if average is not None else None
    regime = symbol_regime(distance, slope, case.held, rules.symbol_regime)
    figures["avwap"] = average.value if average is not None else None
    figures["avwap_slope"], figures["dist_pct"], figures["regime_symbol"] = slope, distance, regime.value
    return Reason.REGIME_SYMBOL if regime is SymbolRegime.HOLD_ONLY else None


def _first_stop(case: Case, close: float, rules: Rules) -> float | None:
    if rules.levels.pivot is PivotSource.SCAN:
        return scan_first_stop(case.scan.stop, close) if case.scan is not None else None
    return first_stop(case.levels.swing_low, close, rules.stop)


def _price(case: Case, close: float, stop: float, targets: Targets, rules: Rules, figures: Figures) -> Reason | None:
    """Room to the first target, a risk that is not too wide, and volume behind it."""
    if close >= targets.r1:
        return Reason.EXTENDED
    figures["risk_pct"] = risk_pct(close, stop)
    if risk_is_too_wide(close, stop, rules.risk.max_pct, rules.risk.max_per_share):
        return Reason.RISK_TOO_WIDE
    rvol = relative_volume(case.volume, case.at, case.profile, rules.breakout.rvol_sessions)
    figures["rvol"], figures["volume"] = rvol, case.volume
    return Reason.LOW_RVOL if rvol is not None and rvol < rules.breakout.min_rvol else None


def _distance(case: Case, close: float) -> float | None:
    return dist_pct(close, case.levels.avwap.value) if case.levels.avwap is not None else None


def _time(case: Case, minute: int) -> str:
    """ISO 8601, UTC."""
    return (case.day.opens_at + minute * MINUTE).isoformat()
