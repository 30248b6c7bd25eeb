"""The points of a sweep: every combination once, and nothing that is no setting."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cli.sweeping.folder import Asked, Result
from cli.sweeping.grid import Vary, known_names, points, read_vary
from cli.sweeping.shown import csv_of, page_of, ranked
from cli.trouble import Trouble
from shared.runtime.settings import load_settings


@given(st.lists(st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4, unique=True), min_size=1, max_size=3))
def test_every_combination_is_a_point_once(values: list[list[str]]) -> None:
    varied = [Vary(f"setting.{place}", tuple(one)) for place, one in enumerate(values)]
    found = points(varied)
    assert len({tuple(point.settings.values()) for point in found}) == len(found) == math.prod(map(len, values))
    assert [point.number for point in found] == list(range(len(found)))


def test_a_points_variables_are_settings() -> None:
    [point] = points([read_vary("breakout.min_rvol=1.5")])
    assert load_settings(point.variables).breakout.min_rvol == 1.5


REFUSED = [
    ("breakout.min_rvl=1", "did you mean breakout.min_rvol?"),
    ("breakout.min_rvol", "write a setting and its values"),
    ("breakout.min_rvol= , ", "write a setting and its values"),
    ("broker.kind=live", "is no setting of the rules"),
    ("candidates.watchlist=[]", "is no setting of the rules"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_no_setting_of_the_rules_is_refused(text: str, why: str) -> None:
    with pytest.raises(Trouble, match=why.replace("?", r"\?")):
        read_vary(text)


def test_a_grid_that_nobody_means_is_refused() -> None:
    twice = read_vary("breakout.min_rvol=1,2")
    with pytest.raises(Trouble, match="varied twice"):
        points([twice, twice])
    with pytest.raises(Trouble, match="more than 10,000"):
        points([Vary(name, tuple(map(str, range(50)))) for name in known_names()[:3]])


def result(number: int, realized: str, **settings: str) -> Result:
    return Result(
        number=number,
        settings=settings,
        trades=2,
        held=0,
        win_rate=0.5,
        average_r=0.1,
        realized=Decimal(realized),
        change=None,
        drawdown=Decimal(0),
        digest="d",
    )


ASKED = Asked(
    bars="b",
    daily="",
    first=dt.date.fromisoformat("2015-02-09"),
    last=dt.date.fromisoformat("2015-02-27"),
    watchlist=("AAPL",),
    seed=1,
    varied=(Vary("a.b", ("1", "<2>")), Vary("c.d", ("3", "4"))),
)
RESULTS = [
    result(number, realized, **{"a.b": one, "c.d": other})
    for number, (one, other, realized) in enumerate(
        [("1", "3", "-5"), ("1", "4", "7"), ("<2>", "3", "7"), ("<2>", "4", "0")]
    )
]


def test_the_most_realized_comes_first_and_of_equals_the_first() -> None:
    assert [one.number for one in ranked(RESULTS)] == [1, 2, 3, 0]


def test_the_table_is_in_the_order_of_the_grid_and_the_page_escapes_what_was_typed() -> None:
    lines = csv_of(ASKED, list(reversed(RESULTS))).splitlines()
    assert lines[0].split(",")[:3] == ["a.b", "c.d", "trades"]
    assert [line.split(",")[6] for line in lines[1:]] == ["-5", "7", "7", "0"]
    page = page_of(ASKED, RESULTS)
    assert "<th>&lt;2&gt;</th>" in page
    assert page.count("<td ") == 4
