"""The ledger's file: one writer, nothing overwritten, nothing taken for a ledger that is none."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.state import store as ledger
from services.state.model import EntryRow, IntentStatus, Order
from services.state.records import FillRow, JournalRow
from services.state.store import (
    Fenced,
    LedgerDamaged,
    LedgerFault,
    LedgerFull,
    LedgerNewer,
    LedgerRefused,
    Store,
    read_only,
)
from services.state.unit import Unit
from shared.contracts.decisions import Decided
from shared.contracts.journal import Alert
from shared.contracts.outgoing import Job, Latest, Outgoing, Reply
from shared.contracts.vocabulary import OrderClass, OrderKind, OrderType, Queue, Side, Status, TimeInForce

AT = dt.datetime(2026, 1, 9, 14, 50, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "execution_v2.sqlite"


def an_order(number: int = 1, **changes: object) -> Order:
    order = Order(
        client_order_id=f"e7f3-260109-AAPL-entry-{number}",
        broker_id=None,
        session=DAY,
        symbol="AAPL",
        kind=OrderKind.ENTRY,
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_class=OrderClass.OTO,
        qty=16,
        limit_price=Decimal("100.10"),
        stop_price=None,
        leg_stop_price=Decimal("98.40"),
        status=Status.PLANNED,
        broker_status="",
        resting=False,
        filled_qty=0,
        filled_value=Decimal(0),
        parent="",
        intent="260109-AAPL-entry-091450",
        cause="bars-0-260109T1450",
        planned_at=AT,
        accepted_at=None,
        first_fill_at=None,
        ended_at=None,
        expires_at=None,
        in_flight="",
    )
    return replace(order, **changes)


def an_intent(number: int, due: dt.datetime) -> EntryRow:
    return EntryRow(
        id=f"intent-{number}",
        symbol="AAPL",
        strategy="boh",
        session=DAY,
        confirmed_at=AT,
        confirm_close=100.0,
        pivot=99.5,
        r1=103.0,
        r2=106.0,
        first_stop=98.0,
        swing_low=None,
        scan_stop=None,
        atr_pct=None,
        dist_pct=1.5,
        sector="",
        cause="bars",
        due=due,
        status=IntentStatus.PENDING,
    )


def contents(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if not file.name.endswith(".lock")
    }


# One writer


def test_a_second_writer_waits_says_so_and_takes_over_when_the_first_ends(path: Path) -> None:
    first = Store.open(path)
    heard = threading.Event()
    opened: list[Store] = []
    second = threading.Thread(target=lambda: opened.append(Store.open(path, lambda waited_s: heard.set())))
    second.start()
    assert heard.wait(10)
    assert opened == []
    first.close()
    second.join(10)
    assert [store.writer_epoch for store in opened] == [2]


def test_a_waiting_writer_may_give_up(path: Path) -> None:
    class Enough(Exception):
        pass

    def give_up(waited_s: float) -> None:
        raise Enough

    with Store.open(path).transaction(), pytest.raises(Enough):
        Store.open(path, give_up)


def test_a_writer_that_was_replaced_is_fenced_in_its_next_transaction(path: Path) -> None:
    first = Store.open(path)
    os.unlink(path.with_name(path.name + ".lock"))  # as if someone cleaned up while the first one was frozen
    second = Store.open(path)
    with pytest.raises(Fenced), first.transaction():
        first.set_note("who", "first")
    with second.transaction():
        second.set_note("who", "second")
    assert second.note("who") == "second"


def test_a_note_of_a_part_that_failed_is_as_it_was_before() -> None:
    store = Store.in_memory()

    def fail_at(value: str) -> None:
        store.set_note("who", value)
        raise ZeroDivisionError

    with store.transaction():
        store.set_note("who", "first")
    with store.transaction():
        with pytest.raises(ZeroDivisionError), store.savepoint():
            fail_at("second")
        assert store.note("who") == "first"
    with pytest.raises(ZeroDivisionError), store.transaction():
        fail_at("third")
    assert store.note("who") == "first"


@pytest.mark.parametrize("writes", [True, False])
def test_a_fault_of_the_ledger_is_no_fault_of_the_work_that_met_it(*, writes: bool) -> None:
    """Also where the work only reads: a plan that could not be made for it ends the transaction, nobody is told."""
    store = Store.in_memory()
    told: list[Exception] = []

    def unreadable() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(LedgerFault, match="disk I/O error"), store.transaction():
        Unit(store).attempt(unreadable, told.append, writes=writes)
    assert told == []


# Refused, untouched


def test_a_ledger_of_a_newer_program_is_refused_and_not_touched(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(f"PRAGMA user_version = {ledger.newest_version() + 1}")
    database.close()
    before = contents(path.parent)
    with pytest.raises(LedgerNewer, match="newer than this program's"):
        Store.open(path)
    with pytest.raises(LedgerNewer):
        read_only(path)
    assert contents(path.parent) == before


def test_a_newer_version_that_stands_only_in_the_wal_is_seen(path: Path) -> None:
    newer = Store.open(path)
    newer._db.execute(f"PRAGMA user_version = {ledger.newest_version() + 1}")
    copy = path.parent.parent / "copy" / path.name
    copy.parent.mkdir()
    for end in ("", "-wal"):
        copy.with_name(copy.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    newer.close()
    hashes = {name: value for name, value in contents(copy.parent).items() if not name.endswith("-shm")}
    with pytest.raises(LedgerNewer):
        Store.open(copy)
    assert {name: value for name, value in contents(copy.parent).items() if not name.endswith("-shm")} == hashes


@pytest.mark.parametrize("keep", [0, 100, 4096, 20_000])
def test_a_truncated_ledger_is_refused_by_name_and_never_replaced(path: Path, keep: int) -> None:
    Store.open(path).close()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(LedgerDamaged, match="damaged ledger"):
        Store.open(path)
    assert path.stat().st_size == keep


def test_a_file_of_someone_else_is_no_ledger(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    with pytest.raises(LedgerDamaged, match="not a ledger of this program"):
        Store.open(path)


def test_a_log_without_its_ledger_is_no_new_ledger(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.with_name(path.name + "-wal").write_bytes(b"what was committed last")
    with pytest.raises(LedgerDamaged, match="stands alone"):
        Store.open(path)
    assert not path.exists()


def test_a_reader_finds_no_ledger_and_says_what_makes_one(path: Path) -> None:
    with pytest.raises(LedgerRefused, match="no ledger yet"):
        read_only(path)


def test_a_reader_beside_the_writer_sees_what_is_committed_and_can_write_nothing(path: Path) -> None:
    store = Store.open(path)
    with store.transaction():
        store.set_note("hello", "there")
    reader = read_only(path)
    assert reader.execute("SELECT value FROM meta WHERE key = 'hello'").fetchone() == ("there",)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM meta")


# Migrations


def test_a_migration_keeps_a_backup_and_happens_whole_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(path)
    with store.transaction():
        store.record_order_once(an_order())
    store.close()
    known = ledger._migrations()
    number = len(known) + 1
    good, bad = "CREATE TABLE fresh (x INTEGER) STRICT;\n", "INSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(ledger, "_migrations", lambda: [*known, (number, good + bad)])
    with pytest.raises(LedgerRefused):
        Store.open(path)
    monkeypatch.setattr(ledger, "_migrations", lambda: known)
    Store.open(path).close()
    monkeypatch.setattr(ledger, "_migrations", lambda: [*known, (number, good)])
    store = Store.open(path)
    assert store._db.execute("SELECT COUNT(*) FROM fresh").fetchone() == (0,)
    assert store.order("e7f3-260109-AAPL-entry-1") == an_order()
    monkeypatch.setattr(ledger, "_migrations", lambda: known)
    backup = path.with_name(f"{path.name}.before-{number:04d}")
    assert read_only(backup).execute("SELECT COUNT(*) FROM order_ledger").fetchone() == (1,)


def test_every_migration_is_one_of_whole_statements() -> None:
    for _, script in ledger._migrations():
        assert list(ledger._statements(script))


# Transactions


def test_the_journal_can_only_grow() -> None:
    store = Store.in_memory()
    row = JournalRow(seq=0, at=AT, kind="fill", symbol="AAPL", order_id="", cause="", text="bought", figures={"qty": 1})
    with store.transaction():
        assert [store.append_journal(row), store.append_journal(row)] == [1, 2]
    for statement in ("UPDATE journal SET text = 'sold'", "DELETE FROM journal"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), store.transaction():
            store._db.execute(statement)


def test_a_failed_part_is_undone_alone() -> None:
    store = Store.in_memory()
    with store.transaction():
        store.set_note("a", "1")
        with pytest.raises(sqlite3.IntegrityError), store.savepoint():
            store._db.execute("INSERT INTO meta VALUES ('b', '1'), ('a', 'twice')")
        store.set_note("c", "1")
    assert [store.note(key) for key in "abc"] == ["1", "", "1"]


def test_a_full_disk_undoes_the_transaction_and_the_same_store_goes_on(path: Path) -> None:
    store = Store.open(path)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerFull):
        _record_many(store)
    assert store.order("e7f3-260109-AAPL-entry-1") is None
    store._db.execute("PRAGMA max_page_count = 100000")
    with store.transaction():
        store.record_order_once(an_order())
    assert store.order("e7f3-260109-AAPL-entry-1") == an_order()


def _record_many(store: Store) -> None:
    with store.transaction():
        for number in range(1, 2000):
            store.record_order_once(an_order(number))


# What is kept


def test_an_order_is_recorded_once_and_its_number_is_never_given_again() -> None:
    store = Store.in_memory()
    assert store.next_order_number(DAY, "AAPL", OrderKind.ENTRY) == 1
    with store.transaction():
        assert store.record_order_once(an_order(3))
        assert not store.record_order_once(an_order(3, qty=99))
        store.update_external_order_id("e7f3-260109-AAPL-entry-3", "b-1")
    assert store.order("e7f3-260109-AAPL-entry-3") == an_order(3, broker_id="b-1")
    assert store.order_by_broker_id("b-1") == an_order(3, broker_id="b-1")
    assert store.next_order_number(DAY, "AAPL", OrderKind.ENTRY) == 4
    assert store.next_order_number(DAY, "AAPL", OrderKind.STOP) == 1


def test_due_intents_are_claimed_in_order_and_never_deleted() -> None:
    store = Store.in_memory()
    minute = dt.timedelta(minutes=1)
    with store.transaction():
        for number, due in ((3, AT), (1, AT + minute), (2, AT), (4, AT + 2 * minute)):
            assert store.put_entry_intent(an_intent(number, due))
        assert not store.put_entry_intent(an_intent(1, AT))
        claimed = store.due_entry_intents(AT + minute)
        again = store.due_entry_intents(AT + minute)
    assert [(row.id, row.status) for row in claimed] == [
        ("intent-2", IntentStatus.WORKING),
        ("intent-3", IntentStatus.WORKING),
        ("intent-1", IntentStatus.WORKING),
    ]
    assert again == []
    assert store.next_due() == AT + 2 * minute
    assert len(store.entry_intents_of(DAY)) == 4


def test_an_execution_is_booked_once() -> None:
    store = Store.in_memory()
    fill = FillRow(
        execution_id="x1",
        client_order_id="o",
        broker_order_id="b",
        symbol="AAPL",
        side=Side.BUY,
        qty=5,
        price=Decimal("100.05"),
        at=AT,
        position_id="p",
        session=DAY,
    )
    with store.transaction():
        assert [store.book_fill(fill), store.book_fill(replace(fill, qty=7)), store.book_fill(fill)] == [
            True,
            False,
            False,
        ]
    assert store.fills_of("o") == [fill]


def test_of_several_decisions_the_first_with_the_highest_fence_stands_and_is_handed_out_once() -> None:
    store = Store.in_memory()

    def decided(fence: int, name: str) -> Decided:
        return Decided(id=name, at=AT, partition=1, minute=AT, session=DAY, fence=fence)

    with store.transaction():
        for fence, name in ((3, "old"), (5, "new"), (5, "new again"), (4, "late")):
            store.put_decision(decided(fence, name))
        assert [one.id for one in store.take_decisions(AT)] == ["new"]
        assert store.take_decisions(None) == []
    assert store.decided_through(1) == AT


def test_the_outbox_gives_back_what_was_put_in_until_it_is_dropped(path: Path) -> None:
    items: list[Outgoing] = [
        Alert(id="a", at=AT, level="info", key="k", text="t"),
        Latest(key="account", fields={"cash": "1"}),
        Reply(request="r", body="{}"),
        Job(id="j", queue=Queue.ENTRY, actions=("o",), attempts=(1,)),
    ]
    store = Store.open(path)
    with store.transaction():
        store.put_outbox(items)
    end = store.outbox_end()
    store.close()
    store = Store.open(path)
    assert [item for _, item in store.outbox()] == items
    with store.transaction():
        store.drop_outbox(end)
    assert store.outbox() == []
    assert store.outbox_end() == end


def test_the_installation_is_drawn_once(path: Path) -> None:
    store = Store.open(path)
    drawn = store.installation
    store.close()
    assert len(drawn) == 4
    assert Store.open(path).installation == drawn


LIMITED = """
import resource, signal, sys
from pathlib import Path
from services.state.store import LedgerFault, Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    Store.open(Path(sys.argv[1]))
except LedgerFault as fault:
    print(type(fault).__name__)
"""


@pytest.mark.parametrize("room", [1_000, 60_000])
def test_a_disk_without_room_leaves_no_half_made_ledger_and_damages_none(room: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", LIMITED, str(path), str(room)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "LedgerFault\n"
    assert not path.exists()
    Store.open(path).close()
    command[-1] = "1000"
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "LedgerFault\n"
    Store.open(path).close()
