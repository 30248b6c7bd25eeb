"""Charts as options of echarts: one symbol's session, and equity and exposure over the day.

Colours are such that both a dark and a light page can carry them. Tooltips are drawn as text, never as HTML, so that
nothing a message says can become part of the page.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.dashboard.rows import Breakout, Story, Traded
from services.dashboard.tape import SPAN, Point
from shared.contracts.vocabulary import OrderKind, Side
from shared.domain.bars import SpanBar, minutes_after
from shared.domain.words import reason_in_words

NEW_YORK: Final = ZoneInfo("America/New_York")
UP: Final = "#26a269"
DOWN: Final = "#e0525f"
STOP: Final = "#d9822b"
ACCENT: Final = "#4c8dff"
TEXT: Final = "#8b95a7"
GRID: Final = "rgba(139,149,167,0.16)"
MARKS: Final = {
    OrderKind.ENTRY: ("triangle", 0, UP),
    OrderKind.TRIM: ("triangle", 180, ACCENT),
    OrderKind.EXIT: ("triangle", 180, DOWN),
    OrderKind.FLAT: ("triangle", 180, DOWN),
    OrderKind.STOP: ("triangle", 180, STOP),
}
"""Kind of order → symbol, its turn in degrees, colour."""


def symbol_chart(story: Story, candles: Sequence[SpanBar]) -> dict[str, Any]:
    """Candles of ten minutes, the stop's path, pivot, R1 and R2, and what was done, with the reason."""
    minutes = minutes_after(story.opens_at, story.closes_at)
    starts = list(range(0, minutes, SPAN))
    clocks = [_clock(story.opens_at + dt.timedelta(minutes=start)) for start in starts]
    by_start = {candle.start: candle for candle in candles}
    found = [by_start.get(start) for start in starts]
    bars = [_round((bar.open, bar.close, bar.low, bar.high)) if bar is not None else "-" for bar in found]
    levels = [
        (name, level)
        for name, level in (("pivot", story.pivot), ("R1", story.r1), ("R2", story.r2))
        if level is not None
    ]
    return {
        "animation": False,
        "aria": {"enabled": True, "label": {"description": _in_words(story, candles)}},
        "grid": {"left": 16, "right": 8, "top": 28, "bottom": 24, "containLabel": True},
        "tooltip": {
            "trigger": "item",
            "renderMode": "richText",
            "confine": True,
            "backgroundColor": "#1d2431",
            "borderColor": "#3a4558",
            "textStyle": {"color": "#e8ecf3", "fontSize": 12},
        },
        "xAxis": {
            "type": "category",
            "data": clocks,
            "axisLabel": {"color": TEXT, "interval": 5},
            "axisLine": {"lineStyle": {"color": GRID}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "scale": True,
            "position": "right",
            "axisLabel": {"color": TEXT, ":formatter": "value => value.toFixed(2)"},
            "splitLine": {"lineStyle": {"color": GRID}},
        },
        "dataZoom": [{"type": "inside", "filterMode": "none"}],
        "series": [
            {
                "type": "candlestick",
                "name": story.symbol,
                "data": bars,
                "itemStyle": {"color": UP, "color0": DOWN, "borderColor": UP, "borderColor0": DOWN},
                "markLine": {
                    "symbol": "none",
                    "silent": True,
                    "label": {"color": TEXT, "position": "insideEndTop", "formatter": "{b}"},
                    "lineStyle": {"color": ACCENT, "type": "dashed", "width": 1},
                    "data": [{"name": name, "yAxis": round(level, 4)} for name, level in levels],
                },
                "tooltip": {"formatter": "{b}"},
            },
            {
                "type": "line",
                "name": "stop",
                "step": "end",
                "showSymbol": False,
                "connectNulls": False,
                "data": _stop_path(story, starts),
                "lineStyle": {"color": STOP, "width": 2},
                "itemStyle": {"color": STOP},
                "silent": True,
            },
            {
                "type": "scatter",
                "name": "what happened",
                "z": 10,
                "data": [*_breaks(story, starts), *_trades(story, starts)],
            },
        ],
    }


def equity_chart(points: Sequence[Point], opening: Decimal | None) -> dict[str, Any]:
    """Equity as a line, exposure as an area below it, each on its own axis."""
    times = [int(point.at.timestamp() * 1000) for point in points]
    axis = {"axisLabel": {"color": TEXT}, "splitLine": {"show": False}, "scale": True}
    baseline = [{"yAxis": float(opening), "name": "opening"}] if opening else []
    return {
        "animation": False,
        "useUTC": True,
        "aria": {"enabled": True},
        "grid": {"left": 8, "right": 8, "top": 30, "bottom": 4, "containLabel": True},
        "legend": {"textStyle": {"color": TEXT}, "top": 0, "left": 0, "itemHeight": 8},
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",
            "confine": True,
            "backgroundColor": "#1d2431",
            "borderColor": "#3a4558",
            "textStyle": {"color": "#e8ecf3", "fontSize": 12},
        },
        "xAxis": {
            "type": "time",
            "axisLabel": {"color": TEXT, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": GRID}},
            "splitLine": {"show": False},
        },
        "yAxis": [{**axis, "splitLine": {"lineStyle": {"color": GRID}}}, {**axis, "position": "right", "min": 0}],
        "series": [
            {
                "type": "line",
                "name": "equity",
                "showSymbol": len(points) < 3,
                "data": [
                    [at + _shift_ms(point.at), float(point.equity)] for at, point in zip(times, points, strict=True)
                ],
                "lineStyle": {"color": ACCENT, "width": 2},
                "itemStyle": {"color": ACCENT},
                "markLine": {
                    "symbol": "none",
                    "silent": True,
                    "label": {"show": False},
                    "lineStyle": {"color": TEXT, "type": "dotted"},
                    "data": baseline,
                },
            },
            {
                "type": "line",
                "name": "exposure",
                "yAxisIndex": 1,
                "showSymbol": False,
                "step": "end",
                "data": [
                    [at + _shift_ms(point.at), round(float(point.exposure), 2)]
                    for at, point in zip(times, points, strict=True)
                ],
                "lineStyle": {"width": 0},
                "itemStyle": {"color": STOP},
                "areaStyle": {"color": STOP, "opacity": 0.22},
            },
        ],
    }


def _shift_ms(at: dt.datetime) -> int:
    """New York's distance from UTC: echarts knows the browser's zone and UTC only, and the page shows New York."""
    offset = at.astimezone(NEW_YORK).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() * 1000)


