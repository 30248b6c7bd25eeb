"""One verdict for each candidate at each closed ten-minute bar (docs/strategy.md sections 4 and 5)."""

from __future__ import annotations

import datetime as dt

import pytest

from services.signals.service import Signals
from shared.contracts.clock import TickPhase
from shared.contracts.decisions import Decided
from shared.contracts.market import DailyBar, SymbolHalted, VolumeProfile
from shared.contracts.rules import BreakoutRules, LevelRules, RiskRules, Rules, SymbolRegimeRules
from shared.contracts.views import ScanLevels
from shared.contracts.vocabulary import PivotSource, Reason
from tests.unit.signals.kit import (
    OPENS,
    PREVIOUS,
    SESSION,
    Market,
    after,
    bar,
    bars,
    candidate,
    daily,
    history,
    market,
    opened,
    position,
    rising,
    tick,
)

CONFIRMING = (9.95, 10.02, 10.03)


def test_a_close_above_the_pivot_that_holds_is_confirmed() -> None:
    day = market()
    verdict = day.verdict(*CONFIRMING)
    assert (verdict.symbol, verdict.strategy, verdict.reason, verdict.spends) == ("ABC", "boh", Reason.CONFIRMED, True)
    assert verdict.figures == {
        "last_bar_end": "2024-01-03T15:00:00+00:00",
        "daily_bars": 30,
        "pivot": 10.0,
        "pivot_date": "2023-12-28",
        "r1": 10.09,
        "r2": 10.18,
        "last_session": "2024-01-02",
        "break_start": "2024-01-03T14:40:00+00:00",
        "break_close": 10.02,
        "hold_start": "2024-01-03T14:50:00+00:00",
        "hold_close": 10.03,
        "prev_close": 9.95,
        "fresh": "yes",
        "regime_global": "NORMAL",
        "global_slope": 0.5,
        "global_adverse": 0,
        "avwap": 9.908,
        "avwap_slope": 0.0,
        "dist_pct": 1.23132822,
        "regime_symbol": "ENTER",
        "swing_low": 9.80,
        "first_stop": 9.70,
        "risk_pct": 3.290129611,
        "rvol": None,
        "volume": 3000.0,
        "atr_pct": verdict.figures["atr_pct"],
    }


def test_a_confirmation_gives_one_entry_whose_cause_is_the_minute_that_closed_the_hold_bar() -> None:
    day = market()
    day.ten(*CONFIRMING)
    [entry] = day.decided[-1].entries
    assert entry.id == "240103-ABC-entry-031500"
    assert entry.cause == day.decided[-1].cause == "bars-0-240103T1500"
    assert (entry.confirmed_at, entry.break_start, entry.hold_start) == (after(30), after(10), after(20))
    assert (entry.confirm_close, entry.pivot, entry.r1, entry.r2) == (10.03, 10.0, 10.09, 10.18)
    assert (entry.first_stop, entry.swing_low, entry.scan_stop) == (9.70, 9.80, None)
    assert [decided.entries for decided in day.decided[:-1]] == [()] * 29


def test_the_first_bar_of_the_session_breaks_out_if_the_previous_session_closed_at_or_below_the_pivot() -> None:
    assert market().verdict(10.02, 10.03).reason is Reason.CONFIRMED
    above = market(history(daily({-1: {"high": 10.2, "low": 10.0, "close": 10.01}})))
    assert above.verdict(10.02, 10.03).reason is Reason.NOT_FRESH


def test_a_close_exactly_at_the_pivot_breaks_nothing_but_holds() -> None:
    assert market().verdict(9.95, 10.00, 10.01).reason is Reason.NO_BREAK
    assert market().verdict(9.95, 10.01, 10.00).reason is Reason.CONFIRMED


@pytest.mark.parametrize(
    ("closes", "reason"),
    [
        ((9.95,), Reason.NO_BREAK),
        ((9.95, 9.99), Reason.NO_BREAK),
        ((9.95, 10.05, 9.99), Reason.NOT_HELD),
        ((9.95, 10.05, None, 10.05), Reason.GAP),
        ((9.95, 10.05, None), Reason.STALE_DATA),
        ((None,), Reason.STALE_DATA),
        ((10.02, 9.95, 10.05, 10.09), Reason.EXTENDED),
        ((10.02, 9.95, 10.05, 10.085), Reason.CONFIRMED),
    ],
)
def test_the_bars_alone_can_refuse(closes: tuple[float | None, ...], reason: Reason) -> None:
    assert market().verdict(*closes).reason is reason


