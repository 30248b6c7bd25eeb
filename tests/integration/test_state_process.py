"""State as real processes on a real server: one writer, restarts that lose nothing, refusals with one line."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.state.store import Store, newest_version
from shared.contracts import ids, streams
from shared.contracts.clock import Answer, Tick, TickPhase
from shared.contracts.commands import Pause
from shared.contracts.journal import JournalEntry
from shared.contracts.market import Bar, Bars
from shared.contracts.message import Message
from shared.contracts.orders import BrokerAccount, BrokerSnapshot, ClaimRequest
from shared.runtime.bus import Bus
from shared.runtime.claims import ask_all
from tests.unit.state.day import ENTRY, confirmed
from tests.unit.state.world import MINUTE, OPEN, SESSION, decided, opened

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]
ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
DEADLINE_S = 30.0
AT = OPEN + 20 * MINUTE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "execution.toml").write_text(
        '[run]\npace = "conducted"\ninstallation = "e7f3"\n[candidates]\nwatchlist = ["AAPL"]\n'
        "[entry]\ndelay_min = 0\ndelay_max = 0\n[broker]\nlease = 1.0\n"
    )
    return tmp_path


@pytest.fixture
def start(server_url: str, home: Path) -> Iterator[Start]:
    """Starts state; all that were started are gone afterwards."""
    processes: list[Process] = []

    def start_one(log: str = "state.log", **extra: str) -> Process:
        environment = os.environ | {"EV2_HOME": str(home), "EV2_REDIS_URL": server_url} | extra
        command = [sys.executable, "-m", "services.state"]
        with (home / log).open("ab") as out:
            processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=out, stdout=out))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()
        process.wait(timeout=5)


def wait_for(what: Callable[[], Any], why: str) -> Any:
    """What `what` says, once it says something."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE_S} s: {why}")


def ledger(home: Path) -> Path:
    return home / "data" / "execution_v2.sqlite"


def query(home: Path, text: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"{ledger(home).as_uri()}?mode=ro", uri=True) as database:
        rows = list(database.execute(text))
    database.close()
    return rows


