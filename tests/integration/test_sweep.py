"""`execution sweep` on a server and workers of its own: what it finds is what a backtest finds, wherever it was cut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.market_files import MARKET

ROOT = Path(__file__).parents[2]
BARS = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
MARKET_OF = ["--bars", str(BARS), "--session", "2015-04-13", "--to", "2015-04-17"]
VARIED = ["--vary", "breakout.min_rvol=0,0.8,9", "--vary", "risk.max_pct=3,4"]

pytestmark = pytest.mark.skipif(not BARS.exists(), reason=f"no recorded market at {MARKET}")


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
    return {**clean, "PYTHONPATH": str(ROOT), **variables}


def execution(cwd: Path, *words: str, **variables: str) -> Any:
    command = [sys.executable, "-m", "cli.main", *words, "--json"]
    said = subprocess.run(command, cwd=cwd, env=environment(**variables), capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The grid by one worker."""
    folder = tmp_path_factory.mktemp("alone")
    found = execution(folder, "sweep", *MARKET_OF, *VARIED, "--out", "out", "--workers", "1")
    assert (folder / "out" / "results.csv").read_text().count("\n") == 7
    assert "heatmap" in str(next((folder / "out").glob("*.html")))
    return list(found["results"])


def test_a_point_is_the_backtest_with_its_settings(alone: list[dict[str, Any]], tmp_path: Path) -> None:
    assert len(alone) == 6
    assert len({result["digest"] for result in alone}) > 1
    for result in (alone[0], alone[5]):
        rvol, risk = result["settings"].values()
        played = execution(
            tmp_path,
            "backtest",
            *MARKET_OF,
            "--home",
            f"home-{rvol}",
            EV2_BREAKOUT__MIN_RVOL=rvol,
            EV2_RISK__MAX_PCT=risk,
        )
        assert played["digest"] == result["digest"]


def test_three_workers_one_of_them_killed_find_the_same_and_a_stopped_sweep_goes_on(
    alone: list[dict[str, Any]], tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "cli.main", "sweep", *MARKET_OF, *VARIED, "--out", "out", "--workers", "3"]
    done = tmp_path / "out" / "points"
    with subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL) as first:
        await_(lambda: bool(children(first.pid, "sweep-worker")))
        os.kill(children(first.pid, "sweep-worker")[0], signal.SIGKILL)
        await_(lambda: bool(list(done.glob("*.json"))))
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=30) in (130, 0)
    kept = {path: path.stat().st_mtime_ns for path in done.glob("*.json")}
    again = execution(tmp_path, "sweep", *MARKET_OF, *VARIED, "--out", "out", "--workers", "2")
    assert again["results"] == alone
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def children(parent: int, word: str) -> list[int]:
    """Processes of `parent` whose command line has `word`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"\nPPid:\t{parent}\n" in (entry / "status").read_text() and word in (entry / "cmdline").read_text():
                    found.append(int(entry.name))
            except OSError:  # it ended meanwhile
                continue
    return found


def await_(what: Any) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


REFUSED = [
    (["--vary", "breakout.min_rvol=-1"], "min_rvol"),
    (["--vary", "breakout.nonsense=1"], "did you mean"),
    (["--vary", "breakout.min_rvol=1", "--session", "2015-04-12"], "no session"),
]


@pytest.mark.parametrize(("words", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_bad_input_is_one_line_before_anything_is_played(words: list[str], why: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "sweep", *MARKET_OF, *words, "--out", "out"]
    said = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert said.returncode == 2
    assert why in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_sweep_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    command = [sys.executable, "-m", "cli.main", "sweep", *MARKET_OF, *VARIED, "--out", "out"]
    said = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (said.returncode, "holds no sweep" in said.stderr) == (2, True)
