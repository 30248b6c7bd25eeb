"""Makes and remembers the sessions of synthetic symbols; several days at once, whole columns at a time.

What a session needs of the past (a swing high for its scripted breakout) is taken from the days as they are without
scripts, so that no day depends on more than the sixty before it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.market_data import synthetic_events as happens
from services.market_data import synthetic_figures as fig
from services.market_data import synthetic_minutes as minutes
from services.market_data.synthetic_days import DayPlan, Days, Floats
from services.market_data.synthetic_events import Breakouts, Events, Pairs
from services.market_data.synthetic_minutes import Draws, Factor, Truths
from shared.contracts.market import DailyBar
from shared.domain import calendar
from shared.domain.calendar import Session

PAUSE: Final = "LUDP"
NEWS: Final = "T1"
MARKET: Final = "MWC1"
DAYS_AT_ONCE: Final = 128
"""Enough for whole columns to be fast, few enough to need little memory."""


class MadeDay(Struct):
    """One symbol's session by minute: dollars and shares; `present`: there is a bar.

    chances: two uniforms a minute, for bad ticks and revisions. halts: reason code, first minute without trading,
    first minute with trading again.
    """

    session: Session
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    present: Truths
    chances: Floats
    halts: list[tuple[str, int, int]]


class PastDay(Struct, frozen=True):
    """What is kept of a session that is history. daily: None where nothing traded. volume: shares by minute."""

    daily: DailyBar | None
    volume: NDArray[np.int32]


class _Batch(Struct):
    """Days of one symbol being made. high, low: log extremes of each minute."""

    symbol: str
    plans: list[DayPlan]
    draws: Draws
    returns: Factor
    opens: Floats
    path: Floats
    halts: list[list[tuple[str, int, int]]]

    @property
    def starts(self) -> Floats:
        """Log price at the start of each minute."""
        return np.vstack([self.opens, self.path[:-1]])

    def open_below(self, place: int, level: float, sigmas: float) -> DayPlan:
        """Move a whole day so that it opens `sigmas` day's sigmas below `level`, dollars; the next day stays."""
        plan = self.plans[place]
        shift = math.log(level) - sigmas * plan.sigma - plan.log_open
        self.opens[place] += shift
        self.path[:, place] += shift
        return msgspec.structs.replace(plan, log_open=plan.log_open + shift, log_close=plan.log_close + shift)

    def extremes(self) -> tuple[Floats, Floats]:
        return minutes.extremes(self.starts, self.path, self.returns.sigmas, self.draws)


