"""How intents end: entries with their order, trims and exits when nothing is left to do for them."""

from __future__ import annotations

import datetime as dt
from typing import Final

from msgspec.structs import replace

from services.state.model import EntryRow, ExitRow, IntentStatus, Order
from services.state.unit import Unit
from shared.contracts.vocabulary import KEEPS_THE_SESSION, OrderKind, Status, TrimState
from shared.domain.order_life import ENDED


def end_entry(unit: Unit, order: Order) -> None:
    """An entry's end is its intent's: bought, or over without a share."""
    if order.kind is not OrderKind.ENTRY or order.status not in ENDED or order.filled_qty:
        return
    intent = unit.store.entry_intent(order.intent)
    if intent is None or intent.status is not IntentStatus.WORKING or order.status is Status.FILLED:
        return
    refused = order.status in (Status.REJECTED, Status.DENIED)
    status = IntentStatus.REFUSED if refused else IntentStatus.EXPIRED
    reason = order.note if order.status is Status.DENIED else _OVER[order.status]
    unit.store.update_entry_intent(replace(intent, status=status, reason=reason))
    if order.status is Status.DENIED:
        _take_back(unit, intent, reason, order)


def _take_back(unit: Unit, intent: EntryRow, reason: str, order: Order) -> None:
    """An entry that was held back at its claim was never sent: it counts as little as one refused when due."""
    if reason in KEEPS_THE_SESSION:
        release(unit, intent.symbol, intent.strategy)
    account = unit.store.account()
    if account.session == order.session:
        unit.store.put_account(replace(account, entry_orders=count_entries(unit, order.session)))


def count_entries(unit: Unit, session: dt.date) -> int:
    """Entry orders of the session that went out or may still."""
    return sum(order.status is not Status.DENIED for order in unit.store.entry_orders_of(session))


def release(unit: Unit, symbol: str, strategy: str) -> None:
    """The symbol's session is not used up: a later fresh break may confirm."""
    for candidate in unit.store.candidates_of(symbol):
        if candidate.strategy == strategy:
            unit.store.upsert_candidate(replace(candidate, spent=False, released_at=unit.now))
            unit.relist(symbol)


_OVER: Final = {
    Status.REJECTED: "rejected",
    Status.CANCELED: "unfilled",
    Status.EXPIRED: "unfilled",
    Status.REPLACED: "unfilled",
    Status.ABSENT: "absent",
}


def end_exit(unit: Unit, wanted: ExitRow, status: IntentStatus, at: dt.datetime, why: str = "") -> None:
    """A trim or exit is over. A trim that sold nothing may fire again; one that sold a share is done."""
    wanted = unit.store.exit_intent(wanted.id) or wanted
    unit.store.update_exit_intent(replace(wanted, status=status, ended_at=at))
    unit.touch(wanted.symbol)
    position = unit.store.position(wanted.position_id)
    if wanted.kind != "trim" or position is None:
        return
    state = TrimState.DONE if wanted.sold > 0 or status is IntentStatus.DONE else TrimState.OPEN
    changed = replace(position, r1_state=state) if wanted.level == "r1" else replace(position, r2_state=state)
    unit.store.upsert_position(changed)
    unit.journal(
        "trim_over",
        f"{wanted.id}: {wanted.sold} sold, {wanted.level} {state}" + (f" ({why})" if why else ""),
        symbol=wanted.symbol,
        cause=wanted.id,
    )
