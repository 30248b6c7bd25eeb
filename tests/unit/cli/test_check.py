"""`execution check`: each gate green, or red with what to do; and never a secret."""

from __future__ import annotations

import json
import shutil
import socket
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.state.store import Store
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.halt import HaltFile
from tests.orders.loopback_broker import ACCOUNT, Fault, LoopbackBroker, order
from tests.unit.cli.conftest import Execute

GATES = [
    "configuration",
    "home",
    "disk",
    "ledger",
    "bus",
    "account",
    "clock",
    "calendar",
    "candidates",
    "halt level",
    "armed",
    "foreign",
    "stops",
    "ports",
]
Room = namedtuple("Room", "total used free")


@pytest.fixture
def broker() -> Iterator[LoopbackBroker]:
    with LoopbackBroker() as running:
        yield running


@pytest.fixture
def paper(home: Path, broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch) -> LoopbackBroker:
    """A home that trades on a paper account with a ledger of its own."""
    variables = {
        "EV2_BROKER__KIND": "paper",
        "EV2_BROKER__URL": broker.url,
        "EV2_BROKER__KEY": "the-broker-key",
        "EV2_BROKER__SECRET": "the-broker-secret",
        "EV2_FEED": json.dumps({"kind": "alpaca", "key": "the-feed-key", "secret": "the-feed-secret"}),
        "EV2_CANDIDATES__WATCHLIST": '["AAPL"]',
        "EV2_RUN__INSTALLATION": "e7f3",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = Store.open(home / "data" / "execution_v2.sqlite")
    store.close()
    return broker


class Asks:
    def __init__(self, execute: Execute, capture: pytest.CaptureFixture[str]) -> None:
        self._execute = execute
        self._capture = capture

    def __call__(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit code and the gates by name."""
        self._capture.readouterr()
        code = self._execute("check", "--json")
        told = json.loads(self._capture.readouterr().out)
        assert told["ready"] is (code == 0)
        return code, {gate["name"]: gate for gate in told["gates"]}

    def red(self, name: str) -> str:
        """The one gate is red; what it says, and what to do."""
        code, gates = self()
        assert code == 1
        assert gates[name]["colour"] == "red", gates[name]
        assert gates[name]["todo"]
        return f"{gates[name]['text']} -> {gates[name]['todo']}"


@pytest.fixture
def ask(execute: Execute, capsys: pytest.CaptureFixture[str]) -> Asks:
    return Asks(execute, capsys)


def test_a_new_home_is_ready_for_a_dry_run(ask: Asks) -> None:
    code, gates = ask()
    assert code == 0
    assert list(gates) == GATES
    assert {gate["colour"] for gate in gates.values()} == {"green"}


def test_people_see_the_same_with_what_to_do(execute: Execute, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    HaltFile(home / "data" / "halt").write(HaltLevel.PAUSE)
    assert execute("check") == 1
    lines = capsys.readouterr().out.splitlines()
    assert "red     halt level     pause: nothing is bought" in lines
    assert "execution resume" in lines[lines.index("red     halt level     pause: nothing is bought") + 1]


def test_a_configuration_that_is_wrong_is_the_only_gate(
    ask: Asks, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "execution.toml").write_text("[entry]\nmax_drfit = 0.1\n")
    code, gates = ask()
    assert (code, list(gates)) == (1, ["configuration"])
    assert "did you mean max_drift" in gates["configuration"]["text"]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"EV2_BROKER__URL": "https://api.alpaca.markets"}, "broker.kind is exchange and broker.url leads to"),
        ({"EV2_BROKER__KIND": "paper"}, "would trade at Alpaca on the prices of"),
        ({"EV2_BROKER__KIND": "live"}, "live without broker.account"),
    ],
)
def test_what_does_not_belong_together_is_named(
    ask: Asks, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], why: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("cli.operating.sight.broker_of", lambda settings, place: NoBroker())
    assert why in ask.red("configuration")


class NoBroker:
    """Answers nothing."""

    def account(self) -> Any:
        from services.executor.broker import Fault as Why
        from services.executor.broker import Silent

        return Silent(fault=Why.NOT_CONNECTED, text="refused")


def test_a_paper_account_that_is_as_it_should_be_is_green(ask: Asks, paper: LoopbackBroker) -> None:
    _, gates = ask()
    assert gates["account"]["text"] == "PA3000000001, ACTIVE, equity 100,004.90"
    assert {gates[name]["colour"] for name in GATES if name not in ("clock", "calendar")} == {"green"}


def test_a_clock_that_is_years_off_the_brokers_is_red(ask: Asks, paper: LoopbackBroker) -> None:
    assert "from the broker's -> set this machine's clock" in ask.red("clock")


def test_a_market_that_the_calendar_knows_closed_is_red(
    ask: Asks, paper: LoopbackBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.domain.calendar.session_at", lambda instant: None)
    assert "the broker says the market is open, the calendar does not" in ask.red("calendar")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"account_number": "412345678"}, "lead to the live account 412345678"),
        ({"status": "ACCOUNT_CLOSED"}, "PA3000000001 is ACCOUNT_CLOSED"),
        ({"trading_blocked": True}, "PA3000000001 is ACTIVE"),
    ],
)
def test_an_account_that_cannot_be_traded_on_is_red(
    ask: Asks, paper: LoopbackBroker, changes: dict[str, Any], why: str
) -> None:
    paper.account = {**ACCOUNT, **changes}
    assert why in ask.red("account")


def test_keys_that_are_not_accepted_are_named_without_being_shown(ask: Asks, paper: LoopbackBroker) -> None:
    paper.faults["GET", "/v2/account"].append(Fault(status=401, body=b'{"message":"unauthorized."}'))
    assert "the keys are not accepted at" in ask.red("account")


def test_a_broker_that_does_not_answer_is_red_everywhere_it_was_needed(ask: Asks, paper: LoopbackBroker) -> None:
    paper.faults["GET", "/v2/positions"].extend([Fault(status=503)] * 3)
    code, gates = ask()
    assert code == 1
    assert {name for name in GATES if gates[name]["colour"] == "red"} >= {"account", "foreign", "stops"}


def test_live_trading_that_is_not_armed_is_red(
    ask: Asks, paper: LoopbackBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EV2_BROKER__KIND", "live")
    assert "not armed: protects and leaves, and buys nothing" in ask.red("armed")


def test_a_live_account_without_margin_is_red(
    ask: Asks, paper: LoopbackBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EV2_BROKER__KIND", "live")
    monkeypatch.setenv("EV2_BROKER__ACCOUNT", "412345678")
    paper.account = {**ACCOUNT, "account_number": "412345678", "multiplier": "1"}
    assert "412345678 has no margin" in ask.red("account")


def held(symbol: str, qty: int) -> dict[str, str]:
    return {"symbol": symbol, "side": "long", "qty": str(qty), "avg_entry_price": "100", "qty_available": str(qty)}


def test_what_is_not_ours_at_the_broker_is_named(ask: Asks, paper: LoopbackBroker) -> None:
    paper.positions = [held("NVDA", 7)]
    paper.orders["by-hand"] = order("by-hand", symbol="MSFT")
    said = ask.red("foreign")
    assert "7 NVDA" in said
    assert "buy 10 MSFT (by-hand)" in said


def test_shares_of_ours_without_a_stop_are_red_until_they_have_one(ask: Asks, paper: LoopbackBroker) -> None:
    paper.positions = [held("AAPL", 10)]
    name = "e7f3-260109-AAPL-entry-1"
    paper.orders[name] = order(name, status="filled", filled_qty="10")
    assert "without a stop: 10 AAPL" in ask.red("stops")
    stop = "e7f3-260109-AAPL-stop-1"
    paper.orders[stop] = order(stop, side="sell", type="stop", stop_price="95", limit_price=None)
    assert ask()[1]["stops"]["text"] == "1 positions, each with its stop"


def test_a_ledger_that_is_not_whole_is_red(ask: Asks, paper: LoopbackBroker, home: Path) -> None:
    path = home / "data" / "execution_v2.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    assert "restore a backup" in ask.red("ledger")


def test_a_home_that_cannot_be_written_is_red(ask: Asks, home: Path) -> None:
    (home / "data").write_text("a file, not a folder")
    assert "cannot be written" in ask.red("home")


@pytest.mark.parametrize(("free", "colour"), [(50_000_000, "red"), (500_000_000, "yellow"), (5_000_000_000, "green")])
def test_room_on_the_disk_is_looked_at(ask: Asks, monkeypatch: pytest.MonkeyPatch, free: int, colour: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Room(10**12, 0, free))
    assert ask()[1]["disk"]["colour"] == colour


def test_a_configured_server_that_does_not_answer_is_red(ask: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EV2_REDIS_URL", "redis://127.0.0.1:9")
    assert "the configured server does not answer" in ask.red("bus")


def test_bad_rows_of_a_list_are_yellow(ask: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EV2_CANDIDATES__WATCHLIST", '["AAPL", "<b>"]')
    code, gates = ask()
    assert (code, gates["candidates"]["colour"]) == (0, "yellow")


def test_a_port_that_is_taken_is_red(ask: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("EV2_EXCHANGE__PORT", str(taken.getsockname()[1]))
        assert "exchange.port" in ask.red("ports")


def test_no_secret_is_ever_shown(
    execute: Execute, paper: LoopbackBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EV2_ALERTS__CRITICAL", '["slack://the-alert-token"]')
    execute("check")
    execute("check", "--json")
    said = capsys.readouterr()
    for secret in ("the-broker-key", "the-broker-secret", "the-feed-key", "the-feed-secret", "the-alert-token"):
        assert secret not in said.out + said.err
