"""Reads what the ledger has about one order or intent."""

from __future__ import annotations

import datetime as dt
import sqlite3

from cli.explaining.explanation import Evidence
from cli.explaining.lookup import Found
from cli.ledger import rows
from cli.ledger_rows import order_view
from cli.picture import IN_ORDER
from cli.reporting.reading import rows_of
from cli.reporting.trades import Trade, trades
from services.state import store
from services.state.model import EntryRow, ExitRow, Order, Position
from services.state.records import VerdictRow


def evidence(database: sqlite3.Connection, found: Found) -> Evidence:
    """All of one instant: it is one read transaction."""
    orders = rows(database, store.ORDERS, "WHERE client_order_id = ?", found.order)
    entries = rows(database, store.ENTRIES, "WHERE id = ?", found.intent)
    exits = rows(database, store.EXITS, "WHERE id = ?", found.intent)
    entry, leave = entries[0] if entries else None, exits[0] if exits else None
    told = orders[0] if orders else entry or leave
    assert told is not None, found
    position = _position(database, told)
    name = position.position_id if position is not None else ""
    known = rows(database, store.ORDERS, "WHERE symbol = ? ORDER BY planned_at, client_order_id", told.symbol)
    return Evidence(
        found=found,
        entry=entry,
        leave=leave,
        verdicts=_verdicts(database, entry),
        orders=known,
        actions=rows(database, store.ACTIONS, "WHERE symbol = ? ORDER BY planned_at, id", told.symbol),
        fills=rows(database, store.FILLS, "WHERE symbol = ? ORDER BY at, execution_id", told.symbol),
        journal=rows(database, store.JOURNAL, "WHERE symbol = ? ORDER BY seq", told.symbol),
        stops=rows(database, store.EXITS, "WHERE position_id = ? AND kind = 'stop' ORDER BY at, id", name),
        trade=_trade(database, position) if position is not None else None,
        views={order.client_order_id: order_view(order) for order in known},
        causes=_causes(database, told.symbol),
    )


def _causes(database: sqlite3.Connection, symbol: str) -> dict[str, str]:
    return dict(
        database.execute(
            "SELECT client_order_id, cause FROM order_ledger WHERE symbol = ?1"
            " UNION SELECT id, cause FROM entry_intents WHERE symbol = ?1"
            " UNION SELECT id, cause FROM exit_intents WHERE symbol = ?1",
            (symbol,),
        )
    )


def _verdicts(database: sqlite3.Connection, entry: EntryRow | None) -> tuple[VerdictRow, ...]:
    if entry is None:
        return ()
    return rows(
        database,
        store.VERDICTS,
        f"WHERE session = ? AND symbol = ? {IN_ORDER}",
        entry.session.isoformat(),
        entry.symbol,
    )


def _position(database: sqlite3.Connection, told: Order | EntryRow | ExitRow) -> Position | None:
    """The position that it opened, sold from or protects: by name where a row says it, else the one held then."""
    if isinstance(told, ExitRow):
        return _first(database, "WHERE position_id = ?", told.position_id)
    if isinstance(told, EntryRow):
        return _first(database, "WHERE cause = ?", told.id)
    names = database.execute(
        "SELECT position_id FROM fills WHERE client_order_id = ?"
        " UNION SELECT position_id FROM exit_intents WHERE id = ?"
        " UNION SELECT position_id FROM positions WHERE position_id IN (?, ?)",
        (told.client_order_id, told.intent, told.client_order_id, told.parent),
    ).fetchall()
    if names:
        return _first(database, "WHERE position_id = ?", names[0][0])
    at = told.planned_at.astimezone(dt.UTC).isoformat()
    held_then = "WHERE symbol = ? AND entered_at <= ? AND (closed_at IS NULL OR closed_at >= ?)"
    return _first(database, held_then, told.symbol, at, at)


def _first(database: sqlite3.Connection, where: str, *values: str) -> Position | None:
    found = rows(database, store.POSITIONS, f"{where} ORDER BY entered_at LIMIT 1", *values)
    return found[0] if found else None


def _trade(database: sqlite3.Connection, position: Position) -> Trade | None:
    """As a report over all its sessions tells it."""
    [[latest]] = database.execute("SELECT max(session) FROM sessions")
    last = position.closed_at.date() if position.closed_at is not None else dt.date.fromisoformat(latest)
    found = rows_of(database, position.session, max(last, position.session))
    of = trades(found) if found is not None else ()
    return next((trade for trade in of if trade.position == position.position_id), None)
