"""Hears the broker: forwards each trade update, and sees to it that none is missed for long.

One listener at a time, by lease: the broker allows one connection. Each connection is announced, and state compares
the ledger with the broker then. While there is no connection the broker is asked by REST. Everything slow is done on
another thread; here a message is read, put on the bus, and the next one taken.

Doubled, late and unordered updates are state's to sort out; they keep their ids, so that a repeat is known.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, assert_never

from msgspec import Struct

from services.executor.broker import Answer, Broker, Replied
from services.executor.broker_words import Read, Unreadable, raw_text, read_clock, read_order, read_update
from services.executor.heard import Ended, Heard, KeysRefused, Listening, Lost, Update
from services.executor.overdue import Overdue
from services.executor.snapshot import Reader, Taken
from services.executor.work import Clock, letters
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.message import Message
from shared.contracts.orders import BrokerEvent, ListenerConnected, OrderReport
from shared.contracts.outgoing import Outgoing
from shared.contracts.vocabulary import Outcome
from shared.domain.order_life import CHECKED
from shared.runtime.bus import BusDown, Entry
from shared.runtime.crash import crash_here
from shared.runtime.logs import logger

TURN_S: Final = 0.1
HANDSHAKE_S: Final = 6.0
"""From losing the connection to the broker's acknowledgement; after that it is dropped and made anew."""
POLL_AFTER_S: Final = 2.0
POLL_EVERY_S: Final = 5.0
POLL_OVER_S: Final = 60.0
"""A poll that has not come back by then does not any more."""
ALERT_AFTER_S: Final = 10.0
MOST_WAITING: Final = 10_000


class Bus(Protocol):
    def publish(self, outgoing: Iterable[Outgoing]) -> None: ...

    def read(self, positions: Mapping[str, str], block_ms: int, count: int = 500) -> Sequence[Entry]: ...

    def last_ids(self, names: Sequence[str]) -> Mapping[str, str]: ...


class Lease(Protocol):
    @property
    def held(self) -> bool: ...

    number: int

    def keep(self) -> bool: ...

    def give_back(self) -> None: ...


class Updates(Protocol):
    def start(self) -> None: ...

    def reconnect(self) -> None: ...

    def stop(self) -> None: ...


class Connected(Struct, frozen=True):
    """The broker's clock, asked when the subscription was taken."""

    clock: Answer


class Polled(Struct, frozen=True):
    taken: Taken


class Checked(Struct, frozen=True):
    answer: Answer


