"""Commands that look at a running bus: `tail`, `status`, `server`."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.server import admin
from shared.contracts.market import Bar, Bars
from shared.contracts.outgoing import Latest
from shared.runtime.bus import Bus
from shared.runtime.embedded import start_server
from shared.runtime.settings import BusSettings
from tests.unit.cli.ledgers import make_ledger

AT = dt.datetime(2015, 2, 11, 14, 31, tzinfo=dt.UTC)
Told = subprocess.CompletedProcess[str]


@pytest.fixture
def execution(tmp_path: Path) -> Callable[..., Told]:
    """Runs `execution` as a process of its own, in a home of its own."""

    def run(*arguments: str) -> Told:
        command = [sys.executable, "-m", "cli.main", *arguments, "--home", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=20)

    return run


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    """The bus of that home, in its first life."""
    server = start_server(tmp_path / "data")
    client = admin(tmp_path / "data")
    made = Bus(client, BusSettings(), "test")
    made.set_epoch(1)
    yield made
    client.close()
    server.terminate()
    server.wait(timeout=5)


def bars(symbol: str, minute: int) -> Bars:
    start = AT + dt.timedelta(minutes=minute - 1)
    return Bars(
        id=f"bars-{symbol}-{minute}",
        at=start + dt.timedelta(minutes=1),
        partition=minute % 4,
        minute=start,
        rows=(Bar(symbol, 10.0, 10.0, 10.0, 10.0, 100.0),),
    )


def test_tail_merges_partitions_in_order_and_picks_a_symbol(bus: Bus, execution: Callable[..., Told]) -> None:
    bus.publish([bars(symbol, minute) for minute in range(6) for symbol in ("AAPL", "FB")])
    told = execution("tail", "bars", "--symbol", "FB", "--count", "3", "--no-follow", "--json")
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [row["id"] for row in rows] == ["bars-FB-3", "bars-FB-4", "bars-FB-5"]
    assert rows[0] | {"entry": ""} == {
        "stream": "bars:3",
        "entry": "",
        "type": "Bars",
        "id": "bars-FB-3",
        "at": "2015-02-11T14:34:00Z",
        "cause": "",
        "partition": 3,
        "minute": "2015-02-11T14:33:00Z",
        "rows": [["FB", 10.0, 10.0, 10.0, 10.0, 100.0]],
        "part": 0,
        "parts": 1,
    }


def test_status_names_a_service_that_is_silent_and_one_that_lags(
    bus: Bus, execution: Callable[..., Told], tmp_path: Path
) -> None:
    make_ledger(tmp_path / "data" / "execution_v2.sqlite")
    bus.publish([bars("AAPL", 0)])
    last = bus.last_ids(["bars:0"])["bars:0"]
    now = dt.datetime.now(dt.UTC)
    common = {"started": now.isoformat(), "pid": "1", "handled": "7", "at": AT.isoformat(), "memory_mb": "80"}
    behind = f"{int(last.partition('-')[0]) - 9000}-0"
    fresh, old = now.isoformat(), (now - dt.timedelta(seconds=60)).isoformat()
    bus.publish(
        [
            Latest(key="health:state:1", fields={**common, "beat": fresh, "positions": f"bars:0={last}"}),
            Latest(key="health:signals:1", fields={**common, "beat": fresh, "positions": f"bars:0={behind}"}),
            Latest(key="health:exchange:1", fields={**common, "beat": old, "positions": ""}),
        ]
    )
    told = execution("status", "--json")
    assert told.returncode == 1, told.stderr
    state = json.loads(told.stdout)
    assert {row["name"]: (row["well"], row["lag_ms"], row["memory_mb"]) for row in state["services"]} == {
        "exchange:1": (False, 0, 80),
        "signals:1": (True, 9000, 80),
        "state:1": (True, 0, 80),
    }
    silent, behind_line = state["not_well"]
    assert silent.startswith("exchange:1 has not said for 6")
    assert behind_line == "signals:1 is 9 s behind"


def test_the_server_alone_shows_the_streams_of_a_run_that_is_over(
    bus: Bus, execution: Callable[..., Told], tmp_path: Path
) -> None:
    bus.publish([bars("AAPL", 0)])
    bus.client.shutdown()
    told = execution("server", "--seconds", "0.3", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {"socket": str(tmp_path / "data" / "redis" / "redis.sock")}
    assert not (tmp_path / "data" / "redis" / "redis.sock").exists()
