"""The tape of a live session: state on the wall clock's seconds, restarted and on new buses, and decided again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from cli.inprocess.direct_broker import DirectBroker
from cli.inprocess.memory_bus import MemoryBus
from cli.playback import play_tape
from cli.tape_run import in_words, outcome_of
from services.exchange.exchange import Exchange, new_book
from services.exchange.market import Market
from services.exchange.orders import Update
from services.exchange.service import BusSteps, Progress, ticks_after
from services.exchange.venue import KeepsNothing, TickClock, Venue
from services.exchange.wire import update_out
from services.executor.broker_words import read_update
from services.executor.budget import Budget
from services.executor.work import Clock, Executor
from services.market_data.service import MarketData
from services.signals.__main__ import decide
from services.signals.service import Signals
from services.state.__main__ import setup_of
from services.state.service import BusLife, State
from services.state.sources import CandidateFiles, TapeFolder
from services.state.store import Store
from services.state.tape import HeardHalt, Recorder, Taped
from shared.contracts import streams
from shared.contracts.clock import Answer, Tick, TickPhase
from shared.contracts.commands import Pause, Resume
from shared.contracts.market import Bar
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.domain import calendar
from shared.runtime.bus import Entry
from shared.runtime.loop import Plain
from shared.runtime.settings import load_settings
from shared.runtime.tape import unread
from tests.chaos.day import SESSION, the_day, the_source

DAY = calendar.session(SESSION)
SECONDS = (3, 4, 17, 30, 44, 59, 60)
"""Of each minute's clock, at which state has its own tick here; the minute before is published at second 2."""


class Nobody:
    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None: ...

    def revised(self, minute: dt.datetime, bar: Bar) -> None: ...

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None: ...


