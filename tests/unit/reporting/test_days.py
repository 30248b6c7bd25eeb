"""Equity, drawdown and exposure, worked out by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.reporting.cover import gaps
from cli.reporting.curve import Point, curve, deepest, drawdowns, thinned
from cli.reporting.days import days, invested
from cli.reporting.page import page
from cli.reporting.report import report_of, totals
from cli.reporting.rows import Market, Minute, Recorded
from cli.reporting.trades import slippages, trades
from shared.contracts.rules import StopRules
from shared.contracts.vocabulary import Side
from tests.unit.reporting.made import LEG, SESSION, at, bought, entry_order, fill, leg, position, refusal, rows, session

NEXT = dt.date(2015, 2, 12)


NOTHING = Market(source="", recorded={}, missing={})


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
    assert [int(point.equity) for point in curve(both, NOTHING)] == [100_000, 100_150, 100_200, 100_100]


def minute_by_minute(*closes: float) -> Market:
    bars = tuple(Minute(at(place), close, close, close, close) for place, close in enumerate(closes))
    return Market(source="a file", recorded={(SESSION, "AAPL"): Recorded(minutes=bars, swing_low=None)}, missing={})


def test_within_a_session_equity_follows_the_price_of_what_is_held() -> None:
    """100 bought at 50.00 in minute 2, 40 of them sold at 52.00 in minute 4; closes at 53.00, so 60 x 3 + 40 x 2."""
    held = rows(
        [bought(100, "50.00", 2), fill(1, LEG, Side.SELL, 40, "52.00", 4)],
        [entry_order(), leg()],
        positions=[position(minutes=2)],
        closings={SESSION: Decimal(100_260)},
        now=at(6),
    )
    found = curve(held, minute_by_minute(49.0, 49.5, 51.0, 52.5, 52.0, 53.0))
    assert [(point.at, float(point.equity)) for point in found] == [
        (at(0), 100_000),
        (at(1), 100_000),  # nothing is held yet
        (at(2), 99_950),  # bought at 50.00, the last close was 49.50
        (at(3), 100_100),
        (at(4), 100_230),  # 60 at 52.50, and 40 sold at 52.00
        (at(5), 100_200),
        (at(6), 100_260),
    ]


def test_a_session_that_has_not_opened_yet_has_no_close_and_a_report_all_the_same() -> None:
    early = rows(closings={SESSION: Decimal(100_000)}, now=at(-10))
    assert [point.at for point in curve(early, NOTHING)] == [at(0)]
    assert page(report_of(early, NOTHING, StopRules())).count("nothing was held") == 1


def test_where_the_minutes_of_what_is_held_are_unknown_the_curve_has_opening_and_close_alone() -> None:
    held = rows([bought()], [entry_order(), leg()], closings={SESSION: Decimal(100_300)})
    assert [int(point.equity) for point in curve(held, NOTHING)] == [100_000, 100_300]


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=300))
def test_thinning_keeps_the_ends_the_highest_and_the_lowest(equities: list[int]) -> None:
    kept = thinned(points(*equities), most=20)
    assert len(kept) <= 22
    assert (kept[0], kept[-1]) == (points(*equities)[0], points(*equities)[-1])
    assert {min(equities), max(equities)} <= {int(point.equity) for point in kept}
    assert [point.at for point in kept] == sorted(point.at for point in kept)


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
    found = totals(won, both, slippages(won, of), gaps(won), curve(won, NOTHING), days(won, both, []))
    assert (found.closed, found.wins, found.losses, found.win_rate) == (2, 1, 1, 0.5)
    assert (found.expectancy, found.average_r, found.profit_factor) == (Decimal(50), 0.5, 2.0)
    assert (found.average_win, found.average_loss) == (Decimal(200), Decimal(-100))


def test_without_a_closed_trade_nothing_is_averaged() -> None:
    none = rows()
    found = totals(none, (), (), (), curve(none, NOTHING), days(none, (), ()))
    assert (found.win_rate, found.expectancy, found.average_r, found.profit_factor) == (None, None, None, None)
