"""A market in which something happens: for each seed a few stocks that break out, run, fail, fade and thin out.

Made for the simulation alone. It is no model of any market: a usual day of stocks trades nothing, and a simulation that
trades nothing proves nothing. Each symbol's day follows a script, drawn from the seed, around the levels that its
invented daily history gives it. The same seed, session and symbol give the same bars.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from services.market_data.source import Day, Halt, History, Revision, Row
from shared.contracts.market import Bar, DailyBar
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

INDEX: Final = "SPY"
SYMBOLS: Final = ("ARVO", "BELQ", "CYNT", "DORM", "ELVA", "FJRD")
FOREIGN: Final = "ZETA"
"""Trades like the others, and is on nobody's list: only a person buys it."""
HISTORY: Final = 40
USUAL_VOLUME: Final = 6_000.0

Waypoint = tuple[int, float]
"""Minute of the session, and a price in units of the day's levels: 0 is yesterday's close, 1 the pivot, 2 R1, 3 R2."""

SCRIPTS: Final[Mapping[str, tuple[Waypoint, ...]]] = {
    "run": ((0, 0.6), (20, 1.35), (45, 1.5), (80, 2.2), (115, 3.2), (150, 3.6), (180, 2.6)),
    "spike": ((0, 0.6), (20, 1.4), (34, 1.5), (45, 3.5), (60, 3.8), (75, 0.5)),
    "fail": ((0, 0.6), (20, 1.35), (40, 1.45), (55, -3.0), (80, -2.0)),
    "fade": ((0, 0.6), (20, 1.35), (40, 1.3), (55, 0.7), (100, 0.6)),
    "drop": ((0, 0.6), (20, 1.35), (38, 1.5), (52, 1.6), (54, -6.0), (80, -5.0)),
    "trim and back": ((0, 0.6), (20, 1.35), (45, 1.5), (70, 2.3), (90, 1.2), (120, 1.1)),
    "flat": ((0, 0.2), (60, 0.7), (120, 0.3)),
    "above": ((0, 1.6), (60, 1.9), (120, 1.4)),
}
"""What a symbol does from its start on; minutes are stretched by what the day draws."""
WEIGHTS: Final = (26, 12, 14, 14, 10, 14, 6, 4)


class Levels(Struct, frozen=True):
    """Dollars. spread: yesterday's high-low range, from which R1 and R2 follow."""

    close: float
    pivot: float
    spread: float

    def price(self, unit: float) -> float:
        """A script's unit in dollars."""
        if unit <= 1:
            return self.close + unit * (self.pivot - self.close)
        return self.pivot + (unit - 1) * self.spread / 2


class Character(Struct, frozen=True):
    """One seed's market. thin: share of time in which next to nothing trades. missing: of minutes without a bar."""

    thin: float
    missing: float
    halts: bool
    revisions: bool


