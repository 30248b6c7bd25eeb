"""One broker, two ways to it: the pure core called directly, and alpaca-py over a loopback socket.

Both answer with what goes over the wire, so that a case reads the same on either.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest, StockLatestBarRequest, StockLatestQuoteRequest, StockSnapshotRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream
from msgspec import Struct
from pydantic import SecretStr, ValidationError

from services.exchange import routes, wire
from services.exchange.exchange import Exchange, new_book
from services.exchange.faults import Faults
from services.exchange.hours import NEW_YORK
from services.exchange.market import History, Market
from services.exchange.orders import Order
from services.exchange.refusals import Refusal
from services.exchange.venue import KeepsNothing, TickClock, Venue
from services.exchange.web import Access, App, Server
from services.exchange.words import Event, Side, Status, Tif, Type
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar

OPEN: Final = datetime(2015, 2, 11, 14, 30, tzinfo=UTC)
CLOSE: Final = datetime(2015, 2, 11, 21, 0, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
KEY: Final = "demo"
WAIT_S: Final = 10.0

REQUEST_OF: Final[Mapping[str, Any]] = {
    "market": MarketOrderRequest,
    "limit": LimitOrderRequest,
    "stop": StopOrderRequest,
    "stop_limit": StopLimitOrderRequest,
}


LAST: Final = Order(
    id="00000000-0000-4000-8000-000000000000",
    number=0,
    client_order_id="last",
    symbol="LAST",
    side=Side.BUY,
    type=Type.MARKET,
    time_in_force=Tif.DAY,
    qty=Decimal(1),
    status=Status.NEW,
    created_at=OPEN,
    submitted_at=OPEN,
    updated_at=OPEN,
)


class Said(Struct):
    """What came back: HTTP status, JSON body (None for none) and headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = {}

    @property
    def code(self) -> int | None:
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


def bar(symbol: str, open: float, high: float, low: float, close: float, volume: float = 1e6) -> Bar:
    return Bar(symbol, open, high, low, close, volume)


def flat(price: float, symbol: str = "AAPL", volume: float = 1e6) -> Bar:
    return Bar(symbol, price, price, price, price, volume)


