"""Requests to the broker: written into the ledger with their order, woken for, tried again, ended.

An action has one attempt at a time. What may have reached the broker is looked up by the next attempt before anything
is sent, and an order's fate ends only by the broker's word or by proof of absence (docs/strategy.md section 9 counts it
until then).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from msgspec.structs import replace

from services.state import assets, intents
from services.state.model import Order
from services.state.records import ActionRow, ActionStatus
from services.state.unit import Unit
from shared.contracts.orders import Action, OrderTerms
from shared.contracts.vocabulary import ActionKind, OrderKind, Queue, Status
from shared.domain.order_life import IN_TRANSIT, Event, step

RETRY_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before an attempt that nobody claimed, or that never left the machine, is followed by the next."""
LOOK_UP_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Seconds before an unresolved order is looked up, by the number of grants before; the last one repeats."""
SETTLE_S: Final = 5.0
"""Seconds within which a cancel or replace that the broker took should show; then the order is read."""
GIVEN_UP_S: Final = 3 * SETTLE_S
"""Then, read several times and still as it was, it had no effect and is asked for anew."""
LEASE_SLACK_S: Final = 0.5
LOOKED_FOR: Final = "looked_for"
"""Note of the broker's ids of orders that were in none of its lists at the last snapshot."""
MISSES: Final = 3
"""Snapshots that must not show an order before it counts as absent; and the grace time must be over."""


def submit(unit: Unit, order: Order) -> None:
    """Write a new order and ask for it. The order's id is the action's."""
    assert unit.store.record_order_once(replace(order, in_flight=order.client_order_id)), order.client_order_id
    queue = Queue.ENTRY if order.kind is OrderKind.ENTRY else Queue.PROTECT
    _issue(unit, order.client_order_id, ActionKind.SUBMIT, queue, order, target="")


def replace_with(unit: Unit, old: Order, new: Order) -> None:
    """Write a new order and ask for it in place of `old`, which rests until the broker says otherwise."""
    action = new.client_order_id
    assert unit.store.record_order_once(replace(new, in_flight=action)), action
    unit.store.update_order(replace(old, in_flight=action))
    _issue(unit, action, ActionKind.REPLACE, Queue.PROTECT, new, target=old.client_order_id)


def cancel(unit: Unit, target: Order, cause: str) -> None:
    """Ask for the end of `target`."""
    action = f"{target.client_order_id}-cancel-{unit.store.count_cancels(target.client_order_id) + 1}"
    unit.store.update_order(replace(target, in_flight=action))
    _issue(unit, action, ActionKind.CANCEL, Queue.PROTECT, replace(target, cause=cause), target=target.client_order_id)


def reconcile(unit: Unit, why: str) -> None:
    """Ask for what the broker holds, unless that is under way."""
    if any(action.kind is ActionKind.RECONCILE for action in unit.store.open_actions_of("")):
        return
    number = unit.store.next_number("reconciles")
    row = ActionRow(
        id=f"{unit.store.installation}-reconcile-{number}",
        kind=ActionKind.RECONCILE,
        queue=Queue.PROTECT,
        symbol="",
        order_id="",
        target="",
        status=ActionStatus.PLANNED,
        attempt=1,
        grants=0,
        executor="",
        request="",
        misses=0,
        reason=why,
        cause="",
        planned_at=unit.now,
        ended_at=None,
    )
    unit.store.put_action(row)
    unit.wake_for(row.queue, row.id, row.attempt)


def again(unit: Unit, action: ActionRow, why: str) -> None:
    """Start the next attempt; whoever still holds the last one is refused from now on."""
    status = ActionStatus.UNRESOLVED if action.status is ActionStatus.UNRESOLVED else ActionStatus.PLANNED
    unit.store.update_action(replace(action, attempt=action.attempt + 1, status=status, reason=why, request=""))
    unit.wake_for(action.queue, action.id, action.attempt + 1)


