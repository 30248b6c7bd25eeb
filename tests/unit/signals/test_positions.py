"""What a held position asks for at each closed minute (docs/strategy.md section 8)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from services.signals.position import Held, Leave, Minute, Step, Trim, evaluate
from services.signals.stops import Lows
from shared.contracts.decisions import Decided
from shared.contracts.rules import ExitRules, Rules, TrimRules
from shared.contracts.vocabulary import Phase, StopMode, TrimState
from tests.unit.signals.kit import CLOSES, Market, after, bar, history, position, taken, tick
from tests.unit.signals.kit import bars as minute_bars
from tests.unit.signals.kit import daily as daily_bars

NO_LOWS = Lows(daily=None, intraday=None, since_entry=None, bars_after_entry=0)


def held(**changes: Any) -> Held:
    """100 shares at 100, pivot 98, R1 105, R2 110, stop 95 resting."""
    facts: dict[str, Any] = {
        "symbol": "ABC",
        "position_id": "ABC-1",
        "qty": 100,
        "avg_price": Decimal(100),
        "pivot": 98.0,
        "r1": 105.0,
        "r2": 110.0,
        "stop": Decimal(95),
        "stop_resting": True,
        "stop_mode": StopMode.OPEN,
        "high_water": 100.0,
        "invalidations": 0,
        "r1_state": TrimState.OPEN,
        "r2_state": TrimState.OPEN,
        "entered_at": after(0),
    }
    return Held(**(facts | changes))


def at(price: float, end: float = 60, **changes: Any) -> Minute:
    facts: dict[str, Any] = {
        "at": after(end),
        "closes_at": CLOSES,
        "price": price,
        "traded": True,
        "breakout_close": None,
        "phase": Phase.NORMAL,
        "lows": NO_LOWS,
    }
    return Minute(**(facts | changes))


def walk(start: Held, *minutes: Minute, rules: Rules | None = None) -> list[Step]:
    steps: list[Step] = []
    for minute in minutes:
        start = steps[-1].held if steps else start
        steps.append(evaluate(start, minute, rules or Rules()))
    return steps


# 1. stop hit


def test_at_or_below_a_stop_that_does_not_rest_everything_is_sold_at_once() -> None:
    step = evaluate(held(stop_resting=False), at(95.0), Rules())
    assert step.leave == Leave("stop_hit", market=True)
    assert step.held.stop_mode is StopMode.EXITING


def test_a_resting_stop_is_left_to_the_broker() -> None:
    step = evaluate(
        held(), at(94.0, lows=Lows(daily=94.5, intraday=None, since_entry=None, bars_after_entry=0)), Rules()
    )
    assert (step.leave, step.stop, step.trims) == (None, None, ())


# 2. invalidation


def test_two_ten_minute_closes_below_the_pivot_in_a_row_sell_everything() -> None:
    first, second = walk(held(), at(97, 60, breakout_close=97.9), at(97, 70, breakout_close=97.99))
    assert (first.leave, first.held.invalidations, first.held.stop_mode) == (None, 1, StopMode.CAUTION)
    assert (second.leave, second.held.stop_mode) == (Leave("invalidated", market=False), StopMode.EXITING)


def test_a_close_at_the_pivot_resets_the_count() -> None:
    steps = walk(
        held(),
        at(97, 60, breakout_close=97.9),
        at(98, 70, breakout_close=98.0),
        at(97, 80, breakout_close=97.0),
    )
    assert [step.held.invalidations for step in steps] == [1, 0, 1]
    assert [step.held.stop_mode for step in steps] == [StopMode.CAUTION, StopMode.OPEN, StopMode.CAUTION]
    assert all(step.leave is None for step in steps)


def test_a_bar_that_closes_at_the_first_fill_does_not_count() -> None:
    assert evaluate(held(entered_at=after(60)), at(97, 60, breakout_close=97.0), Rules()).held.invalidations == 0


def test_a_bar_without_its_last_minute_counts_all_the_same() -> None:
    day = Market(position())
    for end in range(1, 21):
        day.minute(*([bar(9.95)] if end % 10 else []))
    [exit_intent] = day.decided[-1].exits
    assert (exit_intent.reason, exit_intent.id, exit_intent.price) == ("invalidated", "240103-ABC-exit-031450", 9.95)


# 3. end of day


def test_by_default_a_position_is_held_over_the_close() -> None:
    assert evaluate(held(), at(101, 389), Rules()).leave is None


@pytest.mark.parametrize(
    ("end", "leave"),
    [
        (384, None),
        (385, Leave("end_of_day", False)),
        (387, Leave("end_of_day", False)),
        (388, Leave("end_of_day", True)),
    ],
)
def test_at_the_end_of_the_day_it_is_sold_if_so_configured(end: int, leave: Leave | None) -> None:
    assert evaluate(held(), at(101, end), Rules(exit=ExitRules(end_of_day=True))).leave == leave


def test_a_thin_symbol_is_sold_at_the_end_of_the_day_without_a_bar_of_that_minute() -> None:
    day = Market(position(), rules=Rules(exit=ExitRules(end_of_day=True)))
    day.ten(*[10.01] * 38)
    for _ in range(4):
        assert day.minute().exits == ()
    [exit_intent] = day.minute().exits
    assert (exit_intent.reason, exit_intent.price) == ("end_of_day", 10.01)


# 4. into strength


def test_r1_sells_half_once_and_lifts_the_stop_to_break_even() -> None:
    first, second = walk(held(), at(105.0, 60), at(106.0, 61))
    assert first.trims == (Trim("r1", 0.5),)
    assert first.stop is not None
    assert (first.stop.stop, first.stop.basis) == (Decimal("100.00"), "r1_breakeven")
    assert (second.trims, second.stop) == ((), None)


def test_without_break_even_the_stop_goes_to_the_pivot() -> None:
    step = evaluate(held(), at(105.0), Rules(trim=TrimRules(breakeven_on_r1=False)))
    assert step.stop is not None
    assert (step.stop.stop, step.stop.basis) == (Decimal("98.00"), "r1_pivot")


def test_break_even_rounds_up_to_the_grid_and_the_pivot_down() -> None:
    step = evaluate(held(avg_price=Decimal("100.0049")), at(105.0), Rules())
    assert step.stop is not None
    assert step.stop.stop == Decimal("100.01")
    step = evaluate(held(pivot=98.009), at(105.0), Rules(trim=TrimRules(breakeven_on_r1=False)))
    assert step.stop is not None
    assert step.stop.stop == Decimal("98.00")


def test_both_targets_in_one_bar_give_both_trims_and_the_higher_stop() -> None:
    step = evaluate(held(), at(110.0), Rules())
    assert step.trims == (Trim("r1", 0.5), Trim("r2", 0.5))
    assert step.stop is not None
    assert (step.stop.stop, step.stop.basis) == (Decimal("104.00"), "trail")  # 110 - 0.5 x (110 - 98)
    assert step.held.stop_mode is StopMode.CAUTION


def test_after_r2_the_stop_trails_the_highest_close() -> None:
    steps = walk(held(), at(110.0, 60), at(112.0, 61), at(111.0, 62), at(115.0, 63))
    assert [step.stop.stop if step.stop else None for step in steps] == [
        Decimal("104.00"),
        Decimal("106.00"),
        None,
        Decimal("109.00"),
    ]


def test_r2_keeps_the_label_when_a_close_at_the_pivot_resets_the_count() -> None:
    start = held(r1_state=TrimState.DONE, r2_state=TrimState.DONE, stop_mode=StopMode.CAUTION, invalidations=1)
    step = evaluate(start, at(99, breakout_close=99.0), Rules())
    assert (step.held.invalidations, step.held.stop_mode) == (0, StopMode.CAUTION)


def test_with_one_share_the_levels_mark_themselves_done_and_move_the_stop() -> None:
    first, second = walk(held(qty=1), at(105.0, 60), at(110.0, 61))
    assert (first.trims, first.r1_marked, first.r2_marked) == ((), True, False)
    assert (first.held.r1_state, first.stop and first.stop.stop) == (TrimState.DONE, Decimal("100.00"))
    assert (second.trims, second.r1_marked, second.r2_marked) == ((), False, True)
    assert second.stop is not None
    assert second.stop.stop == Decimal("104.00")


def test_with_two_shares_r1_sells_one_and_r2_marks_itself() -> None:
    step = evaluate(held(qty=2), at(110.0), Rules())
    assert (step.trims, step.r1_marked, step.r2_marked) == ((Trim("r1", 0.5),), False, True)


def test_a_trim_that_works_or_is_done_is_not_asked_for_again() -> None:
    for state in (TrimState.WORKING, TrimState.DONE):
        step = evaluate(held(r1_state=state, r2_state=state, stop=Decimal(104)), at(110.0), Rules())
        assert step.trims == ()


def test_adopted_shares_without_levels_are_neither_trimmed_nor_invalidated() -> None:
    step = evaluate(held(pivot=None, r1=None, r2=None), at(200.0, breakout_close=1.0), Rules())
    assert (step.trims, step.stop, step.leave, step.held.high_water) == ((), None, None, 200.0)


# 5. structure


def test_the_daily_swing_low_lifts_the_stop() -> None:
    day = Market(history(daily_bars({-10: {"low": 9.85}, -3: {"low": 9.96}, -2: {"low": 9.97}, -4: {"low": 9.97}})))
    day.tell(position(avg_price=Decimal("10.05"), stop=Decimal("9.60")))
    day.ten(10.04)
    [stop] = [stop for decided in day.decided for stop in decided.stops]
    assert (stop.stop, stop.basis, stop.id) == (Decimal("9.86"), "daily_swing_low", "240103-ABC-stop-031432")


def test_a_stop_at_or_above_the_price_is_not_sent_but_the_position_is_sold() -> None:
    lows = Lows(daily=97.0, intraday=None, since_entry=None, bars_after_entry=0)
    step = evaluate(held(), at(97.0, lows=lows), Rules())
    assert (step.leave, step.stop) == (Leave("stop_above_price", market=True), None)


def test_intraday_higher_lows_lift_the_stop_twenty_minutes_and_four_bars_after_the_entry() -> None:
    day = Market(
        position(stop=Decimal("9.00"), avg_price=Decimal("10.40"), high_water=10.4, pivot=9.0, r1=11.0, r2=12.0)
    )
    lows = [10.3, 10.1, 10.3, 10.2, 10.35, 10.3, 10.35, 10.35, 10.35, 10.35, 10.35, 10.35, 10.35]
    for low in lows:
        for _ in range(5):
            day.minute(bar(10.35, low=low))
    raised = [(decided.minute, stop.stop, stop.basis) for decided in day.decided for stop in decided.stops]
    # to 10:30 the daily low comes first; then 10.30, the latest low above the one before it
    assert raised == [
        (after(2), Decimal("9.70"), "daily_swing_low"),
        (after(60), Decimal("10.20"), "intraday_hl"),
    ]


# the close and what is being sold


def test_the_last_bar_of_the_session_moves_marks_alone() -> None:
    step = evaluate(held(), at(110.0, 390), Rules())
    assert (step.trims, step.stop, step.leave, step.held.high_water) == ((), None, None, 110.0)


def test_a_failure_at_the_close_is_decided_there_and_sold_as_market_later() -> None:
    step = evaluate(held(invalidations=1), at(97.0, 390, breakout_close=97.0), Rules())
    assert step.leave == Leave("invalidated", market=True)


def test_a_position_that_is_being_sold_moves_its_marks_and_asks_for_nothing() -> None:
    step = evaluate(held(stop_mode=StopMode.EXITING), at(110.0, breakout_close=97.0), Rules())
    assert (step.trims, step.stop, step.leave) == ((), None, None)
    assert (step.held.high_water, step.held.invalidations) == (110.0, 1)


def test_an_exit_is_asked_for_once() -> None:
    day = Market(position(stop_resting=False, stop=Decimal("10.00")))
    for _ in range(5):
        day.minute(bar(9.99))
    assert [len(decided.exits) for decided in day.decided] == [0, 1, 0, 0, 0]


# marks, and the ledger's word


def test_every_open_position_is_marked_at_each_minute_with_a_bar_and_at_the_close() -> None:
    day = Market(position())
    day.minute(bar(10.03))
    assert day.decided[-1].marks == ()  # the minute of the first fill is decided already
    [mark] = day.minute(bar(10.04)).marks
    assert (mark.symbol, mark.position_id, mark.high_water, mark.last_close) == ("ABC", "ABC-1", 10.04, 10.04)
    assert day.minute().marks == ()
    day.ten(*[None] * 38)
    for _ in range(7):
        day.minute()
    assert day.end == 390
    closing = day.decided[-1]
    assert [last.last_close for last in closing.marks] == [10.04]


def test_an_older_word_of_the_ledger_does_not_take_back_what_was_decided_since() -> None:
    day = Market(position())
    [decided] = [day.minute(bar(10.10)) for _ in range(2)][1:]
    assert [trim.level for trim in decided.trims] == ["r1"]
    day.tell(position(id="p2", decided_through=after(1), stop=Decimal("9.80")))
    assert day.minute(bar(10.10)).trims == ()
    day.tell(position(id="p3", decided_through=after(3), r1_state=TrimState.OPEN))
    assert [trim.level for trim in day.minute(bar(10.10)).trims] == ["r1"]  # cancelled unsold: it may fire again


def test_the_ledgers_facts_are_taken_at_once() -> None:
    day = Market(position())
    day.minute(bar(10.03))
    day.minute(bar(10.03))
    day.tell(position(id="p2", decided_through=after(1), stop_mode=StopMode.EXITING))
    [mark] = day.minute(bar(10.10)).marks
    assert (mark.stop_mode, day.decided[-1].trims) == (StopMode.EXITING, ())
    day.tell(position(id="p3", qty=0))
    assert day.minute(bar(10.10)).marks == ()


def test_minutes_that_the_ledger_has_are_not_evaluated_again() -> None:
    day = Market(position(decided_through=after(5), high_water=10.05))
    for _ in range(6):
        day.minute(bar(10.04))
    assert [len(decided.marks) for decided in day.decided] == [0, 0, 0, 0, 0, 1]
    assert day.decided[-1].marks[0].high_water == 10.05


def test_what_is_decided_already_is_answered_empty_and_never_twice() -> None:
    day = Market(position(), taken(3))
    for _ in range(3):
        assert day.minute(bar(10.10)).trims == ()
    decided = day.minute(bar(10.10))
    assert [trim.level for trim in decided.trims] == ["r1"]
    assert list(day.signals.handle(tick(4))) == [decided]  # the conductor gave it again


def test_a_tick_over_several_queued_minutes_decides_each_in_order() -> None:
    day = Market(position(), taken(2))
    day.tell(*(minute_bars(end, [bar(10.03 + end / 100)]) for end in (1, 2, 3, 4)))
    decided = day.signals.handle(tick(4))
    assert [message.minute for message in decided if isinstance(message, Decided)] == [after(3), after(4)]


def test_a_position_over_night_keeps_its_marks_of_the_ledger() -> None:
    entered = after(0) - dt.timedelta(days=1)
    day = Market(position(entered_at=entered, decided_through=entered + dt.timedelta(hours=6), high_water=10.5))
    [mark] = day.minute(bar(10.04)).marks
    assert mark.high_water == 10.5
