"""What the broker says about our orders, folded into the ledger: reports of executors and trade updates.

Both tell the same truth at different times, in any order, and more than once. So an order only ever moves forward, a
fill is booked by its execution id alone, and what a reply says about filled shares is compared, never booked.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.state import actions, fills, intents, numbers
from services.state.model import Order
from services.state.records import ActionRow, ActionStatus
from services.state.unit import Unit
from shared.contracts import ids
from shared.contracts.orders import BrokerEvent, BrokerOrder, OrderReport
from shared.contracts.vocabulary import (
    ActionKind,
    OrderClass,
    OrderKind,
    OrderType,
    Outcome,
    Side,
    Status,
    TimeInForce,
)
from shared.domain.order_life import BROKER_EVENTS, BROKER_WORDS, ENDED, Event, Word, is_old_news, step, turned_up

TEXT_SHOWN: Final = 300
DOUBT_S: Final = 2.0
"""Seconds for which executions may come after the order that shows them; then they are asked for."""
DOUBT_ASKED: Final = 3
IN_DOUBT: Final = "filled_doubts"
_AT_WORK: Final = frozenset({"new", "partially_filled", "filled"})
"""`accepted` is said of a replacement before it stands."""
_NEAREST: Final = {"trailing_stop": OrderType.STOP, "opg": TimeInForce.DAY, "cls": TimeInForce.DAY}
"""What a person may order at the broker and we never do, by the nearest word of ours."""
TURNED_UP: Final = "turned_up"
"""Note of an order that had been given up for absent: it is cancelled at once."""


def on_report(unit: Unit, report: OrderReport) -> None:
    """Fold what came of one attempt. One of an earlier attempt still tells about the order, but ends nothing."""
    numbers.wait_for(unit, report.events_seen)
    if report.order is not None:
        see(unit, report.order, report.order.status, report.order.updated_at or report.at)
    action = unit.store.action(report.action)
    if action is None:
        unit.journal("report_unknown", f"{report.id}: no such action; a ledger older than the report?", cause=report.id)
        unit.want_reconciliation(f"{report.action} is not in the ledger")
        return
    if not action.open:
        return
    late = report.attempt != action.attempt
    match report.outcome:
        case Outcome.DONE | Outcome.FOUND:
            _taken(unit, action, report)
        case _ if late:
            unit.journal("report_late", f"{report.id}: {report.outcome} of an attempt that is over", cause=report.id)
        case Outcome.REFUSED:
            _refused(unit, action, report)
        case Outcome.UNKNOWN:
            actions.lose(unit, action, _said(report))
        case Outcome.MISSING:
            _target_missing(unit, action, report)
        case Outcome.NOT_SENT:
            status = ActionStatus.UNRESOLVED if _may_be_there(unit, action) else ActionStatus.PLANNED
            unit.store.update_action(replace(action, status=status, reason=_said(report)))
            unit.journal("not_sent", f"{action.id}: {_said(report)}; sent again", symbol=action.symbol, cause=report.id)
        case _:
            assert_never(report.outcome)


def on_event(unit: Unit, event: BrokerEvent) -> None:
    """Fold one trade update. One about an order that is not known yet waits until the order is."""
    numbers.take(unit, event.seq)
    order = find(unit, event.order)
    if order is None:
        unit.store.put_orphan(event)
        if not _legs_expected(unit, event.order.symbol):
            unit.want_reconciliation(f"a trade update about the unknown order {event.order.client_order_id}")
        return
    fold_event(unit, order, event)


def fold_event(unit: Unit, order: Order, event: BrokerEvent) -> None:
    """`event` into its order: the execution first, then the broker's word."""
    if event.execution_id is not None and event.qty and event.price is not None:
        fills.book(unit, order, event.execution_id, event.order.broker_id, event.qty, event.price, event.at)
    see(unit, event.order, _word_of(event), event.at)


def _word_of(event: BrokerEvent) -> str:
    """The update's name where it is a step of the order's life, else the order's own status."""
    word = BROKER_WORDS.get(event.event)
    return event.event if word is None or word.event is not None else event.order.status


def find(unit: Unit, seen: BrokerOrder) -> Order | None:
    """Our order that `seen` is: by our id, else by the broker's."""
    return unit.store.order(seen.client_order_id) or unit.store.order_by_broker_id(seen.broker_id)


