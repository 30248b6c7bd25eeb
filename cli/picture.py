"""One session as the ledger has it now: what the live screen shows, and what the summary counts."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct

from cli.ledger import reading, rows
from services.state import store
from services.state.model import Account, Candidate, EntryRow, ExitRow, Order, Position
from services.state.records import FillRow, VerdictRow

IN_ORDER: Final = "ORDER BY at, symbol, CASE stage WHEN 'signals' THEN 0 WHEN 'arrival' THEN 1 ELSE 2 END"
_POSITIONS_OF_A_DAY: Final = (
    "WHERE session <= ? AND (closed_at IS NULL OR date(closed_at) >= ?) ORDER BY entered_at, position_id"
)
_ORDERS_OF_A_DAY: Final = (  # a stop of an earlier day that still rests, or sold today, is part of today
    "WHERE session = ? OR resting OR client_order_id IN (SELECT client_order_id FROM fills WHERE date(at) = ?)"
    " ORDER BY planned_at, client_order_id"
)


class Picture(Struct, frozen=True, kw_only=True):
    """Rows of one session; orders and positions are those that it had at any time, older ones included.

    latest: whether the ledger has no later session. equity: at its end, dollars. now: trading time by the ledger.
    decided_through: every partition's decisions are in up to then; UTC. installation: prefix of all our order ids.
    account: as it is now, None before its first reading. verdicts: oldest first.
    """

    session: dt.date
    latest: bool
    equity: Decimal
    now: dt.datetime | None
    decided_through: dt.datetime | None
    installation: str
    account: Account | None
    candidates: tuple[Candidate, ...]
    verdicts: tuple[VerdictRow, ...]
    entries: tuple[EntryRow, ...]
    exits: tuple[ExitRow, ...]
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    fills: tuple[FillRow, ...]

    @property
    def held(self) -> tuple[Position, ...]:
        """What is held now."""
        return tuple(position for position in self.positions if position.qty)

    @property
    def over_night(self) -> tuple[Position, ...]:
        """What was held at the session's end."""
        return tuple(
            position
            for position in self.positions
            if position.closed_at is None or position.closed_at.date() > self.session
        )

    def last_verdicts(self) -> dict[str, VerdictRow]:
        """The latest word on each symbol."""
        return {verdict.symbol: verdict for verdict in self.verdicts}


def picture(ledger: Path, session: dt.date | None = None) -> Picture | None:
    """Rows of `session`, else of the latest one, all of one instant; None while the ledger has none.

    Raises LedgerRefused for a file that is no ledger of this program.
    """
    if not ledger.exists():
        return None
    with reading(ledger) as database:
        return _picture(database, session)


def _picture(database: sqlite3.Connection, asked: dt.date | None) -> Picture | None:
    session = asked or _latest(database)
    if session is None:
        return None
    day = session.isoformat()
    notes = dict(database.execute("SELECT key, value FROM meta"))
    [[through]] = database.execute("SELECT min(through) FROM partitions")
    accounts = rows(database, store.ACCOUNT, "")
    account = accounts[0] if accounts else None
    later = rows(database, store.SESSIONS, "WHERE session > ? ORDER BY session LIMIT 1", day)
    end = later[0].opening_equity if later else account.equity if account is not None else None
    return Picture(
        session=session,
        latest=not later,
        equity=end if end is not None else Decimal(0),
        now=dt.datetime.fromisoformat(notes["now"]) if "now" in notes else None,
        decided_through=dt.datetime.fromisoformat(through) if through else None,
        installation=notes.get("installation", ""),
        account=account,
        candidates=rows(database, store.CANDIDATES, "ORDER BY symbol, strategy"),
        verdicts=rows(database, store.VERDICTS, f"WHERE session = ? {IN_ORDER}", day),
        entries=rows(database, store.ENTRIES, "WHERE session = ? ORDER BY due, id", day),
        exits=rows(database, store.EXITS, "WHERE date(at) = ? ORDER BY at, id", day),
        positions=rows(database, store.POSITIONS, _POSITIONS_OF_A_DAY, day, day),
        orders=rows(database, store.ORDERS, _ORDERS_OF_A_DAY, day, day),
        fills=rows(database, store.FILLS, "WHERE date(at) = ? ORDER BY at, execution_id", day),
    )


def _latest(database: sqlite3.Connection) -> dt.date | None:
    [[found]] = database.execute("SELECT max(session) FROM sessions")
    return dt.date.fromisoformat(found) if found else None
