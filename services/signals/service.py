"""Signals: folds bars, positions and candidates into verdicts and intents. Same messages in, same messages out.

Bars are queued as they come and folded when a tick says that a minute is to be decided. Each partition's minute gives
one `Decided`, also where nothing was decided. Minutes that the ledger has taken already are folded and judged all the
same, since what was confirmed must be remembered, but say nothing new: folding again is the same fold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from services.signals import position
from services.signals.boh import Window, trading_window
from services.signals.candidates import Candidates
from services.signals.levels import DailyLevels, daily_levels
from services.signals.position import Held, Minute, Step
from services.signals.regime_global import MarketRegime, market_regime
from services.signals.stops import Lows, daily_stop
from services.signals.symbol_day import SymbolDay
from services.signals.verdict import Case, Confirmed, Judgement, judge
from shared.contracts import ids
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.decisions import Decided, EntryIntent, ExitIntent, Mark, StopIntent, TrimIntent, Verdict
from shared.contracts.market import (
    BarRevised,
    Bars,
    DailyHistory,
    SessionClosed,
    SessionOpened,
    SymbolHalted,
    VolumeProfile,
)
from shared.contracts.message import Message
from shared.contracts.money import figure
from shared.contracts.outgoing import Outgoing
from shared.contracts.rules import Rules
from shared.contracts.views import AccountChanged, CandidateChanged, PartitionDecided, PositionChanged
from shared.contracts.vocabulary import StopMode
from shared.domain.bars import MINUTE, ends_a_span, minutes_after
from shared.domain.calendar import Session, phase_of

Fence = Callable[[int], int]
NO_LEVELS = DailyLevels()


class Signals:
    """The pure service. Owns some of the partitions and answers for those alone.

    partitions: how many there are. owned: those of this replica, none given: all. fence: the lease's fencing number
    of a partition.
    """

    def __init__(self, partitions: int, rules: Rules, fence: Fence, owned: Collection[int] | None = None) -> None:
        self._partitions = partitions
        self._rules = rules
        self._fence = fence
        self._owned = {
            number: _Partition(number) for number in sorted(owned if owned is not None else range(partitions))
        }
        self._open: _OpenSession | None = None
        self._levels: dict[str, DailyLevels] = {}
        self._market: tuple[dt.date, MarketRegime] | None = None
        self._profiles: dict[str, VolumeProfile] = {}
        self.revised = 0

    def handle(self, message: Message) -> Sequence[Outgoing]:
        """Take one message. Raises TypeError for one that signals does not read."""
        match message:
            case Tick():
                return self._on_tick(message)
            case Bars():
                self._on_bars(message)
            case SymbolHalted():
                self._on_halt(message)
            case CandidateChanged():
                if (part := self._part_of(message.symbol)) is not None:
                    part.candidates.tell(message)
            case PositionChanged():
                if (part := self._part_of(message.symbol)) is not None:
                    part.on_position(message)
            case PartitionDecided():
                if (part := self._owned.get(message.partition)) is not None:
                    part.on_decided(message.through)
            case SessionOpened():
                self._on_opened(message)
            case DailyHistory():
                self._on_history(message)
            case VolumeProfile():
                if self._part_of(message.symbol) is not None:
                    self._profiles[message.symbol] = message
            case BarRevised():
                self.revised += 1
            case SessionClosed() | AccountChanged():
                pass
            case _:
                raise TypeError(f"signals does not read {type(message).__name__}")
        return []

    def _part_of(self, symbol: str) -> _Partition | None:
        return self._owned.get(ids.partition_of(symbol, self._partitions))

    def _on_opened(self, message: SessionOpened) -> None:
        if self._open is not None and message.session <= self._open.day.session:
            return
        day = Session(message.session, message.opens_at, message.closes_at, message.early)
        self._open = _OpenSession(day, message.previous, trading_window(day, self._rules.breakout))
        for part in self._owned.values():
            part.new_session(message.session)

    def _on_history(self, message: DailyHistory) -> None:
        if message.symbol == self._rules.regime.symbol:
            bars = message.bars[-self._rules.levels.history :]
            if bars:
                self._market = (bars[-1].session, market_regime(bars, self._rules.regime))
        if self._part_of(message.symbol) is not None:
            self._levels[message.symbol] = daily_levels(message.bars, self._rules.levels)

    def _on_bars(self, message: Bars) -> None:
        part = self._owned.get(message.partition)
        if part is not None and self._open is not None and self._open.holds(message.at):
            part.queue.append(message)

    def _on_halt(self, message: SymbolHalted) -> None:
        part = self._owned.get(message.partition)
        if part is not None and self._open is not None:
            part.day_of(message.symbol, self._open.day, self._rules).halt(message.at, message.halted)

    def _on_tick(self, tick: Tick) -> list[Outgoing]:
        """Decide every queued minute up to the tick, and the tick's own where nothing was queued for it.

        A tick that names streams of bars covers those partitions alone; one that names none covers all.
        """
        opened = self._open
        if tick.phase is not TickPhase.DECIDE or opened is None:
            return []
        if tick.session != opened.day.session or not opened.holds(tick.at):
            return []
        named = [number for number in self._owned if f"bars:{number}" in tick.upto]
        return [
            answer for number in named or self._owned for answer in self._answers(self._owned[number], opened, tick)
        ]

    def _answers(self, part: _Partition, opened: _OpenSession, tick: Tick) -> list[Decided]:
        """What the ledger lacks, and in any case an answer for the tick's own minute: a conductor waits for it.

        A minute that the ledger has is answered empty; a tick that is given again gets the same answer again.
        """
        answers: list[Decided] = []
        for minute in part.take_queued(tick):
            decided = self._decide(part, opened, minute)
            if not part.has_taken(minute.at):
                answers.append(decided)
        if not answers or answers[-1].minute != tick.at:
            last = part.answered
            if last is None or last.minute != tick.at:
                nothing = _QueuedMinute(tick.at, (), tick.id)
                last = _decided(part.number, opened.day.session, self._fence(part.number), nothing, (), ())
            answers.append(last)
        part.answered = answers[-1]
        return answers

    def _decide(self, part: _Partition, opened: _OpenSession, minute: _QueuedMinute) -> Decided:
        """Fold the minute's bars, then judge candidates and positions."""
        day, end = opened.day, minutes_after(opened.day.opens_at, minute.at)
        for bars in minute.parts:
            for bar in bars.rows:
                part.day_of(bar.symbol, day, self._rules).add(end - 1, bar)
        part.folded = minute.at
        verdicts: list[Verdict] = []
        entries: list[EntryIntent] = []
        if ends_a_span(end, self._rules.breakout.minutes, day.minutes):
            for candidate in part.candidates.counting(day.session, minute.at):
                judgement = self._judge(part, opened, candidate, minute.at, end)
                if judgement.spends:
                    part.candidates.use(candidate.symbol, minute.at)
                verdicts.append(_verdict(candidate, judgement))
                if judgement.confirmed is not None:
                    entries.append(_entry(candidate, judgement.confirmed, day.session, minute))
        steps = [
            step
            for symbol in sorted(part.held)
            if (step := self._evaluate(part, opened, symbol, minute.at, end)) is not None
        ]
        decided = _decided(part.number, day.session, self._fence(part.number), minute, verdicts, entries)
        return _with_steps(decided, steps) if steps else decided

    def _judge(
        self, part: _Partition, opened: _OpenSession, candidate: CandidateChanged, at: dt.datetime, end: int
    ) -> Judgement:
        symbol, day = candidate.symbol, opened.day
        symbol_day = part.day_of(symbol, day, self._rules)
        symbol_day.close_through(end)
        levels = self._levels.get(symbol, NO_LEVELS)
        profile = self._profiles.get(symbol)
        held = part.held.get(symbol)
        case = Case(
            day=day,
            previous=opened.previous,
            window=opened.window,
            at=end,
            last_bar_end=symbol_day.bar_end,
            halted=symbol_day.is_halted(at),
            levels=levels,
            scan=candidate.scan,
            pair=symbol_day.pair(levels.last.close if levels.last is not None else None),
            counts_from=(part.candidates.counts_from(candidate, at) - day.opens_at) / MINUTE,
            used=part.candidates.is_used(candidate, at),
            market=self._market[1] if self._market is not None and self._market[0] == opened.previous else None,
            held=held is not None and held.entered_at < at,
            volume=symbol_day.volume,
            profile=profile if profile is not None and profile.session == day.session else None,
        )
        return judge(case, self._rules)

    def _evaluate(
        self, part: _Partition, opened: _OpenSession, symbol: str, at: dt.datetime, end: int
    ) -> tuple[float, Step] | None:
        """The position's last price and step, where this minute is its to decide and says anything about it."""
        held, symbol_day = part.held[symbol], part.days.get(symbol)
        if symbol_day is None or symbol_day.close is None or not part.is_next_for(symbol, at):
            return None
        symbol_day.close_through(end)
        minute = self._minute(held, symbol_day, opened.day, at, end)
        speaks = minute.traded or minute.breakout_close is not None or minute.closing
        if not speaks and not (self._rules.exit.end_of_day and held.stop_mode is not StopMode.EXITING):
            return None
        step = position.evaluate(held, minute, self._rules)
        part.moved(step.held, at)
        return symbol_day.close, step

    def _minute(self, held: Held, symbol_day: SymbolDay, day: Session, at: dt.datetime, end: int) -> Minute:
        assert symbol_day.close is not None
        levels = self._levels.get(held.symbol, NO_LEVELS)
        return Minute(
            at=at,
            closes_at=day.closes_at,
            price=symbol_day.close,
            traded=symbol_day.bar_end == end,
            breakout_close=symbol_day.closed_at(end),
            phase=phase_of(at, day),
            lows=Lows(
                daily=daily_stop(levels.swing_low, self._rules.stop),
                intraday=symbol_day.intraday_stop(symbol_day.close),
                since_entry=at - held.entered_at,
                bars_after_entry=symbol_day.short_bars_from((held.entered_at - day.opens_at) / MINUTE),
            ),
        )


