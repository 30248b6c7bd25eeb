"""Draws: chance that is a function of names."""

from __future__ import annotations

import datetime as dt
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.draws import draw

NAMES = st.lists(st.text(max_size=8), min_size=1, max_size=4)


def test_a_draw_is_the_same_for_ever() -> None:
    digest = hashlib.sha256(b"4:salt5:delay10:2026-01-13").digest()
    expected = (int.from_bytes(digest[:8], "big") >> 11) / 2**53
    assert draw("salt", "delay", dt.date(2026, 1, 13)) == expected


@given(NAMES)
@settings(max_examples=100, deadline=None)
def test_a_draw_lies_in_its_interval_and_repeats(names: list[str]) -> None:
    assert 0 <= draw(*names) < 1
    assert draw(*names) == draw(*names)


@given(NAMES, NAMES)
@settings(max_examples=100, deadline=None)
def test_other_names_are_another_draw(one: list[str], two: list[str]) -> None:
    assert (draw(*one) == draw(*two)) is (one == two)


def test_where_one_name_ends_matters() -> None:
    assert draw("ab", "c") != draw("a", "bc") != draw("abc")


def test_draws_are_spread_evenly() -> None:
    drawn = [draw("salt", number) for number in range(10_000)]
    tenths = [sum(place / 10 <= one < (place + 1) / 10 for one in drawn) for place in range(10)]
    assert all(900 < count < 1100 for count in tenths)
