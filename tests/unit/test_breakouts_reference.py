"""Breakouts and holds of real bars, against figures that three independent programs computed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from cli import research, studies
from cli.studies import Span, SymbolDays
from cli.trouble import Commands
from services.signals.boh import NEW_YORK
from services.signals.service import Signals
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.decisions import Decided
from shared.contracts.market import Bar, Bars, DailyHistory, SessionOpened
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, Reason
from shared.domain import calendar
from shared.domain.bars import MINUTE
from tests.unit.market_files import MARKET
from tests.unit.signals.kit import candidate

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


@pytest.mark.parametrize("date", ["2015-02-11", "2015-02-26", "2015-03-19", "2015-04-23"])
def test_the_service_confirms_minute_by_minute_what_the_command_finds_in_columns(date: str) -> None:
    """A confirmation here is a verdict that is one, whatever refuses it afterwards."""
    session = dt.date.fromisoformat(date)
    minutes = studies.read_minutes(BARS)
    daily = studies.daily_from_minutes(minutes)
    found = studies.breakouts(minutes, daily, Span(session, session), Rules())
    decided = _play(minutes.filter(pl.col("session") == session), daily, session)
    first: dict[str, dt.datetime] = {}
    for message in decided:
        for verdict in message.verdicts:
            if verdict.reason not in NOT_A_CONFIRMATION and verdict.reason is not Reason.STALE_DATA:
                first.setdefault(verdict.symbol, message.minute)
    assert first == {row.symbol: row.confirmed_at for row in found}
    assert first


def _play(minutes: pl.DataFrame, daily: list[SymbolDays], date: dt.date) -> list[Decided]:
    day, before, after = calendar.session(date), calendar.previous(date), calendar.following(date)
    signals = Signals(1, Rules(), lambda _: 1)
    signals.handle(
        SessionOpened(
            id="session",
            at=day.opens_at,
            session=date,
            opens_at=day.opens_at,
            closes_at=day.closes_at,
            early=day.early,
            previous=before.session,
            following=after.session,
            following_opens_at=after.opens_at,
        )
    )
    for days in daily:
        known = tuple(bar for bar in days.bars if bar.session < date)
        signals.handle(
            DailyHistory(id=f"h-{days.symbol}", at=day.opens_at, session=date, symbol=days.symbol, bars=known)
        )
        signals.handle(candidate(days.symbol, session=date, since=day.opens_at))
    rows: dict[int, list[Bar]] = {}
    for minute, *bar in minutes.sort("minute", "symbol").select("minute", *Bar.__struct_fields__).iter_rows():
        rows.setdefault(minute, []).append(Bar(*bar))
    decided: list[Decided] = []
    for end in range(1, day.minutes + 1):
        at = day.opens_at + end * MINUTE
        signals.handle(Bars(id=f"b{end}", at=at, partition=0, minute=at - MINUTE, rows=tuple(rows.get(end - 1, ()))))
        answers = signals.handle(Tick(id=f"t{end}", at=at, session=date, phase=TickPhase.DECIDE))
        decided += [answer for answer in answers if isinstance(answer, Decided)]
    return decided


def _as_reference(row: dict[str, Any]) -> dict[str, Any]:
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
