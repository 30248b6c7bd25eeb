"""The book file: what is refused, and that what is in it is exact."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from services.exchange.market import Market
from services.exchange.store import VERSION, BookFile, BookUnusable
from services.exchange.venue import Broken, TickClock, Venue
from tests.unit.exchange.market import MINUTE, OPEN, an_exchange, flat, placed


def test_a_new_file_has_no_book(tmp_path: Path) -> None:
    file = BookFile(tmp_path / "deep" / "book.sqlite")
    assert file.load() is None
    file.close()


def test_money_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    exchange = an_exchange()
    exchange.match(OPEN, [flat(33.3333)], OPEN + MINUTE)
    placed(exchange, OPEN + MINUTE, qty="1.123456789")
    exchange.match(OPEN + MINUTE, [flat(33.3333)], OPEN + 2 * MINUTE)
    file = BookFile(tmp_path / "book.sqlite")
    file.keep(exchange.book.take_changes(), exchange, {"note": "text"})
    file.close()
    again = BookFile(tmp_path / "book.sqlite")
    book = again.load()
    assert book is not None
    assert book.account.cash == Decimal(100_000) - Decimal("1.123456789") * Decimal("33.3333")
    assert book.positions() == exchange.book.positions()
    assert again.note("note") == "text"
    again.close()


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    exchange = an_exchange()
    file = BookFile(tmp_path / "book.sqlite")
    for number in range(3):
        placed(exchange, OPEN, type="limit", limit_price="9", client_order_id=f"c-{number}")
    file.keep(exchange.book.take_changes(), exchange, {})
    placed(exchange, OPEN, type="limit", limit_price="9", client_order_id="c-3")
    changes = exchange.book.take_changes()
    assert len(changes.orders) == 1
    file.close()


def test_a_second_process_is_told_who_holds_the_file(tmp_path: Path) -> None:
    file = BookFile(tmp_path / "book.sqlite")
    with pytest.raises(BookUnusable, match="in use by another exchange"):
        BookFile(tmp_path / "book.sqlite")
    file.close()
    BookFile(tmp_path / "book.sqlite").close()


def test_a_newer_book_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(BookUnusable, match="newer than this program"):
        BookFile(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(BookUnusable, match=r"book\.sqlite is no book"):
        BookFile(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BookUnusable, match="cannot be written"):
        BookFile(tmp_path / "file" / "book.sqlite")


def test_a_change_that_cannot_be_kept_is_not_told_and_ends_the_venue() -> None:
    class Full:
        def keep(self, *_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    venue = Venue(an_exchange(), Market(), TickClock(OPEN), Full())
    told: list[object] = []
    venue.listen(told.extend)
    with pytest.raises(sqlite3.OperationalError):
        venue.do(placed)
    with pytest.raises(Broken):
        venue.do(lambda exchange, now: None)
    assert (told, venue.is_broken) == ([], True)
