"""The synthetic market day by day: where each session opens and closes, how wild it is, how much is traded.

Every day of every symbol draws from a stream of its own, and what lasts over days (volatility, volume) is a sum over a
fixed number of earlier days' draws. So a day is the same whichever session is asked for and whatever symbols there are.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from functools import lru_cache
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.market_data import synthetic_figures as fig
from shared.domain import calendar
from shared.domain.calendar import Session

Floats = NDArray[np.float64]

FAST_DAYS: Final = 20
SLOW_DAYS: Final = 150
NORMALS: Final = 6
UNIFORMS: Final = 8


class Character(Struct, frozen=True):
    """What a symbol is like. price: dollars about 2020. sigma: of a usual day. own: its part beside the index's."""

    price: float
    beta: float
    sigma: float
    own: float
    shares: float


class Script(Struct, frozen=True):
    """What the day would do with a breakout, as numbers in [0, 1): whether, when, how long, and whether it lasts."""

    chance: float
    start: float
    minutes: float
    fails: float
    giving_back: float


class News(Struct, frozen=True):
    """Trading stops at the minute that lies `when` through the session; minutes 0: to the close. jump: log."""

    when: float
    minutes: int
    jump: float


class DayPlan(Struct, frozen=True):
    """One symbol's day before its minutes are known. Prices as logarithms, moves as log returns open to close."""

    session: Session
    log_open: float
    log_close: float
    index_move: float
    own_move: float
    index_sigma: float
    own_sigma: float
    shares: float
    beta: float
    script: Script
    news: News | None

    @property
    def sigma(self) -> float:
        """Of the whole open-to-close return, at the length of a full day."""
        return math.hypot(self.beta * self.index_sigma, self.own_sigma)


class _Year(Struct):
    """The year's days, their draws, and what the draws say before prices."""

    days: list[Session]
    normals: Floats
    gaps: Floats
    uniforms: Floats


