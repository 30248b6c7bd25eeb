"""One symbol's life between the real parts: state, executor and listener, and the paper exchange over a real socket.

REST goes through alpaca-py over loopback, trade updates through the exchange's own stream, each with faults of its own.
The test is market data, signals and conductor. Machine time is virtual: only what alpaca-py waits for is real.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from cli.auditor import books, explained, limits, protection
from cli.auditor.audit import SAFETY, audit
from cli.auditor.ledger_side import read_ledger
from cli.auditor.views import Finding, Terms
from cli.inprocess.memory_bus import MemoryBus
from cli.simulation.world import view_of
from services.exchange.conversation import Close, Frame
from services.exchange.exchange import Exchange, new_book
from services.exchange.faults import Fault, Faults
from services.exchange.market import Market
from services.exchange.orders import Order, Update
from services.exchange.trade_stream import TradeConversation, TradeStream
from services.exchange.venue import KeepsNothing, TickClock, Venue
from services.exchange.web import Access, App, Server
from services.executor.alpaca_broker import AlpacaBroker
from services.executor.budget import Budget
from services.executor.heard import Heard, Listening, Lost
from services.executor.heard import Update as HeardUpdate
from services.executor.listener import Listener
from services.executor.work import Clock, Executor
from services.state.service import BusLife, State
from services.state.setup import Setup
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts import ids, streams
from shared.contracts.clock import Answer, Tick, TickPhase
from shared.contracts.commands import Reconcile
from shared.contracts.decisions import Decided
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.journal import Alert
from shared.contracts.market import Bar, Bars
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.contracts.rules import EntryRules, Rules
from shared.domain.order_life import ENDED
from shared.runtime.bus import Entry
from shared.runtime.halt import HaltFile
from tests.unit.state.world import CLOSE, MINUTE, OPEN, PARTITIONS, SESSION, candidate, nothing_decided, opened

KEY: Final = "demo"
READ_TIMEOUT_S: Final = 0.15
ROUND_S: Final = 0.05
MOST_ROUNDS: Final = 4_000
SECOND: Final = dt.timedelta(seconds=1)
TURNS_A_SECOND: Final = 20
COVERED: Final = streams.names(("daily", "bars", "intents"), range(PARTITIONS))
FREE: Final = ("claims", "orders", "commands")
RULES: Final = Rules(entry=EntryRules(delay_min=0, delay_max=0, max_slip=0.0, fill_for=60))

AGREE: Final = (
    *SAFETY,
    books.orders_agree,
    books.all_fills_are_booked,
    books.shares_agree,
    books.cash_agrees,
    limits.stops_only_rise,
    protection.every_share_is_covered,
    explained.nothing_is_under_way,
)
"""Both sides agree to the share and the cent, nothing twice, nothing uncovered, nothing under way."""


class Building:
    """The exchange's server, and the way to it: made once, used by one floor after the other."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.hears: Callable[[Sequence[Update]], None] = lambda updates: None
        rules = ExchangeRules()
        self.venue = Venue(Exchange(new_book(rules, "-", OPEN), rules), Market(), TickClock(OPEN), KeepsNothing())
        self.venue.listen(self._hear)
        demo = SecretStr(KEY)
        self._app = App(self.venue, Access(demo, demo), self.faults)
        self._server = Server(self._app, "127.0.0.1", 0)
        self._server.start()
        url = f"http://127.0.0.1:{self._server.port}"
        self.broker = AlpacaBroker(demo, demo, url, connect_timeout_s=1, read_timeout_s=READ_TIMEOUT_S)

    def _hear(self, updates: Sequence[Update]) -> None:
        self.hears(updates)

    def close(self) -> None:
        self._server.stop()

    def begin(self, **rules: Any) -> None:
        """A new account at the session's opening."""
        chosen = ExchangeRules.model_validate({"random_partials": 0.0, **rules})
        self.faults.clear()
        self._app._answered.clear()  # a stale answer of another account would be no fault, but nonsense
        self.venue.exchange = Exchange(new_book(chosen, "salt", OPEN), chosen)
        self.venue.market = Market()
        self.venue.clock = TickClock(OPEN)


class _Bus(MemoryBus):
    def last_ids(self, names: Sequence[str]) -> dict[str, str]:
        found = {name: self.after(name, "0-0") for name in names}
        return {name: entries[-1].entry_id for name, entries in found.items() if entries}


class _Lease:
    held = True
    number = 1

    def keep(self) -> bool:
        return True

    def give_back(self) -> None: ...


