"""The paper exchange asked directly: the same routes and the same JSON as over HTTP, without the socket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from services.exchange import routes, wire
from services.exchange.refusals import Refusal
from services.exchange.venue import Venue
from services.executor.broker import Answer, Replied
from shared.contracts.orders import OrderTerms
from shared.contracts.vocabulary import OrderClass

ALL = "500"


class DirectBroker:
    """A `Broker` of services/executor/broker.py."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def submit(self, terms: OrderTerms) -> Answer:
        return self._ask("POST", "/v2/orders", body=_order_body(terms))

    def replace(self, broker_id: str, terms: OrderTerms) -> Answer:
        body: dict[str, Any] = {"qty": terms.qty, "client_order_id": terms.client_order_id, **_prices(terms)}
        return self._ask("PATCH", f"/v2/orders/{broker_id}", body=body)

    def cancel(self, broker_id: str) -> Answer:
        return self._ask("DELETE", f"/v2/orders/{broker_id}")

    def by_client_order_id(self, client_order_id: str) -> Answer:
        return self._ask("GET", "/v2/orders:by_client_order_id", {"client_order_id": client_order_id})

    def by_id(self, broker_id: str) -> Answer:
        return self._ask("GET", f"/v2/orders/{broker_id}", {"nested": "true"})

    def open_orders(self) -> Answer:
        return self._ask("GET", "/v2/orders", {"status": "open", "nested": "true", "limit": ALL})

    def orders_since(self, since: dt.datetime) -> Answer:
        query = {"status": "all", "nested": "true", "limit": ALL, "direction": "asc", "after": since.isoformat()}
        return self._pages("/v2/orders", query, lambda order: {"after": order["submitted_at"]})

    def fills_since(self, since: dt.datetime) -> Answer:
        query = {"after": since.isoformat(), "direction": "asc", "page_size": "100"}
        return self._pages("/v2/account/activities/FILL", query, lambda fill: {"page_token": fill["id"]})

    def positions(self) -> Answer:
        return self._ask("GET", "/v2/positions")

    def account(self) -> Answer:
        return self._ask("GET", "/v2/account")

    def clock(self) -> Answer:
        return self._ask("GET", "/v2/clock")

    def asset(self, symbol: str) -> Answer:
        return self._ask("GET", f"/v2/assets/{symbol}")

    def _pages(self, path: str, query: dict[str, str], behind: Any) -> Answer:
        found: list[Any] = []
        while True:
            answer = self._ask("GET", path, query)
            if not isinstance(answer, Replied) or not isinstance(answer.body, list):
                return answer
            new = [element for element in answer.body if element not in found]
            found += new
            if not new:
                return msgspec.structs.replace(answer, body=found)
            query = {**query, **behind(new[-1])}

    def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Answer:
        sent = b"" if body is None else msgspec.json.encode(body)
        said, seen = self._venue.do(
            lambda exchange, now: routes.answer(
                exchange, self._venue.market, now, method, quote(path, safe="/:"), query, sent
            )
        )
        if isinstance(said, Refusal):
            return Replied(status=said.status, body=said.body(), code=said.code, text=said.message, events_seen=seen)
        if said.body is None:
            return Replied(status=said.status, empty=True, events_seen=seen)
        return Replied(status=said.status, body=msgspec.json.decode(wire.encode(said.body)), events_seen=seen)


def _order_body(terms: OrderTerms) -> dict[str, Any]:
    body: dict[str, Any] = {
        "symbol": terms.symbol,
        "qty": float(terms.qty),
        "side": terms.side,
        "type": terms.type,
        "time_in_force": terms.time_in_force,
        "client_order_id": terms.client_order_id,
        **_prices(terms),
    }
    if terms.order_class is not OrderClass.SIMPLE:
        body |= {"order_class": terms.order_class, "stop_loss": {"stop_price": _leg_price(terms)}}
    return body


def _prices(terms: OrderTerms) -> dict[str, float]:
    prices = {"limit_price": terms.limit_price, "stop_price": terms.stop_price}
    return {name: float(price) for name, price in prices.items() if price is not None}


def _leg_price(terms: OrderTerms) -> float:
    assert terms.leg_stop_price is not None, terms
    return float(terms.leg_stop_price)
