"""Rules on levels that signals and state both ask: the first stop and the shares of a trim.

Signals asks them at the confirming close, state again at the limit price when it makes the order.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from shared.contracts.money import exact, figure
from shared.contracts.rules import StopRules


def first_stop(swing_low: float | None, price: float, rules: StopRules) -> float | None:
    """min(swing low - buffer, price x (1 - minimum distance)), dollars, not yet on the grid.

    None where there is no swing low, or swing low - buffer is not below the price, or is no price at all: `no_stop`
    (docs/strategy.md section 2).
    """
    if swing_low is None:
        return None
    below_low = figure(swing_low - rules.buffer)
    if not 0 < below_low < price:
        return None
    return min(below_low, figure(price * (1 - rules.min_distance)))


def scan_first_stop(stop: float, price: float) -> float | None:
    """The scan row's own first stop, dollars; None where it is not below the price."""
    return stop if stop < price else None


def risk_is_too_wide(price: float, stop: float, max_pct: float, max_per_share: float | None) -> bool:
    """Whether price - stop is above `max_pct` percent of the price, or above `max_per_share` dollars where set."""
    risk = figure(price - stop)
    return risk_pct(price, stop) > max_pct or (max_per_share is not None and risk > max_per_share)


def risk_pct(price: float, stop: float) -> float:
    """What one share risks, in percent of its price."""
    return figure(100 * (price - stop) / price)


def trim_shares(qty: int, fraction: float) -> int:
    """floor(fraction x qty), exactly: 0.29 of 100 shares are 29, which binary floats would make 28."""
    return int((exact(fraction) * Decimal(qty)).to_integral_value(ROUND_FLOOR))