class Aside:
    """One thread for calls that may take long. It ends with the process, whatever it is waiting for.

    pace: waits for the rate limit before each call.
    """

    def __init__(self, pace: Callable[[], None]) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._pace = pace
        threading.Thread(target=self._work, name="aside", daemon=True).start()

    def __call__(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            self._pace()
            try:
                call()
            except Exception:  # noqa: BLE001 - there is one such thread: a fault of ours must not end it
                logger().exception("a call to the broker failed")


Item = Heard | Connected | Polled | Checked


class Listener:
    """name: this process, unlike any other that ever ran. updates: made with the function to tell what is heard.

    aside: runs a call to the broker's REST API elsewhere, one after the other. turn_s: longest wait for something to
    be heard.
    """

    def __init__(
        self,
        name: str,
        bus: Bus,
        lease: Lease,
        broker: Broker,
        updates: Callable[[Callable[[Heard], None]], Updates],
        aside: Callable[[Callable[[], None]], None],
        clock: Clock,
        turn_s: float = TURN_S,
    ) -> None:
        self._turn_s = turn_s
        self._name = name
        self._bus = bus
        self._lease = lease
        self._broker = broker
        self._heard: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._updates = updates(self._heard.put)
        self._aside = aside
        self._clock = clock
        self._reader = Reader(broker, clock.now, lambda: None)
        self._overdue = Overdue()
        self._position: str | None = None
        self._waiting: list[Message] = []
        self._on = False
        self._down_since: float | None = None
        self._tried_at = 0.0
        self._polled_at = 0.0
        self._polling = False
        self._said_down = False
        self._said = 0

    def run(self, stop: Callable[[], bool], beat: Callable[[], None] = lambda: None) -> None:
        """Listen until asked to stop."""
        try:
            while not stop():
                beat()
                self.turn()
        finally:
            self._leave()
            self._lease.give_back()

    def turn(self) -> None:
        """Wait a little for something to be heard, and do all that is due."""
        if not self._holds():
            self._leave()
            self._clock.wait(self._turn_s)
            return
        self._join()
        for item in self._next():
            self._take(item)
        self._follow_reports()
        self._tend()
        self._publish()

    def _holds(self) -> bool:
        try:
            return self._lease.keep()
        except BusDown:
            return self._lease.held

    def _join(self) -> None:
        if not self._on:
            self._on = True
            self._lose()
            self._updates.start()

    def _leave(self) -> None:
        """Nothing is forwarded without the lease: another listener has reconciled what was waiting here."""
        if self._on:
            self._on = False
            self._updates.stop()
            self._waiting.clear()
            self._overdue.forget()
            self._position = None
            while not self._heard.empty():
                self._heard.get_nowait()

    def _next(self) -> list[Item]:
        try:
            items = [self._heard.get(timeout=self._turn_s)]
        except queue.Empty:
            return []
        while not self._heard.empty() and len(items) < 1_000:
            items.append(self._heard.get_nowait())
        return items

    def _take(self, item: Item) -> None:
        match item:
            case Update():
                self._forward(item.raw)
            case Listening():
                logger().info("trade updates are heard")
                self._down_since = None
                self._ask(lambda: Connected(self._broker.clock()))
            case Connected():
                self._announce(item.clock)
            case Lost():
                self._lose()
            case KeysRefused():
                self._alert("critical", "unauthorized", "the broker does not accept the keys for trade updates")
            case Ended():
                self._alert("warning", "listener-ended", f"the trade-update stream ended: {item.why}; started again")
                self._updates.stop()
                self._lose()
                self._updates.start()
            case Polled():
                self._polling = False
                self._tell_snapshot(item.taken)
            case Checked():
                self._tell_checked(item.answer)
            case _:
                assert_never(item)

    def _forward(self, raw: object) -> None:
        try:
            event, dropped = read_update(raw)
        except Unreadable as fault:
            self._say_unreadable(raw, str(fault))
            return
        self._overdue.heard(event.order.broker_id, self._clock.monotonic())
        self._waiting += [event, *letters(dropped, event)]

    def _announce(self, clock: Answer) -> None:
        self._overdue.forget()
        at = self._clock.now()
        if isinstance(clock, Replied) and clock.status == 200:
            try:
                at = read_clock(clock.body)
            except Unreadable as fault:
                self._say_unreadable(clock.body, str(fault))
        self._waiting.append(
            ListenerConnected(id=self._next_id("connected"), at=at, listener=self._name, fence=self._lease.number)
        )
        if self._said_down:
            self._said_down = False
            self._alert("info", "listener-down", "trade updates are heard again")

    def _lose(self) -> None:
        now = self._clock.monotonic()
        if self._down_since is None:
            logger().warning("no connection for trade updates")
            self._down_since = now
        self._tried_at = now

    def _tell_snapshot(self, taken: Taken) -> None:
        read = taken.snapshot
        if any(part is not None for part in (read.orders, read.positions, read.account, read.fills)):
            self._waiting += [read, *letters(taken.dropped, read)]

    def _tell_checked(self, answer: Answer) -> None:
        read = _order(answer)
        if read is None:
            return
        order = read.order
        if self._overdue.was_read(order):
            self._alert("warning", "listener-mute", "the trade-update stream is silent; connecting anew")
            self._updates.reconnect()
        stamp = order.updated_at or self._clock.now()
        self._waiting.append(
            BrokerEvent(
                id=f"event-{order.broker_id}-{CHECKED}-{order.status}-{order.filled_qty}-{stamp:%y%m%dT%H%M%S.%f}",
                at=stamp,
                event=CHECKED,
                order=order,
            )
        )

    def _follow_reports(self) -> None:
        """What the executors were answered should be heard of here."""
        try:
            if self._position is None:
                self._position = self._bus.last_ids(["orders"]).get("orders", "0")
            entries = self._bus.read({"orders": self._position}, 0)
        except BusDown:
            return
        now = self._clock.monotonic()
        for entry in entries:
            self._position = entry.entry_id
            report = entry.message
            if isinstance(report, OrderReport) and report.outcome is Outcome.DONE and report.order is not None:
                self._overdue.answered(report.order, now)

    def _tend(self) -> None:
        now = self._clock.monotonic()
        for broker_id in self._overdue.due(now):
            self._ask(lambda broker_id=broker_id: Checked(self._broker.by_id(broker_id)))  # type: ignore[misc]
        if self._down_since is None:
            return
        if now - self._tried_at >= HANDSHAKE_S:
            self._tried_at = now
            self._updates.reconnect()
        every_s = POLL_OVER_S if self._polling else POLL_EVERY_S
        if now - self._down_since >= POLL_AFTER_S and now - self._polled_at >= every_s:
            self._polled_at, self._polling = now, True
            name = self._next_id("poll")
            self._ask(lambda: Polled(self._reader.snapshot(name, f"snapshot-{name}")))
        if now - self._down_since >= ALERT_AFTER_S and not self._said_down:
            self._said_down = True
            self._alert("critical", "listener-down", "no trade updates for 10 s; the broker is asked by REST instead")

    def _publish(self) -> None:
        if not self._waiting or not self._lease.held:
            return
        crash_here("listener.before_publish")
        try:
            self._bus.publish(self._waiting)
            self._waiting = []
        except BusDown:
            if len(self._waiting) > MOST_WAITING:
                # Too much to keep: what is thrown away here is reconciled, since the next connection is announced.
                self._waiting = []
                self._updates.reconnect()
        crash_here("listener.after_publish")

    def _ask(self, call: Callable[[], Item]) -> None:
        """Ask the broker elsewhere; the answer is heard like everything else."""
        self._aside(lambda: self._heard.put(call()))

    def _say_unreadable(self, raw: object, reason: str) -> None:
        at, name = self._clock.now(), self._next_id("unread")
        self._waiting.append(
            DeadLetter(
                id=f"dead-{name}",
                at=at,
                stream="trade_updates",
                entry=name,
                reason=reason,
                service="executor",
                raw=raw_text(raw),
            )
        )
        # Not only told: what it said is found by comparing.
        self._waiting.append(
            ListenerConnected(id=f"connected-{name}", at=at, listener=self._name, fence=self._lease.number)
        )
        self._alert("critical", "unreadable", f"a trade update could not be read: {reason}")

    def _alert(self, level: str, key: str, text: str) -> None:
        name = self._next_id("alert")
        self._waiting.append(Alert(id=name, at=self._clock.now(), level=level, key=key, text=text))

    def _next_id(self, kind: str) -> str:
        self._said += 1
        return f"{kind}-{self._name}-{self._said}"


def _order(answer: Answer) -> Read | None:
    if not isinstance(answer, Replied) or answer.status != 200:
        return None
    try:
        return read_order(answer.body)
    except Unreadable:
        return None