class _OpenSession(Struct, frozen=True):
    """previous: the session before it. window: when a confirmation may come."""

    day: Session
    previous: dt.date
    window: Window

    def holds(self, minute_end: dt.datetime) -> bool:
        return self.day.opens_at < minute_end <= self.day.closes_at


class _QueuedMinute(Struct, frozen=True):
    """All that was queued for one minute of a partition; cause: the message that completed it, or the tick."""

    at: dt.datetime
    parts: tuple[Bars, ...]
    cause: str


class _Partition:
    """One partition's memory.

    folded: last minute folded. taken: last minute whose decisions the ledger has. answered: what was said last.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.queue: list[Bars] = []
        self.folded: dt.datetime | None = None
        self.taken: dt.datetime | None = None
        self.answered: Decided | None = None
        self.days: dict[str, SymbolDay] = {}
        self.candidates = Candidates()
        self.held: dict[str, Held] = {}
        self._held_through: dict[str, dt.datetime | None] = {}

    def new_session(self, session: dt.date) -> None:
        self.queue.clear()
        self.folded = None
        self.days.clear()
        self.candidates.new_session(session)

    def day_of(self, symbol: str, day: Session, rules: Rules) -> SymbolDay:
        found = self.days.get(symbol)
        if found is None:
            found = self.days[symbol] = SymbolDay(rules, day.minutes)
        return found

    def take_queued(self, tick: Tick) -> list[_QueuedMinute]:
        """Queued minutes up to the tick's, oldest first, each once; what came for a folded minute decides nothing."""
        due: dict[dt.datetime, list[Bars]] = {tick.at: []}
        later: list[Bars] = []
        for bars in self.queue:
            if bars.at <= tick.at:
                due.setdefault(bars.at, []).append(bars)
            else:
                later.append(bars)
        self.queue = later
        return [
            _QueuedMinute(at, tuple(parts), parts[-1].id if parts else tick.id)
            for at, parts in sorted(due.items())
            if self.folded is None or at > self.folded
        ]

    def has_taken(self, at: dt.datetime) -> bool:
        return self.taken is not None and at <= self.taken

    def on_decided(self, through: dt.datetime) -> None:
        self.taken = through if self.taken is None else max(self.taken, through)

    def on_position(self, told: PositionChanged) -> None:
        """The ledger's word; where it is of an earlier minute than our last, only what it alone can know."""
        symbol = told.symbol
        if told.qty == 0:
            self.held.pop(symbol, None)
            self._held_through.pop(symbol, None)
            return
        own, through = self.held.get(symbol), self._held_through.get(symbol)
        if own is None or own.position_id != told.position_id or not _is_later(through, told.decided_through):
            self.held[symbol] = position.from_ledger(told)
            self._held_through[symbol] = told.decided_through
        else:
            self.held[symbol] = position.updated(own, told)

    def is_next_for(self, symbol: str, at: dt.datetime) -> bool:
        """Whether `at` lies after the entry and after everything that is decided about the position."""
        done = (self.held[symbol].entered_at, self._held_through[symbol], self.taken)
        return all(instant is None or at > instant for instant in done)

    def moved(self, held: Held, at: dt.datetime) -> None:
        self.held[held.symbol] = held
        self._held_through[held.symbol] = at


