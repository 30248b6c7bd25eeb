"""Reconciliation: the ledger against what the broker holds, element by element.

The broker's word ends orders and executions make positions; nothing is invented to make the two agree. What no record
explains is named, told once, and left alone: entries in its symbol wait until a person has looked (`adopt`), or it is
gone. A list that could not be read says nothing. Taking the same snapshot again changes nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from msgspec.structs import replace

from services.state import account_stop, actions, adoption, assets, fills, foreign, money, numbers, reports, splits
from services.state.model import Order
from services.state.records import ActionRow, ActionStatus, ForeignItem
from services.state.unit import Unit
from shared.contracts.orders import BrokerOrder, BrokerPosition, BrokerSnapshot
from shared.contracts.rules import LimitRules
from shared.contracts.vocabulary import ActionKind, Status

EACH_MINUTE: Final = "each minute"
AT_START: Final = "start: nothing is planned before ledger and broker were compared"


def on_snapshot(unit: Unit, snapshot: BrokerSnapshot, limits: LimitRules) -> None:
    """Compare the ledger with `snapshot`, heal what has a clear rule, name the rest."""
    first, alerts = False, len(unit.alerts())
    unit.heard_at(snapshot.at)
    request = unit.store.action(snapshot.request)
    if request is not None and request.kind is ActionKind.RECONCILE:
        actions.end(unit, request, ActionStatus.DONE)
    if snapshot.orders is not None:
        _orders(unit, snapshot.orders, snapshot.at)
    if snapshot.fills is not None:
        fills.book_all(unit, snapshot.fills)
    if snapshot.orders is not None and snapshot.fills is not None:
        numbers.cover(unit, snapshot.events_seen, exactly=_nothing_else_under_way(unit))
        unit.store.drop_orphans()
        _missing_orders(unit, snapshot.orders)
        if not reconciled(unit):
            unit.store.set_note("reconciled_epoch", str(unit.store.writer_epoch))
            first = True
    if snapshot.positions is not None and snapshot.fills is not None:
        _shares(unit, snapshot.positions, snapshot.unread)
        if snapshot.orders is not None:
            adoption.book_sales_by_hand(unit, snapshot.orders, snapshot.fills, snapshot.at)
    assets.learn(unit, snapshot.assets)
    _account(unit, snapshot, limits, request)
    if first:
        _tell_start(unit, alerts)
    if snapshot.dropped:
        unit.journal(
            "snapshot_partly_read",
            f"{len(snapshot.dropped)} elements could not be read; the first: {snapshot.dropped[0]}",
            cause=snapshot.id,
        )


def reconciled(unit: Unit) -> bool:
    """Whether this process has compared the ledger with the broker since its start: before, nothing is planned."""
    return unit.store.note("reconciled_epoch") == str(unit.store.writer_epoch)


def _tell_start(unit: Unit, alerts_before: int) -> None:
    """The start is over: what was found, what was healed, what needs a person."""
    told = unit.alerts()[alerts_before:]
    needs = [alert.text for alert in told if alert.level == "critical"]
    unit.journal(
        "started",
        f"ledger and broker compared: {len(unit.store.list_positions())} positions, "
        f"{len(unit.store.open_orders())} orders at work, {len(told) - len(needs)} healed, {len(needs)} for a person"
        + "".join(f"; {text}" for text in needs),
    )


def _nothing_else_under_way(unit: Unit) -> bool:
    return not unit.store.has_open_actions()


def _orders(unit: Unit, orders: tuple[BrokerOrder, ...], at: dt.datetime) -> None:
    found: dict[tuple[str, str], ForeignItem] = {}
    for seen in orders:
        when = seen.updated_at or at
        if reports.see(unit, seen, seen.status, when) is not None or adoption.adopt(unit, seen, when):
            continue
        if foreign.over(seen):
            continue
        for item in foreign.items_of(unit, seen):
            found[item.kind, item.name] = item
    foreign.tell(unit, {"order", "installation"}, found)


def _missing_orders(unit: Unit, orders: tuple[BrokerOrder, ...]) -> None:
    """Orders that the broker should show and does not. Only those of unknown fate can end that way, after three.

    One that the broker had taken is read by its id the next time: no list shows when an old order ended.
    """
    looked_for, missing = set(unit.store.note(actions.LOOKED_FOR).split()), list[str]()
    shown = {seen.client_order_id for seen in orders} | {leg.broker_id for seen in orders for leg in seen.legs}
    shown |= {seen.broker_id for seen in orders}
    for order in unit.store.open_orders():
        if order.client_order_id in shown or order.broker_id in shown:
            continue
        action = unit.store.action(order.in_flight) if order.in_flight else None
        if order.status is Status.UNRESOLVED and action is not None:
            unit.store.update_action(replace(action, misses=action.misses + 1))
        elif order.broker_id is not None:
            missing.append(order.broker_id)
            if order.broker_id not in looked_for:
                unit.want_reconciliation(f"{order.client_order_id} is in none of the broker's lists")
            elif order.note != "missing":
                _tell_missing(unit, order)
    if looked_for != set(missing):
        unit.store.set_note(actions.LOOKED_FOR, " ".join(missing))


def _tell_missing(unit: Unit, order: Order) -> None:
    unit.store.update_order(replace(order, note="missing"))
    name = order.client_order_id
    text = f"{name} is {order.status} in the ledger, in none of the broker's lists and not found by its id"
    unit.alert("critical", f"missing-{name}", text, symbol=order.symbol)


def _shares(unit: Unit, positions: tuple[BrokerPosition, ...], unread: tuple[str, ...]) -> None:
    held = {position.symbol: position for position in positions}
    ours: dict[str, int] = {}
    for position in unit.store.list_positions():
        ours[position.symbol] = ours.get(position.symbol, 0) + position.qty
    found: dict[tuple[str, str], ForeignItem] = {}
    for symbol in sorted((held.keys() | ours.keys()) - set(unread)):
        theirs = held[symbol].qty if symbol in held else foreign.NO_SHARES
        extra = theirs - ours.get(symbol, 0)
        if extra and symbol in held and splits.found(unit, held[symbol]):
            continue
        if extra:
            found["shares", symbol] = ForeignItem(
                kind="shares",
                name=symbol,
                symbol=symbol,
                qty=extra,
                price=held[symbol].avg_entry_price if symbol in held else None,
                readings=1,
                detail=f"the broker holds {theirs}, the ledger {ours.get(symbol, 0)}",
            )
    foreign.tell(unit, {"shares"}, found, unread)


def _account(unit: Unit, snapshot: BrokerSnapshot, limits: LimitRules, request: ActionRow | None) -> None:
    seen = snapshot.account
    if seen is None:
        return
    account = unit.store.account()
    session = unit.store.last_session()
    opening = session is not None and session.opening_equity is None
    taken = None
    if opening or (request is not None and request.reason == EACH_MINUTE):
        if snapshot.positions is not None:
            taken = money.take(unit, account, seen, snapshot.positions, snapshot.others)
        account = replace(taken or account, buying_power=seen.buying_power)
        unit.store.set_note("committed", "0")
    blocked = seen.blocked or seen.status.upper() != "ACTIVE"
    if blocked and not account.blocked:
        unit.alert("critical", "account-blocked", f"the broker's account is {seen.status}; no entry is sent")
    account = replace(account, account_number=seen.account_number, blocked=blocked)
    if session is not None and opening and taken is not None:
        unit.store.upsert_session(replace(session, opening_equity=seen.equity))
        account = replace(
            account, opening_equity=seen.equity, equity=seen.equity, peak_equity=max(account.peak_equity, seen.equity)
        )
        account = account_stop.marked(account, limits)
        unit.journal("session_equity", f"equity {seen.equity} at the opening of {session.session}")
    elif opening:
        unit.want_reconciliation("session opening: the broker's account differs from the ledger, and is read again")
    unit.store.put_account(account)
