"""Swings of a series of bars, and the targets above a pivot (docs/strategy.md section 2)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from shared.contracts.money import figure


class BadLevels(ValueError):
    """Targets that do not lie above the pivot, one above the other."""


class Targets(Struct, frozen=True):
    """R1 and R2 in dollars."""

    r1: float
    r2: float


def last_swing_high(highs: Sequence[float], wing: int) -> int | None:
    """Place of the most recent value strictly above the `wing` values before it and the `wing` after it."""
    for place in range(len(highs) - 1 - wing, wing - 1, -1):
        high = highs[place]
        if all(high > highs[place - k] and high > highs[place + k] for k in range(1, wing + 1)):
            return place
    return None


def last_swing_low(lows: Sequence[float], wing: int) -> int | None:
    """Place of the most recent value strictly below the `wing` values before it and the `wing` after it."""
    for place in range(len(lows) - 1 - wing, wing - 1, -1):
        low = lows[place]
        if all(low < lows[place - k] and low < lows[place + k] for k in range(1, wing + 1)):
            return place
    return None


def targets(pivot: float, prior_high: float, prior_low: float, r1_multiple: float, r2_multiple: float) -> Targets:
    """R1 and R2: pivot + a multiple of the prior session's high-low range, dollars.

    Raises BadLevels where that range is not positive, or so small that R1 > pivot, R2 > R1 does not hold.
    """
    prior_range = prior_high - prior_low
    if not prior_range > 0:
        raise BadLevels(f"the prior session's range is {prior_range}")
    return checked(pivot, Targets(figure(pivot + r1_multiple * prior_range), figure(pivot + r2_multiple * prior_range)))


def checked(pivot: float, levels: Targets) -> Targets:
    """`levels`, if pivot < R1 < R2. Raises BadLevels."""
    if not pivot < levels.r1 < levels.r2:
        raise BadLevels(f"pivot {pivot}, R1 {levels.r1} and R2 {levels.r2} do not rise")
    return levels
