"""Charts: what is drawn where, and that a tooltip is text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from services.dashboard.chart import equity_chart, symbol_chart
from services.dashboard.rows import Breakout, StopMove, Traded
from services.dashboard.tape import Point
from shared.contracts.vocabulary import OrderKind, Side
from shared.domain.bars import SpanBar
from tests.unit.dashboard.samples import MINUTE, OPEN, story

CANDLES = [SpanBar(0, 10, 9.8, 10.1, 9.7, 10.0, 1000.0), SpanBar(20, 30, 10.0, 10.4, 9.9, 10.3, 900.0)]
BREAKOUT = Breakout(
    confirmed_at=OPEN + 20 * MINUTE,
    break_start=OPEN,
    hold_start=OPEN + 10 * MINUTE,
    break_close=10.0,
    hold_close=10.05,
    pivot=9.9,
    r1=10.5,
    r2=11.0,
    outcome="admitted",
)


def bought(minute: int, reason: str = "broke out and held") -> Traded:
    at = OPEN + minute * MINUTE
    return Traded(at=at, side=Side.BUY, kind=OrderKind.ENTRY, qty=100, price=Decimal("10.06"), reason=reason)


def series(options: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in options["series"] if one["type"] == kind)
    return found


def test_a_session_has_39_places_and_a_span_without_bars_is_a_hole() -> None:
    options = symbol_chart(story(), CANDLES)
    assert options["xAxis"]["data"][0] == "09:30"
    assert options["xAxis"]["data"][-1] == "15:50"
    assert series(options, "candlestick")["data"][:4] == [[9.8, 10.0, 9.7, 10.1], "-", [10.0, 10.3, 9.9, 10.4], "-"]


def test_levels_are_lines_with_their_names() -> None:
    lines = series(symbol_chart(story(r2=None), []), "candlestick")["markLine"]["data"]
    assert [(line["name"], line["yAxis"]) for line in lines] == [("pivot", 9.9), ("R1", 10.5)]


def test_the_stop_is_a_path_from_the_entry_to_now() -> None:
    moves = (
        StopMove(at=OPEN + 12 * MINUTE, stop=Decimal("9.50"), reason="first_stop"),
        StopMove(at=OPEN + 35 * MINUTE, stop=Decimal("10.06"), reason="r1_breakeven"),
    )
    path = series(symbol_chart(story(stops=moves, now=OPEN + 45 * MINUTE), []), "line")["data"]
    assert path[:6] == [None, 9.5, 9.5, 10.06, 10.06, None]


def test_the_path_ends_with_the_position() -> None:
    moves = (
        StopMove(at=OPEN, stop=Decimal("9.50"), reason="first_stop"),
        StopMove(at=OPEN + 15 * MINUTE, stop=None, reason="closed"),
    )
    assert series(symbol_chart(story(stops=moves), []), "line")["data"][:3] == [9.5, None, None]


def test_marks_stand_in_their_span_with_the_reason() -> None:
    options = symbol_chart(story(breakouts=(BREAKOUT,), traded=(bought(20), bought(21))), CANDLES)
    marks = series(options, "scatter")["data"]
    assert [(mark["name"], mark["value"]) for mark in marks] == [
        ("09:30  break", [0, 10.0]),
        ("09:40  hold", [1, 10.05]),
        ("09:50  entry", [1, 10.06]),  # at the end of the second span, not in the third
        ("09:51  entry", [2, 10.06]),
    ]
    said = [mark["tooltip"]["formatter"] for mark in marks]
    assert said[1] == "09:40  hold: closed 10.05; bought, pivot 9.90"
    assert said[2] == "09:50  bought 100 at 10.06: broke out and held"


def test_a_fill_before_or_after_the_session_has_no_place() -> None:
    assert series(symbol_chart(story(traded=(bought(-5), bought(400))), []), "scatter")["data"] == []


def test_tooltips_are_drawn_as_text_and_name_no_field_of_the_chart() -> None:
    options = symbol_chart(story(traded=(bought(5, "{c|<img src=x>}"),)), [])
    assert options["tooltip"]["renderMode"] == "richText"
    assert series(options, "scatter")["data"][0]["tooltip"]["formatter"].endswith(": (c/<img src=x>)")


def test_the_chart_says_itself_in_words() -> None:
    options = symbol_chart(story(traded=(bought(20),)), CANDLES)
    assert options["aria"]["label"]["description"] == (
        "AAPL, session 2026-01-13: last 10.30; 09:50  bought 100 at 10.06: broke out and held"
    )


def test_equity_and_exposure_share_new_yorks_time() -> None:
    options = equity_chart([Point(OPEN, Decimal(100_000), Decimal(0))], Decimal(100_000))
    [[at_ms, equity]] = options["series"][0]["data"]
    assert (at_ms // 60_000 % (24 * 60), equity) == (9 * 60 + 30, 100_000.0)
    assert options["series"][0]["markLine"]["data"] == [{"yAxis": 100_000.0, "name": "opening"}]