def see(unit: Unit, seen: BrokerOrder, word: str, at: dt.datetime) -> Order | None:
    """Fold an order as the broker shows it, its legs included; None where it is none of ours.

    word: the broker's word for the step, a status or the name of a trade update. at: the broker's time of it (UTC).
    """
    order = find(unit, seen)
    if order is None:
        return None
    unit.heard_at(at)
    if order.broker_id is None:
        unit.store.update_external_order_id(order.client_order_id, seen.broker_id)
        order = replace(order, broker_id=seen.broker_id)
    elif order.broker_id != seen.broker_id:
        unit.alert(
            "critical",
            f"twice-{order.client_order_id}",
            f"{order.client_order_id} is at the broker as {order.broker_id} and as {seen.broker_id}",
            symbol=order.symbol,
        )
        return order
    order = _step(unit, order, seen, word, at)
    _end_replaced(unit, seen, at)
    _compare_filled(unit, order, seen)
    for leg in seen.legs:
        see_leg(unit, order, leg, at)
    return order


def settle_doubts(unit: Unit, since: actions.Waits) -> None:
    """Orders of which the broker shows more filled than is booked: the executions come, or are asked for."""
    doubts = _doubts(unit)
    for name, doubt in list(doubts.items()):
        order = unit.store.order(name)
        if order is None or order.filled_qty >= doubt.filled:
            del doubts[name]
        elif doubt.asked >= DOUBT_ASKED:
            del doubts[name]
            text = f"{name}: the broker shows {doubt.filled} filled, its executions add up to {order.filled_qty}"
            unit.alert_once("critical", f"filled-{name}", text, symbol=order.symbol)
        elif since.over(f"filled {name} {doubt.asked}", DOUBT_S):
            doubts[name] = Doubt(doubt.filled, doubt.asked + 1)
            unit.want_reconciliation(f"{name}: executions are missing")
    _keep_doubts(unit, doubts)


def awaits_executions(unit: Unit, symbol: str) -> bool:
    """Whether the broker shows more of an order of `symbol` filled than is booked: what is held is not known now."""
    return any(
        order is not None and order.symbol == symbol and order.filled_qty < doubt.filled
        for name, doubt in _doubts(unit).items()
        for order in [unit.store.order(name)]
    )


class Doubt(Struct, frozen=True):
    """The broker showed `filled` shares of an order; reconciled `asked` times since."""

    filled: int
    asked: int = 0


_DOUBTS: Final = msgspec.json.Decoder(dict[str, Doubt])


def _doubts(unit: Unit) -> dict[str, Doubt]:
    return _DOUBTS.decode(unit.store.note(IN_DOUBT) or "{}")


def _keep_doubts(unit: Unit, doubts: dict[str, Doubt]) -> None:
    text = msgspec.json.encode(doubts).decode() if doubts else ""
    if text != unit.store.note(IN_DOUBT):
        unit.store.set_note(IN_DOUBT, text)


def _compare_filled(unit: Unit, order: Order, seen: BrokerOrder) -> None:
    """A filled quantity is compared, never booked: executions alone are."""
    if seen.filled_qty <= order.filled_qty:
        return
    doubts = _doubts(unit)
    known = doubts.get(order.client_order_id)
    if known is None or known.filled < seen.filled_qty:
        _keep_doubts(unit, {**doubts, order.client_order_id: Doubt(int(seen.filled_qty))})


def see_leg(unit: Unit, parent: Order, seen: BrokerOrder, at: dt.datetime) -> None:
    """Fold a leg of an entry under our own name for it; what was said about it before its parent was known comes in."""
    if find(unit, seen) is None:
        leg = leg_of(parent, seen, at)
        if not unit.store.record_order_once(leg):
            known = unit.store.order(leg.client_order_id)
            assert known is not None, leg.client_order_id
            unit.store.update_order(replace(known, broker_id=seen.broker_id))
    see(unit, seen, seen.status, seen.updated_at or at)
    for event in unit.store.take_orphans(seen.broker_id):
        order = unit.store.order_by_broker_id(seen.broker_id)
        assert order is not None, seen.broker_id
        fold_event(unit, order, event)


