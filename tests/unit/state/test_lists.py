"""What lists of candidates say becomes what the ledger holds; a bad list changes nothing."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.state import sessions
from services.state.model import Candidate
from services.state.setup import Setup
from services.state.sources import CandidateFiles
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts.journal import Alert
from shared.contracts.rules import CandidateRules, Rules
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.halt import HaltFile
from tests.unit.state.world import CLOSE, MINUTE, OPEN, opened

HEADER = "Symbol,Entry_Level,Stop_Loss,Target_R2,Entry_DistPct,Price\n"


class Desk:
    """A ledger in its session, and the configured lists."""

    def __init__(self, home: Path, **rules: Any) -> None:
        self.store = Store.in_memory()
        self.home = home
        setup = Setup(rules=Rules(candidates=CandidateRules(**rules)), partitions=1)
        self.files = CandidateFiles(home, setup)
        self.alerts: list[str] = []
        with self.unit() as unit:
            sessions.roll(unit, opened())

    @contextmanager
    def unit(self, at: dt.datetime = OPEN) -> Iterator[Unit]:
        with self.store.transaction():
            unit = Unit(self.store)
            unit.advance(at)
            yield unit
            unit.seal()
            self.alerts += [item.text for item in unit.out if isinstance(item, Alert)]

    def ingest(self, at: dt.datetime = OPEN) -> str:
        with self.unit(at) as unit:
            return self.files.ingest(unit)

    def active(self) -> dict[str, Candidate]:
        return {candidate.symbol: candidate for candidate in self.store.list_active_candidates()}


def scan(home: Path, *rows: str) -> None:
    (home / "scan.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    stamp = OPEN.timestamp() - 3600
    os.utime(home / "scan.csv", (stamp, stamp))


def test_a_watchlist_never_expires_and_counts_from_its_ingest(tmp_path: Path) -> None:
    desk = Desk(tmp_path, watchlist=("AAPL", "MSFT"))
    assert desk.ingest() == "watchlist: 2 candidates, 0 rows refused"
    assert {name: (one.since, one.expires_at) for name, one in desk.active().items()} == {
        "AAPL": (OPEN, None),
        "MSFT": (OPEN, None),
    }


def test_a_scan_expires_at_its_time_to_live_or_the_close(tmp_path: Path) -> None:
    desk = Desk(tmp_path, scan_file="scan.csv")
    scan(tmp_path, "AAPL,100,98,106,1,99")
    desk.ingest()
    assert desk.active()["AAPL"].expires_at == OPEN + dt.timedelta(hours=6)
    scan(tmp_path, "AAPL,100,98,106,1,99", "MSFT,50,48,56,1,49")
    desk.ingest(OPEN + 60 * MINUTE)
    assert desk.active()["MSFT"].expires_at == CLOSE
    with desk.unit(OPEN + dt.timedelta(hours=6)) as unit:
        sessions.expire_candidates(unit)
    assert set(desk.active()) == {"MSFT"}


def test_bad_rows_are_named_by_line_and_good_rows_count(tmp_path: Path) -> None:
    desk = Desk(tmp_path, scan_file="scan.csv")
    scan(tmp_path, "AAPL,100,98,106,1,99", "BAD,100,200,106,1,99", ",1,1,1,1,1")
    assert desk.ingest() == "scan: 1 candidates, 2 rows refused"
    assert set(desk.active()) == {"AAPL"}
    [alert] = desk.alerts
    assert "line 3" in alert
    assert "line 4" in alert
    desk.ingest(OPEN + MINUTE)
    assert len(desk.alerts) == 1, "the same trouble is told once"


@pytest.mark.parametrize("content", [b"Symbol,Price\nAAPL,1\n", b"", b"\xff\xfe\x00", b"x" * 6_000_000])
def test_a_file_that_cannot_be_taken_leaves_what_stands(tmp_path: Path, content: bytes) -> None:
    desk = Desk(tmp_path, scan_file="scan.csv", watchlist=("SPY",))
    scan(tmp_path, "AAPL,100,98,106,1,99")
    desk.ingest()
    (tmp_path / "scan.csv").write_bytes(content)
    desk.ingest(OPEN + MINUTE)
    assert set(desk.active()) == {"AAPL", "SPY"}
    assert [alert for alert in desk.alerts if alert.startswith("scan refused")]


def test_a_file_that_is_gone_or_too_old_leaves_what_stands(tmp_path: Path) -> None:
    desk = Desk(tmp_path, scan_file="scan.csv")
    scan(tmp_path, "AAPL,100,98,106,1,99")
    desk.ingest()
    stamp = OPEN.timestamp() - 90_000
    os.utime(tmp_path / "scan.csv", (stamp, stamp))
    assert "25.0 hours old" in desk.ingest()
    (tmp_path / "scan.csv").unlink()
    assert "No such file" in desk.ingest()
    assert set(desk.active()) == {"AAPL"}


def test_a_symbol_that_left_the_list_is_no_candidate_any_more(tmp_path: Path) -> None:
    desk = Desk(tmp_path, watchlist_file="watch.txt")
    (tmp_path / "watch.txt").write_text("AAPL\nMSFT # why\n")
    desk.ingest()
    (tmp_path / "watch.txt").write_text("MSFT\n")
    assert desk.files.changed()
    desk.ingest()
    assert not desk.files.changed()
    assert set(desk.active()) == {"MSFT"}


def test_reading_the_same_list_again_changes_nothing_and_keeps_what_was_used(tmp_path: Path) -> None:
    desk = Desk(tmp_path, watchlist=("AAPL",))
    desk.ingest()
    used = replace(desk.active()["AAPL"], spent=True)
    with desk.unit() as unit:
        unit.store.upsert_candidate(used)
    desk.ingest(OPEN + 30 * MINUTE)
    assert desk.active() == {"AAPL": used}


def test_the_next_session_starts_unspent_and_counts_from_its_opening(tmp_path: Path) -> None:
    desk = Desk(tmp_path, watchlist=("AAPL",))
    desk.ingest()
    with desk.unit() as unit:
        unit.store.upsert_candidate(replace(desk.active()["AAPL"], spent=True))
    day = dt.timedelta(days=3)
    monday = opened(opened().session + day, OPEN + day, CLOSE + day)
    with desk.unit(OPEN + day) as unit:
        sessions.roll(unit, monday)
        sessions.roll(unit, monday)
    aapl = desk.active()["AAPL"]
    assert (aapl.session, aapl.since, aapl.spent) == (monday.session, OPEN + day, False)


def test_before_the_first_session_nothing_is_listed(tmp_path: Path) -> None:
    files = CandidateFiles(tmp_path, Setup(rules=Rules(candidates=CandidateRules(watchlist=("AAPL",))), partitions=1))
    store = Store.in_memory()
    with store.transaction():
        assert files.ingest(Unit(store)).startswith("no session has begun")


@pytest.mark.parametrize(
    ("content", "level"),
    [(b"none\n", HaltLevel.NONE), (b"flatten", HaltLevel.FLATTEN), (b"maybe", HaltLevel.HALT), (b"", HaltLevel.HALT)],
)
def test_a_halt_file_that_cannot_be_understood_halts(tmp_path: Path, content: bytes, level: HaltLevel) -> None:
    (tmp_path / "halt").write_bytes(content)
    assert HaltFile(tmp_path / "halt").read() is level


def test_no_halt_file_says_nothing_and_one_that_is_a_folder_halts(tmp_path: Path) -> None:
    assert HaltFile(tmp_path / "halt").read() is None
    assert HaltFile(tmp_path).read() is HaltLevel.HALT
