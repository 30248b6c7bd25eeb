"""Daily bars and volume profiles from minutes: regular sessions only, by the exchange calendar, in whole columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import polars as pl

from services.market_data.checks import Checks
from services.market_data.source import History
from shared.contracts.market import Bar, DailyBar
from shared.domain.calendar import Session

HISTORY_SESSIONS: Final = 250
PROFILE_SESSIONS: Final = 20
PROFILE_REACH: Final = 40
"""Calendar sessions within which the profile's must lie: a file with holes gives older ones, never stale ones."""
ENOUGH_MINUTES: Final = 390
MINUTE_US: Final = 60_000_000
DAILY: Final = {"symbol": pl.String, "session": pl.Date} | dict.fromkeys(
    ("open", "high", "low", "close", "volume"), pl.Float64
)


def in_session(minutes: pl.LazyFrame, days: Sequence[Session]) -> pl.LazyFrame:
    """`minutes` (see bar_files.scan_minutes) with columns `session` and `minute` (from 0), without bars outside `days`.

    Rows keep their order. A half day ends at its own close.
    """
    frame = pl.LazyFrame(
        {
            "session": [day.session for day in days],
            "opens_at": [day.opens_at for day in days],
            "closes_at": [day.closes_at for day in days],
        },
        schema={"session": pl.Date, "opens_at": pl.Datetime("us", "UTC"), "closes_at": pl.Datetime("us", "UTC")},
    )
    # A regular session lies within one day of UTC, which is New York's; converting every bar would cost as much as
    # the rest of this together.
    return (
        minutes.with_columns(pl.col("start").dt.date().alias("session"))
        .join(frame, on="session", how="inner", maintain_order="left")
        .filter((pl.col("start") >= pl.col("opens_at")) & (pl.col("start") < pl.col("closes_at")))
        .with_columns(((pl.col("start") - pl.col("opens_at")).dt.total_minutes()).alias("minute"))
        .drop("opens_at", "closes_at")
    )


def daily_from_minutes(minutes: pl.DataFrame) -> pl.DataFrame:
    """Daily bars `symbol, session, open … volume` from rows of `in_session`, by symbol and session."""
    return daily_from_numbered(numbered(minutes.sort("symbol", "start", maintain_order=True)))


