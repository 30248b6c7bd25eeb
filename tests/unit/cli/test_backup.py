"""Backups are whole or not there, and a restore changes nothing unless it can put everything back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli import safekeeping
from services.state.digest import digest
from services.state.store import Store
from shared.runtime.supervisor import HomeLock
from tests.unit.cli.conftest import Execute
from tests.unit.cli.ledgers import make_ledger

Said = Callable[..., Any]


@pytest.fixture
def ledger(home: Path) -> Path:
    path = home / "data" / "execution_v2.sqlite"
    make_ledger(path)
    return path


@pytest.fixture
def said(execute: Execute, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command that succeeds prints, as data."""

    def run(*arguments: str) -> Any:
        assert execute(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(execute: Execute, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        assert execute(*arguments) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err

    return run


def note(ledger: Path, key: str, value: str) -> None:
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def notes(ledger: Path) -> dict[str, str]:
    with closing(sqlite3.connect(ledger)) as database:
        return dict(database.execute("SELECT key, value FROM meta"))


def digest_of(ledger: Path) -> str:
    with closing(sqlite3.connect(ledger)) as database:
        return digest(database)


def test_a_backup_beside_the_writer_is_the_last_transaction_that_was_finished(ledger: Path, said: Said) -> None:
    writer = Store.open(ledger)
    before = writer.digest()
    with writer.transaction():
        writer._db.execute("DELETE FROM verdicts")
        kept = said("backup")
    assert digest_of(Path(kept["file"])) == kept["digest"] == before != writer.digest()
    with writer.transaction():  # the writer noticed nothing
        writer.set_note("still", "writing")
    writer.close()
    assert [path.name for path in Path(kept["file"]).parent.iterdir()] == [Path(kept["file"]).name]


def test_a_backup_replaces_no_file(ledger: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "precious").write_text("mine")
    assert "precious exists and is left as it is" in refused("backup", "precious")
    assert (tmp_path / "precious").read_text() == "mine"
    assert [path.name for path in tmp_path.glob(".precious*")] == []


def test_a_copy_that_is_not_the_ledger_is_no_backup(
    ledger: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_less(source: sqlite3.Connection, target: Path) -> None:
        whole(source, target)
        with closing(sqlite3.connect(target)) as database, database:
            database.execute("DELETE FROM fills")

    whole = safekeeping._copy
    monkeypatch.setattr(safekeeping, "_copy", copy_less)
    assert "the copy is not the ledger" in refused("backup", "copy")
    assert list(tmp_path.glob("*copy*")) == []


def test_restoring_puts_the_backup_back_and_keeps_what_was_there(ledger: Path, said: Said) -> None:
    kept = said("backup")
    with closing(sqlite3.connect(ledger)) as database, database:
        database.execute("DELETE FROM fills")
    changed = digest_of(ledger)
    done = said("restore", kept["file"])
    assert digest_of(ledger) == kept["digest"] != changed
    assert digest_of(Path(done["before"]) / ledger.name) == changed
    assert said("digest")["digest"] == kept["digest"]


def test_a_restored_ledger_reads_nothing_that_was_said_to_a_later_one(home: Path, ledger: Path, said: Said) -> None:
    kept = said("backup")
    note(ledger, "bus_run_id", "run-1")
    note(ledger, "bus_epoch", "7")
    note(ledger, "writer_epoch", "40")
    with closing(sqlite3.connect(kept["file"])) as database, database:
        database.execute("UPDATE account SET armed = 1")
    (home / "data" / "redis").mkdir()
    (home / "data" / "redis" / "streams").write_text("commands")
    done = said("restore", kept["file"])
    found = notes(ledger)
    assert (found["bus_run_id"], found["bus_epoch"], found["writer_epoch"]) == ("", "7", "40")
    assert not (home / "data" / "redis").exists()
    assert (Path(done["before"]) / "redis" / "streams").exists()
    with closing(sqlite3.connect(ledger)) as database:
        assert database.execute("SELECT armed FROM account").fetchall() == [(0,)]


def test_nothing_is_restored_while_something_runs(ledger: Path, said: Said, refused: Callable[..., str]) -> None:
    kept = said("backup")
    before = ledger.read_bytes()
    supervisor = HomeLock(ledger.parent)
    assert "already in use by process" in refused("restore", kept["file"])
    supervisor.release()
    state = Store.open(ledger)
    assert "a state process writes it" in refused("restore", kept["file"])
    state.close()
    assert list(ledger.parent.glob("before-restore-*")) == []
    assert before[:16] == ledger.read_bytes()[:16]


def test_only_a_whole_ledger_of_this_home_is_restored(
    ledger: Path, tmp_path: Path, said: Said, refused: Callable[..., str]
) -> None:
    assert "no such file" in refused("restore", "nothing")
    (tmp_path / "text").write_text("no ledger\n" * 100)
    assert "text" in refused("restore", "text")
    kept = said("backup", "kept")
    cut = tmp_path / "cut"
    cut.write_bytes(Path(kept["file"]).read_bytes()[:-4096])
    assert "cut: not a whole ledger" in refused("restore", "cut")
    note(ledger, "installation", "beef")
    assert "is of installation" in refused("restore", "kept")
    assert list(ledger.parent.glob("before-restore-*")) == []


def test_a_backup_of_shares_that_is_older_than_what_the_broker_is_asked_for_is_refused(
    ledger: Path, said: Said, refused: Callable[..., str]
) -> None:
    kept = said("backup")
    note(ledger, "now", "2015-02-17T21:00:00+00:00")
    assert "6 days old and holds shares" in refused("restore", kept["file"])
    note(ledger, "now", "2015-02-16T20:00:00+00:00")
    said("restore", kept["file"])
