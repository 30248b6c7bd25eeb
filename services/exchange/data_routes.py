"""Alpaca's market data routes over what this exchange has seen: bars, and quotes and trades made of their closes."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.exchange.market import MINUTE, Market, SymbolDay, TimedBar, resampled
from services.exchange.queries import read_time, symbols_of
from services.exchange.refusals import Refusal, Why, refuse
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.money import exact, tick

POINTS_DEFAULT: Final = 1000
POINTS_MOST: Final = 10_000
TIMEFRAME: Final = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D)\Z")
UNITS: Final = {"Min": MINUTE, "T": MINUTE, "Hour": dt.timedelta(hours=1), "H": dt.timedelta(hours=1)}
VENUE: Final = "V"
LOT: Final = 100

Query = Mapping[str, str]


class WireBar(Struct, frozen=True):
    t: dt.datetime
    o: float
    h: float
    l: float  # noqa: E741 - the key's name on the wire
    c: float
    v: float
    n: int
    vw: float


class Page(Struct, frozen=True):
    bars: dict[str, list[WireBar]]
    next_page_token: str | None = None


def bar_out(bar: TimedBar) -> WireBar:
    """n, vw: not known from a bar; one trade per hundred shares, and the typical price."""
    volume = int(bar.volume) if bar.volume == int(bar.volume) else bar.volume
    typical = round((bar.high + bar.low + bar.close) / 3, 6)
    return WireBar(bar.start, bar.open, bar.high, bar.low, bar.close, volume, max(1, int(volume) // LOT), typical)


def bars(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Page | Refusal:
    """History up to the last completed bar. The limit counts points over all symbols, by symbol, then time."""
    unit = TIMEFRAME.match(query.get("timeframe", ""))
    if unit is None:
        return refuse(Why.PARAMETER, "timeframe")
    try:
        start = read_time(query["start"]) if "start" in query else now.replace(hour=0, minute=0, second=0)
        end = min(read_time(query["end"]) if "end" in query else now, now)
        limit = max(1, min(int(query.get("limit", POINTS_DEFAULT)), POINTS_MOST))
        after = _read_token(query.get("page_token", ""))
    except (ValueError, msgspec.DecodeError):
        return refuse(Why.PARAMETER, "start, end, limit or page_token")
    descending = query.get("sort") == "desc"
    points = (
        (symbol, bar)
        for symbol in sorted(symbols_of(query))
        if after is None or symbol >= after.symbol
        for bar in _in_order(_bars_of(market, symbol, unit, start, end, now), descending=descending)
        if after is None
        or symbol > after.symbol
        or (bar.start < after.start if descending else bar.start > after.start)
    )
    found = list(islice(points, limit + 1))
    page: dict[str, list[WireBar]] = {}
    for symbol, bar in found[:limit]:
        page.setdefault(symbol, []).append(bar_out(bar))
    if len(found) <= limit:
        return Page(page)
    last_symbol, last_bar = found[limit - 1]
    return Page(page, _write_token(_Place(last_symbol, last_bar.start)))


def _in_order(found: Sequence[TimedBar], *, descending: bool) -> Sequence[TimedBar]:
    return list(reversed(found)) if descending else found


def latest_bars(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Any:
    return {"bars": {symbol: bar_out(day.minute) for symbol, day in _known(market, query)}}


def latest_quotes(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Any:
    return {"quotes": {symbol: quote_out(day, rules) for symbol, day in _known(market, query)}}


def latest_trades(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Any:
    return {"trades": {symbol: trade_out(day) for symbol, day in _known(market, query)}}


def quotes(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Any:
    """None are kept."""
    return {"quotes": {}, "next_page_token": None}


def trades(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Any:
    """None are kept."""
    return {"trades": {}, "next_page_token": None}


def snapshots(market: Market, query: Query, now: dt.datetime, rules: ExchangeRules) -> Any:
    return {
        symbol: {
            "latestTrade": trade_out(day),
            "latestQuote": quote_out(day, rules),
            "minuteBar": bar_out(day.minute),
            "dailyBar": bar_out(day.day),
            "prevDailyBar": bar_out(day.before) if day.before else None,
        }
        for symbol, day in _known(market, query)
    }


def quote_out(day: SymbolDay, rules: ExchangeRules) -> dict[str, Any]:
    """Half the spread, at least a tick, on each side of the last price."""
    last = exact(day.minute.close)
    half = max((last * exact(rules.spread) / 2).quantize(tick(last)), tick(last))
    return {
        "t": day.minute.start + MINUTE,
        "ax": VENUE,
        "ap": _number(last + half),
        "as": LOT,
        "bx": VENUE,
        "bp": _number(last - half),
        "bs": LOT,
        "c": ["R"],
        "z": "C",
    }


def trade_out(day: SymbolDay) -> dict[str, Any]:
    return {
        "t": day.minute.start + MINUTE,
        "x": VENUE,
        "p": day.minute.close,
        "s": LOT,
        "c": ["@"],
        "i": 1,
        "z": "C",
    }


class _Place(Struct, frozen=True, array_like=True):
    """The last point of a page."""

    symbol: str
    start: dt.datetime


def _read_token(text: str) -> _Place | None:
    return msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Place) if text else None


def _write_token(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _known(market: Market, query: Query) -> list[tuple[str, SymbolDay]]:
    return [(symbol, day) for symbol in sorted(symbols_of(query)) if (day := market.latest(symbol)) is not None]


def _bars_of(
    market: Market, symbol: str, unit: re.Match[str], start: dt.datetime, end: dt.datetime, now: dt.datetime
) -> Sequence[TimedBar]:
    count, name = int(unit[1]), unit[2]
    if name in UNITS:
        step = count * UNITS[name]
        minutes = market.history.minutes(symbol, start, min(end, now - MINUTE))
        return minutes if step == MINUTE else resampled(minutes, step)
    days = list(market.history.days(symbol, start, end))
    today = market.latest(symbol)
    if today is not None and start <= today.day.start <= end and (not days or days[-1].start < today.day.start):
        days.append(today.day)  # today's bar is there too, as far as it has come
    return days


def _number(value: Decimal) -> float:
    return float(value)
