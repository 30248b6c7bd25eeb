"""Claims: an executor asks whether it may act now, and has a lease from the answer on.

Nothing reaches the broker without a grant in hand, so this is the last place where an entry can be held back. One
attempt is granted to one request; the same request gets the same answer again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from services.state import actions, reports
from services.state.model import Order
from services.state.records import ActionRow, ActionStatus
from services.state.setup import Setup
from services.state.unit import Unit
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.outgoing import Reply
from shared.contracts.vocabulary import ActionKind, Queue, Status
from shared.contracts.wire import encode_json
from shared.domain.order_life import ENDED, Event

Objection = Callable[[ActionRow, Order], str]
NO_OBJECTION: Final = ""


def answer(unit: Unit, request: ClaimRequest, setup: Setup, objection: Objection) -> None:
    """Say whether `request` may act, and write the grant down. objection: why its order is not wanted; empty: it is."""
    reply = _reply(unit, request, setup, objection)
    unit.say(Reply(request=request.id, body=encode_json(reply).decode()))


def is_for_entry(unit: Unit, request: ClaimRequest) -> bool:
    """Whether granting `request` would send an entry."""
    action = unit.store.action(request.action)
    return action is not None and action.kind is ActionKind.SUBMIT and action.queue is Queue.ENTRY


def _reply(unit: Unit, request: ClaimRequest, setup: Setup, objection: Objection) -> ClaimReply:
    action = unit.store.action(request.action)
    if action is None:
        return _refused(request, "unknown action")
    if not action.open or action.status is ActionStatus.SENT:
        return _refused(request, f"the action is {action.status}: {action.reason}")
    if request.attempt != action.attempt:
        return _refused(request, f"attempt {request.attempt} is over; {action.attempt} is due")
    if action.status is ActionStatus.CLAIMED:
        if action.request == request.id:
            return _granted(unit, request, action, setup)
        return _refused(request, f"granted to {action.executor}")
    why = _objection(unit, action, objection)
    if why:
        return _refused(request, why)
    claimed = replace(
        action,
        status=ActionStatus.CLAIMED,
        grants=action.grants + 1,
        executor=request.executor,
        request=request.id,
    )
    unit.store.update_action(claimed)
    if action.kind in (ActionKind.SUBMIT, ActionKind.REPLACE):
        order = unit.store.order(action.order_id)
        if order is not None and order.status is Status.PLANNED:
            actions.set_status(unit, action.order_id, Event.CLAIM)
    return _granted(unit, request, claimed, setup)


def _objection(unit: Unit, action: ActionRow, objection: Objection) -> str:
    """Why the action is not to be done; what follows from that is written down."""
    order = unit.store.order(action.order_id) if action.order_id else None
    target = unit.store.order(action.target) if action.target else None
    over = target is None or target.status in ENDED
    if action.kind is ActionKind.REPLACE and over and order is not None and order.broker_id is not None:
        actions.end(unit, action, ActionStatus.DONE)  # the broker's own word came before any reply
        return f"{action.order_id} stands in place of {action.target}"
    if action.kind is ActionKind.CANCEL and over:
        actions.end(unit, action, ActionStatus.DONE)
        return f"{action.target} is over"
    if action.kind is ActionKind.REPLACE and over and action.status is not ActionStatus.UNRESOLVED:
        why = f"{action.target} is over"  # of unknown fate it is looked up: it may be what ended the target
    else:
        why = objection(action, order) if order is not None else NO_OBJECTION
    if why:
        _take_back(unit, action, why)
    return why


def _take_back(unit: Unit, action: ActionRow, why: str) -> None:
    order = unit.store.order(action.order_id) if action.order_id else None
    if order is not None and order.status is Status.UNRESOLVED:
        # It may be working. It is not sent again, and the broker's lists decide what became of it.
        unit.want_reconciliation(f"the fate of {order.client_order_id} is unknown and it is no longer wanted ({why})")
        return
    actions.end(unit, action, ActionStatus.DENIED, why)
    if order is not None:
        reports.denied(unit, order, why)
    unit.journal("claim_denied", f"{action.id}: {why}", symbol=action.symbol, order=action.order_id, cause=action.id)


def _granted(unit: Unit, request: ClaimRequest, action: ActionRow, setup: Setup) -> ClaimReply:
    return ClaimReply(
        request=request.id,
        granted=True,
        action=actions.as_asked(unit, action),
        attempt=action.attempt,
        lease_s=setup.lease_s,
        look_up_first=action.grants > 1,
        at=unit.now,
    )


def _refused(request: ClaimRequest, reason: str) -> ClaimReply:
    return ClaimReply(request=request.id, granted=False, reason=reason, attempt=request.attempt)
