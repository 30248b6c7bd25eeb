"""A visitor who speaks ASGI: requests and sockets straight to an application, cookies kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message


class Answer(Struct):
    status: int
    headers: Headers
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


class Visitor:
    """base: where it believes the page to be."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        self._base = urlsplit(base)
        self._cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, headers, b"")

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Answer:
        return self._ask("POST", path, headers, urlencode(form or {}).encode())

    def socket(self, path: str, **headers: str) -> list[Message]:
        """Everything that the application says on a socket which sends nothing."""
        return self._run(
            {"type": "websocket", "path": path, "subprotocols": []}, headers, {"type": "websocket.connect"}
        )

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        scope = {"type": "http", "method": method, "path": path, "http_version": "1.1"}
        said = self._run(scope, headers, {"type": "http.request", "body": body, "more_body": False})
        answer = Answer(
            said[0]["status"],
            Headers(raw=said[0]["headers"]),
            b"".join(message.get("body", b"") for message in said[1:]),
        )
        for cookie in answer.headers.getlist("set-cookie"):
            for name, morsel in SimpleCookie(cookie).items():
                self._cookies[name] = morsel.value
        return answer

    def _run(self, scope: Mapping[str, Any], headers: Mapping[str, str], first: Message) -> list[Message]:
        given = {"host": self._base.netloc, "cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())}
        given |= {name.lower(): value for name, value in headers.items()}
        whole = {
            **scope,
            "asgi": {"version": "3.0"},
            "scheme": self._base.scheme,
            "root_path": "",
            "query_string": b"",
            "client": ("10.0.0.7", 4711),
            "server": ("127.0.0.1", 8080),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        said: list[Message] = []
        coming = iter([first])

        async def receive() -> Message:
            return next(coming, {"type": f"{scope['type']}.disconnect", "code": 1000})

        async def send(message: Message) -> None:
            said.append(message)

        async def call() -> None:
            await self._app(whole, receive, send)

        asyncio.run(call())
        return said
