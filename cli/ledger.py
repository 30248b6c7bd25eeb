"""Reading the ledger, which another process may be writing: read-only, and refused where it is not this program's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from cli.trouble import Trouble
from services.state.store import APPLICATION_ID, Table, newest_version

Row = TypeVar("Row", bound=Struct)


@contextmanager
def reading(ledger: Path) -> Iterator[sqlite3.Connection]:
    """One read transaction, so that all rows are of one instant. Raises Trouble, with what to do."""
    if not ledger.exists():
        raise Trouble(f"no ledger at {ledger}: run `execution demo` or `execution up` first")
    live = ledger.with_name(ledger.name + "-wal").exists()
    mode = "mode=ro" if live else "mode=ro&immutable=1"  # immutable: leaves no -wal and -shm behind
    try:
        with closing(sqlite3.connect(f"{ledger.resolve().as_uri()}?{mode}", uri=True, isolation_level=None)) as found:
            _require_ours(found, ledger)
            found.execute("BEGIN")
            yield found
    except sqlite3.DatabaseError as fault:
        raise Trouble(f"{ledger}: cannot be read ({fault}); restore a backup, or move the file away") from None


def rows(database: sqlite3.Connection, table: Table[Row], where: str = "", *values: str) -> tuple[Row, ...]:
    """Rows of `table` that `where` selects."""
    return tuple(table.row(row) for row in database.execute(table.select + where, values))


def _require_ours(database: sqlite3.Connection, ledger: Path) -> None:
    [[version]] = database.execute("PRAGMA user_version")
    [[application]] = database.execute("PRAGMA application_id")
    if application != APPLICATION_ID or version == 0:
        raise Trouble(f"{ledger}: not a ledger of this program; move the file away, or choose another --home")
    if version > newest_version():
        raise Trouble(
            f"{ledger}: ledger of schema {version} is newer than this program's {newest_version()}; "
            "use the newer program"
        )
