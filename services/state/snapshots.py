"""Reconciliation: the ledger against what the broker holds, element by element.

The broker's word ends orders and executions make positions; nothing is invented to make the two agree. What no record
explains is named, told once, and left alone: entries in its symbol wait until a person has looked (`adopt`), or it is
gone. A list that could not be read says nothing. Taking the same snapshot again changes nothing.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.state import account_stop, actions, assets, fills, money, numbers, reports, splits
from services.state.model import Order
from services.state.records import ActionRow, ActionStatus, ForeignItem
from services.state.unit import LONG_AGO, Unit
from shared.contracts import ids
from shared.contracts.orders import BrokerAccount, BrokerFill, BrokerOrder, BrokerPosition, BrokerSnapshot
from shared.contracts.rules import LimitRules
from shared.contracts.vocabulary import ActionKind, OrderClass, OrderKind, OrderType, Side, Status
from shared.domain.order_life import BROKER_WORDS, Event

EACH_MINUTE: Final = "each minute"
AT_START: Final = "start: nothing is planned before ledger and broker were compared"
NO_SHARES: Final = Decimal(0)
CLOCKS_APART_S: Final = 60.0
CLOCKS_DIFFER: Final = "clocks_apart_s"
HOURS_DIFFER: Final = "broker_is_closed"
_OURS: Final = re.compile(
    r"(?P<installation>[a-z0-9]{1,6})-(?P<session>\d{6})-(?P<symbol>[A-Z0-9.\-]+)-(?P<kind>[a-z]+)-(?P<number>\d+)\Z"
)


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
        _fills(unit, snapshot.fills)
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
            _sold_by_hand(unit, snapshot.orders, snapshot.fills, snapshot.at)
    assets.learn(unit, snapshot.assets)
    if snapshot.account is not None:
        _account(unit, snapshot.account, snapshot, limits, request)
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


def compare_clocks(unit: Unit, broker: dt.datetime) -> None:
    """Our clock against the broker's: far apart, times mean different things to the two, and entries wait."""
    if unit.now == LONG_AGO:
        return
    apart_s = (broker - unit.now).total_seconds()
    if abs(apart_s) > CLOCKS_APART_S:
        unit.store.set_note(CLOCKS_DIFFER, f"{apart_s:.0f}")
        text = f"this machine's clock and the broker's are more than {CLOCKS_APART_S:.0f} s apart; entries wait"
        unit.alert_once("critical", "clock", text)
    elif unit.store.note(CLOCKS_DIFFER):
        unit.store.set_note(CLOCKS_DIFFER, "")
        unit.all_clear("clock")


def compare_hours(unit: Unit, at: dt.datetime, is_open: bool | None) -> None:
    """Whether broker and calendar agree on the market being open at `at`, by the broker's clock; if not, entries wait.

    That the broker takes orders where the calendar sees none is no trouble of ours.
    """
    session = unit.store.last_session()
    if session is None or is_open is None:
        return
    differ = not is_open and session.opens_at <= at < session.closes_at
    if differ != bool(unit.store.note(HOURS_DIFFER)):
        unit.store.set_note(HOURS_DIFFER, "yes" if differ else "")
    if differ:
        text = f"the broker says that the market is closed, the calendar of {session.session} does not; entries wait"
        unit.alert_once("critical", "hours", text)
    else:
        unit.all_clear("hours")


def _nothing_else_under_way(unit: Unit) -> bool:
    return not unit.store.has_open_actions()


def _orders(unit: Unit, orders: tuple[BrokerOrder, ...], at: dt.datetime) -> None:
    foreign: dict[tuple[str, str], ForeignItem] = {}
    for seen in orders:
        when = seen.updated_at or at
        if reports.see(unit, seen, seen.status, when) is not None or _adopt(unit, seen, when):
            continue
        if _over(seen):
            continue
        for item in _foreign_of(unit, seen):
            foreign[item.kind, item.name] = item
    _tell_foreign(unit, {"order", "installation"}, foreign)


def _over(seen: BrokerOrder) -> bool:
    """Whether nothing of it is at work any more; a filled entry may have a leg that rests."""
    return _ended(seen) and all(_ended(leg) for leg in seen.legs)


def _ended(seen: BrokerOrder) -> bool:
    word = BROKER_WORDS.get(seen.status)
    return word is not None and word.event in (Event.FILL, Event.CANCEL, Event.EXPIRE, Event.REPLACE, Event.REJECT)


