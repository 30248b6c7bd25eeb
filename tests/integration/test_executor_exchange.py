"""Executors against the paper exchange, as processes: the life of one position, told completely and in numbers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from shared.contracts.clock import Matched, Tick, TickPhase
from shared.contracts.market import Bar, Bars
from shared.contracts.orders import (
    Action,
    BrokerEvent,
    BrokerOrder,
    BrokerSnapshot,
    ListenerConnected,
    OrderReport,
)
from shared.contracts.outgoing import Job
from shared.contracts.vocabulary import Outcome, Queue
from shared.runtime.bus import Bus
from tests.integration.executor_room import StateByHand, executor, said, until
from tests.orders.desk import cancelling, entry, reconciling, replacing, stop

SESSION = date(2015, 2, 11)
OPEN = datetime(2015, 2, 11, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Market:
    """The exchange's process, two executors and a listener; the test is state and conductor."""

    def __init__(self, home: Path, bus: Bus, server_url: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.bus = bus
        self.state = StateByHand(server_url)
        self._home = home
        self._url = server_url
        self._stack = ExitStack()
        self._minute = 0

    def __enter__(self) -> Market:
        environment = {
            **os.environ,
            "EV2_HOME": str(self._home),
            "EV2_REDIS_URL": self._url,
            "EV2_RUN__PACE": "conducted",
            "EV2_RUN__SALT": "7",
            "EV2_EXCHANGE__PORT": str(self.port),
            "EV2_EXCHANGE__RANDOM_PARTIALS": "0",
        }
        child = subprocess.Popen([sys.executable, "-m", "services.exchange"], env=environment)
        self._stack.callback(child.wait)
        self._stack.callback(child.kill)
        until(self._answers)
        self._stack.enter_context(self.state)
        self.match(Bar("AAPL", 100, 101, 99, 100, 1e6))
        address = f"http://127.0.0.1:{self.port}"
        stream = {"EV2_BROKER__STREAM_URL": f"ws://127.0.0.1:{self.port}/stream"}
        for role in ("protect", "listener"):
            self._stack.enter_context(executor(role, self._home, self._url, address, **stream))
        until(lambda: any(isinstance(message, ListenerConnected) for message in said(self.bus)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def match(self, bar: Bar) -> int:
        """Play the next minute; the number of trade updates the exchange has then sent."""
        self._minute += 1
        at = OPEN + self._minute * MINUTE
        self.bus.publish([Bars(id=f"bars-0-{self._minute}", at=at, partition=0, minute=at - MINUTE, rows=(bar,))])
        tick = Tick(
            id=f"tick-{self._minute}",
            at=at,
            session=SESSION,
            phase=TickPhase.MATCH,
            upto=self.bus.last_ids(["bars:0"]),
        )
        self.bus.publish([tick])
        matched: list[Matched] = []

        def answered() -> bool:
            matched[:] = [m for m in said(self.bus, "progress") if isinstance(m, Matched) and m.cause == tick.id]
            return bool(matched)

        until(answered)
        return matched[0].events

    def work(self, action: Action) -> OrderReport:
        """Have an executor do it; its report."""
        self._wake(action)
        found: list[OrderReport] = []

        def reported() -> bool:
            found[:] = [m for m in said(self.bus) if isinstance(m, OrderReport) and m.action == action.id]
            return bool(found)

        until(reported)
        return found[-1]

    def reconcile(self) -> BrokerSnapshot:
        self._wake(reconciling())
        found: list[BrokerSnapshot] = []

        def told() -> bool:
            found[:] = [m for m in said(self.bus) if isinstance(m, BrokerSnapshot) and m.request == "reconcile-1"]
            return bool(found)

        until(told)
        return found[-1]

    def events(self, up_to: int) -> list[BrokerEvent]:
        """All trade updates, once the one of this number is here."""
        until(lambda: any(m.seq == up_to for m in said(self.bus) if isinstance(m, BrokerEvent)))
        return [m for m in said(self.bus) if isinstance(m, BrokerEvent)]

    def _wake(self, action: Action) -> None:
        self.state.actions[action.id] = action
        self.bus.publish([Job(id=action.id, queue=Queue.PROTECT, actions=(action.id,), attempts=(1,))])

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
            return True
        return False


@pytest.fixture
def market(tmp_path: Path, bus: Bus, server_url: str) -> Iterator[Market]:
    with Market(tmp_path, bus, server_url) as running:
        yield running


def leg_of(order: BrokerOrder | None) -> BrokerOrder:
    assert order is not None
    (leg,) = order.legs
    return leg


def test_a_position_is_bought_trimmed_and_left_and_every_step_is_told(market: Market) -> None:
    bought = market.work(entry(limit="100.5"))
    assert bought.outcome is Outcome.DONE
    leg = leg_of(bought.order)
    assert (leg.status, leg.stop_price) == ("held", Decimal("96.5"))

    events = market.events(market.match(Bar("AAPL", 100.2, 101, 99.5, 100, 1e6)))
    fills = [event for event in events if event.execution_id is not None]
    assert [(fill.event, fill.qty, fill.price) for fill in fills] == [("fill", Decimal(10), Decimal("100.2"))]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))

    smaller = market.work(replacing(leg.broker_id, stop(2, qty=5)))
    assert smaller.outcome is Outcome.DONE
    assert smaller.order is not None
    assert (smaller.order.client_order_id, smaller.order.qty) == (stop(2).id, Decimal(5))
    assert smaller.events_seen is not None
    market.events(smaller.events_seen)

    again = market.work(replacing(leg.broker_id, stop(3, qty=4)))
    assert again.outcome is Outcome.REFUSED

    held = market.reconcile()
    assert [(position.symbol, position.qty) for position in held.positions or ()] == [("AAPL", Decimal(10))]
    assert [fill.execution_id for fill in held.fills or ()] == [fills[0].execution_id]
    assert held.dropped == ()
    shown = [one for order in held.orders or () for one in (order, *order.legs)]
    resting = {one.client_order_id for one in shown if one.status == "new"}
    assert resting == {stop(2).id}

    cancelled = market.work(cancelling(smaller.order.broker_id))
    assert cancelled.outcome is Outcome.DONE
    assert cancelled.order is not None
    assert cancelled.order.status == "canceled"


def test_a_stop_that_the_market_has_passed_is_refused_with_the_brokers_words(market: Market) -> None:
    bought = market.work(entry(limit="100.5"))
    market.match(Bar("AAPL", 100.2, 101, 99.5, 100, 1e6))
    refused = market.work(replacing(leg_of(bought.order).broker_id, stop(2, price="150")))
    assert (refused.outcome, refused.http_status, refused.code) == (Outcome.REFUSED, 422, 42210000)
    assert refused.text


def test_a_cancel_that_a_fill_has_crossed_tells_the_filled_order(market: Market) -> None:
    bought = market.work(entry(limit="100.5"))
    assert bought.order is not None
    market.match(Bar("AAPL", 100.2, 101, 99.5, 100, 1e6))
    crossed = market.work(cancelling(bought.order.broker_id))
    assert crossed.outcome is Outcome.DONE
    assert crossed.order is not None
    assert (crossed.order.status, crossed.order.filled_qty) == ("filled", Decimal(10))
