"""Prices, candles and the account's curve, folded from the bus."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from services.dashboard.tape import POINTS_MAX, Point, Price, Tape
from shared.domain.bars import SpanBar
from tests.unit.dashboard.samples import MINUTE, OPEN, account, bars


def taped(*messages: object) -> Tape:
    tape = Tape()
    for message in messages:
        tape.take(message)  # type: ignore[arg-type]
    return tape


def test_the_last_close_is_the_price_at_the_end_of_its_minute() -> None:
    tape = taped(bars(0, 10.0), bars(1, 10.2))
    assert tape.prices == {"AAPL": Price(10.2, OPEN + 2 * MINUTE)}


def test_ten_minutes_make_a_candle_and_the_unfinished_one_is_shown_without_ending_it() -> None:
    tape = taped(*(bars(minute, 10.0 + minute / 10) for minute in range(12)))
    expected = [SpanBar(0, 10, 10.0, 11.0, 9.9, 10.9, 10_000.0), SpanBar(10, 20, 11.0, 11.2, 10.9, 11.1, 2_000.0)]
    assert tape.candles("AAPL") == expected
    assert tape.candles("AAPL") == expected
    tape.take(bars(12, 12.0))
    assert tape.candles("AAPL")[1].close == 12.0


def test_a_minute_that_is_said_again_counts_once() -> None:
    tape = taped(bars(0, 10.0), bars(1, 10.2), bars(0, 10.0), bars(1, 10.2))
    assert [candle.volume for candle in tape.candles("AAPL")] == [2_000.0]


def test_a_symbol_that_nobody_heard_of_has_no_candle() -> None:
    assert taped(bars(0, 10.0)).candles("MSFT") == []


def test_a_later_session_begins_anew_and_an_earlier_one_is_passed_over() -> None:
    tomorrow = dt.datetime(2026, 1, 14, 14, 30, tzinfo=dt.UTC)
    tape = taped(bars(0, 10.0), account(0, 100, 90), bars(0, 11.0, session=tomorrow), bars(1, 9.0))
    assert tape.prices == {"AAPL": Price(11.0, tomorrow + MINUTE)}
    assert tape.points == []


def test_a_bar_outside_every_session_says_nothing() -> None:
    assert taped(bars(-30, 10.0)).prices == {}


def test_the_account_is_a_curve_with_one_point_an_instant() -> None:
    tape = taped(account(0, 100, 100), account(5, 101, 50), account(5, 102, 40), account(3, 7, 7))
    assert tape.points == [
        Point(OPEN, Decimal(100), Decimal(0)),
        Point(OPEN + 5 * MINUTE, Decimal(102), Decimal(62)),
    ]


def test_an_account_of_an_earlier_session_is_passed_over() -> None:
    yesterday = dt.date(2026, 1, 12)
    assert taped(account(0, 100, 100), account(1, 5, 5, session=yesterday)).points == [
        Point(OPEN, Decimal(100), Decimal(0))
    ]


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    tape = Tape()
    for minute in range(POINTS_MAX + 50):
        tape.take(account(minute, 100_000 + minute, 100_000))
    assert len(tape.points) <= POINTS_MAX
    ends = [float(tape.points[place].equity) for place in (0, -1)]
    assert ends == [100_000, 100_000 + POINTS_MAX + 49]


def test_every_change_raises_the_version() -> None:
    tape = taped(bars(0, 10.0))
    before = tape.version
    tape.take(account(1, 100, 100))
    assert tape.version == before + 1