def lose(unit: Unit, action: ActionRow, why: str) -> None:
    """Its fate is unknown: it may be working at the broker."""
    unit.store.update_action(replace(action, status=ActionStatus.UNRESOLVED, reason=why))
    if action.kind in (ActionKind.SUBMIT, ActionKind.REPLACE):
        set_status(unit, action.order_id, Event.LOSE_REPLY)
    unit.journal(
        "unresolved",
        f"{action.id}: {why}; looked up before anything is sent again",
        symbol=action.symbol,
        order=action.order_id or action.target,
        cause=action.id,
    )


def end(unit: Unit, action: ActionRow, status: ActionStatus, why: str = "") -> None:
    """The request is over; its orders are free for the next one."""
    if not action.open:
        return
    unit.store.update_action(replace(action, status=status, reason=why or action.reason, ended_at=unit.now))
    for name in (action.order_id, action.target):
        order = unit.store.order(name) if name else None
        if order is not None and order.in_flight == action.id:
            unit.store.update_order(replace(order, in_flight=""))
    if action.symbol:
        unit.touch(action.symbol)


def end_of_order(unit: Unit, order: Order) -> None:
    """An order's life is over: whatever was asked about it is, too."""
    if not order.in_flight:
        return
    action = unit.store.action(order.in_flight)
    if action is None or not action.open:
        unit.store.update_order(replace(order, in_flight=""))
        return
    match action.kind:
        case ActionKind.CANCEL | ActionKind.SUBMIT:
            end(unit, action, ActionStatus.DONE)
        case ActionKind.REPLACE:
            # The new order's end ends it; the old one's does unless the new one's fate is still open.
            new = unit.store.order(action.order_id)
            if order.client_order_id == action.order_id or (new is not None and new.broker_id is not None):
                end(unit, action, ActionStatus.DONE)
        case ActionKind.RECONCILE:
            raise AssertionError(f"a reconcile is about no order, {order.client_order_id} names it")
        case _:
            assert_never(action.kind)


def set_status(unit: Unit, client_order_id: str, event: Event) -> Order | None:
    """Step an order by an event of ours; None where the table has no such step, which is journalled."""
    order = unit.store.order(client_order_id)
    assert order is not None, client_order_id
    status = step(order.status, event)
    if status is None:
        if event is not Event.LOSE_REPLY:  # the broker's word came first, which is no news to anyone
            unit.journal(
                "impossible_step",
                f"{client_order_id} is {order.status}: {event} changes nothing",
                symbol=order.symbol,
                order=client_order_id,
            )
        return None
    ended = unit.now if status in (Status.DENIED, Status.ABSENT) else order.ended_at
    changed = replace(order, status=status, ended_at=ended)
    unit.store.update_order(changed)
    unit.touch(order.symbol)
    return changed


def as_asked(unit: Unit, row: ActionRow) -> Action:
    """The action as an executor gets it, with the broker's ids as they are known now."""
    target = unit.store.order(row.target) if row.target else None
    order = unit.store.order(row.order_id) if row.kind in (ActionKind.SUBMIT, ActionKind.REPLACE) else None
    return Action(
        id=row.id,
        kind=row.kind,
        queue=row.queue,
        terms=terms(order) if order is not None else None,
        target=row.target,
        target_broker_id=(target.broker_id or "") if target is not None else "",
        symbols=assets.to_ask(unit.store) if row.kind is ActionKind.RECONCILE else (),
        orders=tuple(unit.store.note(LOOKED_FOR).split()) if row.kind is ActionKind.RECONCILE else (),
    )


def terms(order: Order) -> OrderTerms:
    """What is asked of the broker for `order`."""
    return OrderTerms(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        time_in_force=order.time_in_force,
        qty=order.qty,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        order_class=order.order_class,
        leg_stop_price=order.leg_stop_price,
    )


def _issue(unit: Unit, action: str, kind: ActionKind, queue: Queue, order: Order, target: str) -> None:
    row = ActionRow(
        id=action,
        kind=kind,
        queue=queue,
        symbol=order.symbol,
        order_id="" if kind is ActionKind.CANCEL else order.client_order_id,
        target=target,
        status=ActionStatus.PLANNED,
        attempt=1,
        grants=0,
        executor="",
        request="",
        misses=0,
        reason="",
        cause=order.cause,
        planned_at=unit.now,
        ended_at=None,
    )
    unit.store.put_action(row)
    unit.wake_for(queue, action, 1)


