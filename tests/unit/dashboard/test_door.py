"""The door: who may pass, and what a browser may do with what it gets."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.websockets import WebSocket

from services.dashboard.login import TRIES
from services.dashboard.web import Door, build_app
from shared.runtime.settings import ExchangeSettings, PageSettings
from tests.unit.dashboard.asgi import Answer, Visitor

TOKEN = "open-sesame"
HERE = "http://127.0.0.1:8080"


def visitor(base: str = HERE, **settings: Any) -> Visitor:
    """A browser before a page with one HTML answer, one text, one change and one socket."""
    page = PageSettings(**settings)
    app = build_app(page, Door(page, SecretStr(TOKEN)))

    async def index() -> HTMLResponse:
        return HTMLResponse("<html><script>a()</script><script type=module>b()</script>&lt;script&gt;</html>")

    async def change() -> PlainTextResponse:
        return PlainTextResponse("changed")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")

    app.add_api_route("/", index, methods=["GET"])
    app.add_api_route("/change", change, methods=["POST"])
    app.add_api_websocket_route("/socket", socket)
    return Visitor(app, base)


def log_in(client: Visitor, token: str = TOKEN, origin: str | None = HERE) -> Answer:
    headers = {"origin": origin} if origin is not None else {}
    return client.post("/login", {"token": token}, **headers)


def answers_of(client: Visitor, **headers: str) -> list[str]:
    """What the socket says, by type."""
    return [message["type"] for message in client.socket("/socket", **headers)]


def test_nobody_passes_without_a_session() -> None:
    client = visitor()
    assert (client.get("/").status, client.get("/").headers["location"]) == (303, "/login")
    assert client.get("/_nicegui/anything").status == 401
    assert client.post("/change", origin=HERE).status == 401
    [refused] = client.socket("/socket", origin=HERE)
    assert (refused["type"], refused["code"]) == ("websocket.close", 4401)


def test_the_token_opens_everything_until_the_log_out() -> None:
    client = visitor()
    assert log_in(client).headers["location"] == "/"
    assert client.get("/").status == 200
    assert client.get("/login").status == 303
    assert answers_of(client, origin=HERE) == ["websocket.accept", "websocket.send"]
    assert client.post("/logout", origin=HERE).status == 303
    assert client.get("/").status == 303


@pytest.mark.parametrize("token", ["", "open-sesam", "open-sesamee", "OPEN-SESAME", "x" * 10_000])
def test_anything_else_opens_nothing(token: str) -> None:
    client = visitor()
    assert log_in(client, token).status == 403
    assert client.get("/").status == 303


def test_a_cookie_that_was_made_up_opens_nothing() -> None:
    client = visitor()
    for made_up in ("ev2=", "ev2=guess", 'ev2="', "ev2=" + "x" * 9000, "=;=;ev2"):
        assert client.get("/", cookie=made_up).status == 303


def test_guessing_is_slowed_down_and_says_for_how_long() -> None:
    client = visitor()
    for _ in range(TRIES):
        assert log_in(client, "wrong").status == 403
    waiting = log_in(client)
    assert waiting.status == 429
    assert 0 < int(waiting.headers["retry-after"]) <= 60


def test_a_form_of_another_site_is_refused() -> None:
    client = visitor()
    for origin in ("https://evil.example", "null", None):
        assert log_in(client, origin=origin).status == 403
    log_in(client)
    for path in ("/change", "/logout"):
        assert client.post(path, origin="https://evil.example").status == 403
        assert client.post(path).status == 403
    assert client.post("/change", origin=HERE).text == "changed"


def test_a_socket_of_another_site_is_refused_even_with_the_cookie() -> None:
    client = visitor()
    log_in(client)
    assert answers_of(client, origin="https://evil.example") == ["websocket.close"]
    assert answers_of(client) == ["websocket.close"]


def test_a_name_that_points_here_is_not_this_page() -> None:
    client = visitor()
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""):
        assert client.get("/login", host=host).status == 403, host
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "[::1]"):
        assert client.get("/login", host=host).status == 200, host


def test_a_proxy_in_front_is_named_in_the_settings() -> None:
    client = visitor("https://desk.example", https=True, origins=("https://desk.example",))
    assert log_in(client, origin="https://desk.example").status == 303
    assert client.get("/").status == 200


def test_a_page_for_the_network_is_served_under_any_name_but_only_to_itself() -> None:
    client = visitor("http://desk.lan:8080", host="0.0.0.0")
    assert log_in(client, origin="http://evil.example").status == 403
    assert log_in(client, origin="http://desk.lan:8080").status == 303


@pytest.mark.parametrize(("https", "name"), [(False, "ev2"), (True, "__Host-ev2")])
def test_the_cookie_is_for_this_page_alone(https: bool, name: str) -> None:
    client = visitor(https=https)
    flags = {part.strip().lower() for part in log_in(client).headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} <= flags
    assert ("secure" in flags) is https
    assert any(flag.startswith(f"{name.lower()}=") for flag in flags)


def test_every_answer_carries_the_headers() -> None:
    client = visitor()
    login = client.get("/login")
    log_in(client)
    for answer in (login, client.get("/"), client.get("/nothing"), visitor().get("/nothing")):
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/").headers["cache-control"] == "no-store"


def test_https_is_remembered_by_the_browser() -> None:
    assert visitor(https=True).get("/login").headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in visitor().get("/login").headers


def test_scripts_run_by_the_nonce_of_their_page_and_text_that_looks_like_one_gets_none() -> None:
    client = visitor()
    log_in(client)
    answers = [client.get("/") for _ in range(2)]
    nonces = [re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])[0] for answer in answers]
    assert nonces[0] != nonces[1]
    assert answers[0].text.count(f'nonce="{nonces[0]}"') == 2
    assert "&lt;script&gt;" in answers[0].text
    assert "unsafe-inline" not in re.findall("script-src [^;]*", answers[0].headers["content-security-policy"])[0]
    assert int(answers[0].headers["content-length"]) == len(answers[0].content)


def test_the_log_in_runs_no_script_and_repeats_nothing() -> None:
    client = visitor()
    answer = log_in(client, "<script>alert(1)</script>")
    assert "script" not in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]


def test_a_page_without_a_token_is_not_built() -> None:
    with pytest.raises(AssertionError):
        Door(PageSettings(), SecretStr(""))


def test_unless_told_otherwise_page_and_exchange_are_for_this_machine_alone() -> None:
    assert ip_address(PageSettings().host).is_loopback
    assert ip_address(ExchangeSettings().host).is_loopback
    assert PageSettings().token is None, "one is drawn; no default opens a page"