def daily_from_numbered(minutes: pl.DataFrame) -> pl.DataFrame:
    """`daily_from_minutes` of rows of `numbered`."""
    return (
        minutes.group_by("number", maintain_order=True)
        .agg(
            pl.col("symbol").first(),
            pl.col("session").first(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .select(*DAILY)
    )


def numbered(minutes: pl.DataFrame) -> pl.DataFrame:
    """Rows by symbol and start with `number`, of their symbol's session: grouped by it they need no hashing."""
    return minutes.with_columns(pl.struct("symbol", "session").rle_id().set_sorted().alias("number"))


def suspect_sessions(minutes: pl.DataFrame, max_jump: float) -> pl.DataFrame:
    """`symbol, session` of every symbol's session in which a bar might fail a check; all others are good as a whole.

    minutes: rows of `in_session`, one symbol after the other and each in its order. The jump against the close of the
    day before is seen here only where that day stands in `minutes`.
    """
    open_, high, low, close, start = (pl.col(name) for name in ("open", "high", "low", "close", "start"))
    same = pl.col("symbol") == pl.col("symbol").shift(1)
    close_before = close.shift(1)
    could_be_wrong = (
        ~pl.sum_horizontal("open", "high", "low", "close", "volume").is_finite()
        | (low <= 0)
        | (low > open_)
        | (low > close)
        | (high < open_)
        | (high < close)
        | (pl.col("volume") < 0)
        | (start.dt.epoch("us") % MINUTE_US != 0)
        | (
            same
            & (
                (start.shift(1) >= start)
                | (high - close_before > max_jump * close_before)
                | (close_before - low > max_jump * close_before)
            )
        )
    )
    return minutes.filter(could_be_wrong.fill_null(value=False)).select("symbol", "session").unique()


def without_faults(minutes: pl.DataFrame, days: Sequence[Session], max_jump: float) -> pl.DataFrame:
    """Rows of `in_session` that pass the bar checks, so that one bad print does not become a level.

    Whole columns first find the symbols' sessions in which anything could be wrong; only these are checked bar by bar,
    by the same checks as the session that is traded.
    """
    marked = minutes.with_row_index("row")
    suspects = suspect_sessions(marked.sort("symbol", maintain_order=True), max_jump)
    if suspects.is_empty():
        return minutes
    by_date = {day.session: day for day in days}
    bad: list[int] = []
    for symbol, session in suspects.sort("symbol", "session").iter_rows():
        of_symbol = marked.filter((pl.col("symbol") == symbol) & (pl.col("session") <= session))
        before = of_symbol.filter(pl.col("session") < session)
        checks = Checks(by_date[session], max_jump)
        if not before.is_empty():
            last = before.tail(ENOUGH_MINUTES)
            checks.expect(symbol, float(last["close"][-1]), float(last["volume"].median() or 0))  # type: ignore[arg-type]
        rows = of_symbol.filter(pl.col("session") == session)
        for row, start, *figures in rows.select("row", "start", "open", "high", "low", "close", "volume").iter_rows():
            if checks.take(start, Bar(symbol, *figures)) is not None:
                bad.append(row)
    return marked.filter(~pl.col("row").is_in(bad)).drop("row")


def profiles(minutes: pl.DataFrame, length: int) -> dict[str, tuple[tuple[float, ...], int]]:
    """Each symbol's `profile` before a session of `length` minutes.

    minutes: rows of `in_session` of the sessions before the one asked for.
    """
    return {str(symbol): profile(rows, length) for (symbol,), rows in minutes.group_by("symbol", maintain_order=True)}


def profile(minutes: pl.DataFrame, length: int) -> tuple[tuple[float, ...], int]:
    """Mean cumulative volume by minute over a symbol's last sessions, and over how many of them (at most 20).

    minutes: of this symbol alone, as in `profiles`. A session that was shorter keeps its total after its close.
    """
    known = minutes["session"].unique().sort()
    last = known.tail(PROFILE_SESSIONS)
    if len(known) > len(last):
        minutes = minutes.filter(pl.col("session") >= last.first())
    volumes = [0.0] * length
    traded = False
    # A group_by would be no faster: one call wakes all its threads for a few thousand rows.
    for minute, volume in zip(minutes["minute"].to_list(), minutes["volume"].to_list(), strict=True):
        if minute < length:
            volumes[minute] += volume
            traded = True
    return (_mean_cumulative(volumes, len(last)), len(last)) if traded else ((), 0)


def _mean_cumulative(volumes: list[float], sessions: int) -> tuple[float, ...]:
    total, out = 0.0, []
    for volume in volumes:
        total += volume
        out.append(total / sessions)
    return tuple(out)


def daily_rows(frame: pl.DataFrame) -> dict[str, list[DailyBar]]:
    """Daily bars by symbol, oldest first; of two rows of one symbol and session the first stands."""
    unique = frame.unique(["symbol", "session"], keep="first", maintain_order=True).sort("symbol", "session")
    found: dict[str, list[DailyBar]] = {}
    for symbol, session, *figures in unique.select(*DAILY).iter_rows():
        found.setdefault(symbol, []).append(DailyBar(session, *figures))
    return found


def history_before(session: dt.date, bars: Sequence[DailyBar], profile: tuple[tuple[float, ...], int]) -> History:
    """The last 250 of `bars` (oldest first) before `session`, with the volume profile."""
    before = [bar for bar in bars if bar.session < session]
    return History(tuple(before[-HISTORY_SESSIONS:]), profile[0], profile[1])
