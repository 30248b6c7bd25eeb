"""What the real alpaca-py sends for us, and how lists are paged, over loopback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.executor import alpaca_broker
from services.executor.alpaca_broker import AlpacaBroker
from services.executor.broker import Fault as NoReply
from services.executor.broker import Replied, Silent
from shared.contracts.money import round_down
from tests.orders.desk import entry, stop
from tests.orders.loopback_broker import Fault, LoopbackBroker, order, refusal

SINCE = dt.datetime(2026, 1, 4, 14, 50, tzinfo=dt.UTC)


@pytest.fixture
def broker() -> Iterator[LoopbackBroker]:
    with LoopbackBroker() as running:
        yield running


def test_an_entry_goes_out_with_its_stop_leg(broker: LoopbackBroker) -> None:
    terms = entry().terms
    assert terms is not None
    broker.client().submit(terms)
    assert broker.sent("POST") == [
        {
            "symbol": "AAPL",
            "qty": 10.0,
            "side": "buy",
            "type": "limit",
            "time_in_force": "day",
            "order_class": "oto",
            "client_order_id": "e7f3-260109-AAPL-entry-1",
            "stop_loss": {"stop_price": 96.5},
            "limit_price": 100.12,
        }
    ]


def test_a_replace_names_the_new_order_and_its_terms(broker: LoopbackBroker) -> None:
    standing = broker.orders["old"] = order("old", type="stop", side="sell", stop_price="95", limit_price=None)
    terms = stop(2, qty=5, price="97.25").terms
    assert terms is not None
    broker.client().replace(standing["id"], terms)
    assert broker.sent("PATCH") == [
        {"qty": 5, "time_in_force": "gtc", "stop_price": 97.25, "client_order_id": "e7f3-260109-AAPL-stop-2"}
    ]


@settings(max_examples=200, deadline=None)
@given(st.floats(0.0002, 5000))
def test_every_price_on_the_grid_is_sent_as_that_price(price: float) -> None:
    on_grid = round_down(price)
    if on_grid > 0:
        assert Decimal(repr(alpaca_broker.number(on_grid))) == on_grid


@pytest.mark.parametrize("price", [None, Decimal(0), Decimal(-1), Decimal("NaN"), Decimal(0.1 + 0.2)])
def test_what_is_no_price_is_not_sent(price: Decimal | None) -> None:
    with pytest.raises(ValueError):
        alpaca_broker.number(price)


def test_the_keys_are_sent_and_never_shown(broker: LoopbackBroker) -> None:
    client = broker.client()
    client.account()
    assert broker.headers[0]["APCA-API-SECRET-KEY"] == "demo-secret"
    assert "demo" not in repr(client)


def test_proxies_of_the_environment_are_not_used(broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    answer = broker.client().account()
    assert isinstance(answer, Replied)
    assert answer.status == 200


def test_the_number_of_the_last_trade_update_is_read_from_the_reply(broker: LoopbackBroker) -> None:
    broker.events = 12
    answer = broker.client().account()
    assert isinstance(answer, Replied)
    assert answer.events_seen == 12


def test_what_is_left_of_the_rate_limit_is_read_from_the_reply(broker: LoopbackBroker) -> None:
    fault = refusal(429, 42910000, "too many requests")
    fault.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
    broker.faults["DELETE", "*"].append(fault)
    answer = broker.client().cancel(order("x")["id"])
    assert isinstance(answer, Replied)
    assert (answer.status, answer.remaining, answer.reset_s) == (429, 0, 0.0)


def test_orders_are_paged_to_their_end(broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca_broker, "ORDERS_A_PAGE", 3)
    for number in range(8):
        stamp = f"2026-01-09T14:50:{number // 2:02}.123456789Z"
        broker.orders[f"o{number}"] = order(f"o{number}", submitted_at=stamp)
    answer = broker.client().orders_since(SINCE)
    assert isinstance(answer, Replied)
    assert isinstance(answer.body, list)
    assert [found["client_order_id"] for found in answer.body] == [f"o{number}" for number in range(8)]
    assert "nested=True" in broker.requests[0][1]
    assert "direction=asc" in broker.requests[0][1]


def test_a_list_that_cannot_be_paged_to_its_end_is_no_list(
    broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alpaca_broker, "ORDERS_A_PAGE", 3)
    broker.orders |= {f"o{number}": order(f"o{number}") for number in range(8)}
    answer = broker.client().open_orders()
    assert isinstance(answer, Silent)
    assert answer.fault is NoReply.CUT


def test_a_page_that_fails_fails_the_list(broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca_broker, "ORDERS_A_PAGE", 3)
    for number in range(5):
        broker.orders[f"o{number}"] = order(f"o{number}", submitted_at=f"2026-01-09T14:50:{number:02}Z")
    broker.faults["GET", "/v2/orders"].extend([None, *[Fault(status=500, body=b"")] * 3])
    answer = broker.client().open_orders()
    assert isinstance(answer, Replied)
    assert answer.status == 500


def test_executions_are_paged_by_the_last_ones_id(broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca_broker, "FILLS_A_PAGE", 2)
    broker.fills = [{"id": f"20260109::{number}"} for number in range(5)]
    answer = broker.client().fills_since(SINCE)
    assert isinstance(answer, Replied)
    assert answer.body == broker.fills


def test_an_address_with_a_slash_at_its_end_works(broker: LoopbackBroker) -> None:
    client = AlpacaBroker(SecretStr("k"), SecretStr("s"), broker.url + "/")
    answer = client.account()
    assert isinstance(answer, Replied)
    assert answer.status == 200