class Days:
    """All days of one seed. index: the symbol that is the market itself."""

    def __init__(self, seed: int, index: str = "SPY") -> None:
        self.seed = seed
        self.index = index
        self._plans: dict[tuple[str, int], dict[dt.date, DayPlan]] = {}
        self._draws: dict[tuple[str, int], _Year] = {}
        self._index_years: dict[int, tuple[Floats, Floats, Floats]] = {}

    def plan(self, symbol: str, session: dt.date) -> DayPlan:
        """The plan of one session. Raises KeyError for a day that is none."""
        key = (symbol, session.year)
        if key not in self._plans:
            self._plans[key] = self._plans_of(symbol, session.year)
        return self._plans[key][session]

    def outage(self, day: Session) -> range:
        """Minutes that the vendor loses for every symbol; mostly none."""
        draws = stream(self.seed, "market", day.session.isoformat()).random(3)
        probability, shortest, longest = fig.OUTAGE
        if draws[0] >= probability:
            return range(0)
        minutes = shortest + int(draws[1] * (longest - shortest + 1))
        start = int(draws[2] * (day.minutes - minutes))
        return range(start, start + minutes)

    @lru_cache(maxsize=4096)  # noqa: B019 - one instance for the life of a source
    def character(self, symbol: str) -> Character:
        """The symbol's nature: a draw of its name, except for the index."""
        if symbol == self.index:
            return Character(fig.INDEX_PRICE, 1.0, fig.INDEX_SIGMA, 0.0, fig.INDEX_SHARES)
        price, sigma, shares, beta = stream(self.seed, "symbol", symbol).random(4)
        low, high = fig.STOCK_BETA
        total, weight = _between(fig.STOCK_SIGMA, sigma), low + (high - low) * beta
        own = math.sqrt(max(total**2 - (weight * fig.INDEX_SIGMA) ** 2, (fig.OWN_FLOOR * total) ** 2))
        return Character(_between(fig.STOCK_PRICE, price), weight, total, own, _between(fig.STOCK_SHARES, shares))

    def _plans_of(self, symbol: str, year: int) -> dict[dt.date, DayPlan]:
        nature, draws = self.character(symbol), self._year(symbol, year)
        index_sigma, index_move, index_gap = self._index_year(year)
        length = np.array([day.minutes / fig.MINUTES for day in draws.days])
        if symbol == self.index:
            own_sigma = own_move = np.zeros(len(draws.days))
            gap = index_gap.copy()
        else:
            own_sigma = nature.own * np.exp(
                self._lasting(symbol, year, 1, fig.STOCK_FAST, FAST_DAYS)
                + self._lasting(symbol, year, 2, fig.STOCK_SLOW, SLOW_DAYS)
            )
            own_move = own_sigma * np.sqrt(length) * draws.normals[:, 0]
            scale, freedom = fig.STOCK_GAP
            gap = nature.beta * index_gap + scale * own_sigma * unit_t(draws.gaps, freedom)
            probability, deviation = fig.EARNINGS
            gap = gap + np.where(draws.uniforms[:, 0] < probability, deviation * draws.normals[:, 4], 0.0)
        sigma = np.sqrt((nature.beta * index_sigma) ** 2 + own_sigma**2)
        shares = nature.shares * length * np.exp(self._lasting(symbol, year, 3, fig.DAY_VOLUME, FAST_DAYS))
        shares = shares * (sigma / nature.sigma) ** fig.VOLUME_OF_VOLATILITY
        news = [_news(draws, place) for place in range(len(draws.days))] if symbol != self.index else []
        move = nature.beta * index_move + own_move
        for place, item in enumerate(news):
            if item is not None and item.minutes:
                move[place] += item.jump
            elif item is not None and place + 1 < len(gap):
                gap[place + 1] += item.jump
        log_open = self._openings(symbol, year, gap, move)
        return {
            day.session: DayPlan(
                session=day,
                log_open=float(log_open[place]),
                log_close=float(log_open[place] + move[place]),
                index_move=float(index_move[place]),
                own_move=float(own_move[place]),
                index_sigma=float(index_sigma[place]),
                own_sigma=float(own_sigma[place]),
                shares=float(shares[place]),
                beta=nature.beta,
                script=Script(*(float(number) for number in draws.uniforms[place, 1:6])),
                news=news[place] if news else None,
            )
            for place, day in enumerate(draws.days)
        }

    def _openings(self, symbol: str, year: int, gap: Floats, move: Floats) -> Floats:
        """Log prices at the openings: the year's days lead from one turn of the year to the next."""
        start, end = self._turn(symbol, year), self._turn(symbol, year + 1)
        way = np.cumsum(gap + move)
        gap = gap + (end - start - way[-1]) / len(gap)
        closes = start + np.cumsum(gap + move)
        openings: Floats = closes - move
        return openings

    def _turn(self, symbol: str, year: int) -> float:
        noise = fig.YEAR_NOISE[0] if symbol == self.index else fig.YEAR_NOISE[1]
        drawn = float(stream(self.seed, "year", symbol, year).standard_normal())
        return math.log(self.character(symbol).price) + fig.YEAR_TREND * (year - fig.BASE_YEAR) + noise * drawn

    def _index_year(self, year: int) -> tuple[Floats, Floats, Floats]:
        """Sigma, open-to-close move and overnight gap of the index, by day."""
        if year not in self._index_years:
            draws, symbol = self._year(self.index, year), self.index
            sigma = fig.INDEX_SIGMA * np.exp(
                self._lasting(symbol, year, 1, fig.INDEX_FAST, FAST_DAYS, leverage=fig.LEVERAGE)
                + self._lasting(symbol, year, 2, fig.INDEX_SLOW, SLOW_DAYS, leverage=fig.LEVERAGE)
            )
            length = np.array([day.minutes / fig.MINUTES for day in draws.days])
            scale, freedom = fig.INDEX_GAP
            gap = scale * sigma * unit_t(draws.gaps, freedom)
            self._index_years[year] = (sigma, sigma * np.sqrt(length) * draws.normals[:, 0], gap)
        return self._index_years[year]

    def _lasting(
        self, symbol: str, year: int, column: int, ar: tuple[float, float], days: int, leverage: float = 0.0
    ) -> Floats:
        """AR(1) as the sum over the last `days` days' shocks, each with its weight, for every day of the year."""
        before, this = self._year(symbol, year - 1), self._year(symbol, year)
        normals = np.concatenate([before.normals, this.normals])
        shocks = normals[:, column]
        if leverage:
            yesterday = np.concatenate([[0.0], normals[:-1, 0]])
            shocks = leverage * yesterday + math.sqrt(1 - leverage**2) * shocks
        coefficient, deviation = ar
        first, total = len(before.days), np.zeros(len(this.days))
        for lag in range(days):
            total = total + coefficient**lag * shocks[first - lag : len(shocks) - lag]
        lasting: Floats = deviation * math.sqrt(1 - coefficient**2) * total
        return lasting

    def _year(self, symbol: str, year: int) -> _Year:
        key = (symbol, year)
        if key not in self._draws:
            days = calendar.sessions(dt.date(year, 1, 1), dt.date(year, 12, 31))
            normals, gaps = np.empty((len(days), NORMALS)), np.empty(len(days))
            uniforms = np.empty((len(days), UNIFORMS))
            freedom = fig.INDEX_GAP[1] if symbol == self.index else fig.STOCK_GAP[1]
            for place, day in enumerate(days):
                draws = stream(self.seed, "day", symbol, day.session.isoformat())
                normals[place] = draws.standard_normal(NORMALS)
                uniforms[place] = draws.random(UNIFORMS)
                gaps[place] = draws.standard_t(freedom)
            self._draws[key] = _Year(days, normals, gaps, uniforms)
        return self._draws[key]


def stream(seed: int, *key: str | int) -> np.random.Generator:
    """The stream of random numbers that belongs to `key` alone."""
    digest = hashlib.sha256(repr((seed, *key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8])))


def unit_t(values: Floats, freedom: float) -> Floats:
    """Student's t scaled to variance 1."""
    scaled: Floats = values * math.sqrt((freedom - 2) / freedom)
    return scaled


def _news(draws: _Year, place: int) -> News | None:
    if draws.uniforms[place, 6] >= fig.NEWS_PROBABILITY:
        return None
    # One uniform serves twice: its place among the lengths, and what is left of it for the time.
    length, when = divmod(float(draws.uniforms[place, 7]) * len(fig.NEWS_MINUTES), 1.0)
    return News(when, fig.NEWS_MINUTES[int(length)], fig.NEWS_GAP * float(draws.normals[place, 5]))


def _between(bounds: tuple[float, float], place: float) -> float:
    low, high = bounds
    return low * math.exp(place * math.log(high / low))
