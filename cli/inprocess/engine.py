"""The whole engine in one process: the same services, the same order of steps, no server and no network.

It gives the ticks of services/conductor/schedule.py to the services themselves, one phase after the other. What a
process would read from a stream stands in a list here, what it would ask over HTTP is asked directly. Backtests and
tests of whole days run on it; a day here and the same day over processes end with the same ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from cli.inprocess.direct_broker import DirectBroker
from cli.inprocess.memory_bus import MemoryBus
from services.conductor.schedule import Awaited, Step, steps_of
from services.exchange.exchange import Exchange, new_book
from services.exchange.market import Market
from services.exchange.orders import Update
from services.exchange.service import BusSteps, Progress
from services.exchange.venue import KeepsNothing, TickClock, Venue
from services.exchange.wire import update_out
from services.executor.broker_words import read_update
from services.executor.budget import Budget
from services.executor.work import Clock, Executor
from services.market_data.service import MarketData
from services.market_data.source import SessionSource
from services.signals.service import Signals
from services.state.pace import Lists
from services.state.service import BusLife, State
from services.state.setup import Setup
from services.state.store import Store
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.market import Bar
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.domain.calendar import Session
from shared.runtime.bus import Entry
from shared.runtime.halt import HaltFile
from shared.runtime.loop import Plain, Steps
from shared.runtime.settings import Settings

NO_LIMIT: Final = 1_000_000
ROUNDS_PER_TICK: Final = 500

TAKES: Final[Mapping[str, frozenset[TickPhase]]] = {
    "market_data": frozenset({TickPhase.OPEN, TickPhase.HISTORY, TickPhase.FEED, TickPhase.CLOSE}),
    "exchange": frozenset({TickPhase.OPEN, TickPhase.MATCH, TickPhase.EXPIRE}),
    "signals": frozenset({TickPhase.DECIDE}),
    "state": frozenset({TickPhase.INGEST, TickPhase.FOLD, TickPhase.ACT, TickPhase.SETTLE}),
}
"""Which service acts at which ticks; the others would read them and do nothing."""


class NotSettling(RuntimeError):
    """A tick found no end: a fault of ours, named by what was still awaited."""


class _Member:
    """One service with its own reading positions."""

    def __init__(self, steps: Steps, covered: Sequence[str], free: Sequence[str] = ()) -> None:
        self.steps = steps
        self._covered = dict.fromkeys(covered, "0")
        self._free = dict.fromkeys(free, "0")

    def take_tick(self, bus: MemoryBus, tick: Tick) -> Sequence[Outgoing]:
        """Everything that the tick covers, then the tick."""
        batch = bus.read(self._covered)
        for entry in batch:
            self._covered[entry.stream] = entry.entry_id
        return self._step([*batch, Entry("", "", tick)])

    def read_on(self, bus: MemoryBus) -> Sequence[Outgoing]:
        """What no tick covered yet, as a process would read it with the next one."""
        batch = bus.read(self._covered)
        for entry in batch:
            self._covered[entry.stream] = entry.entry_id
        return self._step(batch)

    def take_free(self, bus: MemoryBus) -> Sequence[Outgoing]:
        """What came in between; also nothing, since a service may have something left to do."""
        batch = bus.read(self._free)
        for entry in batch:
            self._free[entry.stream] = entry.entry_id
        return self._step(batch)

    def _step(self, batch: Sequence[Entry]) -> Sequence[Outgoing]:
        out = self.steps.step(batch)
        self.steps.sent()
        return out


class _NoAudience:
    """Nobody subscribes to the exchange's market data here."""

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None: ...

    def revised(self, minute: dt.datetime, bar: Bar) -> None: ...

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None: ...


