"""Dollars on the broker's grid: what is rounded lies on it, next to where it came from, on the asked side."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.money import CENT, SUB_DOLLAR_TICK, exact, figure, round_cents, round_down, round_up, tick

PRICES = st.decimals(min_value="0.0001", max_value="1000000", allow_nan=False, allow_infinity=False, places=9)
FLOATS = st.floats(min_value=0.0001, max_value=1_000_000)


def on_the_grid(price: Decimal) -> bool:
    return price % (Decimal("0.01") if price >= 1 else Decimal("0.0001")) == 0


@pytest.mark.parametrize(
    ("price", "down", "up"),
    [
        ("12.341", "12.34", "12.35"),
        ("12.34", "12.34", "12.34"),
        ("1.00", "1.00", "1.00"),
        ("1.0001", "1.00", "1.01"),
        ("0.99991", "0.9999", "1.00"),
        ("0.99999999", "0.9999", "1.00"),
        ("0.12345", "0.1234", "0.1235"),
        ("0.00005", "0.0000", "0.0001"),
    ],
)
def test_a_price_goes_down_or_up_to_its_own_side_of_the_one_dollar_line(price: str, down: str, up: str) -> None:
    assert (round_down(Decimal(price)), round_up(Decimal(price))) == (Decimal(down), Decimal(up))


@given(PRICES)
@settings(max_examples=200, deadline=None)
def test_rounding_lands_on_the_grid_within_one_step_and_never_on_the_wrong_side(price: Decimal) -> None:
    down, up = round_down(price), round_up(price)
    assert on_the_grid(down)
    assert on_the_grid(up)
    assert down <= price <= up
    assert up - down <= tick(price)


@given(PRICES)
@settings(max_examples=100, deadline=None)
def test_rounding_twice_changes_nothing(price: Decimal) -> None:
    assert round_down(round_down(price)) == round_down(price)
    assert round_up(round_up(price)) == round_up(price)


@given(FLOATS)
@settings(max_examples=200, deadline=None)
def test_a_market_float_becomes_money_by_the_text_that_people_see(price: float) -> None:
    assert str(exact(price)) == repr(price).upper().replace("E-0", "E-")
    assert float(exact(price)) == price


def test_a_float_that_reads_as_a_whole_cent_stays_there_though_its_binary_value_lies_beside_it() -> None:
    assert (1.1).as_integer_ratio() != (11, 10)
    assert round_up(1.1) == round_down(1.1) == Decimal("1.10")


@pytest.mark.parametrize("hole", [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("Infinity")])
def test_a_hole_in_the_data_is_no_price(hole: float | Decimal) -> None:
    for rounding in (exact, round_down, round_up):
        with pytest.raises(ValueError, match="not a price"):
            rounding(hole)


def test_the_step_is_a_cent_from_one_dollar_up_and_a_hundredth_of_one_below() -> None:
    assert tick(Decimal("1.00")) == CENT == Decimal("0.01")
    assert tick(Decimal("0.9999")) == SUB_DOLLAR_TICK == Decimal("0.0001")


def test_an_amount_is_rounded_half_to_even_so_that_many_of_them_drift_nowhere() -> None:
    assert [round_cents(Decimal(text)) for text in ("0.005", "0.015", "-0.005")] == [
        Decimal("0.00"),
        Decimal("0.02"),
        Decimal("0.00"),
    ]


@given(st.floats(min_value=-1e6, max_value=1e6))
@settings(max_examples=100, deadline=None)
def test_figures_are_compared_at_nine_decimals(value: float) -> None:
    assert figure(value) == round(value, 9)
    assert figure(0.1 + 0.2) == 0.3
