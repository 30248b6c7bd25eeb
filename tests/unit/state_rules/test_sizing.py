"""docs/strategy.md section 6: size, and the correlation penalty."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.state.sizing import correlation_penalty, correlations_with, scale_for, shares, shares_at_scale
from shared.contracts.rules import SizeRules

RULES = SizeRules()
FIRST = dt.date(2026, 1, 1)


def days(*closes: float, start: int = 0) -> list[tuple[dt.date, float]]:
    return [(FIRST + dt.timedelta(days=start + number), close) for number, close in enumerate(closes)]


def test_two_percent_of_equity_for_a_quiet_stock_at_its_avwap() -> None:
    assert shares(100_000, 10, RULES) == 200


def test_the_larger_of_distance_and_atr_scales_the_size_down() -> None:
    assert shares(100_000, 10, RULES, dist_pct=3.0, atr_pct=1.0) == 100
    assert shares(100_000, 10, RULES, dist_pct=1.0, atr_pct=3.0) == 100


def test_a_stock_below_its_avwap_is_not_bought_larger() -> None:
    assert shares(100_000, 10, RULES, dist_pct=-3.0) == 200


def test_the_scale_never_falls_below_a_quarter() -> None:
    assert shares(100_000, 10, RULES, dist_pct=60.0) == 50


@pytest.mark.parametrize(("dist_pct", "atr_pct"), [(1.0, None), (None, 1.0), (None, None)])
def test_what_cannot_be_measured_is_bought_at_the_floor(dist_pct: float | None, atr_pct: float | None) -> None:
    assert scale_for(dist_pct, atr_pct, RULES) == 0.25


def test_at_most_a_tenth_of_equity_whatever_the_base() -> None:
    assert shares(100_000, 50, SizeRules(base_fraction=0.5)) == 200


def test_a_share_too_dear_is_none() -> None:
    assert shares(25_000, 612.5, RULES) == 0


def test_a_product_that_is_whole_but_for_floating_point_is_not_cut() -> None:
    assert shares(90_000, 10, RULES, dist_pct=2.0) == 120


@pytest.mark.parametrize(("equity", "price"), [(0, 10), (-1, 10), (1000, 0), (1000, -5), (float("nan"), 10)])
def test_no_equity_or_price_is_an_error(equity: float, price: float) -> None:
    with pytest.raises(ValueError, match="no size"):
        shares(equity, price, RULES)


@pytest.mark.parametrize(
    ("correlations", "penalty"),
    [([], 0.0), ([0.6], 0.0), ([0.8], 0.25), ([-0.8], 0.25), ([1.0], 0.5), ([1.0, 0.2], 0.0), ([0.9, 0.7], 0.25)],
)
def test_the_penalty_rises_from_a_mean_correlation_of_six_tenths(correlations: list[float], penalty: float) -> None:
    assert correlation_penalty(correlations, RULES) == penalty


def test_symbols_that_move_alike_or_opposite_are_fully_correlated() -> None:
    up_and_down = [10.0, 11.0] * 15
    alike = [2 * close for close in up_and_down]
    opposite = [11.0, 10.0] * 15
    both = correlations_with(days(*up_and_down), [days(*alike), days(*opposite)], RULES)
    assert both == pytest.approx([1.0, -1.0], abs=0.01)


def test_fewer_than_twenty_common_sessions_say_nothing() -> None:
    closes = [10.0, 11.0] * 15
    assert correlations_with(days(*closes), [days(*closes[:20])], RULES) == []  # 19 returns
    assert len(correlations_with(days(*closes), [days(*closes[:21])], RULES)) == 1


def test_only_the_last_sixty_returns_count() -> None:
    calm = [10.0, 11.0] * 30 + [10.0]  # 60 returns
    wild = [100.0, 1.0, 50.0, 2.0] * 10
    assert correlations_with(days(*wild, *calm), [days(*calm, start=40)], RULES) == [1.0]


def test_a_price_that_never_moves_correlates_with_nothing() -> None:
    assert correlations_with(days(*[10.0, 11.0] * 15), [days(*[5.0] * 30)], RULES) == []


@settings(max_examples=100, deadline=None)
@given(
    equity=st.floats(1, 1e8),
    price=st.floats(0.01, 5000),
    dist=st.floats(-50, 50),
    atr=st.floats(0, 50),
    penalty=st.floats(-1, 2),
)
def test_no_size_exceeds_a_tenth_of_equity(
    equity: float, price: float, dist: float, atr: float, penalty: float
) -> None:
    count = shares(equity, price, RULES, dist_pct=dist, atr_pct=atr, penalty=penalty)
    assert count >= 0
    assert count * price <= 0.10 * equity * (1 + 1e-9) + 1e-6


@settings(max_examples=100, deadline=None)
@given(equity=st.decimals("1", "1000000", places=2), price=st.decimals("1", "900", places=2), scale=st.floats(0, 1))
def test_decimal_and_float_prices_give_the_same_size(equity: Decimal, price: Decimal, scale: float) -> None:
    assert shares_at_scale(equity, price, scale, RULES) == shares_at_scale(float(equity), float(price), scale, RULES)
