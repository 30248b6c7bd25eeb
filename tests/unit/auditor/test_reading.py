"""Both sides are read as they are kept: the ledger's file by SQL, the broker's book by SQL or from its answers."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from cli.auditor.broker_side import of_answers, of_book_file
from cli.auditor.ledger_side import read_books, read_ledger
from cli.simulation import trial
from cli.simulation.disk import SimulatedStore
from cli.simulation.world import view_of
from services.exchange import wire
from services.exchange.exchange import Exchange, new_book
from services.exchange.requests import OrderRequest
from services.exchange.store import BookFile
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar

NOON = dt.datetime(2019, 7, 2, 16, 0, tzinfo=dt.UTC)


def exchange_with_a_fill() -> Exchange:
    """Three AAPL bought at 10, one more order resting."""
    rules = ExchangeRules(random_partials=0)
    exchange = Exchange(new_book(rules, "salt", NOON), rules)
    for name, limit in (("e7f3-190702-AAPL-entry-1", "10.50"), ("e7f3-190702-AAPL-entry-2", "9.00")):
        exchange.submit(
            OrderRequest(
                symbol="AAPL",
                qty=Decimal(3),
                side="buy",
                type="limit",
                time_in_force="gtc",
                limit_price=Decimal(limit),
                client_order_id=name,
            ),
            NOON,
        )
    exchange.match(NOON, [Bar("AAPL", 10.0, 10.1, 9.9, 10.0, 1000)], NOON + dt.timedelta(minutes=1))
    return exchange


def test_the_book_file_says_what_the_book_says(tmp_path: Path) -> None:
    exchange = exchange_with_a_fill()
    file = BookFile(tmp_path / "exchange.sqlite")
    file.keep(exchange.book.take_changes(), exchange, {})
    assert of_book_file(tmp_path / "exchange.sqlite") == view_of(exchange.book)
    file.close()
    assert of_book_file(tmp_path / "exchange.sqlite") == view_of(exchange.book)


def test_the_brokers_answers_say_the_same_orders_and_executions() -> None:
    exchange = exchange_with_a_fill()
    book = exchange.book
    orders = [_json(wire.order_out(order)) for order in book.orders()]
    fills = [_json(wire.fill_out(execution, book)) for execution in book.executions()]
    positions = [{"symbol": "AAPL", "qty": "3", "avg_entry_price": "10"}]
    read = of_answers(orders, fills, positions, {"cash": "99970"})
    whole = view_of(book)
    assert [(sent.client_order_id, sent.status, sent.qty, sent.filled_qty) for sent in read.orders] == [
        (sent.client_order_id, sent.status, sent.qty, sent.filled_qty) for sent in whole.orders
    ]
    assert [(one.id, one.qty, one.price, one.at) for one in read.executions] == [
        (one.id, one.qty, one.price, one.at) for one in whole.executions
    ]
    assert read.cash == whole.cash


def test_the_ledger_is_read_row_by_row() -> None:
    trial.hush()
    store = SimulatedStore.new("e7f3")
    empty = read_ledger(store.database)
    assert (empty.installation, empty.orders, empty.cash) == ("e7f3", (), Decimal(0))
    assert read_books(store.database).orders == ()
    assert isinstance(store.database, sqlite3.Connection)


def _json(body: Any) -> Any:
    return msgspec.json.decode(wire.encode(body))
