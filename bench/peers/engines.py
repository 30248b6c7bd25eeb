"""The rule in each peer's own terms. Imported in the peers' environment alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from bench.peers.rule import Bars, Result, Watcher, by_numpy, confirmations

CASH: Final = 1_000_000.0


def numpy_alone(market: list[Bars]) -> Result:
    started = time.process_time()
    trades, profit = by_numpy(market)
    return Result(trades, profit, time.process_time() - started)


def backtesting_py(market: list[Bars]) -> Result:
    """One run a symbol: it knows one symbol at a time."""
    from backtesting import Backtest, Strategy  # type: ignore[import-not-found,unused-ignore]

    class Breakout(Strategy):  # type: ignore[misc,unused-ignore]
        def init(self) -> None:
            self.watcher = Watcher()

        def next(self) -> None:
            data = self.data
            day, minute, level = int(data.Day[-1]), int(data.Minute[-1]), data.Level[-1]
            if data.Leaves[-1]:
                self.position.close()
            elif self.watcher.confirms(day, minute, data.Close[-1], level):
                self.buy(size=1)

    trades, profit, seconds = 0, 0.0, 0.0
    for bars in market:
        frame = _frame(bars)
        started = time.process_time()
        stats = Backtest(frame, Breakout, cash=CASH, finalize_trades=True).run()
        seconds += time.process_time() - started
        trades += len(stats["_trades"])
        profit += float(stats["_trades"]["PnL"].sum())
    return Result(trades, profit, seconds)


def backtrader(market: list[Bars]) -> Result:
    """One run a symbol: with several, a minute that one of them lacks shifts its orders."""
    import backtrader as bt  # type: ignore[import-not-found,unused-ignore]

    class Feed(bt.feeds.PandasData):  # type: ignore[misc,unused-ignore]
        lines = ("day", "minute", "level", "leaves")
        params = tuple((name, name.capitalize()) for name in lines)

    class Breakout(bt.Strategy):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.watcher = Watcher()
            self.trades, self.profit = 0, 0.0

        def next(self) -> None:
            data = self.data
            day, minute, level = int(data.day[0]), int(data.minute[0]), data.level[0]
            if data.leaves[0]:
                if self.position.size:
                    self.close()
            elif self.watcher.confirms(day, minute, data.close[0], level):
                self.buy(size=1)

        def notify_trade(self, trade: Any) -> None:
            if trade.isclosed:
                self.trades += 1
                self.profit += trade.pnl

    trades, profit, seconds = 0, 0.0, 0.0
    for bars in market:
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.broker.setcash(CASH)
        cerebro.adddata(Feed(dataname=_frame(bars)))
        cerebro.addstrategy(Breakout)
        started = time.process_time()
        [played] = cerebro.run()
        seconds += time.process_time() - started
        trades += played.trades
        profit += played.profit
    return Result(trades, profit, seconds)


def vectorbt(market: list[Bars]) -> Result:
    """Columns of signals; warm: the first run compiles, and is not counted."""
    import vectorbt as vbt  # type: ignore[import-not-found,unused-ignore]

    def play() -> tuple[int, float]:
        trades, profit = 0, 0.0
        for bars in market:
            buys = np.roll(confirmations(bars), 1)  # filled one minute later, at its open
            sells = np.roll(bars.leaves, 1)
            portfolio = vbt.Portfolio.from_signals(
                bars.close, entries=buys & ~sells, exits=sells, price=bars.open, size=1.0, init_cash=CASH, freq="1min"
            )
            trades += int(portfolio.trades.count())
            profit += float(portfolio.trades.pnl.sum())
        return trades, profit

    play()
    started = time.process_time()
    trades, profit = play()
    return Result(trades, profit, time.process_time() - started)


ENGINES: Final[Mapping[str, Callable[[list[Bars]], Result]]] = {
    "numpy alone": numpy_alone,
    "backtrader": backtrader,
    "backtesting.py": backtesting_py,
    "vectorbt": vectorbt,
}


def _frame(bars: Bars) -> pd.DataFrame:
    columns = {
        "Open": bars.open,
        "High": bars.high,
        "Low": bars.low,
        "Close": bars.close,
        "Volume": bars.volume,
        "Day": bars.day,
        "Minute": bars.minute,
        "Level": bars.level,
        "Leaves": bars.leaves.astype(float),
    }
    return pd.DataFrame(columns, index=pd.DatetimeIndex(bars.time))