class Engine:
    """One installation in this process.

    store: its ledger. lists: the lists of candidates.
    """

    def __init__(
        self,
        settings: Settings,
        setup: Setup,
        source: SessionSource,
        store: Store,
        halt: HaltFile,
        lists: Lists,
    ) -> None:
        parts = range(settings.bus.partitions)
        self._partitions = settings.bus.partitions
        self._now = 0.0
        self.bus = MemoryBus(self._partitions, self._answer_claims)
        self._clock = TickClock(dt.datetime(1993, 1, 29, tzinfo=dt.UTC))
        book = new_book(settings.exchange, settings.run.salt, self._clock.now())
        self.venue = Venue(Exchange(book, settings.exchange), Market(), self._clock, KeepsNothing())
        self.venue.listen(self._hear)
        self.state = State(store, setup, halt, lists, self._monotonic)
        self._members = {
            "market_data": _Member(
                Plain(self._market_data(settings, source), "market_data"),
                streams.names(["candidates", "positions"], parts),
            ),
            "exchange": _Member(
                BusSteps(
                    self.venue,
                    _NoAudience(),
                    Progress(),
                    streams.names(["bars"], parts),
                    self._clock.move_to,
                ),
                streams.names(["daily", "bars"], parts),
            ),
            "signals": _Member(
                Plain(Signals(self._partitions, settings.rules, lambda partition: 1), "signals"),
                streams.names(["daily", "candidates", "positions", "bars"], parts),
            ),
            "state": _Member(
                self.state,
                streams.names(["daily", "bars", "intents"], parts),
                streams.names(["claims", "orders", "commands"], parts),
            ),
        }
        self._executor = Executor(
            "inprocess",
            self.bus,
            DirectBroker(self.venue),
            Budget(NO_LIMIT, 0.0, 0.0),
            Clock(monotonic=self._monotonic, wait=self._wait, now=self._clock.now),
            lambda: False,
        )
        self._events: int | None = None
        self._awaited: Awaited | None = None
        self.bus.publish(BusLife(store).reborn("inprocess"))

    def play(self, session: Session, after_minute: Callable[[dt.datetime], None] = lambda at: None) -> None:
        """One session from its opening to its close. Raises NotSettling."""
        for step in steps_of(session):
            self._give(session, step)
            if step.phase is TickPhase.ACT:
                after_minute(step.at)
        for name in ("market_data", "signals"):  # what state said at the close is news to them
            self._publish(self._members[name].read_on(self.bus))
        self.bus.forget()

    def give_to(self, name: str, session: Session, step: Step) -> None:
        """A tick for one service alone, where the others are known to have nothing to do at it. Raises NotSettling."""
        tick = self._tick(session, step)
        self._awaited = Awaited(tick, set())
        self._publish(self._members[name].take_tick(self.bus, tick))
        if step.phase is not TickPhase.OPEN:  # which market data alone answers
            self._until_done(self._awaited)

    def _give(self, session: Session, step: Step) -> None:
        tick = self._tick(session, step)
        self._awaited = Awaited(tick, set(range(self._partitions)))
        for name, member in self._members.items():
            if step.phase in TAKES[name]:
                self._publish(member.take_tick(self.bus, tick))
        self._until_done(self._awaited)

    def _tick(self, session: Session, step: Step) -> Tick:
        return Tick(
            id=step.tick_id, at=step.at, session=session.session, phase=step.phase, upto={}, events=self._events
        )

    def _until_done(self, awaited: Awaited) -> None:
        for _ in range(ROUNDS_PER_TICK):
            if awaited.done:
                break
            self._round()
        else:
            raise NotSettling(awaited.missing())
        if awaited.events is not None:
            self._events = awaited.events

    def _round(self) -> None:
        """One turn of the executors and of state."""
        while self.bus.jobs:
            job = self.bus.jobs.popleft()
            self._executor.perform(list(job.actions), list(job.attempts))
        self._publish(self._members["state"].take_free(self.bus))
        self._now += 0.001

    def _answer_claims(self) -> None:
        self._publish(self._members["state"].take_free(self.bus))

    def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        if self._awaited is not None:
            for item in outgoing:
                if isinstance(item, Message):
                    self._awaited.take(item)
        self.bus.publish(outgoing)

    def _hear(self, updates: Sequence[Update]) -> None:
        """Trade updates, in the words in which a listener would hear them."""
        for update in updates:
            event, _ = read_update(msgspec.json.decode(update_out(update))["data"])
            self.bus.publish([event])

    def _monotonic(self) -> float:
        return self._now

    def _wait(self, seconds: float) -> None:
        self._now += seconds

    def _market_data(self, settings: Settings, source: SessionSource) -> MarketData:
        return MarketData(
            source,
            self._partitions,
            max_jump=settings.data.max_jump,
            whole_market=settings.data.whole_market,
            index=settings.regime.symbol,
        )
