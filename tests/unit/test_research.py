"""The research commands: what they answer, and how they refuse."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from typer.testing import CliRunner, Result

from cli import research, studies
from cli.trouble import Commands
from services.signals.regime_global import market_regime
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import GlobalRegime
from shared.domain import calendar
from tests.unit.market_files import MARKET
from tests.unit.signals.kit import daily, rising


def ask(*arguments: str | Path) -> Result:
    app = typer.Typer(cls=Commands)
    research.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: str | Path) -> list[dict[str, Any]]:
    result = ask(*arguments, "--json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


@pytest.fixture
def daily_file(tmp_path: Path) -> Path:
    """ABC of the signals tests, and SPY rising, to 2024-01-02; one bar more of 2024-01-03."""
    rows = [("ABC", *bar_row) for bar_row in _rows(daily())] + [("SPY", *bar_row) for bar_row in _rows(rising())]
    rows.append(("ABC", dt.date(2024, 1, 3), 9.9, 10.1, 9.9, 10.0, 1000.0))
    path = tmp_path / "daily.csv"
    names = ["symbol", "date", "open", "high", "low", "close", "volume"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(path)
    return path


def _rows(bars: Any) -> list[tuple[Any, ...]]:
    return [(bar.session, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]


@pytest.fixture
def minute_file(tmp_path: Path) -> Path:
    """ABC on 2024-01-03: ten-minute closes 9.95, 10.02, 10.03, 9.90, 10.05, 10.06."""
    opens = calendar.session(dt.date(2024, 1, 3)).opens_at
    closes = [9.95, 10.02, 10.03, 9.90, 10.05, 10.06]
    rows = [
        ("ABC", opens + dt.timedelta(minutes=minute), close, close, close, close, 100.0)
        for minute in range(60)
        for close in [closes[minute // 10]]
    ]
    rows.append(("ABC", opens - dt.timedelta(minutes=1), 99.0, 99.0, 99.0, 99.0, 1.0))  # before the opening
    path = tmp_path / "minutes.parquet"
    names = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(path)
    return path


def test_breakouts_tells_the_first_confirmed_pair_of_each_symbol_and_session(
    minute_file: Path, daily_file: Path
) -> None:
    assert answer("breakouts", "--bars", minute_file, "--daily", daily_file) == [
        {
            "symbol": "ABC",
            "session": "2024-01-03",
            "level": 10.0,
            "swing_high_date": "2023-12-28",
            "break_start": "2024-01-03T14:40:00Z",
            "confirm_start": "2024-01-03T14:50:00Z",
            "confirmed_at": "2024-01-03T15:00:00Z",
            "break_close": 10.02,
            "confirm_close": 10.03,
            "fresh": True,
        }
    ]


def test_without_a_daily_file_the_levels_come_from_the_minutes_themselves(minute_file: Path) -> None:
    assert answer("breakouts", "--bars", minute_file) == []  # one session gives no swing high


def test_levels_are_those_of_the_bars_strictly_before_the_session(daily_file: Path) -> None:
    rows = answer("levels", "--daily", daily_file, "--symbol", "ABC")
    assert len(rows) == 31
    assert rows[0] == {"symbol": "ABC", "session": "2023-12-04"} | dict.fromkeys(list(rows[0])[2:])
    last = rows[-1]
    assert {name: last[name] for name in last if name not in ("atr_pct", "avwap_slope")} == {
        "symbol": "ABC",
        "session": "2024-01-03",
        "close": 9.90,
        "pivot": 10.0,
        "pivot_date": "2023-12-28",
        "r1": 10.09,
        "r2": 10.18,
        "swing_low": 9.80,
        "stop": 9.70,
        "avwap": 9.908,
        "avwap_anchor": "2023-12-24",
        "dist_pct": -0.080742834,
    }


def test_the_average_true_range_is_wilders(daily_file: Path) -> None:
    """Ranges: 15 of 0.13 at first, so the seed is 0.13; then each day moves it by a fourteenth."""
    atr = 0.13
    for true_range in [0.13] * 5 + [0.18] + [0.13] * 3 + [0.15] + [0.13] * 4 + [0.18]:
        atr = (atr * 13 + true_range) / 14
    last = answer("levels", "--daily", daily_file, "--symbol", "ABC")[-1]
    assert last["atr_pct"] == round(100 * atr / 9.90, 9)


def test_regime_needs_eleven_bars_and_is_defensive_before(daily_file: Path) -> None:
    rows = answer("regime", "--daily", daily_file)
    assert [row["state"] for row in rows] == ["DEFENSIVE"] * 11 + ["NORMAL"] * 19
    assert rows[10] == {
        "session": "2023-12-14",
        "state": "DEFENSIVE",
        "slope": None,
        "average_range": None,
        "adverse_count": None,
        "bars": 10,
    }
    assert rows[11] == {
        "session": "2023-12-15",
        "state": "NORMAL",
        "slope": 0.5,
        "average_range": 2.0,
        "adverse_count": 0,
        "bars": 11,
    }


def test_the_regimes_unit_may_be_percent() -> None:
    rules = Rules().regime.model_copy(update={"unit": "percent"})
    falling = rising(12, step=-0.24)
    assert market_regime(falling, Rules().regime).state is GlobalRegime.OFF
    assert market_regime(falling, rules).slope == round(-24 / falling[-1].close, 9)


def test_calendar_tells_sessions_in_utc_and_half_days() -> None:
    assert answer("calendar", "--from", "2014-11-27", "--to", "2014-12-01") == [
        {"session": "2014-11-28", "open": "2014-11-28T14:30:00Z", "close": "2014-11-28T18:00:00Z", "early": True},
        {"session": "2014-12-01", "open": "2014-12-01T14:30:00Z", "close": "2014-12-01T21:00:00Z", "early": False},
    ]


def test_each_command_has_a_table_for_people(minute_file: Path, daily_file: Path) -> None:
    for arguments in (
        ("breakouts", "--bars", minute_file, "--daily", daily_file),
        ("levels", "--daily", daily_file),
        ("regime", "--daily", daily_file),
        ("calendar", "--from", "2024-01-02", "--to", "2024-01-03"),
    ):
        result = ask(*arguments)
        assert result.exit_code == 0
        assert "│" in result.stdout
    assert ask("breakouts", "--bars", minute_file).stdout == "no breakouts and holds\n"


def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path, minute_file: Path, daily_file: Path) -> None:
    def refusal(*arguments: str | Path) -> str:
        result = ask(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        return result.stderr

    empty, corrupt = tmp_path / "empty.parquet", tmp_path / "corrupt.parquet"
    empty.write_bytes(b"")
    corrupt.write_bytes(minute_file.read_bytes()[:200])
    assert "does not exist" in refusal("breakouts", "--bars", tmp_path / "no.parquet")
    assert "empty" in refusal("breakouts", "--bars", empty)
    assert "no readable" in refusal("breakouts", "--bars", corrupt)
    assert "lacks the column date" in refusal("levels", "--daily", minute_file)
    assert "lacks the column timestamp" in refusal("breakouts", "--bars", daily_file)
    assert "no symbol 'ZZZ': it has ABC, SPY" in refusal("levels", "--daily", daily_file, "--symbol", "ZZZ")
    assert "no symbol 'QQQ'" in refusal("regime", "--daily", daily_file, "--symbol", "QQQ")
    assert "is no date" in refusal("levels", "--daily", daily_file, "--from", "2024-02-30")
    assert "lies after" in refusal("levels", "--daily", daily_file, "--from", "2024-01-03", "--to", "2024-01-02")
    assert "it has 2023-12-04 to 2024-01-03" in refusal("levels", "--daily", daily_file, "--from", "2025-01-01")
    assert "no session from" in refusal("breakouts", "--bars", minute_file, "--from", "2025-01-01")
    assert "the calendar knows" in refusal("calendar", "--from", "1900-01-01", "--to", "1900-02-01")
    assert "Missing option '--bars'" in refusal("breakouts")


def test_a_bar_without_a_price_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    path.write_text("symbol,date,open,high,low,close,volume\nABC,2024-01-02,1,2,1,2,5\nABC,2024-01-03,1,,1,2,5\n")
    assert [row["session"] for row in answer("levels", "--daily", path)] == ["2024-01-02"]


@pytest.mark.skipif(not MARKET.exists(), reason="the reference market data is not beside this repository")
def test_an_index_without_volume_has_no_average_price() -> None:
    rows = answer("levels", "--daily", MARKET / "bars_1d_us24_2018-01_2019-02.parquet", "--symbol", "VIX")
    assert all(row["avwap"] is None and row["dist_pct"] is None and row["avwap_slope"] is None for row in rows)
    assert rows[-1]["pivot"] is not None


@pytest.mark.skipif(not MARKET.exists(), reason="the reference market data is not beside this repository")
def test_bars_of_five_minutes_do_as_well() -> None:
    file = MARKET / "bars_5m_us29_2026-01_2026-06.parquet"
    rows = answer("breakouts", "--bars", file, "--from", "2026-03-02", "--to", "2026-03-31")
    assert rows
    assert all(row["break_close"] > row["level"] <= row["confirm_close"] for row in rows)
    minutes = studies.read_minutes(file)
    assert minutes["minute"].max() == 385
