"""A whole conducted day around the ledger in one process: a bus of lists, a broker, an executor, a conductor's script.

The broker answers at once, numbers its trade updates, and fills only when a test says so. Whatever is killed here is
made anew from what is durable: the ledger's file, the bus, and the broker's book.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from services.state.model import Candidate
from services.state.service import BusLife, State
from services.state.setup import Setup
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts import ids, streams
from shared.contracts.clock import Answer, Tick, TickPhase
from shared.contracts.decisions import Decided
from shared.contracts.market import Bar, Bars, SessionOpened
from shared.contracts.message import Message
from shared.contracts.orders import (
    Action,
    BrokerAccount,
    BrokerEvent,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    BrokerSnapshot,
    ClaimReply,
    ClaimRequest,
    OrderReport,
)
from shared.contracts.outgoing import Job, Latest, Outgoing, Reply
from shared.contracts.rules import EntryRules, Rules
from shared.contracts.vocabulary import ActionKind, Outcome
from shared.runtime.bus import Entry
from shared.runtime.halt import HaltFile
from shared.runtime.loop import ConductedPace, FreePace, Reads, place

SESSION = dt.date(2026, 1, 9)
OPEN = dt.datetime(2026, 1, 9, 14, 30, tzinfo=dt.UTC)
CLOSE = dt.datetime(2026, 1, 9, 21, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
PARTITIONS = 2
LIVE: Final = "412345678"
QUICK = Rules(entry=EntryRules(delay_min=0, delay_max=0, max_slip=0.0))


class Killed(BaseException):
    """The process died here."""


class ListBus:
    """Streams as lists, replies and hashes as dicts; what `shared/runtime/bus.py` is to the loop."""

    def __init__(self) -> None:
        self.streams: dict[str, list[tuple[str, Message]]] = {}
        self.replies: dict[str, ClaimReply] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self.jobs: list[Job] = []
        self.count = 0

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        for item in outgoing:
            match item:
                case Message():
                    self.count += 1
                    self.streams.setdefault(streams.stream_for(item), []).append((f"{self.count}-0", item))
                case Latest():
                    self.hashes[item.key] = item.fields
                    if not item.fields:
                        del self.hashes[item.key]
                case Reply():
                    self.replies[item.request] = msgspec.json.decode(item.body, type=ClaimReply)
                case Job():
                    self.jobs.append(item)

    def read(self, positions: Mapping[str, str], block_ms: int, count: int = 500) -> list[Entry]:
        found = [
            Entry(name, entry_id, message)
            for name, after in positions.items()
            for entry_id, message in self.streams.get(name, [])
            if place(entry_id) > place(after)
        ]
        return sorted(found, key=lambda entry: streams.ORDER[entry.stream.partition(":")[0]])

    def read_up_to(self, stream: str, after: str, upto: str) -> list[Entry]:
        return [entry for entry in self.read({stream: after}, 0) if place(entry.entry_id) <= place(upto)]

    def last_ids(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.streams[name][-1][0] for name in names if self.streams.get(name)}

    def said(self, kind: type[Message]) -> list[Message]:
        """All messages of `kind`, in the order in which they were said, repeats left out."""
        found = [pair for entries in self.streams.values() for pair in entries if isinstance(pair[1], kind)]
        unique: dict[str, Message] = {}
        for _, message in sorted(found, key=lambda pair: place(pair[0])):
            unique.setdefault(message.id, message)
        return list(unique.values())


@dataclass
class Broker:
    """An account of whole shares. Orders are kept in the broker's words; fills happen when a test asks for them."""

    now: dt.datetime = OPEN
    cash: Decimal = Decimal(100_000)
    orders: dict[str, BrokerOrder] = field(default_factory=dict)
    shares: dict[str, Decimal] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)
    """Broker ids of orders that are in no list: they ended days after they were sent."""
    others: tuple[BrokerPosition, ...] = ()
    paid: dict[str, Decimal] = field(default_factory=dict)
    fills: list[BrokerFill] = field(default_factory=list)
    events: list[BrokerEvent] = field(default_factory=list)
    refuse: Callable[[Action], str] = lambda action: ""
    account_number: str = "PA1"
    says_open: bool | None = None
    multiplier: Decimal = Decimal(2)

    def perform(self, action: Action) -> tuple[Outcome, BrokerOrder | None, str]:
        text = self.refuse(action)
        if text:
            return Outcome.REFUSED, None, text
        match action.kind:
            case ActionKind.SUBMIT:
                return self._submit(action)
            case ActionKind.REPLACE:
                return self._replace(action)
            case ActionKind.CANCEL:
                return self._cancel(action)
            case ActionKind.RECONCILE:
                raise AssertionError("a reconcile is answered by a snapshot")

    def named(self, client_order_id: str) -> BrokerOrder:
        return next(order for order in self.orders.values() if order.client_order_id == client_order_id)

    def leg(self, entry: str) -> BrokerOrder:
        [leg] = self.shown(self.named(entry)).legs
        return leg

    def _submit(self, action: Action) -> tuple[Outcome, BrokerOrder | None, str]:
        terms = action.terms
        assert terms is not None
        known = [order for order in self.orders.values() if order.client_order_id == terms.client_order_id]
        if known:
            return Outcome.FOUND, self.shown(known[0]), "client_order_id must be unique"
        order = self._add(action, status="new")
        legs: tuple[BrokerOrder, ...] = ()
        if terms.leg_stop_price is not None:
            leg = BrokerOrder(
                broker_id=f"{order.broker_id}-leg",
                client_order_id=f"broker-made-{order.broker_id}",
                symbol=terms.symbol,
                side="sell",
                type="stop",
                order_class="oto",
                time_in_force="gtc",
                status="held",
                qty=Decimal(terms.qty),
                filled_qty=Decimal(0),
                stop_price=terms.leg_stop_price,
                submitted_at=self.now,
            )
            self.orders[leg.broker_id] = leg
            legs = (leg,)
        self.orders[order.broker_id] = msgspec.structs.replace(order, legs=legs)
        self.tell("new", order.broker_id)
        return Outcome.DONE, self.shown(self.orders[order.broker_id]), ""

    def _add(self, action: Action, status: str) -> BrokerOrder:
        terms = action.terms
        assert terms is not None
        order = BrokerOrder(
            broker_id=f"b{len(self.orders) + 1}",
            client_order_id=terms.client_order_id,
            symbol=terms.symbol,
            side=terms.side.value,
            type=terms.type.value,
            order_class=terms.order_class.value,
            time_in_force=terms.time_in_force.value,
            status=status,
            qty=Decimal(terms.qty),
            filled_qty=Decimal(0),
            limit_price=terms.limit_price,
            stop_price=terms.stop_price,
            submitted_at=self.now,
        )
        self.orders[order.broker_id] = order
        return order

    def _replace(self, action: Action) -> tuple[Outcome, BrokerOrder | None, str]:
        old = self.orders[action.target_broker_id]
        if old.status not in ("new", "partially_filled"):
            return Outcome.REFUSED, None, f'order is already in "{old.status}" state'
        new = self._add(action, status="new")
        self.orders[new.broker_id] = msgspec.structs.replace(new, replaces=old.broker_id)
        self.orders[old.broker_id] = msgspec.structs.replace(old, status="replaced", replaced_by=new.broker_id)
        self.tell("replaced", old.broker_id)
        self.tell("new", new.broker_id)
        return Outcome.DONE, self.orders[new.broker_id], ""

    def _cancel(self, action: Action) -> tuple[Outcome, BrokerOrder | None, str]:
        order = self.orders[action.target_broker_id]
        if order.status in ("filled", "canceled", "replaced", "expired"):
            return Outcome.REFUSED, self.shown(order), f'order is already in "{order.status}" state'
        self.end(order.broker_id, "canceled")
        for leg in order.legs:
            self.end(leg.broker_id, "canceled")
        return Outcome.DONE, self.shown(self.orders[order.broker_id]), ""

    def end(self, broker_id: str, status: str) -> None:
        self.orders[broker_id] = msgspec.structs.replace(self.orders[broker_id], status=status)
        self.tell(status, broker_id)

    def shown(self, order: BrokerOrder) -> BrokerOrder:
        """With its legs as they are now."""
        return msgspec.structs.replace(
            self.orders[order.broker_id], legs=tuple(self.orders[leg.broker_id] for leg in order.legs)
        )

    def fill(self, client_order_id: str, qty: int, price: str) -> None:
        """Execute a part or all of one of our orders, or of a leg by the name that we give it."""
        order = self._by_our_name(client_order_id)
        assert order.status in ("new", "partially_filled"), (client_order_id, order.status)
        filled = order.filled_qty + qty
        assert order.qty is not None
        assert filled <= order.qty
        whole = filled == order.qty
        self.orders[order.broker_id] = msgspec.structs.replace(
            order,
            status="filled" if whole else "partially_filled",
            filled_qty=filled,
            filled_avg_price=Decimal(price),
        )
        sign = 1 if order.side == "buy" else -1
        self.shares[order.symbol] = self.shares.get(order.symbol, Decimal(0)) + sign * qty
        self.paid[order.symbol] = Decimal(price)
        self.cash -= sign * qty * Decimal(price)
        fill = BrokerFill(
            execution_id=f"x{len(self.fills) + 1}",
            broker_order_id=order.broker_id,
            symbol=order.symbol,
            side=order.side,
            qty=Decimal(qty),
            price=Decimal(price),
            at=self.now,
        )
        self.fills.append(fill)
        self.tell("fill" if whole else "partial_fill", order.broker_id, fill)
        if whole:
            for leg in order.legs:
                self.orders[leg.broker_id] = msgspec.structs.replace(self.orders[leg.broker_id], status="new")
                self.tell("new", leg.broker_id)

    def _by_our_name(self, name: str) -> BrokerOrder:
        for order in self.orders.values():
            if order.client_order_id == name:
                return order
            for leg in order.legs:
                if name == ids.leg_id(order.client_order_id):
                    return self.orders[leg.broker_id]
        raise KeyError(name)

    def tell(self, event: str, broker_id: str, fill: BrokerFill | None = None) -> None:
        number = len(self.events) + 1
        self.events.append(
            BrokerEvent(
                id=f"event-{number}",
                at=self.now,
                event=event,
                order=self.shown(self.orders[broker_id]),
                execution_id=fill.execution_id if fill else None,
                qty=fill.qty if fill else None,
                price=fill.price if fill else None,
                seq=number,
            )
        )

    def snapshot(self, request: str, message_id: str, by_id: tuple[str, ...] = ()) -> BrokerSnapshot:
        legs = {leg.broker_id for order in self.orders.values() for leg in order.legs}
        return BrokerSnapshot(
            id=message_id,
            at=self.now,
            cause=request,
            request=request,
            orders=tuple(
                self.shown(one)
                for name, one in self.orders.items()
                if name in by_id or name not in legs | self.unlisted
            ),
            positions=tuple(
                BrokerPosition(symbol=symbol, qty=qty, avg_entry_price=self.paid[symbol])
                for symbol, qty in sorted(self.shares.items())
                if qty
            ),
            account=BrokerAccount(
                account_number=self.account_number,
                multiplier=self.multiplier,
                status="ACTIVE",
                cash=self.cash,
                equity=self.cash
                + sum(qty * self.paid[symbol] for symbol, qty in self.shares.items())
                + sum(one.qty * (one.current_price or 0) for one in self.others),
                buying_power=self.cash * 2,
            ),
            fills=tuple(self.fills),
            events_seen=len(self.events),
            is_open=self.says_open,
            others=self.others,
        )


