"""The exchange's book in a SQLite file of its own: one transaction for each change, before anybody hears of it.

A process killed at any instant loses nothing that it had answered: WAL with synchronous=NORMAL survives the process
(a power cut may cost the last transactions, which for a paper exchange is a fair price for the speed).
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from services.exchange.book import Account, Book, Changes, Day, Price
from services.exchange.exchange import Exchange
from services.exchange.orders import Execution, Order, Position

VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE orders (id TEXT PRIMARY KEY, number INTEGER NOT NULL, data TEXT NOT NULL) STRICT;
CREATE TABLE executions (number INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT;
CREATE TABLE positions (symbol TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT;
CREATE TABLE prices (symbol TEXT PRIMARY KEY, last REAL NOT NULL, before REAL) STRICT;
CREATE TABLE days (closed_at TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT;
CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
"""
_JSON: Final = msgspec.json.Encoder(decimal_format="string")
_ORDER: Final = msgspec.json.Decoder(Order)
_EXECUTION: Final = msgspec.json.Decoder(Execution)
_POSITION: Final = msgspec.json.Decoder(Position)
_ACCOUNT: Final = msgspec.json.Decoder(Account)
_DAY: Final = msgspec.json.Decoder(Day)
ACCOUNT: Final = "account"


class BookUnusable(Exception):
    """The book file cannot be used. The text is one line: what is wrong with which file, and what to do."""


class BookFile:
    """Written by one process at a time: a lock on `<file>.lock` is held for life."""

    def __init__(self, path: Path) -> None:
        """Raises BookUnusable."""
        self._path = path
        self._lock = _locked(path)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (sqlite3.Error, UnicodeDecodeError) as fault:  # the latter: SQLite's message quotes what is damaged
            self.close()
            raise BookUnusable(
                f"{path} is no book of an exchange ({ascii(str(fault))[1:200]}); move it away to begin a new one"
            ) from None
        except BookUnusable:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    def load(self) -> Book | None:
        """The book as it was kept; None in a new file. Raises BookUnusable for one that is damaged."""
        account = self.note(ACCOUNT)
        if account is None:
            return None
        read = self._connection.execute
        try:
            return Book.restored(
                _ACCOUNT.decode(account),
                (_ORDER.decode(data) for (data,) in read("SELECT data FROM orders ORDER BY number")),
                (_POSITION.decode(data) for (data,) in read("SELECT data FROM positions")),
                (
                    (symbol, Price(last, before))
                    for symbol, last, before in read("SELECT symbol, last, before FROM prices")
                ),
                (_EXECUTION.decode(data) for (data,) in read("SELECT data FROM executions")),
                (_DAY.decode(data) for (data,) in read("SELECT data FROM days")),
            )
        except (sqlite3.DatabaseError, msgspec.DecodeError, ValueError, TypeError) as fault:
            raise self.damaged(fault) from fault

    def note(self, name: str) -> str | None:
        """Raises BookUnusable for a file that is damaged."""
        try:
            row = self._connection.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as fault:
            raise self.damaged(fault) from fault
        return None if row is None else str(row[0])

    def damaged(self, fault: Exception) -> BookUnusable:
        """The one line for a file that holds what no exchange wrote; it is left as it is."""
        return BookUnusable(f"{self._path} is damaged ({ascii(str(fault))[1:200]}); move it away to begin a new one")

    def keep(self, changes: Changes, exchange: Exchange, notes: Mapping[str, str]) -> None:
        """One transaction: the rows that changed, and `notes`. An error here ends the process: it knows too much."""
        book, write = exchange.book, self._connection.executemany
        self._connection.execute("BEGIN IMMEDIATE")
        orders = [order for order_id in changes.orders if (order := book.order(order_id)) is not None]
        write("REPLACE INTO orders VALUES (?, ?, ?)", [(order.id, order.number, _text(order)) for order in orders])
        write("INSERT INTO executions VALUES (?, ?)", [(fill.number, _text(fill)) for fill in changes.executions])
        write("INSERT INTO days VALUES (?, ?)", [(day[0].isoformat(), _text(day)) for day in changes.days])
        held = {symbol: book.position(symbol) for symbol in changes.positions}
        write(
            "REPLACE INTO positions VALUES (?, ?)",
            [(symbol, _text(position)) for symbol, position in held.items() if position is not None],
        )
        write(
            "DELETE FROM positions WHERE symbol = ?", [(symbol,) for symbol, position in held.items() if not position]
        )
        prices = [(symbol, price) for symbol in changes.prices if (price := book.price(symbol)) is not None]
        write("REPLACE INTO prices VALUES (?, ?, ?)", [(symbol, price.last, price.before) for symbol, price in prices])
        if changes.account:
            notes = {**notes, ACCOUNT: _text(book.account)}
        write("REPLACE INTO notes VALUES (?, ?)", list(notes.items()))
        self._connection.execute("COMMIT")

    def _prepare(self) -> None:
        execute = self._connection.execute
        (version,) = execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise BookUnusable(
                f"{self._path} is of version {version}, newer than this program's {VERSION}; use the newer program"
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def _locked(path: Path) -> IO[str]:
    """The lock of `path`, held until it is closed. Raises BookUnusable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("w")
    except OSError as fault:
        raise BookUnusable(f"{path} cannot be written ({fault.strerror}); choose another home") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BookUnusable(f"{path} is in use by another exchange; stop it, or choose another home") from None
    return lock


def _text(value: object) -> str:
    return _JSON.encode(value).decode()
