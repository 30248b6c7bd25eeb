"""A session through the services with those bars alone that can matter, and ticks where something may happen.

Told are the minutes of its *eventful* symbols: those with a confirmed breakout, and those that are held or have orders
at the opening. Signals folds every minute of theirs, and judges those from the first breakout and hold on; what it says
before is known from columns. Exchange and state get a tick only

    with a request or an order at work, or where a resting stop could be reached
    where an entry falls due, or signals asks for anything
    at the first and the last minute of what is held, and where a limit on the account may be met

and of the minutes before it they are told what they would remember: the newest bar of each symbol, and all of them
while an entry waits to fall due. What the skipped ticks would have changed are marks; those come with the next one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from cli.columns.market import Columns
from cli.columns.verdicts import VerdictText, told
from cli.inprocess.engine import Engine
from services.conductor.schedule import Step
from services.market_data import batches
from services.signals.service import Signals
from services.state import money
from services.state.model import Order
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts import ids, streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.decisions import Decided
from shared.contracts.market import Bar, Bars
from shared.contracts.rules import Rules
from shared.contracts.views import CandidateChanged
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, OrderKind, Status, StopMode
from shared.domain.bars import MINUTE, ends_a_span
from shared.domain.calendar import Session

A_CENT: Final = 0.01
READ: Final = ("daily", "candidates", "positions")


class Mispredicted(RuntimeError):
    """A tick that was thought to change nothing did: a fault of this file, never to be passed over."""


class Watch(Struct, kw_only=True):
    """What may happen next, by the ledger after its last tick.

    busy: something is at work. stops: symbol → price of its resting stop. held: symbol → shares. cash, and the peak
    and opening equity: dollars.
    """

    busy: bool = False
    stops: dict[str, float] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    due: dt.datetime | None = None
    cash: float = 0.0
    peak: float = 0.0
    opening: float = 0.0


class _Tools(Struct, kw_only=True):
    """What lasts over the sessions. read: how far signals has read the bus. closes: last one-minute closes, dollars."""

    engine: Engine
    store: Store
    columns: Columns
    rules: Rules
    partitions: int
    signals: Signals
    read: dict[str, str]
    closes: dict[str, float] = field(default_factory=dict)


class Sparse:
    """Plays sessions on `engine`. It has signals of its own, which hears of eventful symbols alone."""

    def __init__(self, engine: Engine, store: Store, columns: Columns, rules: Rules, partitions: int) -> None:
        self._store = store
        self._tools = _Tools(
            engine=engine,
            store=store,
            columns=columns,
            rules=rules,
            partitions=partitions,
            signals=Signals(partitions, rules, lambda partition: 1),
            read=dict.fromkeys(streams.names(READ, range(partitions)), "0"),
        )

    def active(self) -> set[str]:
        """Symbols that are held or have open orders."""
        held = {position.symbol for position in self._store.list_positions()}
        return held | {order.symbol for order in self._store.open_orders()}

    def play(self, day: Session, eventful: Mapping[str, int], candidates: Collection[str]) -> list[VerdictText]:
        """One session; returns verdicts that are still to be written down, with which nothing else is to be done.

        eventful: symbol → the minute after the opening from which signals judges it, 0: all of them. candidates: all of
        them: their bars say that the feed lives.

        Raises Mispredicted and NotSettling.
        """
        return _Day(self._tools, day, eventful, sorted(set(candidates) - set(eventful))).play()


class _Day:
    """One session on its way; minutes are numbered by their ends, from 1.

    firsts: minute → symbols that signals judges from then on. waiting: symbol → its candidates, kept from signals until
    then. judged: partitions of those that it judges. others: candidates without an event. newest: symbol → its last
    minute with a bar. told: the last minute that exchange and state know of. news: state may have said something.
    marks: partition → decisions that only mark, which state has not got yet. highest: the closes at the highest equity
    since the last tick.
    """

    def __init__(self, tools: _Tools, day: Session, eventful: Mapping[str, int], others: list[str]) -> None:
        self._tools = tools
        self._day = day
        self._symbols = sorted(eventful)
        self._others = others
        self._firsts: dict[int, list[str]] = {}
        self._waiting: dict[str, list[CandidateChanged]] = {}
        for symbol in self._symbols:
            if eventful[symbol] > 0:
                self._firsts.setdefault(eventful[symbol], []).append(symbol)
                self._waiting[symbol] = []
        self._parts = self._parts_of(self._symbols)
        self._judged = self._parts_of(set(self._symbols) - self._waiting.keys())
        self._bars = _by_minute(tools.columns, day, self._symbols)
        self._watch = Watch()
        self._marks: dict[int, Decided] = {}
        self._verdicts: list[VerdictText] = []
        self._highest: dict[str, float] | None = None
        self._newest: dict[str, int] = {}
        self._told = 0
        self._news = True

    def play(self) -> list[VerdictText]:
        self._open()
        for minute in range(1, self._day.minutes + 1):
            self._minute(minute)
        self._close()
        return self._verdicts

    def _open(self) -> None:
        day, bus = self._day, self._tools.engine.bus
        bus.publish([batches.opened(day)])
        self._give("exchange", day.opens_at, TickPhase.OPEN)
        self._give("state", day.opens_at, TickPhase.INGEST)
        index = self._tools.rules.regime.symbol
        for symbol in dict.fromkeys((*self._symbols, index)):
            known = self._tools.columns.history(day, symbol, profile=symbol in self._symbols)
            bus.publish(batches.history(day, symbol, known))
        self._hear()
        self._look(day.opens_at)

    def _minute(self, minute: int) -> None:
        at = self._day.opens_at + minute * MINUTE
        rows = self._bars.get(minute - 1, [])
        self._judge_from(minute)
        must = self._must_tick(minute, at, rows)
        if must and self._marks:  # they must be in the ledger before something is filled
            self._act(minute - 1, at - MINUTE)
        for bar in rows:
            self._newest[bar.symbol] = minute
        for bars in self._batches(minute, at, rows):
            self._tools.signals.handle(bars)
        if self._watch.due is not None:
            self._tell(minute)  # what closes before it is due may speak against it
        if must:
            self._match(minute, at)
        asks = self._decide(minute, at)
        if asks and not must:
            self._match(minute, at, quiet=True)
        if asks or must:
            self._act(minute, at)

    def _judge_from(self, minute: int) -> None:
        """Candidates whose first confirmation may come now are no longer kept from signals."""
        for symbol in self._firsts.get(minute, ()):
            for candidate in self._waiting.pop(symbol):
                self._tools.signals.handle(candidate)
            self._judged = self._parts_of(set(self._symbols) - self._waiting.keys())

    def _parts_of(self, symbols: Iterable[str]) -> list[int]:
        return sorted({ids.partition_of(symbol, self._tools.partitions) for symbol in symbols})

    def _speaking(self, minute: int) -> list[int]:
        """Partitions of which signals may have something to say; their other minutes are folded with the next."""
        folding = self._firsts.get(minute + 1, ())  # what came until then is folded before the candidates are known
        if self._watch.busy or ends_a_span(minute, self._tools.rules.breakout.minutes, self._day.minutes):
            return sorted({*self._judged, *self._parts_of(folding)})
        return self._parts_of([*self._watch.held, *folding])

    def _close(self) -> None:
        self._act(self._day.minutes, self._day.closes_at)
        self._tools.engine.bus.publish([batches.closed(self._day)])
        self._give("exchange", self._day.closes_at, TickPhase.EXPIRE)
        self._give("state", self._day.closes_at, TickPhase.SETTLE)
        self._hear()
        self._tools.engine.bus.forget()

    def _must_tick(self, minute: int, at: dt.datetime, rows: Sequence[Bar]) -> bool:
        """Whether exchange and state may have something to do in this minute, whatever signals decides."""
        watch = self._watch
        for bar in rows:
            self._tools.closes[bar.symbol] = bar.close
        if watch.busy or (watch.due is not None and watch.due <= at):
            return True
        if watch.held and minute in (1, self._day.minutes):
            return True
        if any(bar.low <= watch.stops.get(bar.symbol, 0.0) for bar in rows):
            return True
        return bool(watch.held) and self._account_matters()

    def _account_matters(self) -> bool:
        """Whether a limit on the account may be met; a new peak of its equity is kept for the next tick."""
        watch, closes = self._watch, self._tools.closes
        equity = watch.cash + sum(qty * closes[symbol] for symbol, qty in watch.held.items())
        if equity > watch.peak:
            watch.peak = equity
            self._highest = {symbol: closes[symbol] for symbol in watch.held}
        limits = self._tools.rules.limits
        floor = max(watch.peak * (1 - limits.drawdown), watch.opening * (1 - limits.daily_loss))
        return equity <= floor + A_CENT

    def _tell(self, minute: int) -> None:
        """What exchange and state know of the market by the end of `minute`: the newest bar of each eventful symbol.

        Where none of them traded, the other candidates say that the feed is not silent.
        """
        wanted = {newest for newest in self._newest.values() if newest > self._told} | {minute}
        alive = minute
        while alive > self._told and not self._rows_of(alive):
            alive -= 1
        wanted.add(alive)
        for number in sorted(wanted):
            if number > self._told:
                at = self._day.opens_at + number * MINUTE
                self._tools.engine.bus.publish(self._batches(number, at, self._rows_of(number)))
        self._told = minute

    def _rows_of(self, minute: int) -> list[Bar]:
        others = self._tools.columns.minute
        return self._bars.get(minute - 1) or others(self._day.session, self._others, minute - 1)

    def _batches(self, minute: int, at: dt.datetime, rows: Sequence[Bar]) -> Iterator[Bars]:
        by_part: dict[int, list[Bar]] = {part: [] for part in self._parts}
        for bar in rows:
            by_part.setdefault(ids.partition_of(bar.symbol, self._tools.partitions), []).append(bar)
        for part in sorted(by_part):
            name = ids.minute_id("bars", part, at)
            yield Bars(id=name, at=at, partition=part, minute=at - MINUTE, rows=tuple(by_part[part]))

    def _match(self, minute: int, at: dt.datetime, *, quiet: bool = False) -> None:
        """quiet: nothing is expected to fill; raises Mispredicted where something does."""
        self._tell(minute)
        self._raise_peak()
        before = self._updates()
        self._give("exchange", at, TickPhase.MATCH)
        if self._updates() == before and not self._watch.busy:
            return  # there is nothing to fold, and nothing to plan that is not planned with the decisions
        if quiet:
            raise Mispredicted(f"{at}: the exchange did something at a minute that was thought quiet")
        self._give("state", at, TickPhase.FOLD)

    def _updates(self) -> int:
        """How many trade updates the exchange has told so far."""
        return self._tools.engine.venue.exchange.book.account.updates

    def _act(self, minute: int, at: dt.datetime) -> None:
        self._tell(minute)
        self._tools.engine.bus.publish(self._marks.values())
        self._marks.clear()
        self._give("state", at, TickPhase.ACT)
        self._look(at)

    def _decide(self, minute: int, at: dt.datetime) -> bool:
        """Let signals judge all minutes up to this; whether it asks for anything. What only tells or marks waits."""
        named = {f"bars:{part}": "" for part in self._speaking(minute)}
        if not named:
            return False
        if self._news:
            self._hear()
        tick = Tick(
            id=f"tick-{at:%y%m%dT%H%M}-decide", at=at, session=self._day.session, phase=TickPhase.DECIDE, upto=named
        )
        asks = False
        for decided in self._tools.signals.handle(tick):
            assert isinstance(decided, Decided)
            if _asks(decided):
                asks = True
                self._tools.engine.bus.publish([decided])
                continue
            if decided.verdicts:
                self._verdicts += told(decided)
            if decided.marks:
                self._marks[decided.partition] = replace(decided, verdicts=())
        return asks

    def _hear(self) -> None:
        """What state told since; of candidates that are not eventful signals must not know, it has no bars of them."""
        tools, self._news = self._tools, False
        for entry in tools.engine.bus.read(tools.read):
            tools.read[entry.stream] = entry.entry_id
            match entry.message:
                case CandidateChanged(symbol=symbol) as candidate if symbol in self._waiting:
                    self._waiting[symbol].append(candidate)
                case CandidateChanged(symbol=symbol) if symbol not in self._symbols:
                    pass
                case None:
                    pass
                case message:
                    tools.signals.handle(message)

    def _raise_peak(self) -> None:
        """Mark the account at the highest closes since the last tick."""
        if self._highest is None:
            return
        store = self._tools.store
        with store.transaction():
            unit = Unit(store)
            money.marked(unit, self._tools.rules.limits, self._highest)
            unit.seal()
        self._highest = None

    def _give(self, name: str, at: dt.datetime, phase: TickPhase) -> None:
        self._news = True
        self._tools.engine.give_to(name, self._day, Step(at, phase))

    def _look(self, at: dt.datetime) -> None:
        """Read out of the ledger what may happen next."""
        store = self._tools.store
        positions, orders = store.list_positions(), store.open_orders()
        account = store.account()
        renewal = dt.timedelta(days=self._tools.rules.protection.renew_before_days)
        resting = [order for order in orders if _only_rests(order, at + renewal)]
        covered: dict[str, int] = {}
        for order in resting:
            covered[order.symbol] = covered.get(order.symbol, 0) + order.qty
        held = {position.symbol: position.qty for position in positions}
        self._watch = Watch(
            busy=len(resting) < len(orders)
            or covered != held
            or len(held) < len(positions)
            or store.has_open_actions()
            or any(position.stop_mode is StopMode.EXITING for position in positions)
            or any(store.open_exit_intents(symbol) for symbol in held),
            stops={order.symbol: float(order.stop_price) for order in resting if order.stop_price is not None},
            held=held,
            due=store.next_due(),
            cash=float(account.cash),
            peak=float(account.peak_equity),
            opening=float(account.opening_equity),
        )


def _by_minute(columns: Columns, day: Session, symbols: Collection[str]) -> dict[int, list[Bar]]:
    found: dict[int, list[Bar]] = {}
    for symbol in symbols:
        for minute, bar in columns.bars(symbol, day.session):
            found.setdefault(minute, []).append(bar)
    return found


def _asks(decided: Decided) -> bool:
    """Whether state has more to do with it than to write it down."""
    if decided.entries or decided.exits or decided.trims or decided.stops:
        return True
    if any(mark.r1_marked or mark.r2_marked or mark.stop_mode is StopMode.EXITING for mark in decided.marks):
        return True
    return any(verdict.reason not in NOT_A_CONFIRMATION for verdict in decided.verdicts)


def _only_rests(order: Order, renewed_by: dt.datetime) -> bool:
    """A stop that waits for its price, and for nothing else."""
    return (
        order.kind is OrderKind.STOP
        and order.resting
        and order.status is Status.ACCEPTED
        and not order.filled_qty
        and not order.in_flight
        and (order.expires_at is None or order.expires_at > renewed_by)
    )