class SimulatedMarket:
    """A `SessionSource` of services/market_data/source.py. first: the first session that is played."""

    def __init__(self, seed: int, first: dt.date, symbols: Sequence[str] = SYMBOLS) -> None:
        self._seed = seed
        self._first = first
        self._symbols = tuple(symbols)
        draws = self._draws("market")
        self._character = Character(
            thin=draws.choice((0.0, 0.1, 0.4, 0.7)),
            missing=draws.choice((0.0, 0.02, 0.1)),
            halts=draws.random() < 0.25,
            revisions=draws.random() < 0.3,
        )
        self._levels: dict[tuple[str, dt.date], Levels] = {}
        self._days: dict[tuple[str, dt.date], list[Bar]] = {}

    def universe(self) -> frozenset[str]:
        """The index and the seed's stocks."""
        return frozenset((INDEX, FOREIGN, *self._symbols))

    def day(self, session: Session, symbols: Collection[str] | None) -> Day:
        """The session's bars by minute, then by symbol."""
        wanted = sorted(self.universe() if symbols is None else self.universe() & set(symbols))
        rows: list[Row] = []
        revisions: list[Revision] = []
        halts: list[Halt] = []
        for symbol in wanted:
            draws = self._draws("gaps", session.session, symbol)
            stopped = self._halt(draws, session, symbol)
            halts += stopped
            silent = range(0)
            if stopped:
                silent = range(*((halt.at - session.opens_at) // MINUTE for halt in stopped))
            for minute, bar in enumerate(self._bars(session, symbol)):
                missing = draws.random() < self._character.missing
                if minute in silent or (missing and symbol != INDEX):
                    continue
                start = session.opens_at + minute * MINUTE
                rows.append(Row(start, bar))
                if self._character.revisions and draws.random() < 0.004:
                    close = round(bar.close * 1.001, 2)
                    better = Bar(symbol, bar.open, max(bar.high, close), bar.low, close, bar.volume)
                    revisions.append(Revision(min(start + 3 * MINUTE, session.closes_at), start, better))
        return Day(
            tuple(sorted(rows, key=lambda row: row.start)),
            tuple(sorted(revisions, key=lambda revision: revision.at)),
            tuple(sorted(halts, key=lambda halt: halt.at)),
        )

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        """Forty sessions that end at the close from which the session starts."""
        cumulative = tuple(USUAL_VOLUME * 0.2 * (minute + 1) for minute in range(session.minutes))
        return {
            symbol: History(tuple(self._daily(session, symbol)), cumulative, 20)
            for symbol in sorted(self.universe() & set(symbols))
        }

    def _daily(self, session: Session, symbol: str) -> list[DailyBar]:
        """Slowly rising days; six sessions ago the swing high that is the pivot, three ago the swing low."""
        levels = self._levels_of(session, symbol)
        first = calendar.previous(session.session, HISTORY).session
        days = calendar.sessions(first, session.session - dt.timedelta(days=1))
        found: list[DailyBar] = []
        for place, day in enumerate(days):
            ago = len(days) - place
            close = levels.close * (1 - 0.0004 * (ago - 1))
            high, low = close * 1.002, close * 0.992
            if ago == 6:
                high = levels.pivot
            elif ago == 3:
                low = levels.close * 0.982
            elif ago == 1:
                high = levels.close * 1.002
                low = high - levels.spread
            found.append(DailyBar(day.session, round(close * 0.999, 4), high, low, close, USUAL_VOLUME * 390))
        return found

    def _levels_of(self, session: Session, symbol: str) -> Levels:
        key = (symbol, session.session)
        if key not in self._levels:
            draws = self._draws("levels", session.session, symbol)
            if session.session <= self._first:
                close = round(draws.uniform(30, 170), 2)
            else:
                close = self._bars(calendar.previous(session.session), symbol)[-1].close
            close *= 1 + draws.gauss(0, 0.004)
            pivot = round(close * (1 + draws.uniform(0.0045, 0.008)), 2)
            self._levels[key] = Levels(close, pivot, close * draws.uniform(0.018, 0.03))
        return self._levels[key]

    def _bars(self, session: Session, symbol: str) -> list[Bar]:
        key = (symbol, session.session)
        if key not in self._days:
            draws = self._draws("bars", session.session, symbol)
            self._days[key] = self._calm(session, draws) if symbol == INDEX else self._scripted(session, symbol, draws)
        return self._days[key]

    def _calm(self, session: Session, draws: random.Random) -> list[Bar]:
        close = self._levels_of(session, INDEX).close
        return [_bar(INDEX, close, close * (1 + 0.00001), 1.0, USUAL_VOLUME, draws) for _ in range(session.minutes)]

    def _scripted(self, session: Session, symbol: str, draws: random.Random) -> list[Bar]:
        levels = self._levels_of(session, symbol)
        [name] = draws.choices(list(SCRIPTS), WEIGHTS)
        start, stretch = draws.randrange(0, session.minutes // 3), draws.uniform(0.9, 1.3)
        way = [(start + int(minute * stretch), levels.price(unit)) for minute, unit in SCRIPTS[name]]
        way = [(-1, levels.price(0.4)), *way, (session.minutes + 60, levels.price(draws.uniform(-1.0, 3.0)))]
        bars: list[Bar] = []
        last = levels.price(0.4)
        thin, until = False, 0
        for minute in range(session.minutes):
            close = _on_the_way(way, minute) * (1 + draws.gauss(0, 0.0005))
            if minute >= until:  # it comes in spells, so that an order may stay half filled
                thin, until = draws.random() < self._character.thin, minute + draws.randrange(1, 8)
            volume = draws.uniform(0, 150) if thin else USUAL_VOLUME * draws.uniform(0.5, 3)
            bars.append(_bar(symbol, last, close, draws.uniform(0.5, 2), volume, draws))
            last = bars[-1].close
        return bars

    def _halt(self, draws: random.Random, session: Session, symbol: str) -> list[Halt]:
        if not self._character.halts or symbol == INDEX or draws.random() > 0.3:
            return []
        first = draws.randrange(20, session.minutes - 60)
        again = first + draws.randrange(3, 25)
        return [
            Halt(session.opens_at + minute * MINUTE, symbol, halted=minute == first, code="LUDP")
            for minute in (first, again)
        ]

    def _draws(self, *names: object) -> random.Random:
        return random.Random(repr((self._seed, *map(str, names))))  # noqa: S311 - a market, not a secret


def _on_the_way(way: Sequence[Waypoint], minute: int) -> float:
    for (before, start), (after, end) in pairwise(way):
        if minute <= after:
            return start + (end - start) * (minute - before) / max(after - before, 1)
    return way[-1][1]


def _bar(symbol: str, last: float, close: float, wild: float, volume: float, draws: random.Random) -> Bar:
    last, close = round(last, 2), round(close, 2)
    wick = 0.0004 * wild * close
    high = round(max(last, close) + draws.random() * wick, 2)
    low = round(min(last, close) - draws.random() * wick, 2)
    return Bar(symbol, last, high, low, close, float(round(volume)))
