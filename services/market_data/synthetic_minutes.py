"""The synthetic market minute by minute: whole days at once, one column a day, one row a minute.

A day's plan fixes where it opens and closes. Its minutes are drawn freely and then bent so that they end there (for a
Gaussian path that is exactly its law given its end), so that days can be planned without their minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.market_data import synthetic_figures as fig
from services.market_data.synthetic_days import DayPlan, Floats, stream, unit_t

Truths = NDArray[np.bool_]

DISCRETE = 0.5826 / math.sqrt(fig.WICK_STEPS)
"""A path of n steps stays this many sigmas below the continuous one's maximum (Chernoff's constant over root n)."""


class Draws(Struct):
    """The random numbers of one symbol's days: minutes x days, and a few for each day."""

    innovation: Floats
    normals: Floats  # six kinds
    uniforms: Floats  # five kinds
    halts: Floats  # three for each day


class Factor(Struct):
    """Log returns of each minute, and their sigmas: minutes x days."""

    moves: Floats
    sigmas: Floats


def draw(seed: int, symbol: str, days: Sequence[DayPlan], freedom: int) -> Draws:
    """Each day from its own stream; a half day draws as much as a full one."""
    count = len(days)
    innovation, halts = np.empty((count, fig.MINUTES)), np.empty((count, 3))
    normals, uniforms = np.empty((count, 6, fig.MINUTES)), np.empty((count, 5, fig.MINUTES))
    for place, day in enumerate(days):
        draws = stream(seed, "minutes", symbol, day.session.session.isoformat())
        innovation[place] = draws.standard_t(freedom, fig.MINUTES)
        draws.standard_normal(out=normals[place])
        draws.random(out=uniforms[place])
        halts[place] = draws.standard_normal(3)
    return Draws(
        unit_t(np.ascontiguousarray(innovation.T), freedom),
        np.ascontiguousarray(normals.transpose(1, 2, 0)),
        np.ascontiguousarray(uniforms.transpose(1, 2, 0)),
        halts.T,
    )


def factor(draws: Draws, days: Sequence[DayPlan], sigma: Floats, move: Floats) -> Factor:
    """Minute returns with the days' sigmas (of a full day) that add up to the days' moves."""
    noise = np.exp(
        lasting(draws.normals[0], fig.VOLATILITY_SLOW)
        + lasting(draws.normals[1], fig.VOLATILITY_FAST)
        + fig.VOLATILITY_LEVEL
    )
    shape = np.stack([volatility_shape(day.session.minutes) for day in days], axis=1)
    sigmas = sigma / math.sqrt(fig.MINUTES) * shape * noise
    moves = sigmas * draws.innovation
    variance = sigmas * sigmas
    whole = _total(variance)
    bend = np.divide(move - _total(moves), whole, out=np.zeros_like(whole), where=whole > 0)
    return Factor(moves + bend * variance, sigmas)


def extremes(before: Floats, after: Floats, sigmas: Floats, draws: Draws) -> tuple[Floats, Floats]:
    """Log high and low of each minute's path, given its ends: the law of a Brownian bridge's maximum."""
    wick = DISCRETE * sigmas
    span, double = after - before, 2 * sigmas * sigmas
    up = (before + after + np.sqrt(span * span - double * np.log(draws.uniforms[0]))) / 2 - wick
    down = (before + after - np.sqrt(span * span - double * np.log(draws.uniforms[1]))) / 2 + wick
    return np.maximum(up, np.maximum(before, after)), np.minimum(down, np.minimum(before, after))


def volumes(draws: Draws, days: Sequence[DayPlan], moves: Floats, sigmas: Floats) -> Floats:
    """Whole shares of each minute."""
    strength, most, usual = fig.VOLUME_OF_MOVE
    safe = np.where(sigmas > 0, sigmas, 1.0)
    z = np.minimum(np.abs(moves) / safe, most)
    noise = np.exp(
        lasting(draws.normals[2], fig.VOLUME_SLOW)
        + fig.VOLUME_WHITE * draws.normals[3]
        + strength * (z - usual)
        + fig.VOLUME_LEVEL
    )
    shape = np.stack([volume_shape(day.session.minutes) for day in days], axis=1)
    rounded: Floats = np.rint(np.array([day.shares for day in days]) * shape * noise)
    return rounded


def lasting(normals: Floats, ar: tuple[float, float]) -> Floats:
    """AR(1) down the rows, stationary from the first."""
    coefficient, deviation = ar
    fresh = math.sqrt(1 - coefficient**2)
    out = np.empty_like(normals)
    out[0] = normals[0]
    for minute in range(1, len(normals)):
        out[minute] = coefficient * out[minute - 1] + fresh * normals[minute]
    scaled: Floats = deviation * out
    return scaled


@lru_cache(maxsize=16)
def volatility_shape(minutes: int) -> Floats:
    """By minute, root mean square 1 over the day's minutes and 0 after them; a half day is the whole shape, faster."""
    shape = _shape(fig.VOLATILITY_SHAPE, minutes)
    return _padded(shape / math.sqrt(float(np.cumsum(shape * shape)[-1]) / minutes))


@lru_cache(maxsize=16)
def volume_shape(minutes: int) -> Floats:
    """Each minute's share of the day, sum 1; first and last carry the auctions."""
    shape = _shape(fig.VOLUME_SHAPE, minutes)
    shape[0] = shape[-1] = fig.AUCTION_MINUTES * float(np.cumsum(shape)[-1]) / minutes
    return _padded(shape / float(np.cumsum(shape)[-1]))


def _shape(figures: tuple[float, float, float, float, float], minutes: int) -> Floats:
    level, opening, opening_minutes, closing, closing_minutes = figures
    place = np.arange(minutes) * ((fig.MINUTES - 1) / (minutes - 1))
    shape: Floats = (
        level
        + opening * np.exp(-place / opening_minutes)
        + closing * np.exp(-(fig.MINUTES - 1 - place) / closing_minutes)
    )
    return shape


def _padded(shape: Floats) -> Floats:
    padded = np.zeros(fig.MINUTES)
    padded[: len(shape)] = shape
    return padded


def _total(rows: Floats) -> Floats:
    """Sums down the columns, added one by one: the same on every machine."""
    total: Floats = np.cumsum(rows, axis=0)[-1]
    return total
