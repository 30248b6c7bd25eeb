"""Short ways to write a symbol's book: 100 shares of ACME bought at 50.00, stop at 48.00, last close 51.00."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from services.state.model import ExitRow, IntentStatus, Market, Order, Position, SymbolBook
from shared.contracts.vocabulary import (
    HaltLevel,
    OrderClass,
    OrderKind,
    OrderType,
    Side,
    Status,
    StopMode,
    TimeInForce,
    TrimState,
)
from shared.domain.order_life import LIVE

DAY = dt.date(2026, 1, 9)
OPENS = dt.datetime(2026, 1, 9, 14, 30, tzinfo=dt.UTC)
CLOSES = dt.datetime(2026, 1, 9, 21, 0, tzinfo=dt.UTC)
NEXT_OPENS = dt.datetime(2026, 1, 12, 14, 30, tzinfo=dt.UTC)
ENTRY = "e7f3-260109-ACME-entry-1"
LEG = f"{ENTRY}-stop"


def at(clock: str) -> dt.datetime:
    """A time of the session's day, New York (five hours behind UTC on that day): `at("15:58")`."""
    hour, minute, *second = (int(part) for part in clock.split(":"))
    return OPENS.replace(hour=0, minute=0) + dt.timedelta(hours=hour + 5, minutes=minute, seconds=sum(second))


def market(clock: str = "11:00", halt: HaltLevel = HaltLevel.NONE, **changes: Any) -> Market:
    plain = Market(
        now=at(clock),
        session=DAY,
        opens_at=OPENS,
        closes_at=CLOSES,
        following_opens_at=NEXT_OPENS,
        halt=halt,
    )
    return replace(plain, **changes)


def position(qty: int = 100, stop: str | None = "48.00", **changes: Any) -> Position:
    plain = Position(
        position_id=ENTRY,
        symbol="ACME",
        session=DAY,
        strategy="boh",
        qty=qty,
        bought=100,
        sold=100 - qty,
        avg_price=Decimal("50.00"),
        realized=Decimal(0),
        pivot=49.5,
        r1=52.0,
        r2=54.0,
        stop=None if stop is None else Decimal(stop),
        stop_mode=StopMode.OPEN,
        high_water=51.0,
        invalidations=0,
        r1_state=TrimState.OPEN,
        r2_state=TrimState.OPEN,
        entered_at=at("10:00"),
        last_entry_fill_at=at("10:00"),
        last_exit_fill_at=None,
        decided_through=None,
        unprotected_since=None,
        closed_at=None,
        cause="bars-0-260109T1455",
    )
    return replace(plain, **changes)


def order(kind: OrderKind, qty: int = 100, name: str = "", **changes: Any) -> Order:
    """An order at work: a stop at 48.00, a limit at 51.00 otherwise. `name` is the end of its id."""
    stop = kind is OrderKind.STOP
    plain = Order(
        client_order_id=f"e7f3-260109-ACME-{name or f'{kind}-1'}",
        broker_id=f"broker-{name or kind}",
        session=DAY,
        symbol="ACME",
        kind=kind,
        side=Side.BUY if kind is OrderKind.ENTRY else Side.SELL,
        type=OrderType.STOP if stop else OrderType.LIMIT,
        time_in_force=TimeInForce.GTC if kind in (OrderKind.STOP, OrderKind.ENTRY) else TimeInForce.DAY,
        order_class=OrderClass.OTO if kind is OrderKind.ENTRY else OrderClass.SIMPLE,
        qty=qty,
        limit_price=None if stop else Decimal("51.00"),
        stop_price=Decimal("48.00") if stop else None,
        leg_stop_price=Decimal("48.00") if kind is OrderKind.ENTRY else None,
        status=Status.ACCEPTED,
        broker_status="new",
        resting=True,
        filled_qty=0,
        filled_value=Decimal(0),
        parent="",
        intent="",
        cause="bars-0-260109T1455",
        planned_at=at("10:00"),
        accepted_at=at("10:00"),
        first_fill_at=None,
        ended_at=None,
        expires_at=None,
        in_flight="",
    )
    return replace(plain, **changes)


def entry(**changes: Any) -> Order:
    return order(OrderKind.ENTRY, **changes)


def stop(qty: int = 100, price: str = "48.00", name: str = "stop-1", **changes: Any) -> Order:
    return order(OrderKind.STOP, qty, name, stop_price=Decimal(price), **changes)


def leg(qty: int = 100, price: str = "48.00", **changes: Any) -> Order:
    """The entry's own stop, as the broker made it."""
    return stop(qty, price, name="entry-1-stop", parent=ENTRY, **changes)


def held_leg(qty: int = 100) -> Order:
    return leg(qty, status=Status.SUBMITTED, broker_status="held", resting=False)


def trim_order(qty: int = 50, **changes: Any) -> Order:
    return order(OrderKind.TRIM, qty, intent="trim-r1", **changes)


def sale(qty: int = 100, **changes: Any) -> Order:
    return order(OrderKind.EXIT, qty, **{"intent": "leave", **changes})


def ended(order: Order, status: Status, clock: str = "10:59", **changes: Any) -> Order:
    return replace(
        order, status=status, broker_status=status.value, resting=False, in_flight="", ended_at=at(clock), **changes
    )


def intent(kind: str, name: str, clock: str = "11:00", **changes: Any) -> ExitRow:
    plain = ExitRow(
        id=name,
        symbol="ACME",
        position_id=ENTRY,
        kind=kind,
        at=at(clock),
        reason="",
        cause="bars-0-260109T1600",
        status=IntentStatus.PENDING,
        price=51.0,
    )
    return replace(plain, **changes)


def trim(level: str = "r1", fraction: float = 0.5, **changes: Any) -> ExitRow:
    return intent("trim", f"trim-{level}", level=level, fraction=fraction, **changes)


def leave(**changes: Any) -> ExitRow:
    return intent("exit", "leave", reason="invalidation", **changes)


def raise_to(price: str, name: str = "raise", **changes: Any) -> ExitRow:
    return intent("stop", name, stop=Decimal(price), reason="trail", **changes)


def book(*orders: Order, held: Position | None = None, close: float | None = 51.0, **changes: Any) -> SymbolBook:
    """Orders at work and ended ones, in any mix; `held` is the position."""
    plain = SymbolBook(
        symbol="ACME",
        position=held,
        orders=tuple(one for one in orders if one.status in LIVE),
        exits=(),
        halted=False,
        last_close=close,
        ended=tuple(one for one in orders if one.status not in LIVE),
    )
    return replace(plain, **changes)
