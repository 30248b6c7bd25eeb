"""Errors that somebody could make, one by one planted into the running engine: what the auditor is worth.

Each changes one rule of one part, by replacing a function of it for the length of a test. `found_by` names what must
tell it; `seeds` is within how many seeds it must be told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from cli.simulation import world
from cli.simulation.faults import MACHINES
from services.executor import fate, snapshot, work
from services.executor.fate import Happened, Verb
from services.signals import service as signals
from services.state import actions, admission, fills, numbers, planning, reports, snapshots, store, views, working
from services.state.model import Order
from services.state.records import ActionStatus
from services.state.scene import Scene
from services.state.service import State
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts import ids
from shared.contracts.vocabulary import OrderKind, Outcome, Reason
from shared.domain.order_life import Event

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(Struct, frozen=True):
    """name: what is wrong. plant: makes it so. found_by: invariants, of which one must tell. seeds: at most so many.

    points: where the seeds' faults are drawn; an error in a rare corner would need many seeds of all points.
    """

    name: str
    plant: Plant
    found_by: frozenset[str]
    seeds: int
    points: tuple[str, ...]


BUGS: list[Bug] = []


def bug(name: str, found_by: str, seeds: int = 3, points: Sequence[str] = MACHINES) -> Callable[[Plant], Plant]:
    """Enter a bug into the table."""

    def enter(plant: Plant) -> Plant:
        BUGS.append(Bug(name, plant, frozenset(found_by.split()), seeds, tuple(points)))
        return plant

    return enter


# The ledger


@bug("a fill is booked again whenever it is told again", "A3 A4 A5")
def _(patch: pytest.MonkeyPatch) -> None:
    once = Store.book_fill
    patch.setattr(Store, "book_fill", lambda self, fill: once(self, fill) or True)


@bug("a fill moves cash by the order's limit", "A3")
def _(patch: pytest.MonkeyPatch) -> None:
    real = fills._move_cash
    patch.setattr(fills, "_move_cash", lambda unit, row: real(unit, replace(row, price=row.price + Decimal("0.01"))))


@bug("a position forgets its last sale", "A4")
def _(patch: pytest.MonkeyPatch) -> None:
    real = fills._changed

    def changed(before: Any, holding: Any) -> Any:
        return replace(real(before, holding), sold=before.sold, qty=before.qty)

    patch.setattr(fills, "_changed", changed)


@bug("the stop leg of an entry is not taken in", "A2 A6")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reports, "see_leg", lambda *_: None)


@bug("fills do not stand in the journal", "A10")
def _(patch: pytest.MonkeyPatch) -> None:
    real = Unit.journal

    def journal(self: Unit, kind: str, text: str, **more: Any) -> None:
        if kind != "fill":
            real(self, kind, text, **more)

    patch.setattr(Unit, "journal", journal)


@bug("verdicts of one symbol are lost", "A10")
def _(patch: pytest.MonkeyPatch) -> None:
    real = Store.put_verdicts
    patch.setattr(Store, "put_verdicts", lambda self, rows: real(self, [row for row in rows if row.symbol != "CYNT"]))


@bug("stream positions are kept before the effects", "A10 A11 A12")
def _(patch: pytest.MonkeyPatch) -> None:
    real = State._commit

    def commit(self: State, batch: Sequence[Any]) -> Any:
        with self._store.transaction():
            self._store.set_stream_positions({entry.stream: entry.entry_id for entry in batch if entry.stream})
        return real(self, batch)

    patch.setattr(State, "_commit", commit)


@bug("what is said goes out before it is committed", "A2 A9 A11 A12 dead", seeds=6, points=("state.in_transaction",))
def _(patch: pytest.MonkeyPatch) -> None:
    real = Store.put_outbox

    def put_outbox(self: Store, outgoing: Any) -> None:
        items = list(outgoing)
        real(self, items)
        if world.RUNNING is not None:
            world.RUNNING.bus.publish(items, world.RUNNING.bus.epoch)

    patch.setattr(Store, "put_outbox", put_outbox)


@bug("what was committed and not sent is forgotten at the start", "A10 A11 A12", seeds=5)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "outbox", lambda self: [])


@bug("commits are not synced", "A2 A3 A4 A9 A11 A12", seeds=6, points=("state.in_transaction", "state.after_commit"))
def _(patch: pytest.MonkeyPatch) -> None:
    real = store._configured

    def configured(database: Any) -> Any:
        real(database).execute("PRAGMA synchronous = OFF")
        return database

    patch.setattr(store, "_configured", configured)


@bug("what the broker shows is told anew at every comparison", "A12")
def _(patch: pytest.MonkeyPatch) -> None:
    real = snapshots._orders

    def orders(unit: Unit, seen: Any, at: dt.datetime) -> None:
        real(unit, seen, at)
        unit.journal("orders_seen", f"the broker shows {len(seen)} orders")

    patch.setattr(snapshots, "_orders", orders)


# Claims and fates


@bug("a grant is not written down", "A9")
def _(patch: pytest.MonkeyPatch) -> None:
    real = actions.set_status

    def set_status(unit: Unit, name: str, event: Event) -> Order | None:
        return None if event is Event.CLAIM else real(unit, name, event)

    patch.setattr(actions, "set_status", set_status)


@bug("an executor acts before it has asked", "A9 A11 A12", seeds=5)
def _(patch: pytest.MonkeyPatch) -> None:
    """It sends what it was woken for, as the ledger has it, and asks afterwards."""
    real = work.Executor.perform

    def perform(self: work.Executor, wanted: list[str], attempts: list[int]) -> None:
        running = world.RUNNING
        assert running is not None
        for name in wanted:
            order = running.store.order(name)
            if order is not None:
                self._broker.submit(actions.terms(order))
        real(self, wanted, attempts)

    patch.setattr(work.Executor, "perform", perform)


@bug("a time-out counts as a refusal", "A2 A5 A11 A12", seeds=5)
def _(patch: pytest.MonkeyPatch) -> None:
    lost = (Happened.READ_TIMEOUT, Happened.BROKEN, Happened.CUT, Happened.GARBLED)
    changed = dict(fate.FATE)
    for verb in (Verb.SUBMIT, Verb.REPLACE, Verb.CANCEL):
        changed |= {(verb, happened): Outcome.REFUSED for happened in lost}
    patch.setattr(fate, "FATE", changed)
    patch.setattr(work.Executor, "_find", lambda self, terms: work.Result(outcome=Outcome.UNKNOWN))


@bug("after a time-out it is sent again under a new id", "A1 A2", seeds=5)
def _(patch: pytest.MonkeyPatch) -> None:
    real = work.Executor._submit

    def submit(self: work.Executor, claimed: work.Claimed) -> work.Result:
        if claimed.reply.look_up_first and claimed.action.terms is not None:
            terms = replace(claimed.action.terms, client_order_id=f"{claimed.action.terms.client_order_id}b")
            answer = self._broker.submit(terms)
            return self._created(Verb.SUBMIT, terms, answer)
        return real(self, claimed)

    patch.setattr(work.Executor, "_submit", submit)


@bug("one look-up that finds nothing proves that there is nothing", "A2 A5 A9 A11", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    def overdue(unit: Unit, waits: Any, lease_s: float, grace_s: float) -> None:
        for action in unit.store.open_actions():
            if action.status is ActionStatus.UNRESOLVED:
                actions._absent(unit, action)
        real(unit, waits, lease_s, grace_s)

    real = actions.overdue
    patch.setattr(actions, "overdue", overdue)


@bug("a lease never ends", "A12", seeds=5)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actions, "_lease_over", lambda unit, action: None)


@bug("a wake-up that was lost is not repeated", "A12", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actions, "RETRY_S", (1e9,))


@bug("trade updates that were lost are not asked for", "A2 A3 A5 A6 A11 A12", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(numbers, "outstanding", lambda unit: False)


@bug(
    "a list that could not be read counts as empty",
    "A2 A3 A4 A6 A11 A12",
    seeds=6,
    points=("broker.list", "wire.update"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    real = snapshot._list
    patch.setattr(snapshot, "_list", lambda answer, parse, dropped: real(answer, parse, dropped) or ())


# Planning


@bug("the id of an order holds its quantity", "A6 A11 A12")
def _(patch: pytest.MonkeyPatch) -> None:
    real = working._new_order

    def new_order(unit: Unit, symbol: str, market: Any, step: Any) -> Order:
        order = real(unit, symbol, market, step)
        return replace(order, client_order_id=f"{order.client_order_id}q{order.qty}")

    patch.setattr(working, "_new_order", new_order)


@bug("a stop is cancelled and the sale sent without waiting", "A5")
def _(patch: pytest.MonkeyPatch) -> None:
    real = planning._cancel

    def cancel(scene: Scene, order: Order, why: str, *, alert: bool = False) -> Any:
        if order.kind is not OrderKind.STOP or not why.startswith("leaving"):
            return real(scene, order, why, alert=alert)
        return planning._sell(scene, OrderKind.EXIT, scene.qty, None, intent="", cause=order.cause, why=why)

    patch.setattr(planning, "_cancel", cancel)


@bug("the stop is not made smaller before a trim is sold", "A5")
def _(patch: pytest.MonkeyPatch) -> None:
    real = planning._fit_stop
    patch.setattr(planning, "_fit_stop", lambda scene, shares, cause="": real(scene, scene.qty, cause))
    patch.setattr(planning, "_stop_fits", lambda scene, shares: True)


@bug("a trim sells more than the stop was made smaller by", "A5")
def _(patch: pytest.MonkeyPatch) -> None:
    real = planning._trim

    def trim(scene: Scene, row: Any, salt: str) -> Any:
        return replace(real(scene, row, salt), qty=scene.qty)

    patch.setattr(planning, "_trim", trim)


@bug("what was bought of an entry that is cut short gets no stop", "A6", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planning, "_new_stop", lambda scene, shares, cause: None)


@bug("an entry that is partly filled is left to fill", "A6", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planning, "_filled_since", lambda scene, entry: dt.datetime.max.replace(tzinfo=dt.UTC))


@bug("every ten minutes the stop is set a little lower", "A8")
def _(patch: pytest.MonkeyPatch) -> None:
    real = planning._stop_price

    def stop_price(scene: Scene, stop: Order) -> Decimal:
        price = real(scene, stop)
        return price - Decimal("0.05") if scene.now.minute % 10 == 0 else price

    patch.setattr(planning, "_stop_price", stop_price)


@bug("an exit cancels the stop and sells nothing", "A6 A12")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planning, "_sell_rest", lambda scene: None)


# Limits


@bug("the number of positions has no limit", "A7", seeds=8)
def _(patch: pytest.MonkeyPatch) -> None:
    kept = tuple(check for check in admission.CHECKS if check.reason is not Reason.MAX_POSITIONS)
    patch.setattr(admission, "CHECKS", kept)


@bug("an entry is ten times too large", "A7")
def _(patch: pytest.MonkeyPatch) -> None:
    real = admission.planned_entry
    patch.setattr(working, "planned_entry", lambda row, verdict: replace(real(row, verdict), qty=10 * verdict.shares))


@bug("a symbol may be bought again and again", "A1 A11", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    free = (Reason.COOLDOWN, Reason.EXISTING_ORDER, Reason.EXISTING_POSITION)
    kept = tuple(check for check in admission.CHECKS if check.reason not in free)
    patch.setattr(admission, "CHECKS", kept)
    real = working._admitted

    def admitted(unit: Unit, row: Any, verdict: Any, market: Any) -> None:
        real(unit, row, verdict, market)
        order = working._new_order(unit, row.symbol, market, admission.planned_entry(row, verdict))
        actions.submit(unit, order)

    patch.setattr(working, "_admitted", admitted)


# Signals and views


@bug("after a restart signals know no position", "A11", seeds=6)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(views.Views, "_position", _only_the_first_time(views.Views._position))


@bug("a minute is decided anew after every restart", "A8 A11 A12", seeds=8)
def _(patch: pytest.MonkeyPatch) -> None:
    """Ids are drawn, and nobody remembers what was taken."""
    count = iter(range(1_000_000))
    patch.setattr(ids, "intent_id", lambda session, symbol, kind, at: f"{symbol}-{kind}-{next(count)}")
    patch.setattr(signals._Partition, "has_taken", lambda self, at: False)
    patch.setattr(signals._Partition, "is_next_for", lambda self, symbol, at: True)
    patch.setattr(Store, "decided_through", lambda self, partition: None)


def _only_the_first_time(told: Callable[..., None]) -> Callable[..., None]:
    def once(self: Any, unit: Unit, symbol: str) -> None:
        if int(unit.store.note("bus_epoch") or 0) <= 1:
            told(self, unit, symbol)

    return once
