"""What the rules say about a bar file, session by session: the research commands without their screen.

The very functions that signals decides with, fed from columns. polars is imported inside: it costs every other command
of the CLI 0.2 s.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from cli.trouble import Trouble
from services.signals.avwap import dist_pct
from services.signals.boh import Question, first_confirmed, is_fresh, research_window
from services.signals.levels import DailyLevels, daily_levels
from services.signals.regime_global import market_regime
from shared.contracts.market import DailyBar
from shared.contracts.rules import Rules
from shared.domain import calendar
from shared.domain.bars import MINUTE, BarBuilder, SpanBar
from shared.domain.levels import first_stop

if TYPE_CHECKING:
    import polars as pl


class Span(Struct, frozen=True):
    """Sessions from `first` to `last`, both included; None: without bound."""

    first: dt.date | None = None
    last: dt.date | None = None

    def holds(self, session: dt.date) -> bool:
        return (self.first is None or session >= self.first) and (self.last is None or session <= self.last)


class BreakoutRow(Struct, frozen=True):
    """One confirmed breakout and hold. Prices in dollars, times in UTC."""

    symbol: str
    session: dt.date
    level: float
    swing_high_date: dt.date | None
    break_start: dt.datetime
    confirm_start: dt.datetime
    confirmed_at: dt.datetime
    break_close: float
    confirm_close: float
    fresh: bool


class LevelRow(Struct, frozen=True, kw_only=True):
    """Levels of one symbol before one session, dollars and percent; stop: the first stop at the last close."""

    symbol: str
    session: dt.date
    close: float | None = None
    pivot: float | None = None
    pivot_date: dt.date | None = None
    r1: float | None = None
    r2: float | None = None
    swing_low: float | None = None
    stop: float | None = None
    avwap: float | None = None
    avwap_anchor: dt.date | None = None
    avwap_slope: float | None = None
    dist_pct: float | None = None
    atr_pct: float | None = None


class RegimeRow(Struct, frozen=True):
    """The market's regime before one session; bars: completed sessions seen."""

    session: dt.date
    state: str
    slope: float | None
    average_range: float | None
    adverse_count: int | None
    bars: int


class SymbolDays(Struct, frozen=True):
    """One symbol's sessions, oldest first, and its daily bars of the same sessions."""

    symbol: str
    bars: tuple[DailyBar, ...]


class SymbolSession(Struct, frozen=True):
    """One symbol's closed ten-minute bars of one session."""

    symbol: str
    day: calendar.Session
    bars: tuple[SpanBar, ...]


def breakouts(minutes: pl.DataFrame, daily: Sequence[SymbolDays], span: Span, rules: Rules) -> list[BreakoutRow]:
    """The first breakout and hold of every symbol and session.

    minutes: `in_sessions` of a bar file. daily: their levels come from sessions strictly before.
    """
    history = {days.symbol: days.bars for days in daily}
    found: list[BreakoutRow] = []
    for session in symbol_sessions(minutes, span, rules.breakout.minutes):
        before = _before(history.get(session.symbol, ()), session.day.session)
        row = _first_breakout(session, daily_levels(before, rules.levels), rules)
        if row is not None:
            found.append(row)
    return found


def levels(daily: Sequence[SymbolDays], span: Span, rules: Rules) -> list[LevelRow]:
    """One row for each symbol and session of the file, from bars strictly before it."""
    return [
        _level_row(days.symbol, bar.session, daily_levels(days.bars[:place], rules.levels), rules)
        for days in daily
        for place, bar in enumerate(days.bars)
        if span.holds(bar.session)
    ]


def regimes(market: SymbolDays, span: Span, rules: Rules) -> list[RegimeRow]:
    """One row for each session of the market's symbol, from bars strictly before it."""
    rows: list[RegimeRow] = []
    for place, bar in enumerate(market.bars):
        if span.holds(bar.session):
            seen = market_regime(market.bars[max(place - rules.levels.history, 0) : place], rules.regime)
            rows.append(
                RegimeRow(bar.session, seen.state.value, seen.slope, seen.average_range, seen.adverse_count, seen.bars)
            )
    return rows


