"""State's side of the desk, by hand: grants or refuses claims, keeps what it is told. And actions to claim."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from services.executor.broker import Broker
from services.executor.budget import Budget
from services.executor.work import Clock, Executor
from shared.contracts.orders import (
    Action,
    BrokerSnapshot,
    ClaimReply,
    ClaimRequest,
    OrderReport,
    OrderTerms,
)
from shared.contracts.outgoing import Outgoing
from shared.contracts.vocabulary import ActionKind, OrderClass, OrderType, Queue, Side, TimeInForce

START = dt.datetime(2026, 1, 9, 14, 50, tzinfo=dt.UTC)


class Time:
    """Time that passes only when someone waits, or when the test says so."""

    def __init__(self) -> None:
        self.passed_s = 1000.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.passed_s += seconds

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.passed_s,
            wait=self.wait,
            now=lambda: START + dt.timedelta(seconds=self.passed_s - 1000),
        )


class Desk:
    """Answers claims from `answers`, by action id; keeps what is published."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.answers: dict[str, ClaimReply] = {}
        self.asked: list[ClaimRequest] = []
        self.said: list[Outgoing] = []
        self.answer_takes_s = 0.0
        self.before_answer: Callable[[], None] = lambda: None

    def ask(self, requests: Sequence[ClaimRequest], deadline_s: float) -> Mapping[str, ClaimReply]:
        self.asked += requests
        self.before_answer()
        answers = {request.id: self.answers[request.action] for request in requests if request.action in self.answers}
        self.time.wait(self.answer_takes_s if answers else deadline_s)
        return answers

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        self.said += outgoing

    @property
    def reports(self) -> list[OrderReport]:
        return [message for message in self.said if isinstance(message, OrderReport)]

    @property
    def snapshots(self) -> list[BrokerSnapshot]:
        return [message for message in self.said if isinstance(message, BrokerSnapshot)]


class Room(Struct, frozen=True):
    """An executor at work between a desk and a broker."""

    executor: Executor
    desk: Desk
    time: Time

    def grant(
        self, action: Action, *, attempt: int = 1, look_up_first: bool = False, lease_s: float = 5.0
    ) -> OrderReport:
        """Grant `action`, have it worked, and return the one report that came of it."""
        before = len(self.desk.reports)
        self.desk.answers[action.id] = granted(action, attempt, look_up_first=look_up_first, lease_s=lease_s)
        self.executor.perform([action.id], [attempt])
        assert len(self.desk.reports) == before + 1
        return self.desk.reports[-1]


def room(broker: Broker, *, stop: Callable[[], bool] = lambda: False, budget: Budget | None = None) -> Room:
    time = Time()
    desk = Desk(time)
    budget = budget or Budget(6000, 0.0, time.passed_s)
    return Room(Executor("protect-1", desk, broker, budget, time.clock(), stop), desk, time)


def granted(action: Action, attempt: int = 1, *, look_up_first: bool = False, lease_s: float = 5.0) -> ClaimReply:
    return ClaimReply(
        request="claim",
        granted=True,
        action=action,
        attempt=attempt,
        lease_s=lease_s,
        look_up_first=look_up_first,
        at=START,
    )


def entry(number: int = 1, limit: str = "100.12") -> Action:
    """Buy 10 AAPL at a limit, with a stop-loss leg."""
    terms = OrderTerms(
        client_order_id=f"e7f3-260109-AAPL-entry-{number}",
        symbol="AAPL",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        qty=10,
        limit_price=Decimal(limit),
        order_class=OrderClass.OTO,
        leg_stop_price=Decimal("96.5"),
    )
    return Action(id=terms.client_order_id, kind=ActionKind.SUBMIT, queue=Queue.ENTRY, terms=terms)


def stop(number: int = 1, qty: int = 10, price: str = "96.5") -> Action:
    """Sell AAPL if it falls to `price`."""
    terms = OrderTerms(
        client_order_id=f"e7f3-260109-AAPL-stop-{number}",
        symbol="AAPL",
        side=Side.SELL,
        type=OrderType.STOP,
        time_in_force=TimeInForce.GTC,
        qty=qty,
        stop_price=Decimal(price),
    )
    return Action(id=terms.client_order_id, kind=ActionKind.SUBMIT, queue=Queue.PROTECT, terms=terms)


def replacing(target_broker_id: str, action: Action, target: str = "") -> Action:
    return Action(
        id=action.id,
        kind=ActionKind.REPLACE,
        queue=Queue.PROTECT,
        terms=action.terms,
        target=target,
        target_broker_id=target_broker_id,
    )


def cancelling(target_broker_id: str, target: str = "") -> Action:
    return Action(
        id="cancel-1",
        kind=ActionKind.CANCEL,
        queue=Queue.PROTECT,
        target=target,
        target_broker_id=target_broker_id,
    )


def reconciling() -> Action:
    return Action(id="reconcile-1", kind=ActionKind.RECONCILE, queue=Queue.PROTECT)
