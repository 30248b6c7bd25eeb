"""The broker as an executor meets it over a bad line: the paper exchange behind requests that may go wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final, Protocol

from cli.simulation.faults import BROKER_AFTER, BROKER_BEFORE, Do, Fault
from services.executor.broker import Answer, Broker, Replied, Silent
from services.executor.broker import Fault as Silence
from shared.contracts.orders import OrderTerms

UNHEARD_OF: Final = {"id": "?", "client_order_id": "?", "status": "unheard_of"}
_SILENCE: Final = {
    Do.TIMEOUT_BEFORE: Silence.READ_TIMEOUT,
    Do.TIMEOUT_AFTER: Silence.READ_TIMEOUT,
    Do.NOT_CONNECTED: Silence.NOT_CONNECTED,
}
_STATUS: Final = {Do.ERROR_BEFORE: 504, Do.ERROR_AFTER: 504, Do.LIMITED: 429}


class Line(Protocol):
    """What the requests travel over, and who may be killed on the way."""

    def passes(self, point: str) -> Fault | None:
        """The fault that hits this request."""

    def ask(self, call: Callable[[Broker], Answer]) -> Answer:
        """`call` at the exchange, if there is one that answers."""

    def hang(self, seconds: float) -> None:
        """Let the others go on for so long."""


class SimulatedBroker:
    """A `Broker` of services/executor/broker.py. sends: told before and after each request that changes something."""

    def __init__(self, line: Line, sends: Callable[[str], None] = lambda point: None) -> None:
        self._line = line
        self._sends = sends
        self._said: dict[str, Answer] = {}

    def submit(self, terms: OrderTerms) -> Answer:
        return self._send("broker.submit", lambda broker: broker.submit(terms))

    def replace(self, broker_id: str, terms: OrderTerms) -> Answer:
        return self._send("broker.replace", lambda broker: broker.replace(broker_id, terms))

    def cancel(self, broker_id: str) -> Answer:
        return self._send("broker.cancel", lambda broker: broker.cancel(broker_id))

    def by_client_order_id(self, client_order_id: str) -> Answer:
        return self._read("broker.look_up", client_order_id, lambda broker: broker.by_client_order_id(client_order_id))

    def by_id(self, broker_id: str) -> Answer:
        return self._read("broker.look_up", broker_id, lambda broker: broker.by_id(broker_id))

    def open_orders(self) -> Answer:
        return self._read("broker.list", "open", lambda broker: broker.open_orders())

    def orders_since(self, since: dt.datetime) -> Answer:
        return self._read("broker.list", "orders", lambda broker: broker.orders_since(since))

    def fills_since(self, since: dt.datetime) -> Answer:
        return self._read("broker.list", "fills", lambda broker: broker.fills_since(since))

    def positions(self) -> Answer:
        return self._read("broker.list", "positions", lambda broker: broker.positions())

    def account(self) -> Answer:
        return self._read("broker.list", "account", lambda broker: broker.account())

    def clock(self) -> Answer:
        return self._line.ask(lambda broker: broker.clock())

    def asset(self, symbol: str) -> Answer:
        return self._line.ask(lambda broker: broker.asset(symbol))

    def _send(self, point: str, call: Callable[[Broker], Answer]) -> Answer:
        self._sends("executor.before_send")
        fault = self._line.passes(point)
        answer = self._faulty(fault, call) if fault is not None else self._line.ask(call)
        self._sends("executor.after_send")
        return answer

    def _faulty(self, fault: Fault, call: Callable[[Broker], Answer]) -> Answer:
        if fault.do is Do.REFUSE:
            return Replied(status=422, body={"code": 42210000}, code=42210000, text="it cannot be replaced now")
        if fault.do is Do.LATE_ARRIVAL:
            self._line.hang(fault.seconds)
            return self._line.ask(call)
        if fault.do in BROKER_AFTER:
            self._line.ask(call)
        return spoilt(fault.do)

    def _read(self, point: str, question: str, call: Callable[[Broker], Answer]) -> Answer:
        fault = self._line.passes(point)
        if fault is None:
            answer = self._said[question] = self._line.ask(call)
            return answer
        match fault.do:
            case Do.NOT_FOUND:
                return Replied(status=404, body={"code": 40410000}, code=40410000, text="order not found")
            case Do.STALE if question in self._said:
                return self._said[question]
            case Do.STALE:
                return self._line.ask(call)
            case Do.UNREADABLE:
                answer = self._line.ask(call)
                if isinstance(answer, Replied) and isinstance(answer.body, list):
                    return Replied(status=200, body=[UNHEARD_OF, *answer.body], events_seen=answer.events_seen)
                return answer
            case _:
                return spoilt(fault.do)


def spoilt(do: Do) -> Answer:
    """What is heard of a request that went wrong, whether or not it was executed."""
    if do in _SILENCE:
        return Silent(fault=_SILENCE[do], text="simulated")
    if do in _STATUS:
        return Replied(status=_STATUS[do], text="simulated")
    assert do in (Do.EMPTY, Do.HTML), do
    return Replied(status=200, empty=do is Do.EMPTY, text="" if do is Do.EMPTY else "<html>")


assert set(BROKER_BEFORE) <= {*_SILENCE, *_STATUS}
