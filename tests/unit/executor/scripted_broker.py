"""A broker that answers from a script, by request, and keeps what it was asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from services.executor.broker import Answer, Fault, Replied, Silent
from shared.contracts.orders import OrderTerms
from tests.orders.desk import stop
from tests.orders.loopback_broker import ACCOUNT, NOW, order


class ScriptedBroker:
    """Answers from a list by request; keeps what it was asked."""

    def __init__(self, **answers: Answer | list[Answer]) -> None:
        self.answers = {name: answer if isinstance(answer, list) else [answer] for name, answer in answers.items()}
        self.asked: list[str] = []
        self.on_request: Callable[[str], None] = lambda name: None

    def _answer(self, name: str) -> Answer:
        self.asked.append(name)
        self.on_request(name)
        left = self.answers.get(name, [])
        if not left:
            return Silent(fault=Fault.CUT, text="nothing planned")
        return left.pop(0) if len(left) > 1 else left[0]

    def submit(self, terms: OrderTerms) -> Answer:
        return self._answer("submit")

    def replace(self, broker_id: str, terms: OrderTerms) -> Answer:
        return self._answer("replace")

    def cancel(self, broker_id: str) -> Answer:
        return self._answer("cancel")

    def by_client_order_id(self, client_order_id: str) -> Answer:
        return self._answer("by_client_order_id")

    def by_id(self, broker_id: str) -> Answer:
        return self._answer("by_id")

    def open_orders(self) -> Answer:
        return self._answer("open_orders")

    def orders_since(self, since: dt.datetime) -> Answer:
        return self._answer("orders_since")

    def fills_since(self, since: dt.datetime) -> Answer:
        return self._answer("fills_since")

    def positions(self) -> Answer:
        return self._answer("positions")

    def account(self) -> Answer:
        return self._answer("account")

    def clock(self) -> Answer:
        return self._answer("clock")

    def asset(self, symbol: str) -> Answer:
        return self._answer(f"asset {symbol}")


def ok(body: Any, events_seen: int | None = None) -> Replied:
    return Replied(status=200, body=body, events_seen=events_seen)


def stop_order(number: int = 1, **changes: object) -> dict[str, Any]:
    """The broker's view of `stop(number)`."""
    kind = {"side": "sell", "type": "stop", "time_in_force": "gtc", "limit_price": None, "stop_price": "96.5"}
    return order(stop(number).id) | kind | changes


CLOCK = ok({"timestamp": NOW}, events_seen=11)
FILL = {
    "id": "20260109143000000::execution-1",
    "order_id": "o1",
    "price": "94.98",
    "qty": "4",
    "side": "sell",
    "symbol": "AAPL",
    "transaction_time": NOW,
}
POSITION = {"symbol": "AAPL", "qty": "10", "avg_entry_price": "100.01", "side": "long"}


def holding(**changes: Answer | list[Answer]) -> ScriptedBroker:
    answers: dict[str, Answer | list[Answer]] = {
        "clock": CLOCK,
        "account": ok(ACCOUNT),
        "positions": ok([POSITION]),
        "open_orders": ok([stop_order()]),
        "orders_since": ok([stop_order()]),
        "fills_since": ok([FILL]),
    }
    return ScriptedBroker(**(answers | changes))