class Executor:
    """Works jobs of the bus against the broker, one step of one action at a time. Forwards the broker's events."""

    def __init__(self, bus: ListBus, broker: Broker) -> None:
        self.bus = bus
        self.broker = broker
        self.asked: dict[str, tuple[str, int]] = {}
        self.done: set[tuple[str, int]] = set()
        self.told = 0
        self.outcome: Callable[[Action, int], Outcome | None] = lambda action, attempt: None
        self.listening = True
        self.working = True

    def work(self) -> bool:
        """One round; whether anything happened."""
        if not self.working:
            return False
        jobs, self.bus.jobs = self.bus.jobs, []
        for job in jobs:
            for action, attempt in zip(job.actions, job.attempts, strict=True):
                request = f"claim-{action}-{attempt}"
                self.asked[request] = (action, attempt)
                self.bus.publish(
                    [
                        ClaimRequest(
                            id=request, at=self.broker.now, action=action, attempt=attempt, executor="executor-1"
                        )
                    ]
                )
        answered = [request for request in self.asked if request in self.bus.replies]
        for request in answered:
            action, attempt = self.asked.pop(request)
            reply = self.bus.replies[request]
            if reply.granted and (action, attempt) not in self.done:
                self.done.add((action, attempt))
                self._perform(reply)
        return bool(jobs or answered)

    def _perform(self, reply: ClaimReply) -> None:
        action = reply.action
        assert action is not None
        wanted = self.outcome(action, reply.attempt)
        if wanted is Outcome.NOT_SENT:
            self.report(action, reply.attempt, wanted, None, "connection refused")
            return
        if action.kind is ActionKind.RECONCILE:
            self.bus.publish([self.broker.snapshot(action.id, f"snapshot-{action.id}-{reply.attempt}", action.orders)])
            return
        outcome, order, text = self.broker.perform(action)
        self.forward()
        if wanted is None:
            self.report(action, reply.attempt, outcome, order, text)
        elif wanted is Outcome.UNKNOWN:
            self.report(action, reply.attempt, wanted, None, "read timeout")

    def report(self, action: Action, attempt: int, outcome: Outcome, order: BrokerOrder | None, text: str) -> None:
        self.bus.publish(
            [
                OrderReport(
                    id=f"report-{action.id}-{attempt}",
                    at=self.broker.now,
                    cause=action.id,
                    action=action.id,
                    attempt=attempt,
                    executor="executor-1",
                    outcome=outcome,
                    order=order,
                    http_status=403 if outcome is Outcome.REFUSED else 200,
                    text=text,
                    events_seen=len(self.broker.events),
                )
            ]
        )

    def forward(self) -> None:
        """What the broker said since, as its listener tells it."""
        new, self.told = self.broker.events[self.told :], len(self.broker.events)
        if self.listening:
            self.bus.publish(new)


