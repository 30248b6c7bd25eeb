"""The exchange as a process: killed at any instant it loses no order, matches no minute twice, answers each tick."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, StopLossRequest

from shared.contracts.clock import Matched, Tick, TickPhase
from shared.contracts.market import Bar, Bars
from shared.runtime.bus import Bus

SESSION = date(2015, 2, 11)
OPEN = datetime(2015, 2, 11, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WAIT_S = 15.0


def minute(number: int) -> datetime:
    """End of the session's n-th minute, from 1."""
    return OPEN + number * MINUTE


class Process:
    """`python -m services.exchange` on a home of its own, and what a conductor and market data would tell it."""

    def __init__(self, home: Path, bus: Bus, url: str) -> None:
        self.bus = bus
        self.home = home
        self._url = url
        self.port = _free_port()
        self._read = "0"
        self._child: subprocess.Popen[bytes] | None = None
        self.client = TradingClient("demo", "demo", url_override=f"http://127.0.0.1:{self.port}", raw_data=True)
        self.client._session.trust_env = False
        self.client._retry = 0

    def start(self, crash_at: str = "") -> None:
        environment = {
            **os.environ,
            "EV2_HOME": str(self.home),
            "EV2_REDIS_URL": self._url,
            "EV2_RUN__PACE": "conducted",
            "EV2_RUN__SALT": "7",
            "EV2_EXCHANGE__PORT": str(self.port),
            "EV2_EXCHANGE__RANDOM_PARTIALS": "0",
        }
        if crash_at:
            environment["EV2_CRASH_AT"] = crash_at
        self._child = subprocess.Popen([sys.executable, "-m", "services.exchange"], env=environment)
        _wait_for(lambda: _answers(self.port))

    def kill(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def died(self) -> None:
        """Waits until it was killed at a crash point."""
        assert self._child is not None
        assert self._child.wait(timeout=WAIT_S) == -signal.SIGKILL

    def bars(self, number: int, *rows: Bar) -> None:
        at = minute(number)
        self.bus.publish([Bars(id=f"bars-0-{number}", at=at, partition=0, minute=at - MINUTE, rows=rows)])

    def tick(self, number: int, phase: TickPhase) -> None:
        at = minute(number)
        upto = self.bus.last_ids(["bars:0"])
        self.bus.publish([Tick(id=f"tick-{number}-{phase}", at=at, session=SESSION, phase=phase, upto=upto)])

    def answer(self, number: int, phase: TickPhase) -> Matched:
        """What it says to that tick; later repeats are skipped."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for entry in self.bus.read({"progress": self._read}, 100):
                self._read = entry.entry_id
                if isinstance(entry.message, Matched) and entry.message.cause == f"tick-{number}-{phase}":
                    return entry.message
        raise AssertionError(f"no answer to tick {number} {phase}")

    def match(self, number: int, *rows: Bar) -> Matched:
        self.bars(number, *rows)
        self.tick(number, TickPhase.MATCH)
        return self.answer(number, TickPhase.MATCH)


@pytest.fixture
def exchange(tmp_path: Path, bus: Bus, server_url: str) -> Iterator[Process]:
    process = Process(tmp_path, bus, server_url)
    yield process
    with suppress(AssertionError):
        process.kill()


def test_an_order_of_one_tick_fills_in_the_next_minute_and_the_tick_says_how_many_events(exchange: Process) -> None:
    exchange.start()
    assert exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6)).events == 0
    exchange.client.submit_order(entry("e-1"))
    answer = exchange.match(2, Bar("AAPL", 100.5, 101, 99.5, 100, 1e6))
    fills: Any = exchange.client.get("/account/activities", {})
    assert [(fill["price"], fill["qty"]) for fill in fills] == [("100.5", "10")]
    assert answer.events == 4  # pending_new, new, fill, the leg's new


def test_a_kill_between_ticks_loses_no_order_and_fills_nothing_twice(exchange: Process) -> None:
    exchange.start()
    exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6))
    exchange.client.submit_order(entry("e-1"))
    exchange.kill()
    exchange.start()
    exchange.match(2, Bar("AAPL", 100.5, 101, 99.5, 100, 1e6))
    exchange.kill()
    exchange.start()
    exchange.tick(2, TickPhase.MATCH)  # as a conductor gives it again
    assert exchange.answer(2, TickPhase.MATCH).events == 4
    order: Any = exchange.client.get_order_by_client_id("e-1")
    positions: Any = exchange.client.get_all_positions()
    assert (order["status"], order["legs"][0]["status"]) == ("filled", "new")
    assert [(held["qty"], held["qty_available"]) for held in positions] == [("10", "0")]


@pytest.mark.parametrize("point", ["exchange.before_commit", "exchange.after_commit"])
def test_a_kill_in_the_middle_of_a_match_changes_nothing(exchange: Process, point: str) -> None:
    exchange.start()
    exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6))
    exchange.client.submit_order(entry("e-1"))
    exchange.kill()
    exchange.start(crash_at=point)
    exchange.bars(2, Bar("AAPL", 100.5, 101, 99.5, 100, 1e6))
    exchange.tick(2, TickPhase.MATCH)
    exchange.died()
    exchange.start()
    assert exchange.answer(2, TickPhase.MATCH).events == 4
    fills: Any = exchange.client.get("/account/activities", {})
    assert [(fill["price"], fill["qty"], fill["transaction_time"]) for fill in fills] == [
        ("100.5", "10", "2015-02-11T14:32:00Z")
    ]


@pytest.mark.parametrize("point", ["exchange.before_commit", "exchange.after_commit"])
def test_a_kill_in_the_middle_of_a_submit_makes_the_order_once_or_not_at_all(exchange: Process, point: str) -> None:
    exchange.start()
    exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6))
    exchange.kill()
    exchange.start(crash_at=point)
    with pytest.raises(requests.ConnectionError):
        exchange.client.submit_order(entry("e-1"))
    exchange.died()
    exchange.start()
    orders: Any = exchange.client.get("/orders", {"status": "all"})
    mine = [order for order in orders if order["client_order_id"] == "e-1"]
    assert len(mine) == (1 if point == "exchange.after_commit" else 0)
    assert all(order["submitted_at"] == "2015-02-11T14:31:00Z" for order in mine)


def test_a_new_bus_matches_no_minute_again(exchange: Process, bus: Bus) -> None:
    exchange.start()
    exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6))
    exchange.client.submit_order(entry("e-1"))
    before = exchange.match(2, Bar("AAPL", 100.5, 101, 99.5, 100, 1e6)).events
    bus.client.flushall()
    exchange._read = "0"
    bus.set_epoch(2)
    exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6))
    assert exchange.match(2, Bar("AAPL", 100.5, 101, 99.5, 100, 1e6)).events == before
    assert exchange.match(3, Bar("AAPL", 98, 98.5, 97, 98, 1e6)).events == before + 1  # the leg's stop
    assert exchange.client.get_all_positions() == []


def test_day_orders_end_at_the_expire_tick(exchange: Process) -> None:
    exchange.start()
    exchange.match(1, Bar("AAPL", 100, 101, 99, 100, 1e6))
    exchange.client.submit_order(
        LimitOrderRequest(
            symbol="AAPL",
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=50.0,
            client_order_id="d-1",
        )
    )
    exchange.tick(390, TickPhase.EXPIRE)
    assert exchange.answer(390, TickPhase.EXPIRE).events == 3
    order: Any = exchange.client.get_order_by_client_id("d-1")
    assert (order["status"], order["expired_at"]) == ("expired", "2015-02-11T21:00:00Z")


def test_a_second_exchange_on_the_same_home_says_so_and_ends(exchange: Process) -> None:
    exchange.start()
    environment = {**os.environ, "EV2_HOME": str(exchange.home), "EV2_EXCHANGE__PORT": "0"}
    second = subprocess.run(
        [sys.executable, "-m", "services.exchange"], env=environment, capture_output=True, text=True, timeout=WAIT_S
    )
    assert second.returncode == 2
    assert "in use by another exchange" in second.stderr


def test_a_port_in_use_is_one_line_and_exit_code_2(exchange: Process, tmp_path: Path) -> None:
    exchange.start()
    environment = {**os.environ, "EV2_HOME": str(tmp_path / "other"), "EV2_EXCHANGE__PORT": str(exchange.port)}
    second = subprocess.run(
        [sys.executable, "-m", "services.exchange"], env=environment, capture_output=True, text=True, timeout=WAIT_S
    )
    assert second.returncode == 2
    assert second.stderr.strip().count("\n") == 0
    assert f"exchange.port {exchange.port}" in second.stderr


def entry(client_order_id: str) -> MarketOrderRequest:
    return MarketOrderRequest(
        symbol="AAPL",
        qty=10,
        side=OrderSide.BUY,
        time_in_force=TimeInForce.GTC,
        order_class=OrderClass.OTO,
        stop_loss=StopLossRequest(stop_price=99.0),
        client_order_id=client_order_id,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
