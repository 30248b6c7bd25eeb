"""Where a position stands: its gain, and the place of its price between the stop and R2."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec import Struct

from services.dashboard.rows import Held
from services.dashboard.tape import Price
from shared.contracts.money import exact

MARGIN: Final = 0.04
"""Part of the bar left free at each end."""


class Mark(Struct, frozen=True):
    """A level on the bar. place: 0 to 100, percent from its left end."""

    name: str
    price: float
    place: float


class Standing(Struct, frozen=True, kw_only=True):
    """price: last close, None where none was heard. gain: open profit, dollars; gain_pct: of what it cost.

    r: gain in units of what was risked at the entry; None without a first stop below the entry. place: of the price.
    covered: every share has a resting stop.
    """

    price: float | None
    gain: Decimal | None
    gain_pct: float | None
    r: float | None
    marks: tuple[Mark, ...]
    place: float | None
    covered: bool


def standing(held: Held, price: Price | None) -> Standing:
    """Where `held` stands at `price`."""
    close = price.close if price is not None else None
    levels = [
        (name, float(level))
        for name, level in (("stop", held.stop), ("entry", held.avg_price), ("R1", held.r1), ("R2", held.r2))
        if level is not None
    ]
    shown = [level for _, level in levels] + ([close] if close is not None else [])
    low, high = min(shown), max(shown)
    gain = (exact(close) - held.avg_price) * held.qty if close is not None else None
    risk = held.avg_price - held.first_stop if held.first_stop is not None else Decimal(0)
    return Standing(
        price=close,
        gain=gain,
        gain_pct=(close / float(held.avg_price) - 1) * 100 if close is not None and held.avg_price else None,
        r=float((exact(close) - held.avg_price) / risk) if close is not None and risk > 0 else None,
        marks=tuple(Mark(name, level, _place(level, low, high)) for name, level in levels),
        place=_place(close, low, high) if close is not None else None,
        covered=held.resting >= held.qty,
    )


def _place(level: float, low: float, high: float) -> float:
    if high <= low:
        return 50.0
    return round((MARGIN + (level - low) / (high - low) * (1 - 2 * MARGIN)) * 100, 2)
