"""The operator's commands against real processes: confirmed by state, and held at the broker where state is dead."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from bench.operate import INSTALLATION, OPENING, PRICE, Home, Paper, await_it
from cli.ledger import reading
from cli.main import app
from services.exchange.words import Status
from shared.contracts.orders import OrderTerms
from shared.contracts.vocabulary import HaltLevel, OrderType, Side, TimeInForce
from shared.runtime.bus import Bus
from shared.runtime.halt import HaltFile
from tests.orders.loopback_broker import ACCOUNT, LoopbackBroker

HALF_PAST: Final = OPENING + dt.timedelta(minutes=30)
QUICK: Final = {"EV2_BROKER__LEASE": "0.1"}


class Desk:
    """Types commands in this process, in the home of `home`."""

    def __init__(self, home: Home, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capture = capture
        for name, value in home.environment.items():
            if name.startswith("EV2_"):
                patch.setenv(name, value)

    def type(self, *words: str) -> tuple[int, str]:
        """Exit code and everything that was said."""
        self._capture.readouterr()
        with pytest.raises(SystemExit) as end:
            app(list(words), prog_name="execution")
        said = self._capture.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out + said.err

    def ask(self, *words: str) -> tuple[int, Any]:
        code, said = self.type(*words, "--json")
        return code, json.loads(said)


def orders_in_ledger(home: Home) -> dict[str, str]:
    with reading(home.folder / "data" / "execution_v2.sqlite") as ledger:
        return dict(ledger.execute("SELECT client_order_id, status FROM order_ledger"))


def level(home: Home) -> HaltLevel | None:
    return HaltFile(home.folder / "data" / "halt").read()


def statuses(paper: Paper) -> dict[str, str]:
    return {order.client_order_id: order.status for order in paper.orders()}


def taken_in(bus: Bus, entries: list[str]) -> bool:
    return {f"order:{name}" for name in entries} <= bus.views("order:*").keys()


def test_state_confirms_what_it_is_asked_and_the_broker_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = dt.datetime.now(dt.UTC)
    with Paper(now) as paper:
        home = Home(tmp_path, paper.environment)
        entries = [paper.entry(symbol, now.date()) for symbol in ("AAPL", "MSFT", "TSLA")]
        desk = Desk(home, monkeypatch, capsys)
        with home.running() as bus:
            await_it(lambda: taken_in(bus, entries), "state did not take the orders in")
            code, said = desk.type("block", "aapl")
            assert (code, "AAPL is not bought from now on" in said) == (0, True)
            code, told = desk.ask("sell", "MSFT")
            assert (code, told["confirmed"], told["done"]) == (1, True, False)
            assert told["text"].endswith(": MSFT is not held")
            assert desk.type("cancel", entries[0])[0] == 0
            await_it(lambda: statuses(paper)[entries[0]] == "canceled", "the entry was not cancelled")
            code, told = desk.ask("pause")
            assert (code, told["by"], told["level"]) == (0, "state", "pause")
            assert {left["order"] for left in told["left"]} >= set(entries[1:])
            code, told = desk.ask("halt")
            assert (code, told["left"], told["trouble"]) == (0, [], [])
            assert {statuses(paper)[name] for name in entries} == {"canceled"}
            assert "stricter and stays until `resume`" in desk.ask("pause")[1]["text"]
            assert level(home) is HaltLevel.HALT
            code, said = desk.type("reconcile")
            assert (code, said.splitlines()[-1]) == (0, "ledger and broker agree")
            assert desk.type("resume")[0] == 0
            assert level(home) is HaltLevel.NONE


def test_foreign_shares_are_named_and_taken_over_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Paper(HALF_PAST) as paper:
        paper.direct.submit(BY_HAND)
        paper.trade({"NVDA": PRICE})
        assert paper.held() == {"NVDA": 7}
        home = Home(tmp_path, paper.environment)
        desk = Desk(home, monkeypatch, capsys)
        with home.running() as bus:
            await_it(lambda: bool(bus.view("account")), "state did not read the account")
            code, told = desk.ask("reconcile")
            assert (code, [(one["kind"], one["symbol"], one["qty"]) for one in told["foreign"]]) == (
                1,
                [("shares", "NVDA", 7)],
            )
            code, said = desk.type("adopt", "nvda", "--stop", "95.00")
            assert (code, "7 NVDA taken over, stop at 95.00" in said) == (0, True)
            stops = [f"{INSTALLATION}-{dt.datetime.now(dt.UTC):%y%m%d}-NVDA-stop-1"]
            await_it(lambda: [one for one, status in statuses(paper).items() if status == "new"] == stops, "no stop")
            assert desk.ask("reconcile")[1]["foreign"] == []


BY_HAND: Final = OrderTerms(
    client_order_id="by-hand",
    symbol="NVDA",
    side=Side.BUY,
    type=OrderType.MARKET,
    time_in_force=TimeInForce.DAY,
    qty=7,
)


def test_with_state_dead_a_question_is_taken_back_and_a_halt_holds_at_the_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = dt.datetime.now(dt.UTC)
    with Paper(now) as paper:
        home = Home(tmp_path, paper.environment | QUICK)
        desk = Desk(home, monkeypatch, capsys)
        with home.running() as bus:
            entry = paper.entry("AAPL", now.date())
            await_it(lambda: taken_in(bus, [entry]), "state did not take the order in")
            home.processes.stop()
            before = bus.client.xlen("ev2:commands")
            code, said = desk.type("resume")
            assert (code, "it was taken back" in said) == (3, True)
            assert bus.client.xlen("ev2:commands") == before
            code, told = desk.ask("halt")
            assert (code, told["by"], told["ended"]) == (0, "broker", [entry])
            assert statuses(paper)[entry] == "canceled"


def test_what_was_sold_while_all_was_dead_is_in_the_ledger_when_state_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Paper(HALF_PAST) as paper:
        home = Home(tmp_path, paper.environment | QUICK)
        desk = Desk(home, monkeypatch, capsys)
        for symbol in ("AAPL", "MSFT"):
            paper.entry(symbol, OPENING.date(), limit=PRICE)
        paper.trade({"AAPL": PRICE - 0.1, "MSFT": PRICE - 0.1})
        assert paper.held() == {"AAPL": 10, "MSFT": 10}
        _, told = desk.ask("flatten")
        assert told["by"] == "broker"
        assert sorted(sent.split(":")[0] for sent in told["sent"]) == [
            f"{INSTALLATION}-150211-{symbol}-flat-1" for symbol in ("AAPL", "MSFT")
        ]
        paper.trade({"AAPL": PRICE - 1, "MSFT": PRICE - 1})
        assert paper.held() == {}
        with home.running():
            await_it(
                lambda: (
                    [orders_in_ledger(home).get(f"{INSTALLATION}-150211-{one}-flat-1") for one in ("AAPL", "MSFT")]
                    == ["filled", "filled"]
                ),
                "state did not take the sales in",
            )
            with reading(home.folder / "data" / "execution_v2.sqlite") as ledger:
                assert ledger.execute("SELECT count(*), sum(qty), sum(sold) FROM positions").fetchone() == (2, 0, 20)
        assert level(home) is HaltLevel.FLATTEN
        assert Counter(order.side for order in paper.orders() if order.status is Status.FILLED) == {"buy": 2, "sell": 2}


def test_two_flattens_at_once_sell_once(tmp_path: Path) -> None:
    with Paper(HALF_PAST) as paper:
        home = Home(tmp_path, paper.environment | QUICK)
        for number in range(10):
            paper.entry(f"S{number}", OPENING.date(), limit=PRICE)
        paper.trade({f"S{number}": PRICE - 0.1 for number in range(10)})
        command = [sys.executable, "-m", "cli.main", "flatten", "--json"]
        both = [subprocess.Popen(command, env=home.environment, stdout=subprocess.PIPE) for _ in range(2)]
        assert {json.loads(one.communicate(timeout=60)[0])["by"] for one in both} == {"broker"}
        sales = [order for order in paper.orders() if "-flat-" in order.client_order_id]
        assert [int(order.qty or 0) for order in sales if order.status is not Status.REJECTED] == [10] * 10
        paper.trade({f"S{number}": PRICE - 1 for number in range(10)})
        assert paper.held() == {}


@pytest.mark.parametrize(
    ("variables", "account", "why"),
    [
        ({"EV2_BROKER__KIND": "paper"}, {"account_number": "412345678"}, "the keys lead to the live account 412345678"),
        ({"EV2_BROKER__KIND": "live"}, {}, "the keys lead to the paper account PA3000000001"),
        ({"EV2_BROKER__KIND": "paper", "EV2_BROKER__ACCOUNT": "PA1"}, {}, "broker.account is PA1"),
    ],
)
def test_up_refuses_a_wrong_account_before_anything_is_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    account: dict[str, str],
    why: str,
) -> None:
    with LoopbackBroker() as broker:
        broker.account = {**ACCOUNT, **account}
        feed = {"EV2_FEED__KIND": "alpaca", "EV2_FEED__KEY": "k", "EV2_FEED__SECRET": "s"}
        home = Home(tmp_path, {"EV2_BROKER__URL": broker.url, **feed, **variables})
        code, said = Desk(home, monkeypatch, capsys).type("up")
    assert code == 2
    assert why in said
    assert not (tmp_path / "data" / "redis").exists()
    assert [method for method, _, _ in broker.requests] == ["GET"]