class Waits:
    """How long things have stood, on the monotonic clock of this process; a restart starts them anew."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[str, float] = {}
        self._asked: set[str] = set()

    def over(self, key: str, after_s: float) -> bool:
        """Whether `key` has been asked about without a break for `after_s` seconds."""
        self._asked.add(key)
        return self._monotonic() - self._since.setdefault(key, self._monotonic()) >= after_s

    def again(self, key: str, every_s: float, *, at_once: bool = False) -> bool:
        """Whether it is time for `key`: every `every_s` seconds for as long as it is asked about without a break."""
        if at_once and key not in self._since:
            self.over(key, every_s)
            return True
        if not self.over(key, every_s):
            return False
        self._since[key] = self._monotonic()
        return True

    def next_round(self) -> None:
        """Forget what was not asked about in this round."""
        for key in self._since.keys() - self._asked:
            del self._since[key]
        self._asked.clear()


def overdue(unit: Unit, waits: Waits, lease_s: float, grace_s: float) -> None:
    """Machine time-outs: wake-ups nobody took, leases that ended in silence, fates that are still unknown."""
    for action in unit.store.open_actions():
        key = f"{action.id} {action.status} {action.attempt}"
        match action.status:
            case ActionStatus.PLANNED:
                if waits.over(key, _at(RETRY_S, action.attempt - 1)):
                    again(unit, action, action.reason or "nobody took it")
            case ActionStatus.CLAIMED:
                if waits.over(key, lease_s + LEASE_SLACK_S):
                    _lease_over(unit, action)
            case ActionStatus.SENT:
                if waits.again(f"{key} read", SETTLE_S):
                    unit.want_reconciliation(f"{action.id} was taken by the broker and does not show")
                if waits.over(key, GIVEN_UP_S):
                    _without_effect(unit, action)
            case ActionStatus.UNRESOLVED:
                grace_over = waits.over(f"{action.id} grace", grace_s)
                if action.misses >= MISSES and grace_over:
                    _absent(unit, action)
                elif waits.over(f"{key} {action.request}", _until_looked_up(action)):
                    again(unit, action, action.reason)


def _until_looked_up(action: ActionRow) -> float:
    """Seconds before an unresolved action is tried again: soon after a report, longer where a wake-up is out."""
    woken = not action.request
    return _at(RETRY_S, action.attempt - 2) if woken else _at(LOOK_UP_S, action.grants - 1)


def _lease_over(unit: Unit, action: ActionRow) -> None:
    if action.kind is ActionKind.RECONCILE:
        again(unit, action, "its lease ended without a snapshot")
        return
    lose(unit, action, "its lease ended without a report")
    lost = unit.store.action(action.id)
    assert lost is not None
    again(unit, lost, lost.reason)


def _without_effect(unit: Unit, action: ActionRow) -> None:
    """The broker took it and did nothing. While it says that it is about to, it is waited for."""
    target = unit.store.order(action.target)
    if target is None or target.broker_status in IN_TRANSIT:
        return
    end(unit, action, ActionStatus.REFUSED, "taken by the broker, without any effect")
    unit.alert(
        "warning",
        f"without-effect-{action.id}",
        f"{action.id}: the broker took it and {action.target} is as before; asked for again",
        symbol=action.symbol,
    )


def _absent(unit: Unit, action: ActionRow) -> None:
    end(unit, action, ActionStatus.ABSENT, "never reached the broker")
    if action.order_id:
        given_up = set_status(unit, action.order_id, Event.GIVE_UP)
        if given_up is not None:
            intents.end_entry(unit, given_up)
        unit.alert(
            "warning",
            f"absent-{action.order_id}",
            f"{action.order_id} never reached the broker: {action.misses} snapshots do not show it; watched on",
            symbol=action.symbol,
            cause=action.id,
        )


def _at(table: tuple[float, ...], place: int) -> float:
    return table[min(max(place, 0), len(table) - 1)]
