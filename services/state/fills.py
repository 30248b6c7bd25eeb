"""Executions into positions: each booked once by its execution id, whatever the order's status says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.state import intents
from services.state.model import EntryRow, ExitRow, IntentStatus, Order, Position
from services.state.records import FillRow
from services.state.unit import Unit
from shared.contracts.orders import BrokerFill
from shared.contracts.vocabulary import OrderKind, Side, StopMode, TrimState
from shared.domain.positions import Fill, Happening, Holding, Split, fold

UNEXPLAINED: Final = "unexplained"
OVERSOLD: Final = "oversold_shares"


def book(
    unit: Unit, order: Order, execution_id: str, broker_order_id: str, qty: Decimal, price: Decimal, at: dt.datetime
) -> Order:
    """`order` with one execution more, and with it its intent, its position and the account's cash.

    qty: shares; whole ones, or ValueError. price: dollars. An execution id that is known changes nothing.
    """
    shares = int(qty)
    if shares != qty or shares <= 0 or price <= 0:
        raise ValueError(f"execution {execution_id} of {qty} shares at {price}: not whole shares at a price")
    row = FillRow(
        execution_id=execution_id,
        client_order_id=order.client_order_id,
        broker_order_id=broker_order_id,
        symbol=order.symbol,
        side=order.side,
        qty=shares,
        price=price,
        at=at,
        position_id=_position_id(unit, order),
        session=order.session,
    )
    if not unit.store.book_fill(row):
        return order
    order = replace(
        order,
        filled_qty=order.filled_qty + shares,
        filled_value=order.filled_value + shares * price,
        first_fill_at=min(order.first_fill_at or at, at),
    )
    unit.store.update_order(order)
    unit.touch(order.symbol)
    _move_cash(unit, row)
    _sold_for_intent(unit, order, shares)
    _fold_position(unit, order, row)
    unit.journal(
        "fill",
        f"{order.client_order_id}: {order.side} {shares} at {price}; {order.filled_qty} of {order.qty} filled",
        symbol=order.symbol,
        order=order.client_order_id,
        cause=order.client_order_id,
        figures={"qty": shares, "price": float(price)},
        at=at,
    )
    return order


def book_all(unit: Unit, executions: tuple[BrokerFill, ...]) -> None:
    """Book those of orders that the ledger knows; a part of a share cannot be booked, which a person is told."""
    for fill in sorted(executions, key=lambda one: (one.at, one.execution_id)):
        order = unit.store.order_by_broker_id(fill.broker_order_id)
        if order is not None and fill.qty != int(fill.qty):
            text = f"{order.client_order_id}: an execution of {fill.qty} shares, and only whole shares can be booked"
            unit.alert_once("critical", f"fraction-{fill.execution_id}", text, symbol=order.symbol)
        elif order is not None:
            book(unit, order, fill.execution_id, fill.broker_order_id, fill.qty, fill.price, fill.at)


def _position_id(unit: Unit, order: Order) -> str:
    if order.kind is OrderKind.ENTRY:
        return order.client_order_id
    held = unit.store.open_position(order.symbol) or unit.store.last_position(order.symbol)
    return held.position_id if held is not None else UNEXPLAINED


def _move_cash(unit: Unit, fill: FillRow) -> None:
    account = unit.store.account()
    amount = fill.qty * fill.price
    unit.store.put_account(replace(account, cash=account.cash + (amount if fill.side is Side.SELL else -amount)))


def _sold_for_intent(unit: Unit, order: Order, shares: int) -> None:
    """An entry intent that was filled is done; trims and exits count what they sold."""
    if order.kind is OrderKind.ENTRY:
        entry = unit.store.entry_intent(order.intent)
        if entry is not None and entry.status is not IntentStatus.DONE:
            unit.store.update_entry_intent(replace(entry, status=IntentStatus.DONE))
        return
    wanted = unit.store.exit_intent(order.intent) if order.intent else None
    if wanted is not None and wanted.kind != "stop":
        unit.store.update_exit_intent(replace(wanted, sold=wanted.sold + shares))


def _fold_position(unit: Unit, order: Order, last: FillRow) -> None:
    if last.position_id == UNEXPLAINED:
        _tell_oversold(unit, order, last, last.qty)
        return
    before = unit.store.position(last.position_id)
    holding = holding_of(unit, last.position_id)
    if holding.oversold:
        _tell_oversold(unit, order, last, holding.oversold)
    position = _changed(before, holding) if before is not None else _opened(unit, order, holding)
    unit.store.upsert_position(position)
    if position.qty == 0:
        _end_intents(unit, position, last.at)


def holding_of(unit: Unit, position_id: str) -> Holding:
    """What all executions of a position, and the splits between them, add up to."""
    happenings: list[Happening] = [_fill(row) for row in unit.store.fills_of_position(position_id)]
    happenings += [Split(new=row.new, old=row.old, at=row.at) for row in unit.store.splits_of(position_id)]
    happenings.sort(key=lambda happening: happening.at)
    return fold(happenings, _adopted(unit.store.position(position_id)))


def _tell_oversold(unit: Unit, order: Order, last: FillRow, shares: int) -> None:
    """More was sold than was held: no dollar of it is booked, and a person must look."""
    unit.store.set_note(OVERSOLD, str(int(unit.store.note(OVERSOLD) or 0) + min(shares, last.qty)))
    unit.alert(
        "critical",
        f"oversold-{last.symbol}",
        f"{order.client_order_id} sold {last.qty} {last.symbol}, {shares} more than was held",
        symbol=last.symbol,
        cause=order.client_order_id,
    )


def _fill(row: FillRow) -> Fill:
    return Fill(execution_id=row.execution_id, side=row.side, qty=row.qty, price=row.price, at=row.at)


def _adopted(position: Position | None) -> Holding | None:
    """Shares that were taken over have no executions of ours: the fold starts with them."""
    if position is None or not position.position_id.startswith("adopted-"):
        return None
    return Holding(
        bought=position.bought,
        paid=position.bought * position.avg_price,
        first_bought_at=position.entered_at,
        last_bought_at=position.last_entry_fill_at,
    )


def _opened(unit: Unit, order: Order, holding: Holding) -> Position:
    intent = unit.store.entry_intent(order.intent) if order.intent else None
    assert holding.first_bought_at is not None, order.client_order_id
    assert holding.last_bought_at is not None, order.client_order_id
    levels = _levels(intent)
    return Position(
        position_id=order.client_order_id,
        symbol=order.symbol,
        session=order.session,
        strategy=intent.strategy if intent else "",
        qty=holding.qty,
        bought=holding.bought,
        sold=holding.sold,
        avg_price=holding.avg_price,
        realized=holding.realized,
        pivot=levels[0],
        r1=levels[1],
        r2=levels[2],
        stop=order.leg_stop_price,
        stop_mode=StopMode.OPEN,
        high_water=float(holding.avg_price),
        invalidations=0,
        r1_state=TrimState.OPEN if levels[1] is not None else TrimState.DONE,
        r2_state=TrimState.OPEN if levels[2] is not None else TrimState.DONE,
        entered_at=holding.first_bought_at,
        last_entry_fill_at=holding.last_bought_at,
        last_exit_fill_at=None,
        decided_through=None,
        unprotected_since=None,
        closed_at=None,
        sector=intent.sector if intent else "",
        cause=order.intent,
    )


def _levels(intent: EntryRow | None) -> tuple[float | None, float | None, float | None]:
    return (intent.pivot, intent.r1, intent.r2) if intent is not None else (None, None, None)


def _changed(before: Position, holding: Holding) -> Position:
    assert holding.first_bought_at is not None, before.position_id
    assert holding.last_bought_at is not None, before.position_id
    average = holding.avg_price
    started = before.decided_through is not None  # from then on signals' marks say how high it went
    return replace(
        before,
        qty=holding.qty,
        bought=holding.bought,
        sold=holding.sold,
        avg_price=average,
        realized=holding.realized,
        high_water=before.high_water if started else float(average),
        entered_at=holding.first_bought_at,
        last_entry_fill_at=holding.last_bought_at,
        last_exit_fill_at=holding.last_sold_at,
        closed_at=holding.last_sold_at if holding.qty == 0 else None,
    )


def _end_intents(unit: Unit, position: Position, at: dt.datetime) -> None:
    """Nothing is left to sell: what was wanted of the position is over."""
    for wanted in unit.store.open_exit_intents(position.symbol):
        if wanted.position_id == position.position_id:
            intents.end_exit(unit, wanted, IntentStatus.DONE if _served(wanted) else IntentStatus.EXPIRED, at)


def _served(wanted: ExitRow) -> bool:
    return wanted.kind == "exit" or wanted.sold > 0
