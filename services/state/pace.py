"""Who gives trading time: the wall clock, second by second, or the conductor, phase by phase.

Both do the same things in the same order with the same functions. The conducted pace waits for the end of each thing,
and keeps where it is in the ledger, so that a process killed in the middle of a tick goes on and answers it.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Protocol

import msgspec

from services.state import actions, clocks, decisions, money, numbers, sessions, snapshots, working
from services.state.judging import Judging
from services.state.memory import Memory
from services.state.setup import Setup
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts.clock import Folded, Settled, Tick, TickPhase
from shared.contracts.market import SessionOpened

MINUTE: Final = dt.timedelta(minutes=1)
GAP_S: Final = 2.0
"""Seconds of machine time after which trade updates that were announced and did not come are asked for."""
RELIST_EVERY: Final = dt.timedelta(seconds=15)
"""How often, at most, the lists of candidates are looked at for changes."""


class Lists(Protocol):
    """The lists of candidates. changed: since they were last taken in. ingest: takes them in, says what came of it."""

    def changed(self) -> bool: ...

    def ingest(self, unit: Unit) -> str: ...


class Pace(Protocol):
    def remembers(self, unit: Unit) -> bool:
        """Whether the market is remembered as far as the ledger has decisions; not so at first on a new bus."""

    def tick(self, unit: Unit, tick: Tick) -> None:
        """Take a tick."""

    def hear_clock(self, unit: Unit, at: dt.datetime, is_open: bool | None) -> None:
        """The broker's clock said `at`, and whether the market is open; None: it did not say."""

    def waits(self, store: Store) -> bool:
        """Whether there may be something to do though nothing arrived."""

    def go_on(self, unit: Unit, judging: Judging) -> None:
        """Do what can be done now, at the end of a batch."""


class Free:
    """The wall clock: a local tick each second; in between, what arrives is worked at once."""

    def __init__(self, memory: Memory, setup: Setup, lists: Lists, since: actions.Waits) -> None:
        self._memory = memory
        self._setup = setup
        self._lists = lists
        self._since = since
        self._remembers = False

    def remembers(self, unit: Unit) -> bool:
        self._remembers = self._remembers or self._memory.reaches(unit.store.partitions_decided())
        return self._remembers

    def tick(self, unit: Unit, tick: Tick) -> None:
        before = unit.now
        unit.advance(tick.at)
        opened = self._memory.session
        if opened is not None and not sessions.begun(unit, opened):
            sessions.roll(unit, opened)
            unit.want_reconciliation("session opening")
            unit.store.set_note("ingested", "")
        if opened is not None and unit.store.note("ingested") != str(opened.session):
            self._lists.ingest(unit)
            unit.store.set_note("ingested", str(opened.session))
        elif opened is not None and _crossed(before, unit.now, RELIST_EVERY) and self._lists.changed():
            self._lists.ingest(unit)
        sessions.expire_candidates(unit)
        if opened is not None and unit.now >= opened.closes_at:
            sessions.close(unit)
        if _crossed(before, unit.now, MINUTE):
            actions.reconcile(unit, snapshots.EACH_MINUTE)
        for symbol in unit.store.active_symbols():
            unit.touch(symbol)

    def hear_clock(self, unit: Unit, at: dt.datetime, is_open: bool | None) -> None:
        clocks.compare(unit, at)
        clocks.compare_hours(unit, at, is_open)

    def waits(self, store: Store) -> bool:
        return False

    def go_on(self, unit: Unit, judging: Judging) -> None:
        decisions.take(unit, self._setup)
        mark(unit, judging, self._setup)
        if snapshots.reconciled(unit) and self.remembers(unit):
            working.admit_due(unit, judging, self._setup)
        if numbers.outstanding(unit) and self._since.again("events", GAP_S):
            unit.want_reconciliation("trade updates are missing")
        for symbol in sorted(unit.touched & set(unit.store.active_symbols())):
            working.work(unit, judging, self._setup, symbol)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """The tick in hand, as the ledger keeps it. begun: what is done once at its beginning is done.

    epoch: the bus's life in which it was given. On another one nothing goes on before it is given again: what it
    covers, the minute's bars above all, has to be remembered first.
    """

    tick: str
    phase: TickPhase
    at: dt.datetime
    session: dt.date
    epoch: str = ""
    begun: bool = False


OURS: Final = {
    TickPhase.INGEST: Settled,
    TickPhase.FOLD: Folded,
    TickPhase.ACT: Settled,
    TickPhase.SETTLE: Settled,
}
_PHASES: Final = list(TickPhase)
_STAGE: Final = msgspec.json.Decoder(Stage)
_IN_HAND: Final = "tick"
_LAST_DONE: Final = "tick_done"