class Broker:
    """The market's side of a case, and the requests that both ways have. The session is 2015-02-11."""

    def __init__(self) -> None:
        self.venue = Venue(
            Exchange(new_book(ExchangeRules(), "-", OPEN), ExchangeRules()), Market(), TickClock(OPEN), KeepsNothing()
        )
        self.seen: list[dict[str, Any]] = []

    def begin(self, *, at: datetime = OPEN, history: History | None = None, **rules: Any) -> None:
        """A new account. Random partial fills are off unless a case is about them."""
        chosen = ExchangeRules.model_validate({"random_partials": 0.0, **rules})
        self.venue.exchange = Exchange(new_book(chosen, "salt", at), chosen)
        self.venue.market = Market(history)
        self.venue.clock = TickClock(at)
        self.seen.clear()
        self.venue.do(lambda exchange, now: exchange.expire(now))

    def ready(self, price: float = 100.0, *symbols: str, **rules: Any) -> None:
        """A new account after the first minute of the session, in which each symbol traded flat at `price`."""
        self.begin(**rules)
        self.minute(*(flat(price, symbol) for symbol in symbols or ("AAPL",)))

    @property
    def now(self) -> datetime:
        return self.venue.clock.now()

    def minute(self, *bars: Bar) -> None:
        """The next minute of the market."""
        start = self.now
        midnight = datetime.combine(start.astimezone(NEW_YORK).date(), datetime.min.time(), NEW_YORK).astimezone(UTC)
        self.venue.market.take(start.astimezone(NEW_YORK).date(), midnight, start, bars)
        self.venue.do(lambda exchange, now: exchange.match(start, bars, start + MINUTE))
        self._move(start + MINUTE)

    def wait(self, seconds: float) -> None:
        """Time passes, nothing trades; what is due takes place."""
        self._move(self.now + timedelta(seconds=seconds))

    def until(self, at: datetime) -> None:
        """Time passes to `at`, as over a close or a night: orders end by their time."""
        self._move(at)
        self.venue.do(lambda exchange, now: exchange.expire(now))

    def halt(self, symbol: str, *, halted: bool) -> None:
        self.venue.do(lambda exchange, now: exchange.halt(symbol, halted=halted))

    def _move(self, at: datetime) -> None:
        assert isinstance(self.venue.clock, TickClock)
        self.venue.clock.move_to(at)
        self.venue.do(lambda exchange, now: None)

    # what a client does

    def submit(self, **fields: Any) -> Said:
        """Symbol AAPL, a market day buy of 10, unless told otherwise; None leaves a field away."""
        default = {"symbol": "AAPL", "qty": 10, "side": "buy", "type": "market", "time_in_force": "day"}
        wanted = {name: value for name, value in {**default, **fields}.items() if value is not None}
        return self.send_order(wanted)

    def order(self, **fields: Any) -> dict[str, Any]:
        """An order that must be taken; as the reply shows it."""
        said = self.submit(**fields)
        assert said.status == 200, said
        body: dict[str, Any] = said.body
        return body

    def hold(self, qty: float = 10, symbol: str = "AAPL", price: float = 100.0) -> None:
        """Buys shares at `price` and lets a minute pass."""
        self.order(symbol=symbol, qty=qty)
        self.minute(flat(price, symbol))

    def get(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """The order as it is now, with its legs."""
        said = self.order_by_id(str(order["id"]), nested=True)
        assert said.status == 200, said
        body: dict[str, Any] = said.body
        return body

    def status(self, order: Mapping[str, Any]) -> str:
        return str(self.get(order)["status"])

    def send_order(self, fields: Mapping[str, Any]) -> Said:
        raise NotImplementedError

    def order_by_id(self, order_id: str, *, nested: bool = False) -> Said:
        raise NotImplementedError

    def order_by_client_id(self, client_order_id: str) -> Said:
        raise NotImplementedError

    def orders(self, **query: Any) -> Said:
        raise NotImplementedError

    def replace(self, order: Mapping[str, Any], **fields: Any) -> Said:
        raise NotImplementedError

    def cancel(self, order: Mapping[str, Any]) -> Said:
        raise NotImplementedError

    def cancel_all(self) -> Said:
        raise NotImplementedError

    def close(self, symbol: str, **query: Any) -> Said:
        raise NotImplementedError

    def close_all(self, *, cancel_orders: bool) -> Said:
        raise NotImplementedError

    def positions(self) -> Said:
        raise NotImplementedError

    def position(self, symbol: str) -> Said:
        raise NotImplementedError

    def account(self) -> Said:
        raise NotImplementedError

    def clock(self) -> Said:
        raise NotImplementedError

    def calendar(self, start: str, end: str) -> Said:
        raise NotImplementedError

    def bars(self, symbols: list[str], timeframe: str, start: datetime, end: datetime) -> Said:
        raise NotImplementedError

    def ask(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Said:
        """Any route, by its path after /v2."""
        raise NotImplementedError

    def events(self) -> list[dict[str, Any]]:
        """Trade updates since the case began, as sent."""
        raise NotImplementedError

    def told(self, order: Mapping[str, Any]) -> list[str]:
        """Names of the events about one order."""
        return [update["event"] for update in self.events() if update["order"]["id"] == order["id"]]

    def fills(self) -> list[tuple[str, str]]:
        """(quantity, price) of each execution, oldest first."""
        activities = self.ask("GET", "/account/activities/FILL", {"direction": "asc"}).body
        return [(fill["qty"], fill["price"]) for fill in activities]

    def held(self, symbol: str = "AAPL") -> tuple[str, str]:
        """(quantity, available); zeros without a position."""
        said = self.position(symbol)
        return (said.body["qty"], said.body["qty_available"]) if said.status == 200 else ("0", "0")


class InProcess(Broker):
    """The pure core, by calls."""

    def __init__(self) -> None:
        super().__init__()
        self.venue.listen(self._hear)

    def ask(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Said:
        text = {name: str(value) for name, value in (query or {}).items()}
        data = b"" if body is None else json.dumps(body).encode()
        venue = self.venue
        answer, seq = venue.do(
            lambda exchange, now: routes.answer(exchange, venue.market, now, method, f"/v2{path}", text, data)
        )
        headers = {"X-Trade-Update-Seq": str(seq)}
        if isinstance(answer, Refusal):
            return Said(answer.status, json.loads(wire.encode(answer.body())), headers)
        return Said(answer.status, None if answer.body is None else json.loads(wire.encode(answer.body)), headers)

    def send_order(self, fields: Mapping[str, Any]) -> Said:
        return self.ask("POST", "/orders", body=fields)

    def order_by_id(self, order_id: str, *, nested: bool = False) -> Said:
        return self.ask("GET", f"/orders/{order_id}", {"nested": nested})

    def order_by_client_id(self, client_order_id: str) -> Said:
        return self.ask("GET", "/orders:by_client_order_id", {"client_order_id": client_order_id})

    def orders(self, **query: Any) -> Said:
        return self.ask("GET", "/orders", _joined(query))

    def replace(self, order: Mapping[str, Any], **fields: Any) -> Said:
        return self.ask("PATCH", f"/orders/{order['id']}", body=fields)

    def cancel(self, order: Mapping[str, Any]) -> Said:
        return self.ask("DELETE", f"/orders/{order['id']}")

    def cancel_all(self) -> Said:
        return self.ask("DELETE", "/orders")

    def close(self, symbol: str, **query: Any) -> Said:
        return self.ask("DELETE", f"/positions/{symbol}", query)

    def close_all(self, *, cancel_orders: bool) -> Said:
        return self.ask("DELETE", "/positions", {"cancel_orders": cancel_orders})

    def positions(self) -> Said:
        return self.ask("GET", "/positions")

    def position(self, symbol: str) -> Said:
        return self.ask("GET", f"/positions/{symbol}")

    def account(self) -> Said:
        return self.ask("GET", "/account")

    def clock(self) -> Said:
        return self.ask("GET", "/clock")

    def calendar(self, start: str, end: str) -> Said:
        return self.ask("GET", "/calendar", {"start": start, "end": end})

    def bars(self, symbols: list[str], timeframe: str, start: datetime, end: datetime) -> Said:
        query = {
            "symbols": ",".join(symbols),
            "timeframe": timeframe,
            "start": start.isoformat(),
            "end": end.isoformat(),
        }
        return self.ask("GET", "/stocks/bars", query)

    def events(self) -> list[dict[str, Any]]:
        return self.seen

    def _hear(self, updates: Any) -> None:
        self.seen += [json.loads(wire.update_out(update))["data"] for update in updates]


class OverTheWire(Broker):
    """The real alpaca-py: TradingClient and StockHistoricalDataClient for requests, TradingStream for events.

    Every reply goes through the library's models, which refuse what is not Alpaca's; the JSON is kept beside.
    """

    def __init__(self, requests_per_minute: int = 0) -> None:
        super().__init__()
        self.faults = Faults()
        secret = SecretStr(KEY)
        self.app = App(self.venue, Access(secret, secret, requests_per_minute), self.faults)
        self.server = Server(self.app, "127.0.0.1", 0)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.client = TradingClient(KEY, KEY, url_override=self.url)
        self.data = StockHistoricalDataClient(KEY, KEY, url_override=self.url)
        for client in (self.client, self.data):
            client._session.trust_env = False
            client._retry = 0
            client._session.hooks["response"].append(self._heard)
        self.opened = ExitStack()
        self._last: requests.Response | None = None
        self._stream: ListeningStream | None = None

    def stop(self) -> None:
        self.opened.close()
        if self._stream is not None:
            self._stream.end()
        self.server.stop()

    def begin(self, *, at: datetime = OPEN, history: History | None = None, **rules: Any) -> None:
        self._drain()
        self.opened.close()
        self.faults.clear()
        if self._stream is None:
            self._stream = ListeningStream(self.server.port, self.seen)
        super().begin(at=at, history=history, **rules)

    def ask(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Said:
        text = {name: str(value) for name, value in (query or {}).items()}
        return self._call(lambda: self.client._request(method, path, body if method in ("POST", "PATCH") else text))

    def send_order(self, fields: Mapping[str, Any]) -> Said:
        kind = REQUEST_OF.get(str(fields.get("type")))
        try:
            request = kind(**fields) if kind else None
        except (ValidationError, ValueError):
            request = None  # what the library would not send is sent all the same
        if request is None:
            return self.ask("POST", "/orders", body=fields)
        return self._call(lambda: self.client.submit_order(request))

    def order_by_id(self, order_id: str, *, nested: bool = False) -> Said:
        try:
            return self._call(lambda: self.client.get_order_by_id(order_id, GetOrderByIdRequest(nested=nested)))
        except ValueError:  # the library refuses an id that is no UUID
            return self.ask("GET", f"/orders/{order_id}", {"nested": nested})

    def order_by_client_id(self, client_order_id: str) -> Said:
        return self._call(lambda: self.client.get_order_by_client_id(client_order_id))

    def orders(self, **query: Any) -> Said:
        try:
            wanted = GetOrdersRequest(**query)
        except ValidationError:
            return self.ask("GET", "/orders", _joined(query))
        return self._call(lambda: self.client.get_orders(wanted))

    def replace(self, order: Mapping[str, Any], **fields: Any) -> Said:
        try:
            wanted = ReplaceOrderRequest(**fields)
        except (ValidationError, ValueError):
            return self.ask("PATCH", f"/orders/{order['id']}", body=fields)
        return self._call(lambda: self.client.replace_order_by_id(order["id"], wanted))

    def cancel(self, order: Mapping[str, Any]) -> Said:
        try:
            return self._call(lambda: self.client.cancel_order_by_id(order["id"]))
        except ValueError:
            return self.ask("DELETE", f"/orders/{order['id']}")

    def cancel_all(self) -> Said:
        return self._call(self.client.cancel_orders)

    def close(self, symbol: str, **query: Any) -> Said:
        wanted = ClosePositionRequest(**query) if query else None
        return self._call(lambda: self.client.close_position(symbol, wanted))

    def close_all(self, *, cancel_orders: bool) -> Said:
        return self._call(lambda: self.client.close_all_positions(cancel_orders))

    def positions(self) -> Said:
        return self._call(self.client.get_all_positions)

    def position(self, symbol: str) -> Said:
        return self._call(lambda: self.client.get_open_position(symbol))

    def account(self) -> Said:
        return self._call(self.client.get_account)

    def clock(self) -> Said:
        return self._call(self.client.get_clock)

    def calendar(self, start: str, end: str) -> Said:
        wanted = GetCalendarRequest.model_validate({"start": start, "end": end})
        return self._call(lambda: self.client.get_calendar(wanted))

    def bars(self, symbols: list[str], timeframe: str, start: datetime, end: datetime) -> Said:
        unit = {"Min": TimeFrameUnit.Minute, "Day": TimeFrameUnit.Day, "Hour": TimeFrameUnit.Hour}
        count = int("".join(filter(str.isdigit, timeframe)))
        frame = TimeFrame(count, unit["".join(filter(str.isalpha, timeframe))])
        wanted = StockBarsRequest(symbol_or_symbols=symbols, timeframe=frame, start=start, end=end)
        return self._call(lambda: self.data.get_stock_bars(wanted))

    def latest(self, kind: str, symbols: list[str]) -> Any:
        """bars, quotes or snapshots, as the library's models."""
        match kind:
            case "bars":
                return self.data.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=symbols))
            case "quotes":
                return self.data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbols))
            case _:
                return self.data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbols))

    def events(self) -> list[dict[str, Any]]:
        """Waits until the listener has all that the exchange numbered."""
        wanted = self.venue.exchange.book.account.updates
        deadline = time.monotonic() + WAIT_S
        while not self.seen or self.seen[-1]["seq"] < wanted:
            if not wanted:
                break
            assert time.monotonic() < deadline, f"{len(self.seen)} of {wanted} events came"
            time.sleep(0.002)
        return self.seen

    def drop_stream(self) -> None:
        """The stream was ended or muted on purpose: the next case gets another one."""
        assert self._stream is not None
        self._stream.end()
        self._stream = None

    def _drain(self) -> None:
        """What the case before still has under way must not arrive in this one: a last update is sent and awaited."""
        if self._stream is None:
            return
        self.faults.clear()
        self.venue.do(lambda exchange, now: exchange.book.announce_only(LAST, Event.RESTATED, now))
        self.events()

    def _call(self, call: Callable[[], object]) -> Said:
        self._last = None
        try:
            call()
        except APIError:
            assert self._last is not None
        assert self._last is not None
        body = self._last.json() if self._last.content else None
        return Said(self._last.status_code, body, self._last.headers)

    def _heard(self, response: requests.Response, *_: object, **__: object) -> None:
        self._last = response


