"""Bar checks: what is wrong with a bar is said, and what is real passes."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_data.checks import Checks, Fault
from shared.contracts.market import Bar
from tests.unit.market_data.making import DAY, HALF_DAY, at, bar


def checks() -> Checks:
    return Checks(DAY, 0.25, known={"AAPL", "SPY"})


@pytest.mark.parametrize(
    ("start", "told", "fault"),
    [
        (at(0), bar(), None),
        (at(389), bar(), None),
        (at(0), bar(open=99.0, high=101.0, low=98.0, close=100.5), None),
        (at(0), bar(volume=0.0), None),
        (at(0), bar("MSFT"), Fault.UNKNOWN_SYMBOL),
        (at(0), bar(""), Fault.UNKNOWN_SYMBOL),
        (at(0), bar(high=math.inf), Fault.NOT_FINITE),
        (at(0), bar(low=math.nan), Fault.NOT_FINITE),
        (at(0), bar(volume=math.nan), Fault.NOT_FINITE),
        (at(0), bar(low=0.0), Fault.NOT_POSITIVE),
        (at(0), bar(price=-1.0), Fault.NOT_POSITIVE),
        (at(0), bar(volume=-1.0), Fault.NEGATIVE_VOLUME),
        (at(0), Bar("AAPL", 100, 99, 98, 98.5, 10), Fault.DISORDER),
        (at(0), Bar("AAPL", 100, 101, 100.5, 100.7, 10), Fault.DISORDER),
        (at(0), Bar("AAPL", 100, 101, 99, 101.5, 10), Fault.DISORDER),
        (at(0), Bar("AAPL", 100, 101, 99, 98.5, 10), Fault.DISORDER),
        (at(0) + dt.timedelta(seconds=1), bar(), Fault.OFF_THE_MINUTE),
        (at(-1), bar(), Fault.OUTSIDE_SESSION),
        (at(390), bar(), Fault.OUTSIDE_SESSION),
    ],
)
def test_each_fault_of_a_bar_has_its_name(start: dt.datetime, told: Bar, fault: Fault | None) -> None:
    assert checks().take(start, told) is fault


def test_a_half_day_ends_at_its_own_close() -> None:
    half = Checks(HALF_DAY, 0.25)
    assert half.take(at(209, HALF_DAY), bar()) is None
    assert half.take(at(210, HALF_DAY), bar()) is Fault.OUTSIDE_SESSION


def test_a_symbol_that_could_not_be_a_key_is_unknown_even_where_any_may_come() -> None:
    assert Checks(DAY, 0.25).take(at(0), bar("../../etc")) is Fault.UNKNOWN_SYMBOL
    assert Checks(DAY, 0.25).take(at(0), bar("BRK.B")) is None


def test_a_second_bar_of_the_same_minute_is_a_duplicate_and_an_earlier_one_is_out_of_order() -> None:
    one = checks()
    assert one.take(at(3), bar()) is None
    assert one.take(at(3), bar(price=100.1)) is Fault.DUPLICATE
    assert one.take(at(2), bar()) is Fault.OUT_OF_ORDER
    assert one.take(at(2), bar("SPY")) is None
    assert one.take(at(4), bar()) is None


def test_a_good_bar_after_a_bad_one_of_its_minute_is_taken() -> None:
    one = checks()
    assert one.take(at(3), bar(low=-1.0)) is Fault.NOT_POSITIVE
    assert one.take(at(3), bar()) is None


def with_usual_volume(close: float = 567.0, volume: float = 9_500.0) -> Checks:
    one = checks()
    for minute in range(30):
        assert one.take(at(minute), bar(price=close, volume=volume)) is None
    return one


def test_the_bad_print_of_deere_is_quarantined_and_the_next_bar_is_not() -> None:
    one = with_usual_volume()
    bad = Bar("AAPL", 567.8, 571.7, 18.385, 570.68, 9_361)
    assert one.take(at(30), bad) is Fault.JUMP
    assert one.take(at(31), Bar("AAPL", 570.05, 571.61, 568.95, 571.47, 4_255)) is None


def test_a_bad_print_upwards_is_quarantined_too() -> None:
    one = with_usual_volume()
    assert one.take(at(30), bar(price=567.0, volume=9_000, high=17_000.0)) is Fault.JUMP


def test_bad_prints_in_a_row_never_back_each_other() -> None:
    one = with_usual_volume()
    for minute in range(30, 60):
        assert one.take(at(minute), Bar("AAPL", 567, 568, 18, 567, 9_400)) is Fault.JUMP


def test_a_crash_with_its_volume_is_real() -> None:
    one = checks()
    one.expect("AAPL", 4.76, 87_069)
    assert one.take(at(0), Bar("AAPL", 1.715, 1.715, 1.53, 1.535, 4_214_351)) is None


def test_a_crash_with_ordinary_volume_is_believed_at_its_third_bar() -> None:
    one = with_usual_volume()
    assert one.take(at(30), bar(price=180.0, volume=9_500)) is Fault.JUMP
    assert one.take(at(31), bar(price=181.0, volume=9_500)) is Fault.JUMP
    assert one.take(at(32), bar(price=182.0, volume=9_500)) is None
    assert one.take(at(33), bar(price=181.0, volume=100)) is None


def test_a_jump_without_any_volume_is_never_believed() -> None:
    one = with_usual_volume()
    for minute in range(30, 90):
        assert one.take(at(minute), bar(price=180.0, volume=0)) is Fault.JUMP
    assert one.take(at(90), bar(price=567.0)) is None


def test_bars_without_volume_do_not_lower_what_is_usual() -> None:
    one = with_usual_volume()
    for minute in range(30, 60):
        assert one.take(at(minute), bar(price=567.0, volume=0)) is None
    assert one.take(at(60), Bar("AAPL", 567, 567, 18, 567, 9_000)) is Fault.JUMP


def test_an_index_that_never_has_volume_may_jump() -> None:
    one = checks()
    for minute in range(10):
        assert one.take(at(minute), bar(price=15.0, volume=0)) is None
    assert one.take(at(10), bar(price=25.0, volume=0)) is None


def test_the_first_bar_is_held_against_the_close_before_where_there_is_one() -> None:
    told, untold = checks(), checks()
    told.expect("AAPL", 100.0, 1_000.0)
    assert told.take(at(0), bar(price=60.0, volume=500)) is Fault.JUMP
    assert untold.take(at(0), bar(price=60.0, volume=500)) is None


def test_a_move_up_to_the_bound_needs_no_volume() -> None:
    one = with_usual_volume(close=100.0)
    assert one.take(at(30), bar(price=125.0, volume=1)) is None


PRICE = st.floats(1, 1000) | st.sampled_from([math.nan, math.inf, -1.0, 0.0])
ANY_BAR = st.builds(
    Bar, st.sampled_from(["AAPL", "SPY", "??"]), PRICE, PRICE, PRICE, PRICE, st.floats(-5, 1e6) | st.just(math.nan)
)


@given(st.lists(st.tuples(st.integers(-2, 392), ANY_BAR), max_size=40))
@settings(max_examples=150, deadline=None)
def test_what_is_taken_is_sound_in_time_order_and_once_a_minute(told: list[tuple[int, Bar]]) -> None:
    one = checks()
    taken = [(minute, one_bar) for minute, one_bar in told if one.take(at(minute), one_bar) is None]
    for symbol in ("AAPL", "SPY"):
        minutes = [minute for minute, one_bar in taken if one_bar.symbol == symbol]
        assert minutes == sorted(set(minutes))
    for minute, one_bar in taken:
        assert 0 <= minute < 390
        assert 0 < one_bar.low <= min(one_bar.open, one_bar.close) <= max(one_bar.open, one_bar.close) <= one_bar.high
        assert one_bar.volume >= 0
        assert one_bar.symbol != "??"
