"""A whole file of minutes in columns: what a backtest asks of the market, cut out of one frame instead of one file.

The same bars, days and volume profiles as services/market_data/recorded_source.py gives, by the same functions. Only
for files whose bars pass every check as a whole; `Unfit` says why another file is to be played bar by bar.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Collection
from pathlib import Path
from typing import Final

import polars as pl
from msgspec import Struct

from services.market_data import daily_bars
from services.market_data.bar_files import collect, scan_daily, scan_minutes
from services.market_data.recorded_source import DAILY_REACH
from services.market_data.source import History, last_close
from shared.contracts.ids import is_symbol
from shared.contracts.market import Bar, DailyBar, VolumeProfile
from shared.domain import calendar
from shared.domain.calendar import Session

LONG: Final = 1_000
"""More spans than a session has minutes."""
PRICED: Final = ("open", "high", "low", "close", "volume")


class Unfit(Exception):
    """This market is to be played bar by bar; the text says why."""


class Spans(Struct, frozen=True, gc=False):
    """Bars of several minutes of one symbol and session, one after the other; a span without a bar is left out.

    places: number of the span from the opening, 0 first. closes: dollars. ends: end of the last minute bar in it, in
    minutes after the opening. row, rows: where its minutes stand in the frame.
    """

    places: list[int]
    closes: list[float]
    ends: list[int]
    row: int
    rows: int


class Columns:
    """The market of `played` sessions and what came before them.

    span: minutes of the bars that confirm a breakout. Raises BadFile, and Unfit.
    """

    def __init__(self, bars: Path, daily: Path | None, played: list[Session], *, span: int, max_jump: float) -> None:
        days = _days_of(played)
        scanned = scan_minutes(bars, days[0].opens_at, played[-1].closes_at)
        self.symbols = frozenset(collect(scanned.select(pl.col("symbol").unique()), bars)["symbol"].to_list())
        if None in self.symbols or not all(is_symbol(symbol) for symbol in self.symbols):
            raise Unfit("some bars have no usable symbol")
        names = scanned.with_columns(pl.col("symbol").cast(pl.Enum(sorted(self.symbols))))  # numbers group faster
        self._minutes = _sorted(collect(daily_bars.in_session(names, days), bars))
        suspects = daily_bars.suspect_sessions(self._minutes, max_jump)
        if not suspects.is_empty():
            first = suspects.sort("session", "symbol").row(0, named=True)
            raise Unfit(f"some bars may fail a check, the first of {first['symbol']} on {first['session']}")
        self._rows = self._minutes.select("minute", *PRICED)
        numbered = daily_bars.numbered(self._minutes)
        self._daily = _daily(numbered, daily, self.symbols)
        self._from_file = frozenset(symbol for symbol, (_, official) in self._daily.items() if official)
        self._spans = _spans(numbered, span)
        self._profiles: dict[tuple[dt.date, str], tuple[tuple[float, ...], int]] = {}
        self._minute_of: tuple[tuple[dt.date, tuple[str, ...]], dict[int, list[Bar]]] = ((dt.date.min, ()), {})
        self._refuse_jumps_over_night(played, max_jump)

    def spans(self, symbol: str, session: dt.date) -> Spans | None:
        """None where the symbol did not trade."""
        return self._spans.get((symbol, session))

    def bars(self, symbol: str, session: dt.date) -> list[tuple[int, Bar]]:
        """Its minutes, counted from the opening, with their bars."""
        found = self._spans.get((symbol, session))
        if found is None:
            return []
        return [
            (minute, Bar(symbol, open_, high, low, close, volume))
            for minute, open_, high, low, close, volume in self._rows.slice(found.row, found.rows).rows()
        ]

    def minute(self, session: dt.date, symbols: Collection[str], minute: int) -> list[Bar]:
        """The bars of several symbols that start `minute` minutes after the opening."""
        if self._minute_of[0] != (session, tuple(symbols)):
            found: dict[int, list[Bar]] = {}
            for symbol in symbols:
                for start, bar in self.bars(symbol, session):
                    found.setdefault(start, []).append(bar)
            self._minute_of = ((session, tuple(symbols)), found)
        return self._minute_of[1].get(minute, [])

    def daily(self, session: Session, symbol: str) -> list[DailyBar]:
        """Up to 250 completed sessions before `session`, oldest first."""
        bars, official = self._daily.get(symbol, ([], False))
        end = bisect_left(bars, session.session, key=_session_of)
        reach = session.session - DAILY_REACH if official else _first_of_history(session)
        start = max(bisect_left(bars, reach, key=_session_of), end - daily_bars.HISTORY_SESSIONS)
        return bars[start:end]

    def volume(self, symbol: str, session: dt.date, end: int) -> float:
        """Shares from the opening to `end` minutes after it, added up minute by minute."""
        total = 0.0
        for minute, bar in self.bars(symbol, session):
            if minute < end:
                total += bar.volume
        return total

    def profile(self, session: Session, symbol: str) -> VolumeProfile:
        """Its usual volume by minute."""
        cumulative, sessions = self._profile_before(session, symbol)
        return VolumeProfile(
            id="", at=session.opens_at, session=session.session, symbol=symbol, sessions=sessions, cumulative=cumulative
        )

    def history(self, session: Session, symbol: str, *, profile: bool = True) -> History:
        """As a source of market data gives it; without the volume profile where nobody will ask for it."""
        usual = self._profile_before(session, symbol) if profile else ((), 0)
        return daily_bars.history_before(session.session, self.daily(session, symbol), usual)

    def _profile_before(self, session: Session, symbol: str) -> tuple[tuple[float, ...], int]:
        key = (session.session, symbol)
        if key not in self._profiles:
            first = calendar.previous(session.session, daily_bars.PROFILE_REACH).session
            found = [
                spans
                for day in calendar.sessions(first, session.session - dt.timedelta(days=1))
                if (spans := self._spans.get((symbol, day.session))) is not None
            ][-daily_bars.PROFILE_SESSIONS :]
            # A symbol's sessions stand one behind the other.
            rows = self._minutes.slice(found[0].row, sum(spans.rows for spans in found)) if found else None
            self._profiles[key] = daily_bars.profile(rows, session.minutes) if rows is not None else ((), 0)
        return self._profiles[key]

    def _refuse_jumps_over_night(self, played: list[Session], max_jump: float) -> None:
        """The first bar of a session is checked against the last daily close, which may come from another file."""
        for day in played:
            for symbol in self._from_file:
                found = self._spans.get((symbol, day.session))
                close = last_close(History(tuple(self.daily(day, symbol)[-1:])))
                if found is None or close is None:
                    continue
                low, high = self._minutes.slice(found.row, 1).select("low", "high").row(0)
                if max(high - close, close - low) > max_jump * close:
                    raise Unfit(f"{symbol} jumps on {day.session}")


def _days_of(played: list[Session]) -> list[Session]:
    """The exchange's sessions that matter: those that are played, and as many before as daily rules look back."""
    first = calendar.previous(played[0].session, daily_bars.HISTORY_SESSIONS)
    return calendar.sessions(first.session, played[-1].session)


