"""The ledger's loop: one batch is one transaction, and what it says goes out when it is committed.

Everything that one batch causes is in its transaction: the effects, how far the streams were read, what is to be sent
and the journal. A crash anywhere repeats the batch or sends the outbox again, and every effect is keyed, so that again
is once. Nothing here does I/O but the store and the halt file that are handed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from services.state import actions, claims, commands, decisions, fills, gates, protection, reports, snapshots, views
from services.state.admission import still_wanted
from services.state.judging import Judging
from services.state.memory import Memory
from services.state.model import Order
from services.state.pace import Conducted, Free, Lists, Pace
from services.state.records import ActionRow
from services.state.session_rules import may_still_be_sent
from services.state.setup import Setup
from services.state.store import LedgerFull, Store
from services.state.unit import Unit
from shared.contracts import streams
from shared.contracts.clock import Tick
from shared.contracts.commands import Command
from shared.contracts.decisions import Decided
from shared.contracts.journal import Alert
from shared.contracts.message import Message
from shared.contracts.orders import BrokerEvent, BrokerSnapshot, ClaimRequest, ListenerConnected, OrderReport
from shared.contracts.outgoing import Outgoing
from shared.contracts.vocabulary import ActionKind, HaltLevel, OrderKind, Status
from shared.runtime import metrics
from shared.runtime.bus import Entry
from shared.runtime.crash import crash_here
from shared.runtime.halt import HaltFile
from shared.runtime.logs import about, logger
from shared.runtime.loop import dead_letter

MEMORY_STREAMS: Final = ("daily", "bars")
FULL_AGAIN_S: Final = 0.5
ORDERS: Final = {kind: metrics.ORDERS.labels(kind.value) for kind in OrderKind}


class State:
    """Steps of the ledger.

    lists: of candidates. monotonic: seconds, for machine time-outs alone. keep: told of each batch, with nothing in it
    too, when its effects are in the transaction. point: told where in a step the process is; a test may die there.
    """

    def __init__(
        self,
        store: Store,
        setup: Setup,
        halt: HaltFile,
        lists: Lists,
        monotonic: Callable[[], float],
        point: Callable[[str], None] = crash_here,
        keep: Callable[[Sequence[Entry]], None] = lambda batch: None,
    ) -> None:
        self._store = store
        self._keep = keep
        self._point = point
        self._setup = setup
        self._halt = halt
        self._lists = Guarded(lists)
        self._memory = Memory(setup.rules.breakout.minutes)
        self._since = actions.Waits(monotonic)
        self._pace: Pace = (Conducted if setup.conducted else Free)(self._memory, setup, self._lists, self._since)
        self._views = views.Views()
        self._views_known = False
        self._backlog: list[Entry] = []
        self._sent = 0
        self._unsent: list[Outgoing] = [item for _, item in store.outbox()]
        self._handed = store.outbox_end()
        self.remembers = streams.names(MEMORY_STREAMS, range(setup.partitions))
        self._follow()

    def positions(self) -> dict[str, str]:
        """Stream → id of the last entry whose effects are in the ledger."""
        return self._store.stream_positions()

    def remember(self, message: Message) -> None:
        """Take a fact of the market into memory again, after a restart."""
        self._memory.take(message)

    def step(self, entries: Sequence[Entry]) -> Sequence[Outgoing]:
        """Handle a batch in one transaction; what is returned is in the outbox until `sent` is called.

        With the disk full nothing is lost and nothing goes on: the batch stays in hand and is tried again.
        """
        batch = [*self._backlog, *entries]
        if not batch and not self._something_may_be_due():
            return self._take_unsent()
        if self._backlog and not self._since.over("ledger full", FULL_AGAIN_S):
            self._backlog = batch
            return ()
        self._point("state.after_read")
        try:
            out = self._commit(batch)
        except LedgerFull as fault:
            return self._full(batch, fault)
        self._backlog = []
        self._point("state.after_commit")
        return [*self._take_unsent(), *out]

    def _something_may_be_due(self) -> bool:
        store = self._store
        return self._pace.waits(store) or store.has_open_actions() or bool(store.note(reports.IN_DOUBT))

    def sent(self) -> None:
        """What was returned is on the bus: the next transaction drops it from the outbox."""
        self._sent = self._handed

    def _take_unsent(self) -> list[Outgoing]:
        """What an earlier process committed and perhaps did not send."""
        unsent, self._unsent = self._unsent, []
        return unsent

    def _commit(self, batch: Sequence[Entry]) -> list[Outgoing]:
        with self._store.transaction():
            self._store.drop_outbox(self._sent)
            unit = Unit(self._store)
            if not self._views_known:
                self._views.assume_told(unit)
                self._views_known = True
            self._take_halt_level(unit)
            for entry in batch:
                self._take(unit, entry)
            self._store.set_stream_positions({entry.stream: entry.entry_id for entry in batch if entry.stream})
            judging = Judging(unit, self._memory, self._setup)
            self._pace.go_on(unit, judging)
            actions.overdue(unit, self._since, self._setup.lease_s, self._setup.grace_s)
            reports.settle_doubts(unit, self._since)
            if unit.reconcile_wanted:
                actions.reconcile(unit, unit.reconcile_wanted)
            protection.measure(unit)
            self._views.tell(unit)
            unit.seal()
            self._store.put_outbox(unit.out)
            self._keep(batch)
            self._point("state.in_transaction")
        self._since.next_round()
        self._handed = self._store.outbox_end()
        if unit.touched or unit.relisted:
            self._follow()
        if unit.touched:
            self._measure(unit)
        return unit.out

    def _measure(self, unit: Unit) -> None:
        metrics.UNPROTECTED.set(protection.seconds(unit, protection.UNPROTECTED))
        metrics.OVERSOLD.set(float(self._store.note(fills.OVERSOLD) or 0))
        orders = self._store.open_orders()
        metrics.UNRESOLVED.set(sum(order.status is Status.UNRESOLVED for order in orders))
        kinds = Counter(order.kind for order in orders)
        for kind, gauge in ORDERS.items():
            gauge.set(kinds[kind])
        account = self._store.account()
        metrics.EQUITY.set(float(account.equity))
        metrics.HALT.set(list(HaltLevel).index(account.halt))
        metrics.STOPPED.set(bool(account.stopped))
        metrics.POSITIONS.set(len(self._store.list_positions()))
        metrics.FOREIGN.set(sum(item.certain for item in self._store.foreign_items()))

    def _full(self, batch: list[Entry], fault: LedgerFull) -> list[Outgoing]:
        first = not self._backlog
        self._backlog = batch
        self._views_known = False  # what was told in the transaction that failed was not told
        self._since.over("ledger full", FULL_AGAIN_S)
        if not first:
            return []
        logger().error("no room for the ledger; nothing is traded until there is", reason=str(fault))
        at = next((entry.message.at for entry in batch if entry.message is not None), None)
        if at is None:
            return []
        text = "the disk has no room for the ledger: nothing is decided or sent until there is; what rests, rests"
        return [Alert(id=f"alert-full-{at.isoformat()}", at=at, level="critical", key="ledger-full", text=text)]

    def _take_halt_level(self, unit: Unit) -> None:
        """The level in the file holds, whoever wrote it, and before anything is planned or granted."""
        level = self._halt.read()
        if level is None or level is unit.store.account().halt:
            return
        unit.journal("halt_level", f"the halt file says {level}: {views.level_text(level)}")
        commands.set_level(unit, level)

    def _take(self, unit: Unit, entry: Entry) -> None:
        message = entry.message
        if message is None:
            unit.say(dead_letter(entry, "state", entry.fault))
        elif entry.stream.partition(":")[0] in MEMORY_STREAMS:
            unit.attempt(partial(self._memory.take, message), partial(self._failed, unit, entry), writes=False)
        else:
            unit.attempt(partial(self._handle, unit, entry.stream, message), partial(self._failed, unit, entry))

    def _failed(self, unit: Unit, entry: Entry, fault: Exception) -> None:
        fields = about(entry.message) if entry.message is not None else {}
        logger().error("message failed", exc_info=fault, **fields)
        unit.say(dead_letter(entry, "state", f"{type(fault).__name__}: {fault}"))

    def _handle(self, unit: Unit, stream: str, message: Message) -> None:
        match message:
            case Tick():
                self._pace.tick(unit, message)
                return
            case ClaimRequest():
                # An entry cannot be judged before the market is known again: it is claimed again a moment later.
                if self._pace.remembers(unit) or not claims.is_for_entry(unit, message):
                    claims.answer(unit, message, self._setup, partial(self._objection, unit))
                return
            case _:
                if not unit.store.first_sight(message, stream):
                    return
        match message:
            case Decided():
                decisions.arrive(unit, message)
            case OrderReport():
                reports.on_report(unit, message)
            case BrokerEvent():
                reports.on_event(unit, message)
            case BrokerSnapshot():
                self._compare(unit, message)
            case ListenerConnected():
                unit.want_reconciliation(f"{message.listener} connected to the broker's trade updates")
            case Command():
                commands.obey(unit, message, self._setup, self._halt, self._lists.ingest)
            case _:
                raise TypeError(f"state takes no {type(message).__name__}")

    def _compare(self, unit: Unit, snapshot: BrokerSnapshot) -> None:
        """Of another account nothing is taken: its request is asked again until the account is the right one."""
        if gates.belongs(unit, snapshot.account, self._setup):
            snapshots.on_snapshot(unit, snapshot, self._setup.rules.limits)
            self._pace.hear_clock(unit, snapshot.at, snapshot.is_open)

    def _objection(self, unit: Unit, action: ActionRow, order: Order) -> str:
        """Why a claimed order is not to be sent now; empty: it is."""
        judging = Judging(unit, self._memory, self._setup)
        market = judging.market()
        if market is None or action.kind not in (ActionKind.SUBMIT, ActionKind.REPLACE):
            return claims.NO_OBJECTION
        if order.kind is not OrderKind.ENTRY:
            may = may_still_be_sent(order.kind, order.type, market, self._setup.rules)
            return claims.NO_OBJECTION if may else "its time is over"
        row = unit.store.entry_intent(order.intent)
        if row is None:
            return "no intent stands behind it"
        refused = still_wanted(row, judging.gates(market, order.symbol), self._setup.rules)
        return refused.reason if refused is not None else claims.NO_OBJECTION

    def _follow(self) -> None:
        """The symbols whose bars matter: candidates, and what is held or at work."""
        self._memory.follow(self._store.followed_symbols())


class Guarded:
    """Lists of candidates of which a fault changes nothing, and is told."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    def changed(self) -> bool:
        return self._lists.changed()

    def ingest(self, unit: Unit) -> str:
        """Take the lists in; says what came of it."""
        done = unit.attempt(partial(self._lists.ingest, unit), partial(self._failed, unit))
        return done if done is not None else "the lists of candidates could not be taken in; see the alerts"

    def _failed(self, unit: Unit, fault: Exception) -> None:
        text = f"the lists of candidates could not be taken in: {type(fault).__name__}: {fault}; those that stand stay"
        unit.alert_once("critical", "candidates", text[:500])


class BusLife:
    """What the ledger knows of the bus: which life of it is in use. On a new one everything is told again.

    keep: told of a new life when its effects are in the transaction.
    """

    def __init__(self, store: Store, keep: Callable[[str], None] = lambda run_id: None) -> None:
        self._store = store
        self._keep = keep
        self.run_id = store.note("bus_run_id")
        self.epoch = int(store.note("bus_epoch") or 0)

    def reborn(self, run_id: str) -> Sequence[Outgoing]:
        """The bus is new: forget positions, raise the epoch, and hand out views and open requests once more."""
        with self._store.transaction():
            unit = Unit(self._store)
            epoch = self.epoch + 1
            self._store.forget_stream_positions()
            self._store.set_note("bus_run_id", run_id)
            self._store.set_note("bus_epoch", str(epoch))
            unit.journal("bus_life", f"the bus is a new one ({run_id[:12]}): views and open requests are sent again")
            views.Views().everything(unit)
            for action in self._store.open_actions():
                if not action.grants:
                    actions.again(unit, action, action.reason)
            unit.seal()
            self._keep(run_id)
        self.run_id, self.epoch = run_id, epoch
        return [*(item for _, item in self._store.outbox()), *unit.out]
