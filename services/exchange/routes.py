"""Alpaca's REST routes as plain functions: what is asked, in; status and body, out. No socket, no clock.

One table at the end. web.py carries it over HTTP; in-process users and the conformance tests may call it directly.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar
from urllib.parse import unquote
from uuid import UUID

import msgspec
from msgspec import Struct

from services.exchange import data_routes, queries, wire
from services.exchange.acceptance import asset_refusal
from services.exchange.exchange import Exchange
from services.exchange.market import Market
from services.exchange.orders import Order
from services.exchange.refusals import Refusal, Why, refuse
from services.exchange.requests import OrderRequest, ReplaceRequest
from shared.contracts.ids import is_symbol
from shared.domain import calendar

Body = TypeVar("Body", bound=Struct)

MULTI_STATUS: Final = 207
NO_CONTENT: Final = 204


class Ask(Struct, frozen=True):
    """One request. path: what stands in the braces of the route; query: its parameters, the last of each name."""

    exchange: Exchange
    market: Market
    now: dt.datetime
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


class Answer(Struct, frozen=True):
    """body: anything `wire.encode` takes; None for none."""

    body: Any
    status: int = 200


Handler = Callable[[Ask], Answer | Refusal]


class Route(Struct, frozen=True):
    method: str
    path: str
    handler: Handler


def answer(
    exchange: Exchange,
    market: Market,
    now: dt.datetime,
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer | Refusal:
    """What the broker says to a request."""
    for route, pattern in _COMPILED:
        if route.method == method and (match := pattern.fullmatch(path)):
            names = {name: unquote(value) for name, value in match.groupdict().items()}
            return route.handler(Ask(exchange, market, now, names, query or {}, body))
    return refuse(Why.ROUTE_UNKNOWN)


# account


def account(ask: Ask) -> Answer:
    return Answer(wire.account_out(ask.exchange.book, ask.exchange.rules))


def configurations(ask: Ask) -> Answer:
    return Answer(wire.configurations_out(ask.exchange.book, ask.exchange.rules))


class ConfigurationChange(Struct, frozen=True):
    """What of the configuration has an effect here; the rest is taken and ignored."""

    no_shorting: bool | None = None
    suspend_trade: bool | None = None


def change_configurations(ask: Ask) -> Answer | Refusal:
    change = _read(ask.body, ConfigurationChange)
    if isinstance(change, Refusal):
        return change
    if change.no_shorting is not None:
        ask.exchange.book.change_account(no_shorting=change.no_shorting)
    if change.suspend_trade is not None:
        ask.exchange.book.change_account(suspended=change.suspend_trade)
    return configurations(ask)


def portfolio_history(ask: Ask) -> Answer:
    return Answer(wire.history_out(ask.exchange.book, ask.now))


def activities(ask: Ask) -> Answer | Refusal:
    types = ask.path.get("type") or ask.query.get("activity_types", "")
    query = queries.read_activity_query(ask.query)
    if isinstance(query, Refusal):
        return query
    book = ask.exchange.book
    found = queries.executions(book, query) if queries.wants_fills(types) else []
    return Answer([wire.fill_out(execution, book) for execution in found])


# the market's hours and assets


def clock(ask: Ask) -> Answer:
    return Answer(wire.clock_out(ask.now))


def sessions(ask: Ask) -> Answer | Refusal:
    try:
        first = dt.date.fromisoformat(ask.query.get("start", "1993-01-29")[:10])
        last = dt.date.fromisoformat(ask.query.get("end", "2029-12-31")[:10])
    except ValueError:
        return refuse(Why.PARAMETER, "date")
    return Answer([wire.session_out(day) for day in calendar.sessions(first, last)])


def assets(ask: Ask) -> Answer:
    """The symbols that this exchange has seen or is told of; any other well-formed one exists too."""
    rules = ask.exchange.rules
    known = rules.only_symbols or tuple(sorted({*ask.market.symbols(), *rules.untradable}))
    if ask.query.get("status", "active") != "active" or ask.query.get("asset_class", "us_equity") != "us_equity":
        known = ()
    return Answer([wire.asset_out(symbol, rules) for symbol in known])


def asset(ask: Ask) -> Answer | Refusal:
    name, rules = ask.path["symbol"], ask.exchange.rules
    symbol = next((known for known in ask.market.symbols() if wire.asset_id(known) == name), name)
    if not is_symbol(symbol) or (rules.only_symbols and symbol not in rules.only_symbols):
        return refuse(Why.ASSET_404, symbol[:40])
    return Answer(wire.asset_out(symbol, rules))


# orders


def submit(ask: Ask) -> Answer | Refusal:
    request = _read(ask.body, OrderRequest)
    if isinstance(request, Refusal):
        return request
    return _order_answer(ask, ask.exchange.submit(request, ask.now))


def orders(ask: Ask) -> Answer | Refusal:
    query = queries.read_order_query(ask.query)
    if isinstance(query, Refusal):
        return query
    return Answer(queries.orders(ask.exchange.book, query))


def order_by_id(ask: Ask) -> Answer | Refusal:
    order = _named(ask)
    if isinstance(order, Refusal):
        return order
    nested = queries.is_true(ask.query, "nested")
    return Answer(wire.with_legs(ask.exchange.book, order) if nested else wire.order_out(order))


def order_by_client_id(ask: Ask) -> Answer | Refusal:
    client_order_id = ask.query.get("client_order_id", "")
    if not client_order_id:
        return refuse(Why.ID_MISSING)
    order = ask.exchange.book.by_client_id(client_order_id)
    if order is None:
        return refuse(Why.ORDER_UNKNOWN, client_order_id)
    return Answer(wire.with_legs(ask.exchange.book, order))


def replace(ask: Ask) -> Answer | Refusal:
    order = _named(ask)
    if isinstance(order, Refusal):
        return order
    request = _read(ask.body, ReplaceRequest)
    if isinstance(request, Refusal):
        return request
    return _order_answer(ask, ask.exchange.replace(order.id, request, ask.now))


def cancel(ask: Ask) -> Answer | Refusal:
    order = _named(ask)
    if isinstance(order, Refusal):
        return order
    return ask.exchange.cancel(order.id, ask.now) or Answer(None, NO_CONTENT)


class BulkResult(Struct, frozen=True, omit_defaults=True):
    """One element of a 207 answer."""

    id: str = ""
    symbol: str = ""
    status: int = 0
    body: Any = None


def cancel_all(ask: Ask) -> Answer:
    return Answer(
        [
            BulkResult(id=order_id, status=refusal.status, body=refusal.body())
            if refusal
            else BulkResult(id=order_id, status=200)
            for order_id, refusal in ask.exchange.cancel_all(ask.now)
        ],
        MULTI_STATUS,
    )


# positions


def positions(ask: Ask) -> Answer:
    book, rules = ask.exchange.book, ask.exchange.rules
    return Answer([wire.position_out(position, book, rules) for position in book.positions()])


def position(ask: Ask) -> Answer | Refusal:
    symbol = _symbol(ask)
    if refusal := asset_refusal(symbol, ask.exchange.rules):
        return refuse(Why.SYMBOL_UNKNOWN, symbol[:40]) if refusal.message.endswith("not found") else refusal
    if not is_symbol(symbol):
        return refuse(Why.SYMBOL_UNKNOWN, symbol[:40])
    found = ask.exchange.book.position(symbol)
    if found is None:
        return refuse(Why.POSITION_UNKNOWN)
    return Answer(wire.position_out(found, ask.exchange.book, ask.exchange.rules))


def close_position(ask: Ask) -> Answer | Refusal:
    try:
        qty, percentage = _decimal(ask.query, "qty"), _decimal(ask.query, "percentage")
    except queries.BadParameter as fault:
        return refuse(Why.PARAMETER, fault.name)
    if percentage is not None and not 0 < percentage <= 100:
        return refuse(Why.PARAMETER, "percentage")
    return _order_answer(ask, ask.exchange.close_position(_symbol(ask), ask.now, qty=qty, percentage=percentage))


def close_all(ask: Ask) -> Answer:
    closed = ask.exchange.close_all(ask.now, cancel_orders=queries.is_true(ask.query, "cancel_orders"))
    return Answer(
        [
            BulkResult(symbol=held.symbol, status=result.status, body=result.body())
            if isinstance(result, Refusal)
            else BulkResult(symbol=held.symbol, status=200, body=wire.order_out(result))
            for held, result in closed
        ],
        MULTI_STATUS,
    )


def _data(handler: Callable[..., Any]) -> Handler:
    """A data route needs the market and the time alone."""

    def handle(ask: Ask) -> Answer | Refusal:
        body = handler(ask.market, ask.query, ask.now, ask.exchange.rules)
        return body if isinstance(body, Refusal) else Answer(body)

    return handle


def _order_answer(ask: Ask, result: Order | Refusal) -> Answer | Refusal:
    return result if isinstance(result, Refusal) else Answer(wire.with_legs(ask.exchange.book, result))


def _named(ask: Ask) -> Order | Refusal:
    """The order whose id stands in the path."""
    text = ask.path["order_id"]
    try:
        order_id = str(UUID(text))
    except ValueError:
        return refuse(Why.ORDER_ID_MISSING)
    return ask.exchange.book.order(order_id) or refuse(Why.ORDER_UNKNOWN, order_id)


def _symbol(ask: Ask) -> str:
    """The symbol in the path; an asset's id stands for it too."""
    name = ask.path["symbol"]
    held = (position.symbol for position in ask.exchange.book.positions())
    return next((symbol for symbol in held if wire.asset_id(symbol) == name), name)