def leg_of(parent: Order, seen: BrokerOrder, at: dt.datetime) -> Order:
    """The row of a stop leg that the broker made for `parent`."""
    return Order(
        client_order_id=ids.leg_id(parent.client_order_id),
        broker_id=seen.broker_id,
        session=parent.session,
        symbol=parent.symbol,
        kind=OrderKind.STOP,
        side=Side.SELL,
        type=type_of(seen),
        time_in_force=time_in_force_of(seen),
        order_class=OrderClass.SIMPLE,
        qty=int(seen.qty or parent.qty),
        limit_price=seen.limit_price,
        stop_price=seen.stop_price,
        leg_stop_price=None,
        status=Status.PLANNED,
        broker_status="",
        resting=False,
        filled_qty=0,
        filled_value=Decimal(0),
        parent=parent.client_order_id,
        intent=parent.intent,
        cause=parent.client_order_id,
        planned_at=parent.planned_at,
        accepted_at=None,
        first_fill_at=None,
        ended_at=None,
        expires_at=None,
        in_flight="",
    )


def type_of(seen: BrokerOrder) -> OrderType:
    """Its type in a word of ours."""
    return OrderType(_NEAREST.get(seen.type, seen.type))


def time_in_force_of(seen: BrokerOrder) -> TimeInForce:
    """Its time in force in a word of ours."""
    return TimeInForce(_NEAREST.get(seen.time_in_force, seen.time_in_force))


def _step(unit: Unit, order: Order, seen: BrokerOrder, word: str, at: dt.datetime) -> Order:
    """`order` after the broker's word, written down."""
    meaning = BROKER_WORDS.get(word)
    if meaning is None:
        unit.alert(
            "critical",
            f"word-{word}"[:80],
            f"{order.client_order_id}: the broker says {word[:40]!r}, which is no word we know; nothing was changed",
            symbol=order.symbol,
        )
        return order
    was = order.status
    if turned_up(was, meaning.event or Event.FIND):
        unit.alert(
            "critical",
            f"turned-up-{order.client_order_id}",
            f"{order.client_order_id} turned up at the broker after it was given up; it is cancelled",
            symbol=order.symbol,
        )
        order = replace(order, note=TURNED_UP)
    moved = _moved(unit, order, meaning)
    if moved is None:
        return order
    order = _with_terms(replace(moved, broker_status=seen.status), seen)
    if meaning.resting is not None:
        order = replace(order, resting=meaning.resting)
    if order.accepted_at is None and order.status is not Status.REJECTED:
        order = replace(order, accepted_at=seen.submitted_at or at)
    if order.status in ENDED:
        order = replace(order, ended_at=order.ended_at or at, resting=False)
    unit.store.update_order(order)
    if order.status is not was:
        unit.touch(order.symbol)
    return _over(unit, order, at) if order.status in ENDED and was not in ENDED else order


def _over(unit: Unit, order: Order, at: dt.datetime) -> Order:
    """`order` has just ended; what was asked about it ends with it."""
    actions.end_of_order(unit, order)
    intents.end_entry(unit, order)
    unit.journal(
        f"order_{order.status}",
        f"{order.client_order_id} {order.status}, {order.filled_qty} of {order.qty} filled",
        symbol=order.symbol,
        order=order.client_order_id,
        cause=order.client_order_id,
        at=at,
    )
    return unit.store.order(order.client_order_id) or order


def _end_replaced(unit: Unit, seen: BrokerOrder, at: dt.datetime) -> None:
    """An order that works in the place of another says that the other is replaced, should its own word be lost."""
    old = unit.store.order_by_broker_id(seen.replaces) if seen.replaces and seen.status in _AT_WORK else None
    if old is None or old.status in ENDED:
        return
    ended = replace(old, status=Status.REPLACED, broker_status="replaced", resting=False, ended_at=at)
    unit.store.update_order(ended)
    unit.touch(ended.symbol)
    _over(unit, ended, at)


def _moved(unit: Unit, order: Order, meaning: Word) -> Order | None:
    """`order` with its next status; None where the word is old news, or impossible (which is journalled)."""
    event = meaning.event
    if event is None:
        if order.status in ENDED:
            return None
        # It exists, whatever the word is about: a lost reply is found.
        found = step(order.status, Event.FIND) if order.broker_status == "" else None
        return replace(order, status=found) if found is not None else order
    status = step(order.status, event)
    if status is not None:
        return replace(order, status=status)
    if is_old_news(order.status, event):
        repeats = order.status not in ENDED and BROKER_EVENTS.get(event) is order.status
        return order if repeats else None
    unit.journal(
        "impossible_step",
        f"{order.client_order_id} is {order.status}: {event} changes nothing",
        symbol=order.symbol,
        order=order.client_order_id,
    )
    return None


