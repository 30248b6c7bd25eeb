"""A small ledger: AAPL bought, trimmed and held; FB judged and refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

from services.state.model import Account, Candidate, EntryRow, ExitRow, IntentStatus, Order, Position
from services.state.records import FillRow, SessionRow, VerdictRow
from services.state.store import Store
from shared.contracts.vocabulary import (
    HaltLevel,
    OrderClass,
    OrderKind,
    OrderType,
    Reason,
    Side,
    Status,
    StopMode,
    TimeInForce,
    TrimState,
)

SESSION = dt.date(2015, 2, 11)
OPEN = dt.datetime(2015, 2, 11, 14, 30, tzinfo=dt.UTC)
CLOSE = dt.datetime(2015, 2, 11, 21, 0, tzinfo=dt.UTC)
ENTRY = "e7f3-150211-AAPL-entry-1"


def at(hour: int, minute: int) -> dt.datetime:
    """That time of the session, UTC."""
    return dt.datetime(2015, 2, 11, hour, minute, tzinfo=dt.UTC)


def make_ledger(path: Path) -> None:
    """Write it."""
    store = Store.open(path)
    with store.transaction():
        store.set_note("now", CLOSE.isoformat())
        store.upsert_session(
            SessionRow(
                session=SESSION,
                opens_at=OPEN,
                closes_at=CLOSE,
                early=False,
                previous=dt.date(2015, 2, 10),
                following=dt.date(2015, 2, 12),
                following_opens_at=OPEN + dt.timedelta(days=1),
                opening_equity=Decimal("100000.00"),
            )
        )
        store.put_account(account())
        for symbol in ("AAPL", "FB"):
            store.upsert_candidate(candidate(symbol))
        store.put_verdicts(verdicts())
        store.put_entry_intent(entry_intent())
        store.put_exit_intent(trim_intent())
        for row in orders():
            store.record_order_once(row)
        for fill in fills():
            store.book_fill(fill)
        store.upsert_position(position())
    store.close()


def account() -> Account:
    return Account(
        session=SESSION,
        account_number="PA1",
        cash=Decimal("95045.00"),
        opening_equity=Decimal("100000.00"),
        equity=Decimal("100085.00"),
        peak_equity=Decimal("100085.00"),
        buying_power=Decimal("190000.00"),
        blocked=False,
        halt=HaltLevel.NONE,
        armed=False,
        stopped="",
        entry_orders=1,
    )


def candidate(symbol: str) -> Candidate:
    return Candidate(
        symbol=symbol,
        strategy="boh",
        source="watchlist",
        session=SESSION,
        active=True,
        since=OPEN,
        expires_at=None,
        pivot=None,
        stop=None,
        r1=None,
        r2=None,
        sector="",
        spent=symbol == "AAPL",
        released_at=None,
        note="",
    )


def verdicts() -> list[VerdictRow]:
    told = [
        ("AAPL", at(14, 50), "signals", "refused", Reason.NO_BREAK),
        ("FB", at(14, 50), "signals", "refused", Reason.NO_BREAK),
        ("AAPL", at(15, 0), "signals", "confirmed", Reason.CONFIRMED),
        ("FB", at(15, 0), "signals", "refused", Reason.REGIME_SYMBOL),
        ("AAPL", at(15, 2), "due", "admitted", Reason.ADMITTED),
    ]
    return [
        VerdictRow(
            session=SESSION,
            symbol=symbol,
            at=when,
            strategy="boh",
            stage=stage,
            outcome=outcome,
            reason=reason.value,
            figures={"pivot": 123.5, "hold_close": 124.25},
            cause="bars-1",
        )
        for symbol, when, stage, outcome, reason in told
    ]


def entry_intent() -> EntryRow:
    return EntryRow(
        id="150211-AAPL-entry-111500",
        symbol="AAPL",
        strategy="boh",
        session=SESSION,
        confirmed_at=at(15, 0),
        confirm_close=124.25,
        pivot=123.5,
        r1=125.0,
        r2=126.5,
        first_stop=121.0,
        swing_low=121.1,
        scan_stop=None,
        atr_pct=1.5,
        dist_pct=2.0,
        sector="",
        cause="bars-1",
        due=at(15, 2),
        status=IntentStatus.DONE,
        reason="admitted",
        judged_at=at(15, 2),
        reference=124.3,
        limit_price=Decimal("124.35"),
        stop_price=Decimal("121.00"),
        shares=80,
    )


def trim_intent() -> ExitRow:
    return ExitRow(
        id="150211-AAPL-trim-111600",
        symbol="AAPL",
        position_id=ENTRY,
        kind="trim",
        at=at(16, 0),
        reason="r1",
        cause="bars-2",
        status=IntentStatus.DONE,
        level="r1",
        fraction=0.5,
        price=125.4,
        shares=40,
        sold=40,
    )


def orders() -> list[Order]:
    return [
        order(ENTRY, OrderKind.ENTRY, OrderType.LIMIT, 80, 80, "9944.00", Status.FILLED, at(15, 2)),
        order(f"{ENTRY}-stop", OrderKind.STOP, OrderType.STOP, 80, 0, "0", Status.REPLACED, at(15, 2)),
        order("e7f3-150211-AAPL-stop-1", OrderKind.STOP, OrderType.STOP, 40, 0, "0", Status.ACCEPTED, at(16, 0)),
        order("e7f3-150211-AAPL-trim-1", OrderKind.TRIM, OrderType.LIMIT, 40, 40, "5014.00", Status.FILLED, at(16, 0)),
    ]


def order(
    name: str, kind: OrderKind, type_: OrderType, qty: int, filled: int, value: str, status: Status, when: dt.datetime
) -> Order:
    intents = {OrderKind.ENTRY: "150211-AAPL-entry-111500", OrderKind.TRIM: "150211-AAPL-trim-111600"}
    return Order(
        client_order_id=name,
        broker_id=f"b-{name}",
        session=SESSION,
        symbol="AAPL",
        kind=kind,
        side=Side.BUY if kind is OrderKind.ENTRY else Side.SELL,
        type=type_,
        time_in_force=TimeInForce.GTC,
        order_class=OrderClass.OTO if kind is OrderKind.ENTRY else OrderClass.SIMPLE,
        qty=qty,
        limit_price=Decimal("124.35") if type_ is OrderType.LIMIT else None,
        stop_price=Decimal("121.00") if type_ is OrderType.STOP else None,
        leg_stop_price=Decimal("121.00") if kind is OrderKind.ENTRY else None,
        status=status,
        broker_status=status,
        resting=status is Status.ACCEPTED,
        filled_qty=filled,
        filled_value=Decimal(value),
        parent=ENTRY if name == f"{ENTRY}-stop" else "",
        intent=intents.get(kind, ""),
        cause="bars-1",
        planned_at=when,
        accepted_at=when,
        first_fill_at=when + dt.timedelta(minutes=1) if filled else None,
        ended_at=None,
        expires_at=None,
        in_flight="",
    )


def fills() -> list[FillRow]:
    told = [
        ("x1", ENTRY, Side.BUY, 80, "124.30", at(15, 3)),
        ("x2", "e7f3-150211-AAPL-trim-1", Side.SELL, 40, "125.35", at(16, 1)),
    ]
    return [
        FillRow(
            execution_id=name,
            client_order_id=owner,
            broker_order_id=f"b-{owner}",
            symbol="AAPL",
            side=side,
            qty=qty,
            price=Decimal(price),
            at=when,
            position_id=ENTRY,
            session=SESSION,
        )
        for name, owner, side, qty, price, when in told
    ]


def position() -> Position:
    return Position(
        position_id=ENTRY,
        symbol="AAPL",
        session=SESSION,
        strategy="boh",
        qty=40,
        bought=80,
        sold=40,
        avg_price=Decimal("124.30"),
        realized=Decimal("42.00"),
        pivot=123.5,
        r1=125.0,
        r2=126.5,
        stop=Decimal("124.30"),
        stop_mode=StopMode.OPEN,
        high_water=126.0,
        invalidations=0,
        r1_state=TrimState.DONE,
        r2_state=TrimState.OPEN,
        entered_at=at(15, 3),
        last_entry_fill_at=at(15, 3),
        last_exit_fill_at=at(16, 1),
        decided_through=CLOSE,
        unprotected_since=None,
        closed_at=None,
    )
