"""A small server that speaks enough of the broker's REST API, and misbehaves exactly as told.

It is no exchange: nothing fills unless a test says so. Each request may be given one fault, in order; "before" faults
leave the book as it was, "after" faults carry the request out and then spoil the reply.
"""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from services.executor.alpaca_broker import AlpacaBroker

NOW = "2026-01-09T14:50:00.123456789Z"
Json = dict[str, Any]


@dataclass
class Fault:
    """What to do instead of a good reply. after: the request is carried out first."""

    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    cut: bool = False
    keep_bytes: int | None = None
    stall_s: float = 0.0


def refusal(status: int, code: int | None, message: str, **more: object) -> Fault:
    fields: Json = dict(more) | {"message": message} | ({} if code is None else {"code": code})
    return Fault(status=status, body=json.dumps(fields).encode())


def order(client_order_id: str, **changes: object) -> Json:
    """An order as the broker shows it."""
    base: Json = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, client_order_id)),
        "client_order_id": client_order_id,
        "created_at": NOW,
        "updated_at": NOW,
        "submitted_at": NOW,
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "qty": "10",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "100.12",
        "stop_price": None,
        "status": "new",
        "extended_hours": False,
        "replaces": None,
        "replaced_by": None,
        "legs": None,
        "expires_at": None,
    }
    return base | changes


ACCOUNT: Json = {
    "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98",
    "account_number": "PA3000000001",
    "status": "ACTIVE",
    "cash": "98999.9",
    "equity": "100004.9",
    "buying_power": "198999.8",
    "multiplier": "2",
    "trading_blocked": False,
    "account_blocked": False,
    "trade_suspended_by_user": False,
}


