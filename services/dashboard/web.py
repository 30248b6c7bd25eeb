"""The page's door: who may pass, what a browser may do with what it gets, and the log-in.

Everything goes through `Guard`: the page, its files and the socket over which it lives. NiceGUI compiles templates in
the browser, so scripts need `unsafe-eval`; they run only with the nonce of the page they came with. Styles need
`unsafe-inline`. Nothing is loaded from elsewhere, nothing may frame it, and no other site can use a visitor's session:
the cookie is SameSite=Strict, and whatever is not a plain reading must name this page as its origin.
"""

from __future__ import annotations

import html
import secrets
import time
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.dashboard.login import SESSION_S, Tries, Visitor, Visitors, is_token
from shared.runtime.logs import logger
from shared.runtime.settings import PageSettings

FORM: Final = Path(__file__).with_name("login.html")
LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
FORM_BYTES: Final = 4_096
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser would send `Origin: null` with a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
LOGIN_POLICY: Final = (
    "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class Door:
    """Token, sessions and tries of one page."""

    def __init__(self, settings: PageSettings, token: SecretStr) -> None:
        assert token.get_secret_value(), "a page without a token would let everybody in"
        self._token = token
        self._https = settings.https
        self._hosts = LOOPBACK if settings.host in LOOPBACK else None
        self._origins = frozenset(settings.origins)
        self._visitors = Visitors()
        self._tries = Tries()
        self.cookie: Final = "__Host-ev2" if settings.https else "ev2"

    def visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        """Who asks, by the cookie."""
        return self._visitors.known(_cookie(headers, self.cookie), time.monotonic())

    def may_be_asked(self, scope: Scope, headers: Headers) -> bool:
        """Whether the request is meant for this page (its Host) and does not come from another one (its Origin)."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
        if self._hosts is not None and name not in self._hosts and not self._is_ours(host):
            return False  # a name that somebody pointed at this machine
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            return True
        origin = headers.get("origin", "")
        return origin in self._origins or origin in (f"http://{host}", f"https://{host}")

    def _is_ours(self, host: str) -> bool:
        return any(origin.partition("://")[2] == host for origin in self._origins)

    async def log_in(self, request: Request) -> Response:
        """Take the form. The answer to a wrong token says nothing about it, and too many get none for a while."""
        caller = request.client.host if request.client is not None else ""
        wait_s = self._tries.wait_s(caller, time.monotonic())
        if wait_s > 0:
            return login_page(f"Too many tries. Wait {wait_s:.0f} seconds.", 429, {"Retry-After": f"{wait_s:.0f}"})
        if not is_token(await _token_in(request), self._token.get_secret_value()):
            self._tries.failed(caller, time.monotonic())
            logger().warning("log-in refused", caller=caller)
            return login_page("That is not the token.", 403)
        secret = secrets.token_urlsafe(32)
        self._visitors.enter(secret, time.monotonic())
        logger().info("logged in", caller=caller)
        reply = RedirectResponse("/", 303)
        reply.set_cookie(
            self.cookie, secret, max_age=int(SESSION_S), path="/", secure=self._https, httponly=True, samesite="strict"
        )
        return reply

    async def log_out(self, request: Request) -> Response:
        """Forget the session, here and in the browser."""
        self._visitors.leave(_cookie(request.headers, self.cookie))
        reply = RedirectResponse(LOGIN, 303)
        reply.delete_cookie(self.cookie, path="/", secure=self._https, httponly=True, samesite="strict")
        return reply

    async def show_login(self, request: Request) -> Response:
        """The form; somebody who is in already goes on to the page."""
        return RedirectResponse("/", 303) if self.visitor(request.headers) is not None else login_page("", 200)


class Guard:
    """Before everything else."""

    def __init__(self, app: ASGIApp, door: Door, https: bool) -> None:
        self.app = app
        self._door = door
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is None:
            if scope["type"] == "http":
                await self._pass(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await refused(scope, receive, self._with_headers(send, secrets.token_urlsafe(16), LOGIN_POLICY))
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4401, "reason": "log in first"})

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to one who may not pass; None: may."""
        if not self._door.may_be_asked(scope, headers):
            return PlainTextResponse("this request does not come from the page itself", 403)
        if scope["path"] == LOGIN or self._door.visitor(headers) is not None:
            return None
        if scope["path"] == "/" and scope["type"] == "http" and scope["method"] == "GET":
            return RedirectResponse(LOGIN, 303)
        return PlainTextResponse("log in first", 401)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        policy = LOGIN_POLICY if scope["path"] == LOGIN else POLICY
        if scope["path"] == "/":
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self.app(scope, receive, _Nonces(self._with_headers(send, nonce, policy), nonce))

    def _with_headers(self, send: Send, nonce: str, policy: str) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers[name] = value
                headers["Content-Security-Policy"] = policy.format(nonce=nonce)
                if self._https:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                if headers.get("content-type", "").startswith("text/html"):
                    headers["Cache-Control"] = "no-store"
                if "server" in headers:
                    del headers["server"]
            await send(message)

        return sending


class _Nonces:
    """Gives every script tag of an HTML answer the nonce without which no browser runs it.

    What a page says of the ledger stands in it as JSON with `<` written otherwise, so it can hold no such tag.
    """

    def __init__(self, send: Send, nonce: str) -> None:
        self._send = send
        self._nonce = nonce
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if not Headers(raw=message["headers"]).get("content-type", "").startswith("text/html"):
                await self._send(message)
            else:
                self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._body.replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
        body = body.replace(b"<style nonce>", f'<style nonce="{self._nonce}">'.encode())
        MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def build_app(settings: PageSettings, door: Door) -> FastAPI:
    """The application, with nothing behind the door yet but the log-in."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route(LOGIN, door.show_login, methods=["GET"], response_model=None)
    app.add_api_route(LOGIN, door.log_in, methods=["POST"], response_model=None)
    app.add_api_route(LOGOUT, door.log_out, methods=["POST"], response_model=None)
    app.add_middleware(Guard, door=door, https=settings.https)
    return app


def login_page(trouble: str, status: int, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """The form. It runs no script at all."""
    said = f'<p role="alert">{html.escape(trouble)}</p>' if trouble else ""
    form = FORM.read_text(encoding="utf-8").replace("<!-- said -->", said)
    return HTMLResponse(form, status, dict(headers or {}))


async def _token_in(request: Request) -> str:
    """The form's token; empty for a form that is too large or unreadable."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return ""
    found: Sequence[str] = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4).get("token", [""])
    return found[0].strip()


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")[:4_096]).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""
