"""A small server that speaks Alpaca's data protocol, written from its description and sharing no code with the engine.

REST: `/v2/stocks/bars` with pages. Socket: arrays of msgpack, times as Timestamp extensions, welcome, auth, whole
subscription lists, error codes. Faults are switched on by the test.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgpack
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

KEY: Final = "key-of-the-test"
SECRET: Final = "secret-of-the-test"
_MSGPACK: Final[Any] = msgpack  # it has no types
CHANNELS: Final = ("bars", "updatedBars", "statuses")
Bar = tuple[str, dt.datetime, float]
"""Symbol, start, and the price of all four; volume is 1000."""


class DataServer:
    """Both halves, each on a port of its own.

    minutes, days, spans: what REST has, by the length of a bar. page: bars a reply holds. rest_fault: status to answer
    with instead. rest_body: reply to answer with instead. door: error (code, text) instead of "authenticated".
    on_subscribe: error after which the subscription stays as it was.
    """

    def __init__(self) -> None:
        self.minutes: list[Bar] = []
        self.days: list[Bar] = []
        self.spans: list[Bar] = []
        self.page = 10_000
        self.rest_fault: int | None = None
        self.rest_body: str | None = None
        self.rest_delay_s = 0.0
        self.door: tuple[int, str] | None = None
        self.on_subscribe: tuple[int, str] | None = None
        self.mute = False
        self.requests: list[dict[str, str]] = []
        self.subscribed: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
        self.connections: list[ServerConnection] = []
        self._rest = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._socket: Server = serve(self._converse, "127.0.0.1", 0, compression=None)
        self._threads = [
            threading.Thread(target=self._rest.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self._socket.serve_forever, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self._rest.server_address[1]}"

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self._socket.socket.getsockname()[1]}/v2/iex"

    def close(self) -> None:
        self.hang_up()
        self._socket.shutdown()
        self._rest.shutdown()
        self._rest.server_close()
        for thread in self._threads:
            thread.join(5)

    def hang_up(self) -> None:
        """Cut every connection without a word."""
        for connection in self.connections:
            connection.socket.close()
        self.connections.clear()

    def send(self, *messages: Mapping[str, Any]) -> None:
        """One frame to everybody who is connected."""
        for connection in self.connections:
            connection.send(_MSGPACK.packb(list(messages)))

    def _converse(self, connection: ServerConnection) -> None:
        try:
            _say(connection, {"T": "success", "msg": "connected"})
            hello = _MSGPACK.unpackb(connection.recv())
            if self.door is not None:
                _say(connection, {"T": "error", "code": self.door[0], "msg": self.door[1]})
                return
            if (hello["action"], hello["key"], hello["secret"]) != ("auth", KEY, SECRET):
                _say(connection, {"T": "error", "code": 402, "msg": "auth failed"})
                return
            _say(connection, {"T": "success", "msg": "authenticated"})
            self.subscribed = {channel: set() for channel in CHANNELS}
            for frame in connection:
                self._subscribe(connection, _MSGPACK.unpackb(frame))
        except (ConnectionClosed, OSError):
            return

    def _subscribe(self, connection: ServerConnection, asked: Mapping[str, Any]) -> None:
        if self.on_subscribe is not None:
            _say(connection, {"T": "error", "code": self.on_subscribe[0], "msg": self.on_subscribe[1]})
            return
        for channel in CHANNELS:
            if asked["action"] == "subscribe":
                self.subscribed[channel] |= set(asked.get(channel, ()))
            else:
                self.subscribed[channel] -= set(asked.get(channel, ()))
        told = {channel: sorted(symbols) for channel, symbols in self.subscribed.items()}
        _say(connection, {"T": "subscription", "trades": [], "quotes": [], **told, "dailyBars": []})
        if connection not in self.connections:
            self.connections.append(connection)

    def _bars(self, asked: Mapping[str, str]) -> str:
        held = {"1Min": self.minutes, "1Day": self.days, "10Min": self.spans}[asked["timeframe"]]
        first, last = (dt.datetime.fromisoformat(asked[name]) for name in ("start", "end"))
        wanted = asked["symbols"].split(",")
        found = sorted(bar for bar in held if bar[0] in wanted and first <= bar[1] <= last)
        start = int(asked.get("page_token", "0"))
        shown = found[start : start + self.page]
        bars: dict[str, list[dict[str, Any]]] = {}
        for symbol, stamp, price in shown:
            one = {"t": stamp.strftime("%Y-%m-%dT%H:%M:%SZ"), **_figures(price), "n": 10, "vw": price}
            bars.setdefault(symbol, []).append(one)
        rest = start + self.page < len(found)
        return json.dumps({"bars": bars, "next_page_token": str(start + self.page) if rest else None})


def live_bar(symbol: str, start: dt.datetime, price: float, kind: str = "b") -> dict[str, Any]:
    """A bar (`b`) or a corrected one (`u`) as the socket sends it."""
    stamp = _MSGPACK.Timestamp.from_datetime(start)
    return {"T": kind, "S": symbol, **_figures(price), "n": 10, "vw": price, "t": stamp}


def status(symbol: str, at: dt.datetime, code: str, reason: str) -> dict[str, Any]:
    stamp = _MSGPACK.Timestamp.from_datetime(at)
    return {"T": "s", "S": symbol, "sc": code, "sm": "", "rc": reason, "rm": "", "z": "C", "t": stamp}


def wait_for(what: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as `what` is so; fail where it is not within `seconds`."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _figures(price: float) -> dict[str, float]:
    return {"o": price, "h": price, "l": price, "c": price, "v": 1000}


def _say(connection: ServerConnection, *messages: Mapping[str, Any]) -> None:
    connection.send(_MSGPACK.packb(list(messages)))


def _handler(server: DataServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            server.requests.append(asked)
            time.sleep(server.rest_delay_s)
            keys = (self.headers["APCA-API-KEY-ID"], self.headers["APCA-API-SECRET-KEY"])
            if keys != (KEY, SECRET) or urlsplit(self.path).path != "/v2/stocks/bars":
                self._answer(403, '{"message": "forbidden."}')
            elif server.rest_fault is not None:
                self._answer(server.rest_fault, '{"code": 50010000, "message": "internal server error"}')
            else:
                self._answer(200, server.rest_body or server._bars(asked))

        def _answer(self, code: int, body: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test says what matters."""

    return Handler