def test_a_stock_that_already_trades_above_its_level_is_not_fresh() -> None:
    rules = Rules(breakout=BreakoutRules(first=dt.time(10, 5)))
    day = market(rules=rules)
    assert day.verdict(9.95, 10.02, 10.03).reason is Reason.OUTSIDE_WINDOW
    assert day.verdict(10.04).reason is Reason.NOT_FRESH


def test_the_rule_of_the_fresh_cross_can_be_switched_off() -> None:
    rules = Rules(breakout=BreakoutRules(first=dt.time(10, 5), fresh=False))
    day = market(rules=rules)
    day.ten(9.95, 10.02, 10.03)
    verdict = day.verdict(10.04)
    assert (verdict.reason, verdict.figures["fresh"]) == (Reason.CONFIRMED, "no")


def test_what_closes_after_half_past_three_is_outside_the_window() -> None:
    day = market()
    day.ten(*[9.95] * 34)
    assert day.verdict(10.02, 10.03).reason is Reason.CONFIRMED  # 15:30
    day = market()
    day.ten(*[9.95] * 35)
    assert day.verdict(10.02, 10.03).reason is Reason.OUTSIDE_WINDOW  # 15:40


def test_on_a_half_day_the_window_ends_thirty_minutes_before_the_close() -> None:
    def at(last_quiet: int) -> Reason:
        day = Market(candidate(), session=opened(early=True, closes_at=after(210)))
        day.ten(*[9.95] * last_quiet)
        return day.verdict(10.02, 10.03).reason

    assert at(16) is Reason.CONFIRMED  # 12:30
    assert at(17) is Reason.OUTSIDE_WINDOW  # 12:40


def test_too_few_daily_bars_give_no_pivot() -> None:
    assert market(history(daily(count=6))).verdict(*CONFIRMING).reason is Reason.NO_PIVOT
    assert market(history(())).verdict(*CONFIRMING).reason is Reason.NO_PIVOT


def test_a_prior_session_without_range_gives_bad_levels() -> None:
    day = market(history(daily({-1: {"high": 9.9, "low": 9.9}})))
    assert day.verdict(*CONFIRMING).reason is Reason.BAD_LEVELS


def test_daily_bars_that_do_not_reach_the_previous_session_are_stale() -> None:
    assert market(history(daily()[:-1])).verdict(*CONFIRMING).reason is Reason.STALE_LEVELS


def test_a_halted_symbol_confirms_nothing_until_it_trades_again() -> None:
    def halt(end: float, halted: bool) -> SymbolHalted:
        return SymbolHalted(id=f"halt-{end}", at=after(end), partition=0, symbol="ABC", halted=halted)

    assert market(halt(25, True)).verdict(*CONFIRMING).reason is Reason.HALTED
    assert market(halt(25, True), halt(28, False)).verdict(*CONFIRMING).reason is Reason.CONFIRMED
    assert market(halt(30.5, True)).verdict(*CONFIRMING).reason is Reason.CONFIRMED


@pytest.mark.parametrize(
    "spy", [(), rising(10), rising(30)[:-1], rising(30, step=-0.1)], ids=["none", "ten bars", "stale", "falling"]
)
def test_the_global_regime_fails_closed_and_spends_nothing(spy: tuple[DailyBar, ...]) -> None:
    verdict = Market(candidate(), spy=spy).verdict(*CONFIRMING)
    assert (verdict.reason, verdict.spends) == (Reason.REGIME_GLOBAL, False)


def test_a_stock_far_above_its_average_is_not_bought() -> None:
    day = market(rules=Rules(symbol_regime=SymbolRegimeRules(max_dist_enter=1.0)))
    verdict = day.verdict(*CONFIRMING)
    assert (verdict.reason, verdict.figures["regime_symbol"], verdict.spends) == (
        Reason.REGIME_SYMBOL,
        "HOLD_ONLY",
        True,
    )


def test_a_held_stock_may_run_further_and_is_judged_all_the_same() -> None:
    rules = Rules(symbol_regime=SymbolRegimeRules(max_dist_enter=1.0, max_dist_add=2.0))
    verdict = market(position(), rules=rules).verdict(*CONFIRMING)
    assert (verdict.reason, verdict.figures["regime_symbol"]) == (Reason.CONFIRMED, "ADD")
    later = market(position(entered_at=after(30)), rules=rules).verdict(*CONFIRMING)
    assert later.reason is Reason.REGIME_SYMBOL


