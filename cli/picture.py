"""One session as the ledger has it now: what the live screen shows, and what the summary counts."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from services.state import store
from services.state.model import Account, Candidate, EntryRow, ExitRow, Order, Position
from services.state.records import FillRow, VerdictRow
from services.state.store import Table

Row = TypeVar("Row", bound=Struct)

_ORDERS_OF_A_DAY: Final = (  # a stop of an earlier day that still rests, or sold today, is part of today
    "WHERE session = ? OR resting OR client_order_id IN (SELECT client_order_id FROM fills WHERE session = ?)"
    " ORDER BY planned_at, client_order_id"
)


class Picture(Struct, frozen=True, kw_only=True):
    """Rows of one session; orders and positions are those that it had at any time, older ones included.

    now: trading time by the ledger. decided_through: every partition's decisions are in up to then; UTC.
    account: None before its first reading. installation: prefix of all our order ids. verdicts: oldest first.
    """

    session: dt.date
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
        return tuple(position for position in self.positions if position.qty)

    def last_verdicts(self) -> dict[str, VerdictRow]:
        """The latest word on each symbol."""
        return {verdict.symbol: verdict for verdict in self.verdicts}


def picture(ledger: Path, session: dt.date | None = None) -> Picture | None:
    """Rows of `session`, else of the latest one, all of one instant; None while the ledger has none."""
    if not ledger.exists():
        return None
    try:
        with _reading(ledger) as database:
            return _picture(database, session)
    except sqlite3.OperationalError:
        return None  # it is being created or opened in this moment


@contextmanager
def _reading(ledger: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection within one transaction, so that all rows are of one instant."""
    mode = "mode=ro" if ledger.with_name(ledger.name + "-wal").exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{ledger.resolve().as_uri()}?{mode}", uri=True, isolation_level=None)) as database:
        database.execute("BEGIN")
        yield database


def _picture(database: sqlite3.Connection, asked: dt.date | None) -> Picture | None:
    session = asked or _latest(database)
    if session is None:
        return None
    day = session.isoformat()
    notes = dict(database.execute("SELECT key, value FROM meta"))
    [[through]] = database.execute("SELECT min(through) FROM partitions")
    accounts = _rows(database, store.ACCOUNT, "")
    return Picture(
        session=session,
        now=dt.datetime.fromisoformat(notes["now"]) if "now" in notes else None,
        decided_through=dt.datetime.fromisoformat(through) if through else None,
        installation=notes.get("installation", ""),
        account=accounts[0] if accounts else None,
        candidates=_rows(database, store.CANDIDATES, "ORDER BY symbol, strategy"),
        verdicts=_rows(database, store.VERDICTS, "WHERE session = ? ORDER BY at, symbol, stage DESC", day),
        entries=_rows(database, store.ENTRIES, "WHERE session = ? ORDER BY due, id", day),
        exits=_rows(database, store.EXITS, "WHERE date(at) = ? ORDER BY at, id", day),
        positions=_rows(
            database,
            store.POSITIONS,
            "WHERE qty > 0 OR date(closed_at) = ? OR session = ? ORDER BY entered_at",
            day,
            day,
        ),
        orders=_rows(database, store.ORDERS, _ORDERS_OF_A_DAY, day, day),
        fills=_rows(database, store.FILLS, "WHERE session = ? ORDER BY at, execution_id", day),
    )


def _latest(database: sqlite3.Connection) -> dt.date | None:
    [[found]] = database.execute("SELECT max(session) FROM sessions")
    return dt.date.fromisoformat(found) if found else None


def _rows(database: sqlite3.Connection, table: Table[Row], where: str, *values: str) -> tuple[Row, ...]:
    return tuple(table.row(row) for row in database.execute(table.select + where, values))
