"""Equity, drawdown and exposure, worked out by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.reporting.cover import gaps
from cli.reporting.days import Point, curve, days, deepest, drawdowns, invested
from cli.reporting.report import totals
from cli.reporting.trades import slippages, trades
from shared.contracts.vocabulary import Side
from tests.unit.reporting.made import LEG, SESSION, at, bought, entry_order, fill, leg, refusal, rows, session

NEXT = dt.date(2015, 2, 12)


def points(*equities: int) -> list[Point]:
    return [Point(at(place), Decimal(equity)) for place, equity in enumerate(equities)]


def test_a_drawdown_is_measured_from_the_highest_point_before_it() -> None:
    fall = deepest(points(100, 120, 90, 110, 130, 117))
    assert fall is not None
    assert (fall.dollars, fall.fraction, fall.peak_at, fall.at) == (Decimal(30), 0.25, at(1), at(2))


def test_equity_that_never_falls_has_no_drawdown() -> None:
    assert deepest(points(100, 100, 101)) is None
    assert deepest([]) is None


@given(st.lists(st.integers(1, 10_000), min_size=1))
def test_the_deepest_drawdown_is_the_largest_of_all(equities: list[int]) -> None:
    fall = deepest(points(*equities))
    assert max(drawdowns(points(*equities))) == pytest.approx(fall.fraction if fall is not None else 0.0)


def test_the_curve_has_each_opening_and_each_close() -> None:
    both = rows(
        sessions=[session(), session(NEXT, "100200")], closings={SESSION: Decimal(100150), NEXT: Decimal(100100)}
    )
    assert [int(point.equity) for point in curve(both)] == [100_000, 100_150, 100_200, 100_100]


def test_exposure_is_the_cost_of_what_is_held_and_its_mean_weighs_by_time() -> None:
    half = rows([bought(100, "50.00", 0), fill(1, LEG, Side.SELL, 60, "51.00", 195)], [entry_order(), leg()])
    assert [cost for _, cost in invested(half)] == [Decimal(5000), Decimal(2000)]
    [day] = days(half, trades(half), [])
    assert (day.exposure, day.invested) == (0.05, 0.035)  # 5,000 then 2,000 of 100,000, half the session each
    assert (day.realized, day.bought, day.closed, day.held) == (Decimal(60), 1, 0, 1)


def test_a_stop_of_yesterday_that_sells_today_is_todays_profit() -> None:
    minutes_to_next_opening = 24 * 60
    over_night = rows(
        [bought(100, "50.00"), fill(1, LEG, Side.SELL, 100, "51.00", minutes_to_next_opening + 1)],
        [entry_order(), leg()],
        sessions=[session(), session(NEXT)],
    )
    yesterday, today = days(over_night, trades(over_night), [])
    assert (yesterday.realized, yesterday.held, yesterday.closed) == (Decimal(0), 1, 0)
    assert (today.realized, today.held, today.closed) == (Decimal(100), 0, 1)


def test_totals_of_a_win_of_two_r_and_a_loss_of_one() -> None:
    won = rows([bought(), fill(1, LEG, Side.SELL, 100, "52.00", 60)], [entry_order(), leg()], refused=[refusal()])
    of = trades(won)
    assert of[0].r_multiple == 2.0
    lost = trades(rows([bought(), fill(1, LEG, Side.SELL, 100, "49.00", 60)], [entry_order(), leg()]))
    both = (*of, *lost)
    found = totals(won, both, slippages(won, of), gaps(won), curve(won), days(won, both, []))
    assert (found.closed, found.wins, found.losses, found.win_rate) == (2, 1, 1, 0.5)
    assert (found.expectancy, found.average_r, found.profit_factor) == (Decimal(50), 0.5, 2.0)
    assert (found.average_win, found.average_loss) == (Decimal(200), Decimal(-100))


def test_without_a_closed_trade_nothing_is_averaged() -> None:
    none = rows()
    found = totals(none, (), (), (), curve(none), days(none, (), ()))
    assert (found.win_rate, found.expectancy, found.average_r, found.profit_factor) == (None, None, None, None)
