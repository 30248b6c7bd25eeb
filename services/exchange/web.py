"""The exchange on a port: REST, `/stream` and `/v2/iex` over uvicorn, in a thread of its own.

A thin edge: keys, rate limit, faults and transport here; what is answered stands in routes.py.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hmac
import math
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from msgspec import Struct
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.exchange import admin, routes, wire
from services.exchange.conversation import POLICY_VIOLATION, Close, Conversation, Frame
from services.exchange.data_stream import DataStream
from services.exchange.exchange import Exchange
from services.exchange.faults import Do, Fault, Faults, Kind
from services.exchange.orders import Update
from services.exchange.refusals import Refusal, Why, refuse
from services.exchange.trade_stream import TradeStream
from services.exchange.venue import Venue
from shared.contracts.market import Bar

KEY_HEADER: Final = "apca-api-key-id"
SECRET_HEADER: Final = "apca-api-secret-key"  # noqa: S105 - the header's name
SEQ_HEADER: Final = "X-Trade-Update-Seq"
SOCKETS: Final = {"/stream": "trade", "/v2/iex": "data"}
KEY_TIMEOUT_S: Final = 10.0
MOST_WAITING: Final = 10_000
MINUTE_S: Final = 60
START_S: Final = 10.0
STOP_S: Final = 2.0
MOST_BODY: Final = 1_000_000
STALE_ANSWERS: Final = 500
JSON: Final = "application/json; charset=utf-8"
NGINX: Final = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>"
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Log = Callable[[Mapping[str, object]], None]


class Access(Struct, frozen=True):
    """requests_per_minute: 0 for no limit."""

    key: SecretStr
    secret: SecretStr
    requests_per_minute: int = 0

    def admits(self, key: str, secret: str) -> bool:
        is_key = hmac.compare_digest(key.encode(), self.key.get_secret_value().encode())
        return hmac.compare_digest(secret.encode(), self.secret.get_secret_value().encode()) and is_key


class Reply(Struct):
    """What goes back over HTTP."""

    status: int
    body: bytes
    headers: dict[str, str]
    media_type: str = JSON


class JsonLog:
    """One JSON line for each request, connection and trade update, written through."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def __call__(self, line: Mapping[str, object]) -> None:
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
        self._file.write(msgspec.json.encode({"at": stamp, **line}) + b"\n")

    def close(self) -> None:
        self._file.close()


