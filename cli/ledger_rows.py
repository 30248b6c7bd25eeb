"""The ledger's rows in the form in which commands print them; other programs rely on these fields."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from typing import Final

from msgspec import Struct

from cli.ledger import rows
from cli.picture import IN_ORDER
from services.state import store
from services.state.model import Candidate, EntryRow, ExitRow, Order, Position
from services.state.records import VerdictRow
from shared.contracts.decisions import Figure

PRICE_GRID: Final = Decimal("0.000001")


class CandidateView(Struct, frozen=True, kw_only=True):
    """A symbol that may be bought, or no longer may. at, reason: of its latest verdict; None before the first."""

    symbol: str
    strategy: str
    source: str
    session: dt.date
    active: bool
    spent: bool
    since: dt.datetime
    expires_at: dt.datetime | None
    sector: str
    note: str
    at: dt.datetime | None
    outcome: str | None
    reason: str | None


class IntentView(Struct, frozen=True, kw_only=True):
    """A decision. kind: entry, trim, stop or exit. at: when it was decided; due: when an entry may be sent; UTC.

    price: close that it was decided on; stop: where a stop is to lie; dollars. shares: ordered; sold: of those.
    """

    id: str
    kind: str
    symbol: str
    at: dt.datetime
    due: dt.datetime | None
    status: str
    reason: str
    price: float
    limit_price: Decimal | None
    stop: Decimal | None
    shares: int | None
    sold: int | None
    cause: str


class OrderView(Struct, frozen=True, kw_only=True):
    """An order. Dollars and shares. submitted_at: first seen at the broker, UTC; None before."""

    client_order_id: str
    broker_id: str | None
    symbol: str
    side: str
    type: str
    qty: int
    filled_qty: int
    filled_avg_price: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    intent: str
    parent: str
    cause: str
    submitted_at: dt.datetime | None


class PositionView(Struct, frozen=True, kw_only=True):
    """Shares held. Dollars. entered_at: first fill, UTC."""

    symbol: str
    qty: int
    avg_price: Decimal
    stop: Decimal | None
    stop_mode: str
    pivot: float | None
    r1: float | None
    r2: float | None
    high_water: float
    entered_at: dt.datetime


class VerdictView(Struct, frozen=True, kw_only=True):
    """Why, at `at` (UTC). figures: what the rule saw, by name."""

    at: dt.datetime
    symbol: str
    outcome: str
    reason: str
    figures: dict[str, Figure]


def candidates(database: sqlite3.Connection) -> list[CandidateView]:
    found = rows(database, store.CANDIDATES, "ORDER BY symbol, strategy")
    return [_candidate(candidate, _last_verdict(database, candidate)) for candidate in found]


def intents(database: sqlite3.Connection, session: dt.date | None = None) -> list[IntentView]:
    """In the order in which they were decided, of one session or all."""
    where, values = _of_session("session = ?", session)
    entries = [_entry(row) for row in rows(database, store.ENTRIES, where, *values)]
    where, values = _of_session("date(at) = ?", session)
    exits = [_exit(row) for row in rows(database, store.EXITS, where, *values)]
    return sorted([*entries, *exits], key=lambda intent: (intent.at, intent.id))


def orders(database: sqlite3.Connection, session: dt.date | None = None) -> list[OrderView]:
    """In the order in which they were planned, of one session or all."""
    where, values = _of_session("session = ?", session)
    found = rows(database, store.ORDERS, f"{where} ORDER BY planned_at, client_order_id", *values)
    return [order_view(order) for order in found]


def positions(database: sqlite3.Connection) -> list[PositionView]:
    """What is held now."""
    return [_position(position) for position in rows(database, store.POSITIONS, "WHERE qty > 0 ORDER BY symbol")]


def verdicts(database: sqlite3.Connection, symbol: str, session: dt.date) -> list[VerdictView]:
    found = rows(database, store.VERDICTS, f"WHERE symbol = ? AND session = ? {IN_ORDER}", symbol, session.isoformat())
    return [
        VerdictView(at=row.at, symbol=row.symbol, outcome=row.outcome, reason=row.reason, figures=row.figures)
        for row in found
    ]


def sessions_of(database: sqlite3.Connection) -> list[dt.date]:
    """Every session that the ledger has, oldest first."""
    return [row.session for row in rows(database, store.SESSIONS, "ORDER BY session")]


def _of_session(condition: str, session: dt.date | None) -> tuple[str, tuple[str, ...]]:
    return (f"WHERE {condition}", (session.isoformat(),)) if session is not None else ("", ())


def _last_verdict(database: sqlite3.Connection, candidate: Candidate) -> VerdictRow | None:
    found = rows(
        database,
        store.VERDICTS,
        f"WHERE session = ? AND symbol = ? AND strategy = ? {IN_ORDER}",
        candidate.session.isoformat(),
        candidate.symbol,
        candidate.strategy,
    )
    return found[-1] if found else None


def _candidate(row: Candidate, verdict: VerdictRow | None) -> CandidateView:
    return CandidateView(
        symbol=row.symbol,
        strategy=row.strategy,
        source=row.source,
        session=row.session,
        active=row.active,
        spent=row.spent,
        since=row.since,
        expires_at=row.expires_at,
        sector=row.sector,
        note=row.note,
        at=verdict.at if verdict is not None else None,
        outcome=verdict.outcome if verdict is not None else None,
        reason=verdict.reason if verdict is not None else None,
    )


def _entry(row: EntryRow) -> IntentView:
    return IntentView(
        id=row.id,
        kind="entry",
        symbol=row.symbol,
        at=row.confirmed_at,
        due=row.due,
        status=row.status,
        reason=row.reason,
        price=row.confirm_close,
        limit_price=row.limit_price,
        stop=row.stop_price,
        shares=row.shares,
        sold=None,
        cause=row.cause,
    )


def _exit(row: ExitRow) -> IntentView:
    return IntentView(
        id=row.id,
        kind=row.kind,
        symbol=row.symbol,
        at=row.at,
        due=None,
        status=row.status,
        reason=row.reason,
        price=row.price,
        limit_price=None,
        stop=row.stop,
        shares=row.shares,
        sold=row.sold,
        cause=row.cause,
    )


def order_view(row: Order) -> OrderView:
    return OrderView(
        client_order_id=row.client_order_id,
        broker_id=row.broker_id,
        symbol=row.symbol,
        side=row.side,
        type=row.type,
        qty=row.qty,
        filled_qty=row.filled_qty,
        filled_avg_price=(row.filled_value / row.filled_qty).quantize(PRICE_GRID) if row.filled_qty else None,
        limit_price=row.limit_price,
        stop_price=row.stop_price,
        status=row.status,
        intent=row.intent,
        parent=row.parent,
        cause=row.cause,
        submitted_at=row.accepted_at,
    )


def _position(row: Position) -> PositionView:
    return PositionView(
        symbol=row.symbol,
        qty=row.qty,
        avg_price=row.avg_price,
        stop=row.stop,
        stop_mode=row.stop_mode,
        pivot=row.pivot,
        r1=row.r1,
        r2=row.r2,
        high_water=row.high_water,
        entered_at=row.entered_at,
    )
