"""`execution exchange`: a paper exchange that a stranger's program trades with through alpaca-py, and nothing else."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import StockBarsRequest, StockSnapshotRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, StopLossRequest

from cli.main import app

WAIT_S = 20.0
OPEN = datetime(2015, 2, 11, 14, 30, tzinfo=UTC)
SPEED = 600


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Two sessions of AAPL and SPY, rising by a cent a minute from 100."""
    rows = [
        {"symbol": symbol, "timestamp": start, "price": 100 + number / 100}
        for symbol in ("AAPL", "SPY")
        for day in (datetime(2015, 2, 10, 14, 30, tzinfo=UTC), OPEN)
        for number, start in enumerate(_minutes(day))
    ]
    frame = pl.DataFrame(rows).with_columns(pl.col("timestamp").dt.cast_time_unit("us"))
    figures = [pl.col("price").alias(name) for name in ("open", "high", "low", "close")]
    path = tmp_path / "bars.parquet"
    frame.select("symbol", "timestamp", *figures, pl.lit(10_000.0).alias("volume")).write_parquet(path)
    return path


class Alone:
    """The command in a process of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        self._home = home
        self._options = options
        self._child: subprocess.Popen[str] | None = None
        self.started: dict[str, Any] = {}

    def start(self, *more: str) -> None:
        command = [sys.executable, "-m", "cli.main", "exchange", "--port", "0", "--home", str(self._home), "--json"]
        self._child = subprocess.Popen([*command, *self._options, *more], stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        self.started = json.loads(self._child.stdout.readline())

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def interrupt(self) -> int:
        return self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> int:
        assert self._child is not None
        assert self._child.stdout is not None
        self._child.send_signal(number)
        code = self._child.wait(WAIT_S)
        self._child.stdout.close()
        return code

    @property
    def trading(self) -> TradingClient:
        client = TradingClient("demo", "demo", url_override=self.started["url"])
        client._session.trust_env = False
        client._retry = 0
        return client

    @property
    def history(self) -> StockHistoricalDataClient:
        client = StockHistoricalDataClient("demo", "demo", url_override=self.started["url"])
        client._session.trust_env = False
        return client


@pytest.fixture
def alone(tmp_path: Path, bars: Path) -> Iterator[Alone]:
    session = ("--bars", str(bars), "--session", "2015-02-11", "--speed", str(SPEED))
    exchange = Alone(tmp_path / "home", *session, "--json-log", str(tmp_path / "log.jsonl"))
    yield exchange
    with suppress(AssertionError):
        exchange.kill()


def test_a_session_is_played_and_an_order_with_its_stop_fills_in_it(alone: Alone, tmp_path: Path) -> None:
    alone.start()
    order: Any = alone.trading.submit_order(entry("alone-1"))
    shown: Any = await_that(lambda: alone.trading.get_order_by_client_id("alone-1"), lambda o: o.status == "filled")
    assert float(shown.filled_avg_price) >= 100.0
    assert shown.legs[0].status == "new"
    assert alone.interrupt() == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"request", "update"}
    told = [line["event"] for line in lines if line["kind"] == "update" and line["order"]["id"] == str(order.id)]
    assert [event for event in told if event != "partial_fill"] == ["pending_new", "new", "fill"]  # one in ten is cut


def test_the_clock_runs_from_the_opening_and_history_ends_where_it_stands(alone: Alone) -> None:
    alone.start()
    clock: Any = alone.trading.get_clock()
    assert OPEN <= clock.timestamp < OPEN.replace(hour=21)
    request = StockBarsRequest(
        symbol_or_symbols=["AAPL", "SPY"], timeframe=TimeFrame.Minute, start=OPEN.replace(day=10)
    )
    found: Any = await_that(lambda: alone.history.get_stock_bars(request), lambda sets: len(sets["SPY"]) > 392)
    assert found["AAPL"][0].timestamp == OPEN.replace(day=10)
    now: Any = alone.trading.get_clock()
    assert found["SPY"][-1].timestamp < now.timestamp
    days: Any = alone.history.get_stock_bars(
        StockBarsRequest(symbol_or_symbols="AAPL", timeframe=TimeFrame.Day, start=datetime(2015, 2, 1, tzinfo=UTC))
    )
    assert [bar.timestamp.isoformat() for bar in days["AAPL"]] == [
        "2015-02-10T05:00:00+00:00",
        "2015-02-11T05:00:00+00:00",
    ]
    assert days["AAPL"][0].close == 103.89
    snapshot: Any = alone.history.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert snapshot.previous_daily_bar.close == 103.89


def test_bars_are_streamed_through_the_real_data_stream(alone: Alone) -> None:
    alone.start()
    seen: list[Any] = []
    stream = StockDataStream("demo", "demo", url_override=alone.started["data_stream"])

    async def hear(bar: Any) -> None:
        seen.append(bar)

    stream.subscribe_bars(hear, "AAPL")
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    await_that(lambda: len(seen), lambda count: count >= 3)
    loop: Any = stream._loop
    for ending in (stream.stop_ws(), stream.close()):
        asyncio.run_coroutine_threadsafe(ending, loop).result(WAIT_S)
    thread.join(WAIT_S)
    assert {bar.symbol for bar in seen} == {"AAPL"}
    gaps = {(later.timestamp - bar.timestamp).total_seconds() for bar, later in pairwise(seen)}
    assert gaps == {60.0}


def test_a_kill_loses_no_order_and_the_session_goes_on_where_it_stood(alone: Alone) -> None:
    alone.start()
    alone.trading.submit_order(entry("alone-1"))
    await_that(lambda: alone.trading.get_order_by_client_id("alone-1"), lambda order: order.status == "filled")
    before: Any = alone.trading.get_clock()
    alone.kill()
    alone.start()
    after: Any = alone.trading.get_clock()
    held: Any = alone.trading.get_all_positions()
    assert after.timestamp >= before.timestamp.replace(second=0, microsecond=0)
    assert [(position.symbol, position.qty) for position in held] == [("AAPL", "10")]
    assert alone.started["orders"] == 2


def test_a_fresh_book_puts_the_old_one_aside(alone: Alone) -> None:
    alone.start()
    alone.trading.submit_order(entry("alone-1"))
    alone.kill()
    alone.start("--fresh")
    assert alone.started["orders"] == 0
    assert len(list(Path(alone.started["book"]).parent.glob("paper-*.sqlite"))) == 1


def test_without_a_market_orders_rest(tmp_path: Path) -> None:
    exchange = Alone(tmp_path)
    exchange.start()
    try:
        order: Any = exchange.trading.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=9.0)
        )
        assert order.status in ("new", "accepted")
    finally:
        exchange.kill()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--session", "2015-02-11"], "--session needs --bars FILE"),
        (["--bars", "BARS"], "--bars needs --session DATE"),
        (["--bars", "BARS", "--session", "2015-02-14"], "is no session of the exchange"),
        (["--bars", "BARS", "--session", "2015-02-12"], "has no bars of 2015-02-12"),
        (["--bars", "nowhere.parquet", "--session", "2015-02-11"], "does not exist"),
        (["--bars", "BARS", "--session", "tomorrow"], "is no date"),
        (["--bars", "BARS", "--session", "2015-02-11", "--live-feed"], "two markets"),
        (["--live-feed"], "needs --symbols"),
        (["--live-feed", "--symbols", "AAPL"], "needs keys"),
        (["--live-feed", "--symbols", "AA/PL"], "is no symbol"),
        (["--faults", "SCRIPT"], "fault script"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    options: list[str],
    words: str,
    bars: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EV2_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("APCA_API_KEY_ID", raising=False)
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\non = "POST /v2/orders"\ndo = "sing"\n')
    given = [{"BARS": str(bars), "SCRIPT": str(script)}.get(option, option) for option in options]
    with pytest.raises(SystemExit) as ended:
        app(["exchange", "--port", "0", *given])
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n")) == (2, 1)
    assert words in told


def entry(client_order_id: str) -> MarketOrderRequest:
    return MarketOrderRequest(
        symbol="AAPL",
        qty=10,
        side=OrderSide.BUY,
        time_in_force=TimeInForce.GTC,
        order_class=OrderClass.OTO,
        stop_loss=StopLossRequest(stop_price=90.0),
        client_order_id=client_order_id,
    )


def await_that(read: Any, holds: Any) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not holds(value := read()):
        assert time.monotonic() < deadline, value
    return value


def _minutes(start: datetime) -> list[datetime]:
    return [start.fromtimestamp(start.timestamp() + 60 * number, UTC) for number in range(390)]