class Session:
    """The other services, as far as state hears of them."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def said(self, stream: str) -> list[Message]:
        return [entry.message for entry in self.bus.read({stream: "0"}, 0) if entry.message is not None]

    def tick(self, phase: TickPhase, at: Any) -> Tick:
        covered = streams.names(("daily", "bars", "intents"), range(PARTITIONS))
        tick = Tick(
            id=f"tick-{at:%y%m%dT%H%M}-{phase}", at=at, session=SESSION, phase=phase, upto=self.bus.last_ids(covered)
        )
        self.bus.publish([tick])
        return tick

    def answered(self, tick: Tick) -> bool:
        return any(isinstance(one, Answer) and one.cause == tick.id for one in self.said("progress"))

    def actions(self, home: Path, like: str) -> list[tuple[Any, ...]]:
        return query(home, f"SELECT id, attempt FROM order_actions WHERE status = 'planned' AND id LIKE '{like}'")

    def claim(self, action: str, attempt: int) -> bool:
        request = ClaimRequest(id=f"claim-{action}-{attempt}", at=AT, action=action, attempt=attempt, executor="test")
        reply = ask_all(self.bus, [request], DEADLINE_S).get(request.id)
        return reply is not None and reply.granted

    def reconcile(self, home: Path) -> None:
        """Answer the next reconcile with an empty account."""
        action, attempt = wait_for(lambda: self.actions(home, "%-reconcile-%"), "a reconcile")[0]
        if not self.claim(action, attempt):
            return
        account = BrokerAccount(
            account_number="PA1",
            status="ACTIVE",
            cash=Decimal(100_000),
            equity=Decimal(100_000),
            buying_power=Decimal(200_000),
        )
        self.bus.publish(
            [
                BrokerSnapshot(
                    id=f"snapshot-{action}-{attempt}",
                    at=OPEN,
                    cause=action,
                    request=action,
                    orders=(),
                    positions=(),
                    account=account,
                    fills=(),
                    events_seen=0,
                )
            ]
        )

    def until_answered(self, home: Path, tick: Tick) -> None:
        """Answer reconciles until state answers `tick`."""

        def done() -> bool:
            if self.actions(home, "%-reconcile-%"):
                self.reconcile(home)
            return self.answered(tick)

        wait_for(done, f"an answer to {tick.id}")

    def open(self, home: Path) -> None:
        wait_for(lambda: self.bus.life().epoch, "a bus in use")
        self.bus.publish([opened()])
        self.until_answered(home, self.tick(TickPhase.INGEST, OPEN))

    def confirm(self) -> Tick:
        mine = ids.partition_of("AAPL", PARTITIONS)
        bars = [
            Bars(
                id=ids.minute_id("bars", partition, AT),
                at=AT,
                partition=partition,
                minute=AT - MINUTE,
                rows=(Bar("AAPL", 100.0, 100.0, 100.0, 100.0, 1000.0),) if partition == mine else (),
            )
            for partition in range(PARTITIONS)
        ]
        decisions = [
            decided(partition, AT, entries=(confirmed("AAPL", AT),) if partition == mine else ())
            for partition in range(PARTITIONS)
        ]
        self.bus.publish([*bars, *decisions])
        return self.tick(TickPhase.ACT, AT)


def test_a_second_process_waits_says_so_and_takes_over(home: Path, start: Start, bus: Bus) -> None:
    first = start("first.log")
    wait_for(lambda: ledger(home).exists() and bus.life().epoch, "the first writer")
    second, third = start("second.log"), start("third.log")
    wait_for(lambda: "waiting" in (home / "third.log").read_text(), "the word of one more")
    third.send_signal(signal.SIGTERM)
    assert third.wait(timeout=DEADLINE_S) == 0, "one that waits can be stopped"
    wait_for(lambda: "waiting: another process writes this ledger" in (home / "second.log").read_text(), "its word")
    assert query(home, "SELECT value FROM meta WHERE key = 'writer_epoch'") == [("1",)]
    first.kill()
    wait_for(lambda: query(home, "SELECT value FROM meta WHERE key = 'writer_epoch'") == [("2",)], "the take-over")
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=10) == 0


def test_a_newer_ledger_is_refused_with_one_line_and_code_2(home: Path, start: Start) -> None:
    Store.open(ledger(home)).close()
    with sqlite3.connect(ledger(home)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(f"PRAGMA user_version = {newest_version() + 1}")
    database.close()
    before = hashlib.sha256(ledger(home).read_bytes()).digest()
    assert start().wait(timeout=DEADLINE_S) == 2
    [line] = (home / "state.log").read_text().splitlines()
    assert "newer than this program's" in line
    assert hashlib.sha256(ledger(home).read_bytes()).digest() == before


def test_a_damaged_ledger_is_refused_with_its_name_and_code_2(home: Path, start: Start) -> None:
    Store.open(ledger(home)).close()
    ledger(home).write_bytes(b"not a database at all, though it has the right name" * 100)
    assert start().wait(timeout=DEADLINE_S) == 2
    [line] = (home / "state.log").read_text().splitlines()
    assert str(ledger(home)) in line


@pytest.mark.parametrize("point", ["state.after_read", "state.in_transaction", "state.after_commit"])
def test_a_process_killed_in_the_minute_of_an_entry_orders_it_once(
    home: Path, start: Start, bus: Bus, point: str
) -> None:
    bus.client.flushall()
    doomed = start("doomed.log")
    session = Session(bus)
    session.open(home)
    doomed.kill()
    doomed.wait(timeout=5)
    # The first step of a process is that of the minute: it dies there, once.
    tick = session.confirm()
    assert start("killed.log", EV2_CRASH_AT=f"{point}:1").wait(timeout=DEADLINE_S) == -signal.SIGKILL
    start()

    def entry() -> list[tuple[Any, ...]]:
        if session.actions(home, "%-reconcile-%"):
            session.reconcile(home)
        return session.actions(home, ENTRY)

    action, attempt = wait_for(entry, "the entry's action")[0]
    assert session.claim(action, attempt)
    orders = query(home, "SELECT client_order_id, status, qty FROM order_ledger")
    assert orders == [(ENTRY, "claimed", 16)]
    assert not session.answered(tick), "the order is under way"


def test_a_command_is_answered_in_the_journal_and_stands_in_the_halt_file(home: Path, start: Start, bus: Bus) -> None:
    bus.client.flushall()
    start()
    wait_for(lambda: bus.life().epoch, "a bus in use")
    bus.publish([Pause(id="pause-1", at=OPEN, by="test")])
    session = Session(bus)

    def answer() -> list[JournalEntry]:
        return [one for one in session.said("journal") if isinstance(one, JournalEntry) and one.cause == "pause-1"]

    [entry] = wait_for(answer, "the answer")
    assert entry.kind == "command_done"
    assert [path.read_text() for path in home.rglob("halt")] == ["pause\n"]


def test_a_wiped_bus_is_opened_again_with_every_view(home: Path, start: Start, bus: Bus) -> None:
    bus.client.flushall()
    start()
    session = Session(bus)
    session.open(home)
    epoch = bus.life().epoch
    wait_for(lambda: hashes(bus), "the candidate's view")
    bus.client.flushall()
    assert wait_for(lambda: bus.life().epoch, "the next life") == epoch + 1
    assert hashes(bus)[b"symbol"] == b"AAPL"


def hashes(bus: Bus) -> Mapping[bytes, bytes]:
    found: Mapping[bytes, bytes] = bus.client.hgetall(bus.key("candidate:AAPL"))  # type: ignore[assignment]
    return found
