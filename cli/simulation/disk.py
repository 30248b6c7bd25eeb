"""What outlives a kill in the simulation: the ledger's database, the exchange's book, and what a power cut leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final, Self

from cli.inprocess.remembered import Remembering
from services.exchange.book import Book, Changes, Price
from services.exchange.exchange import Exchange
from services.exchange.orders import Execution, Order, Position
from services.state.model import Order as OrderRow
from services.state.model import Position as PositionRow
from services.state.records import FillRow
from services.state.store import Store

FULL: Final = 2
"""`PRAGMA synchronous = FULL`: a commit is on the disk when it returns."""
UNSYNCED: Final = 8
"""Commits that a power cut takes where they are not synced one by one."""


class SimulatedStore(Store):
    """The ledger's store on a database in memory. books_changed: orders, fills or positions were written."""

    def __init__(self, database: sqlite3.Connection, lock: int | None = None) -> None:
        super().__init__(database, lock)
        self.books_changed = False

    @classmethod
    def new(cls, installation: str) -> Self:
        """An empty ledger."""
        made = cls.in_memory()
        store = made.restored(made.image())
        with store.transaction():
            store.set_note("installation", installation)
        return store

    @property
    def database(self) -> sqlite3.Connection:
        """For the auditor, which reads by itself."""
        return self._db

    @property
    def is_synced(self) -> bool:
        return int(self._db.execute("PRAGMA synchronous").fetchone()[0]) >= FULL

    def taken_over(self) -> Self:
        """The same ledger, opened by another process: from now on this store is refused."""
        other = type(self)(self._db)
        other._take_over()
        return other

    def image(self) -> bytes:
        """The database as it is on the disk now."""
        return self._db.serialize()

    def restored(self, image: bytes) -> Self:
        """The ledger opened again from an image of the disk."""
        database = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256, factory=Remembering)
        database.deserialize(image)
        database.execute(f"PRAGMA synchronous = {self._db.execute('PRAGMA synchronous').fetchone()[0]}")
        other = type(self)(database)
        other._take_over()
        return other

    def record_order_once(self, order: OrderRow) -> bool:
        self.books_changed = True
        return super().record_order_once(order)

    def update_order(self, order: OrderRow) -> None:
        self.books_changed = True
        super().update_order(order)

    def book_fill(self, fill: FillRow) -> bool:
        self.books_changed = True
        return super().book_fill(fill)

    def upsert_position(self, position: PositionRow) -> None:
        self.books_changed = True
        super().upsert_position(position)


class BookDisk:
    """The exchange's book file, as rows. passes: told at the points around a commit; may raise."""

    def __init__(self, passes: Callable[[str], None]) -> None:
        self._passes = passes
        self._account: object = None
        self._orders: dict[str, Order] = {}
        self._executions: list[Execution] = []
        self._positions: dict[str, Position] = {}
        self._prices: dict[str, Price] = {}
        self._notes: dict[str, str] = {}

    def keep(self, changes: Changes, exchange: Exchange, notes: Mapping[str, str]) -> None:
        """One transaction."""
        self._passes("exchange.before_commit")
        book = exchange.book
        for order_id in changes.orders:
            if (order := book.order(order_id)) is not None:
                self._orders[order_id] = order
        self._executions += changes.executions
        for symbol in changes.positions:
            position = book.position(symbol)
            if position is None:
                self._positions.pop(symbol, None)
            else:
                self._positions[symbol] = position
        for symbol in changes.prices:
            if (price := book.price(symbol)) is not None:
                self._prices[symbol] = price
        self._account = book.account
        self._notes |= notes
        self._passes("exchange.after_commit")

    def note(self, name: str) -> str | None:
        return self._notes.get(name)

    def load(self) -> Book:
        """The book as it was kept."""
        assert self._account is not None
        return Book.restored(
            self._account,  # type: ignore[arg-type]
            sorted(self._orders.values(), key=lambda order: order.number),
            self._positions.values(),
            self._prices.items(),
            self._executions,
            (),
        )
