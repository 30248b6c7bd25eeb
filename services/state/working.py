"""Puts plans to work: due entries are judged, symbols are planned, and what comes of it becomes orders and actions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Final, assert_never

from msgspec.structs import replace

from services.state import actions, intents, reports, snapshots
from services.state.admission import Admitted, Refused, judge, planned_entry
from services.state.judging import Judging
from services.state.model import (
    EntryRow,
    IntentStatus,
    Market,
    Order,
    Planned,
    PlannedCancel,
    PlannedEnd,
    PlannedOrder,
)
from services.state.planning import plan
from services.state.records import VerdictRow
from services.state.setup import Setup
from services.state.unit import Unit
from shared.contracts import ids
from shared.contracts.vocabulary import OrderClass, Reason, Status

ACTIONS_PER_TICK: Final = 12
"""A symbol that asks for more than this at one time is not converging: it waits for the next, and a person is told."""


def admit_due(unit: Unit, judging: Judging, setup: Setup) -> None:
    """Judge what is due, one by one in the order (due, id), each seeing those before it."""
    market = judging.market()
    if market is None:
        return
    for row in unit.store.due_entry_intents(unit.now):
        unit.attempt(partial(_judge, unit, judging, setup, row, market), partial(_unjudged, unit, row))


def _judge(unit: Unit, judging: Judging, setup: Setup, row: EntryRow, market: Market) -> None:
    verdict = judge(row, judging.view(row, market), setup.rules, setup.salt)
    match verdict:
        case Admitted():
            _admitted(unit, row, verdict, market)
        case Refused():
            refuse(unit, row, verdict, stage="due")
        case _:
            assert_never(verdict)


def _unjudged(unit: Unit, row: EntryRow, fault: Exception) -> None:
    unit.store.update_entry_intent(replace(row, status=IntentStatus.REFUSED, reason="error", judged_at=unit.now))
    text = f"{row.id} could not be judged and is not bought: {type(fault).__name__}: {fault}"
    unit.alert("critical", f"judging-{row.id}", text[:500], symbol=row.symbol, cause=row.id)


def _admitted(unit: Unit, row: EntryRow, verdict: Admitted, market: Market) -> None:
    unit.store.update_entry_intent(
        replace(
            row,
            reason=Reason.ADMITTED,
            judged_at=unit.now,
            reference=verdict.reference,
            limit_price=verdict.limit,
            stop_price=verdict.stop,
            shares=verdict.shares,
        )
    )
    unit.store.put_verdicts([_verdict(row, "due", "admitted", Reason.ADMITTED, verdict.figures, unit)])
    order = _new_order(unit, row.symbol, market, planned_entry(row, verdict))
    actions.submit(unit, order)
    committed = Decimal(unit.store.note("committed") or "0") + verdict.shares * verdict.limit
    unit.store.set_note("committed", format(committed, "f"))
    unit.store.put_account(replace(unit.store.account(), entry_orders=intents.count_entries(unit, market.session)))
    unit.touch(row.symbol)
    unit.journal(
        "entry_admitted",
        f"{row.id}: buy {verdict.shares} at {verdict.limit} at most, stop {verdict.stop}",
        symbol=row.symbol,
        order=order.client_order_id,
        cause=row.id,
        figures=verdict.figures,
    )


def refuse(unit: Unit, row: EntryRow, verdict: Refused, stage: str) -> None:
    """An entry that is not bought, with the reason; whether that uses up the symbol's session is the reason's."""
    unit.store.update_entry_intent(replace(row, status=IntentStatus.REFUSED, reason=verdict.reason, judged_at=unit.now))
    unit.store.put_verdicts([_verdict(row, stage, "refused", verdict.reason, verdict.figures, unit)])
    if not verdict.spends:
        intents.release(unit, row.symbol, row.strategy)
    unit.journal(
        "entry_refused",
        f"{row.id}: {verdict.reason}",
        symbol=row.symbol,
        cause=row.id,
        figures=verdict.figures,
    )


def _verdict(
    row: EntryRow, stage: str, outcome: str, reason: Reason, figures: dict[str, float | str | None], unit: Unit
) -> VerdictRow:
    return VerdictRow(
        session=row.session,
        symbol=row.symbol,
        at=unit.now,
        strategy=row.strategy,
        stage=stage,
        outcome=outcome,
        reason=reason,
        figures=figures,
        cause=row.id,
    )


def work(unit: Unit, judging: Judging, setup: Setup, symbol: str) -> bool:
    """Plan one symbol, unless an action of it is under way; whether something was asked for."""
    unplanned = partial(_unplanned, unit, symbol)
    steps = unit.attempt(partial(_planned, unit, judging, setup, symbol), unplanned, writes=False)
    return bool(steps and unit.attempt(partial(_take, unit, judging, symbol, steps), unplanned))


def _unplanned(unit: Unit, symbol: str, fault: Exception) -> None:
    text = f"{symbol} could not be planned: {type(fault).__name__}: {fault}; what rests at the broker stays"
    unit.alert_once("critical", f"planning-{symbol}", text[:500], symbol=symbol)


def _planned(unit: Unit, judging: Judging, setup: Setup, symbol: str) -> Sequence[Planned]:
    market = judging.market()
    if market is None or unit.store.open_actions_of(symbol) or reports.awaits_executions(unit, symbol):
        return ()
    if not snapshots.reconciled(unit):
        unit.want_reconciliation(snapshots.AT_START)
        return ()
    return plan(judging.book(symbol), market, setup.rules, setup.salt)


def _take(unit: Unit, judging: Judging, symbol: str, steps: Sequence[Planned]) -> bool:
    """Whether anything is asked of the broker."""
    market = judging.market()
    assert market is not None, "a plan was made of it"
    wanted = [step for step in steps if not isinstance(step, PlannedEnd)]
    if wanted and unit.store.actions_planned_at(symbol, unit.now) >= ACTIONS_PER_TICK:
        _not_converging(unit, symbol)
        return False
    for step in steps:
        match step:
            case PlannedOrder():
                _order(unit, symbol, market, step)
            case PlannedCancel():
                _cancel(unit, step)
            case PlannedEnd():
                _end(unit, step)
            case _:
                assert_never(step)
    return bool(wanted)


def _order(unit: Unit, symbol: str, market: Market, step: PlannedOrder) -> None:
    order = _new_order(unit, symbol, market, step)
    if step.replaces:
        old = unit.store.order(step.replaces)
        assert old is not None, step
        actions.replace_with(unit, old, order)
    else:
        actions.submit(unit, order)
    row = unit.store.exit_intent(step.intent) if step.intent else None
    if row is not None and row.kind != "stop":
        shares = row.shares if row.shares is not None else step.qty
        unit.store.update_exit_intent(replace(row, status=IntentStatus.WORKING, shares=shares))
    text = f"{order.client_order_id}: {_told(step)}; {step.why}"
    unit.journal("order_planned", text, symbol=symbol, order=order.client_order_id, cause=step.cause)
    if step.alert:
        unit.alert("warning", f"planned-{order.client_order_id}", text, symbol=symbol, cause=step.cause)


def _told(step: PlannedOrder) -> str:
    prices = {"limit": step.limit_price, "stop": step.stop_price}
    told = "".join(f" {name} {price}" for name, price in prices.items() if price is not None)
    instead = f" in place of {step.replaces}" if step.replaces else ""
    return f"{step.side} {step.qty} {step.type}{told}{instead}"


def _cancel(unit: Unit, step: PlannedCancel) -> None:
    target = unit.store.order(step.target)
    assert target is not None, step
    actions.cancel(unit, target, step.cause)
    text = f"{step.target} is cancelled: {step.why}"
    unit.journal("cancel_planned", text, symbol=target.symbol, order=step.target, cause=step.cause)
    if step.alert:
        unit.alert("warning", f"cancel-{step.target}", text, symbol=target.symbol, cause=step.cause)


def _end(unit: Unit, step: PlannedEnd) -> None:
    row = unit.store.exit_intent(step.intent)
    assert row is not None, step
    intents.end_exit(unit, row, step.status, unit.now, step.why)


def _not_converging(unit: Unit, symbol: str) -> None:
    unit.alert_once(
        "critical",
        f"waiting-{symbol}",
        f"{symbol}: {ACTIONS_PER_TICK} requests at {unit.now:%H:%M:%S} did not settle it; waiting for the next tick",
        symbol=symbol,
    )


def _new_order(unit: Unit, symbol: str, market: Market, step: PlannedOrder) -> Order:
    """The row of a planned order, with the next id of its session, symbol and kind."""
    store = unit.store
    number = store.next_order_number(market.session, symbol, step.kind)
    return Order(
        client_order_id=ids.client_order_id(store.installation, market.session, symbol, step.kind, number),
        broker_id=None,
        session=market.session,
        symbol=symbol,
        kind=step.kind,
        side=step.side,
        type=step.type,
        time_in_force=step.time_in_force,
        order_class=OrderClass.OTO if step.leg_stop_price is not None else OrderClass.SIMPLE,
        qty=step.qty,
        limit_price=step.limit_price,
        stop_price=step.stop_price,
        leg_stop_price=step.leg_stop_price,
        status=Status.PLANNED,
        broker_status="",
        resting=False,
        filled_qty=0,
        filled_value=Decimal(0),
        parent=step.replaces,
        intent=step.intent,
        cause=step.cause,
        planned_at=unit.now,
        accepted_at=None,
        first_fill_at=None,
        ended_at=None,
        expires_at=None,
        in_flight="",
    )
