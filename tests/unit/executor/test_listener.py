"""The listener: forwards what is heard, announces each connection, and finds a stream that is dead or mute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from services.executor.broker import Replied
from services.executor.broker_words import read_order
from services.executor.heard import Ended, Heard, KeysRefused, Listening, Lost, Update
from services.executor.listener import Listener
from services.executor.overdue import Overdue, has_moved
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.message import Message
from shared.contracts.orders import BrokerEvent, BrokerOrder, BrokerSnapshot, ListenerConnected, OrderReport
from shared.contracts.outgoing import Outgoing
from shared.contracts.vocabulary import Outcome
from shared.domain.order_life import CHECKED
from shared.runtime.bus import BusDown, Entry
from tests.orders.desk import START, Time
from tests.orders.loopback_broker import NOW, order
from tests.unit.executor.scripted_broker import ScriptedBroker, holding, ok


class Wire:
    """The stream, by hand."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.tell: Callable[[Heard], None] = lambda heard: None

    def made(self, tell: Callable[[Heard], None]) -> Wire:
        self.tell = tell
        return self

    def start(self) -> None:
        self.did.append("start")

    def reconnect(self) -> None:
        self.did.append("reconnect")

    def stop(self) -> None:
        self.did.append("stop")


class HandLease:
    def __init__(self) -> None:
        self.held = True
        self.number = 3_000_007
        self.given_back = False
        self.bus_down = False

    def keep(self) -> bool:
        if self.bus_down:
            raise BusDown("gone")
        return self.held

    def give_back(self) -> None:
        self.given_back = True


class HandBus:
    def __init__(self) -> None:
        self.said: list[Outgoing] = []
        self.entries: list[Entry] = []
        self.down = False

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        if self.down:
            raise BusDown("gone")
        self.said += outgoing

    def read(self, positions: Mapping[str, str], block_ms: int, count: int = 500) -> Sequence[Entry]:
        found, self.entries = self.entries, []
        return found

    def last_ids(self, names: Sequence[str]) -> Mapping[str, str]:
        return {}


