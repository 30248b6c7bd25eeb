"""Breakouts and holds of real bars, against figures that three independent programs computed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from typer.testing import CliRunner

from cli import research
from cli.trouble import Commands
from tests.unit.market_files import MARKET

REFERENCE: Final = MARKET / "breakouts_us6_until_2015-03.json"
BARS: Final = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"

pytestmark = pytest.mark.skipif(
    not (REFERENCE.exists() and BARS.exists()), reason="the reference market data is not beside this repository"
)


def _run(*arguments: str | Path) -> list[dict[str, Any]]:
    app = typer.Typer(cls=Commands)
    research.register(app)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


@pytest.fixture(scope="module")
def without_fresh() -> list[dict[str, Any]]:
    return _run("breakouts", "--bars", BARS, "--no-fresh", "--to", "2015-03-31", "--json")


def test_all_138_reference_rows_are_found_and_no_other(without_fresh: list[dict[str, Any]]) -> None:
    reference = json.loads(REFERENCE.read_text())
    rows = [dict(zip(reference["columns"], row, strict=True)) for row in reference["rows"]]
    assert len(rows) == 138
    assert [_as_reference(row) for row in without_fresh] == [
        {name: row[name] for name in row if name != "prev_session_close_above_level"} for row in rows
    ]


def test_a_break_in_the_first_bar_is_fresh_unless_the_previous_session_closed_above(
    without_fresh: list[dict[str, Any]],
) -> None:
    reference = json.loads(REFERENCE.read_text())
    at_the_open = [
        (row, found["fresh"])
        for row, found in zip(reference["rows"], without_fresh, strict=True)
        if found["break_start"].endswith(("14:30:00Z", "13:30:00Z"))
    ]
    assert len(at_the_open) > 60
    for row, fresh in at_the_open:
        assert fresh is not row[-1], row


def test_the_fresh_rule_keeps_breaks_from_below_alone(without_fresh: list[dict[str, Any]]) -> None:
    fresh = _run("breakouts", "--bars", BARS, "--to", "2015-03-31", "--json")
    assert all(row["fresh"] for row in fresh)
    found_fresh = [row for row in without_fresh if row["fresh"]]
    assert found_fresh == [row for row in fresh if row in found_fresh]


def _as_reference(row: dict[str, Any]) -> dict[str, Any]:
    from services.signals.boh import NEW_YORK

    def clock(name: str) -> str:
        return f"{dt.datetime.fromisoformat(row[name]).astimezone(NEW_YORK):%H:%M}"

    return {
        "symbol": row["symbol"],
        "date": row["session"],
        "level": row["level"],
        "swing_high_date": row["swing_high_date"],
        "break_bar_start_ET": clock("break_start"),
        "confirm_bar_start_ET": clock("confirm_start"),
        "confirm_end_epoch": int(dt.datetime.fromisoformat(row["confirmed_at"]).timestamp()),
        "break_close": row["break_close"],
        "confirm_close": row["confirm_close"],
    }
