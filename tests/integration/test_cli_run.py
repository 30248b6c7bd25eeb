"""`execution run` and `execution up`: the configured processes, from a small file of bars."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from cli.installation import free_port

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that plays a half day, 2014-11-28: two symbols, whose prices never move, without any history."""
    minutes = pl.datetime_range(
        pl.datetime(2014, 11, 28, 14, 30, time_zone="UTC"),
        pl.datetime(2014, 11, 28, 17, 59, time_zone="UTC"),
        "1m",
        eager=True,
    )
    bars = pl.concat(
        pl.DataFrame({"symbol": symbol, "timestamp": minutes}).with_columns(
            open=10.0, high=10.0, low=10.0, close=10.0, volume=100.0
        )
        for symbol in ("AAPL", "SPY")
    )
    bars.write_parquet(tmp_path / "bars.parquet")
    feed = f'[feed]\nkind = "recorded"\nbars = "{tmp_path / "bars.parquet"}"\n'
    ports = "".join(f"[{section}]\nport = {free_port('127.0.0.1')}\n" for section in ("exchange", "page"))
    (tmp_path / "execution.toml").write_text(feed + ports)
    return tmp_path


def _command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *arguments, "--home", str(home)]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}


def test_run_once_evaluates_the_session_and_prints_the_context_that_it_saw(home: Path) -> None:
    told = subprocess.run(
        _command(home, "run", "--once", "--json"), capture_output=True, text=True, timeout=100, env=_environment()
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr == "DRY RUN against the paper exchange; feed recorded\n"
    [line] = told.stdout.splitlines()
    cycle = json.loads(line)
    context = cycle["context"]
    assert (context["at"], context["session"], context["phase"]) == ("2014-11-28T18:00:00Z", "2014-11-28", "CLOSED")
    assert context["regime"] == {
        "state": "DEFENSIVE",  # fails closed: there is no history
        "slope": None,
        "average_range": None,
        "adverse_count": None,
        "bars": 0,
    }
    assert [(one["symbol"], one["regime"], one["verdict"]) for one in context["candidates"]] == [
        ("AAPL", None, "no_pivot"),
        ("SPY", None, "no_pivot"),
    ]
    assert (context["positions"], cycle["due"], cycle["did"]) == ([], [], [])
    assert (context["equity"], context["cash"]) == (100_000, 100_000)


def test_up_runs_until_it_is_stopped_and_status_says_that_all_is_well(home: Path) -> None:
    up = subprocess.Popen(_command(home, "up", "--json"), stdout=subprocess.PIPE, text=True, env=_environment())
    try:
        assert up.stdout is not None
        running = json.loads(up.stdout.readline())
        assert {name.partition("-")[0] for name in running["pids"]} == {
            "server", "state", "market_data", "signals", "exchange", "executor", "conductor", "dashboard",
        }  # fmt: skip
        give_up = time.monotonic() + 60
        while True:
            status = subprocess.run(_command(home, "status", "--json"), capture_output=True, text=True)
            if status.returncode == 0 and len(json.loads(status.stdout)["services"]) >= 7:
                break
            assert time.monotonic() < give_up, status.stdout + status.stderr
            time.sleep(0.2)
        assert json.loads(status.stdout)["not_well"] == []
    finally:
        up.send_signal(signal.SIGTERM)
        rest = up.communicate(timeout=20)
    assert up.returncode == 0, rest
    assert not [pid for pid in running["pids"].values() if Path(f"/proc/{pid}").exists()]
