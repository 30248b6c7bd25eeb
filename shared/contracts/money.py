"""Dollars: Decimal on the broker's grid. The only place that rounds a price or turns a float into money."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

ONE_DOLLAR: Final = Decimal(1)
CENT: Final = Decimal("0.01")
SUB_DOLLAR_TICK: Final = Decimal("0.0001")
FIGURE_DECIMALS: Final = 9


def tick(price: Decimal) -> Decimal:
    """Smallest price step at `price` dollars: 0.01 from 1.00 up, 0.0001 below (SEC Rule 612)."""
    return CENT if price >= ONE_DOLLAR else SUB_DOLLAR_TICK


def exact(value: float | str | Decimal) -> Decimal:
    """`value` as a Decimal: a market float by its shortest decimal text, never by its binary expansion.

    Raises ValueError where it is not finite: a hole in the data must not become a price.
    """
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError(f"not a price: {value!r}")
    return number


def round_down(price: Decimal | float) -> Decimal:
    """`price` dollars down to the grid."""
    value = exact(price)
    return value.quantize(tick(value), rounding=ROUND_FLOOR)


def round_up(price: Decimal | float) -> Decimal:
    """`price` dollars up to the grid; 0.99991 goes to 1.00, which is on both grids."""
    value = exact(price)
    return value.quantize(tick(value), rounding=ROUND_CEILING)


def round_cents(amount: Decimal) -> Decimal:
    """An amount of dollars (not a price) to whole cents, half to even."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


def figure(value: float) -> float:
    """A derived market figure at the nine decimals at which figures are compared (docs/strategy.md, preface)."""
    return round(value, FIGURE_DECIMALS)