def read_minutes(path: Path) -> pl.DataFrame:
    """The file's bars inside regular sessions, with `session` and `minute` (after the opening), in order.

    Raises BadFile for a file that cannot be read, Trouble where no bar lies in a session.
    """
    import polars as pl

    from services.market_data import bar_files

    frame = bar_files.collect(bar_files.scan_minutes(path), path).with_columns(session=pl.col("start").dt.date())
    first, last = frame["session"].min(), frame["session"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    days = calendar.sessions(first, last)
    opening = pl.DataFrame(
        {
            "session": [day.session for day in days],
            "opens_at": [day.opens_at for day in days],
            "closes_at": [day.closes_at for day in days],
        },
        schema={"session": pl.Date, "opens_at": pl.Datetime("us", "UTC"), "closes_at": pl.Datetime("us", "UTC")},
    )
    inside = (
        _priced(frame)
        .join(opening, on="session", how="inner")
        .filter((pl.col("start") >= pl.col("opens_at")) & (pl.col("start") < pl.col("closes_at")))
        .with_columns(minute=((pl.col("start") - pl.col("opens_at")).dt.total_minutes()))
        .sort("symbol", "start", maintain_order=True)
    )
    if inside.is_empty():
        raise Trouble(f"{path} has no bar inside a session of the exchange; are its times UTC, starts of bars?")
    return inside


def read_daily(path: Path) -> list[SymbolDays]:
    """The file's daily bars by symbol. Raises BadFile."""
    from services.market_data import bar_files

    frame = _priced(bar_files.collect(bar_files.scan_daily(path), path))
    return _by_symbol(frame.unique(["symbol", "session"], keep="last", maintain_order=True).sort("symbol", "session"))


def daily_from_minutes(minutes: pl.DataFrame) -> list[SymbolDays]:
    """Daily bars out of minutes, as `read_minutes` gives them."""
    import polars as pl

    return _by_symbol(
        minutes.group_by("symbol", "session", maintain_order=True).agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
    )


def symbol_sessions(minutes: pl.DataFrame, span: Span, length: int) -> Iterator[SymbolSession]:
    """Ten-minute bars (`length` minutes) of each symbol and session, by the one bar builder."""
    names = ("minute", "open", "high", "low", "close", "volume")
    for (symbol, date), group in minutes.group_by("symbol", "session", maintain_order=True):
        assert isinstance(date, dt.date)
        if not span.holds(date):
            continue
        day = calendar.session(date)
        builder = BarBuilder(length, day.minutes)
        rows = zip(*(group[name].to_list() for name in names), strict=True)
        closed = [bar for row in rows if (bar := builder.add(*row)) is not None]
        last = builder.close_through(day.minutes)
        yield SymbolSession(str(symbol), day, (*closed, last) if last is not None else tuple(closed))


def _priced(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the rows that lack a price: nothing can be computed from them."""
    import polars as pl

    return frame.filter(pl.all_horizontal(pl.col("open", "high", "low", "close").is_finite()))


def _by_symbol(frame: pl.DataFrame) -> list[SymbolDays]:
    columns = ("session", "open", "high", "low", "close", "volume")
    return [
        SymbolDays(str(symbol), tuple(DailyBar(*row) for row in group.select(columns).iter_rows()))
        for (symbol,), group in frame.group_by("symbol", maintain_order=True)
    ]


def _before(bars: Sequence[DailyBar], session: dt.date) -> Sequence[DailyBar]:
    end = len(bars)
    while end and bars[end - 1].session >= session:
        end -= 1
    return bars[:end]


def _first_breakout(session: SymbolSession, known: DailyLevels, rules: Rules) -> BreakoutRow | None:
    pivot, opens_at = known.pivot, session.day.opens_at
    if pivot is None or known.last is None:
        return None
    asked = Question(
        pivot=pivot.price, window=research_window(session.day, rules.breakout), fresh=rules.breakout.fresh, at=0
    )
    pair = first_confirmed(session.bars, known.last.close, asked)
    if pair is None or pair.first is None or pair.second is None:
        return None
    return BreakoutRow(
        symbol=session.symbol,
        session=session.day.session,
        level=pivot.price,
        swing_high_date=pivot.date,
        break_start=opens_at + pair.first.start * MINUTE,
        confirm_start=opens_at + pair.second.start * MINUTE,
        confirmed_at=opens_at + pair.second.end * MINUTE,
        break_close=pair.first.close,
        confirm_close=pair.second.close,
        fresh=is_fresh(pair, pivot.price),
    )


def _level_row(symbol: str, session: dt.date, known: DailyLevels, rules: Rules) -> LevelRow:
    if known.last is None:
        return LevelRow(symbol=symbol, session=session)
    close, average, pivot, targets = known.last.close, known.avwap, known.pivot, known.targets
    return LevelRow(
        symbol=symbol,
        session=session,
        close=close,
        pivot=pivot.price if pivot is not None else None,
        pivot_date=pivot.date if pivot is not None else None,
        r1=targets.r1 if targets is not None else None,
        r2=targets.r2 if targets is not None else None,
        swing_low=known.swing_low,
        stop=first_stop(known.swing_low, close, rules.stop),
        avwap=average.value if average is not None else None,
        avwap_anchor=average.anchor if average is not None else None,
        avwap_slope=average.slope if average is not None else None,
        dist_pct=dist_pct(close, average.value) if average is not None else None,
        atr_pct=known.atr_pct,
    )
