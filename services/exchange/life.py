"""What happens to orders: they begin, come due, end, are replaced; and with them their legs and siblings.

An order of a class belongs to a group: a parent and its legs. Two of them form a pair where the fill of one ends the
other: the legs of a bracket, or both orders of an OCO.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec

from services.exchange import hours
from services.exchange.book import Book
from services.exchange.groups import is_second, siblings, waits_to_replace
from services.exchange.orders import ZERO, Order, name_uuid
from services.exchange.requests import ReplaceRequest, Terms
from services.exchange.words import Event, OrderClass, Status, Tif, Type
from shared.contracts.exchange_rules import ExchangeRules

AT_ONCE = (Tif.IOC, Tif.FOK)


def begin(book: Book, rules: ExchangeRules, terms: Terms, now: dt.datetime) -> Order:
    """The order (and its legs) of accepted `terms`: acknowledged after the delay, or queued for the next session."""
    placement = hours.place(now, terms.time_in_force, rules)
    is_queued = placement.released_at > now
    client_order_id = terms.client_order_id or name_uuid(book.account.salt, "client order", book.count())
    parent = Order(
        id=name_uuid(book.account.salt, "order", client_order_id),
        number=book.count(),
        client_order_id=client_order_id,
        symbol=terms.symbol,
        side=terms.side,
        type=terms.type,
        time_in_force=terms.time_in_force,
        order_class=terms.order_class,
        qty=terms.qty,
        notional=terms.notional,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        extended_hours=terms.extended_hours,
        status=Status.ACCEPTED if is_queued else Status.PENDING_NEW,
        created_at=now,
        submitted_at=now,
        updated_at=now,
        expires_at=placement.expires_at,
        live_from=placement.live_from,
        due_at=placement.released_at if is_queued else now + dt.timedelta(seconds=rules.acknowledge_delay),
    )
    legs = _legs_of(book, parent, terms)
    parent = book.add(msgspec.structs.replace(parent, legs=tuple(leg.id for leg in legs)))
    for leg in legs:
        book.add(leg)
    if is_queued:
        book.announce_only(parent, Event.ACCEPTED, now)
    elif rules.announce_pending_new:
        book.announce_only(parent, Event.PENDING_NEW, now)
    if parent.time_in_force in AT_ONCE and placement.live_from > now:
        return _end(book, parent, Event.CANCELED, now)  # at once is not now
    advance(book, rules, now)
    return standing(book, parent)


def advance(book: Book, rules: ExchangeRules, now: dt.datetime) -> None:
    """Whatever is due at or before `now` takes place: acknowledgements, releases, cancels, replacements."""
    while due := [order for order in book.open_orders() if order.due_at is not None and order.due_at <= now]:
        order = min(due, key=lambda order: (order.due_at, order.client_order_id))
        assert order.due_at is not None
        _come_due(book, rules, order, order.due_at)


def expire(book: Book, rules: ExchangeRules, now: dt.datetime) -> None:
    """Orders whose time is over at `now` end: day orders expire, those good till cancelled are cancelled by age."""
    delay = dt.timedelta(seconds=rules.expiry_delay)

    def is_over(order: Order) -> bool:
        if order.expires_at is None:
            return False
        return order.expires_at + (dt.timedelta() if order.time_in_force is Tif.GTC else delay) <= now

    over = [order for order in book.open_orders() if is_over(order)]
    for old in sorted(over, key=lambda order: (order.parent is not None, order.client_order_id)):
        order = standing(book, old)
        if order.is_open and not waits_to_replace(book, order):
            end_group(book, _end(book, order, _end_of_time(order), now), now)


def cancel(book: Book, rules: ExchangeRules, order: Order, now: dt.datetime) -> None:
    """A cancel was accepted: it takes place after the delay; a fill may cross it until then."""
    if not order.is_open or order.status is Status.PENDING_CANCEL:
        return
    if not rules.cancel_delay:
        end_group(book, _end(book, order, Event.CANCELED, now), now)
        return
    due = now + dt.timedelta(seconds=rules.cancel_delay)
    book.happen(order, Event.PENDING_CANCEL, now, due_at=due)


def cancel_now(book: Book, order: Order, now: dt.datetime) -> None:
    """The broker cancels by itself, without the delay of a request."""
    order = standing(book, order)
    if order.is_open and not waits_to_replace(book, order):
        end_group(book, _end(book, order, Event.CANCELED, now), now)


def replace(book: Book, rules: ExchangeRules, order: Order, request: ReplaceRequest, now: dt.datetime) -> Order:
    """A replacement was accepted: the new order, which stands once the old one is `replaced`."""
    client_order_id = request.client_order_id or name_uuid(book.account.salt, "client order", book.count())
    time_in_force = order.time_in_force if request.time_in_force is None else Tif(request.time_in_force)
    due = now + dt.timedelta(seconds=rules.replace_delay)
    successor = book.add(
        msgspec.structs.replace(
            order,
            id=name_uuid(book.account.salt, "order", client_order_id),
            number=book.count(),
            client_order_id=client_order_id,
            time_in_force=time_in_force,
            qty=request.qty or order.qty,
            limit_price=request.limit_price or order.limit_price,
            stop_price=request.stop_price or order.stop_price,
            status=Status.HELD if order.status is Status.HELD else Status.PENDING_NEW,
            filled_qty=ZERO,
            filled_value=ZERO,
            executions=0,
            filled_at=None,
            legs=(),
            created_at=now,
            submitted_at=now,
            updated_at=now,
            replaces=order.id,
            expires_at=hours.place(now, time_in_force, rules).expires_at,
            live_from=None,
            due_at=None,
            elected=order.elected and request.stop_price is None,
        )
    )
    book.happen(
        order,
        Event.PENDING_REPLACE,
        now,
        silent=not rules.replace_delay,
        due_at=due,
        resumes=order.status,
        successor=successor.id,
    )
    advance(book, rules, now)
    return standing(book, successor)


def activate_legs(book: Book, parent: Order, at: dt.datetime) -> list[Order]:
    """The parent is filled whole: its legs go to the market; the stop of a bracket stays `held`, and yet works.

    One that is just being replaced works as it was until then, and what replaces it is no larger than the fill.
    """
    activated = []
    for leg in list(book.legs(parent)):
        if leg.status is Status.HELD:
            leg = book.change(leg, live_from=at, qty=parent.filled_qty)
            activated.append(leg if is_second(leg) else book.happen(leg, Event.NEW, at))
        elif leg.status is Status.PENDING_REPLACE:
            successor = None if leg.successor is None else book.order(leg.successor)
            assert successor is not None
            book.change(successor, qty=parent.filled_qty)
            resumes = leg.resumes if is_second(leg) else Status.NEW
            activated.append(book.change(leg, live_from=at, qty=parent.filled_qty, resumes=resumes))
    return activated


def settle_pair(book: Book, rules: ExchangeRules, order: Order, at: dt.datetime) -> None:
    """`order` was filled, perhaps in part: its sibling shrinks by as much, or ends with it."""
    for other in siblings(book, order):
        if order.status is Status.FILLED:
            silent = rules.silent_pair_cancel and order.type is Type.LIMIT
            _end(book, other, Event.CANCELED, at, silent=silent)
        else:
            book.change(other, qty=other.filled_qty + order.remaining)


def end_group(book: Book, ended: Order, at: dt.datetime) -> None:
    """`ended` was cancelled or ran out: so does all else of its group that is still open."""
    if not ended.is_complex:
        return
    parent = standing(book, ended) if ended.parent is None else book.order(ended.parent)
    assert parent is not None
    for other in (parent, *book.legs(parent)):
        if other.is_open and not waits_to_replace(book, other):
            _end(book, other, Event.CANCELED, at)


def reject_successor(book: Book, order: Order, at: dt.datetime) -> bool:
    """`order` ended, or has filled too much, before its replacement took place: the new order is rejected.

    Returns whether there was one.
    """
    successor = None if order.successor is None else book.order(order.successor)
    if successor is None or not successor.is_open or order.status is Status.REPLACED:
        return False
    book.happen(successor, Event.REJECTED, at, failed_at=at, due_at=None)
    return True


def reject(book: Book, order: Order, at: dt.datetime) -> None:
    """The market refuses an order that the broker had accepted."""
    end_group(book, book.happen(order, Event.REJECTED, at, failed_at=at, due_at=None, live_from=None), at)


def standing(book: Book, order: Order) -> Order:
    """`order` as it is now."""
    found = book.order(order.id)
    assert found is not None
    return found


def _legs_of(book: Book, parent: Order, terms: Terms) -> list[Order]:
    """Legs as the broker makes them, with ids of its own; held until the parent is filled."""

    def leg(name: str, kind: Type, limit: Decimal | None, stop: Decimal | None, number: int) -> Order:
        client_order_id = name_uuid(book.account.salt, "leg", parent.client_order_id, name)
        return msgspec.structs.replace(
            parent,
            id=name_uuid(book.account.salt, "order", client_order_id),
            number=parent.number + number,
            client_order_id=client_order_id,
            side=parent.side if parent.order_class is OrderClass.OCO else parent.side.opposite,
            type=kind,
            limit_price=limit,
            stop_price=stop,
            status=Status.HELD,
            parent=parent.id,
            legs=(),
            live_from=None,
            due_at=None,
        )

    legs = []
    if terms.take_profit is not None and parent.order_class is not OrderClass.OCO:
        legs.append(leg("take profit", Type.LIMIT, terms.take_profit, None, 1))
    if terms.stop_loss is not None:
        kind = Type.STOP if terms.stop_loss_limit is None else Type.STOP_LIMIT
        legs.append(leg("stop loss", kind, terms.stop_loss_limit, terms.stop_loss, 1 + len(legs)))
    return legs


def _come_due(book: Book, rules: ExchangeRules, order: Order, at: dt.datetime) -> None:
    match order.status:
        case Status.PENDING_NEW | Status.ACCEPTED:
            _acknowledge(book, order, at)
        case Status.PENDING_CANCEL:
            end_group(book, _end(book, order, Event.CANCELED, at), at)
        case Status.PENDING_REPLACE:
            _finish_replace(book, rules, order, at)
        case _:
            book.change(order, due_at=None)  # it was filled, or restored, while something was due


def _acknowledge(book: Book, order: Order, at: dt.datetime) -> None:
    assert order.live_from is not None
    live_from = max(order.live_from, at)
    order = book.happen(order, Event.NEW, at, live_from=live_from, due_at=None)
    if order.order_class is OrderClass.OCO:
        for leg in list(book.legs(order)):
            book.change(leg, live_from=live_from)


def _finish_replace(book: Book, rules: ExchangeRules, old: Order, at: dt.datetime) -> None:
    assert old.successor is not None
    successor = book.order(old.successor)
    assert successor is not None
    assert successor.qty is not None
    qty = successor.qty if rules.replace_of_partial == "total" else successor.qty - old.filled_qty
    if qty <= 0:
        status = Status.PARTIALLY_FILLED if old.filled_qty else old.resumes
        old = book.happen(old, Event.REPLACE_REJECTED, at, status=status, due_at=None)
        reject_successor(book, old, at)
        return
    live_from = None if old.live_from is None else max(old.live_from, at)
    book.happen(
        old,
        Event.REPLACED,
        at,
        replaced_at=at,
        replaced_by=successor.id,
        live_from=None,
        due_at=None,
    )
    successor = book.change(successor, qty=qty, live_from=live_from, legs=old.legs)
    _take_place_in_group(book, old, successor)
    if successor.status is not Status.HELD or (live_from is not None and not is_second(successor)):
        book.happen(successor, Event.NEW, at)


def _take_place_in_group(book: Book, old: Order, successor: Order) -> None:
    if old.parent is not None:
        parent = book.order(old.parent)
        assert parent is not None
        book.change(parent, legs=(*parent.legs, successor.id))
    for leg in list(book.legs(successor)):
        book.change(leg, parent=successor.id, qty=successor.qty if leg.status is Status.HELD else leg.qty)
    for other in siblings(book, successor):
        book.change(other, qty=successor.qty)


def _end(book: Book, order: Order, event: Event, at: dt.datetime, *, silent: bool = False) -> Order:
    """`order` is cancelled or expires; a replacement under way comes too late."""
    ended = book.happen(
        order,
        event,
        at,
        silent=silent,
        live_from=None,
        due_at=None,
        expired_at=at if event is Event.EXPIRED else None,
        canceled_at=at if event is Event.CANCELED else None,
    )
    reject_successor(book, ended, at)
    return ended


def _end_of_time(order: Order) -> Event:
    return Event.CANCELED if order.time_in_force is Tif.GTC else Event.EXPIRED