class Meter:
    """Requests of the running minute, against a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._minute = 0
        self._used = 0

    def count(self) -> tuple[bool, dict[str, str]]:
        """Whether one more is within the limit, and the headers that say how much is left."""
        if not self._limit:
            return True, {}
        minute = math.floor(time.time() / MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        left = self._limit - self._used
        return left >= 0, {
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(max(left, 0)),
            "X-RateLimit-Reset": str((minute + 1) * MINUTE_S),
        }


class App:
    """The ASGI application."""

    def __init__(
        self, venue: Venue, access: Access, faults: Faults, *, has_admin: bool = False, log: Log | None = None
    ) -> None:
        self._has_admin = has_admin
        self._venue = venue
        self._access = access
        self._faults = faults
        self._meter = Meter(access.requests_per_minute)
        self._log = log
        self._answered: OrderedDict[str, Reply] = OrderedDict()
        self._trades = TradeStream(access.admits, faults)
        self._data = DataStream(access.admits, faults)
        self._loop: asyncio.AbstractEventLoop | None = None
        venue.listen(self._tell)

    def runs_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None:
        """To the subscribers of market data. From any thread; does not wait."""
        self._soon(lambda: self._data.bars(minute, rows))

    def revised(self, minute: dt.datetime, bar: Bar) -> None:
        self._soon(lambda: self._data.revised(minute, bar))

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None:
        self._soon(lambda: self._data.halted(symbol, at, halted=halted, code=code))

    def _tell(self, updates: Sequence[Update]) -> None:
        self._soon(lambda: self._trades.tell(updates))
        if self._log is not None:
            for update in updates:
                self._log({"kind": "update", **msgspec.structs.asdict(wire.update_data(update))})

    def _soon(self, call: Callable[[], None]) -> None:
        """On the server's loop, in the order of the calls."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(Request(scope, receive), send)
        elif scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive, send))

    async def _http(self, request: Request, send: Send) -> None:
        name = f"{request.method} {request.url.path}"
        fault = self._faults.hit(Kind.REQUEST, name, time.monotonic()) if self._faults else None
        reply: Reply | None
        if fault is None:
            reply = await self._answer(request)
        else:
            reply = await self._answer_with_fault(request, fault)
        if self._log is not None:
            self._log({"kind": "request", "what": name, "status": reply.status if reply else None, "fault": fault})
        if reply is None:
            _cut(send)
            return
        response = Response(reply.body, reply.status, reply.headers, reply.media_type)
        await response(request.scope, request.receive, send)

    async def _answer(self, request: Request) -> Reply:
        is_within, headers = self._meter.count()
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        if not is_within:
            return _refusal(refuse(Why.RATE_LIMIT), headers)
        body = await request.body()
        if len(body) > MOST_BODY:
            return _refusal(refuse(Why.BODY_UNREADABLE), headers)
        method, path, query = request.method, _raw_path(request), dict(request.query_params)

        def ask(exchange: Exchange, now: dt.datetime) -> Reply:
            if self._has_admin and path.startswith(admin.PREFIX):
                return _encoded(admin.answer(exchange, self._faults, now, method, path, body))
            said = routes.answer(exchange, self._venue.market, now, method, path, query, body)
            if self._faults and method == "POST" and isinstance(said, routes.Answer):
                self._reject_by_fault(exchange, now, said.body)
            return _encoded(said)

        answer, seq = self._venue.do(ask)
        answer.headers = {**headers, SEQ_HEADER: str(seq)}
        if self._faults and method == "GET":
            self._remember(str(request.url), answer)
        return answer

    async def _answer_with_fault(self, request: Request, fault: Fault) -> Reply | None:
        """The reply as the fault would have it; None: the connection is cut."""
        if fault.do is Do.STALL and not fault.after:
            await asyncio.sleep(fault.seconds)
        if fault.do is Do.STALE and (stale := self._answered.get(str(request.url))) is not None:
            return stale
        if fault.do in (Do.STATUS, Do.DROP) and not fault.after:
            return None if fault.do is Do.DROP else _status(fault)
        reply = await self._answer(request)
        match fault.do:
            case Do.STALL if fault.after:
                await asyncio.sleep(fault.seconds)
            case Do.STATUS:
                return _status(fault)
            case Do.DROP:
                return None
            case Do.TRUNCATE:
                reply.body = reply.body[: len(reply.body) // 2]
            case Do.EMPTY:
                reply.status, reply.body = 200, b""
            case Do.ENUM:
                reply.body = _with_unknown(reply.body, fault)
            case _:
                pass
        return reply

    def _reject_by_fault(self, exchange: Exchange, now: dt.datetime, order: object) -> None:
        """An order that was taken is rejected by an event, after its reply was made."""
        if isinstance(order, wire.WireOrder) and self._faults.hit(Kind.ORDER, order.symbol) is not None:
            exchange.reject(order.id, now)

    def _unauthorized(self, request: Request) -> Reply | None:
        key, secret = request.headers.get(KEY_HEADER), request.headers.get(SECRET_HEADER)
        if not key or not secret:
            return Reply(401, NGINX.format("401 Authorization Required").encode(), {}, "text/html")
        return None if self._access.admits(key, secret) else _refusal(refuse(Why.UNAUTHORIZED), {})

    def _remember(self, url: str, reply: Reply) -> None:
        self._answered[url] = reply
        if len(self._answered) > STALE_ANSWERS:
            self._answered.popitem(last=False)

    async def _socket(self, opened: WebSocket) -> None:
        name = SOCKETS.get(opened.url.path)
        if name is None:
            await opened.send_denial_response(Response(b"", 404))
            return
        fault = self._faults.hit(Kind.CONNECT, name) if self._faults else None
        if self._log is not None:
            self._log({"kind": "connect", "what": name, "fault": fault})
        if fault is not None and fault.do is Do.STATUS:
            await opened.send_denial_response(Response(b"", fault.status))
            return
        await opened.accept()
        if fault is not None:
            while (await opened.receive())["type"] != "websocket.disconnect":
                pass  # silent: whatever it says
            return
        line = _Line()
        await _converse(
            opened, line, self._trades.connect(line.put) if name == "trade" else self._data.connect(line.put)
        )


class _Line:
    """What waits to be sent on one connection. A client that does not read is cut off, not waited for."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.is_closing = False

    def put(self, frame: Frame) -> None:
        if self.is_closing:
            return
        if self.frames.qsize() >= MOST_WAITING:
            frame = Close(POLICY_VIOLATION)
        self.is_closing = isinstance(frame, Close)
        self.frames.put_nowait(frame)


async def _converse(opened: WebSocket, line: _Line, talk: Conversation) -> None:
    """One connection until it ends on either side."""
    pump = asyncio.create_task(_pump(opened, line))
    try:
        talk.open()
        async with asyncio.timeout(KEY_TIMEOUT_S) as patience:
            while (message := await opened.receive())["type"] != "websocket.disconnect":
                talk.hear((message.get("text") or "").encode() or message.get("bytes") or b"")
                if talk.is_admitted:
                    patience.reschedule(None)
    except TimeoutError:
        talk.too_slow()
        await pump
    finally:
        talk.end()
        pump.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError):
            await pump


async def _pump(opened: WebSocket, line: _Line) -> None:
    while True:
        frame = await line.frames.get()
        if isinstance(frame, Close):
            await opened.close(frame.code)
            return
        await opened.send_bytes(frame)


class Server:
    """uvicorn in a thread, on a port that is taken before the thread starts. Raises OSError where it is not free."""

    def __init__(self, app: App, host: str, port: int) -> None:
        self._app = app
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named: asyncio switches Nagle's algorithm off only then (44 ms a request otherwise).
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Returns when it answers."""
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not self._server.started:
            assert self._thread.is_alive(), "the web server's thread ended at its start"
            assert time.monotonic() < deadline, "the web server did not start"
            time.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._socket.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._app.runs_on(loop)
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._app.runs_on(None)


def _encoded(answer: routes.Answer | Refusal) -> Reply:
    if isinstance(answer, Refusal):
        return _refusal(answer, {})
    return Reply(answer.status, b"" if answer.body is None else wire.encode(answer.body), {})


def _refusal(refusal: Refusal, headers: dict[str, str]) -> Reply:
    return Reply(refusal.status, wire.encode(refusal.body()), headers)


def _status(fault: Fault) -> Reply:
    """A fault's answer as the broker, or what stands before it, would give it."""
    if fault.code is not None:
        return _refusal(Refusal(fault.status, fault.code, fault.message), {})
    match fault.status:
        case 429:
            reset = str(math.ceil(time.time()) + 1)
            headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
            return _refusal(refuse(Why.RATE_LIMIT), headers)
        case 500:
            return _refusal(refuse(Why.INTERNAL), {})
        case 502:
            return Reply(502, NGINX.format("502 Bad Gateway").encode(), {}, "text/html")
        case 503:
            return Reply(503, b"", {})
        case 404:
            return _refusal(refuse(Why.ORDER_UNKNOWN, "this id"), {})
        case status:
            return _refusal(Refusal(status, status * 100_000, "injected fault"), {})


def _with_unknown(body: bytes, fault: Fault) -> bytes:
    """The first element, or the object itself, with a value nobody knows."""
    value = msgspec.json.decode(body)
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, dict):
        first[fault.field] = fault.value
    return msgspec.json.encode(value)


def _raw_path(request: Request) -> str:
    """The path before percent-decoding: a slash in a symbol must not become another route."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.decode("latin-1").partition("?")[0]


def _cut(send: Send) -> None:
    """Close the connection without an answer; uvicorn's `send` belongs to the object that has the transport."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]
