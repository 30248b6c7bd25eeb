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
    return (
        minutes.sort("symbol", "start", maintain_order=True)
        .group_by("symbol", "session", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .select(*DAILY)
    )


def suspect_sessions(minutes: pl.DataFrame, max_jump: float) -> pl.DataFrame:
    """`symbol, session` of every symbol's session in which a bar might fail a check; all others are good as a whole.

    minutes: rows of `in_session`, one session after the other. The jump against the close of the day before is seen
    here only where that day stands in `minutes`.
    """
    close_before = pl.col("close").shift(1).over("symbol")
    could_be_wrong = (
        ~pl.sum_horizontal("open", "high", "low", "close", "volume").is_finite()
        | (pl.min_horizontal("open", "low", "high", "close") <= 0)
        | (pl.col("volume") < 0)
        | (pl.col("low") > pl.min_horizontal("open", "close"))
        | (pl.col("high") < pl.max_horizontal("open", "close"))
        | (pl.col("start").shift(1).over("symbol") >= pl.col("start"))
        | ((pl.col("high") - close_before) > max_jump * close_before)
        | ((close_before - pl.col("low")) > max_jump * close_before)
        | (pl.col("start").dt.truncate("1m") != pl.col("start"))
    )
    return minutes.filter(could_be_wrong.fill_null(value=False)).select("symbol", "session").unique()


def without_faults(minutes: pl.DataFrame, days: Sequence[Session], max_jump: float) -> pl.DataFrame:
    """Rows of `in_session` that pass the bar checks, so that one bad print does not become a level.

    Whole columns first find the symbols' sessions in which anything could be wrong; only these are checked bar by bar,
    by the same checks as the session that is traded.
    """
    marked = minutes.with_row_index("row")
    suspects = suspect_sessions(marked, max_jump)
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
    """Mean cumulative volume by minute over each symbol's last sessions, and over how many of them (at most 20).

    minutes: rows of `in_session` of the sessions before the one asked for. length: minutes of that session. A session
    that was shorter keeps its total after its close.
    """
    of_session = minutes.select("symbol", "session").unique().sort("symbol", "session")
    last = of_session.group_by("symbol", maintain_order=True).tail(PROFILE_SESSIONS)
    summed = (
        minutes.join(last, on=["symbol", "session"], how="semi")
        .filter(pl.col("minute") < length)
        .group_by("symbol", "minute")
        .agg(pl.col("volume").sum())
        .sort("symbol", "minute")
    )
    counts = dict(last.group_by("symbol", maintain_order=True).len().iter_rows())
    found: dict[str, tuple[tuple[float, ...], int]] = {}
    for (symbol,), rows in summed.group_by("symbol", maintain_order=True):
        volumes = [0.0] * length
        for minute, volume in rows.select("minute", "volume").iter_rows():
            volumes[minute] = volume
        found[str(symbol)] = (_mean_cumulative(volumes, counts[symbol]), counts[symbol])
    return found


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
