"""Where a position stands: gain, R, and places on the bar."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.dashboard.standing import standing
from services.dashboard.tape import Price
from tests.unit.dashboard.samples import OPEN, held


@pytest.mark.parametrize(
    ("close", "gain", "r"),
    [(10.5, "50.0", 1.0), (9.5, "-50.0", -1.0), (10.0, "0.0", 0.0), (11.0, "100.0", 2.0)],
)
def test_gain_is_in_dollars_and_in_units_of_what_was_risked(close: float, gain: str, r: float) -> None:
    found = standing(held(), Price(close, OPEN))
    assert (found.gain, found.r) == (Decimal(gain), r)


def test_r_is_of_the_first_stop_whatever_the_stop_is_now() -> None:
    assert standing(held(stop=Decimal("10.40")), Price(10.5, OPEN)).r == 1.0


def test_adopted_shares_have_no_r_and_no_targets() -> None:
    found = standing(held(first_stop=None, pivot=None, r1=None, r2=None), Price(10.5, OPEN))
    assert found.r is None
    assert [mark.name for mark in found.marks] == ["stop", "entry"]


def test_without_a_price_there_is_no_gain_and_the_levels_stand() -> None:
    found = standing(held(), None)
    assert (found.price, found.gain, found.r, found.place) == (None, None, None, None)
    assert [mark.name for mark in found.marks] == ["stop", "entry", "R1", "R2"]


def test_the_bar_runs_from_the_lowest_to_the_highest_of_levels_and_price() -> None:
    found = standing(held(), Price(10.25, OPEN))
    assert [mark.place for mark in found.marks] == [4.0, pytest.approx(34.67), pytest.approx(65.33), 96.0]
    assert found.place == pytest.approx(50.0)
    assert standing(held(), Price(9.0, OPEN)).place == 4.0
    assert standing(held(), Price(12.0, OPEN)).place == 96.0


def test_shares_without_a_resting_stop_are_not_covered() -> None:
    assert standing(held(resting=99), None).covered is False
    assert standing(held(resting=100), None).covered is True


@settings(max_examples=100, deadline=None)
@given(some.floats(0.01, 10_000), some.floats(0.01, 10_000), some.floats(0.01, 10_000))
def test_everything_lies_on_the_bar_in_the_order_of_its_price(close: float, r1: float, r2: float) -> None:
    found = standing(held(r1=r1, r2=r2), Price(close, OPEN))
    places = [(mark.price, mark.place) for mark in found.marks] + [(close, found.place or 0.0)]
    assert all(0 <= place <= 100 for _, place in places)
    ordered = [place for _, place in sorted(places)]
    assert ordered == sorted(ordered)
