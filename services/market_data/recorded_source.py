"""A market out of files: minutes to play, and days before them from a daily file or from the minutes themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from services.market_data import daily_bars
from services.market_data.bar_files import BadFile, collect, scan_daily, scan_minutes
from services.market_data.source import Day, History, Row
from shared.contracts.market import Bar, DailyBar
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

NEW_YORK: Final = ZoneInfo("America/New_York")
SAMPLE_ROWS: Final = 5_000
SESSIONS_AT_ONCE: Final = 20
LATE_OPEN: Final = dt.time(9, 35)
EARLY_CLOSE: Final = dt.time(15, 55)
"""A file whose bars, all of them, begin and end within these and the regular session's ends is in New York's time."""
DAILY_REACH: Final = dt.timedelta(days=daily_bars.HISTORY_SESSIONS * 2)


class RecordedSource:
    """bars: a file of one-minute bars. daily: a file of daily bars, None: they are built from the minutes.

    A symbol that the daily file lacks has its days built from the minutes too; within one symbol the two are never
    mixed, since one may be adjusted and the other raw. Raises BadFile, at once for what can be seen at once.
    """

    def __init__(self, bars: Path, daily: Path | None = None, *, max_jump: float = 0.25) -> None:
        self._bars = bars
        self._daily = daily
        self._max_jump = max_jump
        _refuse_wrong_times(bars)
        _refuse_longer_bars(bars)
        if daily is not None:
            scan_daily(daily)
        self._universe: frozenset[str] | None = None
        self._built: dict[dt.date, dict[str, DailyBar]] = {}
        self._profiles: tuple[dt.date, dict[str, tuple[tuple[float, ...], int]]] | None = None

    def universe(self) -> frozenset[str]:
        """Every symbol of the file of minutes."""
        if self._universe is None:
            symbols = collect(scan_minutes(self._bars).select(pl.col("symbol").unique()), self._bars)
            self._universe = frozenset(symbols["symbol"].drop_nulls().to_list())
        return self._universe

    def day(self, session: Session, symbols: Collection[str] | None) -> Day:
        """All bars of the session's date in New York, in the file's order; none where the file has none."""
        midnight = dt.datetime.combine(session.session, dt.time(), NEW_YORK)
        next_midnight = dt.datetime.combine(session.session + dt.timedelta(days=1), dt.time(), NEW_YORK)
        minutes = scan_minutes(self._bars, midnight, next_midnight)
        if symbols is not None:
            minutes = minutes.filter(pl.col("symbol").is_in(list(symbols)))
        rows = collect(minutes.with_columns(pl.col("symbol").fill_null("")), self._bars)
        return Day(tuple(Row(start, Bar(symbol, *figures)) for symbol, start, *figures in rows.iter_rows()))

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        """The 250 sessions before `session`, and the volume profile of the last 20 that the file of minutes has."""
        official = self._official(session, symbols)
        built = self._from_minutes(session) if any(symbol not in official for symbol in symbols) else {}
        profiles = self._profiles_before(session)
        return {
            symbol: daily_bars.history_before(
                session.session, official.get(symbol) or built.get(symbol, []), profiles.get(symbol, ((), 0))
            )
            for symbol in symbols
        }

    def _official(self, session: Session, symbols: Collection[str]) -> dict[str, list[DailyBar]]:
        """Rows of the daily file; every symbol that it knows is a key, also without rows before the session."""
        if self._daily is None:
            return {}
        known = scan_daily(self._daily).filter(pl.col("symbol").is_in(list(symbols)))
        present = collect(known.select(pl.col("symbol").unique()), self._daily)["symbol"].to_list()
        before = known.filter(
            (pl.col("session") < session.session) & (pl.col("session") >= session.session - DAILY_REACH)
        )
        return {symbol: [] for symbol in present} | daily_bars.daily_rows(collect(before, self._daily))

    def _from_minutes(self, session: Session) -> dict[str, list[DailyBar]]:
        wanted = _sessions_before(session, daily_bars.HISTORY_SESSIONS)
        new = [day for day in wanted if day.session not in self._built]
        for first in range(0, len(new), SESSIONS_AT_ONCE):
            self._build(new[first : first + SESSIONS_AT_ONCE])
        found: dict[str, list[DailyBar]] = {}
        for day in wanted:
            for symbol, bar in self._built[day.session].items():
                found.setdefault(symbol, []).append(bar)
        return found

    def _build(self, days: list[Session]) -> None:
        self._built.update({day.session: {} for day in days})
        rows = self._minutes_of(days)
        for symbol, bars in daily_bars.daily_rows(daily_bars.daily_from_minutes(rows)).items():
            for bar in bars:
                self._built[bar.session][symbol] = bar

    def _profiles_before(self, session: Session) -> dict[str, tuple[tuple[float, ...], int]]:
        if self._profiles is None or self._profiles[0] != session.session:
            rows = self._minutes_of(_sessions_before(session, daily_bars.PROFILE_REACH))
            self._profiles = (session.session, daily_bars.profiles(rows, session.minutes))
        return self._profiles[1]

    def _minutes_of(self, days: list[Session]) -> pl.DataFrame:
        """Good bars of the regular sessions `days` (at least one), which follow each other."""
        minutes = scan_minutes(self._bars, days[0].opens_at, days[-1].closes_at)
        rows = collect(daily_bars.in_session(minutes, days), self._bars)
        return daily_bars.without_faults(rows, days, self._max_jump)


def sessions_in(bars: Path) -> list[Session]:
    """The exchange's sessions of which the file of minutes has bars, oldest first. Raises BadFile."""
    dates = pl.col("start").dt.convert_time_zone("America/New_York").dt.date().unique().sort()
    found = collect(scan_minutes(bars).select(dates.alias("date")), bars)["date"].drop_nulls().to_list()
    return [calendar.session(date) for date in found if calendar.is_session(date)]


def _sessions_before(session: Session, count: int) -> list[Session]:
    first = calendar.previous(session.session, count).session
    return calendar.sessions(first, session.session - dt.timedelta(days=1))


def _refuse_wrong_times(path: Path) -> None:
    """A row without a time would be left out in silence, and New York's times read as UTC are another market."""
    start = pl.col("start")
    seen = scan_minutes(path).select(
        start.null_count().alias("lost"), start.dt.time().min().alias("first"), start.dt.time().max().alias("last")
    )
    lost, first, last = collect(seen, path).row(0)
    if lost:
        raise BadFile(f"{lost} row{'s have' if lost > 1 else ' has'} no timestamp in {path}: export it again")
    if calendar.OPEN <= first <= LATE_OPEN and EARLY_CLOSE <= last <= calendar.CLOSE:
        raise BadFile(
            f"{path} has bars of {first:%H:%M} to {last:%H:%M}: those are times of New York, "
            f"and must be UTC, or say their zone"
        )


def _refuse_longer_bars(path: Path) -> None:
    """A five-minute bar played as the minute it starts in would tell the next four minutes beforehand."""
    starts = collect(scan_minutes(path).select("start").head(SAMPLE_ROWS), path)["start"].unique().sort()
    gaps = starts.diff().drop_nulls()
    shortest = gaps.min()
    if isinstance(shortest, dt.timedelta) and shortest > MINUTE and len(gaps) > 1:
        raise BadFile(
            f"{path} holds bars of {shortest // MINUTE} minutes: a session is played on one-minute bars; "
            f"`execution breakouts` takes longer ones"
        )
