"""Rows of the ledger and messages of the bus, in few words. 2026-01-13: 14:30 to 21:00 UTC."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from services.dashboard.rows import Held, LedgerView, Money, Story, Working
from shared.contracts.market import Bar, Bars
from shared.contracts.views import AccountChanged
from shared.contracts.vocabulary import HaltLevel, OrderKind, Side, StopMode, TrimState

SESSION = dt.date(2026, 1, 13)
OPEN = dt.datetime(2026, 1, 13, 14, 30, tzinfo=dt.UTC)
CLOSE = dt.datetime(2026, 1, 13, 21, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def held(**changes: Any) -> Held:
    """100 AAPL bought at 10.00 with the stop at 9.50; R1 10.50, R2 11.00."""
    fields: dict[str, Any] = {
        "position_id": "e7f3-260113-AAPL-entry-1",
        "symbol": "AAPL",
        "qty": 100,
        "bought": 100,
        "avg_price": Decimal("10.00"),
        "realized": Decimal(0),
        "pivot": 9.9,
        "r1": 10.5,
        "r2": 11.0,
        "stop": Decimal("9.50"),
        "stop_mode": StopMode.OPEN,
        "r1_state": TrimState.OPEN,
        "r2_state": TrimState.OPEN,
        "entered_at": OPEN,
        "unprotected_since": None,
        "first_stop": Decimal("9.50"),
        "resting": 100,
    }
    return Held(**{**fields, **changes})


def working(kind: OrderKind = OrderKind.ENTRY, symbol: str = "MSFT", qty: int = 30, **changes: Any) -> Working:
    fields: dict[str, Any] = {
        "client_order_id": f"e7f3-260113-{symbol}-{kind}-1",
        "symbol": symbol,
        "kind": kind,
        "side": Side.BUY if kind is OrderKind.ENTRY else Side.SELL,
        "type": "limit",
        "qty": qty,
        "filled_qty": 0,
        "limit_price": Decimal("20.00"),
        "stop_price": None,
        "status": "accepted",
        "resting": True,
        "planned_at": OPEN,
    }
    return Working(**{**fields, **changes})


def money(**changes: Any) -> Money:
    fields: dict[str, Any] = {
        "account_number": "PA1",
        "cash": Decimal(99_000),
        "equity": Decimal(100_100),
        "opening_equity": Decimal(100_000),
        "peak_equity": Decimal(100_100),
        "blocked": False,
        "halt": HaltLevel.NONE,
        "armed": False,
        "stopped": "",
        "entry_orders": 1,
    }
    return Money(**{**fields, **changes})


def view(**changes: Any) -> LedgerView:
    fields: dict[str, Any] = {
        "session": SESSION,
        "opens_at": OPEN,
        "closes_at": CLOSE,
        "now": OPEN + 60 * MINUTE,
        "installation": "e7f3",
        "money": money(),
        "held": (),
        "closed": (),
        "orders": (),
        "unresolved": (),
        "candidates": (),
        "unprotected_share_seconds": 0.0,
        "foreign": (),
        "journal_end": 1,
    }
    return LedgerView(**{**fields, **changes})


def story(**changes: Any) -> Story:
    fields: dict[str, Any] = {
        "symbol": "AAPL",
        "session": SESSION,
        "opens_at": OPEN,
        "closes_at": CLOSE,
        "now": OPEN + 60 * MINUTE,
        "pivot": 9.9,
        "r1": 10.5,
        "r2": 11.0,
        "breakouts": (),
        "traded": (),
        "stops": (),
    }
    return Story(**{**fields, **changes})


def bars(minute: int, close: float, symbol: str = "AAPL", session: dt.datetime = OPEN) -> Bars:
    """The bar of one symbol that starts `minute` minutes after the opening: 0.10 up and down around its close."""
    start = session + minute * MINUTE
    row = Bar(symbol, close, close + 0.1, close - 0.1, close, 1000.0)
    return Bars(id=f"bars-{start}", at=start + MINUTE, partition=0, minute=start, rows=(row,))


def account(minute: int, equity: int, cash: int, session: dt.date = SESSION) -> AccountChanged:
    at = OPEN + minute * MINUTE
    return AccountChanged(
        id=f"account-{minute}",
        at=at,
        session=session,
        cash=Decimal(cash),
        equity=Decimal(equity),
        opening_equity=Decimal(100_000),
        peak_equity=Decimal(100_000),
        halt=HaltLevel.NONE,
        armed=False,
        open_positions=0,
        entry_orders=0,
    )