def test_without_a_swing_low_there_is_no_stop() -> None:
    flat = daily({-10: {"low": 9.85}, -1: {"high": 9.99, "low": 9.85}})
    assert market(history(flat)).verdict(*CONFIRMING).reason is Reason.NO_STOP


def test_a_first_stop_too_far_away_is_refused() -> None:
    assert market(rules=Rules(risk=RiskRules(max_pct=3.0))).verdict(*CONFIRMING).reason is Reason.RISK_TOO_WIDE
    in_dollars = Rules(risk=RiskRules(max_per_share=0.3))
    assert market(rules=in_dollars).verdict(*CONFIRMING).reason is Reason.RISK_TOO_WIDE


def _profile(mean: float, sessions: int = 20, length: int = 390) -> VolumeProfile:
    return VolumeProfile(
        id="profile",
        at=OPENS,
        session=SESSION,
        symbol="ABC",
        sessions=sessions,
        cumulative=tuple(mean * (minute + 1) for minute in range(length)),
    )


def test_too_little_volume_so_far_is_refused() -> None:
    low = market(_profile(126.0)).verdict(*CONFIRMING)  # 3000 shares where 3780 are usual
    assert (low.reason, low.figures["rvol"]) == (Reason.LOW_RVOL, 0.793650794)
    enough = market(_profile(125.0)).verdict(*CONFIRMING)
    assert (enough.reason, enough.figures["rvol"]) == (Reason.CONFIRMED, 0.8)


@pytest.mark.parametrize("profile", [_profile(9e9, sessions=19), _profile(0.0), _profile(9e9, length=29)])
def test_relative_volume_that_cannot_be_known_passes(profile: VolumeProfile) -> None:
    assert market(profile).verdict(*CONFIRMING).reason is Reason.CONFIRMED


def test_a_confirmation_uses_up_the_session() -> None:
    day = market()
    day.ten(*CONFIRMING)
    assert day.verdict(9.95).reason is Reason.NOT_HELD
    assert day.verdict(10.02, 10.03).reason is Reason.ALREADY_CONFIRMED
    assert sum(len(decided.entries) for decided in day.decided) == 1


def test_a_refused_confirmation_uses_up_the_session_too() -> None:
    day = market()
    assert day.verdict(9.95, 10.02, 10.09).reason is Reason.EXTENDED
    assert day.verdict(9.95, 10.02, 10.03).reason is Reason.ALREADY_CONFIRMED


def test_the_ledger_can_say_that_the_session_is_used_up() -> None:
    assert Market(candidate(spent=True)).verdict(*CONFIRMING).reason is Reason.ALREADY_CONFIRMED


def test_a_refusal_by_the_global_regime_leaves_the_session_to_a_later_fresh_break() -> None:
    day = market(history(rising(30, step=-0.1), "SPY"))
    assert day.verdict(*CONFIRMING).reason is Reason.REGIME_GLOBAL
    day.tell(history(rising(), "SPY"))
    assert day.verdict(10.04).reason is Reason.NOT_FRESH
    assert day.verdict(9.95, 10.02, 10.03).reason is Reason.CONFIRMED


def test_a_confirmation_that_state_released_may_come_again_from_then_on() -> None:
    day = market()
    day.ten(*CONFIRMING)
    day.tell(candidate(id="c2", released_at=after(32)))
    assert day.verdict(9.95, 10.02, 10.03).reason is Reason.CONFIRMED
    day = market()
    day.ten(*CONFIRMING)
    day.tell(candidate(id="c2", released_at=after(50)))
    assert day.verdict(9.95, 10.02, 10.03).reason is Reason.NO_BREAK  # the break closed at 50
    assert day.verdict(9.95, 10.02, 10.03).reason is Reason.CONFIRMED


def test_a_release_that_is_known_early_is_seen_at_its_own_time() -> None:
    """After a restart the candidate's last word comes before the bars of the session."""
    day = Market(candidate(released_at=after(52)))
    assert day.verdict(*CONFIRMING).reason is Reason.CONFIRMED
    assert day.verdict(9.95).reason is Reason.NOT_HELD
    assert day.verdict(10.02).reason is Reason.NO_BREAK
    assert day.verdict(10.03, 9.95, 10.02, 10.03).reason is Reason.CONFIRMED


