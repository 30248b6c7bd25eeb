"""The ledger's digest: what must be the same after the same day, whatever was killed on the way.

DIGESTED says what counts, table by table. Left out is what may differ between two good runs: attempts, leases and
actions, the broker's own ids and passing words, numbers of rows, the journal, the bus, wall-clock times.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

DIGESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "verdicts": ("session", "symbol", "at", "strategy", "stage", "outcome", "reason", "figures"),
    "entry_intents": (
        "id",
        "symbol",
        "strategy",
        "session",
        "confirmed_at",
        "confirm_close",
        "pivot",
        "r1",
        "r2",
        "first_stop",
        "due",
        "status",
        "reason",
        "judged_at",
        "reference",
        "limit_price",
        "stop_price",
        "shares",
    ),
    "exit_intents": (
        "id",
        "symbol",
        "position_id",
        "kind",
        "at",
        "reason",
        "status",
        "level",
        "fraction",
        "price",
        "stop",
        "market",
        "shares",
        "sold",
        "tries",
        "ended_at",
    ),
    "order_ledger": (
        "client_order_id",
        "session",
        "symbol",
        "kind",
        "side",
        "type",
        "time_in_force",
        "order_class",
        "qty",
        "limit_price",
        "stop_price",
        "leg_stop_price",
        "status",
        "filled_qty",
        "filled_value",
        "parent",
        "intent",
        "cause",
        "planned_at",
        "first_fill_at",
        "ended_at",
    ),
    "fills": ("execution_id", "client_order_id", "symbol", "side", "qty", "price", "at", "position_id", "session"),
    "positions": (
        "position_id",
        "symbol",
        "session",
        "strategy",
        "qty",
        "bought",
        "sold",
        "avg_price",
        "realized",
        "pivot",
        "r1",
        "r2",
        "stop",
        "stop_mode",
        "high_water",
        "invalidations",
        "r1_state",
        "r2_state",
        "entered_at",
        "last_entry_fill_at",
        "last_exit_fill_at",
        "closed_at",
    ),
}
"""Table and columns that count; rows in the order of the columns."""
_ENCODE: Final = msgspec.json.encode


class Row(Struct, frozen=True):
    """One canonical row. values: as JSON text."""

    table: str
    values: str


def canonical_rows(ledger: sqlite3.Connection) -> Iterator[Row]:
    """Every row that counts, in an order of its own that no two equal ledgers differ in."""
    for table in DIGESTED:
        for values in _values(ledger, table):
            yield Row(table, _ENCODE(values).decode())


def digest(ledger: sqlite3.Connection) -> str:
    """SHA-256 over the canonical rows, hexadecimal."""
    found = hashlib.sha256()
    for table in DIGESTED:
        start = f"{table} ".encode()
        for values in _values(ledger, table):
            found.update(b"%b%b\n" % (start, _ENCODE(values)))
    return found.hexdigest()


def _values(ledger: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    names = ", ".join(DIGESTED[table])
    return ledger.execute(f"SELECT {names} FROM {table} ORDER BY {names}")  # noqa: S608 - names of ours


def difference(one: sqlite3.Connection, other: sqlite3.Connection) -> tuple[Row | None, Row | None] | None:
    """The first canonical rows that differ; None where the ledgers are the same."""
    left, right = canonical_rows(one), canonical_rows(other)
    while True:
        pair = next(left, None), next(right, None)
        if pair[0] != pair[1]:
            return pair
        if pair[0] is None:
            return None
