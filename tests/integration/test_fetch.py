"""`execution fetch` against the paper exchange's data routes: every bar once, wherever it was cut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.unit.market_files import MARKET

ROOT = Path(__file__).parents[2]
BARS = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
SYMBOLS = ("AAPL", "FB", "SPY")
FIRST, LAST, PLAYED = "2015-02-17", "2015-02-25", "2015-02-26"

pytestmark = pytest.mark.skipif(not BARS.exists(), reason=f"no recorded market at {MARKET}")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The exchange at the opening of the session after those that are fetched; its address."""
    home = tmp_path_factory.mktemp("exchange")
    words = ["--port", "0", "--bars", str(BARS), "--session", PLAYED, "--speed", "0.01", "--home", str(home), "--json"]
    command = [sys.executable, "-m", "cli.main", "exchange", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        yield next(str(value) for value in said.values() if str(value).startswith("http"))
        server.send_signal(signal.SIGINT)


def environment(exchange: str, **feed: str) -> dict[str, str]:
    given = {"kind": "alpaca", "key": "demo", "secret": "demo", "rest_url": exchange, **feed}
    return {**os.environ, "EV2_FEED": json.dumps(given), "PYTHONPATH": str(ROOT)}


def command(out: Path, *more: str) -> list[str]:
    words = ["--symbols", ",".join(SYMBOLS), "--from", FIRST, "--to", LAST, "--out", str(out), *more, "--json"]
    return [sys.executable, "-m", "cli.main", "fetch", *words]


def fetch(exchange: str, out: Path, *more: str, **feed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(out, *more), cwd=out.parent, env=environment(exchange, **feed), capture_output=True, text=True
    )


def recorded() -> pl.DataFrame:
    """The same minutes in the file that the exchange plays."""
    inside = (
        pl.col("timestamp")
        .dt.convert_time_zone("America/New_York")
        .dt.date()
        .is_between(pl.lit(FIRST).str.to_date(), pl.lit(LAST).str.to_date())
    )
    frame = pl.scan_parquet(BARS).filter(pl.col("symbol").is_in(SYMBOLS) & inside)
    return frame.sort("symbol", "timestamp").select(COLUMNS).collect()


COLUMNS: list[Any] = [
    "symbol",
    pl.col("timestamp").cast(pl.Datetime("us", "UTC")),
    *(pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")),
]


def test_what_is_fetched_is_what_was_recorded_bar_for_bar(exchange: str, tmp_path: Path) -> None:
    out = tmp_path / "bars.parquet"
    said = fetch(exchange, out)
    assert said.returncode == 0, said.stderr
    assert pl.read_parquet(out).equals(recorded())
    assert json.loads(said.stdout)["sessions"] == 7
    assert not out.with_suffix(".parts").exists()


def test_a_fetch_that_is_killed_goes_on_where_it_was_and_asks_for_nothing_twice(exchange: str, tmp_path: Path) -> None:
    out = tmp_path / "bars.parquet"
    with subprocess.Popen(command(out), cwd=tmp_path, env=environment(exchange), stdout=subprocess.DEVNULL) as first:
        while len(list(out.with_suffix(".parts").glob("2015-*.parquet"))) < 2:
            assert first.poll() is None
            time.sleep(0.005)
        first.kill()
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in out.with_suffix(".parts").glob("2015-*.parquet")}
    assert 2 <= len(kept) < 7
    other = fetch(exchange, out, "--timeframe", "1d")
    assert (other.returncode, "parts of another question" in other.stderr) == (2, True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert fetch(exchange, out).returncode == 0
    assert pl.read_parquet(out).equals(recorded())


def test_daily_bars_are_what_the_levels_are_made_of(exchange: str, tmp_path: Path) -> None:
    out = tmp_path / "days.parquet"
    assert fetch(exchange, out, "--timeframe", "1d").returncode == 0
    days = pl.read_parquet(out)
    closes = recorded().group_by("symbol", pl.col("timestamp").dt.date().alias("date")).agg(pl.col("close").last())
    assert days.select("symbol", "date", "close").sort("symbol", "date").equals(closes.sort("symbol", "date"))
    again = fetch(exchange, out, "--timeframe", "1d")
    assert (again.returncode, "exists and is kept" in again.stderr) == (2, True)


REFUSED = [
    ({"key": "wrong"}, (), "refuses the request"),
    ({}, ("--to", "2015-02-28"), "no session"),
    ({}, ("--from", "2015-02-26"), "lies before the first"),
    ({}, ("--symbols", "AAPL,no symbol"), "is no symbol"),
    ({}, ("--out", "bars.csv"), ".parquet"),
    ({}, ("--to", "2029-12-31"), "is not over"),
]


@pytest.mark.parametrize(("feed", "words", "why"), REFUSED, ids=[why for *_, why in REFUSED])
def test_what_cannot_be_fetched_is_one_line(
    feed: dict[str, str], words: tuple[str, ...], why: str, exchange: str, tmp_path: Path
) -> None:
    said = fetch(exchange, tmp_path / "bars.parquet", *words, **feed)
    assert said.returncode == 2
    assert why in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "bars.parquet").exists()


def test_without_keys_nothing_is_asked(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("EV2_", "APCA_"))}
    said = subprocess.run(
        command(tmp_path / "x.parquet"),
        cwd=tmp_path,
        env={**bare, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (said.returncode, "no keys" in said.stderr) == (2, True)
