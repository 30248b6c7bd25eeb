"""The figures of the synthetic market, and what they say. They were fitted on real one-minute bars of 2014 to 2026.

Volatility and volume are natural logarithms' standard deviations unless a name says otherwise; "unit t(n)" is Student's
t with n degrees of freedom scaled to variance 1. A *day's sigma* is the standard deviation of its open-to-close return.
"""

from __future__ import annotations

from typing import Final

MINUTES: Final = 390

# The index: one factor that moves everything.
INDEX_SIGMA: Final = 0.0068  # a usual day's sigma of SPY
INDEX_FAST: Final = (0.60, 0.20)  # log volatility: AR(1) coefficient, stationary deviation
INDEX_SLOW: Final = (0.97, 0.24)
LEVERAGE: Final = -0.45  # correlation of the volatility shock with the index's return of the day before
INDEX_GAP: Final = (0.75, 3.5)  # overnight gap: times the day's sigma, degrees of freedom of its unit t
INDEX_PRICE: Final = 450.0  # dollars, about 2020
INDEX_SHARES: Final = 70e6  # a usual day

# A stock: its share of the index, and a life of its own.
STOCK_FAST: Final = (0.60, 0.16)
STOCK_SLOW: Final = (0.97, 0.20)
STOCK_GAP: Final = (0.50, 3.0)
OWN_FLOOR: Final = 0.15  # its own sigma is at least this share of its whole one
EARNINGS: Final = (1 / 63, 0.045)  # probability a session, deviation of the gap
STOCK_PRICE: Final = (20.0, 320.0)  # dollars; each stock draws its place between, by ratio
STOCK_SIGMA: Final = (0.008, 0.0155)
STOCK_BETA: Final = (0.6, 1.5)
STOCK_SHARES: Final = (1.5e6, 40e6)

# Shares traded in a day.
DAY_VOLUME: Final = (0.55, 0.30)  # log volume: AR(1) coefficient, stationary deviation
VOLUME_OF_VOLATILITY: Final = 0.6  # power of (the day's sigma / the usual one)

# Where a price stands at the turn of each year; within the year its days add up to the way from one to the next, so
# that any date can be had without making all days since the beginning.
YEAR_TREND: Final = 0.06
YEAR_NOISE: Final = (0.10, 0.22)  # of the index, of a stock
BASE_YEAR: Final = 2020

# Inside the day: a + b exp(-m/t1) + c exp(-(389-m)/t2) at minute m.
VOLATILITY_SHAPE: Final = (0.68, 1.40, 55.0, 0.35, 20.0)
VOLATILITY_SLOW: Final = (0.985, 0.22)
VOLATILITY_FAST: Final = (0.75, 0.34)
VOLATILITY_LEVEL: Final = -0.08  # keeps the mean of the exponential near 1
INNOVATION: Final = (9, 8)  # degrees of freedom of a minute's unit t: index, stock
VOLUME_SHAPE: Final = (0.60, 1.80, 50.0, 1.90, 22.0)
AUCTION_MINUTES: Final = 9.0  # first and last minute trade this many times the mean minute
VOLUME_SLOW: Final = (0.88, 0.45)
VOLUME_WHITE: Final = 0.50
VOLUME_OF_MOVE: Final = (0.40, 4.0, 0.8)  # 0.40 x (min(|z|, 4) - 0.8), z = the minute's return / its sigma
VOLUME_LEVEL: Final = -0.25
QUOTE_NOISE: Final = 0.20  # open and close lie beside the true price: times the minute's sigma
WICK_STEPS: Final = 12  # a minute's extremes are those of a path of this many trades
TRADED_SHARES: Final = 450.0  # a minute is missing with probability exp(-shares / this)

# Events.
BREAKOUT_REACH: Final = 1.2  # the level lies at most this many day's sigmas above the opening
BREAKOUT_BEYOND: Final = 0.35  # the drift ends this many sigmas above the level
BREAKOUT_START: Final = (35, 270)  # minute of the session
BREAKOUT_MINUTES: Final = (25, 80)
BREAKOUT_FAILS: Final = 0.40  # share of them that give back ...
BREAKOUT_GIVES_BACK: Final = (0.6, 20, 80)  # ... this many sigmas within 20 to 80 minutes
BREAKOUT_HOLDS: Final = -0.25  # the others need a day that closes at least here, sigmas from the level
LEVEL_SESSIONS: Final = 60  # sessions in which the level, a swing high, is looked for
LULD_MOVE: Final = 0.05  # in five minutes; 10 % below 3 dollars; doubled in the first 15 and last 25 minutes
LULD_CHEAP: Final = (3.0, 0.10)
LULD_WIDE: Final = (15, 25)
LULD_MINUTES: Final = 5
LULD_GAP: Final = 0.015
NEWS_PROBABILITY: Final = 1e-4
NEWS_GAP: Final = 0.15
NEWS_MINUTES: Final = (5, 10, 20, 60, 0)  # 0: to the close, then the gap comes over night
MARKET_FALL: Final = 0.07  # from the close before, until 15:25
MARKET_MINUTES: Final = 15
MARKET_LAST: Final = 355
OUTAGE: Final = (0.02, 30, 35)  # probability a session, minutes that every symbol loses
BAD_TICK: Final = (1 / 230_000, 30.0)  # probability a bar; its low or high is off by this factor
REVISED: Final = 0.0002  # probability a bar
REVISED_AFTER_MINUTES: Final = 2