def _adopt(unit: Unit, seen: BrokerOrder, at: dt.datetime) -> bool:
    """Take in an order of ours that the ledger does not know (a restored backup), or one that replaced ours by hand."""
    replaced = unit.store.order_by_broker_id(seen.replaces) if seen.replaces else None
    name = _OURS.match(seen.client_order_id)
    if name is not None and name["installation"] == unit.store.installation and _kind(name["kind"]) is not None:
        order = _own(unit, seen, name, at)
    elif replaced is not None:
        order = _changed_by_hand(unit, seen, replaced, at)
    else:
        return False
    unit.store.record_order_once(order)
    reports.see(unit, seen, seen.status, at)
    unit.alert(
        "warning",
        f"adopted-{order.client_order_id}",
        f"{order.client_order_id} stands at the broker ({seen.status}) and was not in the ledger; taken in",
        symbol=order.symbol,
    )
    return True


def _own(unit: Unit, seen: BrokerOrder, name: re.Match[str], at: dt.datetime) -> Order:
    session = dt.datetime.strptime(name["session"], "%y%m%d").replace(tzinfo=dt.UTC).date()
    kind = _kind(name["kind"])
    assert kind is not None, seen.client_order_id
    if kind is OrderKind.FLAT and seen.type == OrderType.STOP:
        kind = OrderKind.STOP  # `execution halt` put it there while state was dead
    return _row(seen, seen.client_order_id, session, kind, parent="", at=at)


def _changed_by_hand(unit: Unit, seen: BrokerOrder, replaced: Order, at: dt.datetime) -> Order:
    """Someone replaced an order of ours at the broker: it goes on under our next name."""
    number = unit.store.next_order_number(replaced.session, replaced.symbol, replaced.kind)
    name = ids.client_order_id(unit.store.installation, replaced.session, replaced.symbol, replaced.kind, number)
    row = _row(seen, name, replaced.session, replaced.kind, parent=replaced.client_order_id, at=at)
    return replace(row, intent=replaced.intent, note="replaced at the broker")


def _row(
    seen: BrokerOrder, client_order_id: str, session: dt.date, kind: OrderKind, *, parent: str, at: dt.datetime
) -> Order:
    stops = [leg.stop_price for leg in seen.legs if leg.stop_price is not None]
    return Order(
        client_order_id=client_order_id,
        broker_id=seen.broker_id,
        session=session,
        symbol=seen.symbol,
        kind=kind,
        side=Side(seen.side),
        type=reports.type_of(seen),
        time_in_force=reports.time_in_force_of(seen),
        order_class=OrderClass.OTO if seen.order_class == "oto" and kind is OrderKind.ENTRY else OrderClass.SIMPLE,
        qty=int(seen.qty or 0),
        limit_price=seen.limit_price,
        stop_price=seen.stop_price,
        leg_stop_price=stops[0] if stops else None,
        status=Status.PLANNED,
        broker_status="",
        resting=False,
        filled_qty=0,
        filled_value=Decimal(0),
        parent=parent,
        intent="",
        cause="reconciliation",
        planned_at=seen.submitted_at or at,
        accepted_at=None,
        first_fill_at=None,
        ended_at=None,
        expires_at=None,
        in_flight="",
    )


def _kind(word: str) -> OrderKind | None:
    return OrderKind(word) if word in set(OrderKind) else None


def _foreign_of(unit: Unit, seen: BrokerOrder) -> Iterable[ForeignItem]:
    """Of an entry that is over, the legs that rest; a leg whose entry is open ends with it."""
    for one in (leg for leg in seen.legs if not _ended(leg)) if _ended(seen) else (seen,):
        qty = (one.qty or NO_SHARES) - one.filled_qty
        detail = f"{one.side} {one.qty or NO_SHARES} {one.type}, {one.client_order_id or one.broker_id}"
        yield ForeignItem(
            kind="order",
            name=one.broker_id,
            symbol=one.symbol,
            qty=qty if one.side == Side.BUY else -qty,
            price=one.limit_price or one.stop_price,
            readings=1,
            detail=detail[:200],
        )
    name = _OURS.match(seen.client_order_id)
    if name is not None and name["installation"] != unit.store.installation and _kind(name["kind"]) is not None:
        yield ForeignItem(
            kind="installation",
            name=name["installation"],
            symbol="",
            qty=NO_SHARES,
            price=None,
            readings=1,
            detail="another installation trades on this account",
        )


def _fills(unit: Unit, executions: tuple[BrokerFill, ...]) -> None:
    for fill in sorted(executions, key=lambda one: (one.at, one.execution_id)):
        order = unit.store.order_by_broker_id(fill.broker_order_id)
        if order is not None and fill.qty != int(fill.qty):
            text = f"{order.client_order_id}: an execution of {fill.qty} shares, and only whole shares can be booked"
            unit.alert_once("critical", f"fraction-{fill.execution_id}", text, symbol=order.symbol)
        elif order is not None:
            fills.book(unit, order, fill.execution_id, fill.broker_order_id, fill.qty, fill.price, fill.at)


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
        theirs = held[symbol].qty if symbol in held else NO_SHARES
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
    _tell_foreign(unit, {"shares"}, found, unread)