def _with_terms(order: Order, seen: BrokerOrder) -> Order:
    """What rests is what the broker says rests: someone may have changed it there."""
    return replace(
        order,
        qty=int(seen.qty) if seen.qty is not None and seen.qty == int(seen.qty) else order.qty,
        limit_price=seen.limit_price if seen.limit_price is not None else order.limit_price,
        stop_price=seen.stop_price if seen.stop_price is not None else order.stop_price,
        expires_at=seen.expires_at or order.expires_at,
    )


def denied(unit: Unit, order: Order, reason: str) -> None:
    """An order that we took back at its claim, before anything was sent."""
    changed = actions.set_status(unit, order.client_order_id, Event.DENY)
    if changed is None:
        return
    changed = replace(changed, note=reason, in_flight="")
    unit.store.update_order(changed)
    intents.end_entry(unit, changed)


def _taken(unit: Unit, action: ActionRow, report: OrderReport) -> None:
    """The broker took the request, or a look-up shows that it had."""
    match action.kind:
        case ActionKind.SUBMIT:
            actions.end(unit, action, ActionStatus.DONE)
        case ActionKind.REPLACE | ActionKind.CANCEL:
            # Folding the attached order may have ended it: a replaced or canceled order frees the action.
            current = unit.store.action(action.id)
            if current is None or not current.open:
                return
            if _shows_its_end(unit, current):
                actions.end(unit, current, ActionStatus.DONE)
            else:
                unit.store.update_action(replace(current, status=ActionStatus.SENT))
        case ActionKind.RECONCILE:
            unit.journal("report_odd", f"{report.id}: a reconcile is answered by a snapshot", cause=report.id)
        case _:
            assert_never(action.kind)


def _shows_its_end(unit: Unit, action: ActionRow) -> bool:
    target = unit.store.order(action.target)
    return target is None or target.status in ENDED


def _refused(unit: Unit, action: ActionRow, report: OrderReport) -> None:
    """The broker said no: nothing was created or changed."""
    said = _said(report)
    actions.end(unit, action, ActionStatus.REFUSED, said)
    about = unit.store.order(action.order_id) if action.order_id else None
    if about is not None:
        _reject(unit, about, said, report)
    target = unit.store.order(action.target) if action.target else None
    if target is not None and target.status not in ENDED:
        unit.want_reconciliation(f"{action.id} was refused: {said}")
    unit.journal(
        "refused",
        f"{action.id}: {said}",
        symbol=action.symbol,
        order=action.order_id or action.target,
        cause=report.id,
        figures={"http_status": report.http_status, "code": report.code},
    )


def _reject(unit: Unit, order: Order, said: str, report: OrderReport) -> None:
    order = unit.store.order(order.client_order_id) or order
    status = step(order.status, Event.REJECT)
    if status is None:
        return
    order = replace(order, status=status, note=said, ended_at=report.at, resting=False, in_flight="")
    unit.store.update_order(order)
    unit.touch(order.symbol)
    intents.end_entry(unit, order)


def _target_missing(unit: Unit, action: ActionRow, report: OrderReport) -> None:
    """The broker does not know the order that was to be changed: one such answer proves nothing."""
    actions.end(unit, action, ActionStatus.REFUSED, "the broker does not know the order")
    new = unit.store.order(action.order_id) if action.order_id else None
    if new is not None:
        _reject(unit, new, "the broker does not know the order to replace", report)
    unit.want_reconciliation(f"{action.target} is missing at the broker")
    unit.journal(
        "missing", f"{action.id}: the broker does not know {action.target}", symbol=action.symbol, cause=report.id
    )


def _may_be_there(unit: Unit, action: ActionRow) -> bool:
    order = unit.store.order(action.order_id) if action.order_id else None
    return order is not None and order.status is Status.UNRESOLVED


def _legs_expected(unit: Unit, symbol: str) -> bool:
    """Whether an entry in `symbol` is under way whose legs are not named yet."""
    return any(
        order.kind is OrderKind.ENTRY
        and order.in_flight
        and unit.store.order(ids.leg_id(order.client_order_id)) is None
        for order in unit.store.open_orders(symbol)
    )


def _said(report: OrderReport) -> str:
    code = f"{report.http_status or ''}/{report.code or ''} " if report.http_status else ""
    return f"{code}{report.text}"[:TEXT_SHOWN].strip() or report.outcome.value
