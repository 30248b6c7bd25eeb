"""A small day as both sides tell it: an entry of 10 with its leg, a trim of 4 at R1, the stop made smaller before."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from cli.auditor.views import (
    ActionRow,
    BrokerView,
    CandidateRow,
    EntryIntentRow,
    Executed,
    ExitIntentRow,
    FillRow,
    Held,
    JournalRow,
    LedgerView,
    OrderRow,
    PositionRow,
    Sent,
    SessionRow,
    VerdictRow,
)

OPEN = dt.datetime(2019, 7, 2, 13, 30, tzinfo=dt.UTC)
CLOSE = dt.datetime(2019, 7, 2, 20, 0, tzinfo=dt.UTC)
SESSION = "2019-07-02"
ENTRY, LEG, STOP, TRIM = (
    "e7f3-190702-AAPL-entry-1",
    "e7f3-190702-AAPL-entry-1-stop",
    "e7f3-190702-AAPL-stop-1",
    "e7f3-190702-AAPL-trim-1",
)
CONFIRMED = "190702-AAPL-entry-021350"
TRIMMED = "190702-AAPL-r1-021420"
BAR = "bars-0-190702T1350"


def at(minute: int) -> dt.datetime:
    """`minute` minutes after the opening."""
    return OPEN + dt.timedelta(minutes=minute)


def sent(number: int, name: str, **fields: Any) -> Sent:
    """An order as the broker has it: a sell stop for 10 at 98, unless `fields` say otherwise."""
    usual: dict[str, Any] = {
        "id": f"b{number}",
        "number": number,
        "client_order_id": name,
        "symbol": "AAPL",
        "side": "sell",
        "type": "stop",
        "time_in_force": "gtc",
        "order_class": "",
        "status": "new",
        "qty": Decimal(10),
        "stop_price": Decimal("98.00"),
        "created_at": at(22),
    }
    return Sent(**{**usual, **fields})


def row(name: str, broker_id: str | None, **fields: Any) -> OrderRow:
    """The same order as the ledger has it."""
    usual: dict[str, Any] = {
        "client_order_id": name,
        "broker_id": broker_id,
        "session": SESSION,
        "symbol": "AAPL",
        "kind": "stop",
        "side": "sell",
        "type": "stop",
        "time_in_force": "gtc",
        "order_class": "simple",
        "qty": 10,
        "limit_price": None,
        "stop_price": Decimal("98.00"),
        "leg_stop_price": None,
        "status": "accepted",
        "resting": 1,
        "filled_qty": 0,
        "filled_value": Decimal(0),
        "parent": "",
        "intent": "",
        "cause": CONFIRMED,
        "planned_at": at(22),
        "ended_at": None,
        "in_flight": "",
        "note": "",
    }
    return OrderRow(**{**usual, **fields})


def broker() -> BrokerView:
    """What the exchange's book says at the end."""
    return BrokerView(
        orders=(
            sent(
                0,
                ENTRY,
                side="buy",
                type="limit",
                order_class="oto",
                status="filled",
                limit_price=Decimal("100.10"),
                stop_price=None,
                filled_qty=Decimal(10),
                legs=("b1", "b2"),
                created_at=at(22),
                filled_at=at(23),
            ),
            sent(1, "made-by-the-broker", status="replaced", parent="b0", replaced_at=at(50), replaced_by="b2"),
            sent(2, STOP, qty=Decimal(6), parent="b0", replaces="b1", created_at=at(50)),
            sent(
                3,
                TRIM,
                type="limit",
                time_in_force="day",
                qty=Decimal(4),
                status="filled",
                limit_price=Decimal("103.00"),
                stop_price=None,
                filled_qty=Decimal(4),
                created_at=at(50),
                filled_at=at(51),
            ),
        ),
        executions=(
            Executed(
                id="x1",
                number=1,
                order_id="b0",
                symbol="AAPL",
                side="buy",
                qty=Decimal(10),
                price=Decimal("100.05"),
                at=at(23),
            ),
            Executed(
                id="x2",
                number=2,
                order_id="b3",
                symbol="AAPL",
                side="sell",
                qty=Decimal(4),
                price=Decimal("103.10"),
                at=at(51),
            ),
        ),
        positions=(Held(symbol="AAPL", qty=Decimal(6), avg_price=Decimal("100.05")),),
        cash=Decimal("99411.90"),
        opening_cash=Decimal(100_000),
    )


