"""Research commands: what the rules say about recorded bars. They trade nothing and need no running engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from cli import studies
from cli.options import AsJson
from cli.studies import Span, SymbolDays
from cli.trouble import Trouble
from shared.contracts.rules import BreakoutRules, Rules
from shared.domain import calendar as exchange_calendar

BarsFile = Annotated[Path, typer.Option("--bars", help="Parquet or CSV of 1- or 5-minute bars.", show_default=False)]
DailyFile = Annotated[Path, typer.Option("--daily", help="Parquet or CSV of daily bars.", show_default=False)]
MaybeDailyFile = Annotated[
    Path | None, typer.Option("--daily", help="Daily bars for the levels; without it they are built from --bars.")
]
From = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First session, YYYY-MM-DD.")]
To = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last session, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    """Add the research commands to `app`."""
    commands: Sequence[Callable[..., None]] = (breakouts, levels, regime, calendar)
    for command in commands:
        app.command()(command)


def breakouts(
    bars: BarsFile,
    daily: MaybeDailyFile = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh/--no-fresh", help="Whether the close before the break must lie at or below the level."),
    ] = True,
    from_: From = None,
    to: To = None,
    json: AsJson = False,
) -> None:
    """First confirmed breakout-and-hold of every symbol and session of a bar file.

    Example: execution breakouts --bars bars_1m.parquet --from 2015-02-01 --to 2015-02-28
    """
    span = _span(from_, to)
    minutes = studies.read_minutes(bars)
    history = studies.read_daily(daily) if daily is not None else studies.daily_from_minutes(minutes)
    _require_sessions(span, sorted(set(minutes["session"].to_list())), bars)
    rules = Rules(breakout=BreakoutRules(fresh=fresh))
    _show(studies.breakouts(minutes, history, span, rules), "breakouts and holds", json)


def levels(
    daily: DailyFile,
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", help="Only this one; may be given several times.")
    ] = None,
    from_: From = None,
    to: To = None,
    json: AsJson = False,
) -> None:
    """Pivot, targets, stop, AVWAP and ATR before every session, each from bars strictly before it.

    Example: execution levels --daily bars_1d.parquet --symbol AAPL --from 2019-02-01
    """
    span = _span(from_, to)
    days = studies.read_daily(daily)
    if symbol:
        days = [_one_symbol(days, name, daily) for name in dict.fromkeys(symbol)]
    _require_sessions(span, _sessions_of(days), daily)
    _show(studies.levels(days, span, Rules()), "levels", json)


def regime(
    daily: DailyFile,
    symbol: Annotated[str, typer.Option("--symbol", help="The symbol that stands for the market.")] = "SPY",
    from_: From = None,
    to: To = None,
    json: AsJson = False,
) -> None:
    """The market's regime before every session, from bars strictly before it.

    Example: execution regime --daily bars_1d_spy.parquet --from 2020-02-01 --to 2020-04-30
    """
    span = _span(from_, to)
    market = _one_symbol(studies.read_daily(daily), symbol, daily)
    _require_sessions(span, _sessions_of([market]), daily)
    _show(studies.regimes(market, span, Rules()), f"regime by {symbol}", json)


class SessionRow(Struct, frozen=True):
    """One session of the exchange; times in UTC."""

    session: dt.date
    open: dt.datetime
    close: dt.datetime
    early: bool


def calendar(
    from_: Annotated[str, typer.Option("--from", metavar="DATE", help="First day, YYYY-MM-DD.", show_default=False)],
    to: Annotated[str, typer.Option("--to", metavar="DATE", help="Last day, YYYY-MM-DD.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Sessions of the New York Stock Exchange, with their half days.

    Example: execution calendar --from 2026-11-20 --to 2026-11-30
    """
    span = _span(from_, to)
    assert span.first is not None
    assert span.last is not None
    if span.first < exchange_calendar.FIRST_DAY or span.last > exchange_calendar.LAST_DAY:
        raise Trouble(
            f"the calendar knows {exchange_calendar.FIRST_DAY} to {exchange_calendar.LAST_DAY}; "
            f"ask for days in there, not {span.first} to {span.last}"
        )
    days = exchange_calendar.sessions(span.first, span.last)
    _show([SessionRow(day.session, day.opens_at, day.closes_at, day.early) for day in days], "sessions", json)


def _span(first: str | None, last: str | None) -> Span:
    span = Span(_date("--from", first), _date("--to", last))
    if span.first is not None and span.last is not None and span.first > span.last:
        raise Trouble(f"--from {span.first} lies after --to {span.last}: exchange them")
    return span


def _date(option: str, text: str | None) -> dt.date | None:
    from cli.market import a_date

    return a_date(option, text) if text is not None else None


def _one_symbol(days: Sequence[SymbolDays], symbol: str, path: Path) -> SymbolDays:
    for found in days:
        if found.symbol == symbol:
            return found
    known = ", ".join(found.symbol for found in days[:8]) + (", ..." if len(days) > 8 else "")
    raise Trouble(f"{path} has no symbol {symbol!r}: it has {known}")


def _sessions_of(days: Sequence[SymbolDays]) -> list[dt.date]:
    return sorted({bar.session for found in days for bar in found.bars})


def _require_sessions(span: Span, sessions: Sequence[dt.date], path: Path) -> None:
    """No data is an error, never an empty answer that looks like one."""
    if not sessions:
        raise Trouble(f"{path} has no bars with prices: export it again")
    if not any(span.holds(session) for session in sessions):
        raise Trouble(
            f"{path} has no session from {span.first or 'its start'} to {span.last or 'its end'}: "
            f"it has {sessions[0]} to {sessions[-1]}"
        )


def _show(rows: Sequence[Struct], what: str, as_json: bool) -> None:
    if as_json:
        lines = b",\n".join(msgspec.json.encode(row) for row in rows)
        typer.echo((b"[\n" + lines + b"\n]" if rows else b"[]").decode())
        return
    from rich.console import Console
    from rich.table import Table

    if not rows:
        typer.echo(f"no {what}")
        return
    names = rows[0].__struct_fields__
    table = Table(*names, title=f"{len(rows)} {what}")
    for row in rows:
        table.add_row(*(_cell(getattr(row, name)) for name in names))
    Console().print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.4f}".rstrip("0").rstrip(".")
        case dt.datetime():
            return f"{value:%Y-%m-%d %H:%M}Z"
        case _:
            return str(value)
