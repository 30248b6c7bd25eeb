"""Rows for a report, short enough to work out by hand: one session of AAPL, 100 shares bought at 50.00, stop 49.00."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from cli.reporting.rows import Rows
from services.state.model import EntryRow, ExitRow, IntentStatus, Order, Position
from services.state.records import FillRow, SessionRow, VerdictRow
from shared.contracts.vocabulary import OrderKind, Side, Status, StopMode, TrimState
from shared.domain import calendar
from tests.unit.cli import ledgers

SESSION = dt.date(2015, 2, 11)
OPEN = dt.datetime(2015, 2, 11, 14, 30, tzinfo=dt.UTC)
CLOSE = dt.datetime(2015, 2, 11, 21, 0, tzinfo=dt.UTC)
ENTRY = "e7f3-150211-AAPL-entry-1"
LEG = f"{ENTRY}-stop"


def at(minutes: float) -> dt.datetime:
    """`minutes` after the opening."""
    return OPEN + dt.timedelta(minutes=minutes)


def session(day: dt.date = SESSION, opening: str | None = "100000") -> SessionRow:
    found, following = calendar.session(day), calendar.following(day)
    return SessionRow(
        session=day,
        opens_at=found.opens_at,
        closes_at=found.closes_at,
        early=False,
        previous=calendar.previous(day).session,
        following=following.session,
        following_opens_at=following.opens_at,
        opening_equity=Decimal(opening) if opening is not None else None,
    )


def fill(number: int, order: str, side: Side, qty: int, price: str, minutes: float, position: str = ENTRY) -> FillRow:
    return FillRow(
        execution_id=f"x{number}",
        client_order_id=order,
        broker_order_id=f"b-{order}",
        symbol="AAPL",
        side=side,
        qty=qty,
        price=Decimal(price),
        at=at(minutes),
        position_id=position,
        session=SESSION,
    )


def bought(qty: int = 100, price: str = "50.00", minutes: float = 30) -> FillRow:
    return fill(0, ENTRY, Side.BUY, qty, price, minutes)


def order(name: str, kind: OrderKind, qty: int = 100, **fields: Any) -> Order:
    """At the broker since minute 29, and still there."""
    usual = ledgers.orders()[1]
    side = Side.BUY if kind is OrderKind.ENTRY else Side.SELL
    made = replace(
        usual,
        client_order_id=name,
        kind=kind,
        side=side,
        qty=qty,
        filled_qty=0,
        parent="",
        intent="",
        status=Status.ACCEPTED,
        planned_at=at(29),
        accepted_at=at(29),
        ended_at=None,
        stop_price=Decimal("49.00") if kind is OrderKind.STOP else None,
    )
    return replace(made, **fields)


def entry_order(**fields: Any) -> Order:
    """Filled at minute 30."""
    usual = {"leg_stop_price": Decimal("49.00"), "status": Status.FILLED, "ended_at": at(30), "intent": "entry"}
    return order(ENTRY, OrderKind.ENTRY, **{**usual, **fields})


def leg(**fields: Any) -> Order:
    return order(LEG, OrderKind.STOP, **{"parent": ENTRY, **fields})


def position(name: str = ENTRY, minutes: float = 30, **fields: Any) -> Position:
    usual = replace(
        ledgers.position(),
        position_id=name,
        entered_at=at(minutes),
        last_entry_fill_at=at(minutes),
        closed_at=None,
        stop_mode=StopMode.OPEN,
        r1_state=TrimState.OPEN,
    )
    return replace(usual, **fields)


def entry(**fields: Any) -> EntryRow:
    usual = replace(
        ledgers.entry_intent(),
        id="entry",
        confirmed_at=at(20),
        confirm_close=49.9,
        reference=49.95,
        first_stop=49.0,
    )
    return replace(usual, **fields)


def leave(name: str, kind: str, price: float, reason: str = "invalidated") -> ExitRow:
    return ExitRow(
        id=name,
        symbol="AAPL",
        position_id=ENTRY,
        kind=kind,
        at=at(60),
        reason=reason,
        cause="bars-1",
        status=IntentStatus.DONE,
        price=price,
    )


def refusal(minutes: float = 60, reason: str = "regime_global", **figures: Any) -> VerdictRow:
    return VerdictRow(
        session=SESSION,
        symbol="AAPL",
        at=at(minutes),
        strategy="boh",
        stage="signals",
        outcome="refused",
        reason=reason,
        figures=figures,
        cause="decided-0",
    )


def rows(
    fills: Sequence[FillRow] = (),
    orders: Sequence[Order] = (),
    exits: Sequence[ExitRow] = (),
    refused: Sequence[VerdictRow] = (),
    sessions: Sequence[SessionRow] = (),
    closings: dict[dt.date, Decimal] | None = None,
    positions: Sequence[Position] | None = None,
    **fields: Any,
) -> Rows:
    """One position where there are fills."""
    days = tuple(sessions) or (session(),)
    if positions is None:
        positions = (position(),) if fills else ()
    usual: dict[str, Any] = {"splits": (), "unexplained": (), "entries": {"entry": entry()}, "now": days[-1].closes_at}
    return Rows(
        sessions=days,
        positions=tuple(positions),
        fills=tuple(fills),
        orders={one.client_order_id: one for one in orders},
        exits={one.id: one for one in exits},
        refused=tuple(refused),
        closings=closings or {},
        **{**usual, **fields},
    )
