"""Reading the ledger beside its writer, after it, and without one."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.dashboard.sources import LedgerWatch, token_of
from services.dashboard.store import SCHEMA, Ledger, Unreadable, read_journal, read_story
from services.state.records import JournalRow
from services.state.store import Store, newest_version
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.halt import HaltFile
from tests.unit.cli.damage import damaged

OPEN = dt.datetime(2026, 1, 13, 14, 30, tzinfo=dt.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "execution_v2.sqlite"


@contextlib.contextmanager
def writer(path: Path) -> Iterator[Store]:
    store = Store.open(path)
    try:
        yield store
    finally:
        store.close()


def journal(store: Store, *texts: str, kind: str = "fill", symbol: str = "AAPL") -> None:
    with store.transaction():
        for text in texts:
            store.append_journal(
                JournalRow(seq=0, at=OPEN, kind=kind, symbol=symbol, order_id="", cause="", text=text, figures={})
            )


def test_this_page_reads_the_ledger_of_this_release() -> None:
    assert newest_version() == SCHEMA


def test_what_is_committed_is_seen_and_nothing_is_read_twice(path: Path) -> None:
    with writer(path) as store:
        ledger = Ledger(path)
        first = ledger.changed()
        assert first is not None
        assert (first.session, first.money, first.journal_end) == (None, None, 0)
        assert ledger.changed() is None
        journal(store, "one")
        second = ledger.changed()
        assert second is not None
        assert second.journal_end == 1
        ledger.close()


def test_no_ledger_is_said_and_one_that_comes_is_seen(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(Unreadable, match="no ledger at"):
        ledger.changed()
    with writer(path):
        assert ledger.changed() is not None
    ledger.close()


def test_a_ledger_whose_writer_ended_is_read_without_leaving_a_trace_and_its_next_writer_is_followed(
    path: Path,
) -> None:
    with writer(path) as store:
        journal(store, "one")
    before = sorted(os.listdir(path.parent))
    ledger = Ledger(path)
    view = ledger.changed()
    assert view is not None
    assert view.journal_end == 1
    assert sorted(os.listdir(path.parent)) == before
    with writer(path) as store:
        journal(store, "two")
        view = ledger.changed()
        assert view is not None
        assert view.journal_end == 2
        ledger.close()


def test_a_reader_holds_no_lock_that_a_writer_would_wait_for(path: Path) -> None:
    with writer(path) as store:
        ledger = Ledger(path)
        ledger.changed()
        journal(store, "one")
        store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.with_name(path.name + "-wal").stat().st_size == 0
        ledger.close()


def test_a_handle_for_looking_cannot_write(path: Path) -> None:
    with writer(path):
        ledger = Ledger(path)
        ledger.changed()
        assert ledger._database is not None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            ledger._database.execute("DELETE FROM positions")
        ledger.close()


@pytest.mark.parametrize("damage", [b"", b"no database at all, but long enough to be looked at" * 20])
def test_a_damaged_ledger_is_said_in_one_line(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(Unreadable) as said:
        Ledger(path).changed()
    assert "\n" not in str(said.value)


def test_a_newer_ledger_is_refused(path: Path) -> None:
    with writer(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(Unreadable, match="use programs of one release"):
        Ledger(path).changed()


def test_the_journal_is_found_by_all_words_newest_first(path: Path) -> None:
    with writer(path) as store:
        journal(store, "buy 10 at 5", "sell 10 at 6", "buy 20 at 7")
        page = read_journal(path, ["buy", "aapl"], [], 0, 10)
        assert [line.text for line in page.lines] == ["buy 20 at 7", "buy 10 at 5"]
        assert page.matches == 2


@pytest.mark.parametrize("word", ["100%", "a_b", "a\\b", "' OR 1=1 --"])
def test_a_search_is_taken_letter_by_letter(path: Path, word: str) -> None:
    with writer(path) as store:
        journal(store, "1000 of it", "axb", "nothing", f"here {word} stands")
        found = read_journal(path, [word], [], 0, 10)
        assert [line.text for line in found.lines] == [f"here {word} stands"]


def test_kinds_and_pages_of_the_journal(path: Path) -> None:
    with writer(path) as store:
        journal(store, *(f"row {number}" for number in range(7)))
        journal(store, "trouble", kind="alert_warning")
        page = read_journal(path, [], ["fill"], 5, 5)
        assert ([line.text for line in page.lines], page.matches) == (["row 1", "row 0"], 7)
        assert read_journal(path, [], ["alert\\_%"], 0, 5).matches == 1


def test_a_symbol_has_no_story_before_the_first_session(path: Path) -> None:
    with writer(path):
        assert read_story(path, "AAPL") is None


def test_the_watch_says_what_changed_and_nothing_else(path: Path, tmp_path: Path) -> None:
    halt = HaltFile(tmp_path / "data" / "halt")
    watch = LedgerWatch(path, halt, threading.Event())
    watch.look()
    assert watch.seen.trouble.startswith("no ledger at")
    with writer(path):
        watch.look()
        assert (watch.seen.trouble, watch.seen.level) == ("", None)
        before = watch.seen.version
        watch.look()
        assert watch.seen.version == before
        halt.write(HaltLevel.HALT)
        watch.look()
        assert (watch.seen.level, watch.seen.version) == (HaltLevel.HALT, before + 1)
        watch._ledger.close()


def test_a_token_is_drawn_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = token_of(None, tmp_path)
    assert len(first.get_secret_value()) >= 24
    assert token_of(None, tmp_path) == first
    assert (tmp_path / "page_token").stat().st_mode & 0o777 == 0o600


def test_an_empty_token_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "page_token").write_text("\n")
    with pytest.raises(OSError, match="empty"):
        token_of(None, tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_ledger_is_shown_or_said_to_be_unreadable(path: Path, seed: int) -> None:
    with writer(path) as store:
        journal(store, *(f"line {number}" for number in range(50)))
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, random.Random(seed)))
    ledger = Ledger(path)
    with contextlib.suppress(Unreadable):
        assert ledger.changed() is not None
    ledger.close()
