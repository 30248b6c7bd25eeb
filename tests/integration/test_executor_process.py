"""Executors as processes, on a real bus, against a broker on loopback: one order, whatever is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contracts.orders import (
    BrokerEvent,
    BrokerSnapshot,
    ListenerConnected,
)
from shared.contracts.outgoing import Job
from shared.contracts.vocabulary import Outcome, Queue
from shared.runtime.bus import Bus
from tests.integration.executor_room import DEADLINE_S, PROMPTLY_S, StateByHand, executor, reports, said, until, wake
from tests.orders.desk import reconciling, stop
from tests.orders.loopback_broker import NOW, Fault, LoopbackBroker, order
from tests.orders.update_server import UpdateServer, update


@pytest.fixture
def broker() -> Iterator[LoopbackBroker]:
    with LoopbackBroker() as running:
        yield running


@pytest.fixture
def state(server_url: str) -> Iterator[StateByHand]:
    with StateByHand(server_url) as running:
        yield running


def test_a_wake_up_becomes_an_order_and_a_report_and_sigterm_ends_it_at_once(
    bus: Bus, state: StateByHand, broker: LoopbackBroker, server_url: str, tmp_path: Path
) -> None:
    action = stop()
    state.actions = {action.id: action}
    with executor("protect", tmp_path, server_url, broker.url) as child:
        wake(bus, action)
        until(lambda: bool(reports(bus)))
        asked = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(DEADLINE_S) == 0
        assert time.monotonic() - asked < PROMPTLY_S
    (report,) = reports(bus)
    assert (report.outcome, report.events_seen) == (Outcome.DONE, 7)
    assert list(broker.orders) == [action.id]


def test_a_reconcile_action_becomes_a_snapshot(
    bus: Bus, state: StateByHand, broker: LoopbackBroker, server_url: str, tmp_path: Path
) -> None:
    broker.orders["o"] = order("o")
    state.actions = {"reconcile-1": reconciling()}
    with executor("protect", tmp_path, server_url, broker.url):
        wake(bus, reconciling())
        until(lambda: any(isinstance(message, BrokerSnapshot) for message in said(bus)))
    (snapshot,) = [message for message in said(bus) if isinstance(message, BrokerSnapshot)]
    assert [known.client_order_id for known in snapshot.orders or ()] == ["o"]


CRASH_POINTS = [
    "executor.before_claim",
    "executor.after_claim",
    "executor.before_send",
    "executor.after_send",
    "executor.before_report",
    "executor.after_report",
]


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_an_executor_killed_at_any_point_leaves_one_order_after_the_next_attempt(
    bus: Bus, state: StateByHand, broker: LoopbackBroker, server_url: str, tmp_path: Path, point: str
) -> None:
    action = stop()
    state.actions = {action.id: action}
    with executor("protect", tmp_path, server_url, broker.url, EV2_CRASH_AT=point) as child:
        wake(bus, action)
        assert child.wait(DEADLINE_S) == -signal.SIGKILL
    assert bool(broker.orders) is (point in CRASH_POINTS[3:])
    with executor("protect", tmp_path, server_url, broker.url):
        wake(bus, action, attempt=2)
        until(lambda: any(report.attempt == 2 for report in reports(bus)))
    (last,) = [report for report in reports(bus) if report.attempt == 2]
    assert last.outcome is (Outcome.FOUND if point in CRASH_POINTS[3:] else Outcome.DONE)
    assert list(broker.orders) == [action.id]
    assert len(broker.sent("POST")) == 1


def test_an_executor_frozen_past_its_lease_sends_nothing_when_it_wakes_up(
    bus: Bus, state: StateByHand, broker: LoopbackBroker, server_url: str, tmp_path: Path
) -> None:
    """It is frozen while it looks the order up, as the second attempt; the answer is there when it wakes up."""
    action, state.lease_s = stop(), 0.5
    state.actions = {action.id: action}
    broker.faults["GET", "/v2/orders:by_client_order_id"].append(Fault(stall_s=DEADLINE_S, after=True))
    with executor("protect", tmp_path, server_url, broker.url) as child:
        wake(bus, action, attempt=2)
        until(lambda: any("by_client_order_id" in path for _, path, _ in broker.requests))
        child.send_signal(signal.SIGSTOP)
        frozen = time.monotonic()
        broker.released.set()
        until(lambda: time.monotonic() - frozen > state.lease_s)
        child.send_signal(signal.SIGCONT)
        until(lambda: bool(reports(bus)))
    (report,) = reports(bus)
    assert (report.outcome, report.text) == (Outcome.NOT_SENT, "late: the lease was over before the request")
    assert broker.sent("POST") == []


def test_two_executors_woken_for_one_attempt_send_one_order(
    bus: Bus, state: StateByHand, broker: LoopbackBroker, server_url: str, tmp_path: Path
) -> None:
    action = stop()
    state.actions = {action.id: action}
    with (
        executor("protect", tmp_path, server_url, broker.url),
        executor("protect", tmp_path, server_url, broker.url),
    ):
        for number in range(6):
            bus.publish([Job(id=f"w{number}", queue=Queue.PROTECT, actions=(action.id,), attempts=(1,))])
        until(lambda: bool(reports(bus)) and bus.client.llen("ev2:rq:queue:protect") == 0)
    assert len(broker.sent("POST")) == 1
    assert len(reports(bus)) == 1


def test_a_hostile_job_reaches_the_dead_letters_and_the_next_one_is_worked(
    bus: Bus, state: StateByHand, broker: LoopbackBroker, server_url: str, tmp_path: Path
) -> None:
    action = stop()
    state.actions = {action.id: action}
    with executor("protect", tmp_path, server_url, broker.url):
        bus.client.hset("ev2:rq:job:bad", mapping={"data": b'["os.system", null, ["touch x"], {}]'})
        bus.client.rpush("ev2:rq:queue:protect", "bad")
        wake(bus, action)
        until(lambda: bool(reports(bus)))
    (letter,) = said(bus, "dead")
    assert "os.system" in str(letter)


def test_the_listener_forwards_updates_and_one_that_is_killed_is_replaced(
    bus: Bus, broker: LoopbackBroker, server_url: str, tmp_path: Path
) -> None:
    def connections() -> int:
        return sum(isinstance(message, ListenerConnected) for message in said(bus))

    with UpdateServer() as stream:
        variables = {"EV2_BROKER__STREAM_URL": stream.url}
        with executor("listener", tmp_path, server_url, broker.url, **variables) as first:
            until(lambda: connections() == 1)
            with executor("listener", tmp_path, server_url, broker.url, EV2_INSTANCE="other", **variables):
                stream.say(update({"event": "new", "timestamp": NOW, "order": order("a"), "seq": 1}))
                until(lambda: any(isinstance(message, BrokerEvent) for message in said(bus)))
                assert stream.connections == 1
                first.send_signal(signal.SIGTERM)
                assert first.wait(DEADLINE_S) == 0
                until(lambda: connections() == 2)
                stream.say(
                    update(
                        {
                            "event": "fill",
                            "timestamp": NOW,
                            "order": order("a"),
                            "execution_id": "e",
                            "qty": "1",
                            "price": "2",
                            "seq": 2,
                        }
                    )
                )
                until(lambda: sum(isinstance(message, BrokerEvent) for message in said(bus)) == 2)
    events = [message for message in said(bus) if isinstance(message, BrokerEvent)]
    assert [(event.event, event.seq) for event in events] == [("new", 1), ("fill", 2)]


def test_an_executor_without_the_brokers_address_says_what_to_do_and_ends(server_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "EV2_HOME": str(tmp_path), "EV2_REDIS_URL": server_url}
    ended = subprocess.run(
        [sys.executable, "-m", "services.executor", "--role", "entry"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("executor: broker.url is not set")