def _sorted(minutes: pl.DataFrame) -> pl.DataFrame:
    """By symbol and, within it, in the file's order: a bar out of order must still look out of order."""
    return minutes if minutes["symbol"].to_physical().is_sorted() else minutes.sort("symbol", maintain_order=True)


def _daily(
    minutes: pl.DataFrame, file: Path | None, symbols: Collection[str]
) -> dict[str, tuple[list[DailyBar], bool]]:
    """Symbol → its daily bars, oldest first, and whether they are of the daily file."""
    built = {
        symbol: (bars, False) for symbol, bars in daily_bars.daily_rows(daily_bars.daily_from_numbered(minutes)).items()
    }
    if file is None:
        return built
    known = collect(scan_daily(file).filter(pl.col("symbol").is_in(list(symbols))), file)
    return built | {symbol: (bars, True) for symbol, bars in daily_bars.daily_rows(known).items()}


def _spans(minutes: pl.DataFrame, span: int) -> dict[tuple[str, dt.date], Spans]:
    place = pl.col("minute") // span
    grouped = (
        minutes.with_row_index("row")
        .with_columns(place.alias("place"), (pl.col("number") * LONG + place).set_sorted().alias("span"))
        .group_by("span", maintain_order=True)
        .agg(
            pl.col("number", "symbol", "session", "place").first(),
            pl.col("close").last(),
            pl.col("minute").last() + 1,
            pl.col("row").first(),
            pl.len().alias("rows"),
        )
        .group_by(pl.col("number").set_sorted(), maintain_order=True)
        .agg(
            pl.col("symbol", "session").first(),
            pl.col("place", "close", "minute"),
            pl.col("row").first(),
            pl.col("rows").sum(),
        )
        .drop("number")
    )
    return {
        (symbol, session): Spans(places, closes, ends, row, rows)
        for symbol, session, places, closes, ends, row, rows in grouped.iter_rows()
    }


def _first_of_history(session: Session) -> dt.date:
    return calendar.previous(session.session, daily_bars.HISTORY_SESSIONS).session


def _session_of(bar: DailyBar) -> dt.date:
    return bar.session