def _is_later(own: dt.datetime | None, ledger: dt.datetime | None) -> bool:
    return own is not None and (ledger is None or own > ledger)


def _verdict(candidate: CandidateChanged, judgement: Judgement) -> Verdict:
    return Verdict(
        symbol=candidate.symbol,
        strategy=candidate.strategy,
        reason=judgement.reason,
        spends=judgement.spends,
        figures=judgement.figures,
    )


def _entry(candidate: CandidateChanged, seen: Confirmed, session: dt.date, minute: _QueuedMinute) -> EntryIntent:
    return EntryIntent(
        id=ids.intent_id(session, candidate.symbol, "entry", minute.at),
        symbol=candidate.symbol,
        strategy=candidate.strategy,
        session=session,
        confirmed_at=minute.at,
        confirm_close=seen.close,
        pivot=seen.pivot,
        r1=seen.r1,
        r2=seen.r2,
        first_stop=seen.first_stop,
        swing_low=seen.swing_low,
        scan_stop=seen.scan_stop,
        atr_pct=seen.atr_pct,
        dist_pct=seen.dist_pct,
        break_start=seen.break_start,
        hold_start=seen.hold_start,
        cause=minute.cause,
    )


def _decided(
    partition: int,
    session: dt.date,
    fence: int,
    minute: _QueuedMinute,
    verdicts: Sequence[Verdict],
    entries: Sequence[EntryIntent],
) -> Decided:
    return Decided(
        id=ids.minute_id("decided", partition, minute.at),
        at=minute.at,
        cause=minute.cause,
        partition=partition,
        minute=minute.at,
        session=session,
        fence=fence,
        verdicts=tuple(verdicts),
        entries=tuple(entries),
    )