class Post:
    """A listener with everything around it in hand."""

    def __init__(self, broker: ScriptedBroker | None = None) -> None:
        self.time, self.wire, self.lease, self.bus = Time(), Wire(), HandLease(), HandBus()
        self.broker = broker or holding()
        self.listener = Listener(
            "listener-1", self.bus, self.lease, self.broker, self.wire.made, lambda call: call(), self.time.clock(), 0.0
        )

    def hear(self, *heard: Heard) -> None:
        """Have these heard, and everything done that follows at once."""
        self.listener.turn()
        for one in heard:
            self.wire.tell(one)
        self.turns()

    def turns(self) -> None:
        for _ in range(3):
            self.listener.turn()

    def pass_time(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time go by, with a turn at each step."""
        for _ in range(round(seconds / step_s)):
            self.time.passed_s += step_s
            self.listener.turn()

    def answered(self, raw: Mapping[str, Any], outcome: Outcome = Outcome.DONE) -> None:
        """An executor reports that the broker answered with this order."""
        report = OrderReport(
            id="report", at=START, action="a", attempt=1, executor="protect-1", outcome=outcome, order=as_order(raw)
        )
        self.bus.entries.append(Entry("orders", "1-1", report))
        self.listener.turn()

    def said(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.bus.said if isinstance(message, kind)]


def as_order(raw: Mapping[str, Any]) -> BrokerOrder:
    return read_order(dict(raw)).order


def update(event: str, raw: dict[str, Any], **changes: object) -> Update:
    fields: dict[str, object] = {"event": event, "timestamp": NOW, "order": raw}
    return Update(fields | changes)


FILL = {"execution_id": "execution-1", "qty": "4", "price": "94.98"}


def test_an_update_is_forwarded_with_its_number() -> None:
    post = Post()
    post.hear(Listening(), update("partial_fill", order("o"), seq=9, **FILL))
    (event,) = post.said(BrokerEvent)
    assert (event.event, event.execution_id, event.seq, event.order.client_order_id) == (
        "partial_fill",
        "execution-1",
        9,
        "o",
    )


def test_every_connection_is_announced_at_the_brokers_time_with_the_leases_number() -> None:
    post = Post()
    post.hear(Listening())
    post.hear(Lost(), Listening())
    first, second = post.said(ListenerConnected)
    assert first.fence == 3_000_007
    assert first.at == dt.datetime(2026, 1, 9, 14, 50, 0, 123_456, tzinfo=dt.UTC)
    assert first.id != second.id


def test_a_connection_is_announced_also_where_the_brokers_clock_cannot_be_read() -> None:
    post = Post(holding(clock=Replied(status=503)))
    post.hear(Listening())
    assert len(post.said(ListenerConnected)) == 1


def test_an_update_that_cannot_be_read_is_told_and_reconciled_and_the_next_is_forwarded() -> None:
    post = Post()
    post.hear(Listening(), Update(None), update("new", order("o")))
    assert [letter.stream for letter in post.said(DeadLetter)] == ["trade_updates"]
    assert len(post.said(ListenerConnected)) == 2
    assert [event.event for event in post.said(BrokerEvent)] == ["new"]
    assert [alert.key for alert in post.said(Alert)] == ["unreadable"]


def test_without_the_lease_there_is_no_connection_and_nothing_is_forwarded() -> None:
    post = Post()
    post.lease.held = False
    post.hear(update("new", order("o")))
    assert post.wire.did == []
    assert post.bus.said == []


def test_a_listener_that_wakes_up_without_its_lease_forwards_nothing_of_what_it_heard() -> None:
    post = Post()
    post.hear(Listening())
    post.bus.said.clear()
    post.wire.tell(update("new", order("o")))
    post.lease.held = False
    post.turns()
    assert post.wire.did == ["start", "stop"]
    assert post.bus.said == []
    post.lease.held = True
    post.turns()
    assert post.wire.did == ["start", "stop", "start"]
    assert post.bus.said == []


def test_what_is_heard_while_the_bus_is_down_is_told_when_it_is_back() -> None:
    post = Post()
    post.hear(Listening())
    post.bus.down = post.lease.bus_down = True
    post.hear(update("new", order("a")), update("fill", order("b"), **FILL))
    assert post.said(BrokerEvent) == []
    post.bus.down = post.lease.bus_down = False
    post.turns()
    assert [event.order.client_order_id for event in post.said(BrokerEvent)] == ["a", "b"]


def test_while_there_is_no_connection_the_broker_is_asked_by_rest() -> None:
    post = Post()
    post.hear(Listening(), Lost())
    post.pass_time(13)
    assert len(post.said(BrokerSnapshot)) == 3
    assert len({snapshot.id for snapshot in post.said(BrokerSnapshot)}) == 3
    post.hear(Listening())
    told = len(post.said(BrokerSnapshot))
    post.pass_time(20)
    assert len(post.said(BrokerSnapshot)) == told


def test_a_broker_that_does_not_answer_by_rest_either_is_no_snapshot() -> None:
    post = Post(ScriptedBroker())
    post.hear(Lost())
    post.pass_time(8)
    assert post.said(BrokerSnapshot) == []


def test_a_stream_that_is_down_for_ten_seconds_alerts_once_and_says_when_it_is_back() -> None:
    post = Post()
    post.hear(Listening(), Lost())
    post.pass_time(9)
    assert post.said(Alert) == []
    post.pass_time(20)
    assert [alert.level for alert in post.said(Alert)] == ["critical"]
    post.hear(Listening())
    assert [alert.level for alert in post.said(Alert)] == ["critical", "info"]


def test_a_handshake_that_does_not_end_is_dropped_and_begun_anew() -> None:
    post = Post()
    post.hear()
    post.pass_time(14)
    assert post.wire.did == ["start", "reconnect", "reconnect"]


def test_refused_keys_alert_a_person() -> None:
    post = Post()
    post.hear(KeysRefused())
    assert [alert.key for alert in post.said(Alert)] == ["unauthorized"]


def test_a_library_that_gave_up_is_started_again() -> None:
    post = Post()
    post.hear(Listening(), Ended("ended by itself"))
    assert post.wire.did == ["start", "stop", "start"]


def test_an_order_that_moved_on_without_an_update_is_told_and_the_second_reading_connects_anew() -> None:
    post = Post(holding(by_id=ok(order("o", status="filled", filled_qty="10", filled_avg_price="100"))))
    post.hear(Listening())
    post.answered(order("o", status="pending_new"))
    post.pass_time(2)
    assert "by_id" not in post.broker.asked
    post.pass_time(2)
    assert [(event.event, event.order.status) for event in post.said(BrokerEvent)] == [(CHECKED, "filled")]
    assert post.wire.did == ["start"]
    post.pass_time(4)
    assert post.wire.did == ["start", "reconnect"]
    assert [alert.key for alert in post.said(Alert)] == ["listener-mute"]


def test_two_orders_that_moved_on_without_updates_connect_anew() -> None:
    post = Post(holding(by_id=[ok(order("a", status="filled", filled_qty="10")), ok(order("b", status="new"))]))
    post.hear(Listening())
    post.answered(order("a", status="pending_new"))
    post.answered(order("b", status="pending_new"))
    post.pass_time(4)
    assert post.wire.did == ["start", "reconnect"]


def test_an_order_that_rests_as_it_was_answered_proves_nothing() -> None:
    post = Post(holding(by_id=ok(order("o", status="accepted"))))
    post.hear(Listening())
    post.answered(order("o", status="accepted"))
    post.pass_time(30)
    assert post.broker.asked.count("by_id") == 2
    assert post.wire.did == ["start"]


def test_an_order_that_was_heard_of_is_not_read() -> None:
    post = Post()
    post.hear(Listening(), update("new", order("before")))
    post.answered(order("before"))
    post.answered(order("after"))
    post.hear(update("new", order("after")))
    post.pass_time(10)
    assert "by_id" not in post.broker.asked


def test_the_lease_is_given_back_at_the_end() -> None:
    post = Post()
    turns = iter([False, False, True])
    post.listener.run(lambda: next(turns))
    assert post.wire.did == ["start", "stop"]
    assert post.lease.given_back


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [("pending_new", "pending_new", False), ("pending_new", "new", True), ("new", "canceled", True)],
)
def test_an_order_has_moved_when_its_status_changed(before: str, after: str, moved: bool) -> None:
    assert has_moved(as_order(order("o", status=before)), as_order(order("o", status=after))) is moved


def test_an_order_that_the_broker_does_not_show_is_not_asked_for_without_end() -> None:
    post = Post(holding(by_id=Replied(status=404, code=40410000, body={})))
    post.hear(Listening())
    post.answered(order("o", status="pending_new"))
    post.pass_time(60)
    assert post.broker.asked.count("by_id") == 6


def test_what_is_awaited_is_bounded() -> None:
    overdue = Overdue()
    for number in range(3_000):
        overdue.heard(f"heard-{number}", 0.0)
        overdue.answered(as_order(order(f"o-{number}")), 0.0)
    assert len(overdue.due(10.0)) == 1_000
