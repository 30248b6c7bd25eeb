"""All processes of one installation in this one, on virtual time: who acts next is drawn from a seed.

The services, paces, stores and the executor's code are the ones that run in operation. Simulated are what lies between
them: the bus, the line to the broker, the disk, the clocks, and death. A process that is killed is made anew from what
is durable, in the same order of steps as its `__main__` and shared/runtime/loop.py do it.

Virtual machine time stands still while anybody has something to do, and goes on in small steps where nobody has.
Trading time is the conductor's; in free pace it is the wall clock's, which goes with the machine's.
"""

from __future__ import annotations

import datetime as dt
import random
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from cli.auditor.audit import SAFETY, audit
from cli.auditor.ledger_side import read_books
from cli.auditor.views import BrokerView, Executed, Finding, Held, LedgerView, Sent, Terms
from cli.simulation.bus import SimulatedBus
from cli.simulation.disk import SimulatedStore
from cli.simulation.faults import Do, Fault, Plan
from services.exchange.book import Book
from services.exchange.orders import Update
from services.exchange.venue import Venue
from services.market_data.source import SessionSource
from services.state.pace import Lists
from services.state.setup import Setup
from shared.contracts.journal import DeadLetter
from shared.contracts.market import Bars
from shared.contracts.orders import ListenerConnected
from shared.contracts.outgoing import Job, Outgoing
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.bus import BusDown
from shared.runtime.halt import HaltFile
from shared.runtime.settings import Settings

IDLE_S: Final = 0.25
QUIET_S: Final = 5.0
"""Seconds that pass at once by the wall clock where nothing is under way."""
LIFE_CHECK_S: Final = 1.0
STUCK_S: Final = 300.0
SETTLE_S: Final = 20.0
COMPARE_S: Final = 1.5
MOST_TURNS: Final = 400_000
LOST_TAIL: Final = 40

Result = TypeVar("Result")

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


class Wall:
    """The wall clock of a run in free pace: trading time goes on with the machine's. since: seconds of the machine."""

    def __init__(self, since: Callable[[], float]) -> None:
        self._since = since
        self._base = dt.datetime(1993, 1, 29, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self._base + dt.timedelta(seconds=self._since())

    def go_to(self, at: dt.datetime) -> None:
        """A night passes at once; it never goes back."""
        self._base = max(at - dt.timedelta(seconds=self._since()), self._base)


class Actor(Protocol):
    """Something that can be given a turn."""

    name: str

    def ready(self) -> bool:
        """Whether it has anything to do now."""

    def turn(self) -> None:
        """Do one thing. May raise Killed, or BusDown."""

    def die(self, death: Killed) -> None:
        """Lose everything that is not durable."""

    def bus_went_down(self) -> None:
        """A command of its turn failed."""


class Timed(Actor, Protocol):
    def time_passed(self) -> None:
        """Look at what is due by time alone."""


class Leader(Actor, Protocol):
    """Gives time. given: how many ticks."""

    given: int

    @property
    def finished(self) -> bool: ...

    def missing(self) -> str:
        """What it waits for."""


class BrokerSide(Timed, Protocol):
    """The exchange. venue: None while it is down. updates: number of its last trade update."""

    venue: Venue | None

    @property
    def book(self) -> Book: ...

    @property
    def updates(self) -> int: ...

    def time(self) -> dt.datetime:
        """By its clock."""


class Hearing(Timed, Protocol):
    """Who hears of trade updates."""

    def send(self, updates: Sequence[Update]) -> None: ...

    def disconnect(self) -> None: ...

    def reconnect(self) -> None: ...


class Cast(Struct):
    """Everybody who acts in a run."""

    state: Timed
    exchange: BrokerSide
    listener: Hearing
    conductor: Leader
    others: Sequence[Actor]


class World:
    """One run. faults: what goes wrong. draws: of the order in which actors act."""

    def __init__(
        self,
        settings: Settings,
        setup: Setup,
        source: SessionSource,
        lists: Lists,
        faults: Sequence[Fault],
        draws: random.Random,
        terms: Terms,
    ) -> None:
        self.wall = None if setup.conducted else Wall(lambda: self.now)
        self.settings = settings
        self.setup = setup
        self.source = source
        self.lists = lists
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
        self._stepped = dt.timedelta()
        self._active: list[str] = []
        self._audited: tuple[int, int] = (-1, -1)
        self._good: tuple[BrokerView, LedgerView] | None = None
        self._connected: dict[str, int] = {}
        self.bus = SimulatedBus(settings.bus.partitions, self._has_no_bus)
        self.parts = range(settings.bus.partitions)
        self.store = SimulatedStore.new(settings.run.installation)
        self.images: list[bytes] = []
        self.wants_images = any(fault.do is Do.POWER_CUT for fault in faults)

    def begin(self, cast: Cast) -> None:
        """Let these act."""
        self.state, self.exchange, self.listener, self.conductor = (
            cast.state,
            cast.exchange,
            cast.listener,
            cast.conductor,
        )
        self.actors: Sequence[Actor] = (cast.state, *cast.others, cast.exchange, cast.listener, cast.conductor)

    def time(self) -> dt.datetime:
        """The executors' wall clock: the exchange's, unless it was stepped."""
        return self.exchange.time() + self._stepped

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
        self.now += self._rest()
        for actor in (self.exchange, self.state, self.listener):
            if actor.name not in self._active:
                self._act(actor, actor.time_passed)
        self.look()

    def _rest(self) -> float:
        """How long nobody does anything: by the wall clock a day is long, and most of it nothing is under way."""
        under_way = self.wall is None or self._active or self.store.has_open_actions() or any(self.bus.jobs.values())
        return IDLE_S if under_way else QUIET_S

    def let_pass(self, seconds: float) -> None:
        """The others act for so long; whoever is active now is not among them."""
        until = self.now + seconds
        while self.now < until:
            if not self.give_a_turn():
                self.idle()

    def compare(self, times: int) -> None:
        """Ledger and broker are compared so often, and nothing goes wrong any more."""
        self.plan.end()
        for number in range(times):
            asked = ListenerConnected(id=f"look-{number}", at=self.exchange.time(), listener="simulation", fence=0)
            self.bus.publish([asked])
            until = self.now + SETTLE_S  # somebody's connection to the bus may still be an old one
            self.let_pass(COMPARE_S)
            while self.store.has_open_actions() and self.now < until:
                self.let_pass(IDLE_S)

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
        if fault.do is Do.STEP_CLOCK:
            self._stepped = dt.timedelta(minutes=10 * (fault.seconds - 5))
        return fault

    def request(self, call: Callable[[Venue], Result]) -> Result | None:
        """What the exchange, which is up, is asked by somebody else; None where it dies over it."""
        assert self.exchange.venue is not None
        try:
            return call(self.exchange.venue)
        except Killed as death:
            if death.name != self.exchange.name:
                raise
            self.note("exchange killed over a request")
            self.exchange.die(death)
            return None

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
        views = self.broker_view(), read_books(self.store.database)
        if views == self._good:
            return  # what was written is nothing that the checks look at
        found = audit(*views, self.terms, SAFETY)
        if found:
            raise Broken(found[0])
        self._good = views

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
