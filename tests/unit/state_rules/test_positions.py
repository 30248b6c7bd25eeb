"""The fold of executions into a position."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.vocabulary import Side
from shared.domain.positions import Fill, Holding, Split, book, fold, scaled, split

NINE_THIRTY = dt.datetime(2026, 1, 9, 14, 30, tzinfo=dt.UTC)


def fill(side: Side, qty: int, price: str, number: int = 0, minute: int = 0) -> Fill:
    return Fill(
        execution_id=f"{side}-{qty}-{price}-{number}",
        side=side,
        qty=qty,
        price=Decimal(price),
        at=NINE_THIRTY + dt.timedelta(minutes=minute),
    )


def bought(qty: int, price: str, number: int = 0, minute: int = 0) -> Fill:
    return fill(Side.BUY, qty, price, number, minute)


def sold(qty: int, price: str, number: int = 0, minute: int = 0) -> Fill:
    return fill(Side.SELL, qty, price, number, minute)


def test_the_average_price_is_over_all_shares_bought() -> None:
    holding = fold([bought(60, "10.00"), bought(40, "10.05")])
    assert (holding.qty, holding.avg_price) == (100, Decimal("10.02"))


def test_a_sale_realizes_against_the_average_price_and_leaves_it() -> None:
    holding = fold([bought(60, "10.00"), bought(40, "10.05"), sold(50, "11.00")])
    assert (holding.qty, holding.avg_price, holding.realized) == (50, Decimal("10.02"), Decimal("49.00"))


def test_the_result_of_a_closed_position_is_exact_though_its_average_is_not() -> None:
    holding = fold([bought(1, "10.00"), bought(2, "10.01"), sold(3, "10.02")])
    assert holding.avg_price == Decimal("10.006667")
    assert holding.realized == Decimal("0.04")


def test_an_execution_that_comes_three_times_is_booked_once() -> None:
    again = bought(10, "5.00")
    assert fold([again, again, again]).qty == 10


def test_shares_sold_beyond_what_is_held_are_reported_and_not_booked() -> None:
    holding = fold([bought(10, "5.00"), sold(12, "6.00")])
    assert (holding.qty, holding.oversold, holding.received) == (0, 2, Decimal("60.00"))


def test_the_times_are_those_of_the_first_and_last_executions() -> None:
    holding = fold([bought(5, "5", minute=1), bought(6, "5", minute=3), sold(2, "6", minute=7), sold(3, "6", minute=9)])
    assert [holding.first_bought_at, holding.last_bought_at, holding.last_sold_at] == [
        NINE_THIRTY + dt.timedelta(minutes=minute) for minute in (1, 3, 9)
    ]


@pytest.mark.parametrize(("qty", "price"), [(0, "5"), (-3, "5"), (3, "0"), (3, "-5")])
def test_an_execution_without_shares_or_price_is_refused(qty: int, price: str) -> None:
    with pytest.raises(ValueError, match="execution"):
        book(Holding(), bought(qty, price))


def test_a_split_scales_shares_and_average_and_no_dollar_moves() -> None:
    holding = fold([bought(10, "100"), sold(4, "110"), Split(new=4, old=1, at=NINE_THIRTY)])
    assert (holding.qty, holding.bought, holding.sold) == (24, 40, 16)
    assert (holding.avg_price, holding.paid, holding.realized) == (Decimal(25), Decimal(1000), Decimal(40))


def test_a_reverse_split_leaves_the_fraction_of_a_share_to_the_broker() -> None:
    holding = fold([bought(25, "2.00"), Split(new=1, old=10, at=NINE_THIRTY)])
    assert (holding.qty, holding.left_over) == (2, Decimal("0.5"))


def test_prices_after_a_split() -> None:
    assert scaled(Decimal("100.00"), new=4, old=1) == Decimal("25.00")
    assert scaled(Decimal("2.00"), new=1, old=10) == Decimal("20.00")


@pytest.mark.parametrize(("new", "old"), [(0, 1), (1, 0), (-2, 1)])
def test_a_split_without_a_ratio_is_refused(new: int, old: int) -> None:
    with pytest.raises(ValueError, match="split"):
        split(Holding(bought=10, paid=Decimal(10)), new, old)


FILLS = st.lists(
    st.builds(
        fill,
        side=st.sampled_from(Side),
        qty=st.integers(1, 500),
        price=st.decimals("0.01", "999.99", places=2).map(str),
        number=st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(FILLS)
def test_folding_again_and_piece_by_piece_is_the_same_fold(fills: list[Fill]) -> None:
    unique = list({one.execution_id: one for one in fills}.values())
    middle = len(unique) // 2
    assert fold(unique) == fold(unique + unique) == fold(unique[middle:], start=fold(unique[:middle]))


@settings(max_examples=100, deadline=None)
@given(FILLS)
def test_a_position_is_never_short_and_every_share_is_accounted_for(fills: list[Fill]) -> None:
    unique = list({one.execution_id: one for one in fills}.values())
    holding = fold(unique)
    sales = sum(one.qty for one in unique if one.side is Side.SELL)
    assert holding.qty >= 0
    assert holding.sold + holding.oversold == sales