class Conducted:
    """The conductor's ticks: each is answered when nothing is left to do at it."""

    def __init__(self, memory: Memory, setup: Setup, lists: Lists, since: actions.Waits) -> None:
        self._memory = memory
        self._setup = setup
        self._lists = lists
        self._since = since

    def remembers(self, unit: Unit) -> bool:
        stage = _in_hand(unit)
        return stage is None or stage.epoch == _epoch(unit)

    def tick(self, unit: Unit, tick: Tick) -> None:
        if tick.phase not in OURS:
            return
        epoch = _epoch(unit)
        stage = Stage(tick=tick.id, phase=tick.phase, at=tick.at, session=tick.session, epoch=epoch)
        if _place(stage) <= _last_done(unit):
            answer(unit, stage)  # the conductor asks again after a restart of its own, or on a new bus
            return
        in_hand = _in_hand(unit)
        if in_hand is not None and _place(in_hand) >= _place(stage):
            if in_hand.tick == stage.tick:
                _keep(unit, msgspec.structs.replace(in_hand, epoch=epoch))
            return
        if tick.phase in (TickPhase.FOLD, TickPhase.SETTLE):
            numbers.wait_for(unit, tick.events)
        unit.advance(tick.at)
        _keep(unit, stage)

    def hear_clock(self, unit: Unit, at: dt.datetime, is_open: bool | None) -> None:
        """The conductor's time is the only one."""

    def waits(self, store: Store) -> bool:
        return bool(store.note(_IN_HAND))

    def go_on(self, unit: Unit, judging: Judging) -> None:
        stage = _in_hand(unit)
        if stage is None or not self.remembers(unit):
            return
        opening = stage.phase is TickPhase.INGEST and not stage.begun
        if not opening and not self._all_folded(unit):
            return
        if not stage.begun and not self._begin(unit, judging, stage):
            return
        planned = [working.work(unit, judging, self._setup, symbol) for symbol in unit.store.active_symbols()]
        if any(planned) or unit.reconcile_wanted or unit.store.has_open_actions():
            return
        mark(unit, judging, self._setup)
        if stage.phase is TickPhase.SETTLE:
            sessions.close(unit)
        unit.store.set_note(_IN_HAND, "")
        unit.store.set_note(_LAST_DONE, f"{stage.at.isoformat()} {_PHASES.index(stage.phase):02d}")
        answer(unit, stage)

    def _all_folded(self, unit: Unit) -> bool:
        """Whether everything the broker is known to have said is in the ledger, and the two were compared."""
        if numbers.outstanding(unit):
            if self._since.again("events", GAP_S):
                unit.want_reconciliation("trade updates are missing")
            return False
        if not snapshots.reconciled(unit):
            actions.reconcile(unit, snapshots.AT_START)
            return False
        return True

    def _begin(self, unit: Unit, judging: Judging, stage: Stage) -> bool:
        """What is done once at the beginning of a tick; False where it has to wait."""
        match stage.phase:
            case TickPhase.INGEST:
                if not self._open(unit, stage):
                    return False
            case TickPhase.ACT:
                sessions.expire_candidates(unit)
                decisions.take(unit, self._setup, stage.at)
                mark(unit, judging, self._setup)
                working.admit_due(unit, judging, self._setup)
            case _:
                pass
        _keep(unit, msgspec.structs.replace(stage, begun=True))
        return True

    def _open(self, unit: Unit, stage: Stage) -> bool:
        """Roll the session and ingest candidates, then read the account, and which of them the broker trades."""
        opened = self._memory.session
        if opened is None or opened.session != stage.session:
            unit.alert_once("critical", "session", f"{stage.tick}: market data did not open {stage.session} on `daily`")
            return False
        if not sessions.begun(unit, opened):
            sessions.roll(unit, opened)
            self._lists.ingest(unit)
        if _opening_equity_missing(unit, opened):
            if self._since.again("opening", GAP_S, at_once=True):
                actions.reconcile(unit, "session opening")
            return False
        return True


def mark(unit: Unit, judging: Judging, setup: Setup) -> None:
    """The account at the last closes."""
    held = [position.symbol for position in unit.store.list_positions()]
    money.marked(unit, setup.rules.limits, judging.last_closes(held))


def answer(unit: Unit, stage: Stage) -> None:
    """Tell the conductor that its tick is done; the same tick is always answered by the same message."""
    unit.say(OURS[stage.phase](id=f"{stage.tick}-state", at=stage.at, cause=stage.tick, service="state"))


def _opening_equity_missing(unit: Unit, opened: SessionOpened) -> bool:
    session = unit.store.session(opened.session)
    return session is None or session.opening_equity is None


def _in_hand(unit: Unit) -> Stage | None:
    text = unit.store.note(_IN_HAND)
    return _STAGE.decode(text) if text else None


def _keep(unit: Unit, stage: Stage) -> None:
    unit.store.set_note(_IN_HAND, msgspec.json.encode(stage).decode())


def _epoch(unit: Unit) -> str:
    """The bus's life by the ledger's count."""
    return unit.store.note("bus_epoch")


def _last_done(unit: Unit) -> str:
    return unit.store.note(_LAST_DONE)


def _place(stage: Stage) -> str:
    return f"{stage.at.isoformat()} {_PHASES.index(stage.phase):02d}"


def _crossed(before: dt.datetime, now: dt.datetime, every: dt.timedelta) -> bool:
    """Whether a multiple of `every` lies in (before, now]."""
    start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (now - start) // every > (before - start) // every
