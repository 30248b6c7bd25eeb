"""The rule that every peer plays, and the bars it is played on.

Of each symbol and session: two ten-minute closes in a row, the first above the session before's high and the second
not below it, the second between 09:45 and 15:30: buy one share at the next minute's open, once a session; sell at the
open of the session's last minute. A ten-minute close is that of the minute that ends it; where that minute is missing
there is none. No costs.

It is the entry rule of docs/strategy.md section 4 with another level, and no more than that: no sizes, stops, trims,
limits, exchange or ledger, which peers would each have in their own way. Our engine cannot leave those away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

SPAN: Final = 10
FIRST, LAST = 15, 360
"""Minutes after the opening within which the second bar must end: 09:45 to 15:30."""

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Bars(NamedTuple):
    """One symbol's minutes. minute: after the opening, 0 first. day: number of the session. level: dollars, or nan.

    leaves: the minute before the session's last one.
    """

    symbol: str
    time: npt.NDArray[np.datetime64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    day: Numbers
    minute: Numbers
    level: Floats
    leaves: Flags


class Result(NamedTuple):
    """profit: dollars a share, summed. seconds: of the processor, without reading."""

    trades: int
    profit: float
    seconds: float


def read(file: Path) -> list[Bars]:
    """The file's regular sessions by symbol; sessions open at their first bar, which in this file is 09:30."""
    date, first = pl.col("timestamp").dt.date(), pl.col("timestamp").min().over("symbol", "date")
    frame = (
        pl.read_parquet(file)
        .sort("symbol", "timestamp")
        .with_columns(date=date)
        .with_columns(
            minute=(pl.col("timestamp") - first).dt.total_minutes(),
            day=pl.col("date").rank("dense").over("symbol").cast(pl.Int64) - 1,
        )
        .with_columns(
            leaves=pl.col("timestamp") == pl.col("timestamp").sort().get(-2).over("symbol", "date"),
        )
    )
    highs = frame.group_by("symbol", "day").agg(level=pl.col("high").max()).with_columns(pl.col("day") + 1)
    frame = frame.join(highs, on=["symbol", "day"], how="left", maintain_order="left")
    return [_bars(str(symbol), group) for (symbol,), group in frame.group_by("symbol", maintain_order=True)]


def _bars(symbol: str, group: pl.DataFrame) -> Bars:
    open_, high, low, close, volume = (
        group[name].cast(pl.Float64).to_numpy() for name in ("open", "high", "low", "close", "volume")
    )
    return Bars(
        symbol=symbol,
        time=group["timestamp"].dt.replace_time_zone(None).to_numpy(),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        day=group["day"].to_numpy(),
        minute=group["minute"].to_numpy(),
        level=group["level"].fill_null(float("nan")).to_numpy(),
        leaves=group["leaves"].to_numpy(),
    )


def confirmations(bars: Bars) -> Flags:
    """Minutes at whose close a share is bought, all at once: for those who think in columns."""
    ends = np.flatnonzero((bars.minute + 1) % SPAN == 0)
    close, level, minute, day = bars.close[ends], bars.level[ends], bars.minute[ends], bars.day[ends]
    held = np.zeros(len(ends), dtype=bool)
    adjacent = (minute[1:] == minute[:-1] + SPAN) & (day[1:] == day[:-1])
    in_time = (minute[1:] + 1 >= FIRST) & (minute[1:] + 1 <= LAST)
    held[1:] = adjacent & in_time & (close[:-1] > level[:-1]) & (close[1:] >= level[1:])
    found = ends[held]
    _, first = np.unique(bars.day[found], return_index=True)
    flags = np.zeros(len(bars.close), dtype=bool)
    flags[found[first]] = True
    return flags


def by_numpy(market: list[Bars]) -> tuple[int, float]:
    """Trades and profit, worked out without any engine: what every peer must come to."""
    trades, profit = 0, 0.0
    for bars in market:
        bought = np.flatnonzero(confirmations(bars))
        sold = {int(bars.day[place]): int(place) for place in np.flatnonzero(bars.leaves)}
        for place in bought:
            leave = sold[int(bars.day[place])]
            if place < leave:
                trades += 1
                profit += float(bars.open[leave + 1] - bars.open[place + 1])
    return trades, profit


class Watcher:
    """The rule one bar after the other: for those who think in bars."""

    def __init__(self) -> None:
        self._day = -1
        self._minute = 0
        self._before = 0.0
        self._done = False

    def confirms(self, day: int, minute: int, close: float, level: float) -> bool:
        """Whether a share is bought after this bar."""
        if day != self._day:
            self._day, self._minute, self._done = day, -SPAN * 2, False
        if (minute + 1) % SPAN:
            return False
        adjacent, broke = minute == self._minute + SPAN, self._before > level
        self._minute, self._before = minute, close
        if self._done or not (adjacent and broke and close >= level and FIRST <= minute + 1 <= LAST):
            return False
        self._done = True
        return True