def _read(body: bytes, kind: type[Body]) -> Body | Refusal:
    try:
        return msgspec.json.decode(body or b"{}", type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return refuse(Why.BODY_UNREADABLE)


def _decimal(query: Mapping[str, str], name: str) -> Decimal | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise queries.BadParameter(name) from None
    if not number.is_finite():
        raise queries.BadParameter(name)
    return number


ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/v2/account", account),
    Route("GET", "/v2/account/configurations", configurations),
    Route("PATCH", "/v2/account/configurations", change_configurations),
    Route("GET", "/v2/account/portfolio/history", portfolio_history),
    Route("GET", "/v2/account/activities", activities),
    Route("GET", "/v2/account/activities/{type}", activities),
    Route("GET", "/v2/clock", clock),
    Route("GET", "/v2/calendar", sessions),
    Route("GET", "/v2/assets", assets),
    Route("GET", "/v2/assets/{symbol}", asset),
    Route("POST", "/v2/orders", submit),
    Route("GET", "/v2/orders", orders),
    Route("DELETE", "/v2/orders", cancel_all),
    Route("GET", "/v2/orders:by_client_order_id", order_by_client_id),
    Route("GET", "/v2/orders/{order_id}", order_by_id),
    Route("PATCH", "/v2/orders/{order_id}", replace),
    Route("DELETE", "/v2/orders/{order_id}", cancel),
    Route("GET", "/v2/positions", positions),
    Route("DELETE", "/v2/positions", close_all),
    Route("GET", "/v2/positions/{symbol}", position),
    Route("DELETE", "/v2/positions/{symbol}", close_position),
    Route("GET", "/v2/stocks/bars", _data(data_routes.bars)),
    Route("GET", "/v2/stocks/bars/latest", _data(data_routes.latest_bars)),
    Route("GET", "/v2/stocks/quotes", _data(data_routes.quotes)),
    Route("GET", "/v2/stocks/quotes/latest", _data(data_routes.latest_quotes)),
    Route("GET", "/v2/stocks/trades", _data(data_routes.trades)),
    Route("GET", "/v2/stocks/trades/latest", _data(data_routes.latest_trades)),
    Route("GET", "/v2/stocks/snapshots", _data(data_routes.snapshots)),
)

_COMPILED: Final = tuple(
    (route, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path)))) for route in ROUTES
)
