"""First stops and trims: what signals and state both ask (docs/strategy.md sections 2 and 8)."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from services.state import pricing
from shared.contracts.money import round_down
from shared.contracts.rules import StopRules
from shared.domain.levels import first_stop, risk_is_too_wide, risk_pct, scan_first_stop, trim_shares

RULES = StopRules()
DOLLARS = st.integers(2, 100_000).map(lambda cents: cents / 100)


def test_the_first_stop_is_the_lower_of_the_swing_low_and_the_least_distance() -> None:
    assert first_stop(9.80, 10.03, RULES) == 9.70
    assert first_stop(9.95, 10.00, RULES) == 9.85
    assert first_stop(9.99, 10.00, RULES) == 9.85  # 1.5 % away at least


def test_there_is_no_first_stop_without_a_swing_low_below_the_price() -> None:
    assert first_stop(None, 10.0, RULES) is None
    assert first_stop(10.10, 10.0, RULES) is None  # 10.10 - 0.10 is not below
    assert first_stop(10.09, 10.0, RULES) == 9.85
    assert first_stop(0.10, 10.0, RULES) is None  # no price
    assert (scan_first_stop(9.9, 10.0), scan_first_stop(10.0, 10.0)) == (9.9, None)


@settings(max_examples=100, deadline=None)
@given(DOLLARS, st.none() | DOLLARS)
def test_state_makes_the_same_stop_and_puts_it_on_the_grid(price: float, swing_low: float | None) -> None:
    ours = first_stop(swing_low, price, RULES)
    on_grid = round_down(ours) if ours is not None else None
    assert pricing.first_stop(price, swing_low, RULES) == (on_grid if on_grid else None)


def test_risk_is_wide_above_four_percent_or_above_dollars_where_set() -> None:
    assert risk_pct(100.0, 96.0) == 4.0
    assert not risk_is_too_wide(100.0, 96.0, 4.0, None)
    assert risk_is_too_wide(100.0, 95.99, 4.0, None)
    assert risk_is_too_wide(100.0, 96.0, 4.0, 3.0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 100))
def test_a_trim_is_the_exact_fraction_rounded_down(qty: int, percent: int) -> None:
    exact = (Decimal(percent) * qty / 100).to_integral_value(ROUND_FLOOR)
    assert trim_shares(qty, percent / 100) == int(exact) == int(Fraction(percent * qty, 100))
