"""The operator's routes: faults by hand, and what a market does to an account from outside."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from services.exchange import admin
from services.exchange.exchange import Exchange
from services.exchange.faults import Faults, Kind
from services.exchange.refusals import Refusal
from services.exchange.words import Status
from tests.unit.exchange.market import MINUTE, OPEN, an_exchange, flat, placed, request


def post(exchange: Exchange, path: str, body: dict[str, Any], faults: Faults | None = None) -> Any:
    return admin.answer(exchange, faults or Faults(), OPEN, "POST", f"/admin/{path}", json.dumps(body).encode())


def test_faults_are_added_and_cleared() -> None:
    exchange, faults = an_exchange(), Faults()
    script = b'[[fault]]\non = "GET /v2/clock"\ndo = "drop"'
    admin.answer(exchange, faults, OPEN, "POST", "/admin/faults", script)
    assert faults.hit(Kind.REQUEST, "GET /v2/clock") is not None
    admin.answer(exchange, faults, OPEN, "DELETE", "/admin/faults", b"")
    assert not faults


def test_a_symbol_is_halted_and_resumed() -> None:
    exchange = an_exchange()
    order = placed(exchange, OPEN)
    post(exchange, "halts", {"symbol": "AAPL", "halted": True})
    exchange.match(OPEN, [flat(100.0)], OPEN + MINUTE)
    assert exchange.book.order(order.id) == order
    post(exchange, "halts", {"symbol": "AAPL", "halted": False})
    exchange.match(OPEN + MINUTE, [flat(100.0)], OPEN + 2 * MINUTE)
    assert len(exchange.book.executions()) == 1


def test_a_split_changes_position_and_price() -> None:
    exchange = an_exchange()
    placed(exchange, OPEN)
    exchange.match(OPEN, [flat(100.0)], OPEN + MINUTE)
    post(exchange, "splits", {"symbol": "AAPL", "ratio": "4"})
    [position] = exchange.book.positions()
    assert (position.qty, position.avg_price) == (Decimal(40), Decimal(25))
    assert exchange.book.last_price("AAPL") == Decimal(25)


def test_a_blocked_account_takes_no_order() -> None:
    exchange = an_exchange()
    post(exchange, "account", {"blocked": True})
    refused = exchange.submit(request(), OPEN)
    assert isinstance(refused, Refusal)
    assert refused.message == "account is blocked"


def test_an_order_is_rejected_by_the_market() -> None:
    exchange = an_exchange()
    order = placed(exchange, OPEN)
    post(exchange, "rejects", {"order_id": order.id})
    found = exchange.book.order(order.id)
    assert found is not None
    assert found.status is Status.REJECTED


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("halts", {}),
        ("splits", {"symbol": "AAPL", "ratio": "0"}),
        ("splits", {"symbol": "AAPL", "ratio": "x"}),
        ("x", {}),
    ],
)
def test_nonsense_is_refused(path: str, body: dict[str, Any]) -> None:
    assert isinstance(post(an_exchange(), path, body), Refusal)


def test_a_bad_fault_script_is_refused_with_its_reason() -> None:
    refused = admin.answer(an_exchange(), Faults(), OPEN, "POST", "/admin/faults", b"[[fault]]\non = 1")
    assert isinstance(refused, Refusal)
    assert "fault script" in refused.message
