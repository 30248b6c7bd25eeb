"""Reads the ledger's file with SQL of the auditor's own."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from cli.auditor.views import (
    ActionRow,
    CandidateRow,
    EntryIntentRow,
    ExitIntentRow,
    FillRow,
    ForeignRow,
    JournalRow,
    LedgerView,
    OrderRow,
    PositionRow,
    SessionRow,
    VerdictRow,
)

Row = TypeVar("Row", bound=Struct)


def read_ledger(ledger: sqlite3.Connection) -> LedgerView:
    """Everything that is audited. Read inside one transaction, or where nobody writes."""
    books = read_books(ledger)
    return msgspec.structs.replace(
        books,
        entries=_rows(ledger, EntryIntentRow, "entry_intents"),
        exits=_rows(ledger, ExitIntentRow, "exit_intents"),
        verdicts=_rows(ledger, VerdictRow, "verdicts"),
        candidates=_rows(ledger, CandidateRow, "candidates"),
        sessions=_rows(ledger, SessionRow, "sessions"),
        actions=_rows(ledger, ActionRow, "order_actions"),
        journal=_rows(ledger, JournalRow, "journal"),
        foreign=_rows(ledger, ForeignRow, "foreign_items"),
        decided={
            partition: _stamp(through)
            for partition, through in ledger.execute("SELECT partition, through FROM partitions")
        },
        notes=dict(ledger.execute("SELECT key, value FROM meta")),
    )


def read_books(ledger: sqlite3.Connection) -> LedgerView:
    """Orders, fills, positions and cash alone: what can go wrong at any step."""
    installation = ledger.execute("SELECT value FROM meta WHERE key = 'installation'").fetchone()
    cash = ledger.execute("SELECT cash FROM account").fetchone()
    return LedgerView(
        installation=installation[0] if installation else "",
        cash=Decimal(cash[0]) if cash else Decimal(0),
        orders=_rows(ledger, OrderRow, "order_ledger"),
        fills=_rows(ledger, FillRow, "fills"),
        positions=_rows(ledger, PositionRow, "positions"),
    )


def _rows(ledger: sqlite3.Connection, kind: type[Row], table: str) -> tuple[Row, ...]:
    names = kind.__struct_fields__
    found = ledger.execute(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 - names of ours
    return tuple(_row(kind, values) for values in found)


@lru_cache(maxsize=20_000)
def _row(kind: type[Row], values: tuple[Any, ...]) -> Row:
    # The lists of times and amounts are the struct's own types; SQLite keeps both as text.
    return msgspec.convert(dict(zip(kind.__struct_fields__, values, strict=True)), type=kind)


def _stamp(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
