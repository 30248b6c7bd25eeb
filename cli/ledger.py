"""Reading the ledger, which another process may be writing: read-only, and refused where it is not this program's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from cli.trouble import Trouble
from services.state.store import UNREADABLE, LedgerDamaged, Store, Table, read_only

Row = TypeVar("Row", bound=Struct)


@contextmanager
def reading(ledger: Path) -> Iterator[sqlite3.Connection]:
    """One read transaction, so that all rows are of one instant. Raises Trouble or LedgerRefused, with what to do."""
    if not ledger.exists():
        raise Trouble(f"no ledger at {ledger}: run `execution demo` or `execution up` first")
    try:
        with closing(read_only(ledger)) as database:
            database.execute("BEGIN")
            yield database
    except UNREADABLE as fault:
        raise LedgerDamaged(f"{ledger}: cannot be read ({fault}); restore a backup, or move the file away") from None


def rows(database: sqlite3.Connection, table: Table[Row], where: str = "", *values: str) -> tuple[Row, ...]:
    """Rows of `table` that `where` selects."""
    return tuple(table.row(row) for row in database.execute(table.select(where), values))


@contextmanager
def copied(store: Store) -> Iterator[sqlite3.Connection]:
    """A copy of a ledger that lives in this process, to be asked by SQL."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(store.image())
        yield database
