"""`execution demo` on real processes: a session to its end, and every way in which it may be stopped before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from cli.picture import Picture, picture
from shared.contracts.vocabulary import OrderKind, Side
from tests.integration.whole_day import protected
from tests.unit.market_files import MARKET

SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
needs_market = pytest.mark.skipif(not SIX.exists(), reason="../shared/market is not there")

pytestmark = pytest.mark.timeout(150)


class Demo:
    """A demo as a process of its own, in a home of its own."""

    def __init__(self, home: Path, *options: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "demo", "--home", str(home), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self._out: IO[str] = self.process.stdout
        self.said: list[str] = []

    def read_until(self, text: str) -> None:
        """Wait for a line with `text`."""
        for line in self._out:
            self.said.append(line.rstrip())
            if text in line:
                return
        raise AssertionError(f"never said {text!r}:\n" + "\n".join(self.said))

    def children(self) -> dict[int, str]:
        """Process id → command of every process that this one started."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _parent(folder) == self.process.pid:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def wait(self) -> int:
        if not self._out.closed:
            self.said += [line.rstrip() for line in self._out]
            self._out.close()
        return self.process.wait(timeout=100)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demos, and ends what a failed test left behind."""
    started: list[Demo] = []

    def begin(*options: str, home: Path = tmp_path / "home") -> Demo:
        started.append(Demo(home, *options))
        return started[-1]

    yield begin
    for demo in started:
        demo.process.terminate()
        demo.wait()


def _parent(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _services(commands: dict[int, str]) -> set[str]:
    """Names of the services among them."""
    words = (word for command in commands.values() for word in command.split())
    return {word.removeprefix("services.") for word in words if word.startswith("services.")}


def _all_end(pids: dict[int, str]) -> float:
    """Seconds until none of them runs any more."""
    began = time.monotonic()
    while left := {pid: pids[pid] for pid in pids if _alive(pid)}:
        assert time.monotonic() - began < 10, f"still running: {left}"
        time.sleep(0.01)
    return time.monotonic() - began


def _two_seconds() -> float:
    """Two seconds on a machine with time for it; where other work waits for the cores, as much longer."""
    return 2.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _play(home: Path) -> Picture:
    seen = picture(home / "data" / "execution_v2.sqlite")
    assert seen is not None
    protected(home)
    return seen


def _promises(seen: Picture, symbols: int) -> None:
    """What must be true of any session that is over."""
    bars = {(verdict.symbol, verdict.at) for verdict in seen.verdicts if verdict.stage == "signals"}
    assert len(bars) == symbols * 39  # no verdict is missing: one a symbol and closed ten-minute bar
    by_id = {order.client_order_id: order for order in seen.orders}
    for order in seen.orders:
        assert order.cause, order
        if order.kind is OrderKind.ENTRY and order.filled_qty:
            assert f"{order.client_order_id}-stop" in by_id
    for position in seen.positions:
        fills = [fill for fill in seen.fills if fill.position_id == position.position_id]
        bought = sum(fill.qty for fill in fills if fill.side is Side.BUY)
        sold = sum(fill.qty for fill in fills if fill.side is Side.SELL)
        assert (position.bought, position.sold, position.qty) == (bought, sold, bought - sold)
        resting = sum(order.remaining for order in seen.orders if order.resting and order.side is Side.SELL)
        assert resting >= position.qty


@needs_market
def test_a_recorded_session_ends_with_a_summary_that_the_ledger_bears_out(start: Callable[..., Demo]) -> None:
    demo = start("--bars", str(SIX), "--session", "2015-02-26", "--json")
    assert demo.wait() == 0, demo.said
    said: dict[str, Any] = json.loads("\n".join(demo.said[demo.said.index("{") :]))
    [day] = said["sessions"]
    assert (day["session"], day["candidates"], day["verdicts"], day["unresolved"]) == ("2015-02-26", 6, 6 * 39, 0)
    assert [entry["symbol"] for entry in day["entries"]] == ["FB"]
    assert (day["trims"], day["stopped"], day["held"]) == (1, 1, 0)
    assert said["restarts"] == 0
    seen = _play(demo.home)
    _promises(seen, symbols=6)
    assert sum(day["waiting"].values()) + sum(day["refused"].values()) + day["confirmed"] >= 6 * 39


def test_a_session_that_is_stopped_again_and_again_goes_on_and_comes_to_its_end(start: Callable[..., Demo]) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
        demo = start("--speed", "1500")
        demo.read_until("minute")
        children = demo.children()
        assert _services(children) >= {"market_data", "signals", "state", "executor", "exchange", "conductor"}
        demo.process.send_signal(number)
        assert _all_end(children) < _two_seconds()
        assert demo.wait() == code
        assert number == signal.SIGKILL or "goes on" in demo.said[-1]

    last = start()
    last.read_until("minute")
    second = start()
    assert second.wait() == 2
    in_use = f"execution: {last.home}: already in use by process {last.process.pid}; stop it first"
    assert second.said == [in_use]
    assert last.wait() == 0, last.said
    assert "goes on where it was interrupted" in last.said[0]
    assert "Look further:" in last.said
    seen = _play(last.home)
    assert len([order for order in seen.orders if order.kind is OrderKind.ENTRY and order.filled_qty]) >= 2
    _promises(seen, symbols=13)
