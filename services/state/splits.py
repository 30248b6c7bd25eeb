"""Splits of held symbols, seen by the broker's share count and average price changing by one ratio.

The position is folded anew with the split between its executions, and its levels are scaled (docs/strategy.md
section 10). What rests at the broker was read before: the plan changes it only where it differs. Any other change of
the share count is no split, and stays unexplained.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Final

from msgspec.structs import replace

from services.state import fills
from services.state.model import Position
from services.state.records import SplitRow
from services.state.unit import Unit
from shared.contracts.money import figure, round_down
from shared.contracts.orders import BrokerPosition
from shared.domain.positions import scaled

LARGEST: Final = 100
"""No split is by more; and no smaller steps than hundredths are looked for."""
TOLERANCE: Final = Decimal("0.002")
"""The broker rounds average prices; a ratio must explain them to within this fraction."""


def found(unit: Unit, theirs: BrokerPosition) -> bool:
    """Whether the broker's shares are ours after a split; it is booked when a second reading says the same."""
    position = unit.store.open_position(theirs.symbol)
    ratio = None if position is None else ratio_between(position, theirs)
    if position is None or ratio is None:
        return False
    seen = f"{ratio.numerator}:{ratio.denominator} of {position.qty}"
    key = f"split-seen-{theirs.symbol}"
    if unit.store.note(key) != seen:
        unit.store.set_note(key, seen)
        unit.want_reconciliation(f"{theirs.symbol} looks split {ratio.numerator} for {ratio.denominator}")
        return True
    unit.store.set_note(key, "")
    _book(unit, position, ratio)
    return True


def ratio_between(ours: Position, theirs: BrokerPosition) -> Fraction | None:
    """New shares for each old one, if one ratio explains both the broker's shares and its average price."""
    if theirs.avg_entry_price <= 0 or ours.avg_price <= 0:
        return None
    ratio = Fraction(ours.avg_price / theirs.avg_entry_price).limit_denominator(LARGEST)
    if ratio in (0, 1) or ratio.numerator > LARGEST:
        return None
    explained = ours.avg_price * ratio.denominator / ratio.numerator
    if abs(theirs.avg_entry_price / explained - 1) > TOLERANCE:
        return None
    return ratio if floor(ours.qty * ratio) == floor(theirs.qty) else None


def _book(unit: Unit, position: Position, ratio: Fraction) -> None:
    new, old = ratio.numerator, ratio.denominator
    unit.store.put_split(
        SplitRow(position_id=position.position_id, at=unit.as_of, symbol=position.symbol, new=new, old=old)
    )
    holding = fills.holding_of(unit, position.position_id)

    def level(price: float | None) -> float | None:
        return None if price is None else figure(price * old / new)

    unit.store.upsert_position(
        replace(
            position,
            qty=holding.qty,
            bought=holding.bought,
            sold=holding.sold,
            avg_price=holding.avg_price,
            realized=holding.realized,
            pivot=level(position.pivot),
            r1=level(position.r1),
            r2=level(position.r2),
            stop=None if position.stop is None else round_down(scaled(position.stop, new, old)),
            high_water=figure(position.high_water * old / new),
        )
    )
    unit.touch(position.symbol)
    unit.alert(
        "warning",
        f"split-{position.symbol}-{unit.as_of:%y%m%d}",
        f"{position.symbol} was split {new} for {old}: {position.qty} shares are {holding.qty}, its levels are scaled",
        symbol=position.symbol,
    )