class World:
    """The parts of a conducted day, and the means to kill state anywhere in it."""

    def __init__(
        self,
        home: Path,
        rules: Rules = QUICK,
        symbols: Sequence[str] = ("AAPL",),
        *,
        conducted: bool = True,
        live: bool = False,
    ) -> None:
        self.home = home
        self.symbols = tuple(symbols)
        self.setup = Setup(rules=rules, partitions=PARTITIONS, grace_s=2.0, lease_s=1.0, conducted=conducted)
        if live:
            self.setup = msgspec.structs.replace(self.setup, broker="live", account=LIVE)
        self.local: list[Message] = []
        self.bus = ListBus()
        self.broker = Broker(account_number=LIVE if live else "PA1")
        self.executor = Executor(self.bus, self.broker)
        self.monotonic = 1000.0
        self.steps = 0
        self.kill_at: tuple[int, str] | None = None
        self.kills = 0
        self.halt = HaltFile(home / "halt")
        self._start()

    # State's life

    def _start(self) -> None:
        path = self.home / "data" / "execution_v2.sqlite"
        self.store = Store.open(path)
        if self.store.installation != "e7f3":
            with self.store.transaction():
                self.store.set_note("installation", "e7f3")
        life = BusLife(self.store)
        if life.run_id != "run-1":
            self.bus.publish(life.reborn("run-1"))
        self.state = State(self.store, self.setup, self.halt, self, lambda: self.monotonic, self._point)
        self.positions = dict(self.state.positions())
        for name in self.state.remembers:
            if name in self.positions:
                for entry in self.bus.read_up_to(name, "0", self.positions[name]):
                    assert entry.message is not None
                    self.state.remember(entry.message)
        reads = Reads(
            covered=streams.names(("daily", "bars", "intents"), range(PARTITIONS)),
            free=("claims", "orders", "commands"),
        )
        pace = (ConductedPace if self.setup.conducted else FreePace)(inlets=[self._take_local], block_ms=0)
        self.batches = pace.batches(self.bus, reads, self.positions)  # type: ignore[arg-type]

    def restart(self) -> None:
        self.store.close()
        self._start()

    def _point(self, name: str) -> None:
        if (self.steps, name) == self.kill_at:
            raise Killed(name)

    def _take_local(self) -> list[Message]:
        taken, self.local = self.local, []
        return taken

    def changed(self) -> bool:
        return False

    def ingest(self, unit: Unit) -> str:
        for symbol in self.symbols:
            known = [row for row in unit.store.candidates_of(symbol) if row.session == SESSION and row.active]
            if not known:
                unit.store.upsert_candidate(candidate(symbol, unit.now))
                unit.relist(symbol)
        return f"{len(self.symbols)} candidates"

    # Turning the crank

    def turn(self) -> None:
        """One step of state and one round of the executor; the machine's clock goes on by 50 ms."""
        self.monotonic += 0.05
        try:
            self._step()
        except Killed:
            self.kills += 1
            self.kill_at = None
            self.restart()
        self.executor.work()

    def _step(self) -> None:
        batch = next(self.batches)
        self.steps += 1
        out = self.state.step(batch)
        self._point("before publish")
        self.bus.publish(out)
        self._point("after publish")
        self.state.sent()

    def tick(self, phase: TickPhase, at: dt.datetime, turns: int = 2000) -> None:
        """Give a tick and turn until it is answered."""
        self.broker.now = at
        self.executor.forward()
        covered = streams.names(("daily", "bars", "intents"), range(PARTITIONS))
        tick = Tick(
            id=f"tick-{at:%y%m%dT%H%M}-{phase}",
            at=at,
            session=SESSION,
            phase=phase,
            upto=self.bus.last_ids(covered),
            events=len(self.broker.events),
        )
        self.bus.publish([tick])
        for _ in range(turns):
            self.turn()
            if any(isinstance(one, Answer) and one.cause == tick.id for _, one in self.bus.streams.get("progress", [])):
                return
        actions = self.store.open_actions()
        raise AssertionError(f"{tick.id} was not answered; open: {actions}")

    def tick_fold(self, at: dt.datetime) -> None:
        """Only the tick that folds what the broker did, without telling it first."""
        told, self.executor.told = self.executor.told, len(self.broker.events)
        self.tick(TickPhase.FOLD, at)
        self.executor.told = max(told, self.executor.told)

    def settle(self, turns: int = 100) -> None:
        """Turn a while without a tick."""
        for _ in range(turns):
            self.turn()

    def second(self, at: dt.datetime, turns: int = 12) -> None:
        """A tick of the wall clock, and time for what follows from it (free pace)."""
        self.broker.now = at
        self.local.append(Tick(id=f"second-{at:%H%M%S}", at=at, session=SESSION, phase=TickPhase.ACT))
        for _ in range(turns):
            self.turn()

    # A day's script

    def open(self) -> None:
        """The session's opening, up to the ingested candidates."""
        self.bus.publish([opened()])
        self.tick(TickPhase.INGEST, OPEN)

    def minute(
        self, at: dt.datetime, closes: Mapping[str, float], *decided: Decided, fills: Callable[[], None] = lambda: None
    ) -> None:
        """One minute: its bars, what the broker does in it, what signals decide on it."""
        self.bars(at, closes)
        self.broker.now = at
        fills()
        self.tick(TickPhase.FOLD, at)
        given = {one.partition for one in decided}
        self.bus.publish(decided)
        self.bus.publish([nothing_decided(partition, at) for partition in range(PARTITIONS) if partition not in given])
        self.tick(TickPhase.ACT, at)

    def bars(self, at: dt.datetime, closes: Mapping[str, float]) -> None:
        """The minute that ended at `at`, in every partition."""
        for partition in range(PARTITIONS):
            rows = tuple(
                Bar(symbol, close, close, close, close, 1000.0)
                for symbol, close in closes.items()
                if ids.partition_of(symbol, PARTITIONS) == partition
            )
            name = ids.minute_id("bars", partition, at)
            self.bus.publish([Bars(id=name, at=at, partition=partition, minute=at - MINUTE, rows=rows)])

    def close(self) -> None:
        self.tick(TickPhase.SETTLE, CLOSE)


