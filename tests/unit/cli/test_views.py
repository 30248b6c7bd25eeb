"""The fields that other programs rely on, and what views say where they cannot answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Execute
from tests.unit.cli.ledgers import ENTRY, make_ledger

FIELDS = {
    "orders": "client_order_id broker_id symbol side type qty filled_qty filled_avg_price limit_price stop_price status"
    " intent parent cause submitted_at",
    "positions": "symbol qty avg_price stop stop_mode pivot r1 r2 high_water entered_at",
    "why AAPL": "at symbol outcome reason figures",
    "intents": "id kind symbol at due status reason price limit_price stop shares sold cause",
    "candidates": "symbol strategy source session active spent since expires_at sector note at outcome reason",
}


@pytest.fixture(autouse=True)
def _ledger(home: Path) -> None:
    make_ledger(home / "data" / "execution_v2.sqlite")


@pytest.fixture
def answer(execute: Execute, capsys: pytest.CaptureFixture[str]) -> Any:
    def ask(*arguments: str) -> Any:
        assert execute(*arguments, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return ask


@pytest.mark.parametrize("command", FIELDS)
def test_json_has_exactly_the_promised_fields_in_their_order(command: str, answer: Any) -> None:
    rows = answer(*command.split())
    assert rows
    assert all(" ".join(row) == FIELDS[command] for row in rows)


@pytest.mark.parametrize("command", FIELDS)
def test_the_same_is_shown_as_a_table(command: str, execute: Execute, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(*command.split()) == 0
    assert "AAPL" in capsys.readouterr().out


def test_an_order_has_its_average_price_parent_and_time(answer: Any) -> None:
    entry, leg, *_ = answer("orders", "--session", "2015-02-11")
    assert entry == {
        "client_order_id": ENTRY,
        "broker_id": f"b-{ENTRY}",
        "symbol": "AAPL",
        "side": "buy",
        "type": "limit",
        "qty": 80,
        "filled_qty": 80,
        "filled_avg_price": 124.3,
        "limit_price": 124.35,
        "stop_price": None,
        "status": "filled",
        "intent": "150211-AAPL-entry-111500",
        "parent": "",
        "cause": "bars-1",
        "submitted_at": "2015-02-11T15:02:00Z",
    }
    assert (leg["parent"], leg["filled_avg_price"], leg["stop_price"]) == (ENTRY, None, 121.0)


def test_why_tells_the_bars_verdict_before_the_accounts(answer: Any) -> None:
    assert [verdict["reason"] for verdict in answer("why", "aapl")] == ["no_break", "confirmed", "admitted"]


@pytest.mark.parametrize("time", ["09:59", "09:50", "2015-02-11T14:55:00Z", "2015-02-11T09:55"])
def test_why_at_a_time_tells_what_stood_then(time: str, answer: Any) -> None:
    assert [verdict["at"] for verdict in answer("why", "AAPL", time)] == ["2015-02-11T14:50:00Z"]


def test_a_candidate_comes_with_its_latest_verdict(answer: Any) -> None:
    assert [(row["symbol"], row["reason"]) for row in answer("candidates")] == [
        ("AAPL", "admitted"),
        ("FB", "regime_symbol"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["why", "ZZZ"], "no verdict on ZZZ in any session: it was no candidate; there are some of AAPL, FB"),
        (["why", "AAPL", "9:7"], "'9:7' is no time: write HH:MM of New York"),
        (["why", "AAPL", "09:31"], "no verdict by 09:31 New York: the first is of 09:50"),
        (["orders", "--session", "2015-02-16"], "2015-02-16 (Monday) is no session of the exchange"),
        (["orders", "--session", "2015-02-17"], "the ledger has no session 2015-02-17; it has 2015-02-11 to"),
        (["intents", "--session", "today"], "--session 'today' is no date"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    arguments: list[str], said: str, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"execution: {said}")


def test_status_without_a_server_is_not_well_and_says_what_to_do(
    execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute("status", "--json") == 1
    state = json.loads(capsys.readouterr().out)
    assert state["session"] == "2015-02-11"
    assert (state["halt"], state["open_positions"], state["unresolved"]) == ("none", 1, [])
    assert "run execution up" in state["not_well"][0]
    assert execute("status") == 1
    assert "NOT WELL: no server" in capsys.readouterr().out