class _Line:
    """Trade updates as the library hands them on: the exchange's own stream, without the socket in between."""

    def __init__(self, stream: TradeStream, tell: Callable[[Heard], None]) -> None:
        self._stream = stream
        self._tell = tell
        self._talk: TradeConversation | None = None

    def start(self) -> None:
        self.reconnect()

    def stop(self) -> None:
        self._end()

    def reconnect(self) -> None:
        self._end()
        self._talk = self._stream.connect(self._frame)
        self._talk.hear(json.dumps({"action": "auth", "key": KEY, "secret": KEY}).encode())
        self._talk.hear(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}).encode())

    def _end(self) -> None:
        if self._talk is not None:
            self._talk.end()
            self._talk = None

    def _frame(self, frame: Frame) -> None:
        if isinstance(frame, Close):
            self._end()
            self._tell(Lost())
            return
        said = json.loads(frame)
        if said["stream"] == "listening":
            self._tell(Listening())
        elif said["stream"] == "trade_updates":
            self._tell(HeardUpdate(said["data"]))


class Floor:
    """A session of 2026-01-09 in which one symbol trades. rules: of the exchange.

    conducted: the test gives whole minutes and the broker answers at once; else it gives seconds, as the wall clock.
    trading: the engine's own rules.
    """

    def __init__(
        self,
        building: Building,
        home: Path,
        symbols: Sequence[str] = ("AAPL",),
        *,
        conducted: bool = True,
        trading: Rules = RULES,
        **rules: Any,
    ) -> None:
        building.begin(**rules)
        self.building = building
        self.venue = building.venue
        self.at = OPEN
        self.events = Faults()
        self.symbols = symbols
        self.patience = MOST_ROUNDS
        self._now = 1000.0
        self._said = 0
        self.bus = _Bus(PARTITIONS, self._answer_claims)
        self.store = Store.in_memory()
        with self.store.transaction():
            self.store.set_note("installation", "e7f3")
        self.halt = HaltFile(home / "halt")
        setup = Setup(rules=trading, partitions=PARTITIONS, grace_s=2.0, lease_s=1.0, conducted=conducted)
        self.state = State(self.store, setup, self.halt, self, lambda: self._now)
        self._positions = dict.fromkeys((*COVERED, *FREE), "0-0")
        self._answered: set[str] = set()
        clock = Clock(monotonic=lambda: self._now, wait=self._wait, now=self.venue.clock.now)
        self._executor = Executor(
            "floor", self.bus, building.broker, Budget(1_000_000, 0.0, self._now), clock, lambda: False
        )
        stream = TradeStream(lambda key, secret: True, self.events)
        building.hears = stream.tell
        self._listener = Listener(
            "listener",
            self.bus,
            _Lease(),
            building.broker,
            lambda tell: _Line(stream, tell),
            lambda call: call(),
            clock,
            turn_s=0.0,
        )
        self._publish(BusLife(self.store).reborn("floor"))

    # What the test does

    def break_requests(self, *faults: Fault) -> None:
        self.building.faults.add(*faults)

    def break_events(self, *faults: Fault) -> None:
        self.events.add(*faults)

    def mend(self) -> None:
        """From here on nothing goes wrong any more."""
        self.building.faults.clear()
        self.events.clear()

    @property
    def hits(self) -> tuple[bool, ...]:
        """For each fault, whether something went by that it was waiting for."""
        counts = (*self.building.faults._counts, *self.events._counts)
        return tuple(count.passed >= count.fault.nth for count in counts)

    def open(self) -> None:
        self.bus.publish([opened()])
        self.tick(TickPhase.INGEST)

    def minute(self, prices: Mapping[str, float], *decided: Decided, volume: float = 1e6) -> None:
        """One minute, flat at these prices; then what signals decided on it."""
        self._pass(MINUTE)
        self._trade(prices, volume)
        self.tick(TickPhase.FOLD)
        given = {one.partition for one in decided}
        self.bus.publish(decided)
        self.bus.publish([nothing_decided(part, self.at) for part in range(PARTITIONS) if part not in given])
        self.tick(TickPhase.ACT)

    def until(
        self, what: Callable[[], bool], prices: Mapping[str, float], *decided: Decided, within: int = 200
    ) -> None:
        """Seconds of the wall clock until `what` is so."""
        self.bus.publish(decided)
        for _ in range(within):
            if what():
                return
            self.seconds(1, prices)
        raise AssertionError(f"not within {within} s; open: {self.store.open_actions()}")

    def seconds(self, count: int, prices: Mapping[str, float], *decided: Decided, volume: float = 1e6) -> None:
        """So many seconds of the wall clock; what signals decided is there at the first. A minute trades at its end."""
        self.bus.publish(decided)
        for _ in range(count):
            self._pass(SECOND)
            if self.at.second == 0:
                self._trade(prices, volume)
            tick = Tick(id=f"second-{self.at:%H%M%S}", at=self.at, session=SESSION, phase=TickPhase.ACT)
            self._take((*COVERED, *FREE), Entry("", "", tick))
            for _ in range(TURNS_A_SECOND):
                self.turn()

    def _pass(self, span: dt.timedelta) -> None:
        self.at += span
        assert isinstance(self.venue.clock, TickClock)
        self.venue.clock.move_to(self.at)
        self.venue.do(lambda exchange, now: None)

    def _trade(self, prices: Mapping[str, float], volume: float) -> None:
        """The minute that ends now, flat at these prices: at the exchange, and on the bus."""
        start = self.at - MINUTE
        bars = [Bar(symbol, price, price, price, price, volume) for symbol, price in prices.items()]
        self.venue.market.take(SESSION, OPEN.replace(hour=5, minute=0), start, bars)
        self.venue.do(lambda exchange, now: exchange.match(start, bars, self.at))
        for partition in range(PARTITIONS):
            rows = tuple(bar for bar in bars if ids.partition_of(bar.symbol, PARTITIONS) == partition)
            name = ids.minute_id("bars", partition, self.at)
            self.bus.publish([Bars(id=name, at=self.at, partition=partition, minute=start, rows=rows)])

    def close(self) -> None:
        """The session's end: day orders expire."""
        self._pass(CLOSE - self.at)
        self.venue.do(lambda exchange, now: exchange.expire(now))
        self.tick(TickPhase.SETTLE)

    def tick(self, phase: TickPhase) -> None:
        """Give a tick, and turn until it is answered."""
        name = f"tick-{self.at:%y%m%dT%H%M}-{phase}"
        tick = Tick(id=name, at=self.at, session=SESSION, phase=phase, events=self._updates)
        self._take(COVERED, Entry("", "", tick))
        for _ in range(self.patience):
            if name in self._answered:
                return
            self.turn()
        raise AssertionError(f"{name} was not answered; open: {self.store.open_actions()}")

    def reconcile(self) -> None:
        """Ledger and broker are compared, and again where the first look is not enough."""
        self._said += 1
        self.bus.publish([Reconcile(id=f"reconcile-{self._said}", at=self.at, by="test")])
        for _ in range(10):
            self.turn()

    def turn(self) -> None:
        """One round of everybody; machine time goes on by 50 ms."""
        while self.bus.jobs:
            job = self.bus.jobs.popleft()
            self._executor.perform(list(job.actions), list(job.attempts))
        self._listener.turn()
        self._take(FREE)
        self._now += ROUND_S

    # What the test looks at

    def orders(self) -> list[Order]:
        return self.venue.do(lambda exchange, now: list(exchange.book.orders()))[0]

    def order(self, client_order_id: str) -> Order:
        return next(order for order in self.orders() if order.client_order_id == client_order_id)

    def held(self, symbol: str = "AAPL") -> int:
        position = self.venue.do(lambda exchange, now: exchange.book.position(symbol))[0]
        return int(position.qty) if position is not None else 0

    def alerts(self) -> list[str]:
        return [one.message.text for one in self.bus.after("alerts", "0-0") if isinstance(one.message, Alert)]

    def findings(self, gap_s: float = 0.0) -> tuple[Finding, ...]:
        """What the auditor finds: it shares no code with the engine."""
        terms = Terms(gap_s=gap_s, pending_s=60.0)
        return audit(view_of(self.venue.exchange.book), read_ledger(self.store._db), terms, AGREE)

    def open_in_ledger(self) -> list[str]:
        return sorted(order.client_order_id for order in self.store.open_orders() if order.status not in ENDED)

    def note(self, key: str) -> Decimal:
        return Decimal(self.store.note(key) or 0)

    # The lists of candidates

    def changed(self) -> bool:
        return False

    def ingest(self, unit: Unit) -> str:
        for symbol in self.symbols:
            unit.store.upsert_candidate(candidate(symbol, unit.now))
            unit.relist(symbol)
        return f"{len(self.symbols)} candidates"

    # Turning

    @property
    def _updates(self) -> int:
        return self.venue.exchange.book.account.updates

    def _answer_claims(self) -> None:
        self._take(FREE)

    def _take(self, names: Sequence[str], *local: Entry) -> None:
        batch = self.bus.read({name: self._positions[name] for name in names})
        for entry in batch:
            self._positions[entry.stream] = entry.entry_id
        self._publish(self.state.step([*batch, *local]))
        self.state.sent()

    def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        self._answered |= {item.cause for item in outgoing if isinstance(item, Answer)}
        self.bus.publish(outgoing)

    def _wait(self, seconds: float) -> None:
        self._now += seconds


def said(floor: Floor, stream: str) -> list[Message]:
    return [entry.message for entry in floor.bus.after(stream, "0-0") if entry.message is not None]
