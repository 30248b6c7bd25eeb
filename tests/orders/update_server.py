"""A server of trade updates that speaks the broker's protocol, and misbehaves as told: one plan a connection."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve


@dataclass
class Plan:
    """What one connection does.

    say: messages after the subscription, whole JSON values; `DROP` cuts the connection there without a closing
    handshake. status: answers the upgrade with this instead. refuse_keys, silent_auth, silent_listen: stop short in
    the handshake.
    """

    say: list[Any] = field(default_factory=list)
    status: int | None = None
    refuse_keys: bool = False
    silent_auth: bool = False
    silent_listen: bool = False
    text: bool = False


DROP = "drop"


def update(data: object) -> dict[str, object]:
    return {"stream": "trade_updates", "data": data}


class UpdateServer:
    """Use as a context manager. `plans` are taken one a connection; then connections are good and say nothing."""

    def __init__(self, *plans: Plan) -> None:
        self.plans = deque(plans)
        self.connections = 0
        self.keys: list[str] = []
        self.greeted = threading.Event()
        self._open: list[ServerConnection] = []
        self._server: Server = serve(self._serve, "127.0.0.1", 0, process_request=self._upgrade)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._plan_of: dict[int, Plan] = {}

    def __enter__(self) -> UpdateServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._open:
            _abort(connection)
        self._server.shutdown()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/stream"

    def say(self, message: object) -> None:
        """On the newest connection."""
        self._open[-1].send(json.dumps(message).encode())

    def drop(self) -> None:
        """Cut the newest connection."""
        _abort(self._open[-1])

    def _upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        self.connections += 1
        plan = self.plans.popleft() if self.plans else Plan()
        self._plan_of[id(connection)] = plan
        if plan.status is not None:
            return connection.respond(HTTPStatus(plan.status), "no\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        plan = self._plan_of[id(connection)]
        with suppress(ConnectionClosed, OSError):
            self._handshake(connection, plan)
            for message in plan.say:
                if message == DROP:
                    _abort(connection)
                    return
                connection.send(json.dumps(message) if plan.text else json.dumps(message).encode())
            while True:
                connection.recv()

    def _handshake(self, connection: ServerConnection, plan: Plan) -> None:
        asked = json.loads(connection.recv())
        self.keys.append(asked["data"]["key_id"])
        self.greeted.set()
        while plan.silent_auth:
            connection.recv()
        status = "unauthorized" if plan.refuse_keys else "authorized"
        answer = {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}
        connection.send(json.dumps(answer).encode())
        asked = json.loads(connection.recv())
        assert asked == {"action": "listen", "data": {"streams": ["trade_updates"]}}
        while plan.silent_listen:
            connection.recv()
        self._open.append(connection)
        connection.send(json.dumps({"stream": "listening", "data": {"streams": ["trade_updates"]}}).encode())


def _abort(connection: ServerConnection) -> None:
    """End the TCP connection without a closing handshake, as a network fault does."""
    with suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