class Market:
    """One seed's market. index: the symbol that is the market itself."""

    def __init__(self, seed: int, index: str, breakouts: Breakouts, events: Events) -> None:
        self.index = index
        self._seed = seed
        self._days = Days(seed, index)
        self._breakouts = breakouts
        self._events = events
        self._made: dict[tuple[str, dt.date], MadeDay] = {}
        self._past: dict[tuple[str, dt.date], PastDay] = {}
        self._base_highs: dict[tuple[str, dt.date], float] = {}
        self._index_returns: dict[dt.date, tuple[Floats, Floats]] = {}
        self._market_halts: dict[dt.date, Pairs] = {}
        self._outages: dict[dt.date, range] = {}

    def made(self, symbol: str, days: Sequence[Session]) -> list[MadeDay]:
        """The sessions of `symbol` minute by minute, made now where they were not before."""
        self._make(symbol, [day for day in days if (symbol, day.session) not in self._made], whole=True)
        return [self._made[symbol, day.session] for day in days]

    def past(self, symbol: str, days: Sequence[Session]) -> list[PastDay]:
        """The sessions of `symbol` as history knows them: the same days, a twentieth of the memory."""
        self._make(symbol, [day for day in days if (symbol, day.session) not in self._past], whole=False)
        return [self._past[symbol, day.session] for day in days]

    def _make(self, symbol: str, days: Sequence[Session], *, whole: bool) -> None:
        for first in range(0, len(days), DAYS_AT_ONCE):
            self._make_some(symbol, days[first : first + DAYS_AT_ONCE], whole=whole)

    def _make_some(self, symbol: str, new: Sequence[Session], *, whole: bool) -> None:
        scripted = {day.session for day in new if self._may_break_out(symbol, day)}
        wanted = {day.session: day for day in new}
        for day in new:
            if day.session in scripted:
                for earlier in _sessions_before(day, fig.LEVEL_SESSIONS):
                    if (symbol, earlier.session) not in self._base_highs:
                        wanted[earlier.session] = earlier
        batch = self._batch(symbol, [wanted[date] for date in sorted(wanted)])
        high, low = batch.extremes()
        for place, plan in enumerate(batch.plans):
            length = plan.session.minutes
            self._base_highs[symbol, plan.session.session] = float(np.exp(high[:length, place].max()))
        if self._break_out(batch, scripted):
            high, low = batch.extremes()
        for made in self._finished(batch, {day.session for day in new}, high, low):
            key = (symbol, made.session.session)
            self._past[key] = _as_history(made)
            if whole:
                self._made[key] = made

    def _batch(self, symbol: str, days: list[Session]) -> _Batch:
        plans = [self._days.plan(symbol, day.session) for day in days]
        draws = minutes.draw(self._seed, symbol, plans, fig.INNOVATION[0 if symbol == self.index else 1])
        returns = self._returns(symbol, plans, draws)
        opens = np.array([plan.log_open for plan in plans])
        path = opens + np.cumsum(returns.moves, axis=0)
        batch = _Batch(symbol, plans, draws, returns, opens, path, [[] for _ in days])
        for place in range(len(days)):
            self._stop_trading(batch, place)
        return batch

    def _returns(self, symbol: str, plans: list[DayPlan], draws: Draws) -> Factor:
        """The index's returns, or the stock's: its share of the index's and its own."""
        index = self._index_factor([plan.session for plan in plans])
        if symbol == self.index:
            return index
        sigma = np.array([plan.own_sigma for plan in plans])
        own = minutes.factor(draws, plans, sigma, np.array([plan.own_move for plan in plans]))
        beta = plans[0].beta
        return Factor(beta * index.moves + own.moves, np.sqrt((beta * index.sigmas) ** 2 + own.sigmas**2))

    def _index_factor(self, days: list[Session]) -> Factor:
        new = [day for day in days if day.session not in self._index_returns]
        if new:
            plans = [self._days.plan(self.index, day.session) for day in new]
            draws = minutes.draw(self._seed, self.index, plans, fig.INNOVATION[0])
            sigma = np.array([plan.index_sigma for plan in plans])
            made = minutes.factor(draws, plans, sigma, np.array([plan.index_move for plan in plans]))
            for place, day in enumerate(new):
                self._index_returns[day.session] = (made.moves[:, place].copy(), made.sigmas[:, place].copy())
        columns = [self._index_returns[day.session] for day in days]
        return Factor(np.stack([one for one, _ in columns], axis=1), np.stack([two for _, two in columns], axis=1))

    def _stop_trading(self, batch: _Batch, place: int) -> None:
        """News, limit pauses and market-wide halts; prices move on behind them."""
        plan, column = batch.plans[place], batch.path[:, place]
        if self._events.news:
            column, pairs = happens.stop_for_news(column, plan)
            batch.halts[place] += [(NEWS, first, again) for first, again in pairs]
        if self._events.halts:
            if batch.symbol != self.index:
                before = np.concatenate([[batch.opens[place]], column[:-1]])
                variance = batch.returns.sigmas[:, place] ** 2
                gaps = batch.draws.halts[:, place]
                column, pairs = happens.pause_wild_moves(column, before, plan, variance, gaps)
                batch.halts[place] += [(PAUSE, first, again) for first, again in pairs]
            batch.halts[place] += [(MARKET, first, again) for first, again in self._market_halt(plan.session)]
        batch.path[:, place] = column

    def _market_halt(self, day: Session) -> Pairs:
        """Where all trading stops on `day`; its index's minutes are made already."""
        if day.session not in self._market_halts:
            plan = self._days.plan(self.index, day.session)
            yesterday = self._days.plan(self.index, calendar.previous(day.session).session)
            path = plan.log_open + np.cumsum(self._index_returns[day.session][0])
            self._market_halts[day.session] = happens.market_halt(path, yesterday.log_close, plan)
        return self._market_halts[day.session]

    def _may_break_out(self, symbol: str, day: Session) -> bool:
        if symbol == self.index:
            return False
        return self._breakouts.may_happen(self._days.plan(symbol, day.session))

    def _break_out(self, batch: _Batch, scripted: set[dt.date]) -> bool:
        """Bend the paths of the days that have a breakout; whether there was any."""
        bent = False
        for place, plan in enumerate(batch.plans):
            if plan.session.session in scripted and (level := self._level(batch.symbol, plan.session)) is not None:
                if self._breakouts.opening is not None:
                    plan = batch.open_below(place, level, self._breakouts.opening)
                    bent = True
                column = batch.path[:, place]
                lifted = happens.break_out(column, plan, level, self._breakouts)
                if lifted is not column:
                    batch.path[:, place] = lifted
                    bent = True
        return bent

    def _level(self, symbol: str, day: Session) -> float | None:
        earlier = _sessions_before(day, fig.LEVEL_SESSIONS)
        return happens.swing_high([round(self._base_highs[symbol, before.session], 2) for before in earlier])

    def _finished(self, batch: _Batch, wanted: set[dt.date], high: Floats, low: Floats) -> Iterator[MadeDay]:
        noise = fig.QUOTE_NOISE * batch.returns.sigmas
        open_ = np.exp(batch.starts + noise * batch.draws.normals[4])
        close = np.exp(batch.path + noise * batch.draws.normals[5])
        highest = np.round(np.maximum(np.exp(high), np.maximum(open_, close)), 2)
        lowest = np.round(np.minimum(np.exp(low), np.minimum(open_, close)), 2)
        open_, close = np.round(open_, 2), np.round(close, 2)
        volume = minutes.volumes(batch.draws, batch.plans, batch.returns.moves, batch.returns.sigmas)
        present = self._present(batch, volume)
        volume[~present] = 0.0
        for place, plan in enumerate(batch.plans):
            if plan.session.session in wanted:
                made = MadeDay(
                    session=plan.session,
                    open=open_[:, place].copy(),
                    high=highest[:, place].copy(),
                    low=lowest[:, place].copy(),
                    close=close[:, place].copy(),
                    volume=volume[:, place].copy(),
                    present=present[:, place].copy(),
                    chances=batch.draws.uniforms[3:5, :, place].copy(),
                    halts=batch.halts[place],
                )
                if self._events.flat_halts:
                    _flatten_halts(made)
                yield made

    def _present(self, batch: _Batch, volume: Floats) -> Truths:
        """Where there is a bar: in the session, not halted, not lost by the vendor, and traded at all."""
        present: Truths = volume > 0
        if self._events.missing:
            present &= batch.draws.uniforms[2] >= np.exp(-volume / fig.TRADED_SHARES)
        for place, plan in enumerate(batch.plans):
            present[plan.session.minutes :, place] = False
            for _, first, again in batch.halts[place]:
                present[first:again, place] = False
            if self._events.outages and (lost := self._outage(plan.session)):
                present[lost.start : lost.stop, place] = False
        return present

    def _outage(self, day: Session) -> range:
        if day.session not in self._outages:
            self._outages[day.session] = self._days.outage(day)
        return self._outages[day.session]


def _as_history(made: MadeDay) -> PastDay:
    """The day as its true bars add up."""
    traded = np.nonzero(made.present)[0]
    daily = None
    if len(traded):
        daily = DailyBar(
            made.session.session,
            float(made.open[traded[0]]),
            float(made.high[traded].max()),
            float(made.low[traded].min()),
            float(made.close[traded[-1]]),
            float(np.cumsum(made.volume)[-1]),
        )
    return PastDay(daily, made.volume.astype(np.int32))


def _flatten_halts(made: MadeDay) -> None:
    """Bars without volume at the last price, as some vendors show a halt."""
    for _, first, again in made.halts:
        before = np.nonzero(made.present[:first])[0]
        if len(before):
            last = made.close[before[-1]]
            for column in (made.open, made.high, made.low, made.close):
                column[first:again] = last
            made.present[first:again] = True


def _sessions_before(day: Session, count: int) -> list[Session]:
    first = calendar.previous(day.session, count).session
    return calendar.sessions(first, day.session - dt.timedelta(days=1))