def ledger() -> LedgerView:
    """What the ledger says at the end: the same."""
    return LedgerView(
        installation="e7f3",
        cash=Decimal("99411.90"),
        orders=(
            row(
                ENTRY,
                "b0",
                kind="entry",
                side="buy",
                type="limit",
                order_class="oto",
                limit_price=Decimal("100.10"),
                stop_price=None,
                leg_stop_price=Decimal("98.00"),
                status="filled",
                resting=0,
                filled_qty=10,
                filled_value=Decimal("1000.50"),
                intent=CONFIRMED,
                cause=CONFIRMED,
            ),
            row(LEG, "b1", status="replaced", resting=0, parent=ENTRY, cause=ENTRY),
            row(STOP, "b2", qty=6, parent=LEG, cause=TRIMMED, planned_at=at(50)),
            row(
                TRIM,
                "b3",
                kind="trim",
                type="limit",
                time_in_force="day",
                qty=4,
                limit_price=Decimal("103.00"),
                stop_price=None,
                status="filled",
                resting=0,
                filled_qty=4,
                filled_value=Decimal("412.40"),
                intent=TRIMMED,
                cause=TRIMMED,
                planned_at=at(50),
            ),
        ),
        fills=(
            fill("x1", ENTRY, "b0", "buy", 10, "100.05", 23),
            fill("x2", TRIM, "b3", "sell", 4, "103.10", 51),
        ),
        positions=(
            PositionRow(
                position_id=ENTRY,
                symbol="AAPL",
                qty=6,
                bought=10,
                sold=4,
                avg_price=Decimal("100.05"),
                stop=Decimal("98.00"),
                entered_at=at(23),
                closed_at=None,
                cause=CONFIRMED,
            ),
        ),
        entries=(
            EntryIntentRow(
                id=CONFIRMED,
                symbol="AAPL",
                strategy="boh",
                session=SESSION,
                confirmed_at=at(20),
                cause=BAR,
                due=at(22),
                status="done",
                reason="admitted",
                judged_at=at(22),
                shares=10,
            ),
        ),
        exits=(
            ExitIntentRow(
                id=TRIMMED,
                symbol="AAPL",
                position_id=ENTRY,
                kind="trim",
                at=at(50),
                cause="bars-0-190702T1420",
                status="done",
            ),
        ),
        verdicts=(
            *(verdict("AAPL", 10 * place, "signals", "no_break") for place in range(1, 40)),
            verdict("AAPL", 22, "due", "admitted", cause=CONFIRMED),
        ),
        candidates=(
            CandidateRow(symbol="AAPL", strategy="boh", session=SESSION, active=1, since=OPEN, expires_at=None),
        ),
        sessions=(SessionRow(session=SESSION, opens_at=OPEN, closes_at=CLOSE, opening_equity=Decimal(100_000)),),
        actions=(
            ActionRow(id=ENTRY, kind="submit", symbol="AAPL", order_id=ENTRY, target="", status="done", grants=1),
        ),
        journal=(
            line(1, "order_planned", 22, order=ENTRY),
            line(2, "fill", 23, order=ENTRY),
            line(3, "fill", 51, order=TRIM),
        ),
        decided={0: CLOSE},
    )


def fill(execution: str, order: str, broker_id: str, side: str, qty: int, price: str, minute: int) -> FillRow:
    return FillRow(
        execution_id=execution,
        client_order_id=order,
        broker_order_id=broker_id,
        symbol="AAPL",
        side=side,
        qty=qty,
        price=Decimal(price),
        at=at(minute),
        position_id=ENTRY,
    )


def verdict(symbol: str, minute: int, stage: str, reason: str, cause: str = BAR) -> VerdictRow:
    return VerdictRow(
        session=SESSION, symbol=symbol, at=at(minute), stage=stage, outcome="refused", reason=reason, cause=cause
    )


def line(seq: int, kind: str, minute: int, *, order: str = "", text: str = "", cause: str = "") -> JournalRow:
    return JournalRow(seq=seq, at=at(minute), kind=kind, symbol="AAPL", order_id=order, cause=cause, text=text)