def _stop_path(story: Story, starts: Sequence[int]) -> list[float | None]:
    """Where the stop lay at the end of each span, or lies now; None where there is none, or it is not yet."""
    path: list[float | None] = []
    for start in starts:
        begins = story.opens_at + dt.timedelta(minutes=start)
        before = [move for move in story.stops if move.at <= begins + dt.timedelta(minutes=SPAN)]
        stop = before[-1].stop if before and begins < story.now else None
        path.append(float(stop) if stop is not None else None)
    return path


def _breaks(story: Story, starts: Sequence[int]) -> Iterator[dict[str, Any]]:
    for breakout in story.breakouts:
        for name, start, close, text in (
            ("break", breakout.break_start, breakout.break_close, f"closed {breakout.break_close:,.2f}"),
            ("hold", breakout.hold_start, breakout.hold_close, _held(breakout)),
        ):
            place = _span(story, start, starts)
            if place is not None:
                at = _clock(start)
                yield {
                    "name": f"{at}  {name}",
                    "value": [place, round(close, 4)],
                    "symbol": "circle" if name == "break" else "diamond",
                    "symbolSize": 11,
                    "itemStyle": {"color": "transparent", "borderColor": ACCENT, "borderWidth": 2},
                    "tooltip": {"formatter": _plain(f"{at}  {name}: {text}, pivot {breakout.pivot:,.2f}")},
                }


def _held(breakout: Breakout) -> str:
    outcome = f"; {reason_in_words(breakout.outcome)}" if breakout.outcome else ""
    return f"closed {breakout.hold_close:,.2f}{outcome}"


def _trades(story: Story, starts: Sequence[int]) -> Iterator[dict[str, Any]]:
    for trade in story.traded:
        place = _span(story, trade.at - dt.timedelta(microseconds=1), starts)
        if place is None:
            continue
        symbol, turn, colour = MARKS[trade.kind]
        yield {
            "name": f"{_clock(trade.at)}  {trade.kind}",
            "value": [place, float(trade.price)],
            "symbol": symbol,
            "symbolRotate": turn,
            "symbolSize": 14,
            "itemStyle": {"color": colour, "borderColor": "#ffffff", "borderWidth": 1},
            "tooltip": {"formatter": _plain(trade_in_words(trade))},
        }


def trade_in_words(trade: Traded) -> str:
    """`11:44  bought 26 at 51.71: broke out and held`."""
    did = "bought" if trade.side is Side.BUY else "sold"
    return f"{_clock(trade.at)}  {did} {trade.qty} at {trade.price:,.2f}: {trade.reason}"


def _span(story: Story, at: dt.datetime, starts: Sequence[int]) -> int | None:
    place = minutes_after(story.opens_at, at) // SPAN
    return place if 0 <= place < len(starts) else None


def _plain(text: str) -> str:
    """`text` as a formatter that is taken letter by letter: braces would name fields, or styles."""
    return text.replace("{", "(").replace("}", ")").replace("|", "/")


def _in_words(story: Story, candles: Sequence[SpanBar]) -> str:
    last = f"last {candles[-1].close:,.2f}" if candles else "no bars yet"
    done = "; ".join(trade_in_words(trade) for trade in story.traded) or "nothing traded"
    return f"{story.symbol}, session {story.session}: {last}; {done}"


def _round(prices: Sequence[float]) -> list[float]:
    return [round(price, 4) for price in prices]


def _clock(at: dt.datetime) -> str:
    return f"{at.astimezone(NEW_YORK):%H:%M}"
