"""Small random markets in files: stocks that open near their pivot in a calm, rising market, so that some break out.

Everything comes from the seed: prices, holes in the minutes, half days, a stock that does not trade, one without
history. The shape of the daily bars (a swing high not far above the last close) is what the rules look for.
"""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

INDEX: Final = "SPY"
DAYS_BEFORE: Final = 40


class Files(NamedTuple):
    bars: Path
    daily: Path | None
    sessions: list[Session]
    symbols: list[str]


class Row(NamedTuple):
    symbol: str
    timestamp: dt.datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


def write_market(seed: int, folder: Path, *, sessions: int, stocks: int) -> Files:
    """Write the two files of the market `seed` into `folder`."""
    chance = random.Random(seed)
    first = dt.date(2014, 11, 24) if chance.random() < 0.3 else dt.date(2015, 2, 2)  # 2014-11-28 is a half day
    start = calendar.sessions(first, first + dt.timedelta(days=20))[chance.randrange(5)]
    played = calendar.sessions(start.session, start.session + dt.timedelta(days=30))[:sessions]
    symbols = [INDEX, *(f"S{chr(65 + number)}" for number in range(stocks))]
    daily: list[tuple[str, dt.date, float, float, float, float, float]] = []
    minutes: list[Row] = []
    for symbol in symbols:
        if symbol != INDEX and chance.random() < 0.05:
            continue  # no history, no bars
        price = _days_before(chance, symbol, played[0], daily)
        for day in played:
            rows = list(_session(chance, symbol, day, price))
            minutes += rows
            if rows:
                price = rows[-1].close
                high, low = max(row.high for row in rows), min(row.low for row in rows)
                volume = sum(row.volume for row in rows)
                daily.append((symbol, day.session, rows[0].open, high, low, price, volume))
    bars_file, daily_file = folder / f"minutes-{seed}.parquet", folder / f"days-{seed}.parquet"
    names = ["symbol", "date", "open", "high", "low", "close", "volume"]
    pl.DataFrame(daily, schema=names, orient="row").write_parquet(daily_file)
    pl.DataFrame(minutes, orient="row").with_columns(pl.col("timestamp").dt.cast_time_unit("us")).write_parquet(
        bars_file
    )
    return Files(bars_file, daily_file, played, sorted({row.symbol for row in minutes}))


def _days_before(
    chance: random.Random,
    symbol: str,
    first: Session,
    out: list[tuple[str, dt.date, float, float, float, float, float]],
) -> float:
    """A rise to a swing high, a dip, and a return to just below it; returns the last close."""
    days = calendar.sessions(first.session - dt.timedelta(days=90), first.session - dt.timedelta(days=1))[-DAYS_BEFORE:]
    peak = round(chance.uniform(20, 200), 2)
    calm = symbol == INDEX and chance.random() < 0.8
    close = peak * 0.9
    for number, day in enumerate(days):
        left = len(days) - number
        aim = peak * (0.9 + 0.0025 * number) if calm else peak * (0.995 if left > 8 else 0.985 if left > 4 else 0.992)
        opened = close
        close = round(close + (aim - close) * 0.5, 2) if calm else round(aim * (1 + chance.gauss(0, 0.002)), 2)
        spread = peak * (0.004 if calm else chance.uniform(0.004, 0.012))
        high = round(peak if not calm and left == 8 else max(opened, close) + spread / 4, 2)
        low = round(min(opened, close) - spread / 2, 2)
        out.append(
            (symbol, day.session, opened, max(high, opened, close), low, close, float(chance.randrange(10**5, 10**6)))
        )
    return close


def _session(chance: random.Random, symbol: str, day: Session, price: float) -> list[Row]:
    """A walk with a drift of its own; minutes without a trade are left out, now and then a quarter of an hour."""
    drift, width = chance.choice([0.0, 0.00004, 0.00008, 0.0002, -0.0001]), chance.choice([0.0002, 0.0005, 0.001])
    holes = chance.choice([0.0, 0.0, 0.02, 0.3])
    silent = chance.randrange(day.minutes) if chance.random() < 0.3 else day.minutes
    if symbol != INDEX and chance.random() < 0.04:
        return []
    rows: list[Row] = []
    for minute in range(day.minutes):
        opened = round(price * (1 + chance.gauss(0, width / 2)), 2)
        price = round(opened * (1 + drift + chance.gauss(0, width)), 2)
        high = round(max(opened, price) * (1 + abs(chance.gauss(0, width / 2))), 2)
        low = round(min(opened, price) * (1 - abs(chance.gauss(0, width / 2))), 2)
        volume = float(chance.randrange(100, 60_000))
        if chance.random() >= holes and not silent <= minute < silent + 15:
            rows.append(Row(symbol, day.opens_at + minute * MINUTE, opened, high, low, price, volume))
    return rows