class ListeningStream:
    """alpaca-py's TradingStream in a thread of its own; what it hears goes into `seen`."""

    def __init__(self, port: int, seen: list[dict[str, Any]]) -> None:
        self._stream = _Stream(KEY, KEY, raw_data=True, url_override=f"ws://127.0.0.1:{port}/stream")
        self._stream.listening = threading.Event()

        async def hear(message: Any) -> None:
            TradeUpdate.model_validate(message["data"])
            seen.append(message["data"])

        self._stream.subscribe_trade_updates(hear)
        self._thread = threading.Thread(target=self._stream.run, daemon=True)
        self._thread.start()
        assert self._stream.listening.wait(WAIT_S), "the trade stream did not connect"

    def end(self) -> None:
        """`stop()` alone waits for the next message, five seconds: the socket is closed as well."""
        loop: Any = self._stream._loop
        for ending in (self._stream.stop_ws(), self._stream.close()):
            asyncio.run_coroutine_threadsafe(ending, loop).result(WAIT_S)
        self._thread.join(WAIT_S)


class _Stream(TradingStream):
    listening: threading.Event

    async def _dispatch(self, msg: Any) -> None:
        if msg.get("stream") == "listening":
            self.listening.set()
        await super()._dispatch(msg)


def _joined(query: Mapping[str, Any]) -> dict[str, Any]:
    def text(value: Any) -> Any:
        if isinstance(value, list):
            return ",".join(value)
        return value.isoformat() if isinstance(value, datetime) else value

    return {name: text(value) for name, value in query.items()}
