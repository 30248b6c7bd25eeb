"""Reads a report's rows out of the ledger, in one read transaction."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from cli.ledger import rows as select
from cli.reporting.rows import Rows
from services.state import store
from services.state.fills import UNEXPLAINED
from services.state.model import Order, Position
from services.state.records import SessionRow
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, Reason

BOUGHT: Final = frozenset({Reason.CONFIRMED.value, Reason.ADMITTED.value})
NO_REFUSAL: Final = BOUGHT | {reason.value for reason in NOT_A_CONFIRMATION}


def rows_of(database: sqlite3.Connection, first: dt.date, last: dt.date) -> Rows | None:
    """Everything about the ledger's sessions from `first` to `last`; None where it has none of them."""
    sessions = select(
        database, store.SESSIONS, "WHERE session BETWEEN ? AND ? ORDER BY session", first.isoformat(), last.isoformat()
    )
    if not sessions:
        return None
    begins, ends = sessions[0].opens_at.isoformat(), sessions[-1].following_opens_at.isoformat()
    positions = select(
        database,
        store.POSITIONS,
        "WHERE entered_at < ? AND (closed_at IS NULL OR closed_at >= ?) ORDER BY entered_at, position_id",
        ends,
        begins,
    )
    names = {position.position_id for position in positions}
    since = min([begins, *(position.entered_at.isoformat() for position in positions)])
    fills = select(database, store.FILLS, "WHERE at >= ? AND at < ? ORDER BY at, execution_id", since, ends)
    splits = select(database, store.SPLITS, "WHERE at < ? ORDER BY at", ends)
    [[now]] = database.execute("SELECT value FROM meta WHERE key = 'now'").fetchall() or [[None]]
    return Rows(
        sessions=sessions,
        positions=positions,
        fills=tuple(fill for fill in fills if fill.position_id in names),
        splits=tuple(row for row in splits if row.position_id in names),
        unexplained=tuple(
            fill for fill in fills if fill.position_id == UNEXPLAINED and fill.at >= sessions[0].opens_at
        ),
        orders=_orders(database, positions, since, ends),
        entries={row.id: row for row in select(database, store.ENTRIES)},
        exits={row.id: row for row in select(database, store.EXITS)},
        refused=tuple(
            verdict
            for verdict in select(
                database,
                store.VERDICTS,
                "WHERE session BETWEEN ? AND ? AND outcome = 'refused' ORDER BY at, symbol, stage",
                first.isoformat(),
                last.isoformat(),
            )
            if verdict.reason not in NO_REFUSAL
        ),
        closings=_closings(database, sessions),
        now=dt.datetime.fromisoformat(now) if now else sessions[-1].closes_at,
    )


def _orders(database: sqlite3.Connection, positions: Sequence[Position], since: str, ends: str) -> Mapping[str, Order]:
    symbols = {position.symbol for position in positions}
    found = select(
        database,
        store.ORDERS,
        "WHERE planned_at < ? AND (ended_at IS NULL OR ended_at >= ?) ORDER BY planned_at, client_order_id",
        ends,
        since,
    )
    return {order.client_order_id: order for order in found if order.symbol in symbols}


def _closings(database: sqlite3.Connection, sessions: Sequence[SessionRow]) -> dict[dt.date, Decimal]:
    """Equity at each close: as state wrote it down, else that of the next opening, else the account's of now."""
    told = select(database, store.JOURNAL, "WHERE kind = 'session_closed' ORDER BY seq")
    following = select(database, store.SESSIONS, "WHERE session > ? ORDER BY session", sessions[0].session.isoformat())
    openings = {row.previous: row.opening_equity for row in following}
    found: dict[dt.date, Decimal] = {}
    for row in sessions:
        opening = openings.get(row.session)
        if opening is not None:
            found[row.session] = opening
        for entry in told:
            equity = entry.figures.get("equity")
            if row.opens_at <= entry.at < row.following_opens_at and isinstance(equity, int | float):
                found[row.session] = Decimal(repr(equity))
    accounts = select(database, store.ACCOUNT)
    if accounts and accounts[0].session is not None and accounts[0].session == sessions[-1].session:
        found.setdefault(accounts[0].session, accounts[0].equity)
    return found