def _sold_by_hand(
    unit: Unit, orders: tuple[BrokerOrder, ...], executions: tuple[BrokerFill, ...], at: dt.datetime
) -> None:
    """Shares of ours that a person sold at the broker: their executions are booked where they explain the whole gap.

    Where they do not, nothing is guessed: the difference stays named, entries wait, and no order sells what is not
    there.
    """
    for item in unit.store.foreign_items():
        position = unit.store.open_position(item.symbol) if item.kind == "shares" and item.certain else None
        if position is None or item.qty >= 0:
            continue
        sold = [
            fill
            for fill in executions
            if (fill.symbol, fill.side) == (item.symbol, Side.SELL)
            and fill.at >= position.entered_at
            and unit.store.order_by_broker_id(fill.broker_order_id) is None
        ]
        theirs = {fill.broker_order_id for fill in sold}
        sales = [seen for seen in orders if seen.broker_id in theirs and not _OURS.match(seen.client_order_id)]
        whole = all(fill.qty == int(fill.qty) for fill in sold)
        if not whole or len(sales) != len(theirs) or sum((fill.qty for fill in sold), NO_SHARES) != -item.qty:
            continue
        for seen in sorted(sales, key=lambda one: one.broker_id):
            _take_sale(unit, seen, seen.updated_at or at)
        _fills(unit, tuple(sold))
        unit.store.drop_foreign(item.kind, item.name)
        unit.touch(item.symbol)


def _take_sale(unit: Unit, seen: BrokerOrder, at: dt.datetime) -> None:
    session = unit.store.last_session()
    assert session is not None, seen.broker_id
    number = unit.store.next_order_number(session.session, seen.symbol, OrderKind.EXIT)
    name = ids.client_order_id(unit.store.installation, session.session, seen.symbol, OrderKind.EXIT, number)
    order = replace(_row(seen, name, session.session, OrderKind.EXIT, parent="", at=at), note="sold at the broker")
    unit.store.record_order_once(order)
    reports.see(unit, seen, seen.status, at)
    unit.alert(
        "warning",
        f"by-hand-{seen.broker_id}",
        f"{seen.filled_qty} {seen.symbol} of ours were sold at the broker by hand; booked as {name}",
        symbol=seen.symbol,
    )


def _tell_foreign(
    unit: Unit, kinds: set[str], found: dict[tuple[str, str], ForeignItem], unread: tuple[str, ...] = ()
) -> None:
    """Keep what is foreign now; tell what is new and certain, once, and what is gone. Nothing is said of `unread`."""
    known = {(item.kind, item.name): item for item in unit.store.foreign_items() if item.kind in kinds}
    for key, item in found.items():
        before = known.get(key)
        if before is not None and before.detail == item.detail:
            item = replace(item, readings=before.readings if before.certain else before.readings + 1)
            if before.certain:
                if before.qty != item.qty:
                    unit.store.upsert_foreign(item)
                    unit.touch(item.symbol)
                continue
        unit.store.upsert_foreign(item)
        unit.touch(item.symbol)
        if item.certain:
            unit.alert(
                "critical",
                f"foreign-{item.kind}-{item.name}",
                f"{item.kind} {item.name}: {item.detail}; entries in it wait until this is settled",
                symbol=item.symbol,
            )
        else:
            unit.want_reconciliation(f"{item.symbol}: {item.detail}")
    for key, item in known.items():
        if key not in found and item.symbol not in unread:
            unit.store.drop_foreign(*key)
            unit.touch(item.symbol)
            if item.certain:
                unit.journal("foreign_gone", f"{item.kind} {item.name}: no longer there", symbol=item.symbol)


def _account(
    unit: Unit,
    seen: BrokerAccount,
    snapshot: BrokerSnapshot,
    limits: LimitRules,
    request: ActionRow | None,
) -> None:
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


def missing_of(items: Iterable[ForeignItem], symbol: str) -> int:
    """Shares of `symbol` in the ledger that the broker does not hold, or holds for a foreign sell order."""
    of_symbol = [item for item in items if item.symbol == symbol]
    extra = sum((item.qty for item in of_symbol if item.kind == "shares"), NO_SHARES)
    offered = sum((-item.qty for item in of_symbol if item.kind == "order" and item.qty < 0), NO_SHARES)
    return max(math.ceil(offered - extra), 0)
