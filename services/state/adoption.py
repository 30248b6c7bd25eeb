"""Orders at the broker that the ledger does not know and that are ours: taken in, with what they sold.

They come out of a restored backup, of a person who changed an order of ours, or who sold shares of ours.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.state import fills, reports
from services.state.model import Order
from services.state.unit import Unit
from shared.contracts import ids
from shared.contracts.orders import BrokerFill, BrokerOrder
from shared.contracts.vocabulary import OrderClass, OrderKind, OrderType, Side, Status

_NAME: Final = re.compile(
    r"(?P<installation>[a-z0-9]{1,6})-(?P<session>\d{6})-(?P<symbol>[A-Z0-9.\-]+)-(?P<kind>[a-z]+)-(?P<number>\d+)\Z"
)


def adopt(unit: Unit, seen: BrokerOrder, at: dt.datetime) -> bool:
    """Take in an order of ours that the ledger does not know (a restored backup), or one that replaced ours by hand."""
    replaced = unit.store.order_by_broker_id(seen.replaces) if seen.replaces else None
    name = _name_of(seen.client_order_id)
    if name is not None and name["installation"] == unit.store.installation:
        order = _own(unit, seen, name, at)
    elif replaced is not None:
        order = _changed_by_hand(unit, seen, replaced, at)
    else:
        return False
    text = f"{order.client_order_id} stands at the broker ({seen.status}) and was not in the ledger; taken in"
    _take_in(unit, order, seen, at)
    unit.alert("warning", f"adopted-{order.client_order_id}", text, symbol=order.symbol)
    return True


def installation_of(client_order_id: str) -> str:
    """The installation whose name of an order this is; empty where it is none of this program's."""
    name = _name_of(client_order_id)
    return name["installation"] if name is not None else ""


def _name_of(client_order_id: str) -> re.Match[str] | None:
    """Its parts; None where no installation of this program gives such a name."""
    name = _NAME.match(client_order_id)
    return name if name is not None and _kind(name["kind"]) is not None else None


def _take_in(unit: Unit, order: Order, seen: BrokerOrder, at: dt.datetime) -> None:
    """Write `order`, and fold what the broker shows of it."""
    unit.store.record_order_once(order)
    reports.see(unit, seen, seen.status, at)


def book_sales_by_hand(
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
        sales = [seen for seen in orders if seen.broker_id in theirs and not _NAME.match(seen.client_order_id)]
        whole = all(fill.qty == int(fill.qty) for fill in sold)
        if not whole or len(sales) != len(theirs) or sum((fill.qty for fill in sold), Decimal(0)) != -item.qty:
            continue
        for seen in sorted(sales, key=lambda one: one.broker_id):
            _take_sale(unit, seen, seen.updated_at or at)
        fills.book_all(unit, tuple(sold))
        unit.store.drop_foreign(item.kind, item.name)
        unit.touch(item.symbol)


def _take_sale(unit: Unit, seen: BrokerOrder, at: dt.datetime) -> None:
    session = unit.store.last_session()
    assert session is not None, seen.broker_id
    number = unit.store.next_order_number(session.session, seen.symbol, OrderKind.EXIT)
    name = ids.client_order_id(unit.store.installation, session.session, seen.symbol, OrderKind.EXIT, number)
    order = replace(_row(seen, name, session.session, OrderKind.EXIT, parent="", at=at), note="sold at the broker")
    text = f"{seen.filled_qty} {seen.symbol} of ours were sold at the broker by hand; booked as {name}"
    _take_in(unit, order, seen, at)
    unit.alert("warning", f"by-hand-{seen.broker_id}", text, symbol=seen.symbol)


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
