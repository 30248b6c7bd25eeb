"""`backtest`, `digest` and `diff` as commands; `replay` on real processes is in tests/integration."""

from __future__ import annotations

import json
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.play import Market, Play, Start, begin
from cli.replay_run import installation_of, start_of_replay
from tests.unit.cli.conftest import Execute
from tests.unit.columns.random_market import Files, write_market

TRADES = 14  # a market in which four entries are bought, trimmed and stopped
Said = pytest.CaptureFixture[str]


@pytest.fixture
def market(tmp_path: Path) -> Files:
    return write_market(TRADES, tmp_path, sessions=1, stocks=4)


def options(market: Files, home: Path | str) -> list[str]:
    session = str(market.sessions[0].session)
    return ["--bars", str(market.bars), "--daily", str(market.daily), "--session", session, "--home", str(home)]


def outcome(execute: Execute, said: Said, market: Files, home: Path | str, *more: str) -> dict[str, Any]:
    said.readouterr()
    assert execute("backtest", *options(market, home), "--json", *more) == 0
    found: dict[str, Any] = json.loads(said.readouterr().out)
    return found


def test_a_backtest_prints_digest_counts_profit_and_trades(
    execute: Execute, capsys: Said, market: Files, tmp_path: Path
) -> None:
    found = outcome(execute, capsys, market, tmp_path / "one")
    assert len(found["digest"]) == 64
    assert found["counts"]["entries"] == len(found["trades"]) > 0
    assert found["bar_by_bar"] == ""
    assert execute("digest", "--home", str(tmp_path / "one")) == 0
    assert capsys.readouterr().out.strip() == found["digest"]
    assert execute("backtest", *options(market, tmp_path / "one")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"digest {found['digest']}"


def test_the_same_backtest_again_keeps_the_one_before(
    execute: Execute, capsys: Said, market: Files, tmp_path: Path
) -> None:
    home = tmp_path / "one"
    first, again = (outcome(execute, capsys, market, home) for _ in range(2))
    assert first["digest"] == again["digest"]
    assert (home / "data" / "previous" / "execution_v2.sqlite").exists()


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """No file grows beyond `count` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line_and_costs_nothing_of_what_was_there(
    execute: Execute, capsys: Said, market: Files, tmp_path: Path
) -> None:
    data = tmp_path / "one" / "data"
    outcome(execute, capsys, market, data.parent)
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.name != "up.lock"}
    for _ in range(2):
        with files_of_at_most(20_000):
            assert execute("backtest", *options(market, data.parent), "--seed", "27") == 2
        [said] = capsys.readouterr().err.splitlines()
        assert "make room or choose another --home; nothing of this home was changed" in said
        assert {path.name: path.read_bytes() for path in data.iterdir() if path.name != "up.lock"} == before


def test_bar_by_bar_gives_the_same_digest_and_says_so(
    execute: Execute, capsys: Said, market: Files, tmp_path: Path
) -> None:
    fast, slow = outcome(execute, capsys, market, "one"), outcome(execute, capsys, market, "two", "--bar-by-bar")
    assert slow["bar_by_bar"] == "asked for"
    assert slow["digest"] == fast["digest"]
    assert execute("diff", "one", "two") == 0
    assert capsys.readouterr().out == "the same\n"


def test_a_difference_is_named_with_what_caused_it(execute: Execute, capsys: Said, market: Files) -> None:
    for home in ("one", "two"):
        outcome(execute, capsys, market, home)
    with sqlite3.connect(Path("two") / "data" / "execution_v2.sqlite") as ledger:
        order, intent = ledger.execute(
            "SELECT client_order_id, intent FROM order_ledger WHERE kind = 'entry' ORDER BY client_order_id"
        ).fetchone()
        ledger.execute("UPDATE order_ledger SET qty = qty + 1 WHERE client_order_id = ?", (order,))
        [cause] = ledger.execute("SELECT cause FROM entry_intents WHERE id = ?", (intent,)).fetchone()
    assert cause.startswith("bars-")
    assert execute("diff", "one", "two", "--json") == 1
    found = json.loads(capsys.readouterr().out)["difference"]
    assert (found["table"], found["key"], found["only_in"]) == ("order_ledger", [order], "")
    assert list(found["changed"]) == ["qty"]
    assert found["causes"] == [intent, cause]


def test_a_row_that_only_one_has_is_named_with_its_home(execute: Execute, capsys: Said, market: Files) -> None:
    for home in ("one", "two"):
        outcome(execute, capsys, market, home)
    with sqlite3.connect(Path("one") / "data" / "execution_v2.sqlite") as ledger:
        fill = ledger.execute("SELECT min(execution_id) FROM fills").fetchone()[0]
        ledger.execute("DELETE FROM fills WHERE execution_id = ?", (fill,))
    assert execute("diff", "one", "two") == 1
    assert capsys.readouterr().out.splitlines()[0] == f"fills {fill}: only in two"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"--session": "yesterday"}, "'yesterday' is no date"),
        ({"--session": "20150202"}, "'20150202' is no date"),
        ({"--session": "2015-W06-1"}, "'2015-W06-1' is no date"),
        ({"--session": "2015-02-07"}, "is no session of the exchange"),
        ({"--to": "2014-01-02"}, "lies before the first"),
        ({"--session": "2016-02-05"}, "has no bars of 2016-02-05"),
        ({"--bars": "nowhere.parquet"}, "nowhere.parquet does not exist"),
        ({"--watchlist": "ZZZ"}, "has no symbol ZZZ"),
    ],
)
@pytest.mark.parametrize("command", ["backtest", "replay"])
def test_bad_input_is_one_line_and_changes_nothing(
    command: str, changes: dict[str, str], line: str, execute: Execute, capsys: Said, market: Files, home: Path
) -> None:
    wanted = options(market, home)
    for option, value in changes.items():
        if option in wanted:
            wanted[wanted.index(option) + 1] = value
        else:
            wanted += [option, value]
    assert execute(command, *wanted) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert line in said
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("command", [["digest"], ["diff", "one", "two"]])
def test_without_a_ledger_the_command_that_makes_one_is_named(
    command: list[str], execute: Execute, capsys: Said
) -> None:
    assert execute(*command) == 2
    assert "no ledger at" in capsys.readouterr().err


def test_order_ids_are_a_function_of_the_seed() -> None:
    assert installation_of(26) == installation_of(26) != installation_of(27)
    assert len(installation_of(26)) == 4


def test_a_replay_never_goes_on_with_the_ledger_of_another(tmp_path: Path) -> None:
    sessions = write_market(1, tmp_path, sessions=2, stocks=1).sessions
    played = Market(bars="", daily="", seed=1, watchlist=())
    first = Play(market=played, first=sessions[0].session, last=sessions[0].session, installation="abcd")
    begin(tmp_path, first, Start.FIRST)
    (tmp_path / "conductor.txt").write_text(str(first.last))
    following = Play(market=played, first=sessions[1].session, last=sessions[1].session, installation="abcd")
    assert start_of_replay(tmp_path, following) is Start.AFRESH