def opened(session: dt.date = SESSION, opens_at: dt.datetime = OPEN, closes_at: dt.datetime = CLOSE) -> SessionOpened:
    return SessionOpened(
        id=f"session-{session}",
        at=opens_at,
        session=session,
        opens_at=opens_at,
        closes_at=closes_at,
        early=False,
        previous=session - dt.timedelta(days=1),
        following=session + dt.timedelta(days=3),
        following_opens_at=opens_at + dt.timedelta(days=3),
    )


def candidate(symbol: str, since: dt.datetime) -> Candidate:
    return Candidate(
        symbol=symbol,
        strategy="boh",
        source="watchlist",
        session=SESSION,
        active=True,
        since=since,
        expires_at=None,
        pivot=None,
        stop=None,
        r1=None,
        r2=None,
        sector="",
        spent=False,
        released_at=None,
        note="",
    )


def nothing_decided(partition: int, at: dt.datetime) -> Decided:
    return decided(partition, at)


def decided(partition: int, at: dt.datetime, *, fence: int = 1, **what: Any) -> Decided:
    return Decided(
        id=f"{ids.minute_id('decided', partition, at)}-{fence}",
        at=at,
        partition=partition,
        minute=at,
        session=SESSION,
        fence=fence,
        **what,
    )


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """What must be the same however the day went: orders, fills, intents, positions, verdicts; no attempts, no ids."""
    queries = {
        "orders": "SELECT client_order_id, symbol, kind, side, type, qty, limit_price, stop_price, leg_stop_price,"
        " status, filled_qty, filled_value, parent, intent, planned_at, accepted_at, ended_at FROM order_ledger"
        " ORDER BY client_order_id",
        "fills": "SELECT execution_id, client_order_id, qty, price, at, position_id FROM fills ORDER BY execution_id",
        "entries": "SELECT id, status, reason, due, judged_at, shares, limit_price FROM entry_intents ORDER BY id",
        "exits": "SELECT id, kind, status, shares, sold, ended_at FROM exit_intents ORDER BY id",
        "positions": "SELECT position_id, qty, bought, sold, avg_price, realized, stop, stop_mode, high_water,"
        " r1_state, r2_state, entered_at, decided_through, unprotected_since, closed_at FROM positions"
        " ORDER BY position_id",
        "candidates": "SELECT symbol, strategy, active, spent, released_at FROM candidates ORDER BY symbol, strategy",
        "verdicts": "SELECT symbol, at, stage, outcome, reason FROM verdicts ORDER BY symbol, at, stage",
        "account": "SELECT session, cash, equity, opening_equity, peak_equity, halt, stopped, entry_orders"
        " FROM account",
    }
    return {name: list(store._db.execute(query)) for name, query in queries.items()}
