"""What a market has: looked at before anything is started, so that a wrong date or file is one line and no log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import typer

from cli.lists import file_named, symbols_in
from cli.show import NEW_YORK
from cli.trouble import Trouble
from services.market_data.bar_files import collect, scan_daily, scan_minutes
from services.market_data.sources import build_source
from shared.contracts.ids import is_symbol
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.settings import RecordedFeed, Settings, SyntheticFeed


def a_date(option: str, text: str) -> dt.date:
    """YYYY-MM-DD and nothing else that ISO 8601 calls a date. Raises Trouble for what is none."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or str(day) != text:
        raise Trouble(f"{option} {text!r} is no date: write it as YYYY-MM-DD, such as 2015-02-11")
    return day


def sessions_from(first: dt.date, last: dt.date) -> list[Session]:
    """The sessions from `first` to `last`. Raises NotASession for a first or last day without trading, and Trouble."""
    calendar.session(first)
    calendar.session(last)
    if last < first:
        raise Trouble(f"the last session {last} lies before the first, {first}: exchange them")
    return calendar.sessions(first, last)


def first_session(feed: RecordedFeed | SyntheticFeed, now: dt.datetime) -> dt.date:
    """What is played where nobody says it: a file's first session; of the synthetic market the last one completed."""
    if isinstance(feed, SyntheticFeed):
        today = now.astimezone(NEW_YORK).date()
        if calendar.is_session(today) and now >= calendar.session(today).closes_at:
            return today
        return calendar.previous(today).session
    first, last = _span(feed.bars)
    found = calendar.sessions(first, last)
    if not found:
        raise Trouble(f"{feed.bars} has no session of the exchange: its bars are of {first} to {last}")
    return found[0].session


def symbols_of(feed: RecordedFeed | SyntheticFeed, settings: Settings, sessions: Sequence[Session]) -> tuple[str, ...]:
    """Every symbol of the market that can be one; others are told, and a market without its index.

    Raises BadFile, and Trouble where it has none, or no bars of the first or last session.
    """
    source = build_source(feed, settings.data, settings.regime.symbol)
    for wanted in (sessions[0], sessions[-1]):
        if isinstance(feed, RecordedFeed) and not source.day(wanted, None).rows:
            first, last = _span(feed.bars)
            raise Trouble(f"{feed.bars} has no bars of {wanted.session}; it has {first} to {last}, maybe not every day")
    names = sorted(source.universe())
    unusable = [name for name in names if not is_symbol(name)]
    told = ", ".join(map(repr, unusable[:5])) + (", ..." if len(unusable) > 5 else "")
    if isinstance(feed, RecordedFeed) and len(unusable) == len(names):
        raise Trouble(f"{feed.bars} has no symbol{f', only {told}' if told else ''}: write them as in AAPL or BRK.B")
    if unusable:
        typer.echo(f"no symbols, and their bars do not count: {told}; write them as in AAPL or BRK.B", err=True)
    if isinstance(feed, RecordedFeed) and settings.regime.symbol not in names and not _has_days_of(feed, settings):
        typer.echo(
            f"no bars of {settings.regime.symbol}: without them the market counts as DEFENSIVE and nothing is bought; "
            f"give a file that has them (regime.symbol)",
            err=True,
        )
    return tuple(name for name in names if is_symbol(name))


def chosen(text: str | None, symbols: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The symbols named in `text`, or in the file that it names, all where it is None; bad rows of a file are told.

    Raises Trouble for a symbol that is unknown in `where`, and for a file without any good row.
    """
    if text is None:
        return symbols
    file = file_named("--watchlist", text)
    if file is not None:
        good, bad = symbols_in(file, symbols, where)
        for line in bad:
            typer.echo(line, err=True)
        return good
    names = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not names:
        raise Trouble("--watchlist names no symbol: write it as AAPL,FB")
    for name in names:
        if not is_symbol(name):
            raise Trouble(f"--watchlist: {name!r} is no symbol: write letters and digits, as in BRK.B")
        if name not in symbols:
            known = ", ".join(symbols[:12]) + (", ..." if len(symbols) > 12 else "")
            raise Trouble(f"--watchlist: {where} has no symbol {name}; it has {known}")
    return names


def _has_days_of(feed: RecordedFeed, settings: Settings) -> bool:
    if feed.daily is None:
        return False
    days = scan_daily(feed.daily).filter(pl.col("symbol") == settings.regime.symbol)
    return not collect(days.head(1), feed.daily).is_empty()


def _span(bars: Path) -> tuple[dt.date, dt.date]:
    """First and last day of the file, New York. Raises BadFile."""
    ends = scan_minutes(bars).select(pl.col("start").min().alias("first"), pl.col("start").max().alias("last"))
    first, last = collect(ends, bars).row(0)
    return first.astimezone(NEW_YORK).date(), last.astimezone(NEW_YORK).date()
