"""All processes of one installation in this one, on virtual time: who acts next is drawn from a seed.

The services, paces, stores and the executor's code are the ones that run in operation. Simulated are what lies between
them: the bus, the line to the broker, the disk, the clocks, and death. A process that is killed is made anew from what
is durable, in the same order of steps as its `__main__` and shared/runtime/loop.py do it.

Virtual machine time stands still while anybody has something to do, and goes on in small steps where nobody has;
trading time is the conductor's.
"""

from __future__ import annotations

import datetime as dt
import random
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, cast

import msgspec

from cli.auditor.audit import SAFETY, audit
from cli.auditor.ledger_side import read_books
from cli.auditor.views import BrokerView, Executed, Finding, Held, Sent, Terms
from cli.inprocess.direct_broker import DirectBroker
from cli.simulation import people
from cli.simulation.broker import SimulatedBroker
from cli.simulation.bus import OneReader, SimulatedBus
from cli.simulation.disk import UNSYNCED, BookDisk, SimulatedStore
from cli.simulation.faults import Do, Fault, Plan
from services.conductor.schedule import EACH_MINUTE, Awaited, Step, steps_of
from services.exchange.book import Book
from services.exchange.exchange import Exchange, new_book
from services.exchange.market import Market
from services.exchange.orders import Update
from services.exchange.service import PROGRESS, BusSteps, read_progress
from services.exchange.venue import TickClock, Venue
from services.exchange.wire import update_out
from services.executor.broker import Answer, Broker, Silent
from services.executor.broker import Fault as Silence
from services.executor.budget import Budget
from services.executor.heard import Heard, Listening, Lost
from services.executor.heard import Update as HeardUpdate
from services.executor.listener import Listener
from services.executor.work import Clock, Executor
from services.market_data.service import MarketData
from services.market_data.source import SessionSource
from services.signals.service import Signals
from services.state.pace import Lists
from services.state.service import BusLife, State
from services.state.setup import Setup
from services.state.store import Fenced, LedgerFull
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.journal import DeadLetter
from shared.contracts.market import Bar, Bars
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.outgoing import Job, Outgoing
from shared.contracts.vocabulary import HaltLevel, Queue
from shared.domain.calendar import Session
from shared.runtime.bus import Bus, BusDown, Entry, Life
from shared.runtime.halt import HaltFile
from shared.runtime.loop import ConductedPace, Plain, Reads, Steps
from shared.runtime.settings import Settings

IDLE_S: Final = 0.25
LIFE_CHECK_S: Final = 1.0
STUCK_S: Final = 300.0
SETTLE_S: Final = 20.0
MOST_TURNS: Final = 400_000
FIRST_INSTANT: Final = dt.datetime(1993, 1, 29, tzinfo=dt.UTC)
COVERED: Final = ("daily", "candidates", "positions", "bars", "intents")
LOST_TAIL: Final = 40
NO_LIMIT: Final = 1_000_000

ACTS_AT: Final[Mapping[str, frozenset[TickPhase]]] = {
    "market_data": frozenset({TickPhase.OPEN, TickPhase.HISTORY, TickPhase.FEED, TickPhase.CLOSE}),
    "exchange": frozenset({TickPhase.OPEN, TickPhase.MATCH, TickPhase.EXPIRE}),
    "signals": frozenset({TickPhase.DECIDE}),
    "state": frozenset({TickPhase.INGEST, TickPhase.FOLD, TickPhase.ACT, TickPhase.SETTLE}),
}


RUNNING: World | None = None
"""The run under way, for tests that plant errors."""


