"""The same ledger from one process and from many: `execution backtest` against `execution replay --lockstep`.

Numbers of entries, trims and nights are asserted too: two empty ledgers would be equal and prove nothing. Every
recorded session: `make proof` (bench/proof.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.whole_day import protected
from tests.unit.market_files import MARKET

SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"

pytestmark = [
    pytest.mark.timeout(170),
    pytest.mark.skipif(not SIX.exists(), reason="../shared/market is not there"),
]


class Day(NamedTuple):
    """A session with what trades in it, and the processes that a replay of it gets. Exits: orders that sold."""

    session: str
    confirmed: int
    entries: int
    trims: int
    stopped: int
    exits: int
    nights: int
    signals: int
    executors: int
    hash_seed: int


DAYS = [
    Day("2015-02-11", 3, 3, 0, 0, 2, 1, signals=1, executors=1, hash_seed=0),
    Day("2015-02-12", 1, 1, 0, 0, 1, 0, signals=2, executors=3, hash_seed=1),
    Day("2015-02-26", 1, 1, 1, 1, 0, 0, signals=3, executors=2, hash_seed=2),
    Day("2015-04-13", 1, 0, 0, 0, 0, 0, signals=3, executors=1, hash_seed=3),
    Day("2015-06-23", 2, 2, 0, 0, 4, 0, signals=1, executors=3, hash_seed=4),
]
COUNTED = ("confirmed", "entries", "trims", "stopped", "exits", "nights")


def execution(command: str, home: Path, *options: str, hash_seed: int = 0) -> dict[str, Any]:
    """What the command prints with --json. Relative volume refuses nothing, so that more sessions trade."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", command, "--home", str(home), "--json", "--bars", str(SIX), *options],
        env=clean | {"PYTHONHASHSEED": str(hash_seed), "EV2_BREAKOUT__MIN_RVOL": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    protected(home)
    return found


def assert_same(one: Path, other: Path) -> None:
    """With the first row that differs as the reason of a failure."""
    command = [sys.executable, "-m", "cli.main", "diff", str(one), str(other)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("day", DAYS, ids=[day.session for day in DAYS])
def test_a_replay_ends_with_the_ledger_of_the_backtest_whatever_the_number_of_processes(
    day: Day, tmp_path: Path
) -> None:
    alone = execution("backtest", tmp_path / "one", "--session", day.session, hash_seed=day.hash_seed + 100)
    assert {name: alone["counts"][name] for name in COUNTED} == {name: getattr(day, name) for name in COUNTED}
    processes = ("--signals", str(day.signals), "--executors", str(day.executors))
    options = ("--lockstep", "--session", day.session, *processes)
    many = execution("replay", tmp_path / "many", *options, hash_seed=day.hash_seed)
    assert_same(tmp_path / "one", tmp_path / "many")
    assert many["digest"] == alone["digest"]
    assert many["trades"] == alone["trades"]


def test_positions_stops_and_cooldowns_last_over_nights_alike(tmp_path: Path) -> None:
    sessions = ("--session", "2015-06-16", "--to", "2015-06-17")
    alone = execution("backtest", tmp_path / "one", *sessions)
    assert alone["counts"]["sessions"] == 2
    assert alone["counts"]["entries"] == 1
    assert alone["counts"]["trims"] == 1
    assert alone["counts"]["nights"] == 1
    many = execution("replay", tmp_path / "many", "--lockstep", *sessions, "--signals", "2", "--executors", "2")
    assert_same(tmp_path / "one", tmp_path / "many")
    assert many["digest"] == alone["digest"]


def test_a_run_of_two_weeks_trades_and_holds_a_position_over_night(tmp_path: Path) -> None:
    counts = execution("backtest", tmp_path / "home", "--session", "2015-06-15", "--to", "2015-06-26")["counts"]
    assert counts["sessions"] == 10
    assert counts["entries"] == 7
    assert counts["trims"] == 3
    assert counts["nights"] == 1


def test_another_seed_gives_another_ledger(tmp_path: Path) -> None:
    day = ("--session", "2015-02-26")
    digests = {execution("backtest", tmp_path / seed, *day, "--seed", seed)["digest"] for seed in ("26", "27")}
    assert len(digests) == 2