def test_a_release_without_a_confirmation_before_it_changes_nothing() -> None:
    day = market()
    day.ten(9.95, 10.02)
    day.tell(candidate(id="c2", released_at=after(20)))
    assert day.verdict(10.03).reason is Reason.CONFIRMED


def test_a_candidate_counts_from_its_ingest() -> None:
    day = Market(candidate(since=after(20)))
    day.ten(9.95, 10.02)
    assert [decided.verdicts for decided in day.decided] == [()] * 20  # none before it, nor at its own instant
    assert day.verdict(10.03).reason is Reason.NO_BREAK  # the break had closed by then
    inside = Market(candidate(since=after(19.9)))
    assert inside.verdict(*CONFIRMING).reason is Reason.CONFIRMED  # the bar in progress is fed by earlier minutes


def test_a_candidate_that_left_or_expired_is_not_judged() -> None:
    assert Market(candidate(active=False)).ten(*CONFIRMING).verdicts == ()
    assert Market(candidate(session=PREVIOUS)).ten(*CONFIRMING).verdicts == ()
    expiring = Market(candidate(expires_at=after(30)))
    assert len(expiring.ten(*CONFIRMING).verdicts) == 1
    assert expiring.ten(10.0).verdicts == ()


def test_of_two_strategies_on_one_symbol_the_lower_id_is_judged() -> None:
    day = Market(candidate(strategy="b"), candidate(strategy="a"))
    assert [verdict.strategy for verdict in day.ten(*CONFIRMING).verdicts] == ["a"]
    assert len(day.decided[-1].entries) == 1


def test_there_is_a_verdict_at_each_ten_minute_boundary_of_the_session_for_each_candidate() -> None:
    day = Market(candidate(), candidate("XYZ"))
    for end in range(1, 391):
        rows = [bar(9.95)] if end % 7 else []
        assert [verdict.symbol for verdict in day.minute(*rows).verdicts] == (["ABC", "XYZ"] if end % 10 == 0 else [])


def test_a_half_session_of_odd_length_ends_with_a_verdict() -> None:
    signals = Signals(1, Rules(), lambda _: 1)
    signals.handle(opened(closes_at=after(25), early=True))
    signals.handle(candidate())
    signals.handle(bars(25, [bar(9.95)]))
    [decided] = signals.handle(tick(25))
    assert isinstance(decided, Decided)
    assert len(decided.verdicts) == 1


def test_a_scan_row_brings_pivot_stop_and_targets_of_its_own() -> None:
    rules = Rules(levels=LevelRules(pivot=PivotSource.SCAN))
    scan = ScanLevels(pivot=10.0, stop=9.9, r1=10.3, r2=10.6)
    day = Market(candidate(scan=scan), rules=rules)
    day.ten(9.95, 10.05, 10.20)
    [entry] = day.decided[-1].entries
    assert (entry.pivot, entry.r1, entry.r2, entry.first_stop, entry.scan_stop) == (10.0, 10.3, 10.6, 9.9, 9.9)
    assert entry.swing_low is None

    def verdict(**changes: float) -> Reason:
        row = ScanLevels(**({"pivot": 10.0, "stop": 9.9, "r1": 10.3, "r2": 10.6} | changes))
        return Market(candidate(scan=row), rules=rules).verdict(9.95, 10.05, 10.20).reason

    assert verdict(r1=10.0) is Reason.BAD_LEVELS
    assert verdict(r2=10.3) is Reason.BAD_LEVELS
    assert verdict(stop=10.2) is Reason.NO_STOP
    assert Market(candidate(), rules=rules).verdict(*CONFIRMING).reason is Reason.NO_PIVOT


def test_the_prior_days_high_can_be_the_pivot() -> None:
    rules = Rules(levels=LevelRules(pivot=PivotSource.PRIOR_DAY_HIGH))
    verdict = market(rules=rules).verdict(9.95, 9.995, 9.99)
    assert (verdict.reason, verdict.figures["pivot"], verdict.figures["pivot_date"]) == (
        Reason.CONFIRMED,
        9.99,
        "2024-01-02",
    )


def test_other_phases_of_a_tick_decide_nothing() -> None:
    day = market()
    day.tell(bars(1, [bar(9.95)]))
    for phase in TickPhase:
        if phase is not TickPhase.DECIDE:
            assert list(day.signals.handle(tick(1, phase))) == []
    assert len(day.signals.handle(tick(1))) == 1