class Killed(BaseException):
    """A process died here. name: which. seconds: until it is started again."""

    def __init__(self, name: str, seconds: float, *, power: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.seconds = seconds
        self.power = power


class Broken(Exception):
    """The run cannot go on, and says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


class MemoryHalt(HaltFile):
    """The halt file without a disk."""

    def __init__(self) -> None:
        self._level: HaltLevel | None = None

    def read(self) -> HaltLevel | None:
        return self._level

    def write(self, level: HaltLevel) -> None:
        self._level = level


class Actor(Protocol):
    """Something that can be given a turn."""

    name: str

    def ready(self) -> bool: ...

    def turn(self) -> None: ...


class World:
    """One run. faults: what goes wrong. draws: of the order in which actors act."""

    def __init__(
        self,
        settings: Settings,
        setup: Setup,
        source: SessionSource,
        lists: Lists,
        sessions: Sequence[Session],
        faults: Sequence[Fault],
        draws: random.Random,
        terms: Terms,
    ) -> None:
        self.settings = settings
        self.setup = setup
        self.source = source
        self.lists = lists
        self.sessions = sessions
        self.terms = terms
        self.halt = MemoryHalt()
        self.plan = Plan(faults)
        self.now = 0.0
        self.turns = 0
        self.findings: list[Finding] = []
        self.trace: list[str] = []
        self.bars: set[str] = set()
        self._draws = draws
        self._down_until = 0.0
        self._active: list[str] = []
        self._audited: tuple[int, int] = (-1, -1)
        self._connected: dict[str, int] = {}
        self.bus = SimulatedBus(settings.bus.partitions, self._has_no_bus)
        self.parts = range(settings.bus.partitions)
        self.store = SimulatedStore.new(settings.run.installation)
        self.images: list[bytes] = []
        self.wants_images = any(fault.do is Do.POWER_CUT for fault in faults)
        self.exchange = ExchangeProcess(self)
        self.conductor = ConductorProcess(self, sessions)
        self.state = StateProcess(self)
        self.listener = ListenerProcess(self)
        self.actors: list[Actor] = [
            self.state,
            MarketDataProcess(self),
            SignalsProcess(self),
            self.exchange,
            self.listener,
            *(WorkerProcess(self, queue, number) for queue in Queue for number in range(settings.run.executors)),
            self.conductor,
        ]

    # Running

    def play(self) -> None:
        """Every session to its close, then whatever is still under way. Raises Broken."""
        global RUNNING
        RUNNING = self
        moved = self.now
        while not self.conductor.finished:
            before = self.conductor.given
            if self.give_a_turn():
                if self.conductor.given != before:
                    moved = self.now
            else:
                self.idle()
            if self.now - moved > STUCK_S or self.turns > MOST_TURNS:
                raise Broken(Finding("A12", "conductor", f"stuck: {self.conductor.missing()}"))
        self.let_pass(SETTLE_S)

    def give_a_turn(self) -> bool:
        """One drawn actor acts; False where nobody has anything to do."""
        ready = [actor for actor in self.actors if actor.name not in self._active and actor.ready()]
        if not ready:
            return False
        self.turns += 1
        actor = ready[0] if len(ready) == 1 else self._draws.choice(ready)
        self._act(actor, actor.turn)
        self.bus_fault(self.plan.passes("turn"))
        self.look()
        return True

    def idle(self) -> None:
        """Nobody has anything to do: time goes on, and who waits for time looks at it."""
        self.now += IDLE_S
        for actor in (self.state, self.listener):
            if actor.name not in self._active:
                self._act(actor, actor.time_passed)
        self.look()

    def let_pass(self, seconds: float) -> None:
        """The others act for so long; whoever is active now is not among them."""
        until = self.now + seconds
        while self.now < until:
            if not self.give_a_turn():
                self.idle()

    def _act(self, actor: Any, act: Callable[[], None]) -> None:
        self._active.append(actor.name)
        try:
            act()
        except Killed as death:
            if death.name != actor.name:
                raise
            self.note(f"{death.name} killed")
            actor.die(death)
        except BusDown:
            actor.bus_went_down()
        except Broken:
            raise
        except Exception as fault:
            text = "".join(traceback.format_exception(fault)[-3:])
            raise Broken(Finding("crash", actor.name, f"{type(fault).__name__}: {fault}\n{text}")) from fault
        finally:
            self._active.remove(actor.name)

    # Faults

    def passes(self, name: str, point: str) -> Fault | None:
        """`name` passes `point`: it may die here, or stand still. What else is to happen is the caller's."""
        fault = self.plan.passes(point)
        if fault is None:
            return None
        self.note(f"{name} at {fault}")
        if fault.do is Do.KILL:
            raise Killed(name, fault.seconds)
        if fault.do is Do.POWER_CUT:
            raise Killed(name, fault.seconds, power=True)
        if fault.do is Do.FREEZE:
            self.let_pass(fault.seconds)
        return fault

    def _has_no_bus(self) -> bool:
        """Whether a command of whoever acts now fails: no server answers, or its connection was to an earlier one."""
        if self.now < self._down_until:
            return True
        name = self._active[-1] if self._active else ""
        before = self._connected.get(name, self.bus.run)
        self._connected[name] = self.bus.run
        return before != self.bus.run

    def bus_fault(self, fault: Fault | None) -> None:
        if fault is None:
            return
        self.note(str(fault))
        match fault.do:
            case Do.WIPE:
                self.bus.wipe()
            case Do.LOSE_TAIL:
                self.bus.restart(self._draws.randrange(LOST_TAIL))
            case Do.BUS_DOWN:
                self._down_until = self.now + fault.seconds
            case _:
                pass

    def publish(self, name: str, outgoing: Iterable[Outgoing], between: str, epoch: int = 0) -> None:
        """Send, one by one; it may be cut, doubled or killed in between. epoch: the sender's life. Raises BusDown."""
        for item in outgoing:
            fault = self.passes(name, between)
            if fault is not None and fault.do is Do.CUT:
                self._put(item, epoch)
                raise BusDown("the connection was cut")
            if fault is not None and fault.do is Do.DOUBLE:
                self._put(item, epoch)
            self._put(item, epoch)

    def _put(self, item: Outgoing, epoch: int = 0) -> None:
        if isinstance(item, Job):
            fault = self.plan.passes("bus.job")
            if fault is not None:
                self.note(f"{item.id}: {fault}")
                if fault.do is Do.DROP:
                    return
                self.bus.publish([item], epoch)
        if isinstance(item, Bars):
            self.bars.add(item.id)
        if isinstance(item, DeadLetter) and "UNREADABLE" not in item.raw and item.stream != "broker":
            self.findings.append(Finding("dead", item.service, f"{item.stream}: {item.reason}"))
        self.bus.publish([item], epoch)

    def note(self, text: str) -> None:
        self.trace.append(f"{self.plan.minute:>4} {self.now:9.2f} s  {text}")

    # Looking

    def look(self) -> None:
        """The auditor's safety checks, where something changed since the last look. Raises Broken."""
        seen = (self.exchange.updates, int(self.store.books_changed))
        if seen == self._audited or self.store.database.in_transaction:
            return
        self.store.books_changed = False
        self._audited = (seen[0], 0)
        found = audit(self.broker_view(), read_books(self.store.database), self.terms, SAFETY)
        if found:
            raise Broken(found[0])

    def broker_view(self) -> BrokerView:
        return view_of(self.exchange.book)


def view_of(book: Book) -> BrokerView:
    """The exchange's book through its public history."""
    return BrokerView(
        orders=tuple(_converted(order, Sent) for order in book.orders()),
        executions=tuple(_converted(execution, Executed) for execution in book.executions()),
        positions=tuple(_converted(position, Held) for position in book.positions()),
        cash=book.account.cash,
        opening_cash=book.account.opening_cash,
    )


@lru_cache(maxsize=4096)
def _converted(row: Any, kind: Any) -> Any:
    return msgspec.convert(row, type=kind, from_attributes=True)


class Process:
    """One service behind the loop: read, handle, commit, publish. Killed, it starts anew from what is durable."""

    name = ""
    covered: tuple[str, ...] = ()
    free: tuple[str, ...] = ()

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive_from = 0.0
        self._reader = OneReader(world.bus, ACTS_AT[self.name])
        self._reads = Reads(
            covered=streams.names(self.covered, world.parts), free=streams.names(self.free, world.parts)
        )
        self._steps: Steps | None = None
        self._batches: Iterator[list[Entry]] = iter(())
        self._positions: dict[str, str] = {}
        self._unsent: Sequence[Outgoing] | None = None
        self._life = Life("", 0)
        self._checked = 0.0

    def build(self) -> Steps:
        """The service with an empty memory."""
        raise NotImplementedError

    def ready(self) -> bool:
        world = self.world
        if world.now < self.alive_from:
            return False
        if self._steps is None:
            return self.may_start()
        if self._unsent is not None:
            return True
        if world.now - self._checked > LIFE_CHECK_S:
            return True
        return self.has_input()

    def has_input(self) -> bool:
        """Whether one of its streams has something new, or its clock a tick."""
        bus, positions = self.world.bus, self._positions
        return any(bus.has_new(name, positions.get(name, "0")) for name in self._reads.free) or self._has_tick()

    def _has_tick(self) -> bool:
        try:
            return self._reader.has_tick(self._positions.get("clock", "0"))
        except BusDown:
            return True

    def may_start(self) -> bool:
        """Others wait until state has opened the bus."""
        return self.world.bus.epoch > 0

    def turn(self) -> None:
        """One batch."""
        world = self.world
        if self._steps is None:
            self.start()
            return
        if self._unsent is not None:
            self._send(self._unsent)
            return
        if world.now - self._checked > LIFE_CHECK_S:
            self._checked = world.now
            if world.bus.life() != self._life:
                self._steps = None
                return
        self.step(next(self._batches))

    def start(self) -> None:
        """As `run` and `_run_one_life` of shared/runtime/loop.py."""
        world = self.world
        life = self.await_life()
        if life is None:
            return
        self._life = life
        self._reader.epoch = life.epoch
        self._checked = world.now
        self._unsent = None
        steps = self.build()
        self._positions = dict(steps.positions())
        for name in steps.remembers:
            if name in self._positions:
                for entry in self._reader.read_up_to(name, "0", self._positions[name]):
                    if entry.message is not None:
                        steps.remember(entry.message)
        pace = ConductedPace(block_ms=0)
        self._batches = iter(pace.batches(cast("Bus", self._reader), self._reads, self._positions))
        self._steps = steps

    def await_life(self) -> Life | None:
        life = self.world.bus.life()
        return life if life.epoch else None

    def step(self, batch: Sequence[Entry]) -> None:
        assert self._steps is not None
        out = self._steps.step(batch)
        self.world.passes(self.name, f"{self.name}.before_publish")
        self._send(out)

    def _send(self, out: Sequence[Outgoing]) -> None:
        """Send until it is sent, unless the bus became another one."""
        steps = self._steps
        self._unsent = out
        if self.world.bus.life() != self._life:
            self._unsent = self._steps = None
            return
        self.world.publish(self.name, out, f"{self.name}.between_publishes", self._life.epoch)
        if self._steps is not steps:
            return  # frozen in between, and another one took over
        self._unsent = None
        assert steps is not None
        steps.sent()
        self.world.passes(self.name, f"{self.name}.after_publish")

    def die(self, death: Killed) -> None:
        """Everything in memory is gone."""
        self._steps = None
        self._unsent = None
        self.alive_from = self.world.now + death.seconds

    def bus_went_down(self) -> None:
        """What was to be sent is sent again; a read that failed starts over, as the loop does."""
        if self._unsent is None:
            self._steps = None
        self.alive_from = self.world.now + IDLE_S

    def time_passed(self) -> None: ...


class MarketDataProcess(Process):
    name = "market_data"
    covered = ("candidates", "positions")

    def build(self) -> Steps:
        settings = self.world.settings
        service = MarketData(
            self.world.source,
            settings.bus.partitions,
            max_jump=settings.data.max_jump,
            whole_market=settings.data.whole_market,
            index=settings.regime.symbol,
        )
        return Plain(service, self.name)


class SignalsProcess(Process):
    name = "signals"
    covered = ("daily", "candidates", "positions", "bars")

    def build(self) -> Steps:
        settings = self.world.settings
        return Plain(Signals(settings.bus.partitions, settings.rules, lambda partition: 1), self.name)


class StateProcess(Process):
    """The ledger's writer. Its store outlives it."""

    name = "state"
    covered = ("daily", "bars", "intents")
    free = ("claims", "orders", "commands")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._store = world.store
        self._keeper = BusLife(self._store)

    def may_start(self) -> bool:
        return True

    def build(self) -> Steps:
        world = self.world
        return State(self._store, world.setup, world.halt, world.lists, lambda: world.now, self._point)

    def await_life(self) -> Life:
        bus = self.world.bus
        life = bus.life()
        if (self._keeper.run_id, self._keeper.epoch) != (life.run_id, life.epoch):
            bus.clear()
            told = self._keeper.reborn(life.run_id)
            self.world.publish(self.name, told, f"{self.name}.between_publishes", self._keeper.epoch)
            bus.set_epoch(self._keeper.epoch)
        return Life(life.run_id, self._keeper.epoch)

    def turn(self) -> None:
        store = self._store
        try:
            super().turn()
        except Fenced:
            if store is self._store:
                raise
            self.world.note("the frozen state woke up and was refused")

    def time_passed(self) -> None:
        """A turn of the loop without anything read: time-outs."""
        if self._steps is not None and self._unsent is None and self.world.now >= self.alive_from:
            self.turn_over()

    def turn_over(self) -> None:
        try:
            self.step(())
        except Fenced:
            self.world.note("the frozen state woke up and was refused")

    def die(self, death: Killed) -> None:
        super().die(death)
        if death.power:
            images = self.world.images
            lost = 0 if self._store.is_synced else UNSYNCED
            if images:
                self._reopen(self._store.restored(images[max(len(images) - 1 - lost, 0)]))
                return
        self._reopen(self._store.taken_over())

    def _reopen(self, store: SimulatedStore) -> None:
        self._store = self.world.store = store
        store.books_changed = True
        self._keeper = BusLife(store)

    def _point(self, point: str) -> None:
        world = self.world
        if point == "state.after_commit" and world.wants_images:
            world.images.append(self._store.image())
            del world.images[: -UNSYNCED - 2]
        fault = world.passes(self.name, point)
        if fault is None:
            return
        if fault.do is Do.DISK_FULL:
            raise LedgerFull("simulated")
        if fault.do is Do.TAKE_OVER:
            self._be_taken_over(fault.seconds)

    def _be_taken_over(self, seconds: float) -> None:
        """Another process becomes the writer while this one stands still."""
        self._steps, self._unsent = None, None
        self._reopen(self._store.taken_over())
        self.world._active.remove(self.name)
        try:
            self.world.let_pass(max(seconds, 1.0))
        finally:
            self.world._active.append(self.name)


class ExchangeProcess(Process):
    """The broker's side. Its book file outlives it."""

    name = "exchange"
    covered = ("daily", "bars")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._disk = BookDisk(self._kept)
        self.clock = TickClock(FIRST_INSTANT)
        book = new_book(world.settings.exchange, world.settings.run.salt, self.clock.now())
        self.venue: Venue | None = None
        self._open(book)
        assert self.venue is not None
        self._disk.keep(book.take_changes(), self.venue.exchange, {})

    @property
    def book(self) -> Book:
        """As it stands, also where the process is down."""
        return self._disk.load() if self.venue is None else self.venue.exchange.book

    def time(self) -> dt.datetime:
        """By the exchange's clock."""
        return self.clock.now()

    @property
    def updates(self) -> int:
        return self._last_updates if self.venue is None else self.venue.exchange.book.account.updates

    def may_start(self) -> bool:
        return self.venue is None or super().may_start()

    def start(self) -> None:
        if self.venue is None:
            self.clock = TickClock(read_progress(self._disk.note(PROGRESS), "").at)
            self._open(self._disk.load())
            self.world.listener.reconnect()
        super().start()

    def build(self) -> Steps:
        assert self.venue is not None
        life = self._life
        progress = read_progress(self._disk.note(PROGRESS), f"{life.run_id}/{life.epoch}")
        bars = streams.names(["bars"], self.world.parts)
        return BusSteps(self.venue, _NoAudience(), progress, bars, self.clock.move_to)

    def die(self, death: Killed) -> None:
        super().die(death)
        self._last_updates = self.updates
        self.venue = None
        self.world.listener.disconnect()

    def _open(self, book: Book) -> None:
        self.venue = Venue(Exchange(book, self.world.settings.exchange), Market(), self.clock, self._disk)
        self.venue.listen(self._tell)

    def _kept(self, point: str) -> None:
        if self.venue is not None and self._steps is not None:
            self.world.passes(self.name, point)

    def _tell(self, updates: Sequence[Update]) -> None:
        self.world.listener.send(updates)


class _NoAudience:
    """Nobody subscribes to the exchange's market data here."""

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None: ...

    def revised(self, minute: dt.datetime, bar: Bar) -> None: ...

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None: ...


class Line:
    """A worker's way to the exchange."""

    def __init__(self, world: World, name: Callable[[], str]) -> None:
        self._world = world
        self._name = name

    def passes(self, point: str) -> Fault | None:
        return self._world.passes(self._name(), point)

    def ask(self, call: Callable[[Broker], Answer]) -> Answer:
        """Not connected where the exchange is down; cut off where it dies over it."""
        exchange = self._world.exchange
        if exchange.venue is None:
            return Silent(fault=Silence.NOT_CONNECTED, text="the exchange is down")
        try:
            return call(DirectBroker(exchange.venue))
        except Killed as death:
            if death.name != exchange.name:
                raise
            self._world.note("exchange killed over a request")
            exchange.die(death)
            return Silent(fault=Silence.CUT, text="the exchange died")

    def hang(self, seconds: float) -> None:
        self._world.let_pass(seconds)


class WorkerProcess:
    """An executor of one queue."""

    def __init__(self, world: World, queue: Queue, number: int) -> None:
        self.name = f"{queue}-{number}"
        self._world = world
        self._queue = queue
        self._life = 0
        self._alive_from = 0.0
        self._executor = self._new()

    def _new(self) -> Executor:
        self._life += 1
        world = self._world
        return Executor(
            f"{self.name}.{self._life}",
            self,
            SimulatedBroker(Line(world, lambda: self.name), self._pass),
            Budget(NO_LIMIT, 0.0, 0.0),
            Clock(monotonic=lambda: world.now, wait=world.let_pass, now=world.exchange.time),
            lambda: False,
        )

    def ready(self) -> bool:
        return bool(self._world.bus.jobs[self._queue]) and self._world.now >= self._alive_from

    def turn(self) -> None:
        """One wake-up."""
        job = self._world.bus.jobs[self._queue].popleft()
        self._executor.perform(list(job.actions), list(job.attempts))

    def ask(self, requests: Sequence[ClaimRequest], deadline_s: float) -> Mapping[str, ClaimReply]:
        """State's answers, as far as they come in time."""
        world = self._world
        self._pass("executor.before_claim")
        world.bus.publish(requests)
        until = world.now + deadline_s
        found: dict[str, ClaimReply] = {}
        while len(found) < len(requests) and world.now < until:
            if not world.give_a_turn():
                world.idle()
            for request in requests:
                reply = world.bus.reply(request.id)
                if reply is not None:
                    found[request.id] = reply
        fault = world.plan.passes("bus.reply")
        if fault is not None:
            world.note(f"{self.name}: {fault}")
            return {}
        self._pass("executor.after_claim")
        return found

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        self._pass("executor.before_report")
        self._world.publish(self.name, outgoing, "executor.between_reports")
        self._pass("executor.after_report")

    def die(self, death: Killed) -> None:
        self._executor = self._new()
        self._alive_from = self._world.now + death.seconds

    def bus_went_down(self) -> None:
        """What it had in hand is given up: its lease runs out at state."""
        self._alive_from = self._world.now + IDLE_S

    def _pass(self, point: str) -> None:
        self._world.passes(self.name, point)


class ListenerProcess:
    """The listener, and the socket over which the exchange tells it of trade updates."""

    name = "listener"

    def __init__(self, world: World) -> None:
        self._world = world
        self._wire: list[object] = []
        self._life = 0
        self._alive_from = 0.0
        self._tell: Callable[[Heard], None] | None = None
        self._is_connected = False
        self._has_heard = False
        self._listener = self._new()

    # The listener's own loop

    def ready(self) -> bool:
        return (bool(self._wire) or self._has_heard) and self._world.now >= self._alive_from

    def turn(self) -> None:
        """The next update off the wire, then one turn of the listener."""
        if self._wire and self._tell is not None:
            self._take_from_wire()
        self._has_heard = False
        self._listener.turn()

    def time_passed(self) -> None:
        """What it does by time: polls, and reads of orders it should have heard of."""
        if self._world.now >= self._alive_from:
            self._has_heard = False
            self._listener.turn()

    def die(self, death: Killed) -> None:
        self._wire.clear()
        self._is_connected, self._tell = False, None
        self._listener = self._new()
        self._alive_from = self._world.now + death.seconds

    def bus_went_down(self) -> None:
        """It keeps what it could not publish."""

    def _new(self) -> Listener:
        self._life += 1
        world = self._world
        broker = SimulatedBroker(Line(world, lambda: self.name))
        clock = Clock(monotonic=lambda: world.now, wait=lambda seconds: None, now=world.exchange.time)
        return Listener(
            f"listener.{self._life}", self, _Alone(), broker, self._updates, lambda call: call(), clock, turn_s=0.0
        )

    def _updates(self, tell: Callable[[Heard], None]) -> _Socket:
        def heard(what: Heard) -> None:
            self._has_heard = True
            tell(what)

        return _Socket(self, heard)

    def _take_from_wire(self) -> None:
        fault = self._world.plan.passes("wire.update")
        place = 0
        if fault is not None:
            self._world.note(f"listener: {fault}")
            match fault.do:
                case Do.DROP:
                    self._wire.pop(0)
                    return
                case Do.DOUBLE:
                    self._hear(self._wire[0])
                case Do.LATE if len(self._wire) > 1:
                    place = 1
                case Do.DISCONNECT:
                    self.disconnect()
                    self.reconnect()
                    return
                case _:
                    pass
        self._hear(self._wire.pop(place))

    def _hear(self, raw: object) -> None:
        assert self._tell is not None
        self._tell(HeardUpdate(raw))

    # The bus, as the listener sees it

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        self._world.passes(self.name, "listener.before_publish")
        for item in outgoing:
            self._world._put(item)
        self._world.passes(self.name, "listener.after_publish")

    def read(self, positions: Mapping[str, str], block_ms: int, count: int = 500) -> Sequence[Entry]:
        return self._world.bus.read(positions, block_ms)

    def last_ids(self, names: Sequence[str]) -> Mapping[str, str]:
        return self._world.bus.last_ids(names)

    # The socket

    def send(self, updates: Sequence[Update]) -> None:
        """The exchange tells; without a connection nobody hears it."""
        if self._is_connected:
            self._wire += [msgspec.json.decode(update_out(update))["data"] for update in updates]

    def connect(self, tell: Callable[[Heard], None]) -> None:
        self._tell = tell
        if self._world.exchange.venue is None:
            tell(Lost())
        elif not self._is_connected:
            self._is_connected = True
            tell(Listening())

    def disconnect(self) -> None:
        """What was on its way is lost."""
        self._wire.clear()
        if self._is_connected and self._tell is not None:
            self._tell(Lost())
        self._is_connected = False

    def reconnect(self) -> None:
        if self._tell is not None:
            self.connect(self._tell)


class _Socket:
    """`Updates` of the listener."""

    def __init__(self, process: ListenerProcess, tell: Callable[[Heard], None]) -> None:
        self._process = process
        self._tell = tell

    def start(self) -> None:
        self._process.connect(self._tell)

    def reconnect(self) -> None:
        self._process.disconnect()
        self._process.connect(self._tell)

    def stop(self) -> None:
        self._process.disconnect()


class _Alone:
    """A lease that nobody else wants."""

    number = 1
    held = True

    def keep(self) -> bool:
        return True

    def give_back(self) -> None: ...


class ConductorProcess:
    """Gives time. What it remembers over its death is the last session that is over and the last settled minute."""

    name = "conductor"

    def __init__(self, world: World, sessions: Sequence[Session]) -> None:
        self._world = world
        self._sessions = sessions
        self._over = 0
        self._reached: dt.datetime | None = None
        self.given = 0
        self._alive_from = 0.0
        self._forget()

    def _forget(self) -> None:
        self._steps: list[Step] = []
        self._place = 0
        self._awaited: Awaited | None = None
        self._events: int | None = None
        self._life: Life | None = None
        self._positions: dict[str, str] = {}
        self._checked = 0.0

    @property
    def finished(self) -> bool:
        return self._over == len(self._sessions)

    def missing(self) -> str:
        return self._awaited.missing() if self._awaited is not None else "nothing"

    def ready(self) -> bool:
        world = self._world
        if self.finished or world.now < self._alive_from:
            return False
        if self._life is None:
            return world.bus.epoch > 0
        if self._awaited is None or world.now - self._checked > LIFE_CHECK_S:
            return True
        return any(world.bus.has_new(name, position) for name, position in self._positions.items())

    def turn(self) -> None:
        """Read answers; where all are there, give the next tick."""
        world = self._world
        if self._life is None:
            self._begin()
            return
        if world.now - self._checked > LIFE_CHECK_S:
            self._checked = world.now
            if world.bus.life() != self._life:
                self._forget()
                return
        for entry in world.bus.read(self._positions, epoch=self._life.epoch):
            self._positions[entry.stream] = entry.entry_id
            if entry.message is not None and self._awaited is not None:
                self._awaited.take(entry.message)
        if self._awaited is not None:
            if not self._awaited.done:
                return
            if self._awaited.events is not None:
                self._events = self._awaited.events
            self._awaited = None
            if self._steps[self._place].phase is TickPhase.ACT:
                self._reached = self._steps[self._place].at
            self._place += 1
            if self._place == len(self._steps):
                self._over += 1
                self._steps = []
        if not self.finished:
            self._give()

    def _begin(self) -> None:
        bus = self._world.bus
        self._life = bus.life()
        self._checked = self._world.now
        names = ("intents", "progress")
        self._positions = {**dict.fromkeys(names, "0"), **bus.last_ids(names)}
        self._steps = []

    def _give(self) -> None:
        world = self._world
        session = self._sessions[self._over]
        if not self._steps:
            self._steps, self._place = self._left(session), 0
        if world.bus.life() != self._life:  # a tick must not come to a bus that lacks what it names
            self._forget()
            return
        step = self._steps[self._place]
        before = sum(one.minutes for one in self._sessions[: self._over])
        world.plan.minute = before + (step.at - session.opens_at) // dt.timedelta(minutes=1)
        world.bus_fault(world.passes(self.name, "conductor.before_tick"))
        people.obey(world, world.plan.passes("operator"), step.at)
        people.obey(world, world.plan.passes("hand"), step.at)
        tick = Tick(
            id=step.tick_id,
            at=step.at,
            session=session.session,
            phase=step.phase,
            upto=world.bus.last_ids(streams.names(COVERED, world.parts)),
            events=self._events,
        )
        self._awaited = Awaited(tick, set(world.parts))
        self.given += 1
        world.bus.publish([tick], self._life.epoch)
        world.bus_fault(world.passes(self.name, "conductor.after_tick"))

    def _left(self, session: Session) -> list[Step]:
        """As the conductor's own: from the beginning of the last tick's minute on, or what a new bus needs."""
        assert self._life is not None
        steps = list(steps_of(session))
        tick = None
        for entry in self._world.bus.read({"clock": "0"}, epoch=self._life.epoch):
            tick = entry.message if isinstance(entry.message, Tick) else tick
        if tick is None or tick.session != session.session:
            reached = self._reached
            return [step for step in steps if step.phase not in EACH_MINUTE or reached is None or step.at >= reached]
        self._events = tick.events
        place = next(place for place, step in enumerate(steps) if step.tick_id == tick.id)
        while place and steps[place].phase not in (TickPhase.OPEN, TickPhase.FEED, TickPhase.CLOSE):
            place -= 1
        return steps[place:]

    def die(self, death: Killed) -> None:
        self._forget()
        self._alive_from = self._world.now + death.seconds

    def bus_went_down(self) -> None:
        self._forget()
        self._alive_from = self._world.now + IDLE_S