class LoopbackBroker:
    """Use as a context manager. `faults[("POST", "/v2/orders")]` is a queue, one entry for each such request."""

    def __init__(self) -> None:
        self.orders: dict[str, Json] = {}
        self.positions: list[Any] = []
        self.fills: list[Any] = []
        self.account: Any = ACCOUNT
        self.faults: dict[tuple[str, str], deque[Fault | None]] = defaultdict(deque)
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.events = 7
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> LoopbackBroker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def encrypt(self, certificate: Path, key: Path) -> None:
        """Speak TLS from here on, with a certificate that nobody vouches for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def client(self, read_timeout_s: float = 0.3) -> AlpacaBroker:
        key = SecretStr("demo-key")
        return AlpacaBroker(key, SecretStr("demo-secret"), self.url, connect_timeout_s=1, read_timeout_s=read_timeout_s)

    def sent(self, method: str) -> list[Any]:
        """Bodies of the requests of one kind."""
        return [body for verb, _, body in self.requests if verb == method]

    def carry_out(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        match method, path.removeprefix("/v2").split("/")[1:]:
            case "POST", ["orders"]:
                return self._create(body, replaces=None)
            case "PATCH", ["orders", broker_id]:
                return self._replace(broker_id, body)
            case "DELETE", ["orders", broker_id]:
                return self._cancel(broker_id)
            case "GET", ["orders:by_client_order_id"]:
                return self._show([o for o in self._all() if o["client_order_id"] == query["client_order_id"][0]])
            case "GET", ["orders", broker_id]:
                return self._show([o for o in self._all() if o["id"] == broker_id])
            case "GET", ["orders"]:
                return 200, self._listed(query)
            case "GET", ["positions"]:
                return 200, self.positions
            case "GET", ["account"]:
                return 200, self.account
            case "GET", ["account", "activities"]:
                return 200, self._activities(query)
            case "GET", ["clock"]:
                return 200, {"timestamp": NOW, "is_open": True, "next_open": NOW, "next_close": NOW}
        return 404, {"message": "endpoint not found"}

    def _all(self) -> list[Json]:
        return list(self.orders.values()) + [leg for o in self.orders.values() for leg in o["legs"] or []]

    def _create(self, body: Json, replaces: str | None) -> tuple[int, Any]:
        if body["client_order_id"] in self.orders:
            return 422, {"code": 40010001, "message": "client_order_id must be unique"}
        prices = {name: str(body[name]) for name in ("limit_price", "stop_price") if body.get(name) is not None}
        fresh = order(
            body["client_order_id"],
            symbol=body["symbol"],
            side=body["side"],
            type=body["type"],
            time_in_force=body["time_in_force"],
            qty=f"{body['qty']:g}",
            order_class=body.get("order_class", ""),
            status="pending_new",
            replaces=replaces,
            **({"limit_price": None, "stop_price": None} | prices),
        )
        if "stop_loss" in body:
            leg = order(f"leg-of-{body['client_order_id']}", side="sell", type="stop", order_class="oto", status="held")
            fresh["legs"] = [leg | {"limit_price": None, "stop_price": str(body["stop_loss"]["stop_price"])}]
        self.orders[body["client_order_id"]] = fresh
        return 200, fresh

    def _replace(self, broker_id: str, body: Json) -> tuple[int, Any]:
        old = next((o for o in self._all() if o["id"] == broker_id), None)
        if old is None:
            return 404, {"code": 40410000, "message": f"order not found for {broker_id}"}
        if old["status"] == "replaced":
            return 422, {"code": 42210000, "message": "order already replaced"}
        status, fresh = self._create({**old, "qty": float(old["qty"]), **_known(old), **body}, replaces=broker_id)
        if status == 200:
            old.update(status="replaced", replaced_by=fresh["id"])
        return status, fresh

    def _cancel(self, broker_id: str) -> tuple[int, Any]:
        found = next((o for o in self._all() if o["id"] == broker_id), None)
        if found is None:
            return 404, {"code": 40410000, "message": f"order not found for {broker_id}"}
        if found["status"] in ("filled", "expired", "replaced"):
            return 422, {"code": 42210000, "message": f'order is already in "{found["status"]}" state'}
        if found["status"] == "pending_replace":
            return 422, {"code": 42210000, "message": "order pending replace"}
        found["status"] = "canceled"
        return 204, None

    def _show(self, found: list[Json]) -> tuple[int, Any]:
        return (200, found[0]) if found else (404, {"code": 40410000, "message": "order not found for it"})

    def _listed(self, query: dict[str, list[str]]) -> list[Any]:
        over = {"filled", "canceled", "expired", "replaced", "rejected"}
        found = sorted(self.orders.values(), key=lambda o: o.get("submitted_at") or "")
        if query["status"] == ["open"]:
            found = [o for o in found if o.get("status") not in over]
        after = query.get("after", [""])[0].replace("+00:00", "Z")
        return [o for o in found if (o.get("submitted_at") or "") > after][: int(query["limit"][0])]

    def _activities(self, query: dict[str, list[str]]) -> list[Any]:
        token = query.get("page_token", [None])[0]
        start = 0 if token is None else [fill["id"] for fill in self.fills].index(token) + 1
        return self.fills[start : start + int(query["page_size"][0])]


def _known(old: Json) -> Json:
    return {name: old[name] for name in ("limit_price", "stop_price") if old[name] is not None}


def _handler(broker: LoopbackBroker) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None: ...

        def _serve(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            broker.requests.append((self.command, self.path, body))
            broker.headers.append(dict(self.headers))
            route = (self.command, url.path)
            planned = broker.faults.get(route) or broker.faults.get((self.command, "*"))
            fault = planned.popleft() if planned else None
            if fault is None:
                self._reply(*broker.carry_out(self.command, url.path, parse_qs(url.query), body), {}, None)
                return
            done: tuple[int, Any] = (fault.status, None)
            if fault.after:
                done = broker.carry_out(self.command, url.path, parse_qs(url.query), body)
            if fault.stall_s:
                broker.released.wait(fault.stall_s)
            if fault.cut:
                self.close_connection = True
                return
            status, content = (done[0], done[1]) if fault.after and fault.body is None else (fault.status, fault.body)
            self._reply(status, content, fault.headers, fault.keep_bytes)

        def _reply(self, status: int, content: Any, headers: dict[str, str], keep_bytes: int | None) -> None:
            whole = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("X-Trade-Update-Seq", str(broker.events))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole if keep_bytes is None else whole[:keep_bytes])
            self.wfile.flush()
            if keep_bytes is not None:
                self.close_connection = True

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

    return Handler