class LiveRoom:
    """Every service in its free pace around one list of streams; the clock is the test's."""

    def __init__(self, home: Path) -> None:
        variables = {**the_day().variables, "EV2_HOME": str(home), "EV2_RUN__PACE": "free"}
        self.settings = settings = load_settings(variables)
        self.home, self.setup, self.store = home, setup_of(settings), Store.in_memory()
        with self.store.transaction():
            self.store.set_note("installation", settings.run.installation)
        parts = range(settings.bus.partitions)
        self.now, self.positions = 0.0, dict[str, str]()
        self.names = streams.names(["daily", "bars", "intents", "claims", "orders", "commands"], parts)
        self.heard_by_signals = dict.fromkeys(streams.names(["daily", "candidates", "positions", "bars"], parts), "0")
        self.heard_by_exchange = dict.fromkeys(streams.names(["daily", "bars"], parts), "0")
        self.bus = MemoryBus(settings.bus.partitions, self.step)
        self.clock = TickClock(DAY.opens_at)
        book = new_book(settings.exchange, settings.run.salt, DAY.opens_at)
        self.venue = Venue(Exchange(book, settings.exchange), Market(), self.clock, KeepsNothing())
        self.venue.listen(self.hear)
        self.exchange = BusSteps(self.venue, Nobody(), Progress(), streams.names(["bars"], parts), self.clock.move_to)
        self.market = MarketData(the_source(), settings.bus.partitions, max_jump=settings.data.max_jump)
        self.signals = Plain(Signals(settings.bus.partitions, settings.rules, lambda partition: 1), "signals")
        self.executor = Executor(
            "live",
            self.bus,
            DirectBroker(self.venue),
            Budget(1_000_000, 0.0, 0.0),
            Clock(monotonic=lambda: self.now, wait=lambda seconds: None, now=self.clock.now),
            lambda: False,
        )
        self.start()

    def start(self) -> None:
        """State as a process of its own: everything but ledger and files is gone."""
        tapes = TapeFolder(self.home / "data" / "tape", 3)
        self.recorder = Recorder(self.store, self.setup, tapes, lambda: self.now)
        self.build()

    def build(self) -> None:
        recorder = self.recorder
        halt = HeardHalt(self.home / "data" / "halt", recorder.hear_halt)
        files = CandidateFiles(self.home, self.setup, recorder.hear_lists)
        recorder.built()
        state = State(self.store, self.setup, halt, files, recorder.seconds, keep=recorder.keep)
        for name in state.remembers:
            for entry in self.bus.read({name: "0"}):
                if self.positions.get(name) and entry.message is not None:
                    state.remember(entry.message)
        self.state = Taped(state, recorder)

    def restart(self) -> None:
        self.store = Store.loaded(self.store.image())
        self.start()

    def new_bus(self) -> None:
        """All is read again from the streams' beginning, as it would be published again."""
        self.bus.publish(BusLife(self.store, self.recorder.keep_reborn).reborn(f"server-{self.now}"))
        self.positions.clear()
        self.build()

    def step(self, *local: Message) -> None:
        """One turn of state: what is new on the streams, then its own messages."""
        batch = self.bus.read({name: self.positions.get(name, "0") for name in self.names})
        for entry in batch:
            self.positions[entry.stream] = entry.entry_id
        self.publish(self.state.step([*batch, *(Entry("", "", message) for message in local)]))
        self.state.sent()

    def publish(self, out: Sequence[Outgoing]) -> None:
        self.bus.publish([item for item in out if not isinstance(item, Answer)])

    def turn(self) -> None:
        """Everyone else once."""
        for entry in self.read(self.heard_by_exchange):
            assert entry.message is not None
            for message in (entry.message, *ticks_after(entry.message)):
                self.exchange.step([Entry(entry.stream, entry.entry_id, message)])
        for entry in self.read(self.heard_by_signals):
            assert entry.message is not None
            for message in (entry.message, *decide(entry.message)):
                self.publish(self.signals.step([Entry(entry.stream, entry.entry_id, message)]))
        while self.bus.jobs:
            job = self.bus.jobs.popleft()
            self.executor.perform(list(job.actions), list(job.attempts))

    def read(self, positions: dict[str, str]) -> list[Entry]:
        batch = self.bus.read(positions)
        for entry in batch:
            positions[entry.stream] = entry.entry_id
        return batch

    def hear(self, updates: Sequence[Update]) -> None:
        for update in updates:
            event, _ = read_update(msgspec.json.decode(update_out(update))["data"])
            self.bus.publish([msgspec.structs.replace(event, seq=None)])

    def second(self, at: dt.datetime) -> None:
        self.now += 5.0
        self.clock.move_to(at)
        self.step(Tick(id=f"second-{at:%y%m%dT%H%M%S}", at=at, session=at.date(), phase=TickPhase.ACT))
        for _ in range(6):
            self.turn()
            self.step()

    def feed(self, phase: TickPhase, at: dt.datetime) -> None:
        self.publish(self.market.handle(Tick(id=f"{phase}-{at}", at=at, session=SESSION, phase=phase)))

    def play(self) -> Iterator[int]:
        """The session; gives the number of each minute before it begins."""
        self.feed(TickPhase.OPEN, DAY.opens_at)
        self.second(DAY.opens_at)
        self.market_reads_candidates()
        self.feed(TickPhase.HISTORY, DAY.opens_at)
        for minute in range(DAY.minutes):
            yield minute
            at = DAY.opens_at + dt.timedelta(minutes=minute + 1)
            for second in SECONDS:
                self.second(at - dt.timedelta(minutes=1) + dt.timedelta(seconds=second))
            self.feed(TickPhase.FEED, at)
            self.second(at + dt.timedelta(seconds=2))
        self.feed(TickPhase.CLOSE, DAY.closes_at)
        self.second(DAY.closes_at + dt.timedelta(minutes=10))
        self.second(DAY.closes_at + dt.timedelta(minutes=31))

    def market_reads_candidates(self) -> None:
        for entry in self.bus.read({"candidates": "0"}):
            assert entry.message is not None
            self.publish(self.market.handle(entry.message))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> LiveRoom:
    """A session in which state is restarted twice, the bus is new once, and an operator pauses and resumes."""
    room = LiveRoom(tmp_path_factory.mktemp("live"))
    for minute in room.play():
        match minute:
            case 22 | 66:
                room.restart()
            case 23:
                room.bus.publish([Pause(id="pause-1", at=room.clock.now(), by="test")])
            case 25:
                room.bus.publish([Resume(id="resume-1", at=room.clock.now(), by="test")])
            case 90:
                room.new_bus()
            case _:
                pass
    return room


def test_a_live_session_decided_again_from_its_tape_has_the_same_decisions_and_the_same_ledger(room: LiveRoom) -> None:
    played = play_tape(room.home / "data" / "tape" / f"{SESSION}.tape")
    assert played.differences == ()
    assert (played.restarts, played.lives) == (2, 1)
    assert played.decisions == DAY.minutes * room.settings.bus.partitions
    assert played.digest == played.digest_then == room.store.digest()


def test_a_tape_that_cannot_be_read_to_its_end_is_not_called_the_same(room: LiveRoom, tmp_path: Path) -> None:
    whole = (room.home / "data" / "tape" / f"{SESSION}.tape").read_bytes()
    damaged = tmp_path / "damaged.tape"
    damaged.write_bytes(whole[:-1])
    outcome = outcome_of(play_tape(damaged), unread(damaged), 0.0)
    assert (outcome.same, outcome.differences, outcome.unread > 0) == (False, (), True)
    assert f"UNREAD: the last {outcome.unread:,} bytes" in in_words(outcome)


def test_that_session_bought_and_sold(room: LiveRoom) -> None:
    orders = {order.kind for order in room.store.orders_of_session(SESSION) if order.filled_qty}
    assert {kind.value for kind in orders} >= {"entry", "exit"}