def _with_steps(decided: Decided, steps: Sequence[tuple[float, Step]]) -> Decided:
    """What the positions want, each with its last price."""

    def name(step: Step, kind: str) -> str:
        return ids.intent_id(decided.session, step.held.symbol, kind, decided.minute)

    return replace(
        decided,
        exits=tuple(
            ExitIntent(
                id=name(step, "exit"),
                symbol=step.held.symbol,
                reason=step.leave.reason,
                price=price,
                market=step.leave.market,
                cause=decided.cause,
            )
            for price, step in steps
            if step.leave is not None
        ),
        trims=tuple(
            TrimIntent(
                id=name(step, trim.level),
                symbol=step.held.symbol,
                level=trim.level,
                fraction=trim.fraction,
                price=price,
                cause=decided.cause,
            )
            for price, step in steps
            for trim in step.trims
        ),
        stops=tuple(
            StopIntent(
                id=name(step, "stop"),
                symbol=step.held.symbol,
                stop=step.stop.stop,
                basis=step.stop.basis,
                cause=decided.cause,
            )
            for _, step in steps
            if step.stop is not None
        ),
        marks=tuple(
            Mark(
                symbol=step.held.symbol,
                position_id=step.held.position_id,
                high_water=figure(step.held.high_water),
                invalidations=step.held.invalidations,
                stop_mode=step.held.stop_mode,
                last_close=price,
                r1_marked=step.r1_marked,
                r2_marked=step.r2_marked,
            )
            for price, step in steps
        ),
    )
